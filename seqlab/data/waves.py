"""The embedded series: several columns that lean on each other, several seasons, noise that grows; made in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from seqlab.data.calendar import check_features, features
from seqlab.data.forecast import ForecastData
from seqlab.data.series import Series
from seqlab.schema import did_you_mean
from seqlab.types import InputError

VERSION = 1
"""Goes into every digest; a change to what a seed gives must change it."""

COLUMNS = ("demand", "price", "warmth")


class Waves:
    """Hourly demand, price and warmth of a place that does not exist, from the first of January 2001 on.

    ``warmth`` has a day, a year and weather that lasts for days. ``demand`` has a day of two peaks, at weekends of
    one, grows with the cold of three hours before, and has a slow trend. Its noise is five times as large by day as at
    night, and doubles over the length of the series. ``price`` follows demand two hours later, and steeply where
    demand is high. So a model gains by looking a day and a week back, by reading the other columns, and by knowing
    that it knows less of noon than of midnight.

    Args:
        length: hours; 6,000 are 250 days.
        seed: what decides noise and weather.
        noise: factor of all noise; 0 leaves the weather alone to be guessed.
        targets: which columns to forecast, of ``demand``, ``price`` and ``warmth``; None takes all but ``past``.
        past: which columns to read, but not to forecast.
        calendar: features of the calendar, known beforehand (see ``calendar.features``).

    Raises:
        InputError: fewer than 2 hours; a negative seed or noise; no such column or feature, or one named twice.
    """

    dataset = ForecastData

    name = "waves"

    def __init__(
        self,
        length: int = 6_000,
        seed: int = 0,
        noise: float = 1.0,
        targets: Sequence[str] | None = None,
        past: Sequence[str] = (),
        calendar: Sequence[str] = ("hour", "weekday"),
    ) -> None:
        if length < 2:
            raise InputError(f"length must be at least 2 hours, not {length}.")
        if seed < 0 or not noise >= 0:
            raise InputError(f"seed={seed} and noise={noise} must not be negative.")
        self.length, self.seed, self.noise = length, seed, noise
        self.targets = tuple(name for name in COLUMNS if name not in past) if targets is None else tuple(targets)
        self.past = tuple(past)
        self.calendar = check_features(calendar)
        for name in self.targets + self.past:
            if name not in COLUMNS:
                raise InputError(f"waves have no column '{name}'{did_you_mean(name, COLUMNS)}")
            if (self.targets + self.past).count(name) > 1:
                raise InputError(f"column '{name}' is named twice in targets and past: name it once.")
        if not self.targets:
            raise InputError("there is no target: leave a column of waves out of past, or name it in targets.")

    def digest(self) -> str:
        """Of the arguments, and of the version of what they give."""
        facts = [VERSION, self.length, self.seed, float(self.noise), self.targets, self.past, self.calendar]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def read(self) -> Series:
        """All hours, one series."""
        times = np.datetime64("2001-01-01", "s") + np.arange(self.length) * np.timedelta64(1, "h")
        columns = dict(zip(COLUMNS, self._columns(), strict=True))
        return Series(
            times=times,
            values=np.stack([columns[name] for name in self.targets + self.past], 1).astype(np.float32),
            known=features(times, self.calendar),
            targets=self.targets,
            past=self.past,
            ahead=self.calendar,
            starts=np.zeros(1, np.int64),
            ids=("",),
            freq="h",
        )

    def _columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``(length,)`` float64 each, in the order of ``COLUMNS``."""
        random = np.random.default_rng([VERSION, self.seed])
        lead = 5  # hours before the first, to which demand and price look back
        hours = np.arange(-lead, self.length)
        draws = random.standard_normal((len(hours), 4))
        weather, now = np.empty(len(hours)), 0.0
        for row, draw in enumerate(draws[:, 0]):
            now = 0.98 * now + 0.6 * draw
            weather[row] = now
        warmth = 10 + 4 * _wave(hours, 24, 9) - 8 * _wave(hours, 24 * 365, -24 * 91) + weather
        warmth = warmth + 0.3 * self.noise * draws[:, 1]

        weekend = hours // 24 % 7 >= 5
        day = 0.5 + 0.5 * _wave(hours, 24, 8)  # 0 at two in the night, 1 at two in the afternoon
        level = 60 + 12 * _wave(hours, 24, 7) + np.where(weekend, -8, 9) * _wave(hours, 12, 5)
        trend = hours / 1_000 + 4 * _wave(hours, 2_500, 0)
        growth = 0.8 * (1 + 4 * day) * (1 + np.clip(hours / self.length, 0, 1))
        demand = level + trend - 0.9 * (np.roll(warmth, 3) - 10) + self.noise * growth * draws[:, 2]

        price = 20 + np.exp((np.roll(demand, 2) - 40) / 18) + 0.5 * self.noise * draws[:, 3]
        return demand[lead:], price[lead:], warmth[lead:]


def _wave(hours: np.ndarray, period: float, rises: float) -> np.ndarray:
    """A sine of this period that crosses zero upwards at the hour ``rises``."""
    return np.sin(2 * np.pi * (hours - rises) / period)
