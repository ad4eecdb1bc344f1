"""A generated signal like an electrocardiogram (ECG), and where its R peaks are: one tall spike a heartbeat.

Every beat is a sum of Gaussian bumps, the waves P, Q, R, S and T, as in McSharry et al. 2003 ("A dynamical model for
generating synthetic electrocardiogram signals"), placed in time rather than solved for. Every row is another patient:
heart rate, its variability, the shape of the waves and the electrodes' disturbances are drawn anew. What makes a peak
hard to find is in there on purpose: T waves as tall as the R wave, leads upside down, beats too early, of another
shape, or missing, muscle noise, a wandering baseline, movement, and spikes that look like a heartbeat alone.

It resembles; it is no substitute for recordings, and says nothing about patients. Everything is a function of the
arguments and the seed; nothing is written to disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from seqlab.data.arrays import ArrayData
from seqlab.data.synthetic import Part, Seed, digest_of
from seqlab.types import DataSpec, InputError

VERSION = 2
"""Goes into every digest; a change to what a seed gives must change it."""

WAVES = 5
AMPLITUDE = np.array([0.15, -0.12, 1.0, -0.25, 0.3])
"""Of the waves P, Q, R, S, T: height in millivolts."""
CENTRE = np.array([-0.17, -0.027, 0.0, 0.028, 0.30])
"""Seconds from the R peak, at 60 beats a minute; those of P and T shrink with the square root of the interval."""
WIDTH = np.array([0.022, 0.009, 0.011, 0.010, 0.045])
"""Standard deviation in seconds."""

LEAD = 1.0
"""Seconds of beats before and after a row, whose waves may reach into it."""
CUT = 0.1
"""Seconds: no beat has its peak outside a row and so near it."""
SHORTEST = 0.35
"""Seconds: no interval between two beats is shorter."""
BLOCK = 256
"""Rows made at once, to bound the memory that drawing needs."""


def ecg(steps: int, count: int, seed: Seed, rate: float = 100.0, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Signals of ``count`` patients, and their R peaks.

    Args:
        steps: ``T``, samples in a row.
        count: rows.
        seed: what decides all.
        rate: samples a second.
        noise: factor of all disturbances (baseline, muscle, movement, spikes); 0 leaves the heart alone.

    Returns:
        Millivolts ``(count, steps, 1)`` float32, and ``(count, steps)`` int64: 1 at the sample nearest to each R peak,
        else 0. A row may have no peak at all, if it is short.

    Raises:
        InputError: no step, no row, fewer than 50 samples a second, negative noise, or a negative seed.
    """
    _check(steps=steps, count=count, rate=rate, noise=noise, seed=seed)
    random = np.random.default_rng(seed)
    blocks = [_block(random, steps, min(BLOCK, count - done), rate, noise) for done in range(0, count, BLOCK)]
    signals, peaks = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return signals[:, :, None], peaks


def _block(random: np.random.Generator, T: int, count: int, rate: float, noise: float) -> tuple[np.ndarray, np.ndarray]:
    seconds = T / rate
    times, intervals, wide, present, chaotic = _rhythm(random, count, seconds)
    # A beat cut through by a row's end, its peak outside, would be found by whoever sees the rise, and be no hit.
    outside = np.maximum(-times, times - (T - 1) / rate)
    present &= (outside <= 0) | (outside > CUT)
    signals = np.zeros((count, T))
    _beats(random, signals, rate, times, intervals, wide, present, chaotic)
    for disturb in (_baseline, _muscle, _movement, _electrodes, _spikes):
        signals += noise * disturb(random, count, T, rate)
    upside_down = random.random(count) < 0.1
    gain = random.lognormal(0.0, 0.4, count) * np.where(upside_down, -1, 1)
    signals *= gain[:, None]
    peaks = np.zeros((count, T), np.int64)
    places = np.rint(times * rate).astype(np.int64)
    rows, beats = np.nonzero(present & (outside <= 0))
    peaks[rows, places[rows, beats]] = 1
    return signals.astype(np.float32), peaks


