"""The generated heartbeats: a function of the seed, peaks where the signal says, rhythms that a heart can have."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.data.ecg import ECG, SHORTEST, ecg
from seqlab.types import InputError

SMALL = {"steps": 300, "train": 12, "val": 6, "test": 5}


@settings(max_examples=20, deadline=None)
@given(
    steps=st.integers(1, 700), count=st.integers(1, 5), seed=st.integers(0, 99), rate=st.sampled_from([50, 100, 250.0])
)
def test_a_seed_decides_everything_and_shapes_are_as_said(steps, count, seed, rate):
    signals, peaks = ecg(steps, count, seed, rate)
    assert (signals.shape, signals.dtype) == ((count, steps, 1), np.float32)
    assert (peaks.shape, peaks.dtype) == ((count, steps), np.int64)
    assert np.isfinite(signals).all()
    assert np.isin(peaks, (0, 1)).all()
    for row in peaks:
        assert (np.diff(np.flatnonzero(row)) >= SHORTEST * rate - 1).all()
    again = ecg(steps, count, seed, rate)
    np.testing.assert_array_equal(signals, again[0])
    np.testing.assert_array_equal(peaks, again[1])
    assert not np.array_equal(signals, ecg(steps, count, seed + 1, rate)[0])


def test_without_disturbances_the_signal_is_extreme_at_its_peaks():
    signals, peaks = ecg(1000, 100, 0, noise=0.0)
    extreme = 0
    rows, steps = np.nonzero(peaks)
    for row, step in zip(rows, steps, strict=True):
        near = np.abs(signals[row, max(step - 8, 0) : step + 9, 0])
        extreme += near.max() == abs(signals[row, step, 0])
    assert extreme / len(rows) > 0.97  # all but those on another beat's T wave, or right between two samples


def test_hearts_beat_50_to_120_times_a_minute_on_the_whole():
    _, peaks = ecg(1000, 500, 1)
    beats = 6 * peaks.sum(1)
    assert 70 < beats.mean() < 95
    assert 40 < np.quantile(beats, 0.05) < np.quantile(beats, 0.95) < 140


def test_noise_is_added_to_the_same_hearts():
    (clean, peaks), (noisy, same) = ecg(500, 8, 3, noise=0.0), ecg(500, 8, 3, noise=1.0)
    np.testing.assert_array_equal(peaks, same)
    assert np.square(noisy - clean).mean() > 0.005
    np.testing.assert_allclose(ecg(500, 8, 3, noise=2.0)[0] - clean, 2 * (noisy - clean), atol=1e-5)


def test_many_rows_are_made_in_blocks():
    signals, peaks = ecg(20, 600, 0)
    assert (len(signals), len(peaks)) == (600, 600)
    assert len(np.unique(signals[:, :, 0], axis=0)) == 600


def test_parts_have_the_sizes_asked_for_and_patients_of_their_own():
    source = ECG(**SMALL)
    parts = source.splits()
    assert {name: part.inputs.shape for name, part in parts.items()} == {
        "train": (12, 300, 1), "val": (6, 300, 1), "test": (5, 300, 1)
    }  # fmt: skip
    assert all((part.lengths == 300).all() and part.targets.shape == (len(part), 300) for part in parts.values())
    rows = np.concatenate([part.inputs[:, :, 0] for part in parts.values()])
    assert len(np.unique(rows, axis=0)) == 23
    for name, part in source.splits().items():
        np.testing.assert_array_equal(part.inputs, parts[name].inputs)
        np.testing.assert_array_equal(part.targets, parts[name].targets)


def test_what_the_data_knows():
    spec = ECG().spec
    assert (spec.task, spec.num_outputs, spec.num_features, spec.vocab_size) == ("detection", 1, 1, 0)


def test_the_digest_is_of_the_parameters():
    assert ECG().digest() == ECG().digest()
    others = [ECG(steps=999), ECG(rate=200.0), ECG(noise=0.5), ECG(train=1), ECG(val=1), ECG(test=1), ECG(seed=1)]
    assert len({source.digest() for source in [ECG(), *others]}) == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps=0"),
        ({"train": 0}, "train=0"),
        ({"rate": 10.0}, "rate=10.0 is out of range: give a number of at least 50"),
        ({"noise": -1.0}, "noise=-1.0"),
        ({"noise": float("nan")}, "noise=nan"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        ECG(**SMALL | options).splits()
