"""How results reach a person's terminal or another program: tables without markup, JSON that every parser reads."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text


class PlainTable:
    """A table whose cells, headers and title are shown exactly as they are given.

    rich reads ``[bold]`` and ``:smile:`` in strings as markup; texts, labels and paths of users may hold both.

    Args:
        columns: headers, or rich ``Column`` objects whose headers are shown as they are.
        title: shown above.
        footer: whether the columns' footers are shown.
    """

    def __init__(self, *columns: str | Column, title: str | None = None, footer: bool = False) -> None:
        made = [Column(Text(one)) if isinstance(one, str) else _as_text(one) for one in columns]
        self.title = None if title is None else Text(title)
        self.table = Table(*made, show_footer=footer)

    def add_row(self, *cells: str, style: str | None = None) -> None:
        """Add one row of plain strings."""
        self.table.add_row(*(Text(cell) for cell in cells), style=style)

    def print(self, width_in_file: int | None = None) -> None:
        """Write it to standard output, ``width_in_file`` characters wide where that is no terminal."""
        console = Console(width=None if sys.stdout.isatty() else width_in_file)
        if self.title is not None and self.title.cell_len > console.measure(self.table).maximum:
            console.print(self.title, soft_wrap=True)  # rich would break it, and the path in it, into short lines
        else:
            self.table.title = self.title
        console.print(self.table)


def _as_text(column: Column) -> Column:
    if isinstance(column.header, str):
        column.header = Text(column.header)
    if isinstance(column.footer, str):
        column.footer = Text(column.footer)
    return column


def json_text(value: Any, indent: int | None = None) -> str:
    """Strict JSON: NaN and infinities, which JSON does not have, become null; NumPy numbers become numbers."""
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False, indent=indent)


def plain(value: Any) -> Any:
    """``value`` as JSON types: mappings, lists, strings (times in ISO 8601), finite numbers, true, false and null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, str) or value is None:
        return value
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:  # a NumPy or torch number
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bool | int):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    return str(value)
