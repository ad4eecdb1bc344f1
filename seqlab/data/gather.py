"""All rows of a table of series, gathered piece by piece: times, numbers, and which series each row belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from seqlab.data.facts import Facts
from seqlab.data.moments import Zone, narrowed
from seqlab.data.regular import Rows
from seqlab.data.times import TimeColumn
from seqlab.errors import InputError, shorten


class Pieces(Protocol):
    """A table with a row for each series and time, as ``ColumnFile`` reads it."""

    @property
    def path(self) -> Path:
        """Of the file."""

    def place(self, row: int) -> str:
        """Where a user finds a row, counted from 0."""

    def pieces(self, words: Sequence[str], numbers: Sequence[str]) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
        """Some columns as text, and others as ``(rows, C)`` float64."""


def gather(
    table: Pieces, clock: TimeColumn | None, id_column: str | None, numbers: tuple[str, ...]
) -> tuple[Rows, Facts]:
    """All rows without blank lines, in their order, and what is true of the columns of numbers.

    Args:
        table: what is read.
        clock: the columns of times; None counts the rows of the file.
        id_column: says which series a row belongs to; None: all belong to one.
        numbers: the columns of numbers.

    Raises:
        InputError: no rows; a time or a number that is none; a series without a name.
    """
    words = [*(clock.columns if clock else ()), *([] if id_column is None else [id_column])]
    times, values, series, rows, offsets = [], [], [], [], []
    ids: dict[str, int] = {}
    facts = Facts(len(numbers))
    done = 0
    for frame, found in table.pieces(words, numbers):
        size = len(frame)
        there = np.arange(size)
        if words:
            blank = frame.isna().all(axis=1).to_numpy() & np.isnan(found).all(1)
            if blank.any():
                there = np.flatnonzero(~blank)
                frame, found = frame.iloc[there], found[there]
        rows.append(done + there)
        done += size
        # A frame keeps columns; rows one after the other join without a copy.
        values.append(np.ascontiguousarray(found, dtype=np.float32))
        facts.add(found, values[-1])
        moments, ahead = (None, None) if clock is None else _times(table, clock, frame, rows[-1])
        times.append(rows[-1].astype("datetime64[s]") if moments is None else moments)
        offsets += [] if ahead is None else [ahead]
        series.append(_series(table, id_column, frame, ids, rows[-1]))
    if not sum(map(len, rows)):
        raise InputError(f"{table.path} holds no rows: give a file with a header and rows under it.")
    names = sorted(ids)
    if all(name.isdecimal() for name in names):
        names.sort(key=lambda name: (int(name), name))
    rank = np.empty(len(names), np.int64)
    rank[[ids[name] for name in names]] = np.arange(len(names))
    joined = narrowed(np.concatenate(times))
    held = np.concatenate(values)
    del values
    rows_of_file = Rows(
        path=shorten(table.path),
        place=table.place,
        names=numbers,
        ids=tuple(names),
        times=joined,
        numbers=held,
        series=rank[np.concatenate(series)],
        rows=np.concatenate(rows),
        zone=Zone.learn(joined, np.concatenate(offsets)) if offsets else None,
    )
    return rows_of_file, facts


def _times(
    table: Pieces, clock: TimeColumn, frame: pd.DataFrame, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    times, offsets = clock.read(frame)
    if (wrong := np.isnat(times)).any():
        row = int(np.argmax(wrong))
        cell = clock.cells(frame).iloc[row]
        what = "is empty" if pd.isna(cell) else f"is {shorten(cell, 40)!r}, which is no time that can be read"
        raise InputError(
            f"{shorten(table.path)}, {table.place(int(rows[row]))}: '{clock.name}' {what}: write 2016-07-01 "
            "03:00:00, 2016-07-01 or 2016-07, to the microsecond at most, or set data.time_format."
        )
    return times, offsets


def _series(
    table: Pieces, id_column: str | None, frame: pd.DataFrame, ids: dict[str, int], rows: np.ndarray
) -> np.ndarray:
    """Numbers of the series; ``ids`` learns of new ones."""
    if id_column is None:
        ids[""] = 0
        return np.zeros(len(frame), np.int64)
    codes, names = pd.factorize(frame[id_column])
    if (codes < 0).any():
        row = int(rows[np.argmax(codes < 0)])
        raise InputError(f"{shorten(table.path)}, {table.place(row)}: '{id_column}' is empty: name the series.")
    numbers = np.array([ids.setdefault(str(name), len(ids)) for name in names], np.int64)
    return numbers[codes]
