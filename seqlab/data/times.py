"""Columns of times: how they are written, found from the first rows and then used for all of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from seqlab.data.moments import COUNT, UNITS, epochs, from_fields, iso, offsets_of
from seqlab.errors import InputError, shorten

NAMED = ("iso", *UNITS)
"""What ``time_format`` may be besides a pattern of strptime."""

_COMPACT = {4: "YYYY", 6: "YYYYMM", 8: "YYYYMMDD", 10: "YYYYMMDDHH", 12: "YYYYMMDDHHMM", 14: "YYYYMMDDHHMMSS"}
_YEARS = (1500, 2299)  # of whole numbers that are read as dates
_MONTH = r"(?P<mon>jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec|january|february|march|april|august|september|october|november|december)\.?"  # noqa: E501
_WEEKDAY = r"\s*(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?"
_CLOCK = (
    r"(?:(?:T|,?\s+|,)(?P<H>\d{1,2})(?:[:.h](?P<M>\d\d)(?:[:.](?P<S>\d\d)(?:[.,](?P<f>\d{1,9}))?)?)?"
    r"\s*(?P<p>[ap])?(?(p)\.?m\.?)\s*(?P<z>Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?)?\s*"
)
_DATES = (
    r"(?P<Y>\d{4})(?P<s>[-/. ])(?P<m>\d{1,2})(?P=s)(?P<d>\d{1,2})",
    r"(?P<Y>\d{4})[-/.](?P<m>\d{1,2})",
    r"(?P<a>\d{1,2})(?P<s>[-/. ])(?P<b>\d{1,2})(?P=s)(?P<Y>\d{4}|\d\d)",
    r"(?P<m>\d{1,2})[-/.](?P<Y>\d{4})",
    rf"(?P<d>\d{{1,2}})(?:st|nd|rd|th)?[-/. ]{{0,2}}{_MONTH}[-/., ]{{0,2}}(?P<Y>\d{{4}}|\d\d)",
    rf"{_MONTH}[-/ ]{{0,2}}(?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?:,\s*|[-/ ])(?P<Y>\d{{4}}|\d\d)",
    rf"(?P<Y>\d{{4}})[-/. ]?{_MONTH}[-/. ]?(?P<d>\d{{1,2}})",
    rf"{_MONTH}[-/., ]{{0,2}}(?P<Y>\d{{4}}|\d\d)",
    rf"(?P<Y>\d{{4}})[-/. ]?{_MONTH}",
    r"(?P<Y>\d{4})[-/. ]?Q(?P<q>[1-4])",
    r"Q(?P<q>[1-4])[-/. ]?(?P<Y>\d{4})",
    r"(?P<Y>\d{4})M(?P<m>\d{1,2})",
    r"(?P<Y>\d{4})-?W(?P<w>\d\d)(?:-(?P<wd>[1-7]))?",
    r"(?P<Y>\d{4})(?P<m>\d\d)(?P<d>\d\d)",
)
_PATTERNS = [re.compile(_WEEKDAY + date + _CLOCK, re.IGNORECASE) for date in _DATES]
_DAY_OR_MONTH = 2  # of _PATTERNS: the one that does not say which number is the day


def check_format(time_format: str | None) -> None:
    """Refuse a ``time_format`` that is neither a name nor a pattern of strptime.

    Raises:
        InputError: it is none of them.
    """
    if time_format is None or time_format in NAMED:
        return
    try:
        if "%" not in time_format:
            raise ValueError("it has no %")
        pd.to_datetime(pd.Series(["x"]), format=time_format, errors="coerce", utc=True)
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"data.time_format={shorten(time_format, 40)!r} cannot be used ({shorten(error)}): write it as strptime "
            f"does, such as '%d.%m.%Y %H:%M', or one of {', '.join(NAMED)}."
        ) from error


@dataclass(frozen=True)
class TimeColumn:
    """How the times of a file are written.

    Attributes:
        columns: one column, or several that make a time together (date and hour; year, month, day and hour).
        way: ``iso`` (and patterns, where a cell is not ISO 8601), ``compact``, a unit of ``UNITS``, or ``strptime``.
        patterns: numbers of the other ways of writing that the first rows have.
        day_first: whether 1/2/2020 is the first of February; None where no cell is written so.
        time_format: of strptime.
        offsets: whether the times say how far they are from UTC.
        note: what a user should know of how the column was understood; may be empty.
    """

    columns: tuple[str, ...]
    way: str = "iso"
    patterns: tuple[int, ...] = ()
    day_first: bool | None = None
    time_format: str | None = None
    offsets: bool = False
    note: str = ""

    @property
    def name(self) -> str:
        """For messages."""
        return ", ".join(self.columns)

    @property
    def counts(self) -> bool:
        """Whether the times are whole numbers that count from 1970, or from anywhere."""
        return self.way in UNITS

    def cells(self, frame: pd.DataFrame) -> pd.Series:
        """The column, or several joined to one text a row; missing where the first of them is."""
        first = frame[self.columns[0]]
        return first if len(self.columns) == 1 else _joined([frame[name] for name in self.columns])

    def read(self, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray | None]:
        """``(N,)`` datetime64[us], in UTC where the times have offsets, NaT where a cell is no time; and the offsets,
        ``(N,)`` seconds ahead of UTC, or None where the times have none."""
        cells = self.cells(frame)
        if isinstance(cells.dtype, pd.CategoricalDtype):  # few different times: each is read once
            once = pd.DataFrame({self.columns[0]: pd.Series(cells.cat.categories)})
            times, offsets = replace(self, columns=self.columns[:1]).read(once)
            codes = cells.cat.codes.to_numpy()
            found = np.where(codes < 0, np.datetime64("NaT"), times[codes])
            return found, None if offsets is None else offsets[codes]
        if self.counts:
            return epochs(cells, self.way), None
        if isinstance(cells.dtype, pd.DatetimeTZDtype) or cells.dtype.kind == "M":
            return iso(cells), offsets_of(cells) if self.offsets else None
        words = cells.astype("str").str.strip()
        if self.way == "compact":
            return _compact(words), None
        if self.way == "strptime":
            found = pd.to_datetime(words, format=self.time_format, errors="coerce", utc=True).dt.tz_localize(None)
            return found.to_numpy().astype("datetime64[us]"), offsets_of(words) if self.offsets else None
        found = iso(words)
        for number in self.patterns:
            left = np.flatnonzero(np.isnat(found) & cells.notna().to_numpy())
            if not len(left):
                break
            found[left] = _matched(words.iloc[left], number, self.day_first)
        return found, offsets_of(words) if self.offsets else None


def learn(
    head: pd.DataFrame, columns: Sequence[str], path: str, time_format: str | None = None, day_first: bool | None = None
) -> TimeColumn:
    """Find out from the first rows of a file how its times are written.

    Args:
        head: the first rows.
        columns: see ``TimeColumn``.
        path: of the file, for messages.
        time_format: how they are written: a pattern of strptime, or one of ``NAMED``; None finds it.
        day_first: whether 1/2/2020 is the first of February; None takes what the cells allow.

    Raises:
        InputError: days and months cannot be told apart, or whole numbers are neither dates nor counts.
    """
    plain = TimeColumn(tuple(columns))
    cells = plain.cells(head).dropna()
    if isinstance(cells.dtype, pd.DatetimeTZDtype) or cells.dtype.kind == "M":
        return TimeColumn(plain.columns, offsets=isinstance(cells.dtype, pd.DatetimeTZDtype))
    words = cells.astype("str").str.strip()
    words = words[words != ""].drop_duplicates()
    if time_format in UNITS:
        return TimeColumn(plain.columns, way=str(time_format))
    if time_format is not None and time_format != "iso":
        return TimeColumn(plain.columns, "strptime", time_format=time_format, offsets="%z" in time_format)
    if len(words) and words.str.fullmatch(r"\d+").all():
        return _whole_numbers(plain, words, path)
    if time_format is None and len(words) and words.str.fullmatch(COUNT).all() and not _are_dates(words):
        note = f"'{plain.name}' holds numbers such as {shorten(words.iloc[0], 30)}, read as seconds since 1970, or as "
        return TimeColumn(plain.columns, "seconds", note=f"{note}positions")
    patterns: list[int] = []
    wordy = words[np.isnat(iso(words))] if time_format is None else words[:0]
    matches = [(word, number, match) for word in wordy for number, match in _first_match(word)]
    for _, number, _ in matches:
        if number not in patterns:
            patterns.append(number)
    order, note = _day_first(plain, [match for _, number, match in matches if number == _DAY_OR_MONTH], path, day_first)
    has_offsets = bool(words.str.contains(r"\d[T ]\s*\d.*(?:[+-]\d\d(?::?\d\d)?|Z|UTC|GMT)$").any())
    return TimeColumn(plain.columns, "iso", tuple(patterns), order, offsets=has_offsets, note=note)


def look_like_times(cells: pd.Series, path: str) -> bool:
    """Whether every cell of a column of words is a time, so that it is likely the clock of the file."""
    try:
        frame = pd.DataFrame({"": cells})
        return not np.isnat(learn(frame, [""], path).read(frame)[0]).any()
    except InputError:  # dates whose days and months cannot be told apart are dates
        return True


def _are_dates(words: pd.Series) -> bool:
    """Whether each of some numbers with fractions is a month of a year, such as 2020.01."""
    return all(_first_match(word) or not np.isnat(iso(pd.Series([word]))[0]) for word in words)


def _whole_numbers(plain: TimeColumn, words: pd.Series, path: str) -> TimeColumn:
    """Dates without separators where the cells are such, or else counts."""
    sizes, example = words.str.len().unique(), shorten(words.iloc[0], 30)
    if len(sizes) == 1 and int(sizes[0]) in _COMPACT:
        form = _COMPACT[int(sizes[0])]
        years = words.str[:4].astype(int)
        fits = ~np.isnat(_compact(words)) & (years.between(*_YEARS).to_numpy() | (len(form) == 4))
        if fits.all() or len(form) in (4, 8):
            note = f"'{plain.name}' holds whole numbers such as {example}, read as {form}" if len(form) != 4 else ""
            return TimeColumn(plain.columns, "compact", note=note)
        if fits.mean() >= 0.5:
            raise InputError(
                f"{path}: '{plain.name}' has whole numbers of which most are dates ({form}), but not "
                f"'{words[~fits].iloc[0]}': write dates as 1990-01, 1990-01-31 or 1990-01-31 13:00, or set "
                "data.time_format=seconds if they count seconds since 1970."
            )
    largest = int(words.str.len().max())
    way = next((unit for unit, digits in UNITS.items() if largest <= digits), "nanoseconds")
    since = f"read as {way} since 1970, or as positions" if way == "seconds" else f"read as {way} since 1970"
    return TimeColumn(plain.columns, way, note=f"'{plain.name}' holds whole numbers such as {example}, {since}")


def _day_first(
    plain: TimeColumn, matches: list[re.Match[str]], path: str, day_first: bool | None
) -> tuple[bool | None, str]:
    """Whether the first of two numbers is the day, and a note that says so."""
    if not matches or day_first is not None:
        return day_first, ""
    if short := next((match for match in matches if len(match["Y"]) == 2), None):
        raise InputError(
            f"{path}: '{plain.name}' is '{shorten(short[0], 40)}', whose year has two digits: set data.time_format to "
            "how it is written, such as %d/%m/%y, or data.day_first=true or false."
        )
    late = {side: next((match for match in matches if int(match[side]) > 12), None) for side in "ab"}
    if late["a"] and late["b"]:
        raise InputError(
            f"{path}: '{plain.name}' has the day first in '{shorten(late['a'][0], 40)}' and the month first in "
            f"'{shorten(late['b'][0], 40)}': write all of them as 2016-12-31."
        )
    unlike = next((match for match in matches if int(match["a"]) != int(match["b"])), matches[0])
    example = late["a"] or late["b"] or unlike
    if not late["a"] and not late["b"] and example["s"] != ".":
        one, two = (f"{example['Y']}-{int(example[m]):02}-{int(example[d]):02}" for m, d in ("ba", "ab"))
        raise InputError(
            f"{path}: '{plain.name}' is '{shorten(example[0], 40)}', which could be {one} (day first) or {two}: set "
            "data.day_first=true or data.day_first=false."
        )
    first = late["b"] is None
    return first, f"'{plain.name}' is read with the {'day' if first else 'month'} first ('{shorten(example[0], 40)}')"


def _first_match(word: str) -> list[tuple[int, re.Match[str]]]:
    for number, pattern in enumerate(_PATTERNS):
        if match := pattern.fullmatch(word[:80]):
            return [(number, match)]
    return []


def _matched(words: pd.Series, number: int, day_first: bool | None) -> np.ndarray:
    """``(N,)`` datetime64[us] of words that are written in one way, NaT of others."""
    pattern = _PATTERNS[number]
    found = words.str.extract(re.compile(f"^{pattern.pattern}$", re.IGNORECASE), expand=True)
    if number == _DAY_OR_MONTH:
        found = found.rename(columns={"a": "d", "b": "m"} if day_first else {"a": "m", "b": "d"})
    return from_fields(found)


def _compact(words: pd.Series) -> np.ndarray:
    """``(N,)`` datetime64[us] of YYYY to YYYYMMDDHHMMSS, NaT where a cell is none."""
    fields = words.str.extract(r"^(?P<Y>\d{4})(?P<m>\d\d)?(?P<d>\d\d)?(?P<H>\d\d)?(?P<M>\d\d)?(?P<S>\d\d)?$")
    return from_fields(fields)


def _joined(parts: list[pd.Series]) -> pd.Series:
    """One text a row: year, month, day, hour ...; or a date with a time of day, or with an hour."""
    words = [part.astype("str").str.strip() for part in parts]
    there = np.logical_and.reduce([part.notna().to_numpy() for part in parts])
    numeric = [bool(word[there].str.fullmatch(r"\d{1,4}").all()) for word in words]
    if numeric[0] and len(words) > 1 and words[0][there].str.len().eq(4).all() and numeric[1]:
        date, rest = words[0], words[1:]
        for part in rest[:2]:
            date = date + "-" + part.str.zfill(2)
        rest, numeric = rest[2:], numeric[3:]
    else:
        date, rest, numeric = words[0], words[1:], numeric[1:]
    if rest:
        clock = rest[0]
        if numeric[0] and clock[there].str.len().gt(2).any():  # 100, 1330, 2400
            clock = clock.str.zfill(4)
            clock = clock.str[:2] + ":" + clock.str[2:]
        elif numeric[0]:
            clock = clock + (":" if len(rest) > 1 else ":00")
            clock = clock + rest[1].str.zfill(2) if len(rest) > 1 else clock
            clock = clock + ":" + rest[2].str.zfill(2) if len(rest) > 2 else clock
        date = date + " " + clock
    return date.where(there)
