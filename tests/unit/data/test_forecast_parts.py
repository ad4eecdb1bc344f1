"""Parts: in order, side by side, and refused where they cannot be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from seqlab.data.forecast_parts import parts
from seqlab.data.moments import Zone
from seqlab.data.series import Series
from seqlab.types import InputError


def make_series(*sizes, begin="1949-01"):
    """Monthly rows."""
    months = [np.datetime64(begin, "M") + np.arange(size) for size in sizes]
    rows = sum(sizes)
    return Series(
        times=np.concatenate(months).astype("datetime64[s]"),
        values=np.arange(rows, dtype=np.float32)[:, None],
        known=np.zeros((rows, 0), dtype=np.float32),
        targets=("a",),
        past=(),
        ahead=(),
        starts=np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
        ids=("",) if len(sizes) == 1 else tuple(f"s{number}" for number in range(len(sizes))),
        freq="MS",
    )


def spans(series, split):
    return {
        name: list(zip(part.starts.tolist(), part.stops.tolist(), strict=True))
        for name, part in parts(series, split).items()
    }


def test_fractions_are_of_each_series():
    assert spans(make_series(10, 100), [0.7, 0.1, 0.2]) == {
        "train": [(0, 7), (10, 80)],
        "val": [(7, 8), (80, 90)],
        "test": [(8, 10), (90, 110)],
    }


def test_fractions_that_add_up_to_less_leave_rows_unused():
    assert spans(make_series(10), [0.5, 0.2, 0.1])["test"] == [(7, 8)]


def test_the_last_fifth_is_the_last_fifth():
    assert spans(make_series(2820), [0.7, 0.1, 0.2])["test"] == [(2256, 2820)]


def test_rows_are_counted_from_each_beginning():
    assert spans(make_series(100, 120), [50, 20, 10]) == {
        "train": [(0, 50), (100, 150)],
        "val": [(50, 70), (150, 170)],
        "test": [(70, 80), (170, 180)],
    }


def test_dates_are_where_validation_and_test_begin():
    assert spans(make_series(144), ["1956-01", "1957-01-01"]) == {
        "train": [(0, 84)],
        "val": [(84, 96)],
        "test": [(96, 144)],
    }


@pytest.mark.parametrize("split", [[100, 44, 0], [0.8, 0.2, 0], [0.8, 0.2, 0.0]])
def test_a_third_nothing_means_no_test_part(split):
    assert list(parts(make_series(144), split)) == ["train", "val"]


@pytest.mark.parametrize("split", [[100, 0, 44], [0.7, 0, 0.3]])
def test_a_second_nothing_means_no_validation_part(split):
    assert list(parts(make_series(144), split)) == ["train", "test"]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(20, 90), min_size=1, max_size=4),
    st.one_of(
        st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.5), st.floats(0.1, 0.5)).map(list),
        st.tuples(st.integers(1, 50), st.integers(1, 20), st.integers(1, 20)).map(list),
        st.tuples(st.integers(0, 30), st.integers(0, 30)).map(
            lambda months: [str(np.datetime64("1949-01") + month) for month in months]
        ),
    ),
)
def test_parts_follow_one_another_within_each_series(sizes, split):
    series = make_series(*sizes)
    try:
        found = parts(series, split)
    except InputError:
        assume(False)
    train, val, test = (found[name] for name in ("train", "val", "test"))
    assert (train.starts == series.starts).all()
    assert (train.starts < train.stops).all()
    assert (train.stops == val.starts).all()
    assert (val.starts <= val.stops).all()
    assert (val.stops == test.starts).all()
    assert (test.starts <= test.stops).all()
    assert (test.stops <= series.stops).all()
    assert {name: part.part for name, part in found.items()} == {name: name for name in found}


@pytest.mark.parametrize(
    ("split", "says"),
    [
        ([0.7, 0.2, 0.2], r"adds up to 1.1: fractions of .* may add up to 1 at most"),
        ([0.9, 5, 0.05], "adds up to 5.95"),
        ([100, 40, 5], "asks for 145 rows, but there are 144: ask for fewer"),
        ([0.8, 0.001, 0.199], "leaves the validation part without rows"),
        ([0, 0.8, 0.2], "leaves the training part without rows"),
        ([0.8, 0.199, 0.001], "leaves the test part without rows"),
        ([0, 100, 44], "leaves the training part without rows"),
        ([144, 0, 0], "leaves nothing to measure on"),
        ([0.8, -0.1, 0.2], "must not be negative"),
        ([float("nan"), 0.5, 0.5], r"data.split=\[nan, 0.5, 0.5\] must not be negative, infinite or nan anywhere"),
        ([0.5, float("inf"), 0.5], "must not be negative, infinite or nan anywhere"),
        ([0.8, 0.2], "must be three fractions"),
        ([True, 1, 1], "must be three fractions"),
        (["1956-01"], "must be three fractions"),
        (["1956-01", "soon"], "data.split=soon is no date: write 1957-01"),
        (["1930-01", "1956-01"], "validation part cannot begin at 1930-01, since the data go from 1949-01-01T"),
        (["1956-01", "1999-01"], "test part cannot begin at 1999-01, since the data go from .* to 1960-12-01T"),
        (["1949-01", "1956-01"], "validation part cannot begin at 1949-01"),
        (["1956-01", "1956-01"], "test part must begin later than the validation part"),
        (["1956-01-02", "1956-01-03"], "leaves the validation part without rows"),
    ],
)
def test_a_split_that_cannot_be_is_refused(split, says):
    with pytest.raises(InputError, match=says):
        parts(make_series(144), split)


def test_a_series_that_has_too_few_rows_is_named():
    with pytest.raises(InputError, match="asks for 80 rows, but there are 60 of series 's1'"):
        parts(make_series(100, 60), [50, 20, 10])
    late = make_series(100, 1)
    with pytest.raises(InputError, match="leaves the training part of series 's1' without rows"):
        parts(late, [0.4, 0.2, 0.2])


def test_percents_are_not_taken_for_rows_and_unused_rows_are_said(caplog):
    with pytest.raises(InputError, match=r"look like percent of the 400 rows: write \[0.8, 0.1, 0.1\], or rows"):
        parts(make_series(400), [80, 10, 10])
    with pytest.raises(InputError, match=r"adds up to 100: .* Write \[0.8, 0.1, 0.1\]"):
        parts(make_series(400), [80.0, 10.0, 10.0])
    assert spans(make_series(100), [80, 10, 10])["test"] == [(90, 100)]
    assert not caplog.messages
    parts(make_series(400), [200, 50, 51])
    assert "data.split=[200, 50, 51] uses 301 of 400 rows: the last 99 of them are not used" in caplog.text


def test_dates_of_a_split_are_in_the_zone_of_the_data():
    days = make_series(40)
    hours = np.datetime64("2016-06-01", "s") + np.arange(40) * np.timedelta64(1, "h")
    zone = Zone(hours[:1], np.array([7200]))
    series = replace(days, times=hours - np.timedelta64(2, "h"), zone=zone)
    assert spans(series, ["2016-06-01 12:00", "2016-06-02"])["test"] == [(24, 40)]
    assert spans(series, ["2016-06-01T10:00+00:00", "2016-06-01T22:00Z"])["val"] == [(12, 24)]
    with pytest.raises(InputError, match=r"go from 2016-06-01T00:00:00\+02:00 to 2016-06-02T15:00:00\+02:00"):
        parts(series, ["2016-06-01", "2016-06-02"])
