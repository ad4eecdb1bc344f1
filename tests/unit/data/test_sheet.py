import datetime as dt
import sys

import numpy as np
import pandas as pd
import pytest

from seqlab.data.columns import ColumnFile
from seqlab.data.sheet import sheet_as_csv, sheet_rows
from seqlab.data.tabular import SeriesFile
from seqlab.types import InputError

needed = pytest.importorskip("openpyxl", reason="Excel needs openpyxl: pip install 'seqlab[xlsx]'")


def workbook(path, rows):
    book = needed.Workbook()
    for row in rows:
        book.active.append(row)
    book.create_sheet("other").append(["not", "read"])
    book.save(path)
    return path


def hours(count):
    return [dt.datetime(2020, 1, 30) + dt.timedelta(hours=hour) for hour in range(count)]


def test_a_sheet_is_read_as_the_same_table_in_a_csv(tmp_path):
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"time": hours(60), "load": random.normal(size=60), "count": random.integers(0, 99, 60)})
    frame.loc[7, "load"] = np.nan
    frame.to_csv(tmp_path / "a.csv", index=False)
    cells = [[None if value != value else value for value in row] for row in frame.itertuples(index=False)]
    path = workbook(tmp_path / "a.xlsx", [list(frame.columns), *cells])
    options = {"time_column": "time", "missing": "forward"}
    one, other = SeriesFile(tmp_path / "a.csv", **options).read(), SeriesFile(path, **options).read()
    assert np.array_equal(one.values, other.values)
    assert np.array_equal(one.times, other.times)
    assert np.array_equal(one.measured, other.measured)
    assert (one.targets, one.freq) == (other.targets, other.freq) == (("load", "count"), "h")
    assert SeriesFile(path, **options).digest() != SeriesFile(tmp_path / "a.csv", **options).digest()


def test_dates_and_times_are_as_iso_writes_them(tmp_path):
    rows = [["day", "at", "v"], [dt.date(2020, 1, 1), dt.time(13, 30), 1.5], [dt.date(2020, 1, 1), dt.time(14, 30), 2]]
    rows += [[dt.date(2020, 1, 1), dt.time(15, 30), True], ["2020-01-01", dt.timedelta(days=1, minutes=30), None]]
    found, first = sheet_as_csv(workbook(tmp_path / "a.xlsx", rows))
    assert found.decode().splitlines() == [
        "day,at,v", "2020-01-01,13:30:00,1.5", "2020-01-01,14:30:00,2", "2020-01-01,15:30:00,true",
        "2020-01-01,24:30:00,",
    ]  # fmt: skip
    assert first == 1
    path = workbook(tmp_path / "b.xlsx", rows[:3])
    series = SeriesFile(path, time_column=["day", "at"]).read()
    assert (series.freq, str(series.times[0])) == ("h", "2020-01-01T13:30:00")


def test_rows_are_named_as_the_sheet_numbers_them(tmp_path):
    path = workbook(tmp_path / "a.xlsx", [[], ["t", "v"], [2020, 1], [], [2021, 2], [2022, "x"], [], [None, None]])
    assert [number for number, _ in sheet_rows(path)] == [2, 3, 5, 6]
    with pytest.raises(InputError, match=r"a.xlsx, row 6: 'v' is 'x', which is no number"):
        SeriesFile(path, time_column="t", freq="YS").read()
    file = ColumnFile(path)
    assert [len(numbers) for _, numbers in file.pieces([], ["t"])] == [4]  # a blank row between others stays
    assert file.place(3) == "row 6"


def test_decimal_commas_of_text_and_numbers_agree(tmp_path):
    path = workbook(tmp_path / "a.xlsx", [["v", "w"], [0.5, "1.000,5"], [1.25, "2.000,5"]])
    series = SeriesFile(path, decimal="comma", thousands="point").read()
    assert series.values.tolist() == [[0.5, 1000.5], [1.25, 2000.5]]


def test_what_is_no_workbook_is_one_sentence(tmp_path, monkeypatch):
    path = tmp_path / "a.xlsx"
    path.write_bytes(b"none")
    with pytest.raises(InputError, match=r"a.xlsx is no Excel workbook, or damaged"):
        SeriesFile(path).read()
    with pytest.raises(InputError, match=r"a.xlsx is empty|holds no rows"):
        SeriesFile(workbook(tmp_path / "a.xlsx", [])).read()
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(InputError, match=r"needs openpyxl: pip install 'seqlab\[xlsx\]', or save the sheet as CSV"):
        SeriesFile(path).read()
