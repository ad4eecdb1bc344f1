"""How columns of times are written: each way is read as what it is, and what could be two things is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from seqlab.data.moments import Zone, date_of
from seqlab.data.times import check_format, learn, look_like_times
from seqlab.errors import InputError


def read(*cells, **options):
    frame = pd.DataFrame({"t": pd.Series(cells, dtype="str")})
    found = learn(frame, ["t"], "a.csv", **options).read(frame)[0]
    return [str(time).removesuffix(".000000") for time in found]


@pytest.mark.parametrize(
    ("cell", "time"),
    [
        ("2016-07-01 03:00:00", "2016-07-01T03:00:00"),
        ("2016/07/01 3:00", "2016-07-01T03:00:00"),
        ("2016-7-1", "2016-07-01T00:00:00"),
        (" 2016-07-01", "2016-07-01T00:00:00"),
        ("20160701", "2016-07-01T00:00:00"),
        ("1949-01", "1949-01-01T00:00:00"),
        ("1749", "1749-01-01T00:00:00"),
        ("2016-07-01T03:00+02:00", "2016-07-01T01:00:00"),
        ("2016-07-01T03:00Z", "2016-07-01T03:00:00"),
        ("2016-07-01 03:00:00.25", "2016-07-01T03:00:00.250000"),
        ("2016-07-01 24:00", "2016-07-02T00:00:00"),
        ("2016-07-01 12:05 am", "2016-07-01T00:05:00"),
        ("16/12/2006 17:24:00", "2006-12-16T17:24:00"),
        ("12/16/2006 5:24 PM", "2006-12-16T17:24:00"),
        ("13.03.2004 18.00.00", "2004-03-13T18:00:00"),
        ("01.02.2004", "2004-02-01T00:00:00"),
        ("2020Q3", "2020-07-01T00:00:00"),
        ("Q4 2020", "2020-10-01T00:00:00"),
        ("1990M02", "1990-02-01T00:00:00"),
        ("2020-W01", "2019-12-30T00:00:00"),
        ("Jan-90", "1990-01-01T00:00:00"),
        ("16 December 2006", "2006-12-16T00:00:00"),
        ("Dec 16, 2006 3:00 pm", "2006-12-16T15:00:00"),
        ("2016-02-30", "NaT"),
        ("2016-07-01 24:30", "NaT"),
        ("2016-07-01 13:00 pm", "NaT"),
        ("now", "NaT"),
        ("noon", "NaT"),
    ],
)
def test_each_way_to_write_a_time(cell, time):
    assert read(cell, None) == [time, "NaT"]


@pytest.mark.parametrize(
    ("cells", "times", "way"),
    [
        (["199001", "199002"], ["1990-01-01", "1990-02-01"], "YYYYMM"),
        (["20160131"], ["2016-01-31"], "YYYYMMDD"),
        (["2016010100", "2016010123", "2016010124"], ["2016-01-01", "2016-01-01T23", "2016-01-02"], "YYYYMMDDHH"),
        (["201601010030"], ["2016-01-01T00:30"], "YYYYMMDDHHMM"),
        (["1467331200", "1467334800"], ["2016-07-01", "2016-07-01T01"], "seconds since 1970"),
        (["1467331200000"], ["2016-07-01"], "milliseconds since 1970"),
        (["0", "1", "2000"], ["1970-01-01", "1970-01-01T00:00:01", "1970-01-01T00:33:20"], "or as positions"),
    ],
)
def test_whole_numbers_are_what_the_whole_column_can_be(cells, times, way):
    assert read(*cells) == [str(np.datetime64(time, "s")) for time in times]
    assert way in learn(pd.DataFrame({"t": cells}), ["t"], "a.csv").note


def test_whole_numbers_that_are_almost_dates_are_refused():
    with pytest.raises(InputError, match=r"most are dates \(YYYYMM\), but not '199013': write dates as 1990-01"):
        read("199011", "199012", "199013")
    assert read("199011", "199013", time_format="seconds") == ["1970-01-03T07:16:51", "1970-01-03T07:16:53"]


def test_day_and_month_are_told_apart_or_asked_for():
    assert read("01/02/2020", "13/02/2020")[0] == "2020-02-01T00:00:00"
    assert read("01/02/2020", "01/13/2020")[0] == "2020-01-02T00:00:00"
    assert read("01/02/2020", day_first=True) == ["2020-02-01T00:00:00"]
    assert read("01/02/20", day_first=False) == ["2020-01-02T00:00:00"]
    with pytest.raises(InputError, match=r"'01/02/2020', which could be 2020-02-01 \(day first\) or 2020-01-02: set"):
        read("01/01/2020", "01/02/2020")
    with pytest.raises(InputError, match="day first in '13/01/2020' and the month first in '01/13/2020'"):
        read("13/01/2020", "01/13/2020")
    with pytest.raises(InputError, match=r"whose year has two digits: set data.time_format"):
        read("13/01/20")
    assert look_like_times(pd.Series(["01/02/2020"]), "a.csv")
    assert not look_like_times(pd.Series(["noon"]), "a.csv")


def test_a_format_may_be_given():
    assert read("01022020", time_format="%d%m%Y") == ["2020-02-01T00:00:00"]
    for wrong in ("dd.mm.yyyy", "%Q"):
        with pytest.raises(InputError, match=r"data.time_format='.*' cannot be used .*: write it as strptime does"):
            check_format(wrong)


@pytest.mark.parametrize(
    ("row", "time"),
    [
        (("2010", "12", "31", "23"), "2010-12-31T23:00"),
        (("2010", "12", "31"), "2010-12-31"),
        (("2010-12-31", "24"), "2011-01-01"),
        (("2010-12-31", "17:24:00"), "2010-12-31T17:24"),
        (("31/12/2010", "17:24:00"), "2010-12-31T17:24"),
        (("20101231", "1330"), "2010-12-31T13:30"),
    ],
)
def test_several_columns_make_a_time(row, time):
    frame = pd.DataFrame([row], columns=list("abcd")[: len(row)])
    clock = learn(frame, list(frame), "a.csv")
    assert clock.read(frame)[0][0] == np.datetime64(time)


def test_offsets_are_kept_with_summer_time():
    cells = ["2016-03-27T01:00+01:00", "2016-03-27T03:00+02:00", "2016-03-27T04:00+02:00"]
    frame = pd.DataFrame({"t": cells})
    times, offsets = learn(frame, ["t"], "a.csv").read(frame)
    assert offsets.tolist() == [3600, 7200, 7200]
    times = times.astype("datetime64[s]")
    zone = Zone.learn(times, offsets)
    assert zone.text(times) == [f"{cell[:16]}:00{cell[16:]}" for cell in cells]
    assert zone.name(times) == "+01:00 and +02:00"
    assert date_of("2016-03-27 03:00", zone, "data.begin", times) == np.datetime64("2016-03-27T01:00")
    assert date_of("2016-03-27T03:00Z", zone, "data.begin", times) == np.datetime64("2016-03-27T03:00")
    local = pd.DataFrame({"t": pd.date_range("2020-03-29 00:00", periods=2, freq="h", tz="Europe/Berlin")})
    clock = learn(local, ["t"], "a.parquet")
    assert [str(time) for time in clock.read(local)[0].astype("datetime64[h]")] == ["2020-03-28T23", "2020-03-29T00"]
    assert clock.read(local)[1].tolist() == [3600, 3600]


def test_zones_that_contradict_each_other_are_utc():
    times = np.array(["2020-01-01", "2020-01-01"], "datetime64[s]")
    assert Zone.learn(times, np.array([0, 3600])).text(times) == ["2020-01-01T00:00:00+00:00"] * 2
