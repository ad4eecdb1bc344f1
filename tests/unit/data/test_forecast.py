"""From series to windows: nothing of the future is read, nothing is dropped, what cannot be is refused."""

from __future__ import annotations

import csv
import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.data.forecast import ForecastLoader, load_forecast, prepare
from seqlab.data.series import Series
from seqlab.types import DataSpec, InputError

DATA = Path(os.environ.get("SEQLAB_DATA", Path(__file__).parents[4] / "shared" / "data"))
COUNTS = {96: 2785, 192: 2689, 336: 2545, 720: 2161}  # test windows of ETTh1, nothing dropped


def make_series(*sizes, columns=2, targets=2, ahead=0, seed=0, measured=None):
    """Positive random walks, hourly."""
    rows, random = sum(sizes), np.random.default_rng(seed)
    hours = np.concatenate([np.arange(size) for size in sizes])
    return Series(
        times=np.datetime64("2016-07-01", "s") + hours * np.timedelta64(3600, "s"),
        values=np.exp(random.normal(size=(rows, columns)).cumsum(axis=0) / 10).astype(np.float32),
        known=random.normal(size=(rows, ahead)).astype(np.float32),
        targets=tuple("abcdefg"[:targets]),
        past=tuple("opqrstu"[: columns - targets]),
        ahead=tuple("xyz"[:ahead]),
        starts=np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
        ids=("",) if len(sizes) == 1 else tuple(f"s{number}" for number in range(len(sizes))),
        freq="h",
        measured=measured,
    )


OPTIONS = {"lookback": 12, "horizon": 5, "split": [0.6, 0.2, 0.2], "scaling": ["standard"], "season": 4}


def made(series=None, **options):
    return prepare(make_series(100) if series is None else series, **{**OPTIONS, **options})


def windows_of(data):
    return [(name, getattr(data, name)) for name in data.parts]


