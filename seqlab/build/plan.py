"""What a config asks for, before any data is read: a source, its form of data, and whose each key of ``data`` is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from seqlab import schema
from seqlab.build.keys import SHARED, Config
from seqlab.build.question import question_of
from seqlab.data.forms import form_of
from seqlab.paths import cache_dir
from seqlab.protocols import Dataset
from seqlab.types import InputError


@dataclass(frozen=True)
class Plan:
    """The parts of ``data``.

    Attributes:
        source: the node of the source, ``_target_`` included.
        form: its form of data.
        options: of that form.
    """

    source: Config
    form: type[Dataset]
    options: Any


def make_plan(config: Config) -> Plan:
    """Give each key of ``data`` to its owner and check it, the source's without making it.

    Raises:
        InputError: a key that nobody has, or a value of the wrong type or out of range.
    """
    node, task = config["data"], question_of(config)
    function = schema.locate(node.get("_target_"), "data")
    form = form_of(function, node)
    own, options = schema.partition("data", node, function, form.Options, SHARED)
    provided = _provided(config, form)
    schema.check("data", function, own, tuple(name for name in provided if name in schema.arguments(function)))
    schema.check("data", form.Options, options)
    if not set(task.reads) & set(form.gives):
        raise InputError(
            f"data={node['name']} and task={config['task']['name']} do not fit each other: remove task=, the dataset "
            "brings its own."
        )
    return Plan(own, form, form.Options(**options))


def completed(config: Config) -> dict[str, Any]:
    """The config with the options of its form of data that it leaves out, so that a run folder says all."""
    return {**config, "data": {**asdict(make_plan(config).options), **config["data"]}}


def make_source(config: Config, plan: Plan) -> Any:
    """The source, with what the program knows and the config does not say."""
    function = schema.locate(plan.source["_target_"], "data")
    given = {name: value for name, value in _provided(config, plan.form).items() if name in schema.arguments(function)}
    return schema.construct("data", plan.source, **{key: given[key] for key in given if key not in plan.source})


def _provided(config: Config, form: type[Dataset]) -> dict[str, Any]:
    """Arguments of sources that the program gives: ``kind`` is what labels are read for."""
    kind = next((kind for kind in question_of(config).reads if kind in form.gives), "")
    provided = {"cache_dir": cache_dir(), "kind": kind}
    return provided if "seed" in config["data"] else {**provided, "seed": config["seed"]}
