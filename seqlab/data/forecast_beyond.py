"""Beyond the end of the data: what a forecast of rows that nobody has measured yet reads."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from seqlab.data.forecast import ForecastData
from seqlab.data.forecast_parts import of_series
from seqlab.data.forecast_units import ForecastUnits
from seqlab.data.forecast_windows import Windows, windows_over
from seqlab.data.series import Series
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
    """What a forecast beyond the end of each series reads; a little copy, whatever the length of the series.

    Args:
        data: what the model was trained on, or other series prepared with the same scaling.
        known: ``(S, H, G)``, unscaled, what is known beforehand of the rows to come, in the order of ``Series.ahead``;
            see ``upcoming`` for their times. None where nothing is.

    Raises:
        InputError: a series shorter than one look-back, or known columns that were not given.
    """
    series, lookback, horizon = data.series, data.train.lookback, data.train.horizon
    count, ahead = len(series.ids), len(series.ahead)
    known = np.zeros((count, horizon, 0), dtype=np.float32) if known is None and not ahead else known
    if known is None or known.shape != (count, horizon, ahead):
        raise InputError(
            f"{', '.join(series.ahead) or 'nothing'} must be given of {horizon} rows to come of {count} series"
            + (", but nothing was." if known is None else f", not numbers in the shape of {known.shape}.")
        )
    needed = lookback + data.scaling.lost
    if (short := series.stops - series.starts < needed).any():
        number = int(short.argmax())
        raise InputError(
            f"a forecast reads {needed} rows, but there are {int(series.stops[number] - series.starts[number])}"
            f"{of_series(series.ids[number])}: bring more."
        )
    rows = series.stops[:, None] + np.arange(-needed, 0)
    repeated = np.concatenate([rows, np.repeat(rows[:, -1:], horizon, axis=1)], axis=1).ravel()
    measured = np.ones((count, needed + horizon, len(series.targets)), dtype=bool)
    measured[:, needed:] = False
    tail = replace(
        series,
        times=np.concatenate([series.times[rows], upcoming(series, horizon)], axis=1).ravel(),
        values=series.values[repeated],
        known=np.concatenate([series.known[rows], known.astype(np.float32)], axis=1).reshape(-1, ahead),
        starts=np.arange(count) * (needed + horizon),
        measured=measured.reshape(-1, len(series.targets)),
    )
    units = ForecastUnits(tail, data.scaling, horizon, data.units.deviation, data.units.seasonal)
    return Outlook(tail, windows_over(tail, data.scaling, tail.starts + needed, lookback, horizon), units)


def upcoming(series: Series, steps: int) -> np.ndarray:
    """``(S, steps)`` datetime64[s]: how the clock of each series goes on behind its last row."""
    offset = to_offset(series.freq)
    times = [
        pd.date_range(pd.Timestamp(series.times[stop - 1]) + offset, periods=steps, freq=offset).values
        for stop in series.stops
    ]
    return np.stack(times).astype("datetime64[s]")
