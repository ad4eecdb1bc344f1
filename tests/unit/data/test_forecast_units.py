"""Units: what came to pass, forecasts led back, and how far values lie apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from seqlab.data.forecast_units import ForecastUnits, spread
from seqlab.data.scaling import Scaling
from seqlab.data.series import Series, Slice
from seqlab.types import InputError

MEASURED = np.array([[True, True]] * 40)
MEASURED[[2, 21], [0, 1]] = False


def make_series(measured=None):
    random = np.random.default_rng(0)
    return Series(
        times=np.tile(np.datetime64("2001-01-01", "s") + np.arange(20) * np.timedelta64(1, "D"), 2),
        values=(5 + random.normal(size=(40, 3))).astype(np.float32),
        known=np.zeros((40, 0), dtype=np.float32),
        targets=("a", "b"),
        past=("c",),
        ahead=(),
        starts=np.array([0, 20]),
        ids=("x", "y"),
        freq="D",
        measured=measured,
    )


def train_of(series, rows=12):
    return Slice(series, "train", series.starts, series.starts + rows)


def units_of(series, chain, horizon=3):
    return ForecastUnits(series, Scaling(chain).fit(train_of(series)), horizon, *spread(train_of(series), 1))


def test_rows_belong_to_series():
    assert units_of(make_series(), []).series(np.array([0, 19, 20, 39])).tolist() == [0, 0, 1, 1]


def test_what_came_to_pass_is_what_was_measured():
    series = make_series(MEASURED)
    actual = units_of(series, ["standard"]).actual(np.array([1, 20]))
    assert actual.dtype == np.float64
    assert np.argwhere(np.isnan(actual)).tolist() == [[0, 1, 0], [1, 1, 1]]
    expected = np.stack([series.values[1:4, :2], series.values[20:23, :2]])
    np.testing.assert_array_equal(actual[~np.isnan(actual)], expected[~np.isnan(actual)])
    assert not np.isnan(units_of(make_series(), []).actual(np.array([1, 20]))).any()


@pytest.mark.parametrize("chain", [[], ["standard"], ["log", "diff", "minmax"], [{"seasonal_diff": 3}, "diff"]])
def test_scaled_truth_led_back_is_the_truth(chain):
    series = make_series()
    units, origins = units_of(series, chain), np.array([17, 9, 30])
    scaled = Scaling(chain).fit(train_of(series)).transform(series)[origins[:, None] + np.arange(3), :2]
    np.testing.assert_allclose(units.original(scaled, origins), units.actual(origins), rtol=1e-5)


def test_quantiles_keep_their_order_and_are_refused_where_differences_add_up():
    series, origins = make_series(), np.array([17, 30])
    scaled = np.sort(np.random.default_rng(0).normal(size=(2, 3, 2, 5)), axis=-1)
    units = units_of(series, ["log", {"seasonal_diff": 3}, "standard"])
    assert units.monotone
    assert (np.diff(units.original(scaled, origins), axis=-1) > 0).all()
    units = units_of(series, ["diff"])
    assert not units.monotone
    with pytest.raises(InputError, match="quantiles of a sum of differences"):
        units.original(scaled, origins)


def test_spread_is_that_of_the_training_rows():
    series = make_series()
    deviation, seasonal = spread(train_of(series), 4)
    assert deviation.shape == seasonal.shape == (2, 2)
    for number, rows in enumerate((slice(0, 12), slice(20, 32))):
        values = series.values[rows, :2].astype(np.float64)
        np.testing.assert_allclose(deviation[number], StandardScaler().fit(values).scale_)
        np.testing.assert_allclose(seasonal[number], np.abs(values[4:] - values[:-4]).mean(axis=0))


def test_what_was_filled_counts_for_no_spread():
    values = np.array([1, 2, 1000, 4, 6, 8], dtype=np.float32)[:, None]
    series = replace(
        make_series(), times=np.arange(6).astype("datetime64[s]"), values=values, targets=("a",), past=(),
        starts=np.array([0]), ids=("",), measured=values < 1000,
    )  # fmt: skip
    deviation, seasonal = spread(train_of(series, 6), 1)
    assert deviation.item() == pytest.approx(np.std([1, 2, 4, 6, 8]))
    assert seasonal.item() == pytest.approx(np.mean([1, 2, 2]))


def test_what_repeats_exactly_has_no_seasonal_difference():
    series = make_series()
    series.values[:] = np.tile([1, 2], 20)[:, None]
    assert (spread(train_of(series), 2)[1] == 0).all()


def test_what_repeats_but_for_rounding_has_none_either():
    series = make_series()
    series.values[:] = np.sin(np.arange(40) * np.pi / 2)[:, None]  # sin(pi) is 1e-16
    deviation, seasonal = spread(train_of(series), 4)
    assert (deviation > 0.5).all()
    assert (seasonal == 0).all()


def test_a_target_that_never_changes_is_refused_unless_it_is_one_of_several_series(caplog):
    series = make_series()
    series.values[20:32, 1] = 3
    deviation, seasonal = spread(train_of(series), 1)
    assert (deviation[1, 1], seasonal[1, 1]) == (0, 0)
    assert (deviation > 0).sum() == deviation.size - 1
    assert "1 of 4 series never change in the training part, the first is b of series 'y'" in caplog.text
    with pytest.raises(InputError, match="a of series 'x' never changes in the training part"):
        spread(train_of(make_series(np.zeros((40, 2), dtype=bool))), 1)


def test_a_season_as_long_as_the_training_part_is_refused():
    with pytest.raises(InputError, match=r"data.season=12 needs .* part of a of series 'x' has none in its 12 rows"):
        spread(train_of(make_series()), 12)
