"""From a config (plain Python) to objects: the only room that joins the others."""

from seqlab.build.check import check_config
from seqlab.build.data import (
    Data,
    build_baselines,
    build_data,
    build_forecast,
    build_loader,
    build_pipeline,
    check_same_data,
    objective_for,
    window_options,
)
from seqlab.build.fresh import read_part
from seqlab.build.model import build_model, check_fits, check_memory, stored_spec, without_vectors
from seqlab.build.plan import completed, make_plan, make_source
from seqlab.build.question import make_objective, make_task, question_of
from seqlab.build.training import (
    build_optimizer,
    build_runtime,
    build_schedule,
    build_settings,
    identity,
    make_run_dir,
    remembered,
)

__all__ = [
    "Data",
    "build_baselines",
    "build_data",
    "build_forecast",
    "build_loader",
    "build_model",
    "build_optimizer",
    "build_pipeline",
    "build_runtime",
    "build_schedule",
    "build_settings",
    "check_config",
    "check_fits",
    "check_memory",
    "check_same_data",
    "completed",
    "identity",
    "make_objective",
    "make_plan",
    "make_run_dir",
    "make_source",
    "make_task",
    "objective_for",
    "question_of",
    "read_part",
    "remembered",
    "stored_spec",
    "window_options",
    "without_vectors",
]
