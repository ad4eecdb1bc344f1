"""What a dataset's config may leave out: how its form of data is split and batched has defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CORPUS: dict[str, Any] = {
    "batch_size": 16, "length": 64, "reset": 0.0, "eval_length": 256, "val_fraction": 0.1, "test_fraction": 0.0,
}  # fmt: skip
"""Running text, known by its key ``sampling``."""
SERIES: dict[str, Any] = {
    "lookback": 96, "split": [0.7, 0.1, 0.2], "scaling": ["standard"], "season": 1, "stride": 1, "batch_size": 64,
}  # fmt: skip
"""Time series, known by their key ``horizon``."""
PAIRS: dict[str, Any] = {
    "batch_size": 64, "max_batch_tokens": None, "max_length": None, "round_to": 1, "val_fraction": 0.1,
}  # fmt: skip
"""Sentences and their translations, known by their key ``shared``."""
LABELLED: dict[str, Any] = {
    "batch_size": 32, "max_batch_tokens": None, "max_length": 400, "eval_max_length": None, "truncate": "tail",
    "round_to": 8, "val_fraction": 0.1,
}  # fmt: skip
"""Labelled texts: anything else with a tokenizer."""
ARRAYS: dict[str, Any] = {"batch_size": 32}
"""Whatever has no tokenizer."""


def completed(data: Mapping[str, Any]) -> dict[str, Any]:
    """The ``data`` node with the defaults of its form for the keys that it leaves out."""
    if "sampling" in data:
        form = CORPUS
    elif "horizon" in data:
        form = SERIES
    elif "shared" in data:
        form = PAIRS
    else:
        form = LABELLED if "tokenizer" in data else ARRAYS
    return {**data, **{key: value for key, value in form.items() if key not in data}}
