"""Blank rows at the end of a file, which spreadsheets and editors leave there: they are no rows."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

_MOST = 1 << 22  # blank rows that are held back; a sheet of a spreadsheet has a quarter of that

Row = TypeVar("Row")


def without_blank_end(
    rows: Iterable[tuple[int, Row]], is_blank: Callable[[Row], bool], blank: Row
) -> Iterator[tuple[int, Row]]:
    """Numbered rows without the blank ones at the end; blank ones between others stay.

    Args:
        rows: rows with their line numbers.
        is_blank: whether a row holds nothing.
        blank: what a blank row that stays is given out as.
    """
    held = array("q")
    for number, row in rows:
        if is_blank(row) and len(held) < _MOST:
            held.append(number)
            continue
        for before in held:
            yield before, blank
        del held[:]
        yield number, row
