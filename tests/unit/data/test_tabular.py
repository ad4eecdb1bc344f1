import gzip
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.data import columns
from seqlab.data.tabular import SeriesFile
from seqlab.types import InputError

HOURS = [str(time).replace("T", " ") for time in np.datetime64("2020-01-01T00:00:00") + np.arange(9) * 3_600]


def write(path, rows, header="time,a,b"):
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def hourly(path, **cells):
    """Nine hours of two columns; ``cells`` such as ``a3=""`` stand for those that were there."""
    values = {f"{name}{row}": str(10 * row + (name == "b")) for row in range(9) for name in "ab"} | cells
    return write(path, [f"{time},{values[f'a{row}']},{values[f'b{row}']}" for row, time in enumerate(HOURS)])


def same(one, other):
    assert (one.targets, one.past, one.ahead, one.ids, one.freq) == (
        other.targets, other.past, other.ahead, other.ids, other.freq
    )  # fmt: skip
    for name in ("times", "values", "known", "starts"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert (one.measured is None) == (other.measured is None)
    assert one.measured is None or np.array_equal(one.measured, other.measured)


def test_columns_have_roles(tmp_path):
    rows = [f"{time},{row},{row * 2},{row * 3},text,{row % 2}" for row, time in enumerate(HOURS)]
    path = write(tmp_path / "a.csv", rows, "time, a ,b,c,word,plan")
    series = SeriesFile(path, time_column="time", past=["b"], covariates=["plan"], calendar=["hour"]).read()
    assert (series.targets, series.past, series.ahead) == (("a", "c"), ("b",), ("plan", "hour"))
    assert series.values.dtype == series.known.dtype == np.float32
    assert series.values[4].tolist() == [4, 12, 8]
    assert series.known[3].tolist() == pytest.approx([1, 3 / 23 - 0.5])
    assert (series.freq, series.ids, series.measured) == ("h", ("",), None)
    assert series.times.dtype == np.dtype("datetime64[s]")
    assert series.times[8] == np.datetime64("2020-01-01T08:00:00")
    assert series.starts.dtype == np.int64
    assert SeriesFile(path, time_column="time", targets=["c"]).read().values.shape == (9, 1)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.csv.gz", "a.TSV.GZ", "a.parquet"])
@pytest.mark.parametrize("rows", [2, 1 << 16])
def test_every_format_gives_the_same_series(tmp_path, monkeypatch, name, rows):
    monkeypatch.setattr(columns, "ROWS", rows)
    frame = pd.DataFrame({"time": HOURS, "a": np.arange(9) / 3, "of": ["x", "x", "y"] * 3, "b": np.arange(9)})
    frame.loc[4, "a"] = np.nan
    path = tmp_path / name
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow", reason="Parquet needs pyarrow: pip install 'seqlab[parquet]'")
        frame.to_parquet(path)
        assert path.stat().st_size > 100
    else:
        text = frame.to_csv(index=False, sep="\t" if "tsv" in name.lower() else ",").encode()
        path.write_bytes(gzip.compress(text) if name.lower().endswith("gz") else text)
    options = {"time_column": "time", "id_column": "of", "past": ["b"], "missing": "forward", "gaps": "fill"}
    series = SeriesFile(path, **options).read()
    assert (series.ids, series.starts.tolist(), len(series)) == (("x", "y"), [0, 8], 15)
    assert series.values[:8, 1].tolist() == [0, 1, 1, 3, 4, 4, 6, 7]
    assert series.values[:8, 0].tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1, 1, 1, 2, 7 / 3])
    assert series.measured[:8, 0].tolist() == [True, True, False, True, False, False, True, True]


def test_parquet_knows_times_and_says_what_it_is_not(tmp_path):
    pytest.importorskip("pyarrow", reason="Parquet needs pyarrow: pip install 'seqlab[parquet]'")
    path = tmp_path / "a.parquet"
    frame = pd.DataFrame(
        {"t": pd.to_datetime(HOURS, utc=True), "n": np.arange(9, dtype="int16"), "w": list("abcdefghi")}
    )
    frame.to_parquet(path)
    series = SeriesFile(path, time_column="t").read()
    assert (series.targets, series.freq, str(series.times[1])) == (("n",), "h", "2020-01-01T01:00:00")
    with pytest.raises(InputError, match=r"row 1: 'w' is 'a', which is no number"):
        SeriesFile(path, time_column="t", targets=["w"]).read()
    with pytest.raises(InputError, match=r"has times in column 't': set data.time_column=t"):
        SeriesFile(path).read()
    path.write_bytes(b"none")
    with pytest.raises(InputError, match="is not a Parquet file"):
        SeriesFile(path).read()
    with pytest.raises(InputError, match="cannot read"):
        SeriesFile(tmp_path / "none.parquet").read()


