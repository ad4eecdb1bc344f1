"""Errors of forecasts: against loops over single values, closed forms, and whatever way windows are batched."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from seqlab.tasks import forecast_errors
from seqlab.tasks.forecast_errors import ForecastErrors
from seqlab.types import InputError

LEVELS = (0.05, 0.2, 0.5, 0.9, 0.95)
ORIGINS = np.array([0, 1, 2, 7, 8, 16, 20, 21, 27, 28, 31, 32])


def forecasts(panel, origins=ORIGINS, levels=LEVELS, seed=0):
    rng = np.random.default_rng(seed)
    B, K = len(origins), panel.values.shape[1]
    point = rng.normal([1.0, 50.0][:K], [2.0, 30.0][:K], (B, panel.H, K))
    spread = np.sort(rng.normal(0.0, 20.0, (B, panel.H, K, len(levels))), axis=-1)
    return point, point[..., None] + spread


def by_hand(panel, origins, point, quantiles, chosen=lambda b, h, k: True):
    """Every metric from lists of single values."""
    found = {}
    room = [0.15, 0.225, 0.35, 0.225, 0.05]  # half the way to each neighbour; the outermost as far out as in
    for b, origin in enumerate(origins):
        s = 0 if origin < 20 else 1
        for h in range(panel.H):
            for k in range(panel.values.shape[1]):
                a = panel.values[origin + h, k]
                if math.isnan(a) or not chosen(b, h, k):
                    continue
                f, qs, deviation = point[b, h, k], quantiles[b, h, k], panel.deviation[s, k]
                pinball = [t * (a - q) if a >= q else (1 - t) * (q - a) for t, q in zip(LEVELS, qs, strict=True)]
                crps = 2 * sum(w * p for w, p in zip(room, pinball, strict=True)) / sum(room)
                one = {
                    "mse": (a - f) ** 2,
                    "mae": abs(a - f),
                    "smape": 200 * abs(a - f) / (abs(a) + abs(f)),
                    "mase": abs(a - f) / panel.seasonal[s, k],
                    "scaled_mse": ((a - f) / deviation) ** 2,
                    "scaled_mae": abs(a - f) / deviation,
                    "pinball": sum(pinball) / len(pinball),
                    "crps": crps,
                    "scaled_crps": crps / deviation,
                    "coverage_90": float(qs[0] <= a <= qs[4]),
                    "scaled_width_90": (qs[4] - qs[0]) / deviation,
                }
                if a != 0:
                    one["mape"] = 100 * abs(a - f) / abs(a)
                for name, value in one.items():
                    found.setdefault(name, []).append(value)
    means = {name: np.mean(values) for name, values in found.items()}
    roots = {"rmse": math.sqrt(means["mse"]), "scaled_rmse": math.sqrt(means["scaled_mse"])}
    return {**means, **roots}, {name: len(values) for name, values in found.items()}


def measured(panel, origins, point, quantiles=None, levels=LEVELS, **options):
    errors = ForecastErrors(panel, levels, **options)
    errors.add(origins, point, quantiles)
    return errors


def test_every_metric_is_the_mean_over_the_single_values(panel):
    point, quantiles = forecasts(panel)
    errors = measured(panel, ORIGINS, point, quantiles)
    means, counts = by_hand(panel, ORIGINS, point, quantiles)
    assert errors.compute() == pytest.approx(means, rel=1e-12)
    assert errors.counts == counts
    assert counts["mape"] < counts["mae"] < ORIGINS.size * 3 * 2


def test_by_step_and_by_series_are_the_same_means_of_parts(panel):
    point, quantiles = forecasts(panel)
    errors = measured(panel, ORIGINS, point, quantiles, labels=("load", "oil"))
    for step in range(3):
        means, _ = by_hand(panel, ORIGINS, point, quantiles, lambda b, h, k, step=step: h == step)
        assert {name: values[step] for name, values in errors.by_step.items()} == pytest.approx(means, rel=1e-12)
    cells = [(s, k) for s in range(2) for k in range(2)]
    for (s, k), name in zip(cells, ["north/load", "north/oil", "south/load", "south/oil"], strict=True):
        inside = lambda b, h, j, s=s, k=k: (ORIGINS[b] >= 20) == s and j == k  # noqa: E731
        means, _ = by_hand(panel, ORIGINS, point, quantiles, inside)
        assert {metric: values[name] for metric, values in errors.by_series.items()} == pytest.approx(means, rel=1e-12)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(range(len(ORIGINS))), st.lists(st.integers(1, 5), min_size=12, max_size=12), st.integers(1, 400))
def test_batches_of_any_size_in_any_order_give_the_same(panel, order, sizes, block):
    point, quantiles = forecasts(panel)
    whole = measured(panel, ORIGINS, point, quantiles)
    parts = ForecastErrors(panel, LEVELS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forecast_errors, "BLOCK", block)
        for rows in np.split(np.array(order), np.minimum(np.cumsum(sizes), len(order))):
            parts.add(ORIGINS[rows], point[rows], quantiles[rows])
    assert parts.compute() == pytest.approx(whole.compute(), rel=1e-12)
    assert parts.counts == whole.counts
    for name, steps in whole.by_step.items():
        np.testing.assert_allclose(parts.by_step[name], steps, rtol=1e-12)
    for ours, theirs in zip(parts.residuals, whole.residuals, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_crps_of_a_normal_forecast_is_the_closed_form_as_levels_grow_dense(make_panel):
    truths = np.linspace(-2.0, 2.5, 10)[:, None]
    panel = make_panel(truths, [0], 1)
    exact = truths * (2 * norm.cdf(truths) - 1) + 2 * norm.pdf(truths) - 1 / math.sqrt(math.pi)
    for count, within in ((19, 0.08), (1999, 0.001)):
        levels = np.arange(1, count + 1) / (count + 1)
        quantiles = np.broadcast_to(norm.ppf(levels), (10, 1, 1, count))
        errors = measured(panel, np.arange(10), np.zeros((10, 1, 1)), quantiles, levels)
        assert errors.compute()["crps"] == pytest.approx(exact.mean(), rel=within)
        assert errors.compute()["crps"] == pytest.approx(2 * errors.compute()["pinball"])


def test_19_levels_overrate_the_crps_of_a_normal_distribution_by_some_four_per_cent(make_panel):
    truths = norm.ppf((np.arange(4000) + 0.5) / 4000)[:, None]
    levels = np.arange(1, 20) / 20
    quantiles = np.broadcast_to(norm.ppf(levels), (4000, 1, 1, 19))
    found = measured(make_panel(truths, [0], 1), np.arange(4000), np.zeros((4000, 1, 1)), quantiles, levels).compute()
    assert found["crps"] * math.sqrt(math.pi) == pytest.approx(1.04, abs=0.01)
    assert found["coverage_90"] == pytest.approx(0.9, abs=1e-3)
    assert found["scaled_width_90"] == pytest.approx(2 * norm.ppf(0.95), rel=1e-2)


def test_a_point_held_against_levels_has_its_absolute_error_as_crps_and_covers_nothing(panel):
    point, _ = forecasts(panel)
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    found = measured(panel, ORIGINS, point, None, levels).compute()
    assert found["crps"] == pytest.approx(found["mae"])
    assert found["pinball"] == pytest.approx(found["mae"] / 2)
    assert (found["coverage_90"], found["scaled_width_90"]) == (0.0, 0.0)


def test_the_bounds_of_an_interval_belong_to_it(make_panel):
    panel = make_panel(np.array([[1.0], [2.0], [3.0]]), [0], 1)
    quantiles = np.broadcast_to([1.0, 2.0], (3, 1, 1, 2))
    errors = measured(panel, np.arange(3), np.ones((3, 1, 1)), quantiles, (0.05, 0.95))
    assert errors.compute()["coverage_90"] == pytest.approx(2 / 3)


def test_without_levels_no_distribution_is_measured(panel):
    point, _ = forecasts(panel)
    errors = measured(panel, ORIGINS, point, None, ())
    assert not {"pinball", "crps", "coverage_90", "scaled_width_90"} & errors.compute().keys()
    assert {"0", "1"} == {name.split("/")[1] for name in errors.by_series["mae"]}


def test_zeros_and_constants_are_not_divided_by(make_panel):
    panel = make_panel(np.array([[0.0, 5.0], [0.0, 5.0], [2.0, 5.0]]), [0], 1)
    point = np.array([[0.0, 5.0], [1.0, 5.0], [1.0, 6.0]])[:, None]
    errors = measured(panel, np.arange(3), point, None, (), labels=("a", "b"))
    found = errors.compute()
    assert found["mape"] == pytest.approx((50 + 0 + 0 + 20) / 4)
    assert errors.counts["mape"] == 4
    assert found["smape"] == pytest.approx((0 + 200 + 200 / 3 + 0 + 0 + 200 / 11) / 6)
    assert found["mase"] == pytest.approx((0 + 1 + 1) / 3 / 1.0)
    assert found["scaled_mae"] == pytest.approx((0 + 1 + 1) / 3 / panel.deviation[0, 0])
    assert errors.counts["mase"] == errors.counts["scaled_mse"] == 3
    assert math.isnan(errors.by_series["mase"]["b"])
    assert errors.by_series["mae"] == {"a": pytest.approx(2 / 3), "b": pytest.approx(1 / 3)}


def test_a_broken_forecast_shows_only_where_something_was_measured(make_panel):
    panel = make_panel(np.array([[1.0], [np.nan], [3.0], [4.0]]), [0], 1)
    levels = (0.05, 0.5, 0.95)
    point = np.array([1.0, np.inf, 2.0]).reshape(3, 1, 1)
    quantiles = np.array([[0.0, 1.0, 2.0], [np.nan, np.inf, np.inf], [0.0, 1.0, 2.0]]).reshape(3, 1, 1, 3)
    found = measured(panel, np.arange(3), point, quantiles, levels).compute()
    assert (found["mse"], found["coverage_90"]) == (0.5, 0.5)
    assert all(math.isfinite(value) for value in found.values())
    point[0] = np.nan
    assert math.isnan(measured(panel, np.arange(3), point, quantiles, levels).compute()["mse"])


def test_nothing_measured_gives_no_number(make_panel):
    panel = make_panel(np.array([[1.0], [2.0], [np.nan]]), [0], 1)
    errors = measured(panel, np.array([2]), np.zeros((1, 1, 1)), None, ())
    assert all(math.isnan(value) for value in errors.compute().values())
    assert errors.counts["mse"] == 0


def test_residuals_are_one_step_ahead_in_time_order(panel):
    shuffled = ORIGINS[::-1].copy()
    point, _ = forecasts(panel, shuffled)
    origins, residuals = measured(panel, shuffled, point, None, ()).residuals
    np.testing.assert_array_equal(origins, ORIGINS)
    np.testing.assert_allclose(residuals, panel.values[ORIGINS] - point[::-1, 0])
    assert np.isnan(residuals).any()


@pytest.mark.parametrize(
    ("levels", "nominal", "says"),
    [
        ((0.1, 0.5, 0.9), 0.9, "ends at the levels 0.05 and 0.95, but levels is .0.1, 0.5, 0.9."),
        ((0.05, 0.95), 1.5, "nominal is 1.5"),
        ((0.5, 0.1), None, "from low to high"),
        ((0.0, 0.5), None, "between 0 and 1"),
        ((0.5, 0.5), None, "from low to high"),
    ],
)
def test_levels_that_cannot_be_measured_are_refused(panel, levels, nominal, says):
    with pytest.raises(InputError, match=says):
        ForecastErrors(panel, levels, nominal)


def test_other_intervals_are_named_after_what_they_should_cover(panel):
    point, quantiles = forecasts(panel, levels=(0.1, 0.5, 0.9))
    found = measured(panel, ORIGINS, point, quantiles, (0.1, 0.5, 0.9), nominal=0.8).compute()
    assert {"coverage_80", "scaled_width_80"} <= found.keys()
    found = measured(panel, ORIGINS, point, quantiles, (0.1, 0.5, 0.9), nominal=None).compute()
    assert not any(name.startswith(("coverage", "scaled_width")) for name in found)
