"""Which keys of a config are whose: the words that the modules of this room share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Config = Mapping[str, Any]

BATCHING = ("batch_size", "max_batch_tokens", "max_length", "truncate", "round_to")
"""Keys of ``data`` that say how batches of examples are made."""
READING = ("batch_size", "length", "sampling", "reset", "eval_length", "val_fraction", "test_fraction")
"""Keys of a corpus that say how it is parted and read."""
WINDOWS = ("lookback", "horizon", "split", "scaling", "season", "stride")
"""Keys of series that say how they are parted, scaled and cut into windows."""
SUITS = (
    "epochs", "pooling", "head_dropout", "embedding", "word_dropout", "max_lag", "lr",
    "hidden_size", "embedding_dim", "embedding_dropout", "variational", "forget_bias", "weight_decay", "beta2",
    "warmup", "subwords", "lowercase", "normalize", "channels", "highway", "ridge", "segment", "decides",
    "decoder_size", "label_smoothing", "attention", "input_feeding",
)  # fmt: skip
"""Keys of ``data`` that say what suits it best; the model's and the trainer's options refer to them."""
PREPARING = (
    "name",
    "tokenizer",
    "max_tokens",
    "shared",
    "val_fraction",
    "group_texts",
    "eval_max_length",
    *BATCHING,
    *SUITS,
)
"""Keys of ``data`` that are not the source's own."""
PARTS = ("name", "lr", "embedding", "head", "decoder", "translator", "ngrams", "tail", "vote")
"""Keys of ``model`` that are not the encoder's own."""
DECODING = ("decoder", "segment", "normalize", "channels", "highway", "ridge", "vote")
"""Keys of a forecasting ``task`` that say how an encoder becomes a forecaster."""
TASK_PARTS = ("name", "samples", "search", *DECODING)
"""Keys of ``task`` that are not the task's own."""
RUNTIME = ("device", "precision")
"""Keys of ``trainer`` that say where it computes."""


def is_corpus(data: Config) -> bool:
    """Whether ``data`` is one long text, rather than examples."""
    return "sampling" in data


def is_pairs(data: Config) -> bool:
    """Whether ``data`` are sentences of one side, each with its own of the other."""
    return "shared" in data


def is_text(data: Config) -> bool:
    """Whether ``data`` is read with a tokenizer, rather than made of numbers."""
    return "tokenizer" in data


def is_series(data: Config) -> bool:
    """Whether ``data`` is read to forecast what comes after it."""
    return "horizon" in data


def source(data: Config) -> dict[str, Any]:
    """What of ``data`` is the source's own."""
    reading = READING if is_corpus(data) else WINDOWS if is_series(data) else ()
    return without(data, (*PREPARING, *reading))


def without(node: Config, keys: tuple[str, ...]) -> dict[str, Any]:
    """All of ``node`` but ``keys``."""
    return {key: value for key, value in node.items() if key not in keys}


def only(node: Config, keys: tuple[str, ...]) -> dict[str, Any]:
    """Of ``node`` what is among ``keys``."""
    return {key: node[key] for key in keys if key in node}
