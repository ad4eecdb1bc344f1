"""Rows as a file has them, made regular: series by series, in order, each time once, no gap, nothing missing.

Whatever is not so is refused with its place, unless it was said what to do. What fills a row looks back alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from seqlab.data.calendar import continue_times, steps_of
from seqlab.data.moments import Zone, date_of
from seqlab.types import InputError

_NAMED = 3  # missing values that a message names
_SPARSEST = 0.05  # a clock of which fewer rows are there is more likely a mistake


@dataclass(frozen=True)
class Rows:
    """Rows of a file.

    Attributes:
        path: of the file, for messages.
        place: leads from a row of the file, counted from 0, to what a person finds it by.
        names: of the ``C`` columns.
        ids: ``S`` names of the series.
        times: ``(N,)`` datetime64, in a unit as ``moments.narrowed`` chooses it.
        numbers: ``(N, C)`` float32, NaN where a value is missing.
        series: ``(N,)`` int64: to which of ``ids`` a row belongs.
        rows: ``(N,)`` int64: which row of the file it is; -1 where there is none.
        zone: how far the clock of the file is ahead of UTC, in which ``times`` are then; None: times have no zone.
    """

    path: str
    place: Callable[[int], str]
    names: tuple[str, ...]
    ids: tuple[str, ...]
    times: np.ndarray
    numbers: np.ndarray
    series: np.ndarray
    rows: np.ndarray
    zone: Zone | None = None

    def __len__(self) -> int:
        return len(self.times)

    @property
    def starts(self) -> np.ndarray:
        """``(S,)`` int64, the row where each series begins, once they are grouped."""
        return np.searchsorted(self.series, np.arange(len(self.ids)))

    def when(self, row: int) -> str:
        """``2020-01-06``, for messages."""
        return brief(self.times[row]) + (" UTC" if self.zone else "")

    def where(self, row: int) -> str:
        """``data.csv, line 7 (2020-01-06, series 'north')``."""
        known = self.rows[row] >= 0
        of = f", series '{self.ids[self.series[row]]}'" if len(self.ids) > 1 else ""
        return f"{self.path}, {self.place(int(self.rows[row])) if known else 'gap'} ({self.when(row)}{of})"

    def take(self, chosen: np.ndarray) -> Rows:
        """The rows ``chosen``, by number or by mask."""
        return replace(
            self,
            times=self.times[chosen],
            numbers=self.numbers[chosen],
            series=self.series[chosen],
            rows=self.rows[chosen],
        )


def brief(time: np.datetime64) -> str:
    """A time without the hours where it is midnight, and without the fraction of a second where it is 0."""
    text = re.sub(r"\.0+$", "", str(time).replace("T", " "))
    return text.removesuffix(" 00:00:00")


def grouped(rows: Rows) -> Rows:
    """Series by series, each in the order of the file."""
    if (np.diff(rows.series) >= 0).all():
        return rows
    return rows.take(np.argsort(rows.series, kind="stable"))


def ordered(rows: Rows, unsorted: Literal["refuse", "sort"]) -> Rows:
    """Ascending times within each series; rows of one time stay in the order of the file.

    Raises:
        InputError: they are not, and are not to be sorted.
    """
    wrong = (np.diff(rows.times) < np.timedelta64(0, "s")) & (np.diff(rows.series) == 0)
    if not wrong.any():
        return rows
    if unsorted == "refuse":
        row = int(np.argmax(wrong)) + 1
        raise InputError(
            f"{rows.where(row)} comes after {rows.when(row - 1)}, so its time is out of order: sort the rows, "
            "or set data.unsorted=sort."
        )
    return rows.take(np.lexsort((rows.times, rows.series)))


def single(rows: Rows, duplicates: Literal["refuse", "first", "last", "mean"]) -> Rows:
    """Each time once in each series: its first row, its last, or the mean of what the rows have.

    Raises:
        InputError: a time stands there twice, and it is not said what to do.
    """
    again = (np.diff(rows.times) == np.timedelta64(0, "s")) & (np.diff(rows.series) == 0)
    if not again.any():
        return rows
    if duplicates == "refuse":
        row = int(np.argmax(again)) + 1
        raise InputError(
            f"{rows.where(row)} has the time of {rows.place(int(rows.rows[row - 1]))} ({again.sum():,} such rows in "
            "all): delete one, set data.duplicates to first, last or mean, or name the data.id_column of several "
            "series."
        )
    if duplicates == "last":
        return rows.take(np.append(~again, True))
    first = np.flatnonzero(np.append(True, ~again))
    kept = rows.take(first)
    if duplicates == "mean":
        for column in range(rows.numbers.shape[1]):  # one at a time: float64 of all would be twice the data
            values = rows.numbers[:, column]
            there = ~np.isnan(values)
            totals = np.add.reduceat(np.where(there, values, 0).astype(np.float64), first)
            counts = np.add.reduceat(there.astype(np.int64), first)
            kept.numbers[:, column] = np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)
    return kept


def regular(rows: Rows, freq: str, gaps: Literal["refuse", "fill"]) -> Rows:
    """Every time of the clock, from the first to the last of each series; a row that was not there is all missing.

    Raises:
        InputError: a time beside the clock; a gap that is not to be filled, or gaps that leave next to nothing.
    """
    starts = rows.starts
    steps = steps_of(rows.times, starts, freq)
    if (steps < 0).any():
        row = int(np.argmax(steps < 0))
        first = int(starts[rows.series[row]])
        of = f" that begins with {rows.when(first)}" if first != row else ""
        raise InputError(
            f"{rows.where(row)} does not lie on a clock of freq={freq}{of}: mend the time, or set data.freq to the "
            "step between the rows (15min, h, D, B, W-MON, MS)."
        )
    skipped = np.diff(steps) - 1
    skipped[starts[1:] - 1] = 0
    if not skipped.any():
        return rows
    if gaps == "refuse":
        row = int(np.argmax(skipped > 0)) + 1
        raise InputError(
            f"{rows.where(row)} comes {skipped[row - 1] + 1:,} steps of {freq} after {rows.when(row - 1)} "
            f"({(skipped > 0).sum():,} such gaps, {skipped.sum():,} rows missing in all): set data.gaps=fill and "
            "data.missing=forward (or zero), or set data.freq."
        )
    total = len(rows) + int(skipped.sum())
    if len(rows) < _SPARSEST * total:
        raise InputError(
            f"{rows.path} would become {total:,} rows of freq={freq}, of which {len(rows):,} are there: set data.freq "
            "to the step between most rows."
        )
    counts = np.append(steps[starts[1:] - 1], steps[-1]) + 1
    begins = np.cumsum(counts) - counts
    place = begins[rows.series] + steps
    numbers = np.full((total, rows.numbers.shape[1]), np.nan, np.float32)
    numbers[place] = rows.numbers
    origin = np.full(total, -1)
    origin[place] = rows.rows
    clocks = [
        np.append(rows.times[start], continue_times(rows.times[start], freq, int(count) - 1))
        for start, count in zip(starts, counts, strict=True)
    ]
    times = np.concatenate(clocks)
    times[place] = rows.times  # of months by any day, which the clock does not know
    series = np.repeat(np.arange(len(rows.ids)), counts)
    return replace(rows, times=times, numbers=numbers, series=series, rows=origin)


def begun(rows: Rows, begin: str | int | None) -> Rows:
    """Rows from a date on, or from a row of each series on; 1 is the first.

    Raises:
        InputError: it is no date, or a series has no rows from there on.
    """
    if begin is None:
        return rows
    if isinstance(begin, int):
        kept = np.arange(len(rows)) - rows.starts[rows.series] >= begin - 1
    else:
        kept = rows.times >= date_of(begin, rows.zone, "data.begin", rows.times)
    if (gone := ~np.isin(np.arange(len(rows.ids)), rows.series[kept])).any():
        last = rows.when(int(np.flatnonzero(rows.series == gone.argmax())[-1]))
        of = f" of series '{rows.ids[int(gone.argmax())]}'" if len(rows.ids) > 1 else ""
        raise InputError(f"data.begin={begin} leaves no rows{of}, which end at {last}: choose an earlier one.")
    return rows.take(kept)


def filled(rows: Rows, missing: Literal["refuse", "forward", "zero"]) -> Rows:
    """Nothing missing: the last value of the series before it instead (never a later one), or zero.

    Fills ``rows.numbers`` in place.

    Raises:
        InputError: something is missing and is not to be filled, or there is nothing before it.
    """
    holes = np.isnan(rows.numbers)
    if not holes.any():
        return rows
    if missing == "refuse":
        places = [f"'{rows.names[column]}' at {rows.where(row)}" for row, column in np.argwhere(holes)[:_NAMED]]
        raise InputError(
            f"{holes.sum():,} values are missing ({'; '.join(places)}{'; ...' if holes.sum() > _NAMED else ''}): fill "
            "them in, or set data.missing to forward (the last value known) or zero."
        )
    if missing == "zero":
        rows.numbers[holes] = 0
        return rows
    leading = holes[rows.starts]
    if leading.any():
        series, first = (int(index[0]) for index in np.nonzero(leading))
        raise InputError(
            f"'{rows.names[first]}' is missing at {rows.where(int(rows.starts[series]))}, where its series begins, so "
            "there is no earlier value to fill it with: set data.begin to a later "
            "row or date, or data.missing=zero."
        )
    for column in np.flatnonzero(holes.any(0)):
        # The first row of every series is there, so no value is carried from one series into the next.
        last = np.maximum.accumulate(np.where(holes[:, column], 0, np.arange(len(rows))))
        rows.numbers[:, column] = rows.numbers[last, column]
    return rows
