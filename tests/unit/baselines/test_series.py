"""Floors of forecasting: what they are in closed form, and that none of them sees the future."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.baselines import series, statistical
from seqlab.baselines.series import History, fit_ar, fit_autoregression, fit_linear


def noise(seed, rows, columns=1):
    return np.random.default_rng(seed).normal(size=(rows, columns)).cumsum(axis=0)


def one(values, *, train, lookback=4, horizon=3, season=1):
    """A single series."""
    values = np.asarray(values, np.float64)
    values = values[:, None] if values.ndim == 1 else values
    return History(values, np.array([0]), np.array([train]), lookback, horizon, season)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Without the models of statsmodels, which have tests of their own."""
    monkeypatch.setattr(statistical, "forecasters", lambda history: {})


def test_naive_repeats_the_last_value_and_seasonal_naive_the_last_season():
    history = one(np.arange(20) ** 2, train=12, horizon=5, season=3)
    np.testing.assert_array_equal(series.naive(history, np.array([7, 20]))[:, :, 0], [[36] * 5, [361] * 5])
    np.testing.assert_array_equal(
        series.seasonal_naive(history, np.array([7, 20]))[:, :, 0], [[16, 25, 36, 16, 25], [289, 324, 361, 289, 324]]
    )
    # Two rows are no season of three yet.
    np.testing.assert_array_equal(series.seasonal_naive(history, np.array([2]))[0, :, 0], [0, 1, 0, 1, 0])


def test_drift_continues_a_line_and_is_naive_after_one_row():
    history = one(3 + 2.5 * np.arange(30), train=20, horizon=4)
    origins = np.array([2, 9, 26])
    np.testing.assert_allclose(
        series.drift(history, origins)[:, :, 0], 3 + 2.5 * (origins[:, None] + np.arange(4)), rtol=1e-12
    )
    np.testing.assert_array_equal(series.drift(history, np.array([1]))[0, :, 0], [3, 3, 3, 3])


def test_drift_runs_from_the_first_to_the_last_value_of_its_own_series():
    values = np.array([1.0, 5.0, 3.0, 100.0, 90.0, 70.0, 0.0])[:, None]
    history = History(values, np.array([0, 3]), np.array([2, 5]), 2, 2)
    np.testing.assert_allclose(series.drift(history, np.array([2, 6]))[:, :, 0], [[9, 13], [55, 40]])


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 99),
    season=st.integers(1, 6),
    columns=st.integers(1, 3),
    lengths=st.tuples(*[st.integers(60, 80)] * 2),
)
def test_no_forecast_changes_with_what_comes_after_its_origin_or_with_another_series(seed, season, columns, lengths):
    first, second = lengths
    values = noise(seed, first + second, columns)
    starts, train_stops = np.array([0, first]), np.array([40, first + 40])
    val_origins = np.array([41, 43, first + 40, first + 44])
    origin = first + 50

    def forecasts(values):
        history = History(values, starts, train_stops, 8, 4, season)
        fitted = series.forecasters(history, val_origins)
        return {name: forecast(np.array([50, origin])) for name, forecast in fitted.items()}

    before = forecasts(values)
    assert set(before) == {"naive", "drift", "linear", "ar"} | ({"seasonal_naive"} if season > 1 else set())
    changed = values.copy()
    changed[50:first] = 1e6
    changed[origin:] = -1e6
    for name, answers in forecasts(changed).items():
        assert answers.shape == (2, 4, columns)
        assert answers.dtype == np.float64
        np.testing.assert_array_equal(answers, before[name], err_msg=name)
    # What was changed is seen by an origin behind it.
    assert (forecasts(np.roll(values, 1, axis=0))["naive"] != before["naive"]).any()

    # Floors other than the linear map, which all series share, know their own series alone.
    other = values.copy()
    other[:first] = noise(seed + 100, first, columns)
    for name, answers in forecasts(other).items():
        if name != "linear":
            np.testing.assert_array_equal(answers[1], before[name][1], err_msg=name)


def test_what_is_fitted_is_fitted_to_training_rows_alone():
    values, changed = noise(1, 120, 2), noise(1, 120, 2)
    changed[80:] *= -3
    found, again = (fit_linear(one(rows, train=80)) for rows in (values, changed))
    np.testing.assert_array_equal(found.weights, again.weights)
    np.testing.assert_array_equal(found.scale, again.scale)
    found, again = (fit_autoregression(one(rows, train=80)) for rows in (values, changed))
    np.testing.assert_array_equal(found.coefficients, again.coefficients)
    np.testing.assert_array_equal(found.constants, again.constants)


