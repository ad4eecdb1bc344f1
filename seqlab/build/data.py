"""Datasets, their batches and their baselines."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from seqlab import schema
from seqlab.build.keys import Config, without
from seqlab.build.plan import make_plan, make_source
from seqlab.build.question import make_objective, make_task, question_of
from seqlab.data.forecast import ForecastData, unparted
from seqlab.data.scaling import Scaling
from seqlab.paths import cache_dir
from seqlab.protocols import BaselineContext, Baselines, LoadContext
from seqlab.text.pipeline import TextPipeline
from seqlab.types import DataSpec, InputError, Loader, Objective

log = logging.getLogger(__name__)

Data = Any
"""A ``protocols.Dataset``."""


def build_pipeline(config: Config) -> TextPipeline:
    """The text pipeline that ``data.tokenizer`` describes, not yet fitted."""
    return schema.construct("data.tokenizer", config["data"]["tokenizer"])


def build_data(config: Config) -> Data:
    """Read the dataset (or its cache) with its validation part and vocabulary, or generate it."""
    plan = make_plan(config)
    data: Data = plan.form.load(make_source(config, plan), plan.options, _context(config))
    if data.spec.task not in question_of(config).reads:
        raise InputError(
            f"data={data.name} is a {data.spec.task} dataset and task={config['task']['name']} does not fit it: "
            "remove task=, the dataset brings its own."
        )
    return data


def _context(config: Config) -> LoadContext:
    return LoadContext(config["seed"], cache_dir(), partial(build_pipeline, config))


def build_forecast(config: Config, scaling: Mapping[str, Any] | None) -> ForecastData:
    """Series without parts, to go on from, scaled by the state of a scaling that has learned."""
    plan = make_plan(config)
    learned = Scaling(plan.options.scaling)
    assert scaling is not None, "a forecaster's checkpoint has the state of its scaling"
    learned.load_state_dict(scaling)
    return unparted(make_source(config, plan).read(), learned, plan.options.lookback, plan.options.horizon)


def window_options(config: Config) -> dict[str, Any]:
    """How series are parted, scaled and cut into windows: the arguments of ``data.forecast.prepare``."""
    options = asdict(make_plan(config).options)
    return without(options, ("batch_size",))


def check_same_data(saved: Mapping[str, Any], data: Data, go_on: str = "") -> None:
    """Compare a checkpoint's data and vocabulary with those at hand; ``go_on`` is a command for new rows of series.

    Raises:
        InputError: they differ; the message shows where.
    """
    if difference := data.difference(saved):
        advice = f"To forecast what comes after the new rows: {go_on}. Otherwise restore" if go_on else "Restore"
        raise InputError(
            f"The data is not what the run was trained on: {difference}. {advice} the run's data, or train a new run."
        )


def objective_for(config: Config, data: Data, *, final: bool = False) -> Objective:
    """Loss and metrics for a dataset, in its units where it has some; see ``make_objective``."""
    return make_objective(config, data.spec, data.pipeline, getattr(data, "units", None), final=final)


def build_baselines(config: Config, data: Data, split: str, objective: Objective | None = None) -> Baselines:
    """What simple methods reach on the same part of the same data."""
    if objective is None:
        objective = objective_for(config, data)
    context = BaselineContext(objective, cache_dir() / "floors", partial(_reread, config))
    return make_task(config).baselines(data, split, context)


def _reread(config: Config, pipeline: Any) -> Data:
    """The same data with another text pipeline, without a word about it."""
    plan = make_plan(config)
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        return plan.form.load(
            make_source(config, plan), plan.options, LoadContext(config["seed"], cache_dir(), lambda: pipeline)
        )
    finally:
        logging.disable(before)


def build_loader(config: Config, part: Any, spec: DataSpec, *, shuffle: bool) -> Loader:
    """Batches of one part: shuffled to learn from; otherwise to measure, in a fixed order and maybe at more length."""
    plan = make_plan(config)
    with schema.named("data"):
        return plan.form.batches(part, plan.options, spec, train=shuffle, seed=config["seed"])
