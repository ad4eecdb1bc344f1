"""Anyone's time series: a CSV, TSV, Excel or Parquet file with a row for each time, or with a row for each series."""

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
from seqlab.data.files import check_encoding
from seqlab.data.forecast import ForecastData
from seqlab.data.gather import gather
from seqlab.data.regular import Rows, begun, filled, grouped, ordered, regular, single
from seqlab.data.roles import check_targets, choose_targets, names_of, refuse_uncounted_times
from seqlab.data.series import Series
from seqlab.data.times import TimeColumn, check_format, learn
from seqlab.data.wide import VALUE, WideFile
from seqlab.errors import shorten
from seqlab.types import InputError

log = logging.getLogger(__name__)


class SeriesFile:
    """One or several series on a regular clock, from ``.csv``, ``.tsv``, ``.txt`` (also with ``.gz``), ``.xlsx`` or
    ``.parquet``.

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
        id_column: says which series a row belongs to; None is a single series. With ``layout="rows"`` it may be
            several columns, and None calls the series 1, 2, 3 and so on.
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
        layout: ``long`` has a row for each time, ``rows`` a row for each series: all columns but ``id_column`` are its
            numbers, called ``value``, and the header holds their times (or counts; ``header=False`` has none).

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
        id_column: str | int | Sequence[str | int] | None = None,
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
        layout: Literal["long", "rows"] = "long",
    ) -> None:
        self.path = Path(path) if root is None else Path(root) / path
        self.time_columns, self.counted = names_of(time_column), time_column == ""
        self.layout, self.id_columns = layout, names_of(id_column)
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
        self._check_layout()
        needs = {"freq": self.freq, "calendar": self.calendar, "time_format": self.time_format}
        timed = self.file.header if self.layout == "rows" else self.time_columns
        if not timed and (wanting := [name for name, value in needs.items() if value]):
            where = "set data.time_column to the column of" if self.layout == "long" else "give a header with"
            raise InputError(f"data.{wanting[0]} needs a clock: {where} times.")
        if isinstance(self.begin, int) and self.begin < 1:
            raise InputError(f"data.begin={self.begin} is no row: 1 is the first row of each series.")
        if self.gaps == "fill" and self.missing == "refuse":
            raise InputError(
                "data.gaps=fill makes rows that are missing: set data.missing=forward or zero to fill them."
            )
        if self.targets == ():
            raise InputError("data.targets is empty: name the columns to forecast, or null for all that are numeric.")
        roles = [*self.time_columns, *self.id_columns, *(self.targets or ()), *self.past, *self.covariates]
        for position, name in enumerate(roles):
            if name in roles[:position]:
                raise InputError(
                    f"column '{shorten(name)}' is named twice: each is one of data.time_column, data.id_column, "
                    "data.targets, data.past or data.covariates."
                )
        for name in self.covariates:
            if name in self.calendar:
                raise InputError(f"'{name}' is a covariate and a feature of the calendar: remove one of them.")

    def _check_layout(self) -> None:
        """Refuse columns that a layout does not have."""
        if self.layout == "long":
            if len(self.id_columns) > 1:
                raise InputError("data.id_column names several columns: join them to one, or set data.layout=rows.")
            return
        given = {"time_column": self.time_columns or self.counted, "past": self.past, "covariates": self.covariates}
        for name, value in given.items():
            if value:
                raise InputError(
                    f"data.{name} is no part of data.layout=rows, where the header holds the times and all else is "
                    f"numbers of one target: remove data.{name}, or data.layout."
                )
        if self.targets not in (None, (VALUE,)):
            raise InputError(f"data.layout=rows has the single target '{VALUE}': remove data.targets.")

    def digest(self) -> str:
        """Of the file's bytes and of all options: a second for a gigabyte or two."""
        columns = self.time_columns
        options: dict[str, Any] = {
            "time_column": columns[0] if len(columns) == 1 else list(columns) or None,
            "id_column": self.id_columns if len(self.id_columns) > 1 else next(iter(self.id_columns), None),
            **{name: getattr(self, name) for name in ("counted", "targets", "past", "covariates")},
            **{name: getattr(self, name) for name in ("calendar", "missing", "duplicates", "unsorted", "gaps", "freq")},
        }
        later = {name: getattr(self, name) for name in ("begin", "time_format", "day_first")}
        written = [field.name for field in fields(self.file) if field.name not in ("path", "header")]
        later |= {name: getattr(self.file, name) for name in written}
        # What came later counts only where it is used, so that runs of earlier versions know their data.
        options |= {name: value for name, value in later.items() if value not in (None, (), "utf-8")}
        options |= {} if self.file.header else {"header": False}
        options |= {} if self.layout == "long" else {"layout": self.layout}
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
        if self.layout == "rows":
            wide = WideFile(self.file, self.id_columns, self.time_format, self.day_first)
            targets: tuple[str, ...] = (VALUE,)
            clock = wide.clock
            self._say("", clock)
            rows, facts = gather(wide, clock, wide.id_column, targets)
        else:
            targets, clock = self._found()
            id_column = next(iter(self.id_columns), None)
            rows, facts = gather(self.file, clock, id_column, (*targets, *self.past, *self.covariates))
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

    def _found(self) -> tuple[tuple[str, ...], TimeColumn | None]:
        """The targets of a file with a row for each time, and how its times are written; None: rows are counted."""
        head = self.file.head()
        used = self._used(head)
        targets, said = self.targets or (), ""
        if not self.time_columns and not self.counted:
            refuse_uncounted_times(self.file, head, used)
        if self.targets is None:
            targets, left_out = choose_targets(self.file, head, used)
            said = f"forecasts {', '.join(shorten(name, 40) for name in targets[:20])}" + ", ..." * (len(targets) > 20)
            said += f"; left out: {left_out}" if left_out else ""
        clock = None
        if self.time_columns:
            clock = learn(head, self.time_columns, shorten(self.path), self.time_format, self.day_first)
        self._say(said, clock)
        return targets, clock

    def _say(self, targets: str, clock: TimeColumn | None) -> None:
        """Log what was found out of the file, where it may be a surprise."""
        for note in (targets, self.file.notes, "" if clock is None else clock.note):
            if note:
                log.info("%s: %s", shorten(self.path), note)

    def _used(self, head: pd.DataFrame) -> tuple[str, ...]:
        """The columns that options name, each of which the file has."""
        names, used = list(head.columns), []
        for key in ("time_column", "id_column", "targets", "past", "covariates"):
            given = {"time_column": self.time_columns, "id_column": self.id_columns}.get(key, getattr(self, key, None))
            used += [self.file.column(name, names, f"data.{key}") for name in given or ()]
        return tuple(used)

    def _freq(self, rows: Rows) -> str:
        freq = self.freq or infer_freq(rows.times, rows.starts)
        if freq is None:
            raise InputError(f"{self.path} has no two times of one series, which would show its step: set data.freq.")
        return freq
