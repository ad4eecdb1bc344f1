"""Files of columns, CSV or Parquet, read piece by piece, so that only the numbers that are asked for are ever held."""

from __future__ import annotations

import csv
import gzip
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqlab.schema import did_you_mean
from seqlab.types import InputError

ROWS = 1 << 16
"""Rows in a piece."""

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NAN", "-nan", "<NA>", "NULL", "null", "None", "NaT")
"""Cells that stand for a number that is missing."""

_HEAD = 1_000  # rows by which a column is judged
_DELIMITERS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class ColumnFile:
    """A ``.csv`` or ``.tsv`` file with a header, also with ``.gz``, or a ``.parquet`` file.

    Attributes:
        path: where it lies.
    """

    path: Path

    def place(self, row: int) -> str:
        """Where a person finds a row, counted from 0: the line of the file, or the number of the row from 1."""
        return f"row {row + 1:,}" if self._parquet else f"line {row + 2:,}"

    def column(self, name: str, names: Sequence[str]) -> str:
        """``name``, which is one of the file's.

        Raises:
            InputError: it is none of them.
        """
        if name not in names:
            raise InputError(
                f"{self.path} has no column '{name}'{did_you_mean(name, [known for known in names if known.strip()])}"
            )
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
                with _strict():
                    frame = pd.read_csv(self.path, **self._options(self._header()), nrows=_HEAD, dtype=str)
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
            raise InputError(f"{self.path}{what}: separate cells by commas (.csv) or tabs (.tsv) alone.") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{self.path} is not UTF-8 text ({error.reason}): save it as UTF-8.") from error
        except (EOFError, zlib.error) as error:
            raise InputError(f"{self.path} is damaged or incomplete ({error}): get it again.") from error
        except OSError as error:
            raise InputError(f"cannot read {self.path.absolute()} ({error.strerror or error}).") from error

    def _frames(self, words: Sequence[str], numbers: Sequence[str]) -> Iterator[pd.DataFrame]:
        with self._mended():
            if self._parquet:
                yield from self._arrow([*words, *numbers], ROWS)
                return
            names = self._header()
            # All columns are read, if only as text: pandas would not notice a cell too many in a choice of them.
            options = self._options(names, words)
            options["dtype"] = {name: "float64" if name in numbers else "str" for name in names}
            done = 0
            with pd.read_csv(self.path, **options, chunksize=ROWS) as reader:
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
                    yield frame
                    done += len(frame)
            options = self._options(names) | {"skiprows": done + 1, "nrows": ROWS, "dtype": str}
            raise self._no_number(pd.read_csv(self.path, **options), numbers, done)

    def _no_number(self, frame: pd.DataFrame, numbers: Sequence[str], done: int) -> InputError:
        """About the first cell among ``numbers`` that is none; ``done`` rows were before those of ``frame``."""
        first: tuple[int, str] | None = None
        for name in numbers:
            wrong = pd.to_numeric(frame[name], errors="coerce").isna() & frame[name].notna()
            if wrong.any() and (first is None or int(wrong.argmax()) < first[0]):
                first = int(wrong.argmax()), name
        if first is None:
            return InputError(f"{self.path}: some cell of {', '.join(numbers)} is no number: mend it.")
        cell = str(frame[first[1]].iloc[first[0]])
        return InputError(
            f"{self.path}, {self.place(done + first[0])}: '{first[1]}' is {cell[:40]!r}, which is no number: mend or "
            "empty the cell, or name other columns."
        )

    def _header(self) -> list[str]:
        """Of a CSV file; a column without a name gets one of blanks alone, which nobody can ask for."""
        suffixes = [suffix.lower() for suffix in self.path.suffixes[-2:]]
        if not suffixes or (suffixes[0] if suffixes[-1] == ".gz" else suffixes[-1]) not in _DELIMITERS:
            raise InputError(
                f"cannot tell the format of {self.path} by its name: it must end in .csv, .tsv (or that and .gz) or "
                ".parquet."
            )
        opened: Any = gzip.open if suffixes[-1] == ".gz" else open
        with opened(self.path, "rt", encoding="utf-8-sig", newline="") as file:
            cells = next(csv.reader(file, delimiter=self._delimiter), None)
        if cells is None:
            raise pd.errors.EmptyDataError
        if len(cells) == 1 and any(mark in cells[0] for mark in ",;\t|"):
            raise InputError(
                f"{self.path}: the whole header is one cell, {cells[0][:40]!r}: separate cells by commas (.csv) or "
                "tabs (.tsv)."
            )
        names: list[str] = []
        for name in (cell.strip() for cell in cells):
            if name and name in names:
                raise InputError(f"{self.path} has two columns '{name}': rename one.")
            names.append(name or " " * (1 + sum(known.isspace() for known in names)))
        return names

    @property
    def _delimiter(self) -> str:
        path = self.path.with_suffix("") if self.path.suffix.lower() == ".gz" else self.path
        return _DELIMITERS[path.suffix.lower()]

    def _options(self, names: list[str], words: Sequence[str] = ()) -> dict[str, Any]:
        return {
            "keep_default_na": False,
            "na_values": {
                name: [""] if name in words else list(MISSING) for name in names
            },  # a series may be called NA
            "names": names,
            "header": None,
            "skiprows": 1,
            "index_col": False,
            "sep": self._delimiter,
            "skip_blank_lines": False,  # or rows would not be lines
            "encoding": "utf-8-sig",
            "compression": "gzip" if self.path.suffix.lower() == ".gz" else None,
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
