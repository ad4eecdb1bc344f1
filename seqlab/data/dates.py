"""Dates as people write them, to be put as ISO 8601 has them: a small translation whose every answer is known.

Every form names its month, or gives the year first and the month next as ISO does, so none can be read in two ways. The
task is an old exercise for attention; these forms are ours.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, timedelta

import numpy as np

from seqlab.data.parallel import ParallelText, RawPairs, Sentences
from seqlab.types import InputError

VERSION = 1  # of what is made of the arguments
FIRST, LAST = date(1900, 1, 1), date(2099, 12, 31)

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_ONES = (
    "", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth",
)  # fmt: skip
_SHORT = tuple("Sept" if month == "September" else month[:3] for month in MONTHS)


def _weekday(day: date) -> str:
    return WEEKDAYS[day.weekday()]


def _month(day: date) -> str:
    return MONTHS[day.month - 1]


def _short(day: date) -> str:
    return _SHORT[day.month - 1]


def _point(day: date) -> str:
    """Abbreviated with a point; May is no abbreviation."""
    return "May" if day.month == 5 else f"{_short(day)}."


def _ordinal(day: date) -> str:
    number = day.day
    ending = "th" if 10 < number < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _in_words(day: date) -> str:
    """``first`` to ``thirty-first``."""
    tens, ones = divmod(day.day, 10)
    if tens < 2:
        return _ONES[day.day]
    if ones == 0:
        return {2: "twentieth", 3: "thirtieth"}[tens]
    return f"{'twenty' if tens == 2 else 'thirty'}-{_ONES[ones]}"


FORMS: tuple[Callable[[date], str], ...] = (
    # the month first
    lambda day: f"{_month(day)} {day.day}, {day.year}",
    lambda day: f"{_month(day)} {_ordinal(day)}, {day.year}",
    lambda day: f"{_month(day)} the {_ordinal(day)}, {day.year}",
    lambda day: f"{_short(day)} {day.day}, {day.year}",
    lambda day: f"{_point(day)} {day.day:02}, {day.year}",
    lambda day: f"{_short(day)}/{day.day:02}/{day.year}",
    lambda day: f"{_weekday(day)}, {_month(day)} {day.day}, {day.year}",
    lambda day: f"{_weekday(day)[:3]} {_short(day)} {day.day:2} {day.year}",
    lambda day: f"{_month(day)} {_in_words(day)}, {day.year}",
    # the day first
    lambda day: f"{day.day} {_month(day)} {day.year}",
    lambda day: f"{day.day}. {_month(day)} {day.year}",
    lambda day: f"{_ordinal(day)} {_month(day)} {day.year}",
    lambda day: f"the {_ordinal(day)} of {_month(day)}, {day.year}",
    lambda day: f"the {_in_words(day)} of {_month(day)} {day.year}",
    lambda day: f"{day.day:02}-{_short(day)}-{day.year}",
    lambda day: f"{day.day:02}{_short(day)}{day.year}",
    lambda day: f"{day.day} {_point(day)} {day.year}",
    lambda day: f"{_weekday(day)}, {day.day} {_month(day)} {day.year}",
    lambda day: f"{_weekday(day)[:3]}, {day.day:02} {_short(day)} {day.year}",
    lambda day: f"{_weekday(day)} the {_ordinal(day)} of {_month(day)} {day.year}",
    lambda day: f"on the {_in_words(day)} day of {_month(day)} in the year {day.year}",
    # the year first, and then the month, as ISO has it
    lambda day: f"{day.year}/{day.month:02}/{day.day:02}",
    lambda day: f"{day.year}.{day.month:02}.{day.day:02}",
    lambda day: f"{day.year} {_month(day)} {day.day}",
    lambda day: f"{day.year}, {_month(day)} the {_ordinal(day)}",
    lambda day: f"{day.year} {_short(day)} {day.day:02}",
    lambda day: f"in {day.year}, on {_month(day)} {day.day}",
)
CASES: tuple[Callable[[str], str], ...] = (str, str.lower, str.upper)


@dataclass(frozen=True)
class Dates:
    """Written English dates with what ISO 8601 makes of them, ``Friday the 3rd of May 1946`` -> ``1946-05-03``.

    Days are drawn evenly from 1900 to 2099, forms from ``FORMS`` and capitals from ``CASES``. No text stands in two
    parts; the same day may, written in another way.

    Args:
        train: pairs to learn from.
        val: pairs to validate on.
        test: pairs for the end.
        seed: what decides all of them.

    Raises:
        InputError: a part without a pair, a negative seed, or more pairs than can be kept apart, when they are read.
    """

    dataset = ParallelText

    train: int = 20_000
    val: int = 1_000
    test: int = 1_000
    seed: int = 0
    name = "dates"

    def digest(self) -> str:
        """Of the arguments and ``VERSION``: equal digests mean equal pairs."""
        facts = {"name": self.name, "version": VERSION, **asdict(self)}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def read(self) -> RawPairs:
        """The same pairs at every reading: 0.2 s for the usual number."""
        for name, least, value in (
            ("train", 1, self.train),
            ("val", 1, self.val),
            ("test", 1, self.test),
            ("seed", 0, self.seed),
        ):
            if value < least:
                raise InputError(f"{name}={value} is too small: give a whole number of at least {least}.")
        found = self._draw(self.train + self.val + self.test)
        ends = np.cumsum([self.train, self.val, self.test]).tolist()
        train, val, test = (_columns(found[first:end]) for first, end in zip((0, *ends[:-1]), ends, strict=True))
        return RawPairs(train=train, test=test, val=val)

    def _draw(self, wanted: int) -> list[tuple[str, str]]:
        """So many pairs of which no two have the same source, not even but for capitals."""
        generator = np.random.default_rng(self.seed)
        days = (LAST - FIRST).days + 1
        cases = generator.choice(len(CASES), size=wanted, p=(0.6, 0.25, 0.15)).tolist()
        pairs: dict[str, tuple[str, str]] = {}
        for number in map(int, generator.permutation(days * len(FORMS))):
            day = FIRST + timedelta(days=number % days)
            text = FORMS[number // days](day)
            # Some days read alike in two forms: May has no abbreviation.
            pairs.setdefault(text.lower(), (CASES[cases[len(pairs)]](text), day.isoformat()))
            if len(pairs) == wanted:
                return list(pairs.values())
        raise InputError(f"{wanted:,} dates cannot all differ: ask for at most {len(pairs):,} in all.")


def _columns(pairs: list[tuple[str, str]]) -> Sentences:
    return [source for source, _ in pairs], [target for _, target in pairs]
