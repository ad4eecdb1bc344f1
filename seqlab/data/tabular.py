"""Anyone's time series: a CSV, TSV or Parquet file with a column for each number, and a row for each time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from seqlab.data.calendar import are_counts, check_features, features, have_offsets, infer_freq, offset_of, read_times
from seqlab.data.columns import ColumnFile, Facts
from seqlab.data.forecast_parts import of_series
from seqlab.data.regular import Rows, filled, grouped, ordered, regular, single
from seqlab.data.series import Series
from seqlab.types import InputError

_COARSE = 1e-5  # of the largest magnitude: a smaller deviation leaves fewer than two of the seven digits kept


class SeriesFile:
    """One or several series on a regular clock, from ``.csv``, ``.tsv`` (both also with ``.gz``) or ``.parquet``.

    The file is read in pieces, and its numbers are held once, as float32 (seven digits): a million rows of 50 columns
    are 200 MB. Series may be mixed in any order, each by ascending times; they come out by their ids (as numbers where
    all are whole numbers). What is not as it should be is refused, with its place, unless an option says what to do.

    Args:
        path: the file.
        time_column: dates or times in ISO's order (``2016-07-01 03:00:00``, ``1949-01``, ``1749``), with an offset to
            be counted in UTC; other whole numbers are seconds since 1970, or positions. None (or ``""``, where a column
            does look like times) counts the rows of each series: a clock of seconds from 1970 on, on which the time of
            a row is its number.
        targets: columns to forecast; None takes all numeric ones that are named nowhere else (a column without a name,
            as pandas writes its index, is none of them).
        past: columns to read, but not to forecast.
        covariates: columns that are known beforehand.
        id_column: says which series a row belongs to; None is a single series.
        calendar: features of the calendar, known beforehand, after the covariates (see ``calendar.features``).
        missing: what to do with an empty cell: ``forward`` repeats the last value of its series and column (there must
            be one: the first row cannot be filled), ``zero`` is 0. Neither looks ahead.
        duplicates: what to do with rows of one time: keep the ``first``, the ``last``, or their ``mean``.
        unsorted: what to do with times out of order.
        gaps: what to do with times that are not there: ``fill`` makes rows of what is missing, and ``missing``
            fills them.
        freq: step of the clock as pandas writes it (``15min``, ``h``, ``D``, ``B``, ``W-MON``, ``MS``); None finds it.
        root: folder in which ``path`` lies, where that is relative.

    Raises:
        InputError: a column in two roles; no such ``freq`` or feature; one of two options without the other.
    """

    name = "series"

    def __init__(
        self,
        path: str | Path,
        *,
        time_column: str | None = None,
        targets: Sequence[str] | None = None,
        past: Sequence[str] = (),
        covariates: Sequence[str] = (),
        id_column: str | None = None,
        calendar: Sequence[str] = (),
        missing: Literal["refuse", "forward", "zero"] = "refuse",
        duplicates: Literal["refuse", "first", "last", "mean"] = "refuse",
        unsorted: Literal["refuse", "sort"] = "refuse",
        gaps: Literal["refuse", "fill"] = "refuse",
        freq: str | None = None,
        root: str | Path | None = None,
    ) -> None:
        self.path = Path(path) if root is None else Path(root) / path
        self.time_column, self.id_column = time_column or None, id_column
        self.counted = time_column == ""
        self.targets = None if targets is None else tuple(targets)
        self.past, self.covariates = tuple(past), tuple(covariates)
        self.calendar = check_features(calendar)
        self.missing, self.duplicates, self.unsorted, self.gaps = missing, duplicates, unsorted, gaps
        self.freq = freq
        if freq is not None:
            offset_of(freq)
        if self.time_column is None and (freq is not None or calendar):
            raise InputError(f"{'freq' if freq else 'calendar'} needs a clock: set time_column to the column of times.")
        if gaps == "fill" and missing == "refuse":
            raise InputError("gaps=fill makes rows that are missing: set missing to forward or zero to fill them.")
        if self.targets == ():
            raise InputError("targets is empty: name the columns to forecast, or null for all that are numeric.")
        roles = [self.time_column, id_column, *(self.targets or ()), *self.past, *self.covariates]
        for position, name in enumerate(roles):
            if name is not None and name in roles[:position]:
                raise InputError(f"column '{name}' is named twice: each is time, id, target, past or covariate.")
        for name in self.covariates:
            if name in self.calendar:
                raise InputError(f"'{name}' is a covariate and a feature of the calendar: leave one of them out.")

    def digest(self) -> str:
        """Of the file's bytes and of all options: a second for a gigabyte or two."""
        options = {key: value for key, value in vars(self).items() if key != "path"}
        found = hashlib.sha256(json.dumps([options, self.path.suffixes[-2:]], sort_keys=True).encode())
        try:
            with open(self.path, "rb") as file:
                while chunk := file.read(1 << 20):
                    found.update(chunk)
        except OSError as error:
            raise InputError(f"cannot read {self.path.absolute()} ({error.strerror or error}).") from error
        return found.hexdigest()

    def read(self) -> Series:
        """All of it.

        Raises:
            InputError: no such file or column; not a table; a time or a number that is none; a target that is always
                the same, or of which float32 keeps too little; and, where it is not said what to do: times out of
                order or twice, gaps, missing values.
        """
        file = ColumnFile(self.path)
        head = file.head()
        targets = self._targets(file, head)
        rows, facts = self._rows(file, head, (*targets, *self.past, *self.covariates))
        rows = grouped(rows)
        self._check_targets(rows, facts, len(targets))
        if self.time_column is None:
            count = np.arange(len(rows)) - rows.starts[rows.series]
            rows, freq = replace(rows, times=count.astype("datetime64[s]")), "s"
        else:
            rows = single(ordered(rows, self.unsorted), self.duplicates)
            freq = self._freq(rows)
            rows = regular(rows, freq, self.gaps)
        measured = ~np.isnan(rows.numbers[:, : len(targets)])
        rows = filled(rows, self.missing)
        asked = len(targets) + len(self.past)
        return Series(
            times=rows.times,
            values=np.ascontiguousarray(rows.numbers[:, :asked]),
            known=np.concatenate([rows.numbers[:, asked:], features(rows.times, self.calendar)], 1),
            targets=targets,
            past=self.past,
            ahead=self.covariates + self.calendar,
            starts=rows.starts,
            ids=rows.ids,
            freq=freq,
            measured=None if measured.all() else measured,
        )

    def _targets(self, file: ColumnFile, head: pd.DataFrame) -> tuple[str, ...]:
        names = list(head.columns)
        used = [self.time_column, self.id_column, *(self.targets or ()), *self.past, *self.covariates]
        for name in used:
            if name is not None:
                file.column(name, names)
        words = [name for name in names if name not in used and not _has_numbers(head[name])]
        if self.time_column is None and not self.counted:
            for name in words:
                if head[name].notna().all() and not np.isnat(read_times(head[name])).any():
                    raise InputError(
                        f"{self.path} has times in column '{name}': set time_column={name}, or time_column='' to count "
                        "the rows instead."
                    )
        if self.targets is not None:
            return self.targets
        targets = tuple(name for name in names if name.strip() and name not in used and name not in words)
        if not targets:
            raise InputError(f"{self.path} has no column of numbers left to forecast: name some in targets.")
        return targets

    def _rows(self, file: ColumnFile, head: pd.DataFrame, numbers: tuple[str, ...]) -> tuple[Rows, Facts]:
        """All rows of the file, without blank lines, and what is true of its columns."""
        counts = self.time_column is not None and are_counts(head[self.time_column])
        words = [name for name in (self.time_column, self.id_column) if name is not None]
        times, values, series, rows = [], [], [], []
        ids: dict[str, int] = {}
        facts = Facts(len(numbers))
        done = 0
        for frame, found in file.pieces(words, numbers):
            there = np.arange(len(frame))
            if words:
                blank = frame.isna().all(axis=1).to_numpy() & np.isnan(found).all(1)
                if blank.any():
                    there = np.flatnonzero(~blank)
                    frame, found = frame.iloc[there], found[there]
            rows.append(done + there)
            done += len(blank) if words else len(frame)
            # A frame keeps columns; rows one after the other join without a copy.
            values.append(np.ascontiguousarray(found, dtype=np.float32))
            facts.add(found, values[-1])
            times.append(self._times(file, frame, counts, rows[-1]))
            series.append(self._series(file, frame, ids, rows[-1]))
        if not sum(map(len, rows)):
            raise InputError(f"{self.path} holds no rows: give a file with a header and rows under it.")
        names = sorted(ids)
        if all(name.isdecimal() for name in names):
            names.sort(key=lambda name: (int(name), name))
        rank = np.empty(len(names), np.int64)
        rank[[ids[name] for name in names]] = np.arange(len(names))
        held = np.concatenate(values)
        del values
        rows_of_file = Rows(
            path=str(self.path),
            place=file.place,
            names=numbers,
            ids=tuple(names),
            times=np.concatenate(times),
            numbers=held,
            series=rank[np.concatenate(series)],
            rows=np.concatenate(rows),
            zone=" UTC" if self.time_column is not None and have_offsets(head[self.time_column]) else "",
        )
        return rows_of_file, facts

    def _times(self, file: ColumnFile, frame: pd.DataFrame, counts: bool, rows: np.ndarray) -> np.ndarray:
        if self.time_column is None:
            return rows.astype("datetime64[s]")
        times = read_times(frame[self.time_column], counts)
        if np.isnat(times).any():
            row = int(np.argmax(np.isnat(times)))
            cell = frame[self.time_column].iloc[row]
            what = "is empty" if pd.isna(cell) else f"is {str(cell)[:40]!r}, which is no time that can be read"
            raise InputError(
                f"{self.path}, {file.place(int(rows[row]))}: '{self.time_column}' {what}: write 2016-07-01 03:00:00, "
                "2016-07-01 or 2016-07, to the second at most."
            )
        return times

    def _series(self, file: ColumnFile, frame: pd.DataFrame, ids: dict[str, int], rows: np.ndarray) -> np.ndarray:
        """Numbers of the series; ``ids`` learns of new ones."""
        if self.id_column is None:
            ids[""] = 0
            return np.zeros(len(frame), np.int64)
        codes, names = pd.factorize(frame[self.id_column])
        if (codes < 0).any():
            row = int(rows[np.argmax(codes < 0)])
            raise InputError(f"{self.path}, {file.place(row)}: '{self.id_column}' is empty: name the series.")
        numbers = np.array([ids.setdefault(str(name), len(ids)) for name in names], np.int64)
        return numbers[codes]

    def _check_targets(self, rows: Rows, facts: Facts, count: int) -> None:
        if len(rows) == 1:
            raise InputError(f"{self.path} has one row only, and a forecast is learned from many: give it more.")
        for column, name in enumerate(rows.names[:count]):
            low, high = facts.low[column], facts.high[column]
            if np.isnan(low):
                raise InputError(f"{self.path}: target '{name}' holds no number at all: leave it out of targets.")
            if low == high:
                raise InputError(
                    f"{self.path}: target '{name}' is {low:g} in every row, so there is nothing to forecast: leave it "
                    "out of targets (or move it to past)."
                )
            if facts.exact[column]:
                continue
            deviation, level = _spread(rows.numbers[:, column], rows.starts)
            # One of several series may well be always the same: that is told of where it is scaled.
            coarse = (deviation < _COARSE * level) & ((deviation > 0) | (len(level) == 1))
            if coarse.any():
                number = int(coarse.argmax())
                raise InputError(
                    f"{self.path}: target '{name}'{of_series(rows.ids[number])} varies too little for the seven digits "
                    f"that are kept of its level {level[number]:.3g}: subtract a constant from the column first."
                )

    def _freq(self, rows: Rows) -> str:
        freq = self.freq or infer_freq(rows.times, rows.starts)
        if freq is None:
            raise InputError(f"{self.path} has no two times of one series, which would show its step: set freq.")
        return freq


def _spread(column: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviation and greatest magnitude ``(S,)`` of each series in ``(N,)``, without what is missing."""
    values = column.astype(np.float64)
    there = ~np.isnan(values)
    counts = np.maximum(np.add.reduceat(there.astype(np.int64), starts), 1)
    means = np.add.reduceat(np.where(there, values, 0), starts) / counts
    level = np.maximum.reduceat(np.where(there, np.abs(values), 0), starts)
    values -= np.repeat(means, np.diff(np.append(starts, len(values))))
    return np.sqrt(np.add.reduceat(np.where(there, values, 0) ** 2, starts) / counts), level


def _has_numbers(cells: pd.Series) -> bool:
    """Whether any cell is a number, so that the others must be: or all are empty, and tell nothing yet."""
    if cells.dtype.kind == "M":
        return False
    return bool(cells.isna().all() or pd.to_numeric(cells, errors="coerce").notna().any())
