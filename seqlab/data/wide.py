"""Files in which one row is one series and one column is one time, read as if each number had a row of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from seqlab.data.columns import ColumnFile
from seqlab.data.times import TimeColumn, learn
from seqlab.errors import InputError, shorten

VALUE = "value"
"""What the numbers of such a file are called."""

_TIME, _ROW = "time", "row"
_MOST = 1 << 21  # numbers that are read at a time


@dataclass(frozen=True)
class WideFile:
    """A table with a row for each number of a file whose rows are series: series by series, as ``gather`` reads it.

    Attributes:
        file: that lies there. Its columns are ids and times, in the order of the times.
        names: columns that name a series, joined by ``/``; without any, rows are called 1, 2, 3 and so on.
        time_format: how the cells of the header are written (see ``times.learn``).
        day_first: likewise.
    """

    file: ColumnFile
    names: tuple[str, ...] = ()
    time_format: str | None = None
    day_first: bool | None = None

    @property
    def path(self) -> Path:
        """Of the file."""
        return self.file.path

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Those that hold numbers: all but the ids, and but those without a name and without a cell.

        Raises:
            InputError: no such id column; a column without a name; none that is left.
        """
        head = self.file.head()
        for name in self.names:
            self.file.column(name, list(head.columns), "data.id_column")
        left = [name for name in head.columns if name not in self.names]
        found = tuple(name for name in left if name.strip() or head[name].notna().any())
        if nameless := [number for number, name in enumerate(head.columns, 1) if name in found and not name.strip()]:
            raise InputError(
                f"{shorten(self.path)}: column {nameless[0]} has no name: write its time in the header, or a name, and "
                "name it in data.id_column."
            )
        if not found:
            raise InputError(f"{shorten(self.path)} has no column of numbers besides data.id_column: check that.")
        return found

    @cached_property
    def clock(self) -> TimeColumn | None:
        """How the times of the header are written; None without a header.

        Raises:
            InputError: a column that is no time.
        """
        if not self.file.header:
            return None
        header = pd.DataFrame({_TIME: pd.Series(self.columns, dtype="str")})
        clock = learn(header, (_TIME,), shorten(self.path), self.time_format, self.day_first)
        wrong = np.isnat(clock.read(header)[0])
        if wrong.any():
            raise InputError(
                f"{shorten(self.path)}: column '{shorten(self.columns[int(wrong.argmax())])}' is no time, and with "
                "data.layout=rows all columns are but data.id_column: name it there, remove it, or set "
                "data.time_format."
            )
        return clock

    @cached_property
    def id_column(self) -> str | None:
        """What the column of ids is called; None where the file is one row without an id."""
        if not self.names:
            return None if len(self.file.head()) == 1 else _ROW
        name = ", ".join(self.names)
        if name == _TIME:
            raise InputError(f"{shorten(self.path)}: '{_TIME}' names the series: rename that column, such as 'id'.")
        return name

    def place(self, row: int) -> str:
        """``line 3, column '2020-01-02'`` of a row, counted from 0."""
        line, column = divmod(row, len(self.columns))
        return f"{self.file.place(line)}, column '{shorten(self.columns[column], 40)}'"

    def pieces(self, words: Sequence[str], numbers: Sequence[str]) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
        """The columns ``words`` (of times, of ids), and the numbers ``(rows, 1)`` float64; all is missing of a blank
        line.

        Raises:
            InputError: as ``ColumnFile.pieces``; a series that has two rows.
        """
        count, done = len(self.columns), 0
        lines: dict[str, int] = {}
        for frame, found in self.file.pieces(self.names, self.columns, max(1, _MOST // count)):
            blank = frame.isna().all(axis=1).to_numpy() & np.isnan(found).all(axis=1)
            ids = self._ids(frame, done)
            there = np.flatnonzero(~blank & ids.notna().to_numpy())
            for line in there.tolist():
                first = lines.setdefault(ids.iloc[line], done + line)
                if first != done + line:
                    raise InputError(
                        f"{shorten(self.path)}, {self.file.place(done + line)}: the series '{shorten(ids.iloc[line])}' "
                        f"has a row already ({self.file.place(first)}): delete one, or name all columns that tell "
                        "series apart in data.id_column."
                    )
            codes = np.full(len(frame), -1)
            codes[there] = np.arange(len(there))
            times = np.where(blank[:, None], -1, np.arange(count)).ravel()
            long = {
                _TIME: pd.Categorical.from_codes(times, self.columns),
                self.id_column or _ROW: pd.Categorical.from_codes(np.repeat(codes, count), ids.iloc[there]),
            }
            yield pd.DataFrame({name: long[name] for name in words}, index=range(len(times))), found.reshape(-1, 1)
            done += len(frame)

    def _ids(self, frame: pd.DataFrame, done: int) -> pd.Series:
        """The name of each series; missing where a part of it is."""
        if not self.names:
            return pd.Series([str(done + row + 1) for row in range(len(frame))], dtype="str")
        first, *others = (frame[name].astype("str").where(frame[name].notna()) for name in self.names)
        return first.str.cat(others, sep="/") if others else first
