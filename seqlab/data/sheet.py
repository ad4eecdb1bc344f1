"""The first sheet of an Excel workbook, row by row; it needs openpyxl."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from seqlab.bounded import LONGEST_LINE, open_bytes
from seqlab.data.files import check_columns, readable
from seqlab.errors import InputError, shorten

_MOST_WORKBOOK = 1 << 31  # bytes of an .xlsx file, unpacked


def as_text(value: Any) -> str:
    """A cell as text: whole numbers without a fraction, ``true`` and ``false``, nothing of an empty cell."""
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def sheet_rows(path: Path, text: Callable[[Any], str] = as_text) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, each with its number in the sheet, from 1 on.

    Args:
        path: of the workbook.
        text: how the value of a cell is written: text, a number, a bool, a date, a time, or None.

    Raises:
        InputError: no openpyxl; no workbook, or one that is damaged or too large; a cell too long, too many cells.
    """
    try:
        import openpyxl
    except ImportError as error:
        raise InputError(
            f"{shorten(path)} needs openpyxl: pip install 'seqlab[xlsx]', or save the sheet as CSV."
        ) from error
    with readable(path):
        try:
            with zipfile.ZipFile(path) as parts:
                if sum(part.file_size for part in parts.infolist()) > _MOST_WORKBOOK:
                    raise InputError(f"{shorten(path)} unpacks to more than 2 GB: save the sheet as CSV.")
            with open_bytes(path) as file:
                sheet = openpyxl.load_workbook(file, read_only=True, data_only=True).worksheets[0]
                for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
                    row = [text(value) for value in cells]
                    check_columns(row, path, number)
                    if any(len(cell) > LONGEST_LINE for cell in row):
                        raise InputError(f"{shorten(path)}, row {number}: a cell is too long.")
                    if any(row):
                        yield number, row
        except (zipfile.BadZipFile, KeyError, IndexError, ValueError, SyntaxError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{shorten(path)} is no Excel workbook, or damaged ({shorten(error)}).") from error


def sheet_as_csv(path: Path, decimal: str = ".") -> tuple[bytes, int]:
    """The sheet as the text of a CSV in UTF-8, with commas between cells, and the number of its first row.

    Dates and times are as ISO 8601 writes them, a date without a time of day where it is midnight. Blank rows before
    the first are left out, later ones stay, so that rows can be counted.

    Args:
        path: of the workbook.
        decimal: the decimal mark of numbers.

    Raises:
        InputError: as ``sheet_rows``.
    """

    def text(value: Any) -> str:
        if isinstance(value, dt.datetime):
            return str(value.date() if value.time() == dt.time() else value)
        if isinstance(value, dt.timedelta):  # 24:00, or a duration
            minutes, seconds = divmod(round(value.total_seconds()), 60)
            return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
        found = as_text(value)
        return found.replace(".", decimal) if isinstance(value, float) else found

    rows = list(sheet_rows(path, text))
    width = max((number for _, row in rows for number, cell in enumerate(row, 1) if cell), default=0)
    found = io.StringIO(newline="")
    writer = csv.writer(found, lineterminator="\n")
    first = last = rows[0][0] if rows else 1
    for number, row in rows:
        for _ in range(last + 1, number):
            writer.writerow([""] * width)
        writer.writerow([*row, *[""] * width][:width])
        last = number
    return found.getvalue().encode(), first
