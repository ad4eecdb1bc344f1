"""Beyond the end of the data: what a forecast of rows that nobody has measured yet reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from seqlab.data.calendar import continue_times
from seqlab.data.columns import ColumnFile
from seqlab.data.forecast import ForecastData
from seqlab.data.forecast_parts import of_series
from seqlab.data.forecast_units import ForecastUnits
from seqlab.data.forecast_windows import Windows, windows_over
from seqlab.data.regular import brief
from seqlab.data.series import Series
from seqlab.data.times import TimeColumn, learn
from seqlab.errors import shorten
from seqlab.types import InputError


@dataclass(frozen=True)
class Outlook:
    """The windows behind the last row of each series.

    Attributes:
        series: the last rows of each, and ``H`` rows to come, whose times are right and whose values mean nothing.
        windows: one for each series, in their order; targets are NaN. Rows are counted as in ``series`` here.
        units: of ``series`` here.
    """

    series: Series
    windows: Windows
    units: ForecastUnits


def beyond(data: ForecastData, known: np.ndarray | None = None) -> Outlook:
    """What a forecast beyond the end of each series reads; little is copied, however long the series are.

    To look further than ``H`` rows, ask again of ``replace(data, series=extended(data.series, forecasts, known))``.

    Args:
        data: what the model was trained on, or other rows prepared with the same scaling.
        known: ``(S, H, G)``, unscaled, what is known beforehand of the rows to come, in the order of ``Series.ahead``;
            see ``upcoming`` for their times. None where nothing is.

    Raises:
        InputError: a series shorter than one look-back, or known columns that were not given.
    """
    series, lookback, horizon = data.series, data.train.lookback, data.train.horizon
    read = lookback + data.scaling.lost
    if (short := series.stops - series.starts < read).any():
        number = int(short.argmax())
        raise InputError(
            f"a forecast reads {read} rows, but there are {int(series.stops[number] - series.starts[number])}"
            f"{of_series(series.ids[number])}: bring more."
        )
    last = series.values[series.stops - 1, None, : len(series.targets)]
    longer = extended(tail(series, read), np.repeat(last, horizon, axis=1), known)
    origins = longer.starts + read
    # What stands in the rows to come is read by nobody: they are not measured, and look-backs end before them.
    units = ForecastUnits(longer, data.scaling, horizon, data.units.deviation, data.units.seasonal)
    return Outlook(longer, windows_over(longer, data.scaling, origins, lookback, horizon), units)


def extended(series: Series, values: np.ndarray, known: np.ndarray | None = None) -> Series:
    """The same series with ``n`` more rows each, on the same clock, that nobody has measured.

    Args:
        series: one or several.
        values: ``(S, n, K)`` of the targets. Columns that are known only of the past stay as they last were.
        known: ``(S, n, G)``; None where nothing is known beforehand.

    Raises:
        InputError: known columns that were not given, or in another shape.
    """
    count, steps = values.shape[:2]
    ahead = len(series.ahead)
    if known is None and not ahead:
        known = np.zeros((count, steps, 0))
    if known is None or known.shape != (count, steps, ahead):
        given = "nothing was" if known is None else f"what was has the shape {known.shape}"
        raise InputError(
            f"{', '.join(series.ahead) or 'no known column'} must be given of {steps} rows to come of each series "
            f"({count}, {steps}, {ahead}), but {given}."
        )
    clocks = upcoming(series, steps)
    past = np.repeat(series.values[series.stops - 1, None, len(series.targets) :], steps, axis=1)
    measured = np.ones((len(series), len(series.targets)), dtype=bool) if series.measured is None else series.measured
    return replace(
        series,
        times=_joined(series, series.times.astype(np.result_type(series.times, clocks)), clocks),
        values=_joined(series, series.values, np.concatenate([values, past], axis=2)),
        known=_joined(series, series.known, known),
        starts=series.starts + steps * np.arange(count),
        measured=_joined(series, measured, np.zeros((count, steps, len(series.targets)), dtype=bool)),
    )


def upcoming(series: Series, steps: int) -> np.ndarray:
    """``(S, steps)`` datetime64: how the clock of each series goes on behind its last row."""
    return np.stack([continue_times(series.times[stop - 1], series.freq, steps) for stop in series.stops])


def tail(series: Series, rows: int) -> Series:
    """The last ``rows`` of each series."""
    taken = (series.stops[:, None] + np.arange(-rows, 0)).ravel()
    return replace(
        series,
        times=series.times[taken],
        values=series.values[taken],
        known=series.known[taken],
        starts=rows * np.arange(len(series.ids)),
        measured=None if series.measured is None else series.measured[taken],
    )


def _joined(series: Series, rows: np.ndarray, more: np.ndarray) -> np.ndarray:
    """``rows`` ``(N, ...)`` with ``more`` ``(S, n, ...)`` behind those of each series."""
    found = [rows[start:stop] for start, stop in zip(series.starts, series.stops, strict=True)]
    pieces = [piece for pair in zip(found, more.astype(rows.dtype), strict=True) for piece in pair]
    return np.concatenate(pieces)


def read_plans(
    path: str | Path,
    times: np.ndarray,
    ids: Sequence[str],
    names: Sequence[str],
    time_column: Sequence[str],
    id_column: str | None,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> np.ndarray:
    """What a file says of rows to come: ``(S, H, C)`` float32, unscaled. Its other rows are passed over.

    Args:
        path: a file as ``SeriesFile`` reads them, with the columns below.
        times: ``(S, H)`` datetime64: of which rows.
        ids: the ``S`` series.
        names: the ``C`` columns.
        time_column: the columns of times in the data's own file.
        id_column: the same; None where there is a single series.
        options: how the data's own file is written: ``time_format``, ``day_first``, ``delimiter`` and so on.

    Raises:
        InputError: no such file or column, a cell that is no number; a time that is not there, or twice.
    """
    file = _plan_file(Path(path), options)
    words = [*time_column, *([] if id_column is None else [id_column])]
    head = file.head()
    for name in (*words, *names):
        file.column(name, list(head.columns))
    pieces = list(file.pieces(words, names))
    table = pd.concat([words for words, _ in pieces], ignore_index=True)
    numbers = np.concatenate([found for _, found in pieces]).astype(np.float32)
    clock = learn(head, time_column, shorten(path), options.get("time_format"), options.get("day_first"))
    known = _times_of(clock, table, times)
    zone = " UTC" if clock.offsets else ""
    found = np.empty((*times.shape, len(names)), dtype=np.float32)
    for number, each in enumerate(ids):
        own = np.isin(known, times[number])
        if id_column is not None:
            own &= (table[id_column].notna() & (table[id_column].astype(str) == each)).to_numpy()
        rows = pd.Series(np.flatnonzero(own), index=known[own])
        asked = times[number].astype(known.dtype)
        if (again := rows.index.duplicated()).any():
            row = int(rows[again].iloc[0])
            raise InputError(
                f"{path}, {file.place(row)}, speaks of {brief(known[row])}{zone}{of_series(each)} once more: delete "
                "one of the rows."
            )
        if (absent := ~np.isin(times[number], known[own])).any():
            raise InputError(
                f"{path} says nothing of {brief(times[number][absent][0])}{zone}{of_series(each)}: add that row."
            )
        found[number] = numbers[rows.loc[asked].to_numpy()]
        if (empty := np.isnan(found[number])).any():
            step, column = (int(index[0]) for index in np.nonzero(empty))
            raise InputError(
                f"{path} has no number for {names[column]} at {brief(times[number][step])}{zone}{of_series(each)}: "
                "fill it in."
            )
    return found


def _plan_file(path: Path, options: Mapping[str, Any]) -> ColumnFile:
    """A file that is written as the data's own."""
    keys = ("delimiter", "decimal", "thousands", "header", "encoding")
    written = {key: options[key] for key in keys if key in options}
    return ColumnFile(path, **written, na=tuple(str(cell) for cell in options.get("na", ())))


def _times_of(clock: TimeColumn, table: pd.DataFrame, times: np.ndarray) -> np.ndarray:
    """``(N,)`` datetime64[us], read as the data's own are: four digits are a year, unless they count ``times``."""
    found = clock.read(table)[0]
    if not clock.counts and not np.isin(found, times).any():
        counted = replace(clock, way="seconds").read(table)[0]
        return counted if np.isin(counted, times).any() else found
    return found
