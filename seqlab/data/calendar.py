"""Clocks and calendars: find the step of a clock, continue it, and say where in day, week and year it is.

Times are datetime64 without a zone: those of a file with offsets are counted in UTC. Their unit is the second, or the
milli- or microsecond where a clock needs it (``moments.narrowed``); here all are compared in microseconds.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from seqlab.data.moments import narrowed
from seqlab.schema import did_you_mean
from seqlab.types import InputError

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_SECOND, _DAY = 10**6, 86_400 * 10**6  # in microseconds, as are the units below
_UNITS = {"W": 7 * _DAY, "D": _DAY, "h": 3_600 * _SECOND, "min": 60 * _SECOND, "s": _SECOND, "ms": 1_000, "us": 1}


def _micros(times: np.ndarray) -> np.ndarray:
    """Microseconds since 1970."""
    return times.astype("datetime64[us]").astype(np.int64)


def _days(times: np.ndarray) -> np.ndarray:
    return times.astype("datetime64[D]").astype(np.int64)


def _weekday(times: np.ndarray) -> np.ndarray:
    return (_days(times) + 3) % 7  # 1970-01-01 was a Thursday; Monday is 0


def _month(times: np.ndarray) -> np.ndarray:
    return times.astype("datetime64[M]").astype(np.int64) % 12


def _day_of_month(times: np.ndarray) -> np.ndarray:
    return _days(times) - _days(times.astype("datetime64[M]"))


def _day_of_year(times: np.ndarray) -> np.ndarray:
    return _days(times) - _days(times.astype("datetime64[Y]"))


def _week(times: np.ndarray) -> np.ndarray:
    """Of ISO 8601, from 0: a week belongs to the year of its Thursday."""
    thursday = (_days(times) - _weekday(times) + 3).astype("datetime64[D]")
    return _day_of_year(thursday) // 7


# name -> (from 0 upwards, the greatest)
_FEATURES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int]] = {
    "second": (lambda times: _micros(times) // _SECOND % 60, 59),
    "minute": (lambda times: _micros(times) // (60 * _SECOND) % 60, 59),
    "hour": (lambda times: _micros(times) // (3_600 * _SECOND) % 24, 23),
    "weekday": (_weekday, 6),
    "monthday": (_day_of_month, 30),
    "yearday": (_day_of_year, 365),
    "week": (_week, 52),
    "month": (_month, 11),
}


def check_features(names: Sequence[str]) -> tuple[str, ...]:
    """The names of calendar features, each of which exists and stands there once.

    Raises:
        InputError: otherwise.
    """
    for position, name in enumerate(names):
        if name not in _FEATURES:
            raise InputError(f"calendar={list(names)}: there is no feature '{name}'{did_you_mean(name, _FEATURES)}")
        if name in names[:position]:
            raise InputError(f"calendar={list(names)} names '{name}' twice: name it once.")
    return tuple(names)


def features(times: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Where each time stands in its minute, hour, day, week, month or year: one column a name.

    Each runs linearly from -0.5 (the first second, minute, hour, Monday, day, week, January) to 0.5 (the last there can
    be), as in GluonTS and in the ETT benchmark's code (Zhou et al., "Informer", AAAI 2021).

    Args:
        times: ``(N,)`` datetime64.
        names: ``G`` of ``second``, ``minute``, ``hour``, ``weekday``, ``monthday``, ``yearday``, ``week`` (ISO 8601),
            ``month``.

    Returns:
        ``(N, G)`` float32.

    Raises:
        InputError: no such feature, or one twice.
    """
    found = np.empty((len(times), len(names)), np.float32)
    for column, name in enumerate(check_features(names)):
        count, greatest = _FEATURES[name]
        found[:, column] = count(times) / greatest - 0.5
    return found


_ANY_DAY = re.compile(r"(\d*)M([1-9]|[12]\d|3[01]|E?\*)")
"""Months by a day: ``M15`` is every 15th, ``3M30`` the 30th of every third month, or its last day if that is sooner.
``M*`` is one row each month, on whatever day: it goes on with the day of the last row, ``ME*`` with the ends of months.
"""


