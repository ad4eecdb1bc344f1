"""Which keys of a config are whose: the words that the modules of this room share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Config = Mapping[str, Any]

RECIPE = (
    "epochs", "pooling", "head_dropout", "embedding", "word_dropout", "max_lag", "lr",
    "hidden_size", "embedding_dim", "embedding_dropout", "variational", "forget_bias", "weight_decay", "beta2",
    "warmup", "subwords", "lowercase", "normalize", "channels", "highway", "ridge", "segment", "decides",
    "decoder_size", "label_smoothing", "attention", "input_feeding",
)  # fmt: skip
"""Keys of ``data`` that recommend settings for a dataset; other groups refer to them."""
SHARED = ("name", "tokenizer", "max_tokens", *RECIPE)
"""Keys of ``data`` that are neither the source's nor its form's."""
RUNTIME = ("device", "precision")
"""Keys of ``trainer`` that say where it computes."""


def without(node: Config, keys: tuple[str, ...]) -> dict[str, Any]:
    """All of ``node`` but ``keys``."""
    return {key: value for key, value in node.items() if key not in keys}


def only(node: Config, keys: tuple[str, ...]) -> dict[str, Any]:
    """Of ``node`` what is among ``keys``."""
    return {key: node[key] for key in keys if key in node}
