"""Time series as they are read: numbers on a regular clock, several series one after the other, three parts each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from seqlab.data.moments import Zone

PartName = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Series:
    """One or several series with the same columns, each on a regular clock, one after the other.

    Attributes:
        times: ``(N,)`` datetime64, ascending and evenly spaced by ``freq`` within each series; in seconds, or in milli-
            or microseconds where a clock needs it.
        values: ``(N, K + O)`` float32: the ``K`` targets, then ``O`` columns that are known only of the past. Nothing
            is missing; what was has been filled.
        known: ``(N, G)`` float32: what is known beforehand of every row (plans, calendar features).
        targets: the ``K`` names.
        past: the ``O`` names.
        ahead: the ``G`` names.
        starts: ``(S,)`` int64, the row where each series begins; ascending, the first is 0.
        ids: ``S`` names of the series; one series is ``("",)``.
        freq: the clock's step as pandas writes it (``h``, ``MS``, ``15min``), so that time can be continued.
        measured: ``(N, K)`` bool: which target values were measured, rather than filled; None: all were.
        zone: how far the clock of the file was ahead of UTC, in which ``times`` are then; None: times have no zone.
    """

    times: np.ndarray
    values: np.ndarray
    known: np.ndarray
    targets: tuple[str, ...]
    past: tuple[str, ...]
    ahead: tuple[str, ...]
    starts: np.ndarray
    ids: tuple[str, ...]
    freq: str
    measured: np.ndarray | None = None
    zone: Zone | None = None

    def __len__(self) -> int:
        return len(self.times)

    def moment(self, time: np.datetime64) -> str:
        """``time`` as text, with its zone where the data have one."""
        return str(time) if self.zone is None else self.zone.text(np.array([time]))[0]

    def wall(self, rows: np.ndarray) -> np.ndarray:
        """What a clock on the wall showed at ``rows``, for pictures."""
        return self.times[rows] if self.zone is None else self.zone.local(self.times[rows])

    @property
    def stops(self) -> np.ndarray:
        """``(S,)`` int64: the row behind the last of each series."""
        return np.append(self.starts[1:], len(self))


@dataclass(frozen=True)
class Slice:
    """The rows of one part: of each series ``s`` those from ``starts[s]`` up to, but not, ``stops[s]``.

    Attributes:
        series: all of them.
        part: which part this is; what learns from data asks.
        starts: ``(S,)`` int64.
        stops: ``(S,)`` int64.
    """

    series: Series
    part: PartName
    starts: np.ndarray
    stops: np.ndarray
