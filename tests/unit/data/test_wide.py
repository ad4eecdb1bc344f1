import datetime as dt

import numpy as np
import pandas as pd
import pytest

from seqlab.data import wide
from seqlab.data.columns import ColumnFile
from seqlab.data.tabular import SeriesFile
from seqlab.data.wide import WideFile
from seqlab.types import InputError


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def rows_file(path, **options):
    return SeriesFile(path, layout="rows", **options)


def random_table(rows, columns):
    numbers = np.random.default_rng(0).normal(size=(rows, columns)).round(3)
    numbers[1, 3] = np.nan
    names = [f"s{n}" for n in range(rows)]
    times = pd.date_range("2019-12-30", periods=columns, freq="D").strftime("%Y-%m-%d")
    return pd.DataFrame(numbers, index=pd.Index(names, name="store"), columns=times)


@pytest.mark.parametrize("most", [1, 9, 1 << 21])
def test_rows_of_series_are_read_as_the_long_table_is(tmp_path, monkeypatch, most):
    monkeypatch.setattr(wide, "_MOST", most)
    table = random_table(5, 9)
    table.to_csv(tmp_path / "wide.csv")
    table.reset_index().melt("store", var_name="time").to_csv(tmp_path / "long.csv", index=False)
    options = {"id_column": "store", "missing": "forward", "calendar": ["weekday"]}
    long = SeriesFile(tmp_path / "long.csv", time_column="time", **options).read()
    found = rows_file(tmp_path / "wide.csv", **options).read()
    assert (found.targets, found.ids, found.freq) == (("value",), long.ids, "D") == (long.targets, long.ids, long.freq)
    for name in ("times", "values", "known", "starts", "measured"):
        assert np.array_equal(getattr(found, name), getattr(long, name)), name
    digests = {file.digest() for file in (rows_file(tmp_path / "wide.csv"), SeriesFile(tmp_path / "wide.csv"))}
    assert len(digests) == 2


def test_a_sheet_may_hold_a_row_for_each_series(tmp_path):
    openpyxl = pytest.importorskip("openpyxl", reason="Excel needs openpyxl: pip install 'seqlab[xlsx]'")
    book = openpyxl.Workbook()
    book.active.append(["store", *(dt.datetime(2020, month, 1) for month in range(1, 5))])
    book.active.append(["a", 1, 2.5, 3, 4])
    book.save(tmp_path / "a.xlsx")
    series = rows_file(tmp_path / "a.xlsx", id_column="store").read()
    assert (series.freq, series.ids, series.values[:, 0].tolist()) == ("MS", ("a",), [1, 2.5, 3, 4])


def test_headers_may_be_counts_or_times_in_any_form(tmp_path):
    path = tmp_path / "a.csv"
    for header, options, freq, second in (
        ("1,2,3", {}, "s", "1970-01-01T00:00:02"),
        ("1999,2000,2001", {}, "YS-JAN", "2000-01-01T00:00:00"),
        ("01/02/2020,02/02/2020,03/02/2020", {"day_first": True}, "D", "2020-02-02T00:00:00"),
        ("T2020a1,T2020a2,T2020a3", {"time_format": "T%Ya%m"}, "MS", "2020-02-01T00:00:00"),
        ("0.00,0.01,0.02", {}, "10ms", "1970-01-01T00:00:00.010"),
    ):
        write(path, f"k,{header}\nx,1,2,3\ny,4,5,6\n")
        series = rows_file(path, id_column="k", **options).read()
        assert (series.freq, str(series.times[1])) == (freq, second)
        assert series.values[:, 0].tolist() == [1, 2, 3, 4, 5, 6]
    write(path, "k,2020-01-01T00:00+02:00,2020-01-01T01:00+02:00,2020-01-01T02:00+02:00\nx,1,2,3\n")
    series = rows_file(path, id_column="k").read()
    assert series.moment(series.times[0]) == "2020-01-01T00:00:00+02:00"


def test_without_a_header_rows_are_counted(tmp_path):
    path = write(tmp_path / "a.csv", "x,1,2,3\n\ny,4,5,6\n\n")
    series = rows_file(path, header=False, id_column=1).read()
    assert (series.ids, series.starts.tolist(), series.freq) == (("x", "y"), [0, 3], "s")
    assert series.times.astype(int).tolist() == [0, 1, 2, 0, 1, 2]
    assert series.values[:, 0].tolist() == [1, 2, 3, 4, 5, 6]
    for options in ({"freq": "D"}, {"calendar": ["hour"]}):
        with pytest.raises(InputError, match=r"needs a clock: give a header with times"):
            rows_file(path, header=False, **options)


