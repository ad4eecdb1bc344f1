"""The question that a config asks, before any data is read: its objective, its options, and whose each key is."""

from __future__ import annotations

from typing import Any

from seqlab import schema
from seqlab.build.keys import Config
from seqlab.protocols import Task
from seqlab.types import DataSpec, InputError, Objective, Units

KNOWN = ("num_outputs", "labels", "blank", "counts", "mean", "deviation", "horizon", "units", "characters", "pad_id",
         "decode")  # fmt: skip
"""Facts of the data that an objective may take; a question knows others, see ``Task.known``."""


def make_task(config: Config) -> Task:
    """The question, made of its options; the objective's are checked too.

    Raises:
        InputError: an objective without a question, a key that nobody has, a value of the wrong type or out of range.
    """
    function, task = _located(config)
    own, options = schema.partition("task", config["task"], function, task.Options, ("name",))
    made = task(schema.construct("task", {"_target_": f"{task.Options.__module__}.{task.Options.__name__}", **options}))
    given = {*KNOWN, *made.known(DataSpec(task.name, 0, ()), False)} & schema.arguments(function)
    schema.check("task", function, own, tuple(given))
    return made


def make_objective(
    config: Config, spec: DataSpec, pipeline: Any = None, units: Units | None = None, *, final: bool = False
) -> Objective:
    """Loss and metrics; those of forecasts in the data's own units are known with ``units`` alone.

    With ``final``, as a finished model is measured.
    """
    function, task = _located(config)
    own, _ = schema.partition("task", config["task"], function, task.Options, ("name",))
    known = {
        "num_outputs": spec.num_outputs,
        "labels": spec.labels,
        "blank": spec.blank,
        "counts": spec.counts,
        "mean": spec.mean,
        "deviation": spec.deviation,
        "horizon": spec.horizon,
        "units": units,
        "characters": None if pipeline is None else pipeline.characters,
        "pad_id": spec.pad_id,
        "decode": None if pipeline is None else pipeline.decode,
        **make_task(config).known(spec, final),
    }
    taken = schema.arguments(function)
    return schema.construct("task", own, **{name: value for name, value in known.items() if name in taken})


def question_of(config: Config) -> type[Task]:
    """The question that the config's objective belongs to, without its options."""
    return _located(config)[1]


def _located(config: Config) -> tuple[Any, type[Task]]:
    function = schema.locate(config["task"].get("_target_"), "task")
    task = getattr(function, "task", None)
    if task is None:
        raise InputError(
            f"task._target_={config['task']['_target_']} does not say which question it belongs to: derive it from an "
            "objective of seqlab.tasks, or give it a class attribute 'task'."
        )
    return function, task
