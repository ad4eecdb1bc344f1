"""Parts that share no text: what is held out, and how many texts stand in two parts all the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

_ENOUGH = 0.8
"""Share of a part that must be left when texts that cross are moved out of it; below, whole groups are drawn."""
_NAMES = {"train": "training", "val": "validation", "test": "test"}


def stratified(targets: Sequence[int] | np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Hold ``fraction`` of the rows out, every class in its share; a pure function of its arguments.

    The counts are rounded by largest remainder, at least one row is held out, and every class keeps at least one.

    Returns:
        ``(kept, held)``: ascending row numbers; ``held`` is empty when no class has two rows.
    """
    targets = np.asarray(targets)
    classes, counts = np.unique(targets, return_counts=True)
    exact = counts * fraction
    take = np.floor(exact).astype(np.int64)
    missing = max(1, round(float(exact.sum()))) - int(take.sum())
    take[np.lexsort((-counts, take - exact))[: max(missing, 0)]] += 1
    take = np.minimum(take, counts - 1)
    generator = np.random.default_rng(seed)
    mask = np.zeros(len(targets), dtype=bool)
    for class_id, count in zip(classes, take, strict=True):
        mask[generator.permutation(np.flatnonzero(targets == class_id))[:count]] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def grouped(
    texts: Sequence[str], targets: Sequence[int] | np.ndarray, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The same, and all rows of a text on one side.

    Where all texts differ, this is ``stratified``. Where few of those held out stand on both sides, they are kept;
    otherwise different texts are drawn, each with all of its rows and by the label of the first.

    Returns:
        ``(kept, held)``: ascending row numbers; ``held`` is empty when no class has two texts.
    """
    kept, held = stratified(targets, fraction, seed)
    ids: dict[str, int] = {}
    groups = np.array([ids.setdefault(text, len(ids)) for text in texts], dtype=np.int64)
    crossing = np.isin(groups[held], groups[kept])
    if not crossing.any():
        return kept, held
    if (~crossing).sum() >= _ENOUGH * len(held):
        is_held = np.zeros(len(groups), dtype=bool)
        is_held[held[~crossing]] = True
    else:
        _, first = np.unique(groups, return_index=True)
        _, drawn = stratified(np.asarray(targets)[first], fraction, seed)
        is_held = np.isin(groups, drawn)
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)


def by_hash(texts: Sequence[str], labels: Sequence[str], fraction: float) -> list[bool]:
    """Which rows to hold out: of each label, the texts whose hashes come first, with all of their rows.

    It depends on texts and labels alone, not on the order of the rows. Every label keeps a text: a label of one text
    is learned from, not tested.
    """
    hashes = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
    of_label: dict[str, list[bytes]] = {}
    for text_hash, label in zip(hashes, labels, strict=True):
        of_label.setdefault(label, []).append(text_hash)
    chosen: set[bytes] = set()
    for found in of_label.values():
        found.sort()
        last = found[max(1, round(len(found) * fraction)) - 1]
        chosen.update(text_hash for text_hash in found if text_hash <= last and text_hash != found[-1])
    # A text of two labels may be chosen by one of them and be the last of the other.
    for found in of_label.values():
        if chosen.issuperset(found):
            chosen.discard(found[-1])
    return [text_hash in chosen for text_hash in hashes]


def crossings(parts: Mapping[str, tuple[Sequence[str], Sequence[Any]]]) -> dict[str, int]:
    """What is twice there: how many different texts two parts have in common, and how many have two labels.

    Args:
        parts: texts and labels (or translations, which are not looked at) by ``train``, ``val`` and ``test``.

    Returns:
        Counts by ``train/test`` and the like, and ``labels``; only those above 0.
    """
    different = {part: set(texts) for part, (texts, _) in parts.items()}
    found = {f"{one}/{other}": len(different[one] & different[other]) for one, other in combinations(different, 2)}
    of_text: dict[str, Any] = {}
    double: set[str] = set()
    for texts, labels in parts.values():
        for text, label in zip(texts, labels, strict=True):
            if of_text.setdefault(text, label) != label:
                double.add(text)
    found["labels"] = len(double)
    return {what: count for what, count in found.items() if count}


def crossings_said(found: Mapping[str, int], what: str = "texts") -> str:
    """What ``crossings`` found, in words; empty where that is nothing."""
    said = []
    for pair, count in found.items():
        some = f"{count:,} different {what}" if count > 1 else f"1 {what.removesuffix('s')}"
        if pair == "labels":
            said.append(f"{some} {'have' if count > 1 else 'has'} more than one label")
            continue
        one, other = (_NAMES.get(part, part) for part in pair.split("/"))
        said.append(f"{some} of the {other} part {'are' if count > 1 else 'is'} in the {one} part too")
    return "; ".join(said)
