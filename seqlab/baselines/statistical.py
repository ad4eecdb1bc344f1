"""Exponential smoothing and seasonal ARIMA as floors; they need the extra ``stats`` (statsmodels).

Parameters are estimated on the training rows alone. Then each model reads on, row after row, with these parameters,
and forecasts from the state that it has at each origin.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from seqlab.baselines.series import Forecaster, History

log = logging.getLogger(__name__)

MOST_ROWS = 5000
"""Rows of all series together: these models are for small data."""
MOST_COLUMNS = 10
"""Series times columns; each of them is a model."""
MOST_LEARNED = 1000
"""Training rows, the last ones, that seasonal ARIMA is estimated on: seconds, where all would be minutes."""
MOST_SEASON = 24
"""A longer season makes a state so wide that estimation takes minutes; it is left out of the models."""

Column = Callable[[np.ndarray], np.ndarray]
"""Answers ``(B,)`` origins, counted from the beginning of one series, by ``(B, H)`` forecasts of one column."""


def forecasters(history: History) -> dict[str, Forecaster]:
    """``ets`` and ``sarima``, fitted to each series and column alone; none without statsmodels, or of large data."""
    try:
        import statsmodels.tsa.api  # noqa: F401
    except ImportError:
        log.info('no ets and no sarima floor: they need statsmodels (pip install "seqlab[stats]")')
        return {}
    N, K = history.values.shape
    if N > MOST_ROWS or len(history.starts) * K > MOST_COLUMNS:
        log.info("no ets and no sarima floor: they are for %d rows and %d columns at most", MOST_ROWS, MOST_COLUMNS)
        return {}
    result = {}
    for name, fit in {"ets": fit_ets, "sarima": fit_sarima}.items():
        try:
            result[name] = _of_each(history, fit)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
            log.warning("no %s floor: statsmodels could not fit it (%s)", name, error)
    return result


def _of_each(history: History, fit: Callable[[np.ndarray, int, int, int], Column]) -> Forecaster:
    stops = np.append(history.starts[1:], len(history.values))
    columns = [
        [
            fit(values, int(train_stop - start), history.horizon, history.season)
            for values in history.values[start:stop].astype(np.float64).T.copy()
        ]
        for start, stop, train_stop in zip(history.starts, stops, history.train_stops, strict=True)
    ]

    def forecast(origins: np.ndarray) -> np.ndarray:
        result = np.empty((len(origins), history.horizon, history.values.shape[1]))
        which = history.series(origins)
        for series in np.unique(which):
            asked = which == series
            local = origins[asked] - history.starts[series]
            result[asked] = np.stack([column(local) for column in columns[series]], axis=2)
        return result

    return forecast


@dataclass(frozen=True)
class Smoothing:
    """Exponential smoothing with an additive trend, damped or not, and an additive or multiplicative season, if any.

    In the words of Hyndman and Athanasopoulos (Forecasting: Principles and Practice, 3rd edition, 8.2 and 8.3), where
    ``b*`` is their beta star.

    Attributes:
        alpha: of the level.
        beta: ``b*``, of the trend.
        gamma: of the season.
        phi: the damping of the trend; 1 is none.
        level: before the first row.
        trend: before the first row.
        seasons: ``(m,)`` of the first ``m`` rows; empty without a season.
        multiplicative: whether the season is a factor.
    """

    alpha: float
    beta: float
    gamma: float
    phi: float
    level: float
    trend: float
    seasons: np.ndarray
    multiplicative: bool

    def states(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Levels ``(n + 1,)``, trends ``(n + 1,)`` and seasons ``(n + 1, m)`` before each of ``values`` ``(n,)``.

        The season of row ``t`` is kept in column ``t mod m``. There is a last state, behind the last row.
        """
        n, m = len(values), max(len(self.seasons), 1)
        levels, trends = np.empty(n + 1), np.empty(n + 1)
        neutral = np.full(1, float(self.multiplicative))
        seasons = np.tile(self.seasons if len(self.seasons) else neutral, (n + 1, 1))
        levels[0], trends[0] = self.level, self.trend
        for t, value in enumerate(values):
            trend, season = self.phi * trends[t], seasons[t, t % m]
            expected = levels[t] + trend
            deseasoned = value / season if self.multiplicative else value - season
            levels[t + 1] = self.alpha * deseasoned + (1 - self.alpha) * expected
            trends[t + 1] = self.beta * (levels[t + 1] - levels[t]) + (1 - self.beta) * trend
            seasons[t + 1] = seasons[t]
            if len(self.seasons):
                detrended = value / expected if self.multiplicative else value - expected
                seasons[t + 1, t % m] = self.gamma * detrended + (1 - self.gamma) * season
        return levels, trends, seasons