def test_parquet_without_pyarrow_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"needs pyarrow: pip install 'seqlab\[parquet\]'"):
        SeriesFile(tmp_path / "a.parquet").read()


def test_without_times_rows_are_counted(tmp_path):
    path = write(tmp_path / "a.csv", ["x,1", "y,10", "x,2", "y,20", "y,30"], "of,v")
    series = SeriesFile(path, id_column="of").read()
    assert series.values[:, 0].tolist() == [1, 2, 10, 20, 30]
    assert series.times.astype(int).tolist() == [0, 1, 0, 1, 2]
    assert (series.freq, series.starts.tolist()) == ("s", [0, 2])
    hourly(path)
    with pytest.raises(
        InputError, match=r"has times in column 'time': set data.time_column=time, or data.time_column='' to count"
    ):
        SeriesFile(path).read()
    assert SeriesFile(path, time_column="").read().times.astype(int).tolist() == list(range(9))
    for options in ({"freq": "h"}, {"calendar": ["hour"]}):
        with pytest.raises(InputError, match=r"needs a clock: set data.time_column"):
            SeriesFile(path, **options)


def test_a_blank_line_is_no_row_where_there_are_times_and_a_missing_value_where_there_are_none(tmp_path):
    path = write(tmp_path / "a.csv", [f"{HOURS[0]},1,2", "", f"{HOURS[1]},2,3", ",,", f"{HOURS[3]},3,4", "", ""])
    with pytest.raises(
        InputError, match=r"line 6 \(2020-01-01 03:00:00\) comes 2 steps of h after 2020-01-01 01:00:00"
    ):
        SeriesFile(path, time_column="time", freq="h").read()
    write(path, ["1", "", "2"], "v")
    with pytest.raises(InputError, match=r"1 values are missing \('v' at .*line 3 "):
        SeriesFile(path).read()
    assert SeriesFile(path, missing="forward").read().values[:, 0].tolist() == [1, 1, 2]


def test_whole_numbers_may_be_times(tmp_path):
    for cells, freq, last in (("1749 1750 1751", "YS-JAN", "1751-01-01"), ("7 8 9", "s", "1970-01-01T00:00:09")):
        path = write(tmp_path / "a.csv", [f"{cell},{n}" for n, cell in enumerate(cells.split())], "t,v")
        series = SeriesFile(path, time_column="t").read()
        assert (series.freq, series.times[2]) == (freq, np.datetime64(last))


ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(-99, 99), st.none() | st.integers(-99, 99)),
    min_size=2,
    max_size=30,
    unique_by=lambda row: row[:2],
)


def table(folder, rows):
    lines = [f"{2000 + day // 12}-{day % 12 + 1:02},s{of},{a},{'' if b is None else b}" for of, day, a, b in rows]
    return write(folder / "a.csv", lines, "time,of,a,b")


@settings(max_examples=25, deadline=None)
@given(ROWS, st.randoms(), st.sampled_from([3, 1 << 16]))
def test_sorted_rows_give_the_same_series_in_whatever_order_they_stood(tmp_path_factory, rows, random, piece):
    rows = [*sorted(rows), (3, 0, 1, 1), (3, 1, 2, 2)]
    folder = tmp_path_factory.mktemp("series")
    options = {"time_column": "time", "id_column": "of", "missing": "zero", "gaps": "fill", "freq": "MS"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "ROWS", piece)
        first = SeriesFile(table(folder, rows), **options).read()
        # Series may stand in any order without an option, as long as each ascends.
        mixed = sorted(rows, key=lambda row: row[1])
        same(SeriesFile(table(folder, mixed), **options).read(), first)
        random.shuffle(rows)
        same(SeriesFile(table(folder, rows), unsorted="sort", **options).read(), first)


@settings(max_examples=25, deadline=None)
@given(ROWS, st.integers(1, 30), st.integers(0, 9), st.randoms(use_true_random=False))
def test_what_fills_a_row_never_looks_ahead(tmp_path_factory, rows, cut, spread, random):
    """Change, empty and take away cells and rows from some month on: no row before it becomes another."""
    folder = tmp_path_factory.mktemp("series")
    options = {"time_column": "time", "id_column": "of", "missing": "forward", "gaps": "fill", "freq": "MS"}
    begin = [(of, 0, of, 0) for of in range(3)]  # every series begins with values
    early = [*begin, *((of, day, a, b) for of, day, a, b in rows if 0 < day < cut)]
    late = [row for row in rows if row[1] >= cut]
    changed = [(of, day, a + spread, random.choice([None, b, 5])) for of, day, a, b in late if random.random() < 0.7]
    first, second = (
        SeriesFile(table(folder, sorted([*early, *part], key=lambda row: row[:2])), **options).read()
        for part in ([*late, (0, 40, 50, 60)], [*changed, (0, 41, 51, 61)])
    )
    for of in range(3):
        kept = [
            series.values[series.starts[of] : series.stops[of]][
                series.times[series.starts[of] : series.stops[of]] < np.datetime64("2000-01") + cut
            ]
            for series in (first, second)
        ]
        count = min(map(len, kept))  # a series may end sooner
        assert count > max(day for whose, day, _, _ in early if whose == of)
        assert np.array_equal(kept[0][:count], kept[1][:count])


