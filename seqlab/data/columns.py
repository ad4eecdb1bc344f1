"""Files of columns, CSV or Parquet, read piece by piece, so that only the numbers that are asked for are ever held."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqlab.data.dialect import Dialect, detect
from seqlab.data.files import csv_rows, open_bytes, open_text, readable, sample_of, suffix_of
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
    """A ``.csv``, ``.tsv`` or ``.txt`` file, also with ``.gz``, or a ``.parquet`` file.

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
        return f"row {row + 1:,}" if self._parquet else f"line {row + 1 + self.header:,}"

    @cached_property
    def dialect(self) -> Dialect:
        """How the cells of a text file are written."""
        with self._mended():
            if suffix_of(self.path) not in _DELIMITERS:
                raise InputError(
                    f"cannot tell the format of {shorten(self.path)} by its name: it must end in .csv, .tsv, .txt (or "
                    "one of them and .gz) or .parquet."
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
        """Cells of text as numbers, NaN where they are none."""
        if cells.dtype.kind in "iufb":
            return cells
        words = cells.astype("str").str.strip()
        if not self._parquet:
            if self._thousands:
                words = words.str.replace(self._thousands, "", regex=False)
            if self.dialect.decimal != ".":
                words = words.str.replace(".", "x", regex=False).str.replace(self.dialect.decimal, ".", regex=False)
        return pd.to_numeric(words.mask(words.isin(self.na)), errors="coerce")

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
        with self._mended():
            if self._parquet:
                pieces = self._arrow(self._arrow_names(), _HEAD)
                frame = next(pieces, pd.DataFrame(columns=self._arrow_names()))
            else:
                with _strict(), open_bytes(self.path) as file:
                    frame = pd.read_csv(file, **self._options(self._header()), nrows=_HEAD, dtype=str)
        if len(frame) == 0:
            raise InputError(f"{self.path} holds no rows: give a file with a header and rows under it.")
        return frame

    def pieces(self, words: Sequence[str], numbers: Sequence[str]) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
        """The columns ``words`` as they are, and ``numbers`` as ``(rows, C)`` float64, NaN where a cell is empty.

        Raises:
            InputError: as ``head``; a line of too many cells; a cell among the numbers that is none, or that is
                infinite as float32.
        """
        done = 0
        for frame in self._frames(words, numbers):
            try:
                found = frame[list(numbers)].to_numpy(np.float64, na_value=np.nan)
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

    @contextmanager
    def _mended(self) -> Iterator[None]:
        """Say in one sentence why the file cannot be read."""
        try:
            with readable(self.path, self.encoding):
                yield
        except pd.errors.EmptyDataError:
            raise InputError(f"{self.path} is empty: give a file with a header and rows under it.") from None
        except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
            found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
            if found:
                what = f", line {found[2]}: {found[3]} cells where the header has {found[1]}"
            elif isinstance(error, pd.errors.ParserWarning):
                what = ": its lines have more cells than the header"
            else:
                what = f" cannot be read ({str(error).strip().splitlines()[0]})"
            raise InputError(
                f"{shorten(self.path)}{what}: separate cells by commas (.csv) or tabs (.tsv) alone, or set "
                "data.delimiter."
            ) from error

    def _frames(self, words: Sequence[str], numbers: Sequence[str]) -> Iterator[pd.DataFrame]:
        with self._mended():
            if self._parquet:
                yield from self._arrow([*words, *numbers], ROWS)
                return
            names = self._header()
            # All columns are read, if only as text: pandas would not notice a cell too many in a choice of them.
            options = self._options(names, words)
            options["dtype"] = {name: "float64" if name in numbers else "str" for name in names}
            done, blank = 0, 0
            with open_bytes(self.path) as file, pd.read_csv(file, **options, chunksize=ROWS) as reader:
                while True:
                    try:
                        with _strict():
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
            options = self._options(names) | {"skiprows": done + self.header, "nrows": ROWS, "dtype": str}
            with open_bytes(self.path) as file:
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
        return InputError(
            f"{shorten(self.path)}, {self.place(done + first[0])}: '{shorten(first[1])}' is {shorten(cell, 40)!r}, "
            "which is no number: mend or empty the cell, set data.na or data.thousands, or name other columns."
        )

    def _header(self) -> list[str]:
        """Of a CSV file; a column without a name gets one of blanks alone, which nobody can ask for."""
        dialect = self.dialect
        with open_text(self.path, self.encoding) as file:
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
            "encoding": "utf-8-sig" if self.encoding.lower().replace("_", "-") in ("utf-8", "utf8") else self.encoding,
        }

    def _arrow_names(self) -> list[str]:
        return list(self._arrow_file().schema_arrow.names)

    def _arrow(self, names: list[str], rows: int) -> Iterator[pd.DataFrame]:
        for batch in self._arrow_file().iter_batches(rows, columns=names):
            yield batch.to_pandas()[names]

    def _arrow_file(self) -> Any:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise InputError(
                f"{self.path} needs pyarrow: pip install 'seqlab[parquet]', or give a CSV file."
            ) from error
        try:
            return pyarrow.parquet.ParquetFile(self.path, pre_buffer=False)  # which would hold the whole file
        except pyarrow.ArrowInvalid as error:
            raise InputError(f"{self.path} is not a Parquet file ({str(error).splitlines()[0]}).") from error


class Facts:
    """What is true of columns as the file has them, in float64: learned piece by piece.

    Attributes:
        low: ``(C,)`` the least number, NaN where there is none.
        high: ``(C,)`` the greatest.
        exact: ``(C,)`` bool: float32 holds them as they are.
    """

    def __init__(self, columns: int) -> None:
        self.low, self.high = np.full((2, columns), np.nan)
        self.exact = np.ones(columns, bool)

    def add(self, found: np.ndarray, kept: np.ndarray) -> None:
        """Rows ``(R, C)``, and the same as float32."""
        # fmin and fmax pass over what is missing.
        self.low = np.fmin(self.low, np.fmin.reduce(found, axis=0, initial=np.nan))
        self.high = np.fmax(self.high, np.fmax.reduce(found, axis=0, initial=np.nan))
        self.exact &= ((kept == found) | np.isnan(found)).all(axis=0)


@contextmanager
def _strict() -> Iterator[None]:
    """Cells beyond the header are an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        yield
