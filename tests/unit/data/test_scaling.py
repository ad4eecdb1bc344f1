"""Scaling: learns from the training part alone, and is undone exactly."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.data.scaling import Scaling
from seqlab.data.series import Series, Slice
from seqlab.types import InputError


def make_series(values, sizes=None, known=None, targets=None, ids=None):
    """Rows of the given values, hourly; all columns are targets unless told otherwise."""
    values = np.asarray(values, dtype=np.float32)
    values = values[:, None] if values.ndim == 1 else values
    sizes = sizes or [len(values)]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    names = tuple("abcdefgh"[: values.shape[1]])
    targets = values.shape[1] if targets is None else targets
    known = np.zeros((len(values), 0), dtype=np.float32) if known is None else np.asarray(known, dtype=np.float32)
    hours = np.concatenate([np.arange(size) for size in sizes])
    return Series(
        times=np.datetime64("2001-01-01", "s") + hours * np.timedelta64(3600, "s"),
        values=values,
        known=known,
        targets=names[:targets],
        past=names[targets:],
        ahead=tuple("uvwxyz"[: known.shape[1]]),
        starts=starts,
        ids=ids or (("",) if len(sizes) == 1 else tuple(f"s{number}" for number in range(len(sizes)))),
        freq="h",
    )


def train_of(series, rows):
    return Slice(series, "train", series.starts, series.starts + rows)


def numbers(scaling):
    """All that was learned."""
    state = scaling.state_dict()
    return [part.tolist() for pair in [*state["learned"], state["known"]] if pair is not None for part in pair]


def positive(rows, columns=1, seed=0):
    return np.exp(np.random.default_rng(seed).normal(size=(rows, columns)))


steps = st.one_of(
    st.sampled_from(["standard", "minmax", "robust", "diff"]), st.integers(1, 5).map(lambda lag: {"seasonal_diff": lag})
)
chains = st.tuples(st.booleans(), st.lists(steps, max_size=4)).map(lambda drawn: ["log"] * drawn[0] + drawn[1])


@settings(max_examples=80, deadline=None)
@given(chains, st.integers(1, 12), st.integers(0, 99))
def test_every_chain_is_undone_over_any_horizon(chain, horizon, seed):
    series = make_series(positive(120, 3, seed), sizes=[70, 50], targets=2)
    scaling = Scaling(chain).fit(train_of(series, 35))
    scaled = scaling.transform(series)
    assert scaled.dtype == np.float32
    for start, stop in zip(series.starts, series.stops, strict=True):
        assert np.isnan(scaled[start : start + scaling.lost]).all()
        assert not np.isnan(scaled[start + scaling.lost : stop]).any()
    origins = np.array([scaling.lost, 30, 70 - horizon, 70 + scaling.lost, 120 - horizon])
    ahead, behind = (origins[:, None] + np.arange(*span) for span in ((horizon,), (-scaling.lost, 0)))
    asked = scaled[ahead][:, :, :2]
    back = scaling.inverse(asked, series.values[behind][:, :, :2], np.array([0, 0, 0, 1, 1]))
    assert back.dtype == np.float64
    np.testing.assert_allclose(back, series.values[ahead][:, :, :2], rtol=2e-3, atol=2e-3)
    if scaling.monotone(horizon):
        quantiles = scaling.inverse(
            np.stack([asked, asked + 1], axis=-1), series.values[behind][:, :, :2], np.array([0, 0, 0, 1, 1])
        )
        np.testing.assert_allclose(quantiles[..., 0], back)
        assert (quantiles[..., 1] > quantiles[..., 0]).all()


@settings(max_examples=40, deadline=None)
@given(chains, st.integers(0, 99))
def test_what_lies_behind_the_training_part_teaches_nothing(chain, seed):
    values = positive(60, 2, seed)
    known = np.random.default_rng(seed).normal(size=(60, 2))
    one = Scaling(chain).fit(train_of(make_series(values, known=known), 30))
    values[30:] *= 100
    known[30:] += 7
    other = Scaling(chain).fit(train_of(make_series(values, known=known), 30))
    assert numbers(one) == numbers(other)
    before = [scaling.transform(make_series(values))[:30] for scaling in (one, other)]
    np.testing.assert_array_equal(*before)


@pytest.mark.parametrize(
    ("name", "rows", "expected"),
    [
        ("standard", [1, 3], [-1, 1, 0, 3]),
        ("minmax", [1, 3], [0, 1, 0.5, 2]),
        ("robust", [1, 3], [-1, 1, 0, 3]),  # quartiles 1.5 and 2.5
    ],
)
def test_statistics_are_those_of_the_training_rows(name, rows, expected):
    series = make_series([*rows, 2, 5])
    assert Scaling([name]).fit(train_of(series, 2)).transform(series).ravel().tolist() == expected


def test_each_series_and_column_has_statistics_of_its_own():
    series = make_series([[0, 100], [2, 300], [7, 7], [50, -5], [70, -3], [9, 9]], sizes=[3, 3])
    scaled = Scaling(["standard"]).fit(train_of(series, 2)).transform(series)
    for rows in ([0, 1], [3, 4]):
        assert scaled[rows].tolist() == [[-1, -1], [1, 1]]


def test_order_is_kept_and_differences_stay_within_a_series():
    series = make_series(np.exp([0, 1, 3, 6, 2, 3, 5, 8]), sizes=[4, 4])
    scaling = Scaling(["log", {"seasonal_diff": 2}])
    assert scaling.lost == 2
    scaled = scaling.fit(train_of(series, 4)).transform(series).ravel()
    np.testing.assert_allclose(scaled, [np.nan, np.nan, 3, 5, np.nan, np.nan, 3, 5], rtol=1e-6)
    assert Scaling(["diff", {"seasonal_diff": 2}, "diff"]).lost == 4


def test_beyond_its_lag_a_difference_builds_on_the_forecast_itself():
    series = make_series([1, 2, 4, 8, 16, 32])
    scaling = Scaling([{"seasonal_diff": 2}]).fit(train_of(series, 6))
    back = scaling.inverse(np.full((1, 5, 1), 10.0), np.array([[[1.0], [2.0]]]), np.array([0]))
    assert back.ravel().tolist() == [11, 12, 21, 22, 31]


def test_quantiles_of_sums_are_not_made_up():
    series = make_series(positive(40))
    scaling = Scaling(["diff", "standard"]).fit(train_of(series, 30))
    assert scaling.monotone(1)
    assert not scaling.monotone(2)
    history, number = np.ones((1, 1, 1)), np.array([0])
    assert scaling.inverse(np.ones((1, 1, 1, 3)), history, number).shape == (1, 1, 1, 3)
    with pytest.raises(InputError, match="use normalize=last instead of diff, or a horizon of at most 1"):
        scaling.inverse(np.ones((1, 2, 1, 3)), history, number)
    assert Scaling(["log", "standard"]).monotone(720)


def test_known_columns_are_standardised_unless_they_never_change():
    known = np.array([[1, 5], [3, 5], [5, 9]])
    scaling = Scaling([]).fit(train_of(make_series([1, 2, 3], known=known), 2))
    assert scaling.transform_known(known).tolist() == [[-1, 5], [1, 5], [3, 9]]
    assert scaling.transform_known(known, slice(1, 2)).tolist() == [[5], [5], [9]]
    assert scaling.transform_known(known[None, :2]).shape == (1, 2, 2)


def test_known_columns_that_tell_series_apart_still_do():
    known = np.array([[1], [1], [3], [3]])
    scaling = Scaling([]).fit(train_of(make_series([1, 2, 3, 4], sizes=[2, 2], known=known), 2))
    assert scaling.transform_known(known).ravel().tolist() == [-1, -1, 1, 1]


def test_many_rows_are_scaled_as_few_are(monkeypatch):
    series = make_series(positive(50, 5), sizes=[30, 20], targets=3)
    chain = ["log", {"seasonal_diff": 3}, "robust"]
    whole = Scaling(chain).fit(train_of(series, 20)).transform(series)
    monkeypatch.setattr("seqlab.data.scaling._BLOCK", 40)
    np.testing.assert_array_equal(Scaling(chain).fit(train_of(series, 20)).transform(series), whole)


def test_what_was_learned_survives_a_checkpoint():
    series = make_series(positive(40, 2), known=positive(40, 2))
    chain = ["log", {"seasonal_diff": 3}, "standard"]
    fitted = Scaling(chain).fit(train_of(series, 30))
    file = io.BytesIO()
    torch.save(fitted.state_dict(), file)
    file.seek(0)
    other = Scaling(chain)
    other.load_state_dict(torch.load(file, weights_only=True))
    np.testing.assert_array_equal(other.transform(series), fitted.transform(series))
    np.testing.assert_array_equal(other.transform_known(series.known), fitted.transform_known(series.known))
    with pytest.raises(InputError, match=r"data.scaling is \['standard'\], but what was learned belongs to \['log'"):
        Scaling(["standard"]).load_state_dict(fitted.state_dict())


@pytest.mark.parametrize(("part", "name"), [("val", "validation"), ("test", "test")])
def test_no_other_part_teaches(part, name):
    series = make_series(positive(40))
    with pytest.raises(InputError, match=f"learn from the training part only, this is the {name} part"):
        Scaling(["standard"]).fit(Slice(series, part, series.starts, series.stops))


@pytest.mark.parametrize(
    ("chain", "says"),
    [
        (["standart"], "no step 'standart'; did you mean 'standard'"),
        ([{"seasonal_dif": 12}], "no step 'seasonal_dif'; did you mean 'seasonal_diff'"),
        (["seasonal_diff"], r"needs its season in rows, such as \{seasonal_diff: 12\}"),
        ([{"seasonal_diff": 0}], "needs its season in rows"),
        ([{"seasonal_diff": True}], "needs its season in rows"),
        ([{"standard": 3}], "standard takes no value, so write 'standard'"),
        ([{"log": 1, "diff": 1}], "is no step"),
        ([7], "7 is no step"),
    ],
)
def test_a_step_that_is_none_is_refused(chain, says):
    with pytest.raises(InputError, match=says):
        Scaling(chain)


@pytest.mark.parametrize(
    ("chain", "says"),
    [
        (["standard"], r"b never changes in the training part \(0.1\), so standard has nothing"),
        (["minmax"], "b never changes in the training part"),
        (["robust"], "b never changes in the middle half of the training part"),
        (["log", "standard"], "b never changes in the training part"),
    ],
)
def test_a_column_without_spread_is_refused_by_name(chain, says):
    values = positive(40, 2)
    values[:, 1] = 0.1
    with pytest.raises(InputError, match=says):
        Scaling(chain).fit(train_of(make_series(values), 30))
    # One of several series does no harm: it is scaled by 1.
    values = positive(40, 2)
    values[20:, 1] = 0.1
    series = make_series(values, sizes=[20, 20])
    scaled = Scaling(chain).fit(train_of(series, 15)).transform(series)
    assert np.abs(scaled[20:, 1]).max() < 1e-6
    assert np.isfinite(scaled).all()


def test_rounding_is_no_spread():
    wave = 1000 + np.sin(np.arange(100) * 2 * np.pi / 10)  # repeats exactly, but for rounding
    with pytest.raises(InputError, match="a never changes in the training part"):
        Scaling([{"seasonal_diff": 10}, "standard"]).fit(train_of(make_series(wave), 80))
    wave += 1e-4 * np.random.default_rng(0).normal(size=100)
    with pytest.raises(InputError, match=r"the differences of a vary too little for the seven digits .* level 1e\+03:"):
        Scaling([{"seasonal_diff": 10}, "standard"]).fit(train_of(make_series(wave), 80))


COUNTER = 4_000_000 + np.cumsum(1 + np.random.default_rng(0).uniform(-0.5, 0.5, 400))


@pytest.mark.parametrize(
    "chain", [["diff"], ["diff", "standard"], ["standard", "diff"], ["log", "diff", "robust"], [{"seasonal_diff": 3}]]
)
def test_differences_that_rounding_has_taken_are_refused(chain):
    with pytest.raises(
        InputError, match=r"differences of a vary too little .* of its level 4.*e\+06: subtract a const"
    ):
        Scaling(chain).fit(train_of(make_series(COUNTER), 300))
    for kept in (COUNTER - 3_999_000, 4_000_000 + 1000 * (COUNTER - 4_000_000)):
        Scaling(chain).fit(train_of(make_series(kept), 300))
    Scaling(["diff", "standard"]).fit(train_of(make_series(np.rint(COUNTER)), 300))  # whole numbers are not rounded
    Scaling(["standard"]).fit(train_of(make_series(COUNTER), 300))
    both = np.stack([np.random.default_rng(0).uniform(1, 2, 400), COUNTER], axis=1)
    Scaling(chain).fit(train_of(make_series(both, targets=1), 300))  # the past may be rounded


@pytest.mark.parametrize("name", ["standard", "minmax", "robust"])
def test_a_past_column_that_never_changes_is_left_on_its_scale(name):
    values = np.stack([positive(40)[:, 0], np.full(40, 0.1)], axis=1)
    values[35:, 1] = 3.1
    found = Scaling([name]).fit(train_of(make_series(values, targets=1), 30)).transform(make_series(values, targets=1))
    np.testing.assert_allclose(found[:, 1], [0] * 35 + [3] * 5, atol=1e-6)
    with pytest.raises(InputError, match=r"b never changes in .*the training part"):
        Scaling([name]).fit(train_of(make_series(values), 30))


def test_the_logarithm_of_nothing_is_refused_wherever_it_stands():
    values = positive(60, 2)
    values[25, 1] = 0
    series = make_series(values, sizes=[20, 40])
    with pytest.raises(InputError, match=r"b of series 's1' is 0 at 2001-01-01T05:00:00 \(row 25\)"):
        Scaling(["log"]).fit(train_of(series, 10))
    fitted = Scaling(["log"]).fit(train_of(series, 5))  # the value lies behind the training part
    with pytest.raises(InputError, match=r"log takes values above 0 only, but b .* \(row 25\)"):
        fitted.transform(series)
    with pytest.raises(InputError, match=r"a is -.* at 2001-01-01T0\d:00:00 \(row \d\)"):
        Scaling(["standard", "log"]).fit(train_of(make_series(positive(20)), 10))


def test_a_training_part_that_differences_eat_up_is_refused():
    series = make_series(positive(60), sizes=[20, 40])
    with pytest.raises(InputError, match="take the first 13 rows, but the training part of series 's0' has 13"):
        Scaling(["diff", {"seasonal_diff": 12}]).fit(train_of(series, 13))


def test_other_series_and_columns_are_refused():
    fitted = Scaling(["standard"]).fit(train_of(make_series(positive(40, 2)), 30))
    with pytest.raises(InputError, match="learned from the columns 'a', 'b', but these are 'a'"):
        fitted.transform(make_series(positive(40)))
    with pytest.raises(InputError, match="learned from the series one without a name, but these are 's0', 's1'"):
        fitted.transform(make_series(positive(40, 2), sizes=[20, 20]))
