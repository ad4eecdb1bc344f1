"""How a CSV is written: delimiter, decimal mark, spaces before quotation marks; found out from a sample of it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from seqlab.data.marks import without_marks
from seqlab.errors import InputError, shorten

DELIMITERS = (",", ";", "\t", "|")
"""What separates cells where no option says otherwise."""

_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}
_WORDS = {"\\t": "\t", "tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
_ROWS = 200  # rows of the sample that are looked at
_LONGEST = 1 << 24  # characters of a cell
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d+)?|[.,]\d+|\d{1,3}([.,]\d{3})+([.,]\d+)?)([eE][+-]?\d+)?")
_POINT = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")
_COMMA = re.compile(r"[+-]?(\d*|\d{1,3}(\.\d{3})+),\d+([eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")


@dataclass(frozen=True)
class Dialect:
    """How the cells of a text file are written.

    Attributes:
        delimiter: one character between two cells.
        decimal: ``.`` or ``,``.
        header: whether the first line holds names.
        spaced: whether quotation marks stand behind a space (``a, "b"``), so that the space is no part of the cell.
        headless: a hint, never acted on: the first line looks like data, although ``header`` is true.
        notes: what was found and is not the usual, one clause each, for a log line.
    """

    delimiter: str
    decimal: str = "."
    header: bool = True
    spaced: bool = False
    headless: bool = False
    notes: tuple[str, ...] = ()

    def said(self, path: object) -> str | None:
        """A sentence for the log about what was found; None where all is as usual."""
        return f"{shorten(path)}: {'; '.join(self.notes)}" if self.notes else None


def detect(
    sample: str,
    *,
    usual: str = ",",
    delimiter: str | None = None,
    decimal: str | None = None,
    header: bool = True,
    quoted: bool = True,
) -> Dialect:
    """The dialect of the file that begins with ``sample``; a pure function. What is given as an option is never judged.

    Args:
        sample: whole lines from the start of the file, without a byte-order mark.
        usual: the delimiter that the file's name promises; it is kept wherever it fits.
        delimiter: ``data.delimiter``: one character, or a name of ``checked_delimiter``; None detects it.
        decimal: ``data.decimal``: ``.`` or ``,``; None detects it.
        header: ``data.header``.
        quoted: whether quotation marks enclose cells.

    Raises:
        InputError: an option that cannot be; several delimiters fit equally well, and none is the usual one.
    """
    decimal = checked_decimal(decimal)
    notes: list[str] = []
    if delimiter is not None:
        delimiter = checked_delimiter(delimiter)
    else:
        delimiter, note = _delimiter(sample, usual, quoted)
        notes += [note] if note else []
    rows = _rows(sample, delimiter, quoted)
    spaced = False
    if quoted and any(is_spaced(cell) for row in rows for cell in row):
        without = _rows(sample, delimiter, quoted, spaced=True)
        # Where a cell goes on behind its second mark, the marks are the text's own.
        spaced = bool(without) and len({len(row) for row in without}) == 1
        rows = without if spaced else rows
    if decimal is None:
        decimal, note = _decimal(rows, delimiter)
        notes += [note] if note else []
    elif decimal == delimiter and not quoted:
        raise InputError(f"data.delimiter and data.decimal are both {decimal!r}: set one of them to another.")
    return Dialect(delimiter, decimal, header, spaced, header and _headless(rows), tuple(notes))


def is_spaced(cell: str) -> bool:
    """Whether a cell, as it is read without regard to spaces, has its first quotation mark behind one."""
    return cell[:1] == " " and cell.lstrip(" ")[:1] == '"'


def mark(word: str) -> str:
    """The mark that a word such as ``pipe`` or ``tab`` names; what is no such word is a mark itself."""
    return _WORDS.get(word, word)


def checked_delimiter(delimiter: str) -> str:
    """The character that an option names: itself, or ``comma``, ``semicolon``, ``tab``, ``pipe``, ``space``.

    Raises:
        InputError: it is not one character, or one that cannot separate cells.
    """
    found = mark(delimiter)
    if len(found) != 1 or found in '"\r\n\0\ufeff':
        raise InputError(
            "data.delimiter must be one character, or comma, semicolon, tab, pipe or space, not "
            f"{shorten(delimiter, 20)!r}."
        )
    return found


def checked_decimal(decimal: str | None) -> str | None:
    """``decimal`` as an option gives it.

    Raises:
        InputError: it is neither ``.`` nor ``,``.
    """
    if decimal not in (None, ".", ","):
        raise InputError(f"data.decimal must be '.' or ',', not {shorten(decimal, 20)!r}.")
    return decimal


def _rows(sample: str, delimiter: str, quoted: bool, spaced: bool = False) -> list[list[str]]:
    """The sample's rows without blank ones; the last may be cut and is left out where there are others."""
    usual = csv.field_size_limit(_LONGEST)
    rows: list[list[str]] = []
    try:
        for row in csv.reader(
            io.StringIO(sample, newline=""),
            delimiter=delimiter,
            quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
            skipinitialspace=spaced,
            strict=spaced,
        ):
            if any(cell.strip() for cell in row):
                rows.append(row)
            if len(rows) > _ROWS:
                break
    except csv.Error as error:
        if spaced and "unexpected end" not in str(error):
            return []
        # Otherwise who reads the file says so, with its line.
    finally:
        csv.field_size_limit(usual)
    return rows[:-1] if len(rows) > 3 else rows


