"""Errors of forecasts as sums and counts: overall, by step ahead, and by series and target."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from seqlab.types import InputError, Units

BLOCK = 2**18
"""Numbers worked on at a time: 2 MB of float64, which stay in a core's cache from one pass to the next."""

_COUNTED = {
    "mse": "measured",
    "mae": "measured",
    "mape": "nonzero",
    "smape": "measured",
    "mase": "seasonal",
    "scaled_mse": "varying",
    "scaled_mae": "varying",
    "pinball": "measured",
    "crps": "measured",
    "scaled_crps": "varying",
    "coverage": "measured",
    "scaled_width": "varying",
}
"""What each metric is a mean over: the measured values; of these the ones that are not zero, those of series that
change from one season to the next, or those of series that vary at all in training."""
_ROOTS = {"mse": "rmse", "scaled_mse": "scaled_rmse"}
_DISTRIBUTION = ("pinball", "crps", "scaled_crps", "coverage", "scaled_width")


class ForecastErrors:
    """Adds up errors of forecasts, in float64, and keeps none of the forecasts.

    Everything is a sum over what was measured, divided once by how many values that were: a value weighs the same in
    whichever window, batch or series it stands. With truth ``a``, point forecast ``f`` and error ``e = a - f``, in the
    data's own units:

    - ``mse``, ``mae``, ``rmse``: means of ``e**2`` and ``|e|``; the root of the mean over all.
    - ``mape``: mean of ``100 |e| / |a|`` over truths that are not zero (``counts`` says how many).
    - ``smape``: mean of ``200 |e| / (|a| + |f|)``, from 0 to 200, where 0 / 0 is 0.
    - ``mase``: mean of ``|e| / units.seasonal`` (Hyndman and Koehler 2006), without series that never change.
    - ``scaled_mse``, ``scaled_mae``, ``scaled_rmse``: of ``e / units.deviation``, without targets that are constant:
      the same whatever scaling a model was trained with.
    - ``pinball``: mean over the levels ``t`` of ``max(t d, (t - 1) d)``, where ``d`` is the truth less the quantile.
    - ``crps``: the continuous ranked probability score is twice the integral of the pinball loss over all levels
      (Laio and Tamea 2007; Gneiting and Ranjan 2011); here the mean over these levels, each weighed by the room
      between its neighbours (evenly spaced, all weigh alike). An approximation: it knows nothing of what lies beyond
      the outermost levels; with 19 levels from 0.05 to 0.95 it is some 4 % too large for a normal distribution.
      ``scaled_crps`` is the same in deviations.
    - ``coverage_90``: share of truths from the 0.05 to the 0.95 quantile, bounds included (``nominal=0.9``);
      ``scaled_width_90``: mean width of that interval in deviations.

    A point forecast is held against levels as the distribution that puts everything on the point: its ``crps`` is its
    ``mae`` (of levels that are symmetric about 0.5), and its intervals have no width.

    Args:
        units: what came to pass, and the measures of scale.
        levels: ``Q`` ascending levels of the quantiles, in (0, 1); none: points alone are measured.
        nominal: what the interval should cover; its two bounds must be among the levels. None measures no interval.
        labels: the ``K`` names of the targets; numbers where none are given.

    Raises:
        InputError: the levels are none, or hold no such interval.
    """

    def __init__(
        self, units: Units, levels: Sequence[float] = (), nominal: float | None = 0.9, labels: Sequence[str] = ()
    ) -> None:
        self.units, self.levels, self.nominal = units, check_levels(levels) if len(levels) else (), nominal
        K = units.deviation.shape[1]
        assert not labels or len(labels) == K, (labels, K)
        self.names = _names(units.ids, labels or [str(k) for k in range(K)])
        self._bounds = interval(self.levels, nominal) if self.levels and nominal is not None else None
        self._sums: dict[str, _Tally] = {}
        self._counts: dict[str, _Tally] = {}
        self._first: list[tuple[np.ndarray, np.ndarray]] = []
        with np.errstate(divide="ignore"):
            self._per_deviation = np.where(units.deviation > 0, 1.0 / units.deviation, 0.0)
            self._per_season = np.where(units.seasonal > 0, 1.0 / units.seasonal, 0.0)
        if self.levels:
            levels_ = np.asarray(self.levels)
            room = np.gradient(levels_) if len(levels_) > 1 else np.ones(1)
            # pinball and crps, a column each
            self._weights = np.stack([np.full(len(levels_), 1 / len(levels_)), 2 * room / room.sum()], axis=1)

    def add(self, origins: np.ndarray, point: np.ndarray, quantiles: np.ndarray | None = None) -> None:
        """Count some windows.

        Args:
            origins: ``(B,)`` the first row that each forecasts.
            point: ``(B, H, K)`` in the data's own units. NaN where something was measured makes the metrics NaN.
            quantiles: ``(B, H, K, Q)`` at the levels, ascending; None puts everything on the point.
        """
        assert point.ndim == 3, point.shape
        if quantiles is not None:
            assert quantiles.shape == (*point.shape, len(self.levels)), (quantiles.shape, point.shape, self.levels)
        for rows in blocks(len(origins), math.prod(point.shape[1:]) * max(1, len(self.levels))):
            with np.errstate(invalid="ignore", over="ignore"):  # of a training that diverges: it shows as NaN
                self._add(origins[rows], point[rows], None if quantiles is None else quantiles[rows])

    def _add(self, origins: np.ndarray, point: np.ndarray, quantiles: np.ndarray | None) -> None:
        series = self.units.series(origins)
        per_deviation, per_season = self._per_deviation[series], self._per_season[series]  # (B, K)
        actual = np.asarray(self.units.actual(origins), np.float64)
        assert actual.shape == point.shape, (actual.shape, point.shape)
        measured = ~np.isnan(actual)
        truth = np.where(measured, actual, 0.0)
        error = np.where(measured, truth - point, 0.0)  # never the forecast times zero: it may be infinite
        self._first.append((origins.copy(), np.where(measured[:, 0], error[:, 0], np.nan)))

        size, height = np.abs(error), np.abs(truth)
        both = height + np.abs(point)
        nonzero = height > 0
        square = np.square(error)
        self._count("measured", measured, series)
        self._count("nonzero", nonzero, series)
        self._count("seasonal", measured, series, (per_season > 0).astype(np.float64))
        self._count("varying", measured, series, (per_deviation > 0).astype(np.float64))
        self._sum("mse", square, series)
        self._sum("mae", size, series)
        self._sum("mape", np.divide(size, height, out=np.zeros_like(size), where=nonzero), series)
        self._sum("smape", np.divide(size, both, out=np.zeros_like(size), where=size != 0), series)
        self._sum("mase", size, series, per_season)
        self._sum("scaled_mse", square, series, per_deviation**2)
        self._sum("scaled_mae", size, series, per_deviation)
        if self.levels:
            if quantiles is None:
                quantiles = np.broadcast_to(point[..., None], (*point.shape, len(self.levels)))
            self._add_quantiles(series, actual, measured, quantiles, per_deviation)

    def _add_quantiles(
        self,
        series: np.ndarray,
        actual: np.ndarray,
        measured: np.ndarray,
        quantiles: np.ndarray,
        per_deviation: np.ndarray,
    ) -> None:
        # max(t d, (t - 1) d) = (t - 1/2) d + |d| / 2: two products with the weights instead of a loop over levels
        above = actual[..., None] - quantiles
        slopes = self._weights * (np.asarray(self.levels)[:, None] - 0.5)
        scores = above @ slopes + np.abs(above, out=above) @ (0.5 * self._weights)
        pinball, crps = np.where(measured[..., None], scores, 0.0).transpose(3, 0, 1, 2)
        self._sum("pinball", pinball, series)
        self._sum("crps", crps, series)
        self._sum("scaled_crps", crps, series, per_deviation)
        if self._bounds is not None:
            lower, upper = (quantiles[..., bound] for bound in self._bounds)
            self._sum("coverage", (lower <= actual) & (actual <= upper), series)  # never so of a NaN
            self._sum("scaled_width", np.where(measured, upper - lower, 0.0), series, per_deviation)

    def _sum(self, name: str, values: np.ndarray, series: np.ndarray, weights: np.ndarray | None = None) -> None:
        tally = self._sums.setdefault(name, _Tally(self.units.deviation.shape, values.shape[1]))
        tally.add(values, series, weights)

    def _count(self, name: str, values: np.ndarray, series: np.ndarray, weights: np.ndarray | None = None) -> None:
        tally = self._counts.setdefault(name, _Tally(self.units.deviation.shape, values.shape[1]))
        tally.add(values, series, weights)

    def compute(self) -> dict[str, float]:
        """The metrics over everything; NaN where nothing counts (``mape`` of truths that are all zero)."""
        found = self._divide("total")
        return {name: float(value) for name, value in found.items()}

    @property
    def by_step(self) -> dict[str, np.ndarray]:
        """``(H,)`` each metric, by step ahead."""
        return self._divide("steps")

    @property
    def by_series(self) -> dict[str, dict[str, float]]:
        """Each metric by series and target; what does not tell them apart is left out of the names."""
        found = self._divide("cells")
        return {name: dict(zip(self.names, values.ravel().tolist(), strict=True)) for name, values in found.items()}

    @property
    def counts(self) -> dict[str, int]:
        """How many values each metric is a mean over."""
        return {self._public(name): round(self._counts[_COUNTED[name]].total) for name in self._sums}

    @property
    def residuals(self) -> tuple[np.ndarray, np.ndarray]:
        """``(W,)`` origins, ascending, and ``(W, K)`` truth less point one step ahead; NaN where not measured."""
        assert self._first, "residuals before any window"
        origins, errors = (np.concatenate(parts) for parts in zip(*self._first, strict=True))
        order = np.argsort(origins, kind="stable")
        return origins[order], errors[order]

    def _divide(self, part: Literal["total", "steps", "cells"]) -> dict[str, np.ndarray]:
        """Means, their roots, and percentages, under the names that people read."""
        assert self._sums, "metrics before any window"
        found = {}
        for name, tally in self._sums.items():
            count = self._counts[_COUNTED[name]]
            with np.errstate(invalid="ignore", divide="ignore"):
                mean = np.asarray(getattr(tally, part)) / getattr(count, part)
            found[self._public(name)] = mean * {"mape": 100.0, "smape": 200.0}.get(name, 1.0)
            if name in _ROOTS:
                found[_ROOTS[name]] = np.sqrt(mean)
        return found

    def _public(self, name: str) -> str:
        return f"{name}_{100 * (self.nominal or 0):g}" if name in ("coverage", "scaled_width") else name


