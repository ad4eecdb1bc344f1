"""Labelled texts as a source reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seqlab.data.targets import Kind
from seqlab.types import InputError

Examples = tuple[list[str], list[Any]]
"""Texts and their targets, row by row: class ids, numbers, or tuples of the ids of labels."""


@dataclass(frozen=True)
class RawText:
    """What a source reads: texts with their targets, part by part.

    Attributes:
        labels: class id -> the name people gave it; of numbers the name of what they measure.
        train: the part to learn from.
        test: the part that is touched once, at the end.
        val: the source's own validation part, where it has one; otherwise one is held out of ``train``.
    """

    labels: tuple[str, ...]
    train: Examples
    test: Examples
    val: Examples | None = None
    kind: Kind = "classification"


def check_raw(name: str, raw: RawText) -> None:
    """Refuse texts that nothing can be learned from.

    Raises:
        InputError: an empty part, or a single label.
    """
    for part, examples in (("training", raw.train), ("validation", raw.val), ("test", raw.test)):
        if examples is None:
            continue
        texts, targets = examples
        assert len(texts) == len(targets), f"{len(texts)} texts, {len(targets)} targets in {part}"
        if not texts:
            raise InputError(f"{name} has no {part} examples.")
    if raw.kind == "multilabel" and len(raw.labels) < 2:
        found = f"only the label '{raw.labels[0]}'" if raw.labels else "no label in any row"
        raise InputError(f"{name} has {found}: several are needed, so check data.label_separator.")
    present = set(raw.train[1])
    if raw.kind == "classification" and len(present) < 2:
        only = raw.labels[present.pop()]
        raise InputError(
            f"every training example of {name} has the label '{only}': a classifier needs two labels or more, so check "
            "which column is the label."
        )
