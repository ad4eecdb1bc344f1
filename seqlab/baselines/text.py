"""The honest floor of text classification: what answers without reading a word, and what counts words well."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seqlab.baselines.kept import kept
from seqlab.baselines.ngrams import blocks, nb_svm
from seqlab.types import Ragged, Split

FORMAT = 1
"""Version of the cached file and of the methods behind its numbers; raise it when either changes."""
METHODS = ("majority", "naive_bayes", "nb_svm")


def floor(
    train: Split, test: Split, num_classes: int, *, cache_dir: Path | None = None, digest: str = ""
) -> dict[str, float]:
    """Accuracies, between 0 and 1, of ``majority``, ``naive_bayes`` and ``nb_svm`` on ``test``, any part but ``train``.

    They learn from the same training part as the model, and read whole rows however much the model truncates. Their
    settings are fixed; nothing is tuned on ``test``. The splits may come from another tokenizer than the model's.

    With ``cache_dir`` the answer is kept there under ``digest``, which must stand for everything that decides both
    splits (files, tokenizer, vocabulary, split). A damaged file is computed anew, never believed.
    """
    assert len(train)
    assert len(test)
    assert digest or cache_dir is None

    def compute() -> dict[str, float]:
        predictions = {
            "majority": np.full(len(test), np.bincount(train.targets, minlength=num_classes).argmax()),
            "naive_bayes": naive_bayes(train, test, num_classes),
            "nb_svm": nb_svm(train, test, num_classes),
        }
        return {method: float((predictions[method] == test.targets).mean()) for method in METHODS}

    path = None if cache_dir is None else cache_dir / f"floor-{digest[:32]}.json"
    return kept(path, compute, digest=digest, version=FORMAT, methods=METHODS, at_most=1.0)


def naive_bayes(train: Split, test: Split, num_classes: int) -> np.ndarray:
    """Predicted class of every test row, ``(rows,)`` int64, by multinomial naive Bayes on token counts.

    ``argmax_c log p(c) + sum_t log p(t | c)`` with ``p(t | c) = (n_tc + 1) / (n_c + K)`` over the ``K`` distinct tokens
    of the training rows; other tokens carry no evidence. A class without training rows is never predicted.
    """
    V = 1 + int(max(train.tokens.values.max(initial=0), test.tokens.values.max(initial=0)))
    token_counts = np.zeros((num_classes, V))
    done = 0
    for rows in blocks(train.tokens):
        classes = np.repeat(train.targets[done : done + len(rows)], rows.lengths)
        token_counts += np.bincount(classes * V + rows.values, minlength=num_classes * V).reshape(num_classes, V)
        done += len(rows)
    seen = token_counts.sum(axis=0) > 0
    likelihood = (token_counts + 1) / (token_counts.sum(axis=1, keepdims=True) + max(seen.sum(), 1))
    with np.errstate(divide="ignore"):  # log 0 = -inf is the prior of a class without rows
        prior = np.log(np.bincount(train.targets, minlength=num_classes) / len(train))

    evidence = np.where(seen, np.log(likelihood), 0)
    return np.concatenate([(prior + _row_sums(evidence, rows)).argmax(axis=1) for rows in blocks(test.tokens)])


def _row_sums(evidence: np.ndarray, rows: Ragged) -> np.ndarray:
    """``(rows, classes)``: the evidence ``(classes, V)`` of each row's tokens, added up."""
    running = np.zeros((len(rows.values) + 1, len(evidence)))
    np.cumsum(evidence.T[rows.values], axis=0, out=running[1:])
    return np.diff(running[rows.offsets], axis=0)
