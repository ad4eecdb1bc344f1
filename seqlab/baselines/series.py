"""The honest floors of forecasting: what needs no network, from the last value to a linear map and an autoregression.

Every forecast from an origin ``o`` reads rows before ``o`` of the origin's own series alone, and whatever is fitted is
fitted to training rows. Naive, seasonal naive and drift are those of Hyndman and Athanasopoulos, Forecasting:
Principles and Practice (3rd edition, 5.2); the linear map is NLinear of Zeng et al. (AAAI 2023), in closed form.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from seqlab.baselines import statistical

log = logging.getLogger(__name__)

Forecaster = Callable[[np.ndarray], np.ndarray]
"""Answers ``(B,)`` origins by ``(B, H, K)`` float64."""

MOST_WINDOWS = 50_000
"""Training windows times columns that the linear map learns from, evenly thinned beyond: more move nothing."""
STRENGTHS = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Ridges that are tried, in units of the variance of the training rows."""
MOST_LAGS = 36
"""An autoregression's lags, unless a season needs more."""
MOST_SEASON = 200
"""A longer season has no lags of its own."""
MOST_ROWS = 50_000
"""Training rows, the last ones, that an autoregression learns from."""
CHUNK = 2**22
"""Numbers of windows that are laid out at once."""


@dataclass(frozen=True)
class History:
    """What floors know: the targets in any one unit, and which rows may be learned from.

    Attributes:
        values: ``(N, K)`` real numbers, none missing, one series after the other.
        starts: ``(S,)`` int64, the row where each series begins; ascending, the first is 0.
        train_stops: ``(S,)`` int64, the row behind the last training row of each series.
        lookback: how many rows before an origin ``linear`` reads, and at most the lags of ``ar``.
        horizon: ``H``, how many rows from the origin on are forecast.
        season: rows from one season to the next; 1 where there is none.
    """

    values: np.ndarray
    starts: np.ndarray
    train_stops: np.ndarray
    lookback: int
    horizon: int
    season: int = 1

    def series(self, origins: np.ndarray) -> np.ndarray:
        """``(B,)``: to which series each of the rows ``origins`` ``(B,)`` belongs."""
        return np.searchsorted(self.starts, origins, side="right") - 1

    def before(self, origins: np.ndarray, count: int) -> np.ndarray:
        """``(B, count, K)`` float64: the rows before each origin; a series too short repeats its first row."""
        first = self.starts[self.series(origins)]
        rows = np.maximum(origins[:, None] + np.arange(-count, 0), first[:, None])
        return self.values[rows].astype(np.float64)


def forecasters(history: History, val_origins: np.ndarray | None = None) -> dict[str, Forecaster]:
    """Every floor that this history allows, fitted, by name; each answers origins that have a row before them.

    ``naive``, ``seasonal_naive`` (with a season), ``drift``, ``linear`` (with at least one training window), ``ar``,
    and what ``statistical.forecasters`` adds.

    Args:
        history: the series.
        val_origins: ``(W,)`` the origins of the validation windows, by whose squared error ``linear`` chooses its
            ridge, the one thing that is taken from behind the training rows.
    """
    result: dict[str, Forecaster] = {"naive": partial(naive, history)}
    if history.season > 1:
        result["seasonal_naive"] = partial(seasonal_naive, history)
    result["drift"] = partial(drift, history)
    if (linear := fit_linear(history, val_origins)) is not None:
        result["linear"] = linear
    result["ar"] = fit_autoregression(history)
    return result | statistical.forecasters(history)


def naive(history: History, origins: np.ndarray) -> np.ndarray:
    """``(B, H, K)``: the last value again and again."""
    return np.repeat(history.before(origins, 1), history.horizon, axis=1)


def seasonal_naive(history: History, origins: np.ndarray) -> np.ndarray:
    """``(B, H, K)``: the last season again and again; all there is, where a whole season is not there yet."""
    season = np.minimum(history.season, origins - history.starts[history.series(origins)])[:, None]
    rows = origins[:, None] - season + np.arange(history.horizon) % season
    return history.values[rows].astype(np.float64)


def drift(history: History, origins: np.ndarray) -> np.ndarray:
    """``(B, H, K)``: the line through the first value of the series and the last before the origin, continued."""
    first = history.starts[history.series(origins)]
    last = history.before(origins, 1)
    steps = np.maximum(origins - 1 - first, 1)[:, None, None]
    slope = (last - history.values[first].astype(np.float64)[:, None]) / steps
    return last + slope * np.arange(1, history.horizon + 1)[:, None]


