"""NB-SVM on binarised 1-2-grams of token ids (Wang and Manning, ACL 2012), without a string for any n-gram."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from seqlab.types import Ragged, Split

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

ALPHA = 1.0
"""Added to every n-gram's count in the log-count ratio; the paper's value."""
BETA = 0.5
"""Share of the learned weights against their mean magnitude: chosen on held-out *training* reviews of IMDB."""
C = 1.0
"""Inverse strength of the L2 penalty; accuracy there is flat from 0.3 to 10."""
MIN_DOCUMENTS = 2
"""An n-gram of a single training row says nothing about another row."""

# Rows handled at once: bounds what exists beside the arrays that must exist as a whole.
BLOCK = 2048


def nb_svm(train: Split, test: Split, num_classes: int) -> np.ndarray:
    """Predicted class of every test row, ``(rows,)`` int64.

    The log-count ratio ``r = log(p / |p|) - log(q / |q|)`` of a class against the rest scales binary n-gram features; a
    linear model is fitted to them and its weights interpolated, ``w' = (1 - BETA) mean|w| + BETA w`` (the paper's
    equations 1 and 5). The linear model is logistic rather than the paper's squared hinge: as accurate here, and it
    works in float32 on the matrix itself, where liblinear copies everything to float64. More than two classes are
    taken one against the rest; a class without training rows is never predicted.
    """
    base = 1 + int(max(train.tokens.values.max(initial=0), test.tokens.values.max(initial=0)))
    features = vocabulary(train.tokens, base)
    present = np.unique(train.targets)
    if len(present) < 2 or not len(features):
        return np.full(len(test), np.bincount(train.targets).argmax())

    scores_of = present[1:] if len(present) == 2 else present
    weights, bias = _fit(matrix(train.tokens, features, base), train.targets, scores_of)
    scores = np.concatenate([matrix(rows, features, base) @ weights + bias for rows in blocks(test.tokens)])
    if len(present) == 2:
        return present[(scores[:, 0] > 0).astype(np.int64)]
    return present[scores.argmax(axis=1)]


def blocks(tokens: Ragged) -> Iterator[Ragged]:
    """All rows in order, at most ``BLOCK`` at a time; at least one block, which may be empty."""
    for start in range(0, max(len(tokens), 1), BLOCK):
        offsets = tokens.offsets[start : start + BLOCK + 1]
        yield Ragged(tokens.values[offsets[0] : offsets[-1]], offsets - offsets[0])


def vocabulary(tokens: Ragged, base: int) -> np.ndarray:
    """Sorted keys of the 1-2-grams that occur in at least ``MIN_DOCUMENTS`` rows, int64.

    With ``base`` above every id, the key of the unigram ``a`` is ``a (base + 1)`` and that of the bigram ``a b`` is
    ``a (base + 1) + b + 1``.
    """
    # Two keys a token is the most there can be; pages that stay untouched cost nothing.
    keys, count = np.empty(2 * len(tokens.values), np.int64), 0
    for row in range(len(tokens)):
        found = _row_keys(tokens[row], base)
        keys[count : count + len(found)] = found
        count += len(found)
    keys = keys[:count]
    keys.sort()
    # Keys are distinct within a row, so a run of equal keys is as long as the n-gram has rows: keep each run's first
    # key if the run goes on long enough.
    start = np.ones(len(keys), bool)
    np.not_equal(keys[1:], keys[:-1], out=start[1:])
    ahead = MIN_DOCUMENTS - 1
    start[len(keys) - ahead :] = False
    start[: len(keys) - ahead] &= keys[ahead:] == keys[: len(keys) - ahead]
    return keys[start]


def matrix(tokens: Ragged, features: np.ndarray, base: int) -> csr_matrix:
    """Which of ``features`` occur in which row: binary CSR ``(rows, features)``, float32 with int32 indices."""
    from scipy.sparse import csr_matrix

    columns, counts = [], [np.zeros(1, np.int64)]
    for block in blocks(tokens):
        rows = [_row_keys(block[row], base) for row in range(len(block))]
        keys = np.concatenate([np.empty(0, np.int64), *rows])
        at = np.searchsorted(features, keys).astype(np.int32)
        known = at < len(features)
        known[known] = features[at[known]] == keys[known]
        columns.append(at[known])
        row_ends = np.cumsum([0, *map(len, rows)])
        counts.append(np.diff(np.append(0, np.cumsum(known))[row_ends]))
    indices = np.concatenate(columns)
    indptr = np.cumsum(np.concatenate(counts)).astype(np.int32)
    return csr_matrix((np.ones(len(indices), np.float32), indices, indptr), shape=(len(tokens), len(features)))


def _row_keys(ids: np.ndarray, base: int) -> np.ndarray:
    """The distinct keys of one row, sorted."""
    first = ids.astype(np.int64) * (base + 1)
    return np.unique(np.concatenate([first, first[:-1] + ids[1:] + 1]))


def _fit(features: csr_matrix, targets: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights ``(features, classes)`` and bias ``(classes,)`` of each class against the rest. Rescales ``features``."""
    from sklearn.linear_model import LogisticRegression

    weights, bias = np.empty((features.shape[1], len(classes)), np.float32), np.empty(len(classes), np.float32)
    ratios = np.stack([_log_count_ratio(features, targets == label) for label in classes])
    for column, (label, ratio) in enumerate(zip(classes, ratios, strict=True)):
        np.take(ratio, features.indices, out=features.data)
        model = LogisticRegression(C=C, max_iter=300).fit(features, targets == label)
        learned = model.coef_[0]
        weights[:, column] = ratio * ((1 - BETA) * np.abs(learned).mean() + BETA * learned)
        bias[column] = model.intercept_[0]
    return weights, bias


def _log_count_ratio(features: csr_matrix, positive: np.ndarray) -> np.ndarray:
    inside = ALPHA + features.T @ positive.astype(np.float32)
    outside = ALPHA + features.T @ (~positive).astype(np.float32)
    return np.log(inside / inside.sum(dtype=np.float64) * (outside.sum(dtype=np.float64) / outside)).astype(np.float32)