def test_ids_may_be_none_or_several(tmp_path):
    path = write(tmp_path / "a.csv", "2020,2021,2022\n1,2,3\n\n4,5,6\n")
    assert rows_file(path).read().ids == ("1", "3")  # the second row is blank
    write(path, "2020,2021,2022\n1,2,3\n")
    series = rows_file(path).read()
    assert (series.ids, series.values[:, 0].tolist()) == (("",), [1, 2, 3])
    write(path, "shop,2020,item,2021,2022\nN,1,tea,2,3\nN,4,milk,5,6\nS,7,tea,8,9\n")
    series = rows_file(path, id_column=["shop", "item"]).read()
    assert series.ids == ("N/milk", "N/tea", "S/tea")
    assert series.values[:, 0].tolist() == [4, 5, 6, 1, 2, 3, 7, 8, 9]
    with pytest.raises(
        InputError, match=r"line 3: the series 'N' has a row already \(line 2\): delete one, or name all"
    ):
        rows_file(write(path, "shop,2020,2021\nN,1,2\nN,4,5\n"), id_column="shop").read()
    with pytest.raises(InputError, match=r"data.id_column names several columns: join them to one, or set data.layout"):
        SeriesFile(path, id_column=["shop", "item"])


def test_empty_cells_are_missing_values(tmp_path):
    path = write(tmp_path / "a.csv", "k,2020,2021,2022,2023\nx,1,,3,\ny,,5,6,7\n")
    with pytest.raises(
        InputError, match=r"3 values are missing \('value' at .*a.csv, line 2, column '2021' \(2021-01-01"
    ):
        rows_file(path, id_column="k").read()
    with pytest.raises(InputError, match=r"'value' is missing at .*line 3, column '2020' .*set data.begin to a later"):
        rows_file(path, id_column="k", missing="forward").read()
    assert rows_file(path, id_column="k", missing="zero").read().values[:, 0].tolist() == [1, 0, 3, 0, 0, 5, 6, 7]
    series = rows_file(path, id_column="k", missing="forward", begin="2022").read()
    assert series.values[:, 0].tolist() == [3, 3, 6, 7]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            "k,item,2020,2021\nx,t,1,2\n",
            {},
            r"a.csv: column 'item' is no time, and with data.layout=rows all .*name it",
        ),
        ("k,2020-01,1\nx,1,2\n", {}, r"a.csv: column '1' is no time"),
        ("k,2020,,2021\nx,1,7,2\n", {}, r"column 3 has no name: write its time in the header"),
        ("k\nx\n", {}, r"has no column of numbers besides data.id_column"),
        ("k,2020,2021\nx,1,a\n", {}, r"a.csv, line 2: '2021' is 'a', which is no number"),
        ("k,2020,2021\nx,1,2\n,3,4\n", {}, r"line 3, column '2020': 'k' is empty: name the series"),
        (
            "k,2021,2020\nx,1,2\n",
            {},
            r"line 2, column '2020' .* out of order: sort the rows, or set data.unsorted=sort",
        ),
        ("k,2020,2021\nx,1,2\n", {"id_column": "store"}, r"data.id_column: .*a.csv has no column 'store'"),
        ("time,2020,2021\nx,1,2\n", {"id_column": "time"}, r"'time' names the series: rename that column"),
        ("k,2020,2020\nx,1,2\n", {}, r"has two columns '2020': rename one"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path, text, options, message):
    path = write(tmp_path / "a.csv", text)
    with pytest.raises(InputError, match=message) as caught:
        rows_file(path, **{"id_column": "k", **options}).read()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time_column": "t"}, r"data.time_column is no part of data.layout=rows"),
        ({"past": ["a"]}, r"data.past is no part of data.layout=rows"),
        ({"covariates": ["a"]}, r"data.covariates is no part of data.layout=rows"),
        ({"targets": ["a"]}, r"data.layout=rows has the single target 'value': remove data.targets"),
    ],
)
def test_options_of_the_other_layout_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        rows_file("a.csv", **options)


def test_a_column_without_name_and_cells_is_passed_over(tmp_path):
    path = write(tmp_path / "a.csv", "k,2020,2021,\nx,1,2,\ny,3,4,\n")
    assert WideFile(ColumnFile(path), ("k",)).columns == ("2020", "2021")
    assert rows_file(path, id_column="k", targets=["value"]).read().values[:, 0].tolist() == [1, 2, 3, 4]
