"""From a config (plain Python) to objects: the only room that joins the others."""

from seqlab.build.check import check_config
from seqlab.build.data import (
    Data,
    build_data,
    build_errors,
    build_floor,
    build_forecast,
    build_loader,
    build_pipeline,
    check_same_data,
    floor_errors,
    floor_forecasters,
    told,
    window_options,
)
from seqlab.build.fresh import read_part
from seqlab.build.model import build_model, check_fits, check_memory, stored_spec, without_vectors
from seqlab.build.plan import completed, make_plan, make_source
from seqlab.build.training import (
    build_optimizer,
    build_runtime,
    build_samples,
    build_schedule,
    build_search,
    build_settings,
    build_task,
    check_samples,
    identity,
    make_run_dir,
    remembered,
)

__all__ = [
    "Data",
    "build_data",
    "build_errors",
    "build_floor",
    "build_forecast",
    "build_loader",
    "build_model",
    "build_optimizer",
    "build_pipeline",
    "build_runtime",
    "build_samples",
    "build_schedule",
    "build_search",
    "build_settings",
    "build_task",
    "check_config",
    "check_fits",
    "check_memory",
    "check_same_data",
    "check_samples",
    "completed",
    "floor_errors",
    "floor_forecasters",
    "identity",
    "make_plan",
    "make_run_dir",
    "make_source",
    "read_part",
    "remembered",
    "stored_spec",
    "told",
    "window_options",
    "without_vectors",
]