def test_missing_values_are_named_or_filled(tmp_path):
    path = hourly(tmp_path / "a.csv", a3="", a4="NaN", b4="", b8="")
    with pytest.raises(InputError) as caught:
        SeriesFile(path, time_column="time").read()
    assert str(caught.value) == (
        f"4 values are missing ('a' at {path}, line 5 (2020-01-01 03:00:00); 'a' at {path}, line 6 (2020-01-01 "
        f"04:00:00); 'b' at {path}, line 6 (2020-01-01 04:00:00); ...): fill them in, or set data.missing to forward "
        "(the last value known) or zero."
    )
    series = SeriesFile(path, time_column="time", missing="forward").read()
    assert series.values[:, 0].tolist() == [0, 10, 20, 20, 20, 50, 60, 70, 80]
    assert series.values[:, 1].tolist() == [1, 11, 21, 31, 31, 51, 61, 71, 71]
    assert np.flatnonzero(~series.measured[:, 0]).tolist() == [3, 4]
    assert np.flatnonzero(~series.measured[:, 1]).tolist() == [4, 8]
    past = SeriesFile(path, time_column="time", targets=["b"], past=["a"], missing="zero").read()
    assert past.values[4].tolist() == [0, 0]
    assert past.measured.shape == (9, 1)
    hourly(path, b0="")
    with pytest.raises(
        InputError,
        match=r"'b' is missing at .*line 2 .*where its series begins.*set data.begin to a later row",
    ):
        SeriesFile(path, time_column="time", missing="forward").read()


def test_a_value_is_not_carried_into_the_next_series(tmp_path):
    path = write(tmp_path / "a.csv", ["x,2020,1", "x,2021,2", "y,2020,", "y,2021,3"], "of,t,v")
    with pytest.raises(InputError, match=r"'v' is missing at .*line 4 \(2020-01-01, series 'y'\), where its series"):
        SeriesFile(path, time_column="t", id_column="of", missing="forward").read()


def test_times_out_of_order_are_named_or_sorted(tmp_path):
    path = write(tmp_path / "a.csv", [f"{HOURS[at]},{at},{at}" for at in (0, 2, 1, 3)])
    with pytest.raises(
        InputError, match=r"line 4 \(2020-01-01 01:00:00\) comes after 2020-01-01 02:00:00.*unsorted=sort"
    ):
        SeriesFile(path, time_column="time").read()
    assert SeriesFile(path, time_column="time", unsorted="sort").read().values[:, 0].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("choice", "values"), [("first", [0, 1, 3]), ("last", [0, 2, 3]), ("mean", [0, 1.5, 3])])
def test_times_that_stand_there_twice_are_named_or_chosen_from(tmp_path, choice, values):
    path = write(
        tmp_path / "a.csv", [f"{HOURS[at]},{a},{b}" for at, a, b in ((0, 0, 5), (1, 1, ""), (1, 2, 6), (2, 3, 7))]
    )
    with pytest.raises(
        InputError, match=r"line 4 \(2020-01-01 01:00:00\) has the time of line 3 \(1 such rows in all\)"
    ):
        SeriesFile(path, time_column="time").read()
    series = SeriesFile(path, time_column="time", duplicates=choice, missing="forward").read()
    assert series.values[:, 0].tolist() == values
    assert series.values[:, 1].tolist() == [5, 5 if choice == "first" else 6, 7]