def _rhythm(random: np.random.Generator, count: int, seconds: float) -> tuple[np.ndarray, ...]:
    """When beats come, and which: ``(count, beats)`` times and intervals before them in seconds, which are of a
    ventricle, which come at all; and ``(count,)`` which rows are chaotic.

    A mean interval for each row, breathing (0.15 to 0.4 Hz) and blood pressure (near 0.1 Hz) that vary it, as in
    McSharry et al., and chance from beat to beat; every seventh row is chaotic, as in atrial fibrillation.
    """
    beats = int((seconds + 2 * LEAD) / SHORTEST) + 2
    mean = 60 / random.uniform(50, 120, (count, 1))
    chaotic = random.random((count, 1)) < 1 / 7
    clock = mean * np.arange(beats)
    swing = random.uniform(0.02, 0.1, (count, 1)) * np.sin(_waves(random, count, 0.15, 0.4, clock))
    swing += random.uniform(0.01, 0.05, (count, 1)) * np.sin(_waves(random, count, 0.08, 0.12, clock))
    chance = np.where(chaotic, 0.2, random.uniform(0.01, 0.03, (count, 1))) * random.standard_normal((count, beats))
    intervals = mean * (1 + swing + chance)
    wide = random.random((count, beats)) < 0.06  # from a ventricle: early, without P wave, broad
    early = wide | (random.random((count, beats)) < 0.05)
    intervals *= np.where(early, random.uniform(0.6, 0.8, (count, beats)), 1.0)
    after = np.roll(wide, 1, axis=1)
    intervals *= np.where(after & ~early, random.uniform(1.1, 1.4, (count, beats)), 1.0)
    intervals = np.clip(intervals, SHORTEST, None)
    times = np.cumsum(intervals, axis=1) - LEAD - random.random((count, 1)) * mean
    present = random.random((count, beats)) >= 0.03
    return times, intervals, wide, present, chaotic[:, 0]


def _beats(
    random: np.random.Generator,
    signals: np.ndarray,
    rate: float,
    times: np.ndarray,
    intervals: np.ndarray,
    wide: np.ndarray,
    present: np.ndarray,
    chaotic: np.ndarray,
) -> None:
    """Add the waves of all beats to ``signals`` ``(count, T)``."""
    count, T = signals.shape
    beats = times.shape[1]
    size = AMPLITUDE * random.lognormal(0.0, 0.25, (count, WAVES))
    width = WIDTH * random.lognormal(0.0, 0.12, (count, WAVES))
    tall = random.random(count) < 0.25
    size[:, 4] = np.where(tall, random.uniform(0.7, 1.3, count), size[:, 4])
    width[:, 4] = np.where(tall, random.uniform(0.025, 0.045, count), width[:, 4])
    size[:, 0] = np.where(chaotic, 0.0, size[:, 0])
    # each beat's own: (count, beats, waves)
    amplitudes = size[:, None] * random.lognormal(0.0, 0.08, (count, beats, WAVES))
    breath = random.uniform(0, 0.3, (count, 1)) * np.sin(_waves(random, count, 0.15, 0.4, times))
    amplitudes *= (1 + breath)[..., None]
    widths = np.broadcast_to(width[:, None], amplitudes.shape).copy()
    stretch = np.sqrt(np.clip(intervals, 0.4, 1.5))[..., None]
    centres = CENTRE * np.where(np.isin(np.arange(WAVES), (0, 4)), stretch, 1.0)
    sign = np.where(random.random((count, 1)) < 0.5, -1.0, 1.0)  # a ventricle's beats look alike in one patient
    strange = random.lognormal(0.0, 0.15, (count, beats, WAVES))
    strange *= np.stack([0 * sign, 0 * sign, 1.1 * sign, -0.4 * sign, -0.4 * sign], axis=-1)
    amplitudes = np.where(wide[..., None], strange, amplitudes)
    widths = np.where(wide[..., None], np.array([0.02, 0.01, 0.035, 0.035, 0.06]), widths)
    centres = np.where(wide[..., None], np.array([-0.17, -0.03, 0.0, 0.09, 0.30]), centres)

    rows, columns = np.nonzero(present & (times > -LEAD) & (times < T / rate + LEAD))
    middle = times[rows, columns]
    before, behind = int(0.35 * rate), int(0.7 * rate)
    at = np.rint(middle * rate).astype(np.int64)[:, None] + np.arange(-before, behind)
    since = at / rate - middle[:, None]
    values = np.zeros_like(since)
    for wave in range(WAVES):
        centre, spread, height = (each[rows, columns, wave, None] for each in (centres, widths, amplitudes))
        values += height * np.exp(-np.square((since - centre) / spread) / 2)
    inside = (at >= 0) & (at < T)
    np.add.at(signals, (np.broadcast_to(rows[:, None], at.shape)[inside], at[inside]), values[inside])


def _baseline(random: np.random.Generator, count: int, T: int, rate: float) -> np.ndarray:
    """Slow wandering: breathing and drifting electrodes."""
    seconds = np.arange(T) / rate
    slow = random.uniform(0, 0.4, (count, 1)) * np.sin(_waves(random, count, 0.03, 0.1, seconds))
    return slow + random.uniform(0, 0.3, (count, 1)) * np.sin(_waves(random, count, 0.15, 0.4, seconds))


def _muscle(random: np.random.Generator, count: int, T: int, rate: float) -> np.ndarray:
    """White noise, little everywhere and much for a while in every second row."""
    strength = np.broadcast_to(random.uniform(0.01, 0.06, (count, 1)), (count, T)).copy()
    for row, piece in _moments(random, random.random(count) < 0.5, T, rate, 0.5, 3.0):
        strength[row, piece] += random.uniform(0.1, 0.35)
    return strength * random.standard_normal((count, T))