def test_a_forecast_does_not_depend_on_the_company_of_its_origin(monkeypatch):
    history = one(noise(2, 90, 2), train=60, season=7)
    origins = np.arange(60, 88)
    for name, forecast in series.forecasters(history).items():
        together = forecast(origins)
        np.testing.assert_allclose(
            np.concatenate([forecast(origins[[i]]) for i in range(len(origins))]), together, rtol=1e-9, err_msg=name
        )
    monkeypatch.setattr(series, "CHUNK", 30)
    np.testing.assert_allclose(fit_linear(history)(origins), series.forecasters(history)["linear"](origins), rtol=1e-9)


@pytest.mark.parametrize("chunk", [1, 2**22])
def test_the_linear_map_is_the_ridge_of_least_squares(monkeypatch, chunk):
    monkeypatch.setattr(series, "CHUNK", chunk)
    T, H, train = 5, 3, 50
    values = noise(3, 70, 2) * [1, 1000] + [0, 7]
    history = one(values, train=train, lookback=T, horizon=H)
    linear = fit_linear(history)

    # The same by numpy's lstsq: the ridge as further rows, windows by loops.
    scale = values[:train].std(axis=0)
    rows, answers = [], []
    for origin in range(T, train - H + 1):
        for k in range(2):
            last = values[origin - 1, k]
            rows.append([*(values[origin - T : origin - 1, k] - last) / scale[k], 1])
            answers.append((values[origin : origin + H, k] - last) / scale[k])
    ridge = np.sqrt(linear.strength * len(rows)) * np.eye(T)[:-1]
    expected = np.linalg.lstsq(np.concatenate((rows, ridge)), np.concatenate((answers, np.zeros((T - 1, H)))))[0]
    np.testing.assert_allclose(linear.weights, expected, rtol=1e-7, atol=1e-9)

    origin = 66
    last = values[origin - 1]
    window = np.concatenate(((values[origin - T : origin - 1] - last) / scale, np.ones((1, 2))))
    np.testing.assert_allclose(linear(np.array([origin]))[0], last + scale * (expected.T @ window), rtol=1e-7)


def test_the_ridge_is_the_one_that_validation_likes_best():
    rng = np.random.default_rng(4)
    history = one(rng.normal(size=(160, 1)), train=60, lookback=20, horizon=2)
    val_origins = np.arange(80, 158)
    errors = {}
    for strength in series.STRENGTHS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(series, "STRENGTHS", (strength,))
            answers = fit_linear(history, val_origins)(val_origins)
        truth = np.stack([history.values[origin : origin + 2] for origin in val_origins])
        errors[strength] = ((answers - truth) ** 2).mean()
    assert fit_linear(history, val_origins).strength == min(errors, key=errors.get)
    assert len(set(errors.values())) == len(errors)


def test_the_linear_map_learns_a_wave_and_a_line_exactly_and_knows_when_it_cannot_learn():
    steps = np.arange(200)
    history = one(np.stack((np.sin(steps / 5), 4 + 3 * steps), 1), train=120, lookback=10, horizon=6)
    answers = fit_linear(history)(np.array([150, 190]))
    truth = history.values[np.array([150, 190])[:, None] + np.arange(6)]
    np.testing.assert_allclose(answers / history.values.std(0), truth / history.values.std(0), atol=0.02)

    assert fit_linear(one(steps, train=15, lookback=10, horizon=6)) is None
    assert "linear" not in series.forecasters(one(steps, train=15, lookback=10, horizon=6))
    # One window: nothing to choose the ridge by.
    assert fit_linear(one(steps, train=16, lookback=10, horizon=6)).strength in series.STRENGTHS


def test_many_windows_are_thinned_evenly(monkeypatch):
    values = noise(5, 3000)
    full = fit_linear(one(values, train=2500)).weights
    monkeypatch.setattr(series, "MOST_WINDOWS", 500)
    thinned = fit_linear(one(values, train=2500)).weights
    assert (full != thinned).any()
    np.testing.assert_allclose(thinned, full, atol=0.2)


@settings(max_examples=30, deadline=None)
@given(
    radius=st.floats(0.6, 0.99),
    angle=st.floats(0.3, 2.8),
    mean=st.floats(-50, 50),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
)
def test_an_autoregression_without_noise_is_found_exactly(radius, angle, mean, scale):
    # A damped wave around a mean: x_t = 2 r cos(a) x_{t-1} - r^2 x_{t-2}.
    first, second = 2 * radius * np.cos(angle), -(radius**2)
    values = [1.0, -0.5]
    for _ in range(38):
        values.append(first * values[-1] + second * values[-2])
    values = mean + scale * np.array(values)
    constant, coefficients = fit_ar(values[:40], 6)
    history = one(values, train=40, lookback=6, horizon=3)
    answers = fit_autoregression(history)(np.array([10, 37]))[:, :, 0]
    np.testing.assert_allclose(answers, [values[10:13], values[37:40]], atol=1e-6 * scale, rtol=1e-6)
    if abs(mean) <= scale:  # the constant is far from rounding
        np.testing.assert_allclose(coefficients, [second, first], atol=1e-4)
        np.testing.assert_allclose(constant, mean * (1 - first - second), atol=1e-4 * scale)


