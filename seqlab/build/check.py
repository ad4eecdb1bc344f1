"""Every node of a config held against the signature it names, before any data is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch

from seqlab import schema
from seqlab.build.keys import RUNTIME, Config, only, without
from seqlab.build.plan import make_plan, make_source
from seqlab.build.question import make_objective, make_task
from seqlab.build.training import (
    build_optimizer,
    build_schedule,
    build_settings,
    check_run_dir,
)
from seqlab.engine.runtime import check_threads, make_runtime
from seqlab.engine.settings import Settings
from seqlab.errors import shorten
from seqlab.models import (
    Embedding,
    Model,
    NgramReader,
)
from seqlab.models.parts import PARTS, ModelParts
from seqlab.protocols import Task
from seqlab.types import DataSpec, InputError


def check_config(config: Config) -> None:
    """Hold every node against the signature it names, before any data is read.

    Raises:
        InputError: an unknown option or a value of the wrong type, named by its path.
    """
    data, model = config["data"], config["model"]
    for part in ("data", "model", "task"):
        name = config[part]["name"]
        if not isinstance(name, str) or not name or "/" in name or "\0" in name or name in (".", ".."):
            raise InputError(f"{part}.name must be text that can name a folder, not {shorten(repr(name))}.")
    if not schema.accepts(config["seed"], int) or config["seed"] < 0:
        raise InputError(f"seed must be a whole number from 0 up, not {config['seed']!r}.")
    for key in ("test", "floor", "overwrite"):
        if not schema.accepts(value := config.get(key, False), bool):  # older configs have no overwrite
            raise InputError(f"{key} must be true or false, not {value!r}.")
    if config["resume"] is None:
        check_run_dir(config)
    plan = make_plan(config)
    if "tokenizer" in data:
        _check_node("data.tokenizer", data["tokenizer"])
    question = make_task(config)
    _check_node("model", without(model, PARTS), ("input_size",))
    schema.check("model.embedding", Embedding, model["embedding"], ("vocab_size", "pad_id", "tokens", "default_dim"))
    schema.check("model.head", _head_options, model["head"])
    schema.check("model", Model, only(model, ("tail", "vote")), ("embedding", "encoder", "head", "ngrams"))
    if model["ngrams"] is not None:
        schema.check("model.ngrams", NgramReader, model["ngrams"], ("num_classes",))
    spec = plan.form.placeholder(plan.options, config["task"]["name"], lambda: make_source(config, plan))
    weights = config["task"].get("class_weights")
    if isinstance(weights, Sequence) and not isinstance(weights, str) and len(weights) > 2:
        labels = tuple(str(number) for number in range(len(weights)))  # how many there are is known with the data
        spec = replace(spec, num_outputs=len(labels), labels=labels, counts=(1,) * len(labels))
    _dry_build(config, question, spec)
    _check_node("optim", config["optim"], ("model",))
    _check_node("schedule", config["schedule"], ("progress",))
    # What they refuse themselves: made once.
    if config["optim"]["_target_"].startswith("seqlab."):  # a person's own may look for its model's parts
        build_optimizer(config, torch.nn.Linear(1, 1))
    build_schedule(config)
    schema.check("trainer", Settings, without(config["trainer"], RUNTIME))
    schema.check("trainer", make_runtime, only(config["trainer"], RUNTIME))
    schema.check("runtime", _runtime_options, config["runtime"])
    check_threads(config["runtime"].get("threads"))
    build_settings(config)


def _dry_build(config: Config, question: Task, spec: DataSpec) -> None:
    """Make the objective, and the model where nothing is allocated: what they refuse, before any data.

    Pre-trained and one-hot vectors wait for the data, which decide their width.

    Raises:
        InputError: options that are out of range, or contradict each other.
    """
    objective = make_objective(config, spec)
    embedding = config["model"]["embedding"]
    if embedding["vectors"] is not None or embedding["kind"] != "random":
        config = {**config, "model": {**config["model"], "embedding": {**embedding, "vectors": None, "kind": "random"}}}
    with torch.device("meta"):
        try:
            question.model(ModelParts(config), spec, objective)
        except (OverflowError, RuntimeError) as error:  # torch's own words for a size out of range
            if not config["task"]["_target_"].startswith("seqlab."):
                raise  # a fault in the user's own code is shown whole
            reason = shorten(" ".join(str(error).split()), 300).rstrip(".")
            raise InputError(f"The model cannot be built with these options: {reason}.") from error


def _check_node(where: str, node: Config, provided: tuple[str, ...] = ()) -> None:
    function = schema.locate(node.get("_target_"), where)
    known = tuple(name for name in provided if name in schema.arguments(function))
    schema.check(where, function, node, known)


def _head_options(
    pooling: str | Sequence[str] = "last", dropout: float = 0.0, variational: bool = False, tied: bool = False
) -> None:
    """The keys of ``model.head``, whatever the task takes of them."""


def _runtime_options(threads: int | None = None, tune: Literal["auto", "off"] = "auto") -> None:
    """The keys of ``runtime``, as a signature to check them against."""
