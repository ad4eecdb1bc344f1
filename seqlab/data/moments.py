"""Moments: from text and numbers to UTC, and back to text in the zone that a file is written in."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from seqlab.errors import InputError, shorten

UNITS = {"seconds": 12, "milliseconds": 15, "microseconds": 18, "nanoseconds": 21}
"""Units that count from 1970, and how many digits a count of each has at most."""

_LATEST = np.datetime64("9999-12-31T23:59:59", "us").astype(np.int64)
MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(MONTH_NAMES, 1)}
_PIVOT = 69  # of years of two digits: 69 is 1969, 68 is 2068, as strptime has it


@dataclass(frozen=True)
class Zone:
    """How far the clock of a file is ahead of UTC: piece by piece, for summer time changes it.

    Attributes:
        starts: ``(P,)`` datetime64: from when on each offset holds, ascending; the first also holds before.
        offsets: ``(P,)`` int64: seconds ahead of UTC.
    """

    starts: np.ndarray
    offsets: np.ndarray

    @classmethod
    def learn(cls, times: np.ndarray, offsets: np.ndarray) -> Zone:
        """From times in UTC ``(N,)`` and their offsets ``(N,)``; UTC itself where one moment has several offsets."""
        order = np.lexsort((offsets, times))
        times, offsets = times[order], offsets[order]
        changes = np.flatnonzero(np.diff(offsets)) + 1
        if (times[changes] == times[changes - 1]).any() or len(changes) > len(times) // 8 + 1:
            return cls(times[:1], np.zeros(1, np.int64))
        pieces = np.append(0, changes)
        return cls(times[pieces], offsets[pieces])

    def ahead(self, times: np.ndarray) -> np.ndarray:
        """Seconds ahead of UTC at each of ``times``."""
        return self.offsets[np.maximum(self.starts.searchsorted(times, side="right") - 1, 0)]

    def local(self, times: np.ndarray) -> np.ndarray:
        """What a clock on the wall shows at ``times``."""
        return times + self.ahead(times).astype("timedelta64[s]")

    def text(self, times: np.ndarray) -> list[str]:
        """``2016-06-06T00:00:00+02:00`` of each."""
        walls, aheads = np.atleast_1d(self.local(times)), np.atleast_1d(self.ahead(times))
        return [f"{wall}{_signed(int(ahead))}" for wall, ahead in zip(walls.ravel(), aheads.ravel(), strict=True)]

    def name(self, times: np.ndarray) -> str:
        """``+02:00``, or ``+01:00 and +02:00``: what holds over ``times``."""
        return " and ".join(_signed(int(ahead)) for ahead in np.unique(self.ahead(times)))


def _signed(seconds: int) -> str:
    minutes = abs(seconds) // 60
    return f"{'-' if seconds < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"


def iso(cells: pd.Series) -> np.ndarray:
    """``(N,)`` datetime64[us] in UTC of text in ISO 8601's order, or of times; NaT where a cell is none, or finer."""
    if not isinstance(cells.dtype, pd.DatetimeTZDtype) and cells.dtype.kind != "M":
        cells = cells.mask(cells.isin(["now", "today", "<NA>", "nan"]))  # pandas would give the present time
    found = pd.to_datetime(cells, format="ISO8601", errors="coerce", utc=True).dt.tz_localize(None).to_numpy()
    times = found.astype("datetime64[us]")
    times[times != found] = np.datetime64("NaT")  # a fraction of a microsecond
    return times


def narrowed(times: np.ndarray) -> np.ndarray:
    """The same times in the coarsest unit that holds all of them: seconds, or milli- or microseconds."""
    for unit in ("s", "ms"):
        coarse = times.astype(f"datetime64[{unit}]")
        if (coarse == times).all():
            return coarse
    return times.astype("datetime64[us]")


COUNT = r"\d{1,18}(?:[.,]\d*)?(?:[eE]-\d{1,2})?"
"""A count of a unit since 1970, with or without a fraction."""


def epochs(cells: pd.Series, unit: str) -> np.ndarray:
    """``(N,)`` datetime64[us] of numbers since 1970, a fraction rounded to the microsecond; NaT where a cell is none,
    negative or beyond 9999."""
    words = cells.astype("str").str.strip()
    counts = words.str.fullmatch(COUNT).fillna(False).to_numpy(bool)
    whole = words.str.fullmatch(r"\d+(?:\.0*)?").fillna(False).to_numpy(bool) & counts
    numbers = np.zeros(len(words), np.int64)
    numbers[whole] = words[whole].str.split(".").str[0].astype(np.int64).to_numpy()
    per_second = {"seconds": 10**6, "milliseconds": 10**3, "microseconds": 1}.get(unit)
    held = numbers // 1_000 if per_second is None else np.minimum(numbers, _LATEST // per_second + 1) * per_second
    if (broken := counts & ~whole).any():
        fractions = words[broken].str.replace(",", ".").astype(np.float64).to_numpy() * (per_second or 1e-3)
        held[broken] = np.rint(np.minimum(fractions, float(_LATEST + 1)))
    times = np.minimum(held, _LATEST).astype("datetime64[us]")
    times[~counts | (held > _LATEST)] = np.datetime64("NaT")
    return times