def test_inputs_are_targets_then_past_then_known_all_scaled():
    series = make_series(100, columns=3, targets=2, ahead=2)
    data = made(series)
    assert data.spec == DataSpec(
        "forecasting", num_outputs=2, labels=("a", "b"), num_features=5, horizon=5, num_future=2
    )
    mean, deviation = series.values[:60].astype(np.float64).mean(axis=0), series.values[:60].std(axis=0)
    np.testing.assert_allclose(data.train.inputs[:, :3], (series.values - mean) / deviation, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(data.train.inputs[:60, 3:].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_array_equal(data.train.targets, data.train.inputs[:, :2])


def test_all_parts_share_one_array():
    data = made(make_series(100, columns=3, ahead=1))
    for _, windows in windows_of(data):
        assert windows.inputs is data.train.inputs
        assert windows.targets is data.train.targets
        assert np.shares_memory(windows.inputs, windows.targets)


def test_what_was_not_measured_is_not_asked_for_but_read():
    measured = np.ones((100, 2), dtype=bool)
    measured[[3, 50, 90], [0, 1, 0]] = False
    data = made(make_series(100, measured=measured))
    np.testing.assert_array_equal(np.isnan(data.train.targets), ~measured)
    assert not np.isnan(data.train.inputs).any()


def test_a_known_column_comes_with_the_batch_as_far_as_the_horizon():
    series = make_series(100, ahead=1)
    data = made(series)
    (batch,) = ForecastLoader(data.test, batch_size=99, shuffle=False).epoch(0)
    expected = data.scaling.transform_known(series.known)[batch.index.numpy()[:, None] + np.arange(5)]
    np.testing.assert_array_equal(batch.future.numpy(), expected)


@pytest.mark.parametrize("horizon", COUNTS)
@pytest.mark.parametrize("lookback", [96, 720])
def test_window_counts_are_those_of_the_benchmark(horizon, lookback):
    data = made(make_series(17420), lookback=lookback, horizon=horizon, split=[8640, 2880, 2880], season=24)
    assert len(data.test) == len(data.val) == COUNTS[horizon]
    assert len(data.train) == 8640 - lookback - horizon + 1
    assert data.test.origins[[0, -1]].tolist() == [11520, 14400 - horizon]


@pytest.mark.parametrize("horizon", COUNTS)
def test_etth1_scales_and_counts_as_the_benchmark_does(horizon):
    path = DATA / "series" / "ETTh1.csv"
    if not path.is_file():
        pytest.skip(f"no series/ETTh1.csv under {DATA}: set SEQLAB_DATA")
    with open(path, encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    series = replace(
        make_series(len(rows), columns=7, targets=7),
        times=np.array([row[0] for row in rows], dtype="datetime64[s]"),
        values=np.array([row[1:] for row in rows], dtype=np.float32),
        targets=tuple(head[1:]),
    )
    data = prepare(series, lookback=96, horizon=horizon, split=[8640, 2880, 2880], scaling=["standard"], season=24)
    assert len(data.series) == 17420
    assert len(data.test) == COUNTS[horizon]
    # Repeating the last day: what the benchmark's own scaling and windows give.
    origins = data.test.origins
    repeated = data.test.inputs[origins[:, None] - 24 + np.arange(horizon) % 24]
    asked = data.test.targets[origins[:, None] + np.arange(horizon)]
    error = float(np.square(repeated - asked, dtype=np.float64).mean())
    assert round(error, 3) == {96: 0.512, 192: 0.581, 336: 0.650, 720: 0.655}[horizon]
    actual = data.units.actual(origins)
    raw = series.values.astype(np.float64)[origins[:, None] - 24 + np.arange(horizon) % 24]
    assert np.square((raw - actual) / data.units.deviation[0]).mean() == pytest.approx(error, rel=1e-5)


cases = st.fixed_dictionaries(
    {
        "lookback": st.integers(1, 12),
        "horizon": st.integers(1, 8),
        "scaling": st.sampled_from([[], ["standard"], ["log", "diff"], [{"seasonal_diff": 3}, "robust"]]),
        "split": st.sampled_from([[0.6, 0.2, 0.2], [30, 12, 9], ["2016-07-02T12", "2016-07-03"], [0.7, 0.3, 0]]),
    }
)
series_sizes = st.lists(st.integers(60, 90), min_size=1, max_size=3)


@settings(max_examples=100, deadline=None)
@given(cases, series_sizes)
def test_windows_keep_to_their_part_and_their_series_and_none_is_missing(case, sizes):
    data = made(make_series(*sizes), **case)
    lookback, horizon, lost = case["lookback"], case["horizon"], data.scaling.lost
    for name, windows in windows_of(data):
        part = data.parts[name]
        expected = []
        for begin, start, stop in zip(data.series.starts, part.starts, part.stops, strict=True):
            floor = begin + lost  # rows that can be read
            for origin in range(start, stop):
                reads, asks = origin - lookback, origin + horizon
                if asks <= stop and reads >= floor:
                    expected.append(origin)
        assert windows.origins.tolist() == expected
        order = [origin for batch in ForecastLoader(windows, batch_size=16).epoch(1) for origin in batch.index.tolist()]
        assert sorted(order) == expected
        batch = windows.batch(windows.origins)
        assert not batch.inputs.isnan().any()
        assert not batch.targets.isnan().any()


@settings(max_examples=60, deadline=None)
@given(cases, series_sizes, st.data())
def test_no_window_reads_what_comes_at_or_after_its_origin(case, sizes, draw):
    series = make_series(*sizes)
    data = made(series, **case)
    number = draw.draw(st.integers(0, len(sizes) - 1))
    first, last = series.starts[number] + data.scaling.lost + case["lookback"], series.stops[number] - case["horizon"]
    origin = draw.draw(st.integers(int(first), int(last)))
    changed = series.values.copy()
    changed[origin : series.stops[number]] *= np.float32(9.5)
    # With what was learned left alone, of any origin; learned anew, of one that lies behind the training part.
    learned_anew = origin >= data.parts["train"].stops[number]
    case = case if learned_anew else {**case, "scaling": data.scaling}
    other = made(replace(series, values=changed), **case)
    batches = [one.train.batch(np.array([origin])) for one in (data, other)]
    np.testing.assert_array_equal(*(batch.inputs.numpy() for batch in batches))
    assert (batches[0].targets != batches[1].targets).any()
    scaled = np.random.default_rng(0).normal(size=(1, case["horizon"], 2))
    np.testing.assert_array_equal(*(one.units.original(scaled, np.array([origin])) for one in (data, other)))


@settings(max_examples=40, deadline=None)
@given(cases, series_sizes)
def test_validation_and_test_rows_teach_nothing(case, sizes):
    series = make_series(*sizes, ahead=1)
    data = made(series, **case)
    changed, known = series.values.copy(), series.known.copy()
    for stop, end in zip(data.parts["train"].stops, series.stops, strict=True):
        changed[stop:end] *= 3
        known[stop:end] += 3
    other = made(replace(series, values=changed, known=known), **case)
    for name in ("deviation", "seasonal"):
        np.testing.assert_array_equal(getattr(data.units, name), getattr(other.units, name))
    batches = [one.train.batch(one.train.origins) for one in (data, other)]
    for name in ("inputs", "targets", "future"):
        np.testing.assert_array_equal(*(getattr(batch, name).numpy() for batch in batches))


def test_a_stride_thins_training_alone():
    whole, thin = made(make_series(100, 90)), made(make_series(100, 90), stride=3)
    number = whole.units.series(whole.train.origins)
    expected = np.concatenate([whole.train.origins[number == one][::3] for one in (0, 1)])
    np.testing.assert_array_equal(thin.train.origins, expected)
    assert len(thin.val) == len(whole.val)
    assert len(thin.test) == len(whole.test)


def test_without_a_test_part_there_are_no_test_windows():
    data = made(split=[0.7, 0.3, 0])
    assert data.test is None
    assert list(data.parts) == ["train", "val"]


def test_a_scaling_that_has_learned_is_used_as_it_is():
    data = made()
    other = made(make_series(100, seed=1), scaling=data.scaling)
    assert other.scaling is data.scaling
    np.testing.assert_array_equal(other.train.inputs, data.scaling.transform(make_series(100, seed=1)))


class Made:
    """A source of made-up series."""

    name = "made"

    def __init__(self, digest="1"):
        self._digest = digest

    def digest(self):
        return self._digest

    def read(self):
        return make_series(100)


def test_a_source_is_read_and_told_of(caplog):
    caplog.set_level(logging.INFO, logger="seqlab")
    data = load_forecast(Made(), **OPTIONS)
    assert data.name == "made"
    assert data.season == 4
    assert data.pipeline is None
    assert "made: 100 rows, 44 training, 16 validation, 16 test windows" in caplog.text
    np.testing.assert_array_equal(data.train.inputs, made().train.inputs)


def test_digests_tell_sources_and_options_apart():
    others = [
        {"lookback": 11}, {"horizon": 4}, {"split": [0.5, 0.2, 0.3]}, {"scaling": ["minmax"]}, {"season": 3},
        {"stride": 2}, {"scaling": [{"seasonal_diff": 3}]},
    ]  # fmt: skip
    digests = [load_forecast(Made(), **{**OPTIONS, **other}).digest for other in ({}, *others)]
    digests.append(load_forecast(Made("2"), **OPTIONS).digest)
    assert len(set(digests)) == len(digests)
    assert load_forecast(Made(), **OPTIONS).digest == digests[0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"lookback": 60},
            r"data.lookback=60 \+ data.horizon=5 needs 65 rows, the training part has 60: shorten them",
        ),
        (
            {"lookback": 44, "scaling": ["diff", {"seasonal_diff": 12}]},
            r"data.lookback=44 \+ data.horizon=5 \+ 13 rows that differences take needs 62 rows, the training part has",
        ),
        ({"horizon": 30}, "data.horizon=30 needs 30 rows, the validation part has 20: shorten it"),
        ({"horizon": 15, "split": [0.6, 0.3, 0.1]}, "data.horizon=15 needs 15 rows, the test part has 10: shorten it"),
        ({"season": 60}, "data.season=60 needs measured values one season apart, but the training part of a has none"),
        ({"lookback": 0}, "data.lookback must be at least 1, not 0"),
        ({"horizon": 0}, "data.horizon must be at least 1, not 0"),
        ({"season": 0}, "data.season must be at least 1, not 0"),
        ({"stride": 0}, "data.stride must be at least 1, not 0"),
    ],
)
def test_what_cannot_be_is_refused_with_numbers(options, says):
    with pytest.raises(InputError, match=says):
        made(**options)


def test_series_too_short_for_a_window_are_told_of(caplog):
    data = made(make_series(100, 20))
    assert set(data.units.series(data.train.origins)) == {0}
    assert "1 of 2 series are too short for a training window: 's1'" in caplog.text
    made(make_series(100, 20, 20))
    assert "2 of 3 series are too short for a training window: the first is 's1'" in caplog.text
    with pytest.raises(InputError, match="needs 65 rows, the training part has 60 at most"):
        made(make_series(100, 20), lookback=60)