def test_gaps_are_named_or_filled_as_missing_rows(tmp_path):
    path = write(tmp_path / "a.csv", [f"{HOURS[at]},{at},{at + 9}" for at in (0, 1, 4, 5, 6, 8)])
    with pytest.raises(InputError) as caught:
        SeriesFile(path, time_column="time").read()
    assert str(caught.value) == (
        f"{path}, line 4 (2020-01-01 04:00:00) comes 3 steps of h after 2020-01-01 01:00:00 (2 such gaps, 3 rows "
        "missing in all): set data.gaps=fill and data.missing=forward (or zero), or set data.freq."
    )
    series = SeriesFile(path, time_column="time", gaps="fill", missing="forward", covariates=["b"]).read()
    assert series.values[:, 0].tolist() == [0, 1, 1, 1, 4, 5, 6, 6, 8]
    assert series.known[:, 0].tolist() == [9, 10, 10, 10, 13, 14, 15, 15, 17]
    assert series.measured[:, 0].tolist() == [True, True, False, False, True, True, True, False, True]
    assert (np.diff(series.times) == np.timedelta64(1, "h")).all()
    with pytest.raises(InputError, match=r"data.gaps=fill makes rows that are missing: set data.missing"):
        SeriesFile(path, time_column="time", gaps="fill")
    write(path, ["2020-01-01 00:00:00,1,1", "2020-01-01 00:00:01,2,2", "2021-01-01,3,3"])
    with pytest.raises(
        InputError, match=r"would become 31,622,401 rows of freq=s, of which 3 are there: set data.freq"
    ):
        SeriesFile(path, time_column="time", gaps="fill", missing="zero").read()


def test_a_time_beside_the_clock_is_named(tmp_path):
    path = write(
        tmp_path / "a.csv", [f"2020-01-01 {time},{at},0{at}" for at, time in enumerate(("00:00", "01:00", "01:59"))]
    )
    with pytest.raises(
        InputError, match=r"line 4 \(.*01:59:00\) does not lie on a clock of freq=h that begins with 2020"
    ):
        SeriesFile(path, time_column="time", freq="h").read()
    with pytest.raises(InputError, match=r"line 2 \(2020-01-01\) does not lie on a clock of freq=W-SUN: mend the time"):
        SeriesFile(path, time_column="time", freq="W-SUN").read()
    with pytest.raises(InputError, match="freq='fortnight' is not the step of a clock"):
        SeriesFile(path, time_column="time", freq="fortnight")
    write(path, ["2020-01-01,1,2"])
    with pytest.raises(InputError, match=r"a.csv has one row only, and a forecast is learned from many: give it more"):
        SeriesFile(path, time_column="time").read()


def test_a_constant_or_empty_target_is_refused_but_not_a_constant_past(tmp_path):
    path = hourly(tmp_path / "a.csv", **{f"b{row}": "2.5" for row in range(1, 9)}, b0="")
    with pytest.raises(InputError, match=r"target 'b' is 2.5 in every row, so there is nothing to forecast"):
        SeriesFile(path, time_column="time").read()
    assert SeriesFile(path, time_column="time", past=["b"], missing="zero").read().targets == ("a",)
    hourly(path, **{f"a{row}": "" for row in range(9)})
    with pytest.raises(InputError, match=r"target 'a' holds no number at all"):
        SeriesFile(path, time_column="time").read()


WAVE = np.sin(np.arange(300) / 5)


@pytest.mark.parametrize("piece", [7, 1 << 16])
@pytest.mark.parametrize("level", [1e6, 1e7, 1e9])
def test_a_target_whose_changes_are_beyond_its_seven_digits_is_refused(tmp_path, monkeypatch, level, piece):
    monkeypatch.setattr(columns, "ROWS", piece)
    path = write(tmp_path / "a.csv", [f"{level + value:.9f}" for value in WAVE], "y")
    with pytest.raises(
        InputError,
        match=r"target 'y' varies too little for the seven digits that are kept of its level 1e\+0\d: subtract",
    ):
        SeriesFile(path).read()
    write(path, [f"{level + value:.9f},{value}" for value in WAVE], "y,z")
    assert SeriesFile(path, past=["y"]).read().targets == ("z",)


def test_only_what_is_lost_is_refused(tmp_path):
    rows = [f"{1_000_000 + row % 3},{20 * WAVE[row] + 1e6:.9f}" for row in range(300)]
    assert len(SeriesFile(write(tmp_path / "a.csv", rows, "whole,wide")).read()) == 300
    high = [f"x,{value},{value}" for value in WAVE] + [f"y,{value + 1e6:.9f},{value}" for value in WAVE]
    with pytest.raises(InputError, match="target 'v' of series 'y' varies too little"):
        SeriesFile(write(tmp_path / "a.csv", high, "of,v,w"), id_column="of").read()
    still = [f"x,{value}" for value in WAVE] + ["y,9.99"] * 300
    assert SeriesFile(write(tmp_path / "a.csv", still, "of,v"), id_column="of").read().ids == ("x", "y")


def test_times_that_were_led_to_utc_are_named_so(tmp_path):
    path = write(tmp_path / "a.csv", [f"2020-01-01T0{hour}:00:00+02:00,{hour},1{hour}" for hour in (1, 2, 5)])
    with pytest.raises(InputError, match=r"line 4 \(2020-01-01 03:00:00 UTC\) comes 3 steps of h after 2020-01-01 UTC"):
        SeriesFile(path, time_column="time").read()
    with pytest.raises(
        InputError, match=r"line 3 \(2020-01-01 UTC\) does not lie .* begins with 2019-12-31 23:00:00 UTC:"
    ):
        SeriesFile(path, time_column="time", freq="3h").read()
    write(path, [f"2020-01-01T0{hour}:00Z,{hour},1{hour}" for hour in (2, 1)])
    with pytest.raises(InputError, match=r"01:00:00 UTC\) comes after 2020-01-01 02:00:00 UTC, so its time is out"):
        SeriesFile(path, time_column="time").read()


