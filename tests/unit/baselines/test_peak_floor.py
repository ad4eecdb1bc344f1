"""The floor of finding heartbeats, in signals made by hand; and that the part measured chooses nothing."""

import json

import numpy as np
import pytest

from seqlab.baselines import peaks as floors
from seqlab.baselines.peaks import Band, Level, Signals, by_pan_tompkins, by_threshold, curves, floor


def score(found, peaks):
    """F1 with a tolerance of 2 steps, for reports that are far apart."""
    hits = sum(int(np.isin(f, np.add.outer(np.flatnonzero(p), np.arange(-2, 3))).sum())
               for f, p in zip(found, peaks, strict=True))  # fmt: skip
    return 2 * hits / max(sum(map(len, found)) + int(peaks.sum()), 1)


def hearts(rows: int, seed: int, noise: float = 0.02) -> Signals:
    """Narrow spikes some 80 steps apart, each with a broad bump behind it that is as tall; one row in two reversed."""
    random = np.random.default_rng(seed)
    t, values, peaks = np.arange(800), noise * random.standard_normal((rows, 800)), np.zeros((rows, 800), np.int64)
    for row in range(rows):
        places = 40 + np.cumsum(random.integers(70, 90, 8))
        for place in places:
            values[row] += np.exp(-((t - place) ** 2) / 2 / 1.5**2) + np.exp(-((t - place - 30) ** 2) / 2 / 7**2)
        values[row] *= 1 if row % 2 else -1
        peaks[row, places] = 1
    return Signals(values, peaks)


def test_slopes_tell_spikes_from_bumps_as_tall_and_a_threshold_does_not():
    some = hearts(10, 0)
    found = by_pan_tompkins(curves(some.values, 100.0, 20, Band(10.0, 30.0, 0.08, 2.0)), 100.0, 0.25)
    assert score(found, some.peaks) > 0.98
    assert score(by_threshold(some.values, 100.0, 20, Level(0.5, True)), some.peaks) < 0.9


def test_a_faint_beat_is_looked_for_after_a_long_silence():
    some = hearts(1, 3, noise=0.001)
    steps = np.flatnonzero(some.peaks[0])
    t = np.arange(800)
    faint = np.zeros(800)
    for place in steps:
        faint += (0.45 if place == steps[5] else 1.0) * np.exp(-((t - place) ** 2) / 2 / 1.5**2)
    rows = curves(faint[None], 100.0, 20, Band(5.0, 25.0, 0.08, 2.0))
    energy = sorted(zip(rows[0].heights, rows[0].places.tolist(), strict=True))
    below = next(height for height, place in energy if abs(place - steps[5]) <= 2)
    share = 1.4 * below / energy[-1][0]  # the faint one is below the threshold, and above its half
    (found,) = by_pan_tompkins(rows, 100.0, share)
    assert np.abs(found - steps).max() <= 1


def test_silence_has_no_peaks():
    silent = np.zeros((2, 400))
    assert [len(f) for f in by_pan_tompkins(curves(silent, 100.0, 20, floors.BANDS[0]), 100.0, 0.25)] == [0, 0]


@pytest.fixture
def one_band(monkeypatch):
    monkeypatch.setattr(floors, "BANDS", [Band(10.0, 30.0, 0.08, 2.0), Band(5.0, 15.0, 0.15, 1.0)])


def test_settings_are_chosen_on_training_rows_alone(one_band):
    train, part = hearts(12, 1), hearts(6, 2)
    asked = []

    def watched(found, peaks):
        asked.append(peaks is part.peaks)
        return score(found, peaks)

    result = floor(train, part, rate=100.0, distance=20, score=watched)
    assert list(result) == ["threshold", "pan_tompkins"]
    assert result["pan_tompkins"] > max(result["threshold"], 0.97)
    assert sum(asked) == 2  # once each, at the end
    assert asked[-2:] == [True, True]


def test_the_answer_is_kept(one_band, tmp_path):
    train, part = hearts(4, 1), hearts(4, 2)

    def measure(digest, score=score):
        return floor(train, part, rate=100.0, distance=20, score=score, cache_dir=tmp_path, digest=digest)

    def never(found, peaks):
        raise AssertionError("computed again")

    first = measure("test-5-abc")
    assert measure("test-5-abc", never) == first
    (path,) = tmp_path.iterdir()
    path.write_text(json.dumps({"format": floors.FORMAT, "digest": "test-5-abc", "floor": {"threshold": 2}}))
    assert measure("test-5-abc") == first
