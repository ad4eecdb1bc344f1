"""The honest floor of language modelling: interpolated Kneser-Ney n-gram models (Chen and Goodman, TR-10-98, 1998).

An n-gram here is a number, never a string or a tuple: the n-grams of one order are numbered ``0, 1, ...`` in the order
of their keys, ``key(a_1 ... a_n) = number(a_1 ... a_{n-1}) V + a_n``, so that each order takes one sort, and those that
share a context lie side by side. One order at a time is counted, asked about the test text and forgotten.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqlab.baselines.kept import kept
from seqlab.types import Tokens

log = logging.getLogger(__name__)

FORMAT = 1
"""Version of the methods behind the cached numbers; raise it when they change."""
METHODS = ("unigram", "kneser_ney")
MOST_TRAIN = 5_000_000
"""Tokens that the floor learns from: its time and its memory grow with them."""
MOST_TEST = 2_000_000
"""Tokens that the floor is scored on."""


def floor(
    train: Tokens, test: Tokens, vocab_size: int, *, order: int, cache_dir: Path | None = None, digest: str = ""
) -> dict[str, float]:
    """Mean nats of ``unigram`` and ``kneser_ney`` over every token of ``test`` but the first.

    The n-gram model is of at most ``order`` tokens, the predicted one included. How many exactly is chosen on the last
    tenth of ``train`` by models of the rest of it, never on ``test``; the chosen order is then learned from all of
    ``train``. Of a longer ``train`` the last ``MOST_TRAIN`` tokens, nearest to ``test``, are read, and of a longer
    ``test`` the first ``MOST_TEST`` are asked for; the log says so. ``unigram`` is the same model of order 1.

    With ``cache_dir`` the answer is kept there under ``digest``, which must stand for everything that decides both
    parts (files, tokenizer, vocabulary, split), and under ``order``.
    """
    assert digest or cache_dir is None

    def compute() -> dict[str, float]:
        known, asked = _last(train, MOST_TRAIN), _first(test, MOST_TEST)
        if len(known) < len(train):
            log.warning("the n-gram floor learns from the last %d of %d training tokens", len(known), len(train))
        if len(asked) < len(test):
            log.warning("the n-gram floor is scored on the first %d of %d tokens", len(asked), len(test))
        nats = by_order(known, asked, vocab_size, best_order(known, vocab_size, order))
        log.info("floor: Kneser-Ney n-grams of order %d, chosen on the end of the training part", len(nats))
        return {"unigram": float(nats[0]), "kneser_ney": float(nats[-1])}

    path = None if cache_dir is None else cache_dir / f"ngrams-{order}-{digest[:32]}.json"
    return kept(path, compute, digest=digest, version=FORMAT, methods=METHODS)


def best_order(train: Tokens, vocab_size: int, order: int) -> int:
    """Which of the orders ``1 ... order``, learned from nine tenths of ``train``, says the last tenth best."""
    cut = len(train) * 9 // 10
    if not cut or len(train) - cut < 2:  # nothing to choose by
        return order
    return 1 + int(by_order(_first(train, cut), _last(train, len(train) - cut), vocab_size, order).argmin())


def kneser_ney(train: Tokens, test: Tokens, vocab_size: int, order: int) -> float:
    """Mean nats of every token of ``test`` but the first under the model of ``order`` (see ``by_order``)."""
    return float(by_order(train, test, vocab_size, order)[-1])


def by_order(train: Tokens, test: Tokens, vocab_size: int, order: int) -> np.ndarray:
    """``(order,)`` mean nats of every token of ``test`` but the first, under the models of orders ``1 ... order``.

    A token is predicted from up to ``order - 1`` tokens before it, and from none before the last reset
    (``Tokens.resets``): it sees what a model sees whose state is reset there. The model of order ``n`` is

        p_k(w | h) = (c_k(h w) - D_k(c_k(h w))) / c_k(h) + g_k(h) p_{k-1}(w | h'),   c_k(h) = sum_w c_k(h w),

    for ``k = n ... 1``, where ``h`` has ``k - 1`` tokens and ``h'`` lacks the first of them, ``p_0 = 1 / vocab_size``,
    and ``g_k(h) = sum_w D_k(c_k(h w)) / c_k(h)`` gives away what the discounts took: every distribution sums to one,
    and no token is impossible. Where ``c_k(h) = 0``, ``p_k = p_{k-1}``. ``c_n`` counts occurrences. Below the highest
    order, ``c_k`` counts the different tokens met before the k-gram and, as nothing longer explains them, those of its
    occurrences that have nothing before them. So the models of all orders share everything below their own highest,
    and one pass scores them all.

    Needs some 80 bytes for each token of ``train`` and ``test``; the ids must lie below ``vocab_size``.
    """
    assert order >= 1
    assert len(train)
    assert len(test) > 1
    assert max(train.ids.max(), test.ids.max()) < vocab_size
    known, asked = _Text(train, order), _Text(test, order)
    lower = np.full(len(test), 1 / vocab_size)  # p_{k-1} of each token of the test text
    nats, level = np.empty(order), None
    for k in range(1, order + 1):
        longer = _Level.of(known, asked, k, vocab_size)
        if level is not None:  # how the level below counts is known only now
            different = np.bincount(longer.suffixes, minlength=len(level.occurrences))
            lower = level.predict(level.begun + different, lower)
        level = longer
        nats[k - 1] = -np.log(level.predict(level.occurrences, lower)[1:]).mean()
    return nats


class _Text:
    """A text as the n-grams of one order after the other, as far as their numbers are known.

    Attributes:
        ids: ``(N,)`` int32, its tokens.
        histories: ``(N + 1,)`` how many tokens may predict each, at most ``order - 1``; -1 of what lies behind the end.
        ends: ``(M,)`` int32, where n-grams end.
        numbers: ``(M,)`` int32, the number of each, ascending.
        different: how many numbers there are.
    """

    def __init__(self, tokens: Tokens, order: int) -> None:
        N = len(tokens)
        self.ids = tokens.ids.astype(np.int32, copy=False)
        begin = np.zeros(N, np.int32)
        resets = tokens.resets[tokens.resets < N - 1]
        begin[resets + 1] = resets
        np.maximum.accumulate(begin, out=begin)
        self.histories = np.append(np.minimum(np.arange(N, dtype=np.int32) - begin, order - 1), np.int32(-1))
        # The empty n-gram, number 0, ends before every token.
        self.ends, self.numbers, self.different = np.arange(-1, N - 1, dtype=np.int32), np.zeros(N, np.int32), 1

    def longer(self, k: int, vocab_size: int) -> tuple[np.ndarray, np.ndarray]:
        """Where the k-grams end that go on from these n-grams, and their keys, int64, ascending."""
        ends = self.ends + 1
        fits = self.histories[ends] >= k - 1
        ends = ends[fits]
        keys = self.numbers[fits] * np.int64(vocab_size) + self.ids[ends]
        # Sorted by context already; a sort that makes use of that is several times as fast at high orders.
        by_key = np.argsort(keys, kind="stable")
        return ends[by_key], keys[by_key]


@dataclass(frozen=True)
class _Level:
    """The ``G`` different k-grams of the training text, and where the test text asks for a k-gram of known context.

    Attributes:
        parents: how many different n-grams of ``k - 1`` tokens there are.
        contexts: ``(G,)`` the number of each one's first ``k - 1`` tokens, ascending.
        suffixes: ``(G,)`` the number of its last ``k - 1`` tokens.
        occurrences: ``(G,)`` how often it occurs.
        begun: ``(G,)`` how often with nothing before it.
        asked: ``(A,)`` the ends of the test text's k-grams.
        asked_contexts: ``(A,)`` the numbers of their contexts.
        asked_grams: ``(A,)`` their own numbers, -1 where training never saw them.
    """

    parents: int
    contexts: np.ndarray
    suffixes: np.ndarray
    occurrences: np.ndarray
    begun: np.ndarray
    asked: np.ndarray
    asked_contexts: np.ndarray
    asked_grams: np.ndarray

    @classmethod
    def of(cls, known: _Text, asked: _Text, k: int, vocab_size: int) -> _Level:
        """Number the k-grams, once those one token shorter are numbered."""
        parents, below = known.different, np.empty(len(known.ids), np.int32)
        below[known.ends] = known.numbers
        known.ends, keys = known.longer(k, vocab_size)
        first = np.ones(len(keys), bool)
        np.not_equal(keys[1:], keys[:-1], out=first[1:])
        at = np.flatnonzero(first)
        occurrences, keys = np.diff(at, append=len(keys)), keys[at]
        known.numbers, known.different = np.cumsum(first, dtype=np.int32) - 1, len(at)
        begun = np.bincount(known.numbers[known.histories[known.ends] == k - 1], minlength=len(at))

        asked.ends, asked_keys = asked.longer(k, vocab_size)
        asked.numbers = _find(asked_keys, keys)
        level = cls(
            parents=parents,
            contexts=keys // vocab_size,
            suffixes=below[known.ends[at]],
            occurrences=occurrences,
            begun=begun,
            asked=asked.ends,
            asked_contexts=asked_keys // vocab_size,
            asked_grams=asked.numbers,
        )
        seen = asked.numbers >= 0
        asked.ends, asked.numbers = asked.ends[seen], asked.numbers[seen]
        return level

    def predict(self, counts: np.ndarray, lower: np.ndarray) -> np.ndarray:
        """``(N,)`` p_k of every token of the test text, by ``counts`` ``(G,)``, at least 1, and p_{k-1} ``(N,)``."""
        discounts = _discounts(counts)[np.minimum(counts, 3)]
        totals = np.bincount(self.contexts, counts, self.parents)
        given = np.bincount(self.contexts, discounts, self.parents)

        total = totals[self.asked_contexts]  # 0 of a context that nothing followed
        asked = np.where(total > 0, given[self.asked_contexts] / np.maximum(total, 1), 1) * lower[self.asked]
        seen = self.asked_grams >= 0
        grams = self.asked_grams[seen]
        asked[seen] += (counts[grams] - discounts[grams]) / total[seen]
        result = lower.copy()
        result[self.asked] = asked
        return result


def _find(keys: np.ndarray, known: np.ndarray) -> np.ndarray:
    """``(A,)`` int32: where each of ``keys`` stands in the sorted ``known``; -1 where it does not."""
    at = np.searchsorted(known, keys)
    found = at < len(known)
    found[found] = known[at[found]] == keys[found]
    return np.where(found, at, -1).astype(np.int32)


def _discounts(counts: np.ndarray) -> np.ndarray:
    """``(4,)``: what n-grams that count 0, 1, 2, and 3 or more give away (Chen and Goodman's equation 26).

    Where too few different counts exist for an estimate between nothing and all, half the count (at most 1.5) is.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6).astype(np.float64)
    result = np.array([0.0, 0.5, 1.0, 1.5])
    Y = n[1] / max(n[1] + 2 * n[2], 1)
    for i in (1, 2, 3):
        if n[i] and 0 < (estimate := i - (i + 1) * Y * n[i + 1] / n[i]) < i:
            result[i] = estimate
    return result


def _first(tokens: Tokens, count: int) -> Tokens:
    return Tokens(tokens.ids[:count], tokens.starts[tokens.starts < count])


def _last(tokens: Tokens, count: int) -> Tokens:
    """The last ``count`` tokens, the first of which begins a document whatever it was."""
    cut = max(len(tokens) - count, 0)
    return Tokens(tokens.ids[cut:], np.append(0, tokens.starts[tokens.starts > cut] - cut))
