"""Beyond the end: the last rows are read, nothing else, and the clock goes on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from seqlab.data.forecast import prepare
from seqlab.data.forecast_beyond import beyond, extended, read_plans, upcoming
from seqlab.data.series import Series
from seqlab.types import InputError


def make_series(*sizes, ahead=0, measured=None):
    rows, random = sum(sizes), np.random.default_rng(0)
    months = [np.datetime64("1949-01", "M") + np.arange(size) for size in sizes]
    return Series(
        times=np.concatenate(months).astype("datetime64[s]"),
        values=np.exp(random.normal(size=(rows, 3))).astype(np.float32),
        known=random.normal(size=(rows, ahead)).astype(np.float32),
        targets=("a", "b"),
        past=("c",),
        ahead=tuple("xyz"[:ahead]),
        starts=np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
        ids=("",) if len(sizes) == 1 else tuple(f"s{number}" for number in range(len(sizes))),
        freq="MS",
        measured=measured,
    )


def made(series, **options):
    defaults = {"lookback": 8, "horizon": 3, "split": [0.6, 0.2, 0.2], "scaling": ["log", "diff", "standard"]}
    return prepare(series, season=1, **{**defaults, **options})


def first_rows(series, size, count):
    """The same series, each cut after its first ``count`` of ``size`` rows."""
    taken = (series.starts[:, None] + np.arange(count)).ravel()
    return replace(
        series,
        times=series.times[taken], values=series.values[taken], known=series.known[taken],
        starts=count * np.arange(len(series.ids)),
    )  # fmt: skip


@pytest.mark.parametrize("sizes", [(60,), (60, 60)])
def test_what_is_read_is_what_a_window_there_would_read_were_the_data_longer(sizes):
    whole = make_series(*sizes, ahead=2)
    options = {"split": [30, 10, 10]}
    data, longer = made(first_rows(whole, 60, 50), **options), made(whole, **options)
    rows = whole.starts[:, None] + np.arange(50, 53)
    outlook = beyond(data, whole.known[rows])
    batch = outlook.windows.batch(outlook.windows.origins)
    expected = longer.test.batch(whole.starts + 50)
    np.testing.assert_array_equal(batch.inputs, expected.inputs)
    np.testing.assert_array_equal(batch.future, expected.future)
    assert batch.targets.isnan().all()
    assert np.isnan(outlook.units.actual(outlook.windows.origins)).all()
    assert batch.targets.shape == expected.targets.shape
    scaled = np.random.default_rng(0).normal(size=(len(sizes), 3, 2))
    np.testing.assert_allclose(
        outlook.units.original(scaled, outlook.windows.origins), longer.units.original(scaled, whole.starts + 50)
    )
    np.testing.assert_array_equal(outlook.units.deviation, data.units.deviation)
    assert outlook.units.series(outlook.windows.origins).tolist() == list(range(len(sizes)))
    times = outlook.series.times[outlook.windows.origins[:, None] + np.arange(3)]
    np.testing.assert_array_equal(times, whole.times[rows])


def test_only_the_last_rows_are_copied():
    assert len(beyond(made(make_series(500, 400))).series) == 2 * (8 + 1 + 3)


def test_forecasts_can_be_built_upon():
    whole = make_series(60)
    data = made(first_rows(whole, 60, 50), split=[30, 10, 10])
    longer = extended(data.series, whole.values[None, 50:53, :2].astype(np.float64))
    outlook = beyond(replace(data, series=longer))
    batch = outlook.windows.batch(outlook.windows.origins)
    expected = made(whole, split=[30, 10, 10]).scaling.transform(whole)[45:53]
    np.testing.assert_allclose(batch.inputs[0, :, :2], expected[:, :2], rtol=1e-5)
    assert str(outlook.series.times[outlook.windows.origins[0]]) == "1953-06-01T00:00:00"


def test_more_rows_stand_behind_each_series():
    series = make_series(5, 4, ahead=1)
    longer = extended(series, np.full((2, 2, 2), 7.0), np.full((2, 2, 1), 9.0))
    assert longer.starts.tolist() == [0, 7]
    assert longer.stops.tolist() == [7, 13]
    np.testing.assert_array_equal(longer.values[[5, 6, 11, 12]][:, :2], 7)
    np.testing.assert_array_equal(longer.values[[5, 6, 11, 12]][:, 2], series.values[[4, 4, 8, 8], 2])
    np.testing.assert_array_equal(longer.values[7:11], series.values[5:])
    assert longer.known.ravel()[[5, 6, 11, 12]].tolist() == [9] * 4
    assert longer.measured.all(axis=1).tolist() == [True] * 5 + [False] * 2 + [True] * 4 + [False] * 2
    assert longer.values.dtype == longer.known.dtype == np.float32
    measured = np.zeros((9, 2), dtype=bool)
    assert not extended(replace(series, measured=measured), np.ones((2, 1, 2)), np.ones((2, 1, 1))).measured.any()


@pytest.mark.parametrize(
    ("freq", "last", "expected"),
    [
        ("MS", "1960-12-01", ["1961-01-01", "1961-02-01"]),
        ("ME", "2024-01-31", ["2024-02-29", "2024-03-31"]),
        ("h", "2018-06-26T23", ["2018-06-27T00", "2018-06-27T01"]),
        ("15min", "2018-06-26T23:50", ["2018-06-27T00:05", "2018-06-27T00:20"]),
        ("7D", "2024-02-26", ["2024-03-04", "2024-03-11"]),
        ("YS", "1999-01-01", ["2000-01-01", "2001-01-01"]),
    ],
)
def test_the_clock_goes_on(freq, last, expected):
    series = replace(make_series(1), times=np.array([last], dtype="datetime64[s]"), freq=freq)
    found = upcoming(series, 2)
    assert found.dtype == np.dtype("datetime64[s]")
    np.testing.assert_array_equal(found, np.array([expected], dtype="datetime64[s]"))


def test_what_is_known_beforehand_must_be_given():
    data = made(make_series(50, ahead=2))
    with pytest.raises(InputError, match=r"x, y must be given of 3 rows to come of each series \(1, 3, 2\), but noth"):
        beyond(data)
    with pytest.raises(InputError, match=r"but what was has the shape \(1, 2, 2\)"):
        beyond(data, np.zeros((1, 2, 2)))
    with pytest.raises(InputError, match="no known column must be given"):
        beyond(made(make_series(50)), np.zeros((1, 3, 1)))


def test_a_series_shorter_than_a_look_back_is_refused():
    data = made(make_series(50))
    with pytest.raises(InputError, match="a forecast reads 9 rows, but there are 8: bring more"):
        beyond(replace(data, series=make_series(8)))


# Plans --------------------------------------------------------------------------------------------------------------

DAYS = np.array([["2020-01-02", "2020-01-03"]], dtype="datetime64[s]")


def plans(path, text, times=DAYS, ids=("",), names=("x", "y"), id_column=None):
    path.write_text(text, encoding="utf-8")
    return read_plans(path, times, ids, names, "t", id_column)


def test_plans_are_read_as_data_are(tmp_path):
    text = "t, y ,word,x\n2020-01-03,4,a,3\n2020-01-01,,b,NA\n2020-01-02,2,c,1\n"
    for name, mark in (("a.csv", ","), ("a.tsv", "\t")):
        found = plans(tmp_path / name, text.replace(",", mark))
        assert found.dtype == np.float32
        assert found.tolist() == [[[1, 2], [3, 4]]]
    text = "t,of,x\n" + "".join(f"{day},{of},{n}\n" for n, day in enumerate(DAYS[0]) for of in ("NA", "b", "NA2"))
    found = plans(tmp_path / "a.csv", text, DAYS.repeat(2, axis=0), ("NA", "b"), ("x",), "of")
    assert found.tolist() == [[[0], [1]], [[0], [1]]]


def test_parquet_holds_plans_as_well(tmp_path):
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow: pip install 'seqlab[parquet]'")
    pd.DataFrame({"t": DAYS[0], "of": [7, 7], "x": [1, 2]}).to_parquet(tmp_path / "a.parquet")
    assert read_plans(tmp_path / "a.parquet", DAYS, ("7",), ("x",), "t", "of").tolist() == [[[1], [2]]]


@pytest.mark.parametrize(
    ("cells", "times", "expected"),
    [
        (range(1199, 1203), [1200, 1201], [1, 2]),
        (range(20200131, 20200133), [20200131, 20200132], [0, 1]),
        (range(998, 1002), [999, 1000], [1, 2]),
        (range(1960, 1963), ["1961-01-01", "1962-01-01"], [1, 2]),
        ([20200131, 20200201], ["2020-01-31", "2020-02-01"], [0, 1]),
    ],
)
def test_whole_numbers_are_times_as_the_data_have_them(tmp_path, cells, times, expected):
    text = "t,x\n" + "".join(f"{cell},{n}\n" for n, cell in enumerate(cells))
    found = plans(tmp_path / "a.csv", text, np.array([times], dtype="datetime64[s]"), names=("x",))
    assert found[0, :, 0].tolist() == expected


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("2020-01-02,1,2", r"a.csv says nothing of 2020-01-03: add that row"),
        ("2020-01-02T00:00Z,1,2", r"a.csv says nothing of 2020-01-03 UTC: add that row"),
        ("2020-01-02,1,2\n2020-01-03,1,", "has no number for y at 2020-01-03: fill it in"),
        ("2020-01-02,1,2\n2020-01-03,1,inf", "line 3: 'y' is infinite, or too large for a float"),
        ("2020-01-02,1e50,2\n2020-01-03,1,2", "line 2: 'x' is infinite, or too large for a float"),
        ("2020-01-02,1,2\n2020-01-03,z,2", "line 3: 'x' is 'z', which is no number"),
        ("2020-01-02,1,2\n2020-01-03,1,2\n2020-01-02,1,2", "line 4, speaks of 2020-01-02 once more: delete one"),
    ],
)
def test_plans_that_say_too_little_are_refused(tmp_path, rows, says):
    with pytest.raises(InputError, match=says):
        plans(tmp_path / "a.csv", f"t,x,y\n{rows}\n")


def test_a_file_that_holds_no_plans_is_one_sentence(tmp_path):
    for text, says in (("t;x\n2020;1\n", "has no column 'y'"), ("t,z\n2020,1\n", "has no column 'x'")):
        with pytest.raises(InputError, match=says):
            plans(tmp_path / "a.csv", text)
    with pytest.raises(InputError, match=r"cannot read .*none.csv \(No such file"):
        read_plans(tmp_path / "none.csv", DAYS, ("",), ("x",), "t", None)


def test_rows_to_come_keep_a_clock_that_is_finer_than_the_rows(tmp_path):
    series = replace(make_series(20), freq="500ms", times=np.datetime64("2020-01-01", "s") + np.arange(20))
    longer = extended(series, np.ones((1, 3, 2)))
    assert [str(time) for time in longer.times[-3:]] == [
        "2020-01-01T00:00:19.500", "2020-01-01T00:00:20.000", "2020-01-01T00:00:20.500",
    ]  # fmt: skip
    path = tmp_path / "plans.csv"
    path.write_text("t,x\n2020-01-01 00:00:19.5,1\n2020-01-01 00:00:19.501,7\n2020-01-01 00:00:20,2\n")
    assert read_plans(path, upcoming(series, 2), ("",), ("x",), "t", None).tolist() == [[[1], [2]]]