@pytest.mark.parametrize("piece", [2, 1 << 16])
def test_a_cell_that_is_no_number_is_named(tmp_path, monkeypatch, piece):
    monkeypatch.setattr(columns, "ROWS", piece)
    path = hourly(tmp_path / "a.csv", a6="x", b5="n.d.", b6="y")
    with pytest.raises(InputError, match=r"a.csv, line 7: 'b' is 'n.d.', which is no number: mend or empty the cell"):
        SeriesFile(path, time_column="time").read()
    for cell in ("inf", "1e39"):
        hourly(path, a7=cell)
        with pytest.raises(InputError, match=r"line 9: 'a' is infinite, or too large"):
            SeriesFile(path, time_column="time").read()
    hourly(path, a5="1,5")
    with pytest.raises(InputError, match=r"a.csv, line 7: 4 cells where the header has 3: separate cells by commas"):
        SeriesFile(path, time_column="time").read()


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "a.csv is empty: give a file with a header"),
        ("t,v\n", {}, "a.csv holds no rows"),
        ("t,v\n,\n\n", {"time_column": "t"}, "a.csv holds no rows"),
        ("time,v\n2020,1\n", {"time_column": "tme"}, r"has no column 'tme'; did you mean 'time'\?"),
        ("t,v\n2020,1\n", {"time_column": "t", "targets": ["w"]}, r"has no column 'w'; known: t, v"),
        ("t,v,v\n2020,1,2\n", {"time_column": "t"}, "has two columns 'v': rename one"),
        ("t,v\n2020-01-01,1\n2020-13-01,2\n", {"time_column": "t"}, r"line 3: 't' is '2020-13-01', which is no time"),
        ("t,v\n2020-01-01,1\n,2\n", {"time_column": "t"}, r"line 3: 't' is empty: write 2016-07-01"),
        (
            "t,v\n01/02/2020,1\n",
            {"time_column": "t"},
            r"'01/02/2020', which could be 2020-02-01 \(day first\) or 2020-01-02: set data.day_first=true or",
        ),
        (
            "t,of,v\n2020,x,1\n2021,,2\n",
            {"time_column": "t", "id_column": "of"},
            "line 3: 'of' is empty: name the series",
        ),
        ("t,v\n2020,x\n2021,y\n", {"time_column": "t"}, "has no column of numbers left to forecast"),
        ("t,v\n2020,1,9\n2021,2,9\n", {"time_column": "t"}, "its lines have more cells than the header"),
        ("t,of,v\n2020,x,1\n2020,y,2\n", {"time_column": "t", "id_column": "of"}, "no two times of one series"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(tmp_path, text, options, message):
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        SeriesFile(path, **options).read()
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read_are_one_sentence(tmp_path):
    for ask in (SeriesFile("none.csv", root=tmp_path).digest, SeriesFile("none.csv", root=tmp_path).read):
        with pytest.raises(InputError, match=r"cannot read .*none.csv \(No such file"):
            ask()
    with pytest.raises(InputError, match=r"it must end in .csv, .tsv, .txt \(or one of them and .gz\), .xlsx or .pa"):
        SeriesFile(hourly(tmp_path / "a.xls")).read()
    path = tmp_path / "a.csv.gz"
    text = io.StringIO()
    pd.DataFrame({"v": np.random.default_rng(0).random(20_000)}).to_csv(text, index=False)
    path.write_bytes(gzip.compress(text.getvalue().encode())[:-500])
    with pytest.raises(InputError, match="is damaged or incomplete"):
        SeriesFile(path).read()
    path.write_bytes(b"v\n1\n2\n")
    with pytest.raises(InputError, match=r"cannot read .*gz"):
        SeriesFile(path).read()
    (tmp_path / "a.csv").write_bytes(b"v\n1\n\xe4\n")
    with pytest.raises(InputError, match=r"is not utf-8 text .*set data.encoding"):
        SeriesFile(tmp_path / "a.csv").read()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time_column": "t", "targets": ["t"]}, "column 't' is named twice"),
        ({"targets": ["a"], "past": ["a"]}, "column 'a' is named twice"),
        ({"targets": []}, "targets is empty"),
        ({"time_column": "t", "covariates": ["hour"], "calendar": ["hour"]}, "'hour' is a covariate and a feature"),
        ({"time_column": "t", "calendar": ["hours"]}, r"did you mean 'hour'\?"),
    ],
)
def test_options_that_contradict_each_other_are_one_sentence(options, message):
    with pytest.raises(InputError, match=message):
        SeriesFile("a.csv", **options)


