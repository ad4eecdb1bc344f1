"""Anyone's time series: a CSV, TSV or Parquet file with a column for each number, and a row for each time."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from seqlab.data.calendar import check_features, features, infer_freq, offset_of
from seqlab.data.columns import ColumnFile
from seqlab.data.dialect import checked_decimal, checked_delimiter
from seqlab.data.facts import Facts
from seqlab.data.files import check_encoding
from seqlab.data.forecast import ForecastData
from seqlab.data.moments import Zone, narrowed
from seqlab.data.regular import Rows, begun, filled, grouped, ordered, regular, single
from seqlab.data.roles import check_targets, choose_targets, names_of, refuse_uncounted_times
from seqlab.data.series import Series
from seqlab.data.times import TimeColumn, check_format, learn
from seqlab.errors import shorten
from seqlab.types import InputError

log = logging.getLogger(__name__)


class SeriesFile:
    """One or several series on a regular clock, from ``.csv``, ``.tsv``, ``.txt`` (also with ``.gz``) or ``.parquet``.

    The file is read in pieces, and its numbers are held once, as float32 (seven digits): a million rows of 50 columns
    are 200 MB. Series may be mixed in any order, each by ascending times; they come out by their ids (as numbers where
    all are whole numbers). What is not as it should be is refused, with its place, unless an option says what to do.

    Args:
        path: the file.
        time_column: dates or times (see ``time_format``), with an offset to be counted in UTC; a list of columns that
            make a time together (date and hour; year, month, day, hour). None (or ``""``, where a column does look
            like times) counts the rows of each series: a clock of seconds from 1970 on, on which the time of a row is
            its number.
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
        begin: use rows from this date on, or from this row of each series on (1 is the first).
        time_format: how times are written: a pattern of strptime, ``iso``, or what whole numbers count since 1970
            (``seconds``, ``milliseconds``, ...); None finds it.
        day_first: whether 1/2/2020 is the first of February; None takes what the cells allow.
        header: whether the first line holds names; otherwise columns are called 1, 2, 3 and so on.
        delimiter: what separates cells, or ``tab``, ``semicolon``, ``comma``, ``pipe``; None finds it.
        decimal: ``.`` or ``,`` (``point``, ``comma``); None finds it.
        thousands: the mark between groups of digits, or ``comma``, ``point``, ``space``, ``apostrophe``.
        na: cells that stand for a missing number, besides the usual ones.
        encoding: of the text.

    Raises:
        InputError: a column in two roles; no such ``freq`` or feature; one of two options without the other.
    """

    dataset = ForecastData

    name = "series"

    def __init__(
        self,
        path: str | Path,
        *,
        time_column: str | int | Sequence[str | int] | None = None,
        targets: Sequence[str | int] | None = None,
        past: Sequence[str | int] = (),
        covariates: Sequence[str | int] = (),
        id_column: str | int | None = None,
        calendar: Sequence[str] = (),
        missing: Literal["refuse", "forward", "zero"] = "refuse",
        duplicates: Literal["refuse", "first", "last", "mean"] = "refuse",
        unsorted: Literal["refuse", "sort"] = "refuse",
        gaps: Literal["refuse", "fill"] = "refuse",
        freq: str | None = None,
        root: str | Path | None = None,
        begin: str | int | None = None,
        time_format: str | None = None,
        day_first: bool | None = None,
        header: bool = True,
        delimiter: str | None = None,
        decimal: str | None = None,
        thousands: str | None = None,
        na: Sequence[str | int | float] = (),
        encoding: str = "utf-8",
    ) -> None:
        self.path = Path(path) if root is None else Path(root) / path
        self.time_columns, self.counted = names_of(time_column), time_column == ""
        self.id_column = None if id_column is None else str(id_column)
        self.targets = None if targets is None else names_of(targets)
        self.past, self.covariates = names_of(past), names_of(covariates)
        self.calendar = check_features(calendar)
        self.missing, self.duplicates, self.unsorted, self.gaps = missing, duplicates, unsorted, gaps
        self.freq, self.begin, self.time_format, self.day_first = freq, begin, time_format, day_first
        self.file = ColumnFile(
            self.path, delimiter, decimal, thousands, header, tuple(str(cell) for cell in na), encoding
        )
        self._check()

    def _check(self) -> None:
        """Refuse options that cannot be, or contradict each other, before the file is read."""
        if self.freq is not None:
            offset_of(self.freq)
        check_format(self.time_format)
        check_encoding(self.file.encoding)
        if self.file.delimiter not in (None, "point", "space", "apostrophe"):
            checked_delimiter(str(self.file.delimiter))
        if self.file.decimal not in ("point", "comma"):
            checked_decimal(self.file.decimal)
        needs = {"freq": self.freq, "calendar": self.calendar, "time_format": self.time_format}
        if not self.time_columns and (wanting := [name for name, value in needs.items() if value]):
            raise InputError(f"data.{wanting[0]} needs a clock: set data.time_column to the column of times.")
        if isinstance(self.begin, int) and self.begin < 1:
            raise InputError(f"data.begin={self.begin} is no row: 1 is the first row of each series.")
        if self.gaps == "fill" and self.missing == "refuse":
            raise InputError(
                "data.gaps=fill makes rows that are missing: set data.missing=forward or zero to fill them."
            )
        if self.targets == ():
            raise InputError("data.targets is empty: name the columns to forecast, or null for all that are numeric.")
        roles = [*self.time_columns, *names_of(self.id_column), *(self.targets or ()), *self.past, *self.covariates]
        for position, name in enumerate(roles):
            if name in roles[:position]:
                raise InputError(
                    f"column '{shorten(name)}' is named twice: each is one of data.time_column, data.id_column, "
                    "data.targets, data.past or data.covariates."
                )
        for name in self.covariates:
            if name in self.calendar:
                raise InputError(f"'{name}' is a covariate and a feature of the calendar: remove one of them.")

    def digest(self) -> str:
        """Of the file's bytes and of all options: a second for a gigabyte or two."""
        columns = self.time_columns
        options: dict[str, Any] = {
            "time_column": columns[0] if len(columns) == 1 else list(columns) or None,
            **{name: getattr(self, name) for name in ("id_column", "counted", "targets", "past", "covariates")},
            **{name: getattr(self, name) for name in ("calendar", "missing", "duplicates", "unsorted", "gaps", "freq")},
        }
        later = {name: getattr(self, name) for name in ("begin", "time_format", "day_first")}
        written = [field.name for field in fields(self.file) if field.name not in ("path", "header")]
        later |= {name: getattr(self.file, name) for name in written}
        # What came later counts only where it is used, so that runs of earlier versions know their data.
        options |= {name: value for name, value in later.items() if value not in (None, (), "utf-8")}
        options |= {} if self.file.header else {"header": False}
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
        head = self.file.head()
        used = self._used(head)
        targets, left_out = self.targets or (), ""
        if not self.time_columns and not self.counted:
            refuse_uncounted_times(self.file, head, used)
        if self.targets is None:
            targets, left_out = choose_targets(self.file, head, used)
        clock = None
        if self.time_columns:
            clock = learn(head, self.time_columns, shorten(self.path), self.time_format, self.day_first)
        self._say(targets, left_out, clock)
        rows, facts = self._rows(clock, (*targets, *self.past, *self.covariates))
        rows = grouped(rows)
        check_targets(rows, facts, len(targets))
        if clock is None:
            count = np.arange(len(rows)) - rows.starts[rows.series]
            rows, freq = begun(replace(rows, times=count.astype("datetime64[s]")), self.begin), "s"
        else:
            rows = begun(single(ordered(rows, self.unsorted), self.duplicates), self.begin)
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
            zone=rows.zone,
        )

    def clock(self, head: pd.DataFrame, file: ColumnFile) -> TimeColumn:
        """How the times of another file with the same columns are written."""
        return learn(head, self.time_columns, shorten(file.path), self.time_format, self.day_first)

    def _say(self, targets: tuple[str, ...], left_out: str, clock: TimeColumn | None) -> None:
        """Log what was found out of the file, where it may be a surprise."""
        if self.targets is None:
            said = f"forecasts {', '.join(shorten(name, 40) for name in targets[:20])}" + ", ..." * (len(targets) > 20)
            log.info("%s: %s%s", shorten(self.path), said, f"; left out: {left_out}" if left_out else "")
        for note in (self.file.notes, "" if clock is None else clock.note):
            if note:
                log.info("%s: %s", shorten(self.path), note)

    def _used(self, head: pd.DataFrame) -> tuple[str, ...]:
        """The columns that options name, each of which the file has."""
        names, used = list(head.columns), []
        for key in ("time_column", "id_column", "targets", "past", "covariates"):
            given = self.time_columns if key == "time_column" else names_of(getattr(self, key))
            used += [self.file.column(name, names, f"data.{key}") for name in given]
        return tuple(used)

    def _rows(self, clock: TimeColumn | None, numbers: tuple[str, ...]) -> tuple[Rows, Facts]:
        """All rows of the file, without blank lines, and what is true of its columns."""
        file, words = self.file, [*self.time_columns, *names_of(self.id_column)]
        times, values, series, rows, offsets = [], [], [], [], []
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
            moments, ahead = (None, None) if clock is None else self._times(clock, frame, rows[-1])
            times.append(rows[-1].astype("datetime64[s]") if moments is None else moments)
            offsets += [] if ahead is None else [ahead]
            series.append(self._series(frame, ids, rows[-1]))
        if not sum(map(len, rows)):
            raise InputError(f"{self.path} holds no rows: give a file with a header and rows under it.")
        names = sorted(ids)
        if all(name.isdecimal() for name in names):
            names.sort(key=lambda name: (int(name), name))
        rank = np.empty(len(names), np.int64)
        rank[[ids[name] for name in names]] = np.arange(len(names))
        joined = narrowed(np.concatenate(times))
        held = np.concatenate(values)
        del values
        rows_of_file = Rows(
            path=shorten(self.path),
            place=file.place,
            names=numbers,
            ids=tuple(names),
            times=joined,
            numbers=held,
            series=rank[np.concatenate(series)],
            rows=np.concatenate(rows),
            zone=Zone.learn(joined, np.concatenate(offsets)) if offsets else None,
        )
        return rows_of_file, facts

    def _times(self, clock: TimeColumn, frame: pd.DataFrame, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        times, offsets = clock.read(frame)
        if (wrong := np.isnat(times)).any():
            row = int(np.argmax(wrong))
            cell = clock.cells(frame).iloc[row]
            what = "is empty" if pd.isna(cell) else f"is {shorten(cell, 40)!r}, which is no time that can be read"
            raise InputError(
                f"{shorten(self.path)}, {self.file.place(int(rows[row]))}: '{clock.name}' {what}: write 2016-07-01 "
                "03:00:00, 2016-07-01 or 2016-07, to the microsecond at most, or set data.time_format."
            )
        return times, offsets

    def _series(self, frame: pd.DataFrame, ids: dict[str, int], rows: np.ndarray) -> np.ndarray:
        """Numbers of the series; ``ids`` learns of new ones."""
        if self.id_column is None:
            ids[""] = 0
            return np.zeros(len(frame), np.int64)
        codes, names = pd.factorize(frame[self.id_column])
        if (codes < 0).any():
            row = int(rows[np.argmax(codes < 0)])
            raise InputError(
                f"{shorten(self.path)}, {self.file.place(row)}: '{self.id_column}' is empty: name the series."
            )
        numbers = np.array([ids.setdefault(str(name), len(ids)) for name in names], np.int64)
        return numbers[codes]

    def _freq(self, rows: Rows) -> str:
        freq = self.freq or infer_freq(rows.times, rows.starts)
        if freq is None:
            raise InputError(f"{self.path} has no two times of one series, which would show its step: set data.freq.")
        return freq
