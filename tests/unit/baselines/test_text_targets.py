"""Floors of numbers and of several labels, against scikit-learn and closed forms."""

import numpy as np
import pytest

from seqlab.baselines.text_targets import label_floor, number_floor
from seqlab.types import Ragged, Split


def split(rows, targets, dtype=np.float32):
    values = np.array([token for row in rows for token in row], np.int32)
    offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return Split(Ragged(values, offsets), np.array(targets, dtype))


def test_mean_and_ridge_are_scikit_learns_in_the_units_of_the_data(tmp_path):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    rng = np.random.default_rng(0)
    rows = [rng.integers(2, 12, rng.integers(1, 9)).tolist() for _ in range(60)]
    numbers = np.array([sum(row) for row in rows], np.float64)
    mean, deviation = numbers[:40].mean(), numbers[:40].std()
    scaled = ((numbers - mean) / deviation)[:, None]
    train, test = split(rows[:40], scaled[:40]), split(rows[40:], scaled[40:])
    found = number_floor(train, test, (mean, deviation))
    words = TfidfVectorizer(analyzer=lambda row: [str(token) for token in row], sublinear_tf=True)
    said = make_pipeline(words, Ridge()).fit(rows[:40], numbers[:40]).predict(rows[40:])
    assert found["mean"] == pytest.approx(np.sqrt(np.square(numbers[40:] - mean).mean()), rel=1e-4)
    assert found["ridge"] == pytest.approx(np.sqrt(np.square(numbers[40:] - said).mean()), rel=1e-3)
    assert found["ridge"] < found["mean"]
    kept = number_floor(train, test, (mean, deviation), cache_dir=tmp_path, digest="val-1")
    assert kept == number_floor(train, test, (0.0, 1.0), cache_dir=tmp_path, digest="val-1") == found
    assert kept != number_floor(train, train, (mean, deviation), cache_dir=tmp_path, digest="test-1")


def test_labels_are_told_each_for_itself():
    """Token 2 means the first label, token 3 the second; token 4 means nothing, and the third label is everywhere."""
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    flags = rng.integers(0, 2, (80, 2))
    rows = [[2] * a + [3] * b + [4] for a, b in flags]
    targets = np.column_stack([flags, np.ones(80)])
    train, test = split(rows[:60], targets[:60]), split(rows[60:], targets[60:])
    found = label_floor(train, test)
    often = (targets[:60].mean(axis=0) > 0.5).astype(int)
    assert found["naive_bayes"] == found["nb_svm"] == 1.0
    assert found["majority"] == pytest.approx(f1_score(targets[60:], np.tile(often, (20, 1)), average="micro"))
