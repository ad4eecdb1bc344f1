import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.data.calendar import (
    continue_times,
    features,
    infer_freq,
    offset_of,
    steps_of,
)
from seqlab.types import InputError

FREQS = [
    "s", "30s", "min", "15min", "h", "6h", "D", "2D", "B", "W-SUN", "W-WED", "2W-TUE", "MS", "2MS", "ME", "6ME",
    "QS-JAN", "QS-FEB", "QE-OCT", "QE-DEC", "YS-JAN", "YS-APR", "YE-JUN", "YE-DEC",
]  # fmt: skip


def clock(freq, start="2015-03-05T00:00:00", count=40):
    return pd.date_range(start, periods=count, freq=freq, unit="s").to_numpy()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FREQS), st.datetimes(pd.Timestamp("1800-01-01"), pd.Timestamp("2200-01-01")), st.data())
def test_the_step_of_a_clock_is_found_even_with_gaps_and_leads_on(freq, start, data):
    times = clock(freq, np.datetime64(start, "D").astype("datetime64[s]"))
    one = np.zeros(1, np.int64)
    found = infer_freq(times, one)
    assert found == freq
    assert np.array_equal(steps_of(times, one, found), np.arange(40))
    assert np.array_equal(continue_times(times[10], found, 29), times[11:])
    kept = np.ones(40, bool)
    kept[data.draw(st.lists(st.integers(1, 38), max_size=6))] = False
    if freq != "B" and data.draw(st.booleans()):
        assert infer_freq(times[kept], one) == freq
    assert np.array_equal(steps_of(times[kept], one, freq), np.flatnonzero(kept))


def test_each_series_has_a_clock_of_its_own_phase():
    for freq, starts in (("h", ("2020-01-01T00:00", "2019-05-01T00:30")), ("2MS", ("2020-01-01", "2020-02-01"))):
        pieces = [clock(freq, start, 5) for start in starts]
        times, begins = np.concatenate(pieces), np.array([0, 5])
        assert infer_freq(times, begins) == freq
        assert steps_of(times, begins, freq).tolist() == [0, 1, 2, 3, 4] * 2
    times = np.concatenate([clock("MS", "2020-01-01", 5), clock("MS", "2001-01-01", 3)])
    assert steps_of(times, np.array([0, 5]), "MS").tolist() == [0, 1, 2, 3, 4, 0, 1, 2]


@pytest.mark.parametrize(("freq", "found"), [("W-MON", "7D"), ("QS-JAN", "3MS"), ("QE-DEC", "3ME"), ("YS-JAN", "12MS")])
def test_series_that_begin_in_different_places_share_a_step(freq, found):
    pieces = [clock(freq, "2020-01-01", 9), clock(freq, "2020-01-01", 9)]
    pieces[1] = clock({"W-MON": "W-THU", "QS-JAN": "QS-FEB", "QE-DEC": "QE-NOV", "YS-JAN": "YS-MAY"}[freq], count=9)
    times, starts = np.concatenate(pieces), np.array([0, 9])
    assert infer_freq(times, starts) == found
    assert steps_of(times, starts, found).tolist() == [*range(9)] * 2


def test_what_lies_beside_a_clock_is_no_step_of_it():
    one = np.zeros(1, np.int64)
    times = np.array(["2020-01-01T00:00", "2020-01-01T01:00", "2020-01-01T01:30"], "datetime64[s]")
    assert steps_of(times, one, "h").tolist() == [0, 1, -1]
    days = np.array(["2020-01-06", "2020-01-13"], "datetime64[s]")  # Mondays
    assert steps_of(days, one, "W-SUN").tolist() == [-1, -1]
    assert steps_of(days, one, "7D").tolist() == [0, 1]
    middle = np.array(["2020-01-15", "2020-02-15"], "datetime64[s]")
    assert (steps_of(middle, one, "MS") < 0).all()
    with pytest.raises(InputError, match="2020-01-15T00:00:00 does not lie on a clock of freq=MS"):
        continue_times(middle[0], "MS", 3)


def test_one_row_a_series_shows_no_step():
    assert infer_freq(np.array(["2020-01-01", "2020-01-02"], "datetime64[s]"), np.array([0, 1])) is None


@pytest.mark.parametrize("freq", ["H1", "bogus", "", "ns", "1500ns", "-1D", "0h", "M"])
def test_no_step_of_a_clock_is_one_sentence(freq):
    with pytest.raises(InputError, match=r"is not the step of a clock: write it as pandas does.*MS"):
        offset_of(freq)


NAMES = ("second", "minute", "hour", "weekday", "monthday", "yearday", "week", "month")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.datetimes(pd.Timestamp("1600-01-01"), pd.Timestamp("2400-01-01")), min_size=1, max_size=20))
def test_features_are_what_the_calendar_says(times):
    times = np.array(times, "datetime64[s]")
    index = pd.DatetimeIndex(times)
    found = features(times, NAMES)
    assert found.shape == (len(times), 8)
    assert found.dtype == np.float32
    expected = [
        index.second / 59, index.minute / 59, index.hour / 23, index.day_of_week / 6, (index.day - 1) / 30,
        (index.day_of_year - 1) / 365, (index.isocalendar().week.to_numpy(float) - 1) / 52, (index.month - 1) / 11,
    ]  # fmt: skip
    assert np.allclose(found, np.stack(expected, 1) - 0.5, atol=1e-6)
    assert np.abs(found).max() <= 0.5


