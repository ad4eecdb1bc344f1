"""Exponential smoothing and seasonal ARIMA: read on with fixed parameters, without a look at the future."""

import csv
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from seqlab.baselines import series, statistical
from seqlab.baselines.series import History

SEASON = 4


def wave(rows, columns=1, *, level=50.0, seed=0):
    """A trend, a season and some noise, ``(rows, columns)``."""
    rng = np.random.default_rng(seed)
    steps = np.arange(rows)[:, None]
    return level + 0.3 * steps + 8 * np.sin(2 * np.pi * steps / SEASON) + rng.normal(size=(rows, columns))


def test_without_statsmodels_there_are_no_such_floors_and_no_error(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("statsmodels")] + [
        "statsmodels",
        "statsmodels.tsa.api",
    ]:
        monkeypatch.setitem(sys.modules, name, None)
    history = History(wave(60), np.array([0]), np.array([40]), 8, 3, SEASON)
    assert statistical.forecasters(history) == {}
    assert set(series.forecasters(history)) == {"naive", "seasonal_naive", "drift", "linear", "ar"}


class TestWithStatsmodels:
    @pytest.fixture(autouse=True)
    def _installed(self):
        pytest.importorskip("statsmodels", reason="the extra stats is not installed")

    def test_large_data_are_left_alone(self, monkeypatch):
        history = History(wave(60, 2), np.array([0]), np.array([40]), 8, 3, SEASON)
        assert set(statistical.forecasters(history)) == {"ets", "sarima"}
        monkeypatch.setattr(statistical, "MOST_COLUMNS", 1)
        assert statistical.forecasters(history) == {}
        monkeypatch.undo()
        monkeypatch.setattr(statistical, "MOST_ROWS", 59)
        assert statistical.forecasters(history) == {}

    @pytest.mark.parametrize("season", [1, SEASON])
    @pytest.mark.parametrize("level", [50.0, 0.0], ids=["positive", "of either sign"])
    def test_no_forecast_changes_with_what_comes_after_its_origin_or_with_another_series(self, level, season):
        values = wave(120, level=level)
        starts, train_stops, origins = np.array([0, 60]), np.array([40, 100]), np.array([48, 105])

        def forecasts(values):
            fitted = statistical.forecasters(History(values, starts, train_stops, 8, 3, season))
            return {name: forecast(origins) for name, forecast in fitted.items()}

        before = forecasts(values)
        assert set(before) == {"ets", "sarima"}
        changed = values.copy()
        changed[48:60] = 1e4
        changed[105:] = -1e4
        for name, answers in forecasts(changed).items():
            assert answers.shape == (2, 3, 1)
            np.testing.assert_array_equal(answers, before[name], err_msg=name)
        other = values.copy()
        other[:60] *= 2
        for name, answers in forecasts(other).items():
            np.testing.assert_array_equal(answers[1], before[name][1], err_msg=name)

    def test_they_know_trend_and_season(self):
        values = wave(150)
        history = History(values, np.array([0]), np.array([100]), 8, 6, SEASON)
        origins = np.arange(100, 145)
        truth = values[origins[:, None] + np.arange(6)]
        naive = ((series.seasonal_naive(history, origins) - truth) ** 2).mean()
        for name, forecast in statistical.forecasters(history).items():
            assert ((forecast(origins) - truth) ** 2).mean() < 0.8 * naive, name

    @pytest.mark.parametrize(("trend", "damped"), [(None, False), ("add", False), ("add", True)])
    @pytest.mark.parametrize("seasonal", [None, "add", "mul"])
    def test_smoothing_says_what_statsmodels_says(self, trend, damped, seasonal):
        from statsmodels.tsa.holtwinters import ExponentialSmoothing

        values = wave(48)[:, 0]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted = ExponentialSmoothing(
                values,
                trend=trend,
                damped_trend=damped,
                seasonal=seasonal,
                seasonal_periods=SEASON if seasonal else None,
            ).fit()
        model = statistical.smoothing(fitted)
        levels, trends, seasons = model.states(values)
        rows = np.arange(len(values) + 1)
        expected, season = levels + model.phi * trends, seasons[rows, rows % seasons.shape[1]]
        expected = expected * season if seasonal == "mul" else expected + season
        np.testing.assert_allclose(expected[:-1], fitted.fittedvalues, rtol=1e-9)
        np.testing.assert_allclose(expected[-1], fitted.forecast(1)[0], rtol=1e-9)

    @pytest.mark.parametrize("season", [1, SEASON])
    def test_ets_forecasts_many_steps_as_statsmodels_does(self, season):
        from statsmodels.tsa.holtwinters import ExponentialSmoothing

        values = wave(50)[:, 0]
        answers = statistical.fit_ets(values, 50, 9, season)(np.array([50]))[0]
        kinds = [("add", False)] if season > 1 else [(None, False), ("add", False), ("add", True)]
        seasonal = {"seasonal": "mul", "seasonal_periods": season} if season > 1 else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fits = [
                ExponentialSmoothing(values, trend=trend, damped_trend=damped, **seasonal).fit()
                for trend, damped in kinds
            ]
        best = min(fits, key=lambda fit: fit.aicc)
        expected = best.forecast(9)
        if season > 1:  # the season of the last row read: statsmodels forgets what that row said of it
            gamma, last = best.params["smoothing_seasonal"], np.asarray(best.season)
            assert gamma > 0
            again = np.arange(season - 1, 9, season)
            expected[again] *= last[-1] / last[-1 - season]
        np.testing.assert_allclose(answers, expected, rtol=1e-9)

    @pytest.mark.parametrize("season", [1, SEASON])
    def test_sarima_forecasts_as_statsmodels_does_from_every_origin(self, season):
        from statsmodels.tsa.statespace.sarimax import SARIMAX

        values = wave(60)[:, 0]
        origins = np.array([40, 47, 60])
        answers = statistical.fit_sarima(values, 40, 6, season)(origins)
        known = np.log(values) if season > 1 else values
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if season > 1:
                fits = [SARIMAX(known[:40], order=(0, 1, 1), seasonal_order=(0, 1, 1, season)).fit(disp=False)]
            else:
                orders = ((0, 1, 1), (1, 1, 0), (1, 1, 1), (2, 1, 1), (1, 1, 2), (2, 1, 2))
                fits = [SARIMAX(known[:40], order=order).fit(disp=False) for order in orders]
            best = min(fits, key=lambda fit: fit.aic)
            for origin, answer in zip(origins, answers, strict=True):
                expected = best.apply(known[:origin]).forecast(6)
                np.testing.assert_allclose(answer, np.exp(expected) if season > 1 else expected, rtol=1e-7)

    def test_a_value_without_a_logarithm_is_passed_over(self):
        values = wave(60)[:, 0]
        values[50] = -3
        answers = statistical.fit_sarima(values, 40, 2, SEASON)(np.array([50, 51, 58]))
        assert np.isfinite(answers).all()
        assert (answers > 0).all()

    def test_a_series_that_never_changes_is_no_error(self):
        history = History(np.full((60, 1), 5.0), np.array([0]), np.array([40]), 8, 3, SEASON)
        for name, forecast in statistical.forecasters(history).items():
            np.testing.assert_allclose(forecast(np.array([50]))[0], 5, rtol=1e-3, err_msg=name)

    def test_airline_passengers_one_month_ahead(self):
        path = Path(os.environ.get("SEQLAB_DATA", "data")) / "series" / "airline-passengers.csv"
        if not path.exists():
            pytest.skip(f"{path} is not there; SEQLAB_DATA names the folder that has it")
        with path.open(newline="") as file:
            values = np.array([[float(row[1])] for row in list(csv.reader(file))[1:]])
        origins = np.arange(96, 144)
        fitted = statistical.forecasters(History(values, np.array([0]), np.array([96]), 24, 1, 12))
        errors = {
            name: np.sqrt(((forecast(origins)[:, 0] - values[origins]) ** 2).mean())
            for name, forecast in fitted.items()
        }
        assert errors["sarima"] == pytest.approx(13.74, abs=0.1)
        # Of parameters that stay what the first eight years said; with those of every month anew it is 13.3.
        assert errors["ets"] == pytest.approx(17.2, abs=0.3)