def offset_of(freq: str) -> Any:
    """The step of a clock, as pandas writes it (``h``, ``15min``, ``D``, ``B``, ``W-SUN``, ``MS``), as its offset.

    Raises:
        InputError: there is no such step; one that is not forward, or not of whole microseconds.
    """
    try:
        if match := _ANY_DAY.fullmatch(freq):
            return pd.DateOffset(months=int(match[1] or 1))
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # names that some releases of pandas know, and others do not
            offset = pd.tseries.frequencies.to_offset(freq)
        start = pd.Timestamp("2001-01-01").as_unit("us")
        step, least = start + offset - start, pd.Timedelta(microseconds=1)
        if step < least or step % least != pd.Timedelta(0):
            raise ValueError
    except (ValueError, TypeError, FutureWarning) as error:
        raise InputError(
            f"freq={freq!r} is not the step of a clock: write it as pandas does, for example 15min, h, D, B (days but "
            "weekends), W-SUN, MS (months, by their first day), ME (by their last), BME (by their last weekday), "
            "M15 (by the 15th), M* (by any day), QS-JAN, YS-JAN or 10ms."
        ) from error
    return offset


def infer_freq(times: np.ndarray, starts: np.ndarray) -> str | None:
    """The step of a clock: the difference that most neighbours have, in months where days allow it.

    Args:
        times: ``(N,)`` datetime64, ascending within each series.
        starts: ``(S,)`` the row where each series begins.

    Returns:
        As pandas writes it; None where no series has two rows.
    """
    steps = np.diff(_micros(times))
    within = np.ones(len(steps), bool)
    within[starts[1:] - 1] = False
    if not within.any():
        return None
    if len(np.unique(_micros(times) % _DAY)) == 1:
        calendar = _infer_calendar(times, within)
        if calendar is not None:
            return calendar
    step = _most_common(steps[within])
    name, unit = next((name, unit) for name, unit in _UNITS.items() if step % unit == 0)
    if name == "W":
        weekdays = np.unique(_weekday(times))
        if len(weekdays) > 1:  # the weeks of each series begin on a day of their own
            return f"{step // _DAY}D"
        name = f"W-{_WEEKDAYS[weekdays[0]]}"
    return name if step == unit else f"{step // unit}{name}"


def _infer_calendar(times: np.ndarray, within: np.ndarray) -> str | None:
    """Months, quarters and years by their first or last days, or days but weekends; None where it is none of them."""
    months = times.astype("datetime64[M]").astype(np.int64)
    step = _most_common(np.diff(months)[within])
    first = _day_of_month(times) == 0
    last = _day_of_month(times + np.timedelta64(1, "D")) == 0
    if step > 0 and (first.all() or last.all()):
        month, end = int(_month(times[:1])[0]), "S" if first.all() else "E"
        if step in (3, 12) and len(np.unique(months % step)) > 1:  # each series has months of its own
            return f"{step}M{end}"
        if step == 3:  # named by one of the four months
            return f"Q{end}-{_MONTHS[month % 3 if end == 'S' else 9 + month % 3]}"
        if step == 12:
            return f"Y{end}-{_MONTHS[month]}"
        return f"M{end}" if step == 1 else f"{step}M{end}"
    if step > 0 and (found := _other_months(times, within, int(step))) is not None:
        return found
    days, weekdays = np.diff(_days(times))[within], _weekday(times)
    weekends = (days == 3) & (weekdays[1:][within] == 0)
    return "B" if _most_common(days) == 1 and weekends.any() and weekdays.max() < 5 else None


_USUAL = (1, 3, 6, 12)  # months between rows on changing days; other steps are more likely gaps


def _other_months(times: np.ndarray, within: np.ndarray, step: int) -> str | None:
    """Months by another day than their first or last, or by any; None where weeks or days are as regular."""
    apart = np.diff(_micros(times))[within]
    if (apart % _most_common(apart) == 0).all():
        return None
    name = "" if step == 1 else str(step)
    starts, ends = (_weekday_of_month(times, end) for end in (False, True))
    days = times.astype("datetime64[D]")
    if (days == starts).all() or (days == ends).all():
        return f"{name}BM{'S' if (days == starts).all() else 'E'}"
    day = int(_day_of_month(times).max()) + 1
    if (_day_of_month(times) == _on_day(times, day)).all():
        return f"{name}M{day}"
    months = np.diff(times.astype("datetime64[M]").astype(np.int64))[within]
    if step not in _USUAL or (months <= 0).any() or (months % step != 0).any():
        return None
    late = (_day_of_month(times) >= _on_day(times, 31) - 3).all()  # the last four days
    return f"{name}ME*" if late else f"{name}M*"


def _weekday_of_month(times: np.ndarray, end: bool) -> np.ndarray:
    """The first or last day of each month that is no Saturday and no Sunday."""
    months = times.astype("datetime64[M]")
    if not end:
        first = months.astype("datetime64[D]")
        return first + np.where(_weekday(first) > 4, 7 - _weekday(first), 0)
    last = (months + 1).astype("datetime64[D]") - 1
    return last - np.maximum(_weekday(last) - 4, 0)


