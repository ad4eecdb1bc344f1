"""Columns and fields of files of texts, found by name, by number, or by a path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqlab.errors import InputError, shorten
from seqlab.schema import did_you_mean

Column = str | int
"""The name of a column, or its number from 1 on where there is no header."""


def named(path: Path, column: Column, names: Sequence[str]) -> int:
    """The place of a column that is named by the header."""
    name = str(column)
    if names.count(name) > 1:
        raise InputError(f"{shorten(path)} has two columns '{shorten(name)}': rename one.")
    if name in names:
        return names.index(name)
    raise InputError(no_column(path, name, names, "the first line has"))


def numbered(path: Path, column: Column, first: Sequence[str]) -> int:
    """The place of a column that is named by its number."""
    if not isinstance(column, int):
        raise InputError(
            f"data.header=false: columns are named by their numbers, from 1 on, not '{shorten(column)}': set "
            "data.text_column=1 data.label_column=2."
        )
    if not 1 <= column <= len(first):
        raise InputError(f"{shorten(path)} has no column {column}: its first line has {len(first)}, counted from 1 on.")
    return column - 1


def field(path: Path, row: Mapping[str, Any], name: str, place: str) -> Any:
    """A value of an object: by its key, or by a path of keys and of numbers from 0 on in lists."""
    if name in row:
        return row[name]
    found: Any = row
    for key in name.split("."):
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isdecimal() and len(key) < 9 and int(key) < len(found):
            found = found[int(key)]
        else:
            raise InputError(no_column(path, name, list(row), f"{place} has"))
    return found


def no_column(path: Path, name: str, known: Sequence[str], where: str) -> str:
    """A sentence about a column that is not there."""
    hint = did_you_mean(name, known).lstrip("; ")
    if not hint or hint.startswith("known"):
        hint = "set data.text_column and data.label_column, or data.header=false where the first line is data."
    listed = ", ".join(f"'{shorten(column, 40)}'" for column in known[:20]) or "none"
    more = f" and {len(known) - 20} more" if len(known) > 20 else ""
    return f"{shorten(path)} has no column '{shorten(name)}' ({where} {listed}{more}): {hint}"
