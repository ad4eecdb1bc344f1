"""Embedding, encoder and head, joined into what the data's task asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from seqlab.build.keys import Config
from seqlab.build.question import make_objective, make_task
from seqlab.engine import checkpoint
from seqlab.engine.runtime import physical_memory, random_state, restore_random_state, seed_everything
from seqlab.models.parts import ModelParts
from seqlab.text.pipeline import load_pipeline
from seqlab.types import DataSpec, InputError


def build_model(config: Config, spec: DataSpec, tokens: Sequence[str] = (), train: Any = None) -> Any:
    """What answers the config's question, initial weights drawn from ``seed``.

    Args:
        config: the whole config.
        spec: sizes that the data knows.
        tokens: names of the ids, for pre-trained vectors.
        train: the part that a model counts or fits something of; None where a checkpoint brings it.
    """
    seed_everything(config["seed"])
    task = make_task(config)
    if spec.task not in task.reads:
        raise InputError(f"The model answers task={task.name}, and its data is of task={spec.task}: they do not fit.")
    objective = make_objective(config, spec)
    return task.model(ModelParts(config), spec, objective, tokens, train)


def stored_spec(saved: Mapping[str, Any]) -> DataSpec:
    """What a checkpoint remembers of its data."""
    return DataSpec(**{**saved["spec"], "labels": tuple(saved["spec"]["labels"])})


def without_vectors(config: Config, weights: Mapping[str, torch.Tensor]) -> Config:
    """``config`` for a model whose vectors are in its weights already: their file need not be there any more."""
    embedding = config["model"]["embedding"]
    if embedding["vectors"] is None:
        return config
    embedding = {**embedding, "vectors": None, "dim": weights["embedding.weight"].shape[1]}
    return {**config, "model": {**config["model"], "embedding": embedding}}


def check_fits(saved: Mapping[str, Any], where: str | Path) -> None:
    """Hold a checkpoint's weights against the model of its config before memory is taken for it.

    Raises:
        InputError: they differ in names or shapes.
    """
    weights, state = saved["model"], random_state()
    tokens = () if saved["pipeline"] is None else load_pipeline(saved["pipeline"]).tokens
    config = without_vectors(saved["config"], weights)
    with checkpoint.no_more_than(weights, config, where), torch.device("meta"):
        checkpoint.check_shapes(build_model(config, stored_spec(saved), tokens), weights)
    restore_random_state(state)


def check_memory(config: Config, spec: DataSpec) -> None:
    """Hold what training takes of memory at least against what the machine has, before any of it is taken.

    A model is built where nothing is allocated; each parameter is counted four times: weight, gradient and the two
    moments of an adaptive optimiser. A model that cannot be built so, such as the user's own, is not checked.

    Raises:
        InputError: the model takes more than three quarters of memory.
    """
    state = random_state()
    try:
        with torch.device("meta"):
            model = build_model({**config, "model": _without_vector_file(config)}, spec)
    except (InputError, RuntimeError, TypeError, ValueError):
        return  # what is wrong with it is said where it is built
    finally:
        restore_random_state(state)
    parameters, buffers = sum(p.nbytes for p in model.parameters()), sum(b.nbytes for b in model.buffers())
    needed, there = 4 * parameters + buffers, physical_memory()
    if there is not None and needed > 0.75 * there:  # data, activations and other programs take the rest
        count = sum(p.numel() for p in model.parameters())
        raise InputError(
            f"The model has {count:,} parameters: training takes at least {needed / 2**30:,.0f} GiB, and this machine "
            f"has {there / 2**30:,.0f} GiB. Choose a smaller model.hidden_size, model.num_layers or "
            "model.embedding.dim."
        )


def _without_vector_file(config: Config) -> Config:
    """``model``, whose vectors come from no file: for its size alone."""
    return {**config["model"], "embedding": {**config["model"]["embedding"], "vectors": None}}
