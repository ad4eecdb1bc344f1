"""Files of columns, CSV, Excel or Parquet, read piece by piece, so that only the numbers asked for are ever held."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqlab.bounded import open_bytes
from seqlab.data import parquet
from seqlab.data.csvtext import mended, strict
from seqlab.data.dialect import Dialect, detect
from seqlab.data.files import codec_of, csv_rows, sample_of, suffix_of
from seqlab.data.marks import common_mark, stripped
from seqlab.data.sheet import sheet_as_csv
from seqlab.errors import shorten
from seqlab.schema import did_you_mean
from seqlab.types import InputError

ROWS = 1 << 16
"""Rows in a piece."""

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NAN", "-nan", "<NA>", "NULL", "null", "None", "NaT")
"""Cells that stand for a number that is missing."""

_BLANK = [" " * count for count in range(17)]  # cells that hold nothing
_HEAD = 1_000  # rows by which a column is judged
_DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": ",", ".dat": ","}
_MARKS = {"comma": ",", "point": ".", "space": " ", "apostrophe": "'"}


@dataclass(frozen=True)
class ColumnFile:
    """A ``.csv``, ``.tsv`` or ``.txt`` file, also with ``.gz``, an ``.xlsx`` or a ``.parquet`` file.

    Attributes:
        path: where it lies.
        delimiter: between two cells; None detects it.
        decimal: ``.`` or ``,``; None detects it.
        thousands: the mark between groups of digits (``4,000``), or its name: comma, point, space, apostrophe.
        header: whether the first line holds names; otherwise columns are called 1, 2, 3 and so on.
        na: cells that stand for a missing number, besides ``MISSING``.
        encoding: of the text.
    """

    path: Path
    delimiter: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    header: bool = True
    na: tuple[str, ...] = ()
    encoding: str = "utf-8"

    def place(self, row: int) -> str:
        """Where a user finds a row, counted from 0: the line of the file, or the number of the row from 1."""
        if self._excel:
            return f"row {self._sheet[1] + row + self.header:,}"
        return f"row {row + 1:,}" if self._parquet else f"line {row + 1 + self.header:,}"

    @cached_property
    def dialect(self) -> Dialect:
        """How the cells of a text file are written."""
        if self._excel:
            return Dialect(",", self._decimal, self.header)
        with mended(self.path, self._coding):
            if suffix_of(self.path) not in _DELIMITERS:
                raise InputError(
                    f"cannot tell the format of {shorten(self.path)} by its name: it must end in .csv, .tsv, .txt (or "
                    "one of them and .gz), .xlsx or .parquet."
                )
            usual = _DELIMITERS[suffix_of(self.path)]
            sample = sample_of(self.path, self.encoding)
            return detect(
                sample,
                usual=usual,
                delimiter=_MARKS.get(self.delimiter or "", self.delimiter),
                decimal=_MARKS.get(self.decimal or "", self.decimal),
                header=self.header,
            )

    @property
    def notes(self) -> str:
        """What was found of how the file is written that is not as usual; may be empty."""
        return "" if self._parquet else "; ".join(self.dialect.notes)

    def as_numbers(self, cells: pd.Series) -> pd.Series:
        """Cells of text as numbers, NaN where they are none, or lack the currency mark or percent sign of theirs."""
        if cells.dtype.kind in "iufb":
            return cells
        words = cells.astype("str").str.strip()
        if mark := self._mark(cells.name):
            words = stripped(words.where(cells.notna()), mark)
        if not self._parquet:
            if self._thousands:
                words = words.str.replace(self._thousands, "", regex=False)
            if self.dialect.decimal != ".":
                words = words.str.replace(".", "x", regex=False).str.replace(self.dialect.decimal, ".", regex=False)
        return pd.to_numeric(words.mask(words.isin(self.na)), errors="coerce")

    def _mark(self, name: Any) -> str:
        """The currency mark or percent sign that all numbers of a column have, by the first rows; may be empty."""
        if name not in self._marks:
            cells = self._head[name] if name in self._head else pd.Series(dtype="str")
            self._marks[name] = "" if cells.dtype.kind in "iufbMm" else common_mark(cells.dropna())
        return self._marks[name]

    @cached_property
    def _marks(self) -> dict[str, str]:
        return {}

    @cached_property
    def _sheet(self) -> tuple[bytes, int]:
        """An Excel sheet as CSV, and the number of its first row."""
        with mended(self.path, self._coding):
            return sheet_as_csv(self.path, self._decimal)

    @property
    def _decimal(self) -> str:
        """Of the numbers of a sheet, which are no text."""
        return _MARKS.get(self.decimal or "", self.decimal or ("," if self._thousands == "." else "."))

    def _open(self) -> io.BufferedIOBase:
        return io.BufferedReader(io.BytesIO(self._sheet[0])) if self._excel else open_bytes(self.path)

    @property
    def _coding(self) -> str:
        return "utf-8" if self._excel else self.encoding

    @property
    def _thousands(self) -> str | None:
        return _MARKS.get(self.thousands or "", self.thousands)

    def column(self, name: str, names: Sequence[str], key: str = "") -> str:
        """``name``, which is one of the file's; ``key`` is the option that names it.

        Raises:
            InputError: it is none of them.
        """
        if name not in names:
            where = f"{key}: " if key else ""
            near = did_you_mean(name, [known for known in names if known.strip()])
            raise InputError(f"{where}{shorten(self.path)} has no column '{shorten(name)}'{near}")
        return name

    def head(self) -> pd.DataFrame:
        """The first thousand rows, as text.

        Raises:
            InputError: no such file, not of a known suffix, not readable, empty; a name that two columns have.
        """
        return self._head

    @cached_property
    def _head(self) -> pd.DataFrame:
        with mended(self.path, self._coding):
            if self._parquet:
                names = parquet.column_names(self.path)
                frame = next(parquet.batches(self.path, names, _HEAD), pd.DataFrame(columns=names))
            else:
                with strict(), self._open() as file:
                    frame = pd.read_csv(file, **self._options(self._header()), nrows=_HEAD, dtype=str)
        if len(frame) == 0:
            raise InputError(f"{self.path} holds no rows: give a file with a header and rows under it.")
        return frame

    def pieces(
        self, words: Sequence[str], numbers: Sequence[str], rows: int | None = None
    ) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
        """The columns ``words`` as they are, and ``numbers`` as ``(rows, C)`` float64, NaN where a cell is empty.

        A column whose cells all have the same currency mark or percent sign is read as the numbers that they are
        written with. At most ``rows`` come at a time; None is ``ROWS``.

        Raises:
            InputError: as ``head``; a line of too many cells; a cell among the numbers that is none, or that is
                infinite as float32.
        """
        done = 0
        for frame in self._frames(words, numbers, rows or ROWS):
            columns = frame[list(numbers)]
            for name in filter(self._mark, numbers):
                columns = columns.assign(**{name: self.as_numbers(frame[name])})
                if (columns[name].isna() & frame[name].notna()).any():
                    raise self._no_number(frame, numbers, done)
            try:
                found = columns.to_numpy(np.float64, na_value=np.nan)
            except (ValueError, TypeError):
                raise self._no_number(frame, numbers, done) from None
            if (large := np.abs(found) > np.finfo(np.float32).max).any():
                row, column = (int(index[0]) for index in np.nonzero(large))
                raise InputError(
                    f"{self.path}, {self.place(done + row)}: '{numbers[column]}' is infinite, or too large for a float "
                    "of 32 bits: mend or empty the cell."
                )
            yield frame[list(words)], found
            done += len(frame)

    @property
    def _parquet(self) -> bool:
        return self.path.suffix.lower() in (".parquet", ".pq")

    @property
    def _excel(self) -> bool:
        return self.path.suffix.lower() == ".xlsx"

    def _frames(self, words: Sequence[str], numbers: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
        with mended(self.path, self._coding):
            if self._parquet:
                yield from parquet.batches(self.path, [*words, *numbers], rows)
                return
            names = self._header()
            # All columns are read, if only as text: pandas would not notice a cell too many in a choice of them.
            options = self._options(names, words)
            plain = {name for name in numbers if not self._mark(name)}
            options["dtype"] = {name: "float64" if name in plain else "str" for name in names}
            done, blank = 0, 0
            with self._open() as file, pd.read_csv(file, **options, chunksize=rows) as reader:
                while True:
                    try:
                        with strict():
                            frame = next(reader)
                    except StopIteration:
                        return
                    except UnicodeDecodeError:
                        raise
                    except ValueError as error:  # somewhere in this piece is a cell that is no number
                        if isinstance(error, (pd.errors.ParserError, pd.errors.EmptyDataError)):
                            raise
                        break
                    done += len(frame)
                    # Blank lines at the end are no rows: they are given out only once something follows.
                    there = np.flatnonzero(frame.notna().any(axis=1).to_numpy())
                    last = int(there[-1]) + 1 if len(there) else 0
                    if last and blank:
                        yield frame.iloc[:0].reindex(range(blank))
                    blank = len(frame) - last + (0 if last else blank)
                    if last:
                        yield frame.iloc[:last]
            options = self._options(names) | {"skiprows": done + self.header, "nrows": rows, "dtype": str}
            with self._open() as file:
                raise self._no_number(pd.read_csv(file, **options), numbers, done)

    def _no_number(self, frame: pd.DataFrame, numbers: Sequence[str], done: int) -> InputError:
        """About the first cell among ``numbers`` that is none; ``done`` rows were before those of ``frame``."""
        first: tuple[int, str] | None = None
        for name in numbers:
            wrong = self.as_numbers(frame[name]).isna() & frame[name].notna()
            if wrong.any() and (first is None or int(wrong.argmax()) < first[0]):
                first = int(wrong.argmax()), name
        if first is None:
            return InputError(f"{self.path}: some cell of {', '.join(numbers)} is no number: mend it.")
        cell = str(frame[first[1]].iloc[first[0]])
        mark = f" with {self._mark(first[1])} as in the first rows" if self._mark(first[1]) else ""
        return InputError(
            f"{shorten(self.path)}, {self.place(done + first[0])}: '{shorten(first[1])}' is {shorten(cell, 40)!r}, "
            f"which is no number{mark}: mend or empty the cell, set data.na or data.thousands, or name other columns."
        )

    def _header(self) -> list[str]:
        """Of a CSV file; a column without a name gets one of blanks alone, which nobody can ask for."""
        dialect = self.dialect
        with io.TextIOWrapper(self._open(), encoding=codec_of(self._coding), newline="") as file:  # type: ignore[type-var]
            cells = next((row for _, row in csv_rows(file, self.path, dialect, strict=False)), None)
        if cells is None:
            raise pd.errors.EmptyDataError
        if not self.header:
            return [str(number) for number in range(1, len(cells) + 1)]
        names: list[str] = []
        for name in (cell.strip() for cell in cells):
            if name and name in names:
                raise InputError(f"{shorten(self.path)} has two columns '{shorten(name)}': rename one.")
            names.append(name or " " * (1 + sum(known.isspace() for known in names)))
        return names

    def _options(self, names: list[str], words: Sequence[str] = ()) -> dict[str, Any]:
        return {
            "keep_default_na": False,
            "na_values": {
                name: _BLANK if name in words else [*MISSING, *self.na, *_BLANK] for name in names
            },  # a series may be called NA
            "names": names,
            "header": None,
            "skiprows": int(self.header),
            "index_col": False,
            "sep": self.dialect.delimiter,
            "decimal": self.dialect.decimal,
            "thousands": self._thousands,
            "skipinitialspace": self.dialect.spaced,
            "skip_blank_lines": False,  # or rows would not be lines
            "encoding": codec_of(self._coding),
        }