def test_the_index_that_pandas_writes_is_no_target(tmp_path):
    frame = pd.DataFrame({"time": HOURS, "a": range(9)})
    frame.to_csv(tmp_path / "a.csv")
    assert SeriesFile(tmp_path / "a.csv", time_column="time").read().targets == ("a",)


def test_a_series_may_be_called_na(tmp_path):
    path = write(tmp_path / "a.csv", ["NA,2020,1", "NA,2021,NA", "null,2020,3", "null,2021,4"], "of,t,v")
    series = SeriesFile(path, time_column="t", id_column="of", missing="forward").read()
    assert series.ids == ("NA", "null")
    assert series.values[:, 0].tolist() == [1, 1, 3, 4]


def test_series_come_out_by_their_ids(tmp_path):
    path = write(
        tmp_path / "a.csv", [f"{of},2020-0{month},{of}{month}" for month in (1, 2) for of in (10, 9, 2)], "of,t,v"
    )
    series = SeriesFile(path, time_column="t", id_column="of").read()
    assert (series.ids, series.starts.tolist()) == (("2", "9", "10"), [0, 2, 4])
    assert series.values[:, 0].tolist() == [21, 22, 91, 92, 101, 102]


def test_the_digest_is_of_bytes_and_options(tmp_path):
    path = hourly(tmp_path / "a.csv")
    options = [
        {},
        {"time_column": "time"},
        {"time_column": "time", "missing": "zero"},
        {"targets": ["a"]},
        {"freq": "h"},
    ]
    options = [{"time_column": "time"} | entry for entry in options[2:]] + options[:2] + [{"time_column": ""}]
    digests = [SeriesFile(path, **entry).digest() for entry in options]
    assert len(set(digests)) == len(options)
    assert SeriesFile("a.csv", root=tmp_path, **options[0]).digest() == digests[0]  # wherever the file lies
    hourly(path, a3="7")
    assert SeriesFile(path, **options[0]).digest() != digests[0]


def test_files_as_people_have_them(tmp_path, caplog):
    caplog.set_level("INFO")
    path = tmp_path / "power.txt"
    rows = [
        f"{16 + hour // 24}/12/2006;{hour % 24:02}:00:00;{hour},5;{'?' if hour == 3 else hour}" for hour in range(48)
    ]
    path.write_text("Date;Time;Power;Load\n" + "\n".join(rows) + "\n;;;\n;;;\n", encoding="utf-8")
    series = SeriesFile(path, time_column=["Date", "Time"], na=["?"], missing="forward").read()
    assert (series.freq, series.targets, len(series)) == ("h", ("Power", "Load"), 48)
    assert series.values[3].tolist() == [3.5, 2]
    assert str(series.times[0]) == "2006-12-16T00:00:00"
    assert "cells are separated by a semicolon" in caplog.text
    assert "is read with the day first" in caplog.text
    # without a header, of another encoding, columns by number
    path.write_bytes("ü 01;1.234;7\nü 02;2.345;8\n".encode("latin-1"))
    series = SeriesFile(path, header=False, encoding="latin-1", targets=[2, 3], thousands="point").read()
    assert (series.targets, series.values[0].tolist()) == (("2", "3"), [1234, 7])


