"""The honest floor of finding heartbeats: a threshold, and the detector of Pan and Tompkins 1985.

Both read whole rows, forwards and backwards, however a model reads. Their settings are those of a grid that do best on
training rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqlab.baselines.kept import kept

FORMAT = 1
"""Version of the cached file and of the methods behind its numbers; raise it when either changes."""
METHODS = ("threshold", "pan_tompkins")
ROWS = 200
"""Training rows on which settings are chosen."""

Score = Callable[[Sequence[np.ndarray], np.ndarray], float]
"""How good reports are: for each row the steps reported, ascending, against ``(N, T)`` ones at the true peaks."""


class Signals(NamedTuple):
    """Rows of a signal, ``(N, T)``, and ``(N, T)`` ones at its peaks."""

    values: np.ndarray
    peaks: np.ndarray


def floor(
    train: Signals,
    part: Signals,
    *,
    rate: float,
    distance: int,
    score: Score,
    cache_dir: Path | None = None,
    digest: str = "",
) -> dict[str, float]:
    """The scores, between 0 and 1, of ``threshold`` and ``pan_tompkins`` on ``part``.

    Args:
        train: rows of which the first ``ROWS`` choose the settings; ``part`` chooses nothing.
        part: the rows to be measured on.
        rate: samples a second.
        distance: least steps between two reports, as the model has it.
        score: the model's own measure.
        cache_dir: where the answer is kept under ``digest``; a damaged one is computed anew, never believed.
        digest: stands for everything that decides both parts and the measure.
    """
    assert digest or cache_dir is None

    def compute() -> dict[str, float]:
        some = Signals(train.values[:ROWS], train.peaks[:ROWS])
        level = choose_threshold(some, rate, distance, score)
        band, share = choose_pan_tompkins(some, rate, distance, score)
        rows = curves(part.values, rate, distance, band)
        return {
            "threshold": score(by_threshold(part.values, rate, distance, level), part.peaks),
            "pan_tompkins": score(by_pan_tompkins(rows, rate, share), part.peaks),
        }

    path = None if cache_dir is None else cache_dir / f"floor-{digest[:40]}.json"
    return kept(path, compute, digest=digest, version=FORMAT, methods=METHODS, at_most=1.0)


class Level(NamedTuple):
    """Settings of ``by_threshold``.

    Attributes:
        share: of the row's large values (its 99th percentile), how much a peak must have.
        both: whether peaks may point down.
    """

    share: float
    both: bool


LEVELS = [Level(share, both) for share, both in product((0.2, 0.3, 0.4, 0.5, 0.6, 0.7), (False, True))]


def choose_threshold(some: Signals, rate: float, distance: int, score: Score) -> Level:
    """Of ``LEVELS`` the one that does best on ``some``."""
    return max(LEVELS, key=lambda level: score(by_threshold(some.values, rate, distance, level), some.peaks))


def by_threshold(signals: np.ndarray, rate: float, distance: int, level: Level) -> list[np.ndarray]:
    """Local maxima of the height over a running mean, steps ``(n,)`` for each row of ``signals`` ``(N, T)``."""
    height = signals - _mean(signals, 0.6 * rate)
    height = np.abs(height) if level.both else height
    least = level.share * np.quantile(height, 0.99, axis=1)
    return [_maxima(row, distance, limit) for row, limit in zip(height, least, strict=True)]


class Band(NamedTuple):
    """Settings of ``curves``.

    Attributes:
        low: in Hz, what is below is filtered out.
        high: in Hz, what is above too.
        window: seconds over which steepness is averaged.
        power: of the steepness; the original squares it.
    """

    low: float
    high: float
    window: float
    power: float


BANDS = [
    Band(low, high, window, power)
    for (low, high), window, power in product(
        ((5.0, 15.0), (5.0, 25.0), (10.0, 30.0), (10.0, 40.0), (15.0, 40.0)), (0.03, 0.05, 0.08, 0.15), (1.0, 2.0)
    )
]
SHARES = (0.1, 0.175, 0.25, 0.35, 0.5, 0.65)
"""Where, between the heights of noise and of signal, a heartbeat begins; 0.25 in the original."""


class Curves(NamedTuple):
    """What Pan and Tompkins' decisions are made of, for each row.

    Attributes:
        steps: ``(n,)`` int64: candidates, the local maxima of the energy.
        places: ``(n,)`` int64: where, near a candidate, the filtered signal is largest: what is reported for it.
        heights: ``n`` numbers: their energy.
        slopes: ``n`` numbers: the steepest of the filtered signal near them.
        noise: the median of the energy.
    """

    steps: np.ndarray
    places: np.ndarray
    heights: list[float]
    slopes: list[float]
    noise: float


def choose_pan_tompkins(some: Signals, rate: float, distance: int, score: Score) -> tuple[Band, float]:
    """Of ``BANDS`` and ``SHARES`` those that do best on ``some``."""
    best, settings = -1.0, (BANDS[0], SHARES[0])
    for band in BANDS:
        rows = curves(some.values, rate, distance, band)
        for share in SHARES:
            if (found := score(by_pan_tompkins(rows, rate, share), some.peaks)) > best:
                best, settings = found, (band, share)
    return settings


def curves(signals: np.ndarray, rate: float, distance: int, band: Band) -> list[Curves]:
    """Filter ``signals`` ``(N, T)``, and see where their steepness, averaged, is largest."""
    from scipy.signal import butter, sosfiltfilt

    T = signals.shape[1]
    sections = butter(2, (band.low, min(band.high, 0.45 * rate)), btype="bandpass", fs=rate, output="sos")
    passed = sosfiltfilt(sections, signals.astype(np.float64), axis=1, padlen=min(round(rate), T - 1))
    steep = np.abs(np.gradient(passed, axis=1))
    energy = _mean(steep**band.power, band.window * rate)
    reach = max(round(band.window * rate / 2), 1)
    around = np.arange(-reach, reach + 1)
    result = []
    for row in range(len(signals)):
        steps = _maxima(energy[row], distance, 0.0)
        near = np.clip(steps[:, None] + around, 0, T - 1)
        places = near[np.arange(len(steps)), np.abs(passed[row])[near].argmax(1)]
        heights, slopes = energy[row, steps].tolist(), steep[row][near].max(1).tolist()
        result.append(Curves(steps, places, heights, slopes, float(np.median(energy[row]))))
    return result


def by_pan_tompkins(rows: Sequence[Curves], rate: float, share: float) -> list[np.ndarray]:
    """Steps ``(n,)`` of the heartbeats of each row, as Pan and Tompkins 1985 decide.

    Running estimates of the height of signal and noise, ``S`` and ``N``, move by 1/8 with each candidate; a heartbeat
    is above ``N + share * (S - N)``. One that follows within 0.36 s and is less than half as steep is a T wave. Where
    none comes for 1.66 mean intervals, the highest candidate above half the threshold is taken after all, and moves
    ``S`` by 1/4.
    """
    return [np.unique(row.places[_beats(row, rate, share)]) for row in rows]


def _beats(row: Curves, rate: float, share: float) -> list[int]:
    """Which of a row's candidates are heartbeats."""
    steps, heights, noise = row.steps.tolist(), row.heights, row.noise
    if not steps:
        return []
    # The original learns the first heights from two seconds; here they are the row's, at about a beat a second.
    usual_count = max(round((steps[-1] - steps[0]) / rate), 1)
    signal = float(np.median(np.sort(heights)[-usual_count:]))
    beats: list[int] = []
    for i, (step, height) in enumerate(zip(steps, heights, strict=True)):
        least = noise + share * (signal - noise)
        if len(beats) > 2 and i > beats[-1] + 1:
            recent = beats[-9:]
            usual = (steps[recent[-1]] - steps[recent[0]]) / (len(recent) - 1)
            if step - steps[beats[-1]] > 1.66 * usual:
                missed = max(range(beats[-1] + 1, i), key=heights.__getitem__)
                if heights[missed] > least / 2:
                    beats.append(missed)
                    signal += (heights[missed] - signal) / 4
        soon = bool(beats) and step - steps[beats[-1]] < 0.36 * rate
        if height > least and not (soon and row.slopes[i] < row.slopes[beats[-1]] / 2):
            beats.append(i)
            signal += (height - signal) / 8
        else:
            noise += (height - noise) / 8
    return beats


def _mean(values: np.ndarray, width: float) -> np.ndarray:
    """Running mean over ``width`` steps of each row, its ends repeated."""
    from scipy.ndimage import uniform_filter1d

    return uniform_filter1d(values.astype(np.float64), max(round(width), 1), axis=1, mode="nearest")


def _maxima(curve: np.ndarray, distance: int, least: float) -> np.ndarray:
    """Local maxima of ``curve`` ``(T,)`` of at least ``least``; of those nearer than ``distance`` steps the higher."""
    from scipy.signal import find_peaks

    return find_peaks(curve, height=least, distance=distance)[0].astype(np.int64)
