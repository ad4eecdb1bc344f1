"""From scaled forecasts back to the units of the data, and how far those lie apart."""

from __future__ import annotations

import logging

import numpy as np

from seqlab.data.forecast_parts import of_series
from seqlab.data.scaling import Scaling
from seqlab.data.series import Series, Slice
from seqlab.types import InputError

log = logging.getLogger(__name__)

_ROUNDING = 1e-6  # of the standard deviation: smaller seasonal differences are those of rounded numbers


class ForecastUnits:
    """``seqlab.types.Units`` of series: leads scaled forecasts back, and knows what came to pass.

    Args:
        series: as it was read.
        scaling: that has learned from its training part.
        horizon: ``H``.
        deviation: ``(S, K)``, see ``spread``.
        seasonal: ``(S, K)``, see ``spread``.
    """

    def __init__(
        self, series: Series, scaling: Scaling, horizon: int, deviation: np.ndarray, seasonal: np.ndarray
    ) -> None:
        self.ids, self.deviation, self.seasonal = series.ids, deviation, seasonal
        self._series, self._scaling, self._horizon = series, scaling, horizon

    @property
    def monotone(self) -> bool:
        """Whether quantiles can be led back: not where differences add up over the horizon."""
        return self._scaling.monotone(self._horizon)

    def series(self, origins: np.ndarray) -> np.ndarray:
        """``(B,)`` int64: to which of the series each of the rows ``origins`` ``(B,)`` belongs."""
        return self._series.starts.searchsorted(origins, side="right") - 1

    def actual(self, origins: np.ndarray) -> np.ndarray:
        """``(B, H, K)`` float64: what came to pass from each origin on, NaN where nothing was measured."""
        rows = np.asarray(origins)[:, None] + np.arange(self._horizon)
        values = self._targets(rows)
        if self._series.measured is not None:
            values[~self._series.measured[rows]] = np.nan
        return values

    def original(self, values: np.ndarray, origins: np.ndarray) -> np.ndarray:
        """Scaled forecasts ``(B, H, K, ...)``, ascending functions of the data, in the data's own units, float64.

        Raises:
            InputError: quantiles (further axes) where ``monotone`` is False.
        """
        history = self._targets(np.asarray(origins)[:, None] + np.arange(-self._scaling.lost, 0))
        return self._scaling.inverse(values, history, self.series(origins))

    def _targets(self, rows: np.ndarray) -> np.ndarray:
        """``(..., K)`` float64 of rows ``(...)``."""
        return self._series.values[:, : len(self._series.targets)][rows].astype(np.float64)


def spread(train: Slice, season: int) -> tuple[np.ndarray, np.ndarray]:
    """How far values lie apart in the training part, of what was measured: two ``(S, K)``, float64.

    The first is the standard deviation (of the population, as scikit-learn's ``StandardScaler``), the second the mean
    absolute difference to the value one season before, the scale of MASE (Hyndman and Koehler 2006). The second is 0
    of data that repeat exactly, but for rounding. Both are 0 of a target that never changes in one of several series.

    Raises:
        InputError: a target that never changes in any series, or nothing that is one season apart.
    """
    series, targets = train.series, train.series.targets
    deviation, seasonal = np.zeros((2, len(series.ids), len(targets)))
    still: list[tuple[int, str]] = []
    for number, (start, stop) in enumerate(zip(train.starts.tolist(), train.stops.tolist(), strict=True)):
        for target, label in enumerate(targets):
            where = label + of_series(series.ids[number])
            values = series.values[start:stop, target].astype(np.float64)
            if series.measured is not None:
                values[~series.measured[start:stop, target]] = np.nan
            measured = values[~np.isnan(values)]
            if len(measured) == 0 or measured.min() == measured.max():
                still.append((target, where))
                continue
            apart = np.abs(values[season:] - values[:-season])
            if np.isnan(apart).all():
                raise InputError(
                    f"data.season={season} needs measured values one season apart, but the training part of {where} "
                    f"has none in its {stop - start} rows: shorten the season, or lengthen the part."
                )
            deviation[number, target], seasonal[number, target] = measured.std(), np.nanmean(apart)
    for target, where in still:
        if not deviation[:, target].any():
            raise InputError(
                f"{where} never changes in the training part, so errors cannot be compared with its spread: remove it "
                "from data.targets, or give the training part more rows."
            )
    if still:
        log.warning(
            "%d of %d series never change in the training part, the first is %s: they are scaled by 1 and left out of "
            "the scaled metrics",
            len(still),
            deviation.size,
            still[0][1],
        )
    return deviation, np.where(seasonal <= _ROUNDING * deviation, 0.0, seasonal)
