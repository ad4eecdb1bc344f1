"""Figures of forecasts: what they show is what was forecast, and what it missed."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.dates import date2num

from seqlab.insight.forecast import (
    Panel,
    autocorrelation,
    error_by_step_figure,
    forecast_figure,
    residual_figure,
)


def hours(first, count):
    return np.datetime64("2020-12-30T00:00:00") + np.arange(first, first + count) * np.timedelta64(3600, "s")


def panel(name="load", *, known=24, horizon=6, truth=True, levels=(), first=0):
    point = np.linspace(5, 6, horizon)
    return Panel(
        name,
        hours(first, known),
        np.arange(known, dtype=float),
        hours(first + known, horizon),
        point,
        point + 1 if truth else None,
        {level: (point - level, point + level) for level in levels},
    )


def lines(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def drawn(figure):
    """The figure as pixels: whatever cannot be drawn fails here."""
    figure.canvas.draw()
    return figure


def test_a_forecast_goes_on_from_the_last_known_value_at_its_own_times():
    shown = panel(levels=(0.5, 0.9))
    (axes,) = drawn(forecast_figure([shown])).axes
    found = lines(axes)
    np.testing.assert_array_equal(found["history"].get_ydata(), shown.history)
    np.testing.assert_allclose(found["forecast"].get_ydata(), [23, *shown.point])
    np.testing.assert_allclose(found["truth"].get_ydata(), [23, *shown.truth])
    np.testing.assert_allclose(
        date2num(found["forecast"].get_xdata()), date2num(np.append(shown.times[-1:], shown.ahead))
    )
    assert axes.get_title(loc="left") == "load"


def test_intervals_are_shaded_from_end_to_end_the_widest_below_and_lightest():
    shown = panel(levels=(0.5, 0.95))
    (axes,) = drawn(forecast_figure([shown])).axes
    wide, narrow = axes.collections
    for drawn_one, level in ((wide, 0.95), (narrow, 0.5)):
        ends = drawn_one.get_paths()[0].vertices[:, 1]
        assert ends.min() == pytest.approx(5 - level)
        assert ends.max() == pytest.approx(23)  # where history ends
        assert drawn_one.get_label() == f"{100 * level:g} % interval"
    assert wide.get_facecolor().sum() > narrow.get_facecolor().sum()


def test_one_legend_names_each_thing_once_and_nothing_that_is_not_there():
    figure = drawn(forecast_figure([panel(levels=(0.9,)), panel("other", levels=(0.9,))]))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["history", "truth", "forecast", "90 % interval"]
    figure = drawn(forecast_figure([panel(truth=False)]))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["history", "forecast"]


def test_the_years_are_told_once_for_panels_that_share_their_time():
    figure = drawn(forecast_figure([panel(known=60), panel("other", known=60)]))
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "30 Dec 2020 to 01 Jan 2021"]
    figure = drawn(forecast_figure([panel(known=60), panel("other", known=60, first=240)]))
    assert all("2021" in axes.get_xlabel() for axes in figure.axes)
    labels = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert any("Dec" in label for label in labels), labels


@pytest.mark.parametrize("count", [1, 3, 7])
@pytest.mark.parametrize("horizon", [1, 30])
def test_every_panel_is_drawn(count, horizon):
    figure = drawn(forecast_figure([panel(f"${k}_", horizon=horizon, levels=(0.8,)) for k in range(count)]))
    assert [axes.get_title(loc="left") for axes in figure.axes] == [rf"\${k}_" for k in range(count)]


def test_forecasts_of_one_origin_after_the_other_need_no_history():
    shown = panel(known=0, horizon=48, levels=(0.9,))
    shown.truth[3] = np.nan  # not measured
    (axes,) = drawn(forecast_figure([shown])).axes
    found = lines(axes)
    assert set(found) == {"forecast", "truth"}
    np.testing.assert_array_equal(found["forecast"].get_ydata(), shown.point)


def test_errors_by_step_are_listed_from_the_best_and_the_model_stands_out():
    steps = np.arange(1.0, 25.0)
    figure = drawn(error_by_step_figure({"lstm": steps, "naive": 2 * steps, "linear": steps / 2}, "mse"))
    (axes,) = figure.axes
    said = [text.get_text() for text in axes.get_legend().get_texts()]
    assert said == ["linear  6.250", "lstm  12.50", "naive  25.00"]
    found = lines(axes)
    np.testing.assert_array_equal(found["lstm  12.50"].get_xdata(), steps)
    np.testing.assert_array_equal(found["lstm  12.50"].get_ydata(), steps)
    assert found["lstm  12.50"].get_linewidth() > found["linear  6.250"].get_linewidth()
    assert axes.get_ylabel() == "mse"


@pytest.mark.parametrize("errors", [[0.3, 5, 9, 5, 0.5], [1e6] * 5, [1.5] * 5, [0, 9, 9, 9, 0]])
def test_no_floor_is_cut_off_nor_flattens_the_others(errors):
    figure = drawn(error_by_step_figure({"gru": np.ones(5), "naive": np.array(errors, float)}, "mse"))
    (axes,) = figure.axes
    low, high = axes.get_ylim()
    assert low <= min(errors)
    assert high >= max(errors)
    logarithmic = max(errors) > 4 and min(errors) > 0
    assert axes.get_yscale() == ("log" if logarithmic else "linear")
    assert axes.get_ylabel() == ("mse (logarithmic)" if logarithmic else "mse")
    assert sum(low <= tick <= high for tick in axes.get_yticks()) >= 3


@pytest.mark.parametrize("columns", [1, 4])
@pytest.mark.parametrize(
    ("start", "unit", "count"),
    [
        ("2020-01-22", "D", 12), ("2020-12-20", "D", 30), ("2020-02-01", "D", 30), ("2020-01-30T07", "h", 300),
        ("2020-01-31T21:00", "m", 300), ("1949-01", "M", 144), ("1700", "Y", 300), ("2020-01-01T00:00:50", "s", 40),
    ],
)  # fmt: skip
def test_dates_do_not_overlap(start, unit, count, columns):
    times = (np.datetime64(start, unit) + np.arange(count)).astype("datetime64[s]")
    known = count - 4
    one = Panel("load", times[:known], np.arange(known, dtype=float), times[known:], np.arange(4.0))
    figure = drawn(forecast_figure([one] * columns))
    ticks = [tick for tick in figure.axes[-1].get_xticklabels() if tick.get_text()]
    boxes = sorted(((box := tick.get_window_extent()).x0, box.x1) for tick in ticks)
    inside = [box for box in boxes if figure.axes[-1].bbox.x0 - 30 <= box[0] <= figure.axes[-1].bbox.x1]
    assert len(inside) >= 2
    assert all(end + 2 < start for (_, end), (start, _) in pairwise(inside)), inside


def test_errors_of_a_single_step_are_bars():
    figure = drawn(error_by_step_figure({"lstm": np.array([3.0]), "naive": np.array([1.5])}, "rmse"))
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [1.5, 3.0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["naive", "lstm"]
    assert axes.patches[0].get_facecolor() != axes.patches[1].get_facecolor()
    assert [text.get_text() for text in axes.texts] == ["1.500", "3.000"]


@settings(max_examples=30, deadline=None)
@given(values=st.lists(st.integers(-9, 9), min_size=4, max_size=30), lags=st.integers(1, 3))
def test_autocorrelation_is_its_definition(values, lags):
    values = np.array(values, float)
    found = autocorrelation(values, lags)
    centred = values - values.mean()
    if not centred.any():
        assert not found.any()
        return
    expected = [
        sum(centred[t] * centred[t - lag] for t in range(lag, len(values))) / (centred**2).sum()
        for lag in range(1, lags + 1)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_autocorrelation_passes_over_what_was_not_measured():
    values = np.array([1.0, np.nan, 2.0, -1.0, -2.0, 0.0])
    np.testing.assert_allclose(autocorrelation(values, 1), [(-2 + 2) / 10])


def test_residuals_over_time_their_spread_and_their_memory():
    rng = np.random.default_rng(0)
    residuals = rng.normal(2, 3, size=400)
    residuals[7] = np.nan
    over_time, spread, memory = drawn(residual_figure(residuals, "load", hours(0, 400))).axes
    shown = over_time.lines[1]
    np.testing.assert_array_equal(shown.get_ydata(), residuals)
    assert "2021" in over_time.get_xlabel()

    area = sum(bar.get_width() * bar.get_height() for bar in spread.patches)
    assert area == pytest.approx(1)
    grid, density = lines(spread)["normal density"].get_data()
    assert grid[density.argmax()] == pytest.approx(np.nanmean(residuals), abs=0.1)
    assert density.max() == pytest.approx(1 / (np.nanstd(residuals) * np.sqrt(2 * np.pi)), rel=1e-3)

    lags, correlations = memory.lines[-1].get_data()
    np.testing.assert_allclose(correlations, autocorrelation(residuals, len(lags)))
    band = 1.96 / np.sqrt(399)
    assert memory.patches[0].get_height() == pytest.approx(2 * band)
    outside = int((np.abs(correlations) > band).sum())
    assert outside < 8  # noise
    assert f"{outside} of {len(lags)} outside" in memory.get_title(loc="left")


@pytest.mark.parametrize("residuals", [[1.0, 1.0, 1.0], [0.0, 1e-9], [5e6, -1e6, 2e6, 1.0]])
def test_few_residuals_and_those_that_do_not_vary_are_drawn(residuals):
    assert len(drawn(residual_figure(np.array(residuals), "tiny")).axes) == 3