class _Tally:
    """Sums of one quantity: ``steps`` ``(H,)`` by step ahead, ``cells`` ``(S, K)`` by series and target."""

    def __init__(self, shape: tuple[int, ...], H: int) -> None:
        self.steps, self.cells = np.zeros(H), np.zeros(shape)

    @property
    def total(self) -> float:
        return float(self.cells.sum())

    def add(self, values: np.ndarray, series: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Take in ``values`` ``(B, H, K)`` of the series ``(B,)``, each row times ``weights`` ``(B, K)``."""
        cells = values.sum(1, dtype=np.float64)
        if weights is None:
            self.steps += values.sum((0, 2))
        else:
            self.steps += np.einsum("bhk,bk->h", values, weights)
            cells *= weights
        np.add.at(self.cells, series, cells)


def check_levels(levels: Sequence[float]) -> tuple[float, ...]:
    """The levels of quantiles as they were, if they ascend within (0, 1); InputError if not."""
    found = tuple(float(level) for level in levels)
    if not found or not all(0 < level < 1 for level in found) or sorted(set(found)) != list(found):
        raise InputError(f"levels is {_list(found)}; give levels of quantiles from low to high, each between 0 and 1.")
    return found


def interval(levels: Sequence[float], nominal: float) -> tuple[int, int]:
    """Where among the levels the bounds of the interval stand that should cover the share ``nominal``.

    Raises:
        InputError: ``nominal`` is no share, or a bound is not among the levels.
    """
    if not 0 < nominal < 1:
        raise InputError(f"nominal is {nominal}; give the share that an interval should cover, between 0 and 1.")
    bounds = ((1 - nominal) / 2, (1 + nominal) / 2)
    near = [np.flatnonzero(np.isclose(levels, bound, rtol=0, atol=1e-6)) for bound in bounds]
    if not all(len(found) for found in near):
        raise InputError(
            f"An interval that should cover {100 * nominal:g} % ends at the levels {bounds[0]:g} and {bounds[1]:g}, "
            f"but levels is {_list(levels)}; add both, or set nominal to what two of the levels enclose (null: no "
            "interval)."
        )
    return int(near[0][0]), int(near[1][0])


def blocks(rows: int, size: int) -> Iterator[slice]:
    """Slices of at least one of the ``rows``, together all, where a row holds ``size`` numbers."""
    step = max(1, BLOCK // max(1, size))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def _names(ids: Sequence[str], labels: Sequence[str]) -> list[str]:
    if len(ids) == 1:
        return list(labels)
    if len(labels) == 1:
        return list(ids)
    return [f"{name}/{label}" for name in ids for label in labels]


def _list(levels: Sequence[float]) -> str:
    return "[" + ", ".join(f"{level:g}" for level in levels) + "]"