def test_blank_lines_at_the_end_are_no_rows(tmp_path):
    for blank in ("\n", ",,\n" * 114, "  \n", " ,  , \n,,\n"):
        path = tmp_path / "a.csv"
        path.write_text("x,y,z\n" + "".join(f"{n},{n},{n}\n" for n in range(5)) + blank, encoding="utf-8")
        assert len(SeriesFile(path, targets=["y"]).read()) == 5
    path.write_text("x,y\n1,2\n2,3\n,4\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"1 values are missing \('x' at .*line 4 "):
        SeriesFile(path).read()


@pytest.mark.parametrize("piece", [1, 2, 3])
def test_blank_lines_are_kept_between_rows_whatever_the_pieces(tmp_path, monkeypatch, piece):
    monkeypatch.setattr(columns, "ROWS", piece)
    path = write(tmp_path / "a.csv", ["1,1", ",", ",", ",", "2,2", ",", ","], "a,b")
    assert SeriesFile(path, missing="forward").read().values[:, 0].tolist() == [1, 1, 1, 1, 2]


def test_what_is_left_out_is_said(tmp_path, caplog):
    caplog.set_level("INFO")
    path = write(tmp_path / "a.csv", ['2016,1,"4,000",$5', '2017,2,"4,013",$6'], "date,price,volume,fee")
    assert SeriesFile(path, time_column="date").read().targets == ("price", "fee")
    assert "forecasts price, fee; left out: 'volume' is '4,000' in line 2, which is no number" in caplog.text
    with pytest.raises(
        InputError, match=r"'volume': mend|no column of numbers left to forecast \('volume' is '4,000' in line 2"
    ):
        SeriesFile(path, time_column="date", past=["price", "fee"]).read()
    found = SeriesFile(path, time_column="date", thousands="comma", past=["price"]).read()
    assert found.values[:, 0].tolist() == [4000, 4013]


def test_columns_may_be_named_by_numbers(tmp_path):
    path = write(tmp_path / "a.csv", ["1,2", "2,3"], "2015,2016")
    assert SeriesFile(path, targets=[2015]).read().targets == ("2015",)
    with pytest.raises(InputError, match=r"data.targets: .* has no column '2017'"):
        SeriesFile(path, targets=[2017]).read()


def test_rows_are_used_from_a_row_or_a_date_on(tmp_path):
    path = hourly(tmp_path / "a.csv", a0="", a1="")
    options = {"time_column": "time", "missing": "forward"}
    for begin in (3, "2020-01-01 02:00"):
        series = SeriesFile(path, begin=begin, **options).read()
        assert series.values[:, 0].tolist() == [20, 30, 40, 50, 60, 70, 80]
    assert SeriesFile(path, begin=3, time_column="").read().times.astype(int).tolist() == [2, 3, 4, 5, 6, 7, 8]
    with pytest.raises(InputError, match=r"data.begin=2021 leaves no rows, which end at 2020-01-01 08:00:00"):
        SeriesFile(path, begin="2021", **options).read()
    with pytest.raises(InputError, match=r"data.begin=0 is no row"):
        SeriesFile(path, begin=0)


def test_digests_of_earlier_versions_hold(tmp_path):
    path = write(tmp_path / "a.csv", ["2016,1", "2017,2"], "t,v")
    assert SeriesFile(path, time_column="t", freq="YS").digest() == (
        "da7232618af61d4e1558fecc112590d61ce86b1740de9bf144efc37f72247fde"
    )
    one = SeriesFile(path, time_column="t", freq="YS", header=False).digest()
    assert one != SeriesFile(path, time_column="t", freq="YS").digest()


def test_offsets_become_the_zone_of_the_series(tmp_path):
    path = write(tmp_path / "a.csv", [f"2020-01-01T0{hour}:00:00+02:00,{hour},1{hour}" for hour in range(3)])
    series = SeriesFile(path, time_column="time").read()
    assert series.moment(series.times[0]) == "2020-01-01T00:00:00+02:00"
    assert str(series.times[0]) == "2019-12-31T22:00:00"


def test_monthly_rows_may_lie_on_any_day(tmp_path):
    for days, freq in (("15 15 15 15", "M15"), ("30 29 30 30", "M30"), ("29 29 31 29", "BME")):
        rows = [f"2016-{month:02}-{day},{month}" for month, day in enumerate(days.split(), 1)]
        path = write(tmp_path / "a.csv", rows, "t,v")
        assert SeriesFile(path, time_column="t").read().freq == freq


@pytest.mark.parametrize(
    ("cells", "freq", "second"),
    [
        ([f"2020-01-01 00:00:00.{n:02}" for n in range(40)], "10ms", "2020-01-01T00:00:00.010"),
        ([f"01/13/2020 00:00:{n / 2:04.1f}" for n in range(40)], "500ms", "2020-01-13T00:00:00.500"),
        ([f"2020-01-01T00:00:00.{250 * n:06}+00:00" for n in range(40)], "250us", "2020-01-01T00:00:00.000250"),
        ([str(n * 0.1) for n in range(40)], "100ms", "1970-01-01T00:00:00.100"),
        ([repr(n * 5e-5) for n in range(40)], "50us", "1970-01-01T00:00:00.000050"),
        ([f"1577836800.{n:02}" for n in range(40)], "10ms", "2020-01-01T00:00:00.010"),
        ([str(1577836800000 + 10 * n) for n in range(40)], "10ms", "2020-01-01T00:00:00.010"),
    ],
)
def test_clocks_may_be_finer_than_seconds(tmp_path, cells, freq, second):
    path = write(tmp_path / "a.csv", [f"{cell},{n}" for n, cell in enumerate(cells)], "t,v")
    series = SeriesFile(path, time_column="t").read()
    assert (series.freq, str(series.times[1])) == (freq, second)
    assert (np.diff(series.times) > np.timedelta64(0, "us")).all()
    assert series.values[:, 0].tolist() == list(range(40))
    write(path, [f"{cell},{n}" for n, cell in enumerate(cells) if n != 7], "t,v")
    filled = SeriesFile(path, time_column="t", gaps="fill", missing="forward").read()
    assert np.array_equal(filled.times, series.times)
    with pytest.raises(InputError, match=rf"comes 2 steps of {freq} after"):
        SeriesFile(path, time_column="t").read()
    shuffled = [f"{cell},{n}" for n, cell in enumerate(cells)][::-1]
    write(path, shuffled, "t,v")
    same(SeriesFile(path, time_column="t", unsorted="sort").read(), series)


def test_what_is_finer_than_a_microsecond_is_refused(tmp_path):
    for cell in ("2020-01-01 00:00:00.0000001", "13/01/2020 00:00:00.1234567"):
        path = write(tmp_path / "a.csv", [f"{cell},1", f"{cell},2"], "t,v")
        with pytest.raises(InputError, match=r"line 2: 't' is '.*', which is no time .* to the microsecond at most"):
            SeriesFile(path, time_column="t").read()


def test_numbers_such_as_2020_01_stay_months(tmp_path):
    path = write(tmp_path / "a.csv", [f"2020.{month:02},{month}" for month in range(1, 9)], "t,v")
    assert SeriesFile(path, time_column="t").read().freq == "MS"


def test_one_row_a_month_may_lie_on_changing_days(tmp_path):
    days = ("2020-01-31", "2020-02-28", "2020-03-30", "2020-04-30", "2020-05-29")
    path = write(tmp_path / "a.csv", [f"{day},{n}" for n, day in enumerate(days)], "t,v")
    series = SeriesFile(path, time_column="t").read()
    assert (series.freq, series.times.astype("datetime64[D]").astype(str).tolist()) == ("ME*", list(days))
    write(path, [f"{day},{n}" for n, day in enumerate(days) if n != 2], "t,v")
    series = SeriesFile(path, time_column="t", gaps="fill", missing="forward").read()
    assert series.times.astype("datetime64[D]").astype(str).tolist() == [*days[:2], "2020-03-31", *days[3:]]
    assert series.values[:, 0].tolist() == [0, 1, 1, 3, 4]
    write(path, [f"{day},{n}" for n, day in enumerate((*days, "2020-05-31"))], "t,v")
    for freq in (None, "ME*"):
        with pytest.raises(InputError, match=r"does not lie on a clock of freq="):
            SeriesFile(path, time_column="t", freq=freq).read()


@pytest.mark.parametrize("piece", [2, 1 << 16])
def test_numbers_may_have_a_currency_mark_or_a_percent_sign(tmp_path, monkeypatch, piece):
    monkeypatch.setattr(columns, "ROWS", piece)
    rows = ['2016,$5,"€ 4,000",10 %', '2017,-$6.5,"€ 4,013",', '2018,$7,"€ 4,100",12.5 %']
    path = write(tmp_path / "a.csv", rows, "date,fee,price,share")
    series = SeriesFile(path, time_column="date", thousands="comma", missing="forward").read()
    assert series.values.tolist() == [[5, 4000, 10], [-6.5, 4013, 10], [7, 4100, 12.5]]
    assert series.measured.tolist() == [[True, True, True], [True, True, False], [True, True, True]]
    with pytest.raises(InputError, match=r"line 2: 'price' is '€ 4,000', which is no number .*set data.na or data.tho"):
        SeriesFile(path, time_column="date", targets=["price"]).read()
    write(path, ["2016;4,50 €", "2017;5,25 €"], "date;price")
    assert SeriesFile(path, time_column="date").read().values[:, 0].tolist() == [4.5, 5.25]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ("$5 €6 $7", r"line 2: 'v' is '\$5', which is no number: mend"),
        ("$5 6 $7", r"line 2: 'v' is '\$5', which is no number: mend"),
        ("5 $6 7", r"line 3: 'v' is '\$6', which is no number: mend"),
        ("$5 $x $7", r"line 3: 'v' is '\$x', which is no number with \$ as in the first rows: mend"),
    ],
)
def test_all_numbers_of_a_column_have_the_same_mark(tmp_path, cells, said):
    path = write(tmp_path / "a.csv", [f"{2016 + n},{cell}" for n, cell in enumerate(cells.split())], "t,v")
    with pytest.raises(InputError, match=said):
        SeriesFile(path, time_column="t", targets=["v"]).read()


def test_a_mark_that_ends_behind_the_first_rows_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(columns, "_HEAD", 2)
    path = write(tmp_path / "a.csv", ["2016,$5", "2017,$6", "2018,7"], "t,v")
    with pytest.raises(InputError, match=r"line 4: 'v' is '7', which is no number with \$ as in the first rows"):
        SeriesFile(path, time_column="t").read()
