"""Embedding, encoder and head, joined into what the data's task asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqlab import schema
from seqlab.build.keys import (
    DECODING,
    PARTS,
    Config,
    only,
    without,
)
from seqlab.build.training import build_task
from seqlab.data.forecast import Windows
from seqlab.data.synthetic import Part
from seqlab.engine import checkpoint
from seqlab.engine.runtime import physical_memory, random_state, restore_random_state, seed_everything
from seqlab.models import (
    AnyModel,
    AttentionDecoder,
    Bridge,
    ClassificationHead,
    Embedding,
    Features,
    Forecaster,
    LanguageModel,
    Model,
    NgramReader,
    RegressionHead,
    Seq2Seq,
    StepHead,
    TokenHead,
    TransformerTranslator,
)
from seqlab.nn import ConcatMLP, SegmentRecurrent, TransformerEncoder
from seqlab.tasks.forecasting import Forecasting
from seqlab.text.pipeline import load_pipeline
from seqlab.types import DataSpec, InputError, Pairs, Split, Tokens

HEADS: dict[str, Callable[..., torch.nn.Module]] = {
    "classification": ClassificationHead,
    "regression": RegressionHead,
    "multilabel": RegressionHead,
    "tagging": StepHead,
    "detection": StepHead,
}
"""What joins an encoder to each task."""
TRANSFORMER = ("num_layers", "num_heads", "feedforward", "dropout", "norm_first")
"""Options of a transformer's encoder that its decoder takes as well."""
MOST_ROWS = 50_000
"""Training windows times targets that a highway is fitted to, evenly thinned beyond: more move nothing."""


