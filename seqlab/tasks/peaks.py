"""Peaks at steps of a sequence: to find them in a curve, and to hold those found against the true ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class Matched(NamedTuple):
    """The peaks of one row, as steps in ascending order, int64.

    Attributes:
        found: ``(n,)``: those that were reported.
        true: ``(m,)``: those that there are.
        hits: ``(n,)`` int64: to each found one, the place in ``true`` of the peak that it is, or -1 for a false alarm.
    """

    found: np.ndarray
    true: np.ndarray
    hits: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """Steps of those found that are peaks."""
        return self.found[self.hits >= 0]

    @property
    def alarms(self) -> np.ndarray:
        """Steps of those found that are none: false alarms."""
        return self.found[self.hits < 0]

    @property
    def misses(self) -> np.ndarray:
        """Steps of the true peaks that were not found."""
        return np.delete(self.true, self.hits[self.hits >= 0])


def local_maxima(curve: np.ndarray, threshold: float, distance: int) -> np.ndarray:
    """Steps ``(n,)`` where ``curve`` ``(T,)`` is above ``threshold`` and higher than on both sides, ``distance`` apart.

    A stretch of equal values is one maximum, at its middle. Of two maxima that are less than ``distance`` steps apart
    the higher stays; of equal ones the first.
    """
    edges = np.flatnonzero(curve[1:] != curve[:-1])
    first, last = np.concatenate(([0], edges + 1)), np.concatenate((edges, [len(curve) - 1]))
    level = curve[first]
    fence = np.concatenate(([-np.inf], level, [-np.inf]))
    steps = ((first + last) // 2)[(level > threshold) & (level > fence[:-2]) & (level > fence[2:])]
    free = np.ones(len(curve), bool)
    kept = []
    for step in steps[np.argsort(-curve[steps], kind="stable")].tolist():
        if free[step]:
            kept.append(step)
            free[max(step - distance + 1, 0) : step + distance] = False
    return np.sort(np.array(kept, np.int64))


def match(found: np.ndarray, true: np.ndarray, tolerance: int) -> Matched:
    """Give each true peak at most one found one, and the other way round, no further than ``tolerance`` steps apart.

    Both are ascending. There are as many pairs as there can be: going from left to right, who comes first of two that
    may be a pair loses nothing by being one. A second report of one peak is a false alarm.
    """
    hits = np.full(len(found), -1, np.int64)
    i = j = 0
    while i < len(found) and j < len(true):
        apart = int(found[i]) - int(true[j])
        if abs(apart) <= tolerance:
            hits[i] = j
            i, j = i + 1, j + 1
        elif apart < 0:
            i += 1
        else:
            j += 1
    return Matched(found, true, hits)


def scores(rows: Iterable[Matched]) -> dict[str, float]:
    """Precision, recall, their harmonic mean ``f1``, and ``offset``, by counts over all rows together.

    ``f1 = 2 hits / (found + true)``. What has nothing to divide by is 0. ``offset`` is the mean distance, in steps,
    between the hits and the peaks they are.
    """
    hits = found = true = offset = 0
    for row in rows:
        hit = row.hits >= 0
        hits, found, true = hits + int(hit.sum()), found + len(row.found), true + len(row.true)
        offset += int(np.abs(row.found[hit] - row.true[row.hits[hit]]).sum())
    return {
        "precision": hits / max(found, 1),
        "recall": hits / max(true, 1),
        "f1": 2 * hits / max(found + true, 1),
        "offset": offset / max(hits, 1),
    }
