"""Which columns of a file are forecast, which are left out and why, and whether those can be forecast."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from seqlab.data.columns import ColumnFile
from seqlab.data.facts import Facts
from seqlab.data.forecast_parts import of_series
from seqlab.data.regular import Rows
from seqlab.data.times import look_like_times
from seqlab.errors import InputError, shorten

_COARSE = 1e-5  # of the largest magnitude: a smaller deviation leaves fewer than two of the seven digits kept
_NAMED = 5  # columns that a line of the log names


def names_of(given: Sequence[str | int] | str | int | None) -> tuple[str, ...]:
    """Columns as an option names them: a number is the name that reads so."""
    if given is None or given == "":
        return ()
    return (str(given),) if isinstance(given, (str, int)) else tuple(str(name) for name in given)


def refuse_uncounted_times(file: ColumnFile, head: pd.DataFrame, used: Collection[str]) -> None:
    """Refuse to count the rows of a file that has a column of times, unless that was asked for.

    Raises:
        InputError: it has one.
    """
    for name in head.columns:
        if name in used or has_numbers(file, head[name]) or not head[name].notna().all():
            continue
        if look_like_times(head[name], str(file.path)):
            raise InputError(
                f"{shorten(file.path)} has times in column '{shorten(name)}': set data.time_column={shorten(name)}, or "
                "data.time_column='' to count the rows instead."
            )


def choose_targets(file: ColumnFile, head: pd.DataFrame, used: Collection[str]) -> tuple[tuple[str, ...], str]:
    """All columns of numbers that have no other part, and what was left out and why, as a clause; may be empty.

    Raises:
        InputError: there is none.
    """
    left = [name for name in head.columns if name.strip() and name not in used]
    targets = tuple(name for name in left if has_numbers(file, head[name]))
    others = [_first_word(file, head, name) for name in left if name not in targets]
    said = "; ".join(others[:_NAMED]) + ("; ..." if len(others) > _NAMED else "")
    if not targets:
        raise InputError(
            f"{shorten(file.path)} has no column of numbers left to forecast{f' ({said})' if said else ''}: mend the "
            "cells, set data.thousands, data.decimal or data.na, or name columns in data.targets."
        )
    return targets, said


def has_numbers(file: ColumnFile, cells: pd.Series) -> bool:
    """Whether any cell is a number, so that the others must be: or all are empty, and tell nothing yet."""
    if cells.dtype.kind == "M" or isinstance(cells.dtype, pd.DatetimeTZDtype):
        return False
    return bool(cells.isna().all() or file.as_numbers(cells).notna().any())


def _first_word(file: ColumnFile, head: pd.DataFrame, name: str) -> str:
    cells = head[name]
    row = int(cells.notna().to_numpy().argmax())
    return f"'{shorten(name, 40)}' is '{shorten(cells.iloc[row], 40)}' in {file.place(row)}, which is no number"


def check_targets(rows: Rows, facts: Facts, count: int) -> None:
    """Refuse targets that nothing can be learned of.

    Args:
        rows: whose first ``count`` columns are targets.
        facts: of their columns.
        count: of targets.

    Raises:
        InputError: one row alone; a target without numbers, always the same, or of which float32 keeps too little.
    """
    if len(rows) == 1:
        raise InputError(f"{rows.path} has one row only, and a forecast is learned from many: give it more.")
    for column, name in enumerate(rows.names[:count]):
        low, high = facts.low[column], facts.high[column]
        if np.isnan(low):
            raise InputError(f"{rows.path}: target '{name}' holds no number at all: remove it from data.targets.")
        if low == high:
            raise InputError(
                f"{rows.path}: target '{name}' is {low:g} in every row, so there is nothing to forecast: remove it "
                "from data.targets (or move it to data.past)."
            )
        if facts.exact[column]:
            continue
        deviation, level = _spread(rows.numbers[:, column], rows.starts)
        # One of several series may well be always the same: scaling says so.
        coarse = (deviation < _COARSE * level) & ((deviation > 0) | (len(level) == 1))
        if coarse.any():
            number = int(coarse.argmax())
            raise InputError(
                f"{rows.path}: target '{name}'{of_series(rows.ids[number])} varies too little for the seven digits "
                f"that are kept of its level {level[number]:.3g}: subtract a constant from the column first."
            )


def _spread(column: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviation and greatest magnitude ``(S,)`` of each series in ``(N,)``, without what is missing."""
    values = column.astype(np.float64)
    there = ~np.isnan(values)
    counts = np.maximum(np.add.reduceat(there.astype(np.int64), starts), 1)
    means = np.add.reduceat(np.where(there, values, 0), starts) / counts
    level = np.maximum.reduceat(np.where(there, np.abs(values), 0), starts)
    values -= np.repeat(means, np.diff(np.append(starts, len(values))))
    return np.sqrt(np.add.reduceat(np.where(there, values, 0) ** 2, starts) / counts), level