@dataclass(frozen=True)
class Linear:
    """One linear map from window to horizon, shared by all series and columns.

    Attributes:
        history: what it is asked about.
        scale: ``(S, K)`` standard deviation of the training rows of each series.
        weights: ``(T, H)``: what the differences of the window's first ``T - 1`` values from its last one, over
            ``scale``, say of the differences to come; the last row is the intercept.
        strength: the ridge, one of ``STRENGTHS``.
    """

    history: History
    scale: np.ndarray
    weights: np.ndarray
    strength: float

    def __call__(self, origins: np.ndarray) -> np.ndarray:
        """Forecasts ``(B, H, K)`` from ``origins`` ``(B,)``."""
        T, H = self.weights.shape
        result = np.empty((len(origins), H, self.history.values.shape[1]))
        for part in _chunks(len(origins), (T + H) * result.shape[2]):
            window, last, scale = _windows(self.history, self.scale, origins[part])
            result[part] = last + scale * np.moveaxis(window @ self.weights, 1, 2)
        return result


def fit_linear(history: History, val_origins: np.ndarray | None = None) -> Linear | None:
    """The map of least squares with a ridge, from the windows that lie wholly in training rows; None if there is none.

    The strength of the ridge is the one that forecasts the windows of ``val_origins`` best, in squared error over the
    training deviation. Without any, it is the best of those fitted without the last fifth of the training rows, asked
    about that fifth; where that leaves nothing to fit or to ask, the middle one.
    """
    T = history.lookback
    everything = _origins(history.starts + T, history.train_stops - history.horizon)
    if not len(everything):
        log.warning("no linear floor: no series has %d training rows, a window", T + history.horizon)
        return None
    scale = _deviation(history)
    problem = _Problem.of(history, scale, everything)
    if val_origins is not None and len(val_origins):
        choose, judge = problem, val_origins
    else:
        cuts = history.train_stops - (history.train_stops - history.starts) // 5
        early = _origins(history.starts + T, cuts - history.horizon)
        judge = _origins(np.maximum(cuts, history.starts + T), history.train_stops - history.horizon)
        choose = _Problem.of(history, scale, early)
    strength = STRENGTHS[len(STRENGTHS) // 2]
    if len(judge) and choose.count:
        judged = _Problem.of(history, scale, judge)
        strength = min(STRENGTHS, key=lambda strength: judged.error(choose.solve(strength)))
    return Linear(history, scale, problem.solve(strength), strength)


@dataclass(frozen=True)
class _Problem:
    """Least squares from windows ``X`` ``(W K, T)`` to what followed, ``Y`` ``(W K, H)``, as far as sums tell.

    Attributes:
        count: ``W K``.
        xx: ``X' X`` ``(T, T)``.
        xy: ``X' Y`` ``(T, H)``.
        yy: the sum of squares of ``Y``.
    """

    count: int
    xx: np.ndarray
    xy: np.ndarray
    yy: float

    @classmethod
    def of(cls, history: History, scale: np.ndarray, origins: np.ndarray) -> _Problem:
        """The windows of ``origins``, evenly thinned to ``MOST_WINDOWS``."""
        T, H, K = history.lookback, history.horizon, history.values.shape[1]
        most = max(MOST_WINDOWS // K, 1)
        if len(origins) > most:
            origins = origins[np.linspace(0, len(origins) - 1, most).astype(np.int64)]
        xx, xy, yy = np.zeros((T, T)), np.zeros((T, H)), 0.0
        for part in _chunks(len(origins), (T + H) * K):
            window, last, deviation = _windows(history, scale, origins[part])
            rows = origins[part, None] + np.arange(H)
            future = np.moveaxis((history.values[rows] - last) / deviation, 1, 2).reshape(-1, H)
            window = window.reshape(-1, T)
            xx += window.T @ window
            xy += window.T @ future
            yy += float((future**2).sum())
        return cls(len(origins) * K, xx, xy, yy)

    def solve(self, strength: float) -> np.ndarray:
        """``(T, H)`` weights; all but the intercept are drawn to zero."""
        ridge = np.full(len(self.xx), strength * self.count)
        ridge[-1] = 0
        return np.linalg.solve(self.xx + np.diag(ridge), self.xy)

    def error(self, weights: np.ndarray) -> float:
        """Sum of squared errors of ``weights``."""
        return float(((self.xx @ weights - 2 * self.xy) * weights).sum()) + self.yy


def _windows(history: History, scale: np.ndarray, origins: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the linear map reads, ``(B, K, T)``, with the last values and deviations that lead back, ``(B, 1, K)``.

    The last value's difference from itself says nothing: the one that the intercept needs takes its place.
    """
    deviation = scale[history.series(origins), None]
    values = history.before(origins, history.lookback)
    last = values[:, -1:]
    window = np.ascontiguousarray(np.moveaxis((values - last) / deviation, 1, 2))
    window[:, :, -1] = 1
    return window, last, deviation


def _deviation(history: History) -> np.ndarray:
    """``(S, K)`` standard deviation of the training rows of each series; 1 where they are all the same."""
    spans = zip(history.starts, history.train_stops, strict=True)
    # Column by column, for the deviation of all at once would take as much memory again as they do.
    scale = np.array(
        [[column.std(dtype=np.float64) for column in history.values[start:stop].T] for start, stop in spans]
    )
    return np.where(scale > 0, scale, 1.0)


def _origins(starts: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """All rows from ``starts[s]`` to ``lasts[s]``, both included, of every series ``s``."""
    spans = [np.arange(start, last + 1) for start, last in zip(starts, lasts, strict=True)]
    return np.concatenate([np.empty(0, np.int64), *spans])


def _chunks(count: int, size: int) -> list[slice]:
    """Slices of ``count`` rows of ``size`` numbers each, at most ``CHUNK`` numbers at a time."""
    step = max(CHUNK // size, 1)
    return [slice(start, start + step) for start in range(0, count, step)]


@dataclass(frozen=True)
class Autoregression:
    """An AR(p) for every series and column, each of its own order, applied to its own forecasts.

    Attributes:
        history: what it is asked about.
        coefficients: ``(S, P, K)``, of the oldest lag first; zero beyond an order.
        constants: ``(S, K)``.
    """

    history: History
    coefficients: np.ndarray
    constants: np.ndarray

    def __call__(self, origins: np.ndarray) -> np.ndarray:
        """Forecasts ``(B, H, K)`` from ``origins`` ``(B,)``."""
        series, P = self.history.series(origins), self.coefficients.shape[1]
        coefficients, constants = self.coefficients[series], self.constants[series]
        values = np.empty((len(origins), P + self.history.horizon, self.history.values.shape[1]))
        values[:, :P] = self.history.before(origins, P)
        for step in range(self.history.horizon):
            values[:, P + step] = constants + np.einsum("bpk,bpk->bk", values[:, step : P + step], coefficients)
        return values[:, P:]


def fit_autoregression(history: History) -> Autoregression:
    """Least squares on the training rows, the order by Akaike's criterion (see ``fit_ar``)."""
    K, season = history.values.shape[1], history.season
    most = min(history.lookback, max(MOST_LAGS, season + 1) if season <= MOST_SEASON else MOST_LAGS)
    coefficients, constants = np.zeros((len(history.starts), most, K)), np.zeros((len(history.starts), K))
    for series, (start, stop) in enumerate(zip(history.starts, history.train_stops, strict=True)):
        rows = history.values[max(start, stop - MOST_ROWS) : stop].astype(np.float64)
        for column in range(K):
            constants[series, column], found = fit_ar(rows[:, column], most)
            coefficients[series, most - len(found) :, column] = found
    return Autoregression(history, coefficients, constants)


def fit_ar(values: np.ndarray, most: int) -> tuple[float, np.ndarray]:
    """The constant and the ``(p,)`` coefficients, of the oldest lag first, of the AR(p) of ``values`` ``(n,)``.

    ``p``, from none to ``most`` (and to a quarter of ``n``), is the one of the least ``n log(RSS / n) + 2 (p + 1)``,
    all counted on the same rows. One QR decomposition tells the sum of squares that each order leaves: with the lags
    in order of their age and the value itself as last column, it is what that column of R holds below its row ``p``.
    """
    mean, deviation = float(values.mean()), float(values.std())
    most = min(most, len(values) // 4)
    if not deviation or not most:
        return mean, np.empty(0)
    scaled = (values - mean) / deviation

    windows = sliding_window_view(scaled, most + 1)
    design = np.column_stack((np.ones(len(windows)), windows[:, -2::-1], windows[:, -1]))
    left = np.asarray(np.linalg.qr(design, mode="r"))[1:, -1] ** 2
    left = left[::-1].cumsum()[::-1][: most + 1]
    # Below this, what is left of a series without noise is rounding, which must not buy lags.
    noise = np.maximum(left / len(windows), 1e-20)
    order = int((len(windows) * np.log(noise) + 2 * np.arange(1, most + 2)).argmin())

    windows = sliding_window_view(scaled, order + 1)
    design = np.column_stack((windows[:, :-1], np.ones(len(windows))))
    solution = np.linalg.lstsq(design, windows[:, -1], rcond=None)[0]
    coefficients, constant = solution[:-1], solution[-1]
    return float(mean * (1 - coefficients.sum()) + deviation * constant), coefficients