def _movement(random: np.random.Generator, count: int, T: int, rate: float) -> np.ndarray:
    """Swings of 1 to 10 Hz that come and go: as fast as the waves themselves."""
    result = np.zeros((count, T))
    for row, piece in _moments(random, random.random(count) < 0.4, T, rate, 0.5, 2.5):
        seconds = np.arange(T)[piece] / rate
        swings = np.sin(_waves(random, 4, 1.0, 10.0, seconds)).sum(0)
        result[row, piece] += random.uniform(0.2, 0.6) * np.hanning(len(seconds)) * swings
    return result


def _electrodes(random: np.random.Generator, count: int, T: int, rate: float) -> np.ndarray:
    """Contacts that give way: a jump, which dies away within a second."""
    result = np.zeros((count, T))
    for row, place in _places(random, count, T, rate, per_second=0.08):
        since = np.arange(T - place) / rate
        result[row, place:] += _either(random) * random.uniform(0.5, 2.0) * np.exp(-since / random.uniform(0.1, 0.6))
    return result


def _spikes(random: np.random.Generator, count: int, T: int, rate: float) -> np.ndarray:
    """Single bumps of one or two phases, as fast and tall as an R wave, but without the other waves."""
    result = np.zeros((count, T))
    for row, place in _places(random, count, T, rate, per_second=0.2):
        width = random.uniform(0.008, 0.03)
        z = (np.arange(T) - place) / rate / width
        bump = np.exp(-np.square(z) / 2) * (1.0 if random.random() < 0.5 else 1.6 * z)
        result[row] += _either(random) * random.uniform(0.5, 1.6) * bump
    return result


def _waves(random: np.random.Generator, rows: int, low: float, high: float, seconds: np.ndarray) -> np.ndarray:
    """Phases ``(rows, ...)`` of sines at random frequencies between ``low`` and ``high`` Hz."""
    return 2 * np.pi * (random.uniform(low, high, (rows, 1)) * seconds + random.random((rows, 1)))


def _moments(
    random: np.random.Generator, chosen: np.ndarray, T: int, rate: float, shortest: float, longest: float
) -> Iterator[tuple[int, slice]]:
    """For each chosen row, a piece of it that lasts ``shortest`` to ``longest`` seconds (or to its end)."""
    for row in np.flatnonzero(chosen):
        start = int(random.integers(T))
        yield int(row), slice(start, start + max(int(random.uniform(shortest, longest) * rate), 1))


def _places(
    random: np.random.Generator, count: int, T: int, rate: float, per_second: float
) -> Iterator[tuple[int, int]]:
    """Rows and steps, so many a second on the average."""
    for row, times in enumerate(random.poisson(per_second * T / rate, count)):
        for place in random.integers(0, T, times):
            yield row, int(place)


def _either(random: np.random.Generator) -> float:
    return 1.0 if random.random() < 0.5 else -1.0


@dataclass(frozen=True)
class ECG:
    """Signals like electrocardiograms in three parts, each of patients of its own: targets ``(count, steps)``, 1 at the
    R peaks; see ``ecg``.

    Args:
        steps: ``T``.
        rate: samples a second.
        noise: factor of all disturbances.
        train: rows to learn from.
        val: rows to validate on.
        test: rows for the end.
        seed: what decides all parts; each has a stream of its own.

    Raises:
        InputError: what ``ecg`` refuses, when the parts are made.
    """

    dataset = ArrayData

    steps: int = 1000
    rate: float = 100.0
    noise: float = 1.0
    train: int = 5_000
    val: int = 300
    test: int = 500
    seed: int = 0
    name = "ecg"

    @property
    def spec(self) -> DataSpec:
        """A yes or no at each step of one channel."""
        return DataSpec(task="detection", num_outputs=1, labels=("R peak",), num_features=1)

    @property
    def floor(self) -> dict[str, float]:
        """None in closed form: peak finders are measured on the parts."""
        return {}

    def digest(self) -> str:
        """Of the parameters and ``VERSION``: equal digests mean equal parts."""
        return digest_of(self, VERSION)

    def splits(self) -> dict[str, Part]:
        """``train``, ``val`` and ``test``."""
        _check(train=self.train, val=self.val, test=self.test, seed=self.seed)
        parts = {}
        for stream, (name, count) in enumerate((("train", self.train), ("val", self.val), ("test", self.test))):
            signals, peaks = ecg(self.steps, count, [self.seed, stream], self.rate, self.noise)
            parts[name] = Part(signals, np.full(count, self.steps), peaks)
        return parts


LEAST = {"rate": 50, "noise": 0, "seed": 0}


def _check(**sizes: float | Seed) -> None:
    for name, size in sizes.items():
        least = LEAST.get(name, 1)
        for each in [size] if isinstance(size, int | float) else size:
            if not least <= each < float("inf"):
                raise InputError(f"{name}={each} is out of range: give a number of at least {least}")