def fit_ets(values: np.ndarray, train: int, horizon: int, season: int) -> Column:
    """Holt-Winters where there is a season, multiplicative if the training values are positive; else no season.

    With a season there is a trend, not damped. Without one, whether there is a trend and whether it is damped is what
    the corrected criterion of Akaike says. (statsmodels' own forecasts of a season whose last row has been read leave
    out what that row said of it; these do not.)

    Args:
        values: ``(n,)`` the whole series.
        train: how many of them may be learned from.
        horizon: ``H``.
        season: rows from one season to the next.
    """
    from statsmodels.tsa.holtwinters import ExponentialSmoothing

    known = values[:train]
    seasonal: str | None = None
    trends: list[tuple[str | None, bool]] = [(None, False), ("add", False), ("add", True)]
    if _has_season(season, train):
        seasonal, trends = "mul" if known.min() > 0 else "add", [("add", False)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of optimisers: what they found is judged by its forecasts
        fits = [
            ExponentialSmoothing(
                known,
                trend=trend,
                damped_trend=damped,
                seasonal=seasonal,
                seasonal_periods=season if seasonal else None,
            ).fit()
            for trend, damped in trends
        ]
    model = smoothing(min(fits, key=lambda fit: fit.aicc))
    levels, slopes, seasons = model.states(values)
    damping = model.phi ** np.arange(1, horizon + 1)

    def forecast(origins: np.ndarray) -> np.ndarray:
        ahead = levels[origins, None] + slopes[origins, None] * damping.cumsum()
        steps = (origins[:, None] + np.arange(horizon)) % seasons.shape[1]
        factors = seasons[origins[:, None], steps]
        return ahead * factors if model.multiplicative else ahead + factors

    return forecast


def smoothing(fitted: Any) -> Smoothing:
    """What statsmodels found, as results of its ``ExponentialSmoothing``."""
    found, kind = fitted.params, fitted.model
    seasonal = kind.seasonal is not None
    return Smoothing(
        alpha=float(found["smoothing_level"]),
        beta=float(found["smoothing_trend"]) if kind.trend else 0.0,
        gamma=float(found["smoothing_seasonal"]) if seasonal else 0.0,
        phi=float(found["damping_trend"]) if kind.damped_trend else 1.0,
        level=float(found["initial_level"]),
        trend=float(found["initial_trend"]) if kind.trend else 0.0,
        seasons=np.asarray(found["initial_seasons"], np.float64) if seasonal else np.empty(0),
        multiplicative=kind.seasonal == "mul",
    )


def fit_sarima(values: np.ndarray, train: int, horizon: int, season: int) -> Column:
    """The airline model (0, 1, 1)(0, 1, 1)_m of Box and Jenkins where there is a season, else an ARIMA(p, 1, q).

    With a season and positive training values it is a model of logarithms, and a forecast is the exponential of theirs:
    the median, not the mean. Without a season, ``p`` and ``q`` up to 2 are what Akaike's criterion says.

    Args:
        values: ``(n,)`` the whole series.
        train: how many of them may be learned from; the last ``MOST_LEARNED`` of them are.
        horizon: ``H``.
        season: rows from one season to the next.
    """
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    orders: list[dict[str, Any]]
    if seasonal := _has_season(season, train):
        orders = [{"order": (0, 1, 1), "seasonal_order": (0, 1, 1, season)}]
    else:
        orders = [{"order": order} for order in ((0, 1, 1), (1, 1, 0), (1, 1, 1), (2, 1, 1), (1, 1, 2), (2, 1, 2))]
    logs = bool(seasonal and values[:train].min() > 0)
    if logs:  # a value without a logarithm, behind the training rows, is read as one that is missing
        values = np.log(np.where(values > 0, values, np.nan))
    known = values[max(train - MOST_LEARNED, 0) : train]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits = [SARIMAX(known, **order).fit(disp=False) for order in orders]
        best = min(range(len(fits)), key=lambda which: fits[which].aic)
        model = SARIMAX(values, **orders[best])
        states = model.filter(fits[best].params).filter_results.predicted_state.T.copy()
    # Nothing in these models changes with time: what they expect is read off the state before the origin.
    transition, design = model.ssm["transition"].T.copy(), model.ssm["design"][0].copy()

    def forecast(origins: np.ndarray) -> np.ndarray:
        state, result = states[origins], np.empty((len(origins), horizon))
        for step in range(horizon):
            result[:, step] = state @ design
            state = state @ transition
        return np.exp(result) if logs else result

    return forecast


def _has_season(season: int, train: int) -> bool:
    """Whether the models know a season of which the training rows must show three."""
    return 1 < season <= MOST_SEASON and train >= 3 * season