def _delimiter(sample: str, usual: str, quoted: bool) -> tuple[str, str]:
    """The delimiter, and what to say about it."""
    candidates = [usual, *(mark for mark in DELIMITERS if mark != usual)]
    tables = {mark: rows for mark in candidates if (rows := _rows(sample, mark, quoted)) and len(rows[0]) > 1}
    fitting = {mark: rows for mark, rows in tables.items() if len({len(row) for row in rows}) == 1}
    best = fitting or tables
    if len(best) > 1:
        # Cells that are numbers, or none of the other marks left in a cell, tell a table from an accident.
        scores = {mark: (_share_of_numbers(rows), mark == usual) for mark, rows in best.items()}
        top = max(scores.values())
        chosen = [mark for mark in best if scores[mark] == top]
        others = ", ".join(_NAMES[mark] for mark in best if mark != chosen[0])
        if len(chosen) > 1:
            raise InputError(
                f"cells could be separated by {' or '.join(_NAMES[mark] for mark in chosen)}: set data.delimiter."
            )
        if fitting:
            return chosen[0], f"cells are separated by {_NAMES[chosen[0]]} ({others} would fit too: set data.delimiter)"
        best = {chosen[0]: best[chosen[0]]}
    found = next(iter(best), usual)
    return found, "" if found == usual else f"cells are separated by {_NAMES[found]}"


def _share_of_numbers(rows: Sequence[Sequence[str]]) -> float:
    cells = [cell.strip() for row in rows for cell in row]
    return sum(_NUMBER.fullmatch(cell[:50]) is not None for cell in cells) / len(cells)


def _decimal(rows: Sequence[Sequence[str]], delimiter: str) -> tuple[str, str]:
    """The decimal mark, and what to say about it."""
    cells = [without_marks(cell.strip()) for row in rows for cell in row if len(cell) < 50]
    points = [cell for cell in cells if _POINT.fullmatch(cell)]
    commas = [cell for cell in cells if _COMMA.fullmatch(cell)]
    sure = [cell for cell in commas if not _THOUSANDS.fullmatch(cell)]
    if not commas or (delimiter == "," and not sure):
        return ".", ""
    if points:
        return ".", f"numbers are written both as {points[0]} and as {commas[0]}: a point is read as decimal mark " + (
            "(set data.decimal)"
        )
    if sure:
        return ",", f"a comma is the decimal mark (as in {sure[0]})"
    return ",", f"a comma is read as decimal mark (as in {commas[0]}: set data.decimal=. where it is thousands)"


def _headless(rows: Sequence[Sequence[str]]) -> bool:
    """Whether some column is a number in the first row and in all others."""
    if len(rows) < 2 or len({len(row) for row in rows}) > 1:
        return False
    columns = zip(*rows, strict=True)
    return any(all(_NUMBER.fullmatch(cell.strip()[:50]) for cell in column) for column in columns)