def offsets_of(cells: pd.Series) -> np.ndarray:
    """``(N,)`` int64: seconds ahead of UTC that each time says; 0 where it says nothing."""
    if isinstance(cells.dtype, pd.DatetimeTZDtype):
        wall, utc = cells.dt.tz_localize(None).to_numpy(), cells.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
        return ((wall - utc) / np.timedelta64(1, "s")).astype(np.int64)
    found = cells.astype("str").str.extract(r"\d[T ]\s*\d.*?(?P<sign>[+-])(?P<h>\d\d):?(?P<m>\d\d)?$")
    hours, minutes = (pd.to_numeric(found[name], errors="coerce").fillna(0).to_numpy(np.int64) for name in "hm")
    return np.where(found["sign"].eq("-").to_numpy(bool), -1, 1) * (hours * 3_600 + minutes * 60)


def from_fields(fields: pd.DataFrame) -> np.ndarray:
    """``(N,)`` datetime64[us] in UTC of the text of years, months, days and so on; NaT where they are no time.

    Args:
        fields: any of ``Y`` (four or two digits), ``m`` or ``mon`` (a name) or ``q`` (a quarter), ``d``, ``w`` (an ISO
            week) and ``wd`` (its day), ``H`` (24 is midnight of the day after), ``M``, ``S``, ``f`` (a fraction),
            ``p`` (a or p of AM and PM), ``z`` (an offset).
    """
    absent = pd.Series(None, index=fields.index, dtype="str")

    def numbers(name: str, default: int) -> np.ndarray:
        return pd.to_numeric(fields.get(name, absent), errors="coerce").fillna(default).to_numpy(np.int64, copy=True)

    year = numbers("Y", -1)
    short = fields["Y"].str.len().eq(2).to_numpy(bool)
    year[short] += np.where(year[short] < _PIVOT, 2000, 1900)
    month, day = numbers("m", 1), numbers("d", 1)
    if "mon" in fields:
        month = fields["mon"].str[:3].str.lower().map(_MONTHS).fillna(0).to_numpy(np.int64)
    if "q" in fields:
        month = 3 * numbers("q", 0) - 2
    hour, minute, second = numbers("H", 0), numbers("M", 0), numbers("S", 0)
    nano = pd.to_numeric(fields.get("f", absent).str.ljust(9, "0"), errors="coerce").fillna(0).to_numpy(np.int64)
    fraction, finer = np.divmod(nano, 1_000)
    half = fields.get("p", absent).str.lower()
    twelve = half.notna().to_numpy(bool)
    right = (finer == 0) & (~twelve | ((hour >= 1) & (hour <= 12))) & (year >= 1) & (month >= 1) & (month <= 12)
    hour = np.where(twelve, hour % 12 + 12 * half.eq("p").to_numpy(bool), hour)
    ends_day = (hour == 24) & (minute + second + fraction == 0)
    right &= ((hour <= 23) | ends_day) & (minute <= 59) & (second <= 59) & (day >= 1)
    first = (np.where(right, (year - 1970) * 12 + month - 1, 0)).astype("datetime64[M]")
    days = (first + 1).astype("datetime64[D]") - first.astype("datetime64[D]")
    right &= day <= days.astype(np.int64)
    date = first.astype("datetime64[D]") + (day - 1)
    if "w" in fields:  # week 1 holds the fourth of January
        fourth = first.astype("datetime64[Y]").astype("datetime64[D]") + 3
        monday = fourth - (fourth.astype(np.int64) + 3) % 7
        week = numbers("w", 0)
        right &= (week >= 1) & (week <= 53)
        date = monday + 7 * (week - 1) + numbers("wd", 1) - 1
    seconds = (hour * 60 + minute) * 60 + second
    if "z" in fields:
        seconds = seconds - offsets_of("0 0" + fields["z"].fillna(""))
    found = date.astype("datetime64[us]") + (seconds * 10**6 + fraction).astype("timedelta64[us]")
    found[~right] = np.datetime64("NaT")
    return found


def date_of(text: str, zone: Zone | None, key: str, times: np.ndarray) -> np.datetime64:
    """A date that an option gives, in UTC where ``times`` are: in the data's own zone unless it has an offset.

    Raises:
        InputError: it is no date.
    """
    cells = pd.Series([text], dtype="str")
    found = iso(cells)[0]
    if np.isnat(found):
        raise InputError(f"{key}={shorten(text, 40)} is no date: write 1957-01, 2017-06-01 or '2017-06-01 12:00'.")
    if zone is None or (len(text) > 11 and text[-1:] == "Z") or re.search(r":\d\d.*[+-]\d\d:?\d\d$", text):
        return narrowed(found[None])[0]
    later = np.flatnonzero(zone.local(times) >= found)
    ahead = zone.ahead(times[later[0]] if len(later) else times[-1])
    return narrowed(found[None] - np.timedelta64(int(ahead), "s"))[0]