def test_features_may_be_none_but_not_unknown_or_twice():
    times = clock("h")
    assert features(times, ()).shape == (40, 0)
    with pytest.raises(InputError, match=r"there is no feature 'weekdy'; did you mean 'weekday'\?"):
        features(times, ["weekdy"])
    with pytest.raises(InputError, match="names 'hour' twice"):
        features(times, ["hour", "hour"])


@pytest.mark.parametrize(
    ("days", "freq"),
    [
        (["2015-12-15", "2016-01-15", "2016-02-15", "2016-03-15"], "M15"),
        (["2015-12-30", "2016-01-30", "2016-02-29", "2016-03-30"], "M30"),
        (["2015-12-31", "2016-01-29", "2016-02-29", "2016-03-31", "2016-04-29"], "BME"),
        (["2015-12-01", "2016-01-01", "2016-02-01", "2016-03-01", "2016-05-02"], "BMS"),
        (["2015-11-15", "2016-02-15", "2016-05-15"], "3M15"),
        (["2016-01-01", "2016-01-31", "2016-03-01", "2016-03-31"], "30D"),
        (["2020-01-28", "2020-02-28", "2020-03-28", "2020-04-28"], "M28"),
    ],
)
def test_months_may_go_by_any_day(days, freq):
    times, one = np.array(days, "datetime64[s]"), np.zeros(1, np.int64)
    assert infer_freq(times, one) == freq
    steps = steps_of(times, one, freq)
    assert (np.diff(steps) >= 1).all()
    following = continue_times(times[0], freq, int(steps[-1]))
    assert np.array_equal(np.append(times[:1], following)[steps], times)
    if freq == "M30":
        assert steps_of(np.append(times, np.datetime64("2016-04-29", "s")), one, freq)[-1] == -1


def days_of(text):
    """``01-31 02-28`` of 2020."""
    return np.array([f"2020-{day}" for day in text.split()], "datetime64[s]")


@pytest.mark.parametrize(
    ("days", "freq", "following"),
    [
        ("01-31 02-28 03-30", "ME*", ["2020-04-30", "2020-05-31", "2020-06-30"]),
        ("01-05 02-17 03-09 04-30", "M*", ["2020-05-30", "2020-06-30", "2020-07-30"]),
        ("01-05 02-17 03-09 04-21", "M*", ["2020-05-21", "2020-06-21", "2020-07-21"]),
        ("03-31 06-29 09-28 12-31", "3ME*", ["2021-03-31", "2021-06-30", "2021-09-30"]),
        ("03-03 06-09 09-01 12-31", "3M*", ["2021-03-31", "2021-06-30", "2021-09-30"]),
    ],
)
def test_one_row_a_month_may_lie_on_changing_days(days, freq, following):
    times, one = days_of(days), np.zeros(1, np.int64)
    assert infer_freq(times, one) == freq
    assert steps_of(times, one, freq).tolist() == list(range(len(times)))
    assert continue_times(times[-1], freq, 3).astype("datetime64[D]").astype(str).tolist() == following
    gap = np.delete(times, 1)
    assert steps_of(gap, one, freq).tolist() == [0, *range(2, len(times))]


def test_a_month_with_two_rows_is_no_monthly_clock():
    one = np.zeros(1, np.int64)
    twice = days_of("01-05 02-17 02-20 03-09 04-21 05-02")
    assert "*" not in infer_freq(twice, one)
    assert (steps_of(twice, one, infer_freq(twice, one)) < 0).any()
    assert steps_of(twice, one, "M*").tolist() == [0, 1, -1, 2, 3, 4]
    # where a series ends in the month in which the next one begins, each has one row of it
    assert steps_of(days_of("01-05 02-17 02-20 03-09"), np.array([0, 2]), "M*").tolist() == [0, 1, 0, 1]
    assert "*" not in infer_freq(days_of("01-05 03-17 05-09 07-20"), one)  # every second month is more likely a gap


@pytest.mark.parametrize(
    ("step", "unit", "freq"), [(10, "ms", "10ms"), (500, "ms", "500ms"), (250, "us", "250us"), (1, "us", "us")]
)
def test_clocks_may_be_finer_than_seconds(step, unit, freq):
    start = np.datetime64("1969-12-31T23:59:59.999", unit)
    times = start + np.arange(30) * np.timedelta64(step, unit)
    one = np.zeros(1, np.int64)
    assert infer_freq(times, one) == freq
    assert steps_of(times, one, freq).tolist() == list(range(30))
    assert np.array_equal(continue_times(times[9], freq, 20), times[10:])
    assert features(times[:1], ["second", "hour"]).tolist() == [[0.5, 0.5]]  # the second 59 of the hour 23 before 1970
    if step > 1:
        beside = np.append(times[:2], times[2] + np.timedelta64(1, "us"))
        assert steps_of(beside, one, freq).tolist() == [0, 1, -1]


def test_a_clock_of_whole_seconds_keeps_their_unit():
    assert continue_times(np.datetime64("2020-01-01T00:00:00"), "s", 3).dtype == "datetime64[s]"
    assert continue_times(np.datetime64("2020-01-31T00:00:00"), "ME", 3).dtype == "datetime64[s]"
    finer = continue_times(np.datetime64("2020-01-01T00:00:00"), "500ms", 2)
    assert [str(time) for time in finer] == ["2020-01-01T00:00:00.500", "2020-01-01T00:00:01.000"]