def test_the_order_is_what_akaike_says_of_least_squares_one_order_at_a_time():
    rng = np.random.default_rng(6)
    values = [0.0] * 4
    for _ in range(400):
        values.append(0.5 * values[-1] - 0.3 * values[-3] + rng.normal())
    values, most = np.array(values), 8
    criteria = []
    for order in range(most + 1):
        design = np.stack(
            [np.ones(len(values) - most), *(values[most - k : len(values) - k] for k in range(1, order + 1))], 1
        )
        left = values[most:] - design @ np.linalg.lstsq(design, values[most:])[0]
        criteria.append(len(left) * np.log((left**2).mean()) + 2 * (order + 1))
    coefficients = fit_ar(values, most)[1]
    assert len(coefficients) == np.argmin(criteria) >= 3
    np.testing.assert_allclose(coefficients[-3:], [-0.3, 0, 0.5], atol=0.15)


def test_an_autoregression_is_applied_to_its_own_forecasts():
    values = noise(7, 80, 2)
    history = one(values, train=60, lookback=5, horizon=4)
    fitted = fit_autoregression(history)
    past = values[:70].tolist()
    for _ in range(4):
        recent = np.array(past[-5:])
        past.append(fitted.constants[0] + (fitted.coefficients[0] * recent).sum(axis=0))
    np.testing.assert_allclose(fitted(np.array([70]))[0], past[70:])


def test_a_series_that_never_changes_is_forecast_as_it_is():
    values = np.concatenate((np.full((40, 1), 5.0), np.full((40, 1), 0.1)))
    history = History(values, np.array([0, 40]), np.array([30, 70]), 4, 3, 2)
    for name, forecast in series.forecasters(history).items():
        np.testing.assert_allclose(forecast(np.array([35, 75]))[:, :, 0], [[5.0] * 3, [0.1] * 3], err_msg=name)


def test_lags_reach_over_a_season_but_not_beyond_the_look_back():
    values = noise(8, 900)
    assert fit_autoregression(one(values, train=800, lookback=200, season=48)).coefficients.shape[1] == 49
    assert fit_autoregression(one(values, train=800, lookback=200, season=500)).coefficients.shape[1] == 36
    assert fit_autoregression(one(values, train=800, lookback=20, season=48)).coefficients.shape[1] == 20


def table(name):
    """``(N, K)`` numbers of one of the files of real series, or a skipped test."""
    path = Path(os.environ.get("SEQLAB_DATA", "data")) / "series" / name
    if not path.exists():
        pytest.skip(f"{path} is not there; SEQLAB_DATA names the folder that has series/{name}")
    with path.open(newline="") as file:
        return np.array([[float(cell) for cell in row[1:]] for row in list(csv.reader(file))[1:]])


def rmse(history, forecast, origins):
    return np.sqrt(((forecast(origins)[:, 0] - history.values[origins]) ** 2).mean())


def test_ett_repeats_of_the_last_day_score_what_is_known():
    values = table("ETTh1.csv")[: 8640 + 2 * 2880]
    values = (values - values[:8640].mean(axis=0)) / values[:8640].std(axis=0)
    expected = {96: (2785, 0.512), 192: (2689, 0.581), 336: (2545, 0.650), 720: (2161, 0.655)}
    for horizon, (count, error) in expected.items():
        origins = np.arange(8640 + 2880, len(values) - horizon + 1)
        assert len(origins) == count
        answers = series.seasonal_naive(one(values, train=8640, horizon=horizon, season=24), origins)
        truth = np.moveaxis(np.lib.stride_tricks.sliding_window_view(values, horizon, axis=0)[origins], 2, 1)
        assert round(float(((answers - truth) ** 2).mean()), 3) == error


def test_airline_passengers_one_month_ahead():
    history = one(table("airline-passengers.csv"), train=96, lookback=24, horizon=1, season=12)
    errors = {name: rmse(history, f, np.arange(96, 144)) for name, f in series.forecasters(history).items()}
    assert errors["naive"] == pytest.approx(48.04, abs=0.005)
    assert errors["seasonal_naive"] == pytest.approx(41.85, abs=0.005)
    assert errors["linear"] < 14
    assert errors["ar"] < 14


@pytest.mark.parametrize(("share", "persistence", "autoregression"), [(0.8, 20.09, 18.21), (0.67, 18.40, 16.82)])
def test_sunspots_one_month_ahead(share, persistence, autoregression):
    values = table("monthly-sunspots.csv")
    cut = int(share * len(values))
    history = one(values, train=cut, lookback=48, horizon=1)
    errors = {name: rmse(history, f, np.arange(cut, len(values))) for name, f in series.forecasters(history).items()}
    assert errors["naive"] == pytest.approx(persistence, abs=0.005)
    assert errors["ar"] == pytest.approx(autoregression, abs=0.01)