def _on_day(times: np.ndarray, day: int) -> np.ndarray:
    """From 0: day ``day`` of the months of ``times``, or their last if that is sooner."""
    months = times.astype("datetime64[M]")
    length = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64)
    return np.minimum(day, length) - 1


def _most_common(values: np.ndarray) -> int:
    distinct, counts = np.unique(values, return_counts=True)
    return int(distinct[np.argmax(counts)])


def steps_of(times: np.ndarray, starts: np.ndarray, freq: str) -> np.ndarray:
    """``(N,)`` int64: how many steps after the first of its series each row lies; -1 where that is not a whole number.

    Args:
        times: ``(N,)`` datetime64, ascending within each series.
        starts: ``(S,)`` the row where each series begins.
        freq: as pandas writes it.
    """
    offset = offset_of(freq)
    length = _length(offset)
    if match := _ANY_DAY.fullmatch(freq):
        return _month_steps(times, starts, int(match[1] or 1), match[2])
    lengths = np.diff(np.append(starts, len(times)))
    if length is not None:
        micros = _micros(times)
        steps, rest = np.divmod(micros - np.repeat(micros[starts], lengths), length)
        steps[rest != 0] = -1
        if isinstance(offset, pd.offsets.Week) and offset.weekday is not None:
            steps[_weekday(times) != offset.weekday] = -1
        return steps
    # One clock for all series where it fits them, for pandas makes such clocks step by step.
    steps = _on_clock(times, times.min(), times.max(), offset)
    if (steps >= 0).all():
        return steps - np.repeat(steps[starts], lengths)
    pieces = np.split(times, starts[1:])
    return np.concatenate([_on_clock(piece, piece[0], piece[-1], offset) for piece in pieces])


def _month_steps(times: np.ndarray, starts: np.ndarray, every: int, day: str) -> np.ndarray:
    """``steps_of`` months by their day ``day``, or once each on any day (``*``, ``E*``)."""
    lengths = np.diff(np.append(starts, len(times)))
    months, clocks = times.astype("datetime64[M]").astype(np.int64), _micros(times) % _DAY
    apart = months - np.repeat(months[starts], lengths)
    if day.endswith("*"):
        right = np.append(True, np.diff(months) != 0)
        right[starts] = True
    else:
        right = (_day_of_month(times) == _on_day(times, int(day))) & (clocks == np.repeat(clocks[starts], lengths))
    return np.where(right & (apart % every == 0), apart // every, -1)


def _on_clock(times: np.ndarray, first: np.datetime64, last: np.datetime64, offset: Any) -> np.ndarray:
    clock = pd.date_range(first, last, freq=offset, unit="us").to_numpy()
    if len(clock) == 0 or clock[0] != first:
        return np.full(len(times), -1)
    times = times.astype(clock.dtype)
    steps = np.minimum(np.searchsorted(clock, times), len(clock) - 1)
    return np.where(clock[steps] == times, steps, -1)


def _length(offset: Any) -> int | None:
    """Microseconds of a step that is always as long."""
    if isinstance(offset, pd.offsets.Week):
        return offset.n * 7 * _DAY
    if isinstance(offset, pd.offsets.Day):
        return offset.n * _DAY
    return offset.nanos // 1_000 if isinstance(offset, pd.offsets.Tick) else None


def continue_times(last: np.datetime64, freq: str, count: int) -> np.ndarray:
    """``(count,)`` datetime64: the times that follow ``last`` on its clock, in its unit where that holds them.

    Raises:
        InputError: no such ``freq``; ``last`` does not lie on that clock (a 15th, of months by their first days).
    """
    if match := _ANY_DAY.fullmatch(freq):
        found = _months_on(last, int(match[1] or 1), match[2], count)
    else:
        found = pd.date_range(last, periods=count + 1, freq=offset_of(freq), unit="us").to_numpy()
    if found[0] != last:
        raise InputError(f"{last} does not lie on a clock of freq={freq}: give the freq of the series.")
    same = found.astype(last.dtype)
    return (same if (same == found).all() else narrowed(found))[1:]


def _months_on(last: np.datetime64, every: int, day: str, count: int) -> np.ndarray:
    """``last``, or its month by ``day``, and the ``count`` times that follow."""
    months = last.astype("datetime64[M]") + every * np.arange(count + 1)
    own = int(_day_of_month(np.array([last]))[0]) + 1
    days = months.astype("datetime64[D]") + _on_day(months, {"*": own, "E*": 31}.get(day) or int(day))
    found = days + (last - last.astype("datetime64[D]")).astype("timedelta64[us]")
    if day.endswith("*"):
        found[0] = last
    return found
