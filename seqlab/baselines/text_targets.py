"""The honest floors of texts that have a number, or several labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqlab.baselines.kept import kept
from seqlab.baselines.ngrams import nb_svm
from seqlab.baselines.text import naive_bayes
from seqlab.types import Ragged, Split

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

FORMAT = 1
"""Version of the methods behind the cached numbers; raise it when they change."""
ALPHA = 1.0
"""Penalty of the ridge: the library's own."""


def number_floor(
    train: Split, test: Split, scale: tuple[float, float], *, cache_dir: Path | None = None, digest: str = ""
) -> dict[str, float]:
    """Root mean squared errors, in the units of the data, of the training part's ``mean`` and of a ``ridge``.

    The ridge regression reads a bag of words: TF-IDF with logarithmic counts, rows of length 1.

    Args:
        train: targets ``(N, 1)``, standardised.
        test: likewise; nothing is tuned on it.
        scale: mean and deviation of the training part.
        cache_dir: where the answer is kept, if at all.
        digest: stands for everything that decides both splits.
    """
    assert digest or cache_dir is None

    def compute() -> dict[str, float]:
        from sklearn.feature_extraction.text import TfidfTransformer
        from sklearn.linear_model import Ridge

        right, known = test.targets[:, 0].astype(np.float64), train.targets[:, 0].astype(np.float64)
        V = 1 + int(max(train.tokens.values.max(initial=0), test.tokens.values.max(initial=0)))
        weigh = TfidfTransformer(sublinear_tf=True)
        words = weigh.fit_transform(_counts(train.tokens, V))
        ridge = Ridge(alpha=ALPHA, solver="sparse_cg").fit(words, known)
        said = {
            "mean": np.full(len(right), known.mean()),
            "ridge": ridge.predict(weigh.transform(_counts(test.tokens, V))),
        }
        return {name: float(np.sqrt(np.square(each - right).mean()) * scale[1]) for name, each in said.items()}

    path = None if cache_dir is None else cache_dir / f"numbers-{digest[:32]}.json"
    return kept(path, compute, digest=digest, version=FORMAT, methods=("mean", "ridge"))


def label_floor(train: Split, test: Split, *, cache_dir: Path | None = None, digest: str = "") -> dict[str, float]:
    """Micro F1 of ``majority`` (the labels of more than half of the texts, or else the most frequent one),
    ``naive_bayes`` and ``nb_svm``, each label for itself.

    Args:
        train: targets ``(N, K)`` of 0 and 1.
        test: likewise.
        cache_dir: where the answer is kept, if at all.
        digest: stands for everything that decides both splits.
    """
    assert digest or cache_dir is None

    def compute() -> dict[str, float]:
        right, shares = test.targets > 0, train.targets.mean(axis=0)
        often = shares > 0.5 if (shares > 0.5).any() else shares == shares.max()
        said = {"majority": np.broadcast_to(often, right.shape)}
        for name, method in (("naive_bayes", naive_bayes), ("nb_svm", nb_svm)):
            columns = [method(_of(train, k), _of(test, k), 2) > 0 for k in range(right.shape[1])]
            said[name] = np.stack(columns, axis=1)
        return {name: float(2 * (each & right).sum() / max(each.sum() + right.sum(), 1)) for name, each in said.items()}

    path = None if cache_dir is None else cache_dir / f"labels-{digest[:32]}.json"
    methods = ("majority", "naive_bayes", "nb_svm")
    return kept(path, compute, digest=digest, version=FORMAT, methods=methods, at_most=1.0)


def _of(split: Split, label: int) -> Split:
    """Whether a text has a label, as two classes."""
    return Split(split.tokens, (split.targets[:, label] > 0).astype(np.int64))


def _counts(tokens: Ragged, V: int) -> csr_matrix:
    """How often each token occurs in each row, ``(rows, V)``."""
    from scipy.sparse import csr_matrix

    parts = np.ones(len(tokens.values)), tokens.values, tokens.offsets
    found = csr_matrix(parts, shape=(len(tokens), V), copy=True)  # what is sorted in place must not be the data
    found.sum_duplicates()
    return found