def build_model(
    config: Config,
    spec: DataSpec,
    tokens: Sequence[str] = (),
    train: Split | Part | Tokens | Windows | Pairs | None = None,
) -> AnyModel:
    """Embedding, encoder and head joined, initial weights drawn from ``seed``.

    Args:
        config: the whole config.
        spec: sizes that the data knows.
        tokens: names of the ids, for pre-trained vectors.
        train: the part that a reader of n-grams counts; None where a checkpoint brings its counts.
    """
    node = config["model"]
    seed_everything(config["seed"])
    if spec.task == "forecasting":
        forecaster = _build_forecaster(config, spec)
        if forecaster.ridge is not None and isinstance(train, Windows):
            thinned = train.origins[:: max(1, len(train) * spec.num_outputs // MOST_ROWS)]
            forecaster.fit_highway(train.batch(some) for some in np.array_split(thinned, len(thinned) // 64 + 1))
        return forecaster
    embedding: Embedding | Features
    if spec.num_features:
        embedding = Features(spec.num_features)
    else:
        embedding = _build_embedding(config, spec, tokens)
    encoder = schema.construct("model", without(node, PARTS), input_size=embedding.output_size)
    if spec.task == "translation":
        assert isinstance(embedding, Embedding)
        return _build_translator(config, spec, embedding, encoder)
    if spec.task in ("tagging", "detection") and isinstance(encoder, ConcatMLP | SegmentRecurrent):
        raise InputError(
            f"model={node['name']} answers one vector for a whole row, data of task={spec.task} asks at each step."
        )
    if spec.task == "language_modeling":
        return LanguageModel(embedding, encoder, _token_head(node, embedding, encoder.output_size, spec.vocab_size))
    head_class = HEADS[spec.task]
    options = only(node["head"], tuple(schema.arguments(head_class)))  # a label for every step needs no pooling
    head = head_class(input_size=encoder.output_size, num_outputs=spec.num_outputs, **options)
    ngrams = None
    if node["ngrams"] is not None:
        if spec.task != "classification" or not isinstance(train, Split | None):
            raise InputError(f"model={node['name']} counts words and classifies texts: choose another for this data.")
        ngrams = NgramReader(num_classes=spec.num_outputs, **node["ngrams"])
        if train is not None:
            ngrams.fit(train)
    return Model(embedding, encoder, head, ngrams, node["tail"], node["vote"])


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


def _build_forecaster(config: Config, spec: DataSpec) -> Forecaster:
    node, decoding = config["model"], only(config["task"], DECODING)
    if node["ngrams"] is not None or node["tail"] is not None:
        raise InputError(f"model={node['name']} classifies texts: choose another for this data, such as model=lstm.")
    width = Forecaster.reads(spec.num_outputs, spec.num_features, decoding["channels"])
    encoder = schema.construct("model", without(node, PARTS), input_size=width)
    task = build_task(config, spec)
    assert isinstance(task, Forecasting)
    return Forecaster(
        encoder, spec.num_outputs, spec.num_features, spec.num_future, spec.horizon, task.roles,
        **decoding, **only(node["head"], ("pooling", "dropout")),
    )  # fmt: skip


def check_translator(config: Config) -> None:
    """Put a translation model together where nothing is allocated: what they refuse, before any data.

    A model of pre-trained or one-hot vectors waits for the data, which decide their width.

    Raises:
        InputError: options that are out of range, or contradict each other.
    """
    spec = DataSpec("translation", 4, (), 4, pad_id=1, start_id=2, eos_id=3, shared=config["data"]["shared"])
    node = config["model"]["embedding"]
    if node["vectors"] is not None or node["kind"] != "random":
        return
    with torch.device("meta"):
        embedding = _build_embedding(config, spec)
        encoder = schema.construct("model", without(config["model"], PARTS), input_size=embedding.output_size)
        _build_translator(config, spec, embedding, encoder)


def _build_translator(config: Config, spec: DataSpec, embedding: Embedding, encoder: torch.nn.Module) -> AnyModel:
    node, decoder = config["model"], config["task"]["decoder"]
    target = embedding
    if not spec.shared:
        # Vectors of the source's language say nothing of the target's.
        options = {**node["embedding"], "vectors": None, "trainable": True}
        options["dim"] = None if options["kind"] == "onehot" else embedding.output_size
        target = Embedding(vocab_size=spec.num_outputs, pad_id=spec.pad_id, **options)
    if decoder["kind"] == "transformer":
        if not isinstance(encoder, TransformerEncoder):
            raise InputError(
                f"task.decoder.kind=transformer goes with model=transformer, whose sizes it takes, not with "
                f"model={node['name']}: take task.decoder.kind=recurrent."
            )
        head = _token_head(node, target, encoder.output_size, spec.num_outputs)
        return TransformerTranslator(embedding, encoder, target, head, **only(node, TRANSFORMER))
    if isinstance(encoder, ConcatMLP | SegmentRecurrent) and decoder["attention"] != "none":
        raise InputError(
            f"model={node['name']} answers one vector for a whole row, so there is nowhere to look: set "
            "task.decoder.attention=none and task.decoder.input_feeding=false, or take another, such as model=seq2seq."
        )
    memory: int = encoder.output_size  # type: ignore[assignment]
    speaker = AttentionDecoder(target.output_size, memory, **without(decoder, ("kind", "bridge")))
    bridge = Bridge(encoder, speaker.recurrent, decoder["bridge"])  # type: ignore[arg-type]
    head = _token_head(node, target, speaker.output_size, spec.num_outputs)
    return Seq2Seq(embedding, encoder, bridge, target, speaker, head)


def _build_embedding(config: Config, spec: DataSpec, tokens: Sequence[str] = ()) -> Embedding:
    """As wide as ``model.embedding`` says, or else as suits the data."""
    options = dict(config["model"]["embedding"])
    if (suits := config["data"].get("embedding_dim")) is not None:
        options["default_dim"] = suits
    with schema.named("model.embedding"):
        return Embedding(vocab_size=spec.vocab_size, pad_id=spec.pad_id, tokens=tokens, **options)


def _token_head(node: Config, embedding: Any, width: int, vocab_size: int) -> TokenHead:
    if node["ngrams"] is not None or node["tail"] is not None:
        raise InputError(f"model={node['name']} classifies texts: choose another for this data, such as model=lstm.")
    head = node["head"]
    if head["tied"] and embedding.weight is None:
        raise InputError("model.head.tied=true shares the embedding's weights, and one-hot vectors have none.")
    tied = embedding.weight if head["tied"] else None
    return TokenHead(width, vocab_size, head["dropout"], head["variational"], tied)
