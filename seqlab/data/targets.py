"""What labels of texts stand for: one class a text, a number, or a set of labels; as rows of a file write them, and as
arrays to learn from."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from seqlab.data.dialect import mark
from seqlab.data.marks import split_mark
from seqlab.errors import InputError, shorten

Kind = Literal["classification", "regression", "multilabel"]
"""The task that labels are read for."""
KINDS: tuple[Kind, ...] = ("classification", "regression", "multilabel")

_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


def checked_separator(kind: Kind, separator: str | None) -> str | None:
    """The separator that ``data.label_separator`` names: a mark, or a word for one, as of ``data.delimiter``.

    Raises:
        InputError: it is neither; it is set without the task that reads several labels, or that task is without one.
    """
    separator = None if separator is None else mark(separator)
    if separator is not None and (not separator or separator.isalnum()):
        raise InputError(
            "data.label_separator must be a mark such as ; or |, or comma, semicolon, tab, pipe or space, not "
            f"'{shorten(separator)}'."
        )
    if separator is not None and kind != "multilabel":
        raise InputError(
            f"data.label_separator={shorten(separator)!r} separates several labels of one text, and task={kind} reads "
            "one: set task=multilabel, or remove data.label_separator."
        )
    if separator is None and kind == "multilabel":
        raise InputError(
            "task=multilabel reads several labels of one text: set data.label_separator to what separates them, such "
            "as data.label_separator=semicolon."
        )
    return separator


def parsed(kind: Kind, label: str, separator: str | None) -> str | float | tuple[str, ...]:
    """A label as it is written in a file: a class, a number, or the labels of a set, sorted; the set may be empty.

    Raises:
        ValueError: it is no number; the message says what to do.
    """
    if kind == "regression":
        return _number(label)
    if kind == "multilabel":
        return tuple(sorted({each.strip() for each in label.split(separator)} - {""}))
    return label


def mark_of(kind: Kind, label: str, usual: str | None) -> str | None:
    """The currency mark or percent sign of a number, ``""`` where it has none; None for other kinds.

    Args:
        kind: what labels are read for.
        label: as it is written in a file.
        usual: the mark of the labels before it; None where it is the first.

    Raises:
        ValueError: it has another mark than ``usual``; the message says what to do.
    """
    if kind != "regression":
        return None
    own = split_mark(label)[1]
    if usual is not None and own != usual:
        has, before = (f"the mark {each}" if each else "no mark" for each in (own, usual))
        raise ValueError(f"has {has} and the numbers before it have {before}: write all of them alike")
    return own


def names(kind: Kind, labels: Sequence[str], separator: str | None, column: object) -> tuple[str, ...]:
    """What the outputs of a model are called: the classes or labels in order; of numbers the name of their column."""
    if kind == "regression":
        return (str(column),)
    if kind == "multilabel":
        return _ordered({each for label in labels for each in parsed(kind, label, separator)})  # type: ignore[union-attr]
    return _ordered(set(labels))


def encoded(kind: Kind, labels: Sequence[str], known: Sequence[str], separator: str | None, where: object) -> list[Any]:
    """Targets of some rows: class ids, numbers, or tuples of the ids of labels.

    Raises:
        InputError: a label that is not ``known``.
    """
    found: list[Any] = [parsed(kind, label, separator) for label in labels]
    if kind == "regression":
        return found
    ids = {label: number for number, label in enumerate(known)}
    seen = set(found) if kind == "classification" else {each for row in found for each in row}
    if unknown := sorted(seen - set(ids)):
        raise InputError(f"{shorten(where)} has the label '{shorten(unknown[0])}', which no training text has.")
    if kind == "classification":
        return [ids[label] for label in found]
    return [tuple(ids[label] for label in row) for row in found]


def stored(kind: Kind, targets: Sequence[Any], num_outputs: int) -> np.ndarray:
    """Targets as a cache keeps them: class ids ``(N,)`` int64, numbers ``(N,)`` float64, or 0 and 1 ``(N, K)`` int8."""
    if kind == "classification":
        return np.asarray(targets, dtype=np.int64)
    if kind == "regression":
        return np.asarray(targets, dtype=np.float64)
    found = np.zeros((len(targets), num_outputs), dtype=np.int8)
    for row, ids in enumerate(targets):
        found[row, list(ids)] = 1
    return found


def strata(kind: Kind, targets: Sequence[Any]) -> Sequence[Any]:
    """By what a part is held out in equal shares: by class; numbers and sets have none."""
    return targets if kind == "classification" else [0] * len(targets)


def scale_of(targets: np.ndarray, name: str) -> tuple[float, float]:
    """Mean and standard deviation of numbers to learn from.

    Raises:
        InputError: they are all the same.
    """
    mean, deviation = float(targets.mean()), float(targets.std())
    if not deviation > 1e-12 * abs(mean):
        raise InputError(
            f"every training example of {name} has the number {mean:g}: there is nothing to learn, so check which "
            "column is the label."
        )
    return mean, deviation


def learned(kind: Kind, targets: np.ndarray, num_outputs: int, scale: tuple[float, float]) -> np.ndarray:
    """Stored targets as a loader hands them out: class ids, or ``(N, K)`` float32, of numbers standardised."""
    if kind == "classification":
        return targets
    if kind == "regression":
        return ((targets.reshape(-1, 1) - scale[0]) / scale[1]).astype(np.float32)
    return targets.reshape(-1, num_outputs).astype(np.float32)


def _number(written: str) -> float:
    text, _ = split_mark(written)
    if _THOUSANDS.fullmatch(text):
        plain = text.replace(",", "")
        raise ValueError(f"may be {plain} or {text.replace(',', '.')}: write numbers without separators of thousands")
    if not _NUMBER.fullmatch(text) or len(text) > 400:
        raise ValueError("is no number: write it in digits, such as 12.5, or remove task=regression to learn classes")
    found = float(text.replace(",", "."))
    if not math.isfinite(found) or abs(found) > 1e30:
        raise ValueError("is too large a number")
    return found


def _ordered(labels: set[str]) -> tuple[str, ...]:
    """Sorted, as numbers where all are whole numbers."""
    distinct = sorted(labels)
    if all(label.removeprefix("-").isdecimal() and len(label) < 1000 for label in distinct):
        distinct.sort(key=int)
    return tuple(distinct)
