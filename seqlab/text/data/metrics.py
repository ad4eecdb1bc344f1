"""BLEU: ``torchtext.data.metrics``."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import torch

from seqlab.text.data.utils import ngrams_iterator


def bleu_score(
    candidate_corpus: Sequence[Sequence[str]],
    references_corpus: Sequence[Sequence[Sequence[str]]],
    max_n: int = 4,
    weights: Sequence[float] = [0.25, 0.25, 0.25, 0.25],
) -> float:
    """Corpus BLEU in [0, 1] of tokenized candidates, each against one or more references (Papineni et al. 2002).

    Nothing is smoothed: one order of n-gram without a match makes the score 0. Of two references equally near in
    length the first counts. An n-gram's order is read from its words joined by spaces, so no token may hold a space.

    Raises:
        AssertionError: ``weights`` and ``max_n``, or the two corpora, differ in length.
        ValueError: a candidate has no reference.
    """
    if max_n != len(weights):
        raise AssertionError(f"weights has {len(weights)} entries, max_n is {max_n}: give one weight for each order.")
    if len(candidate_corpus) != len(references_corpus):
        raise AssertionError(f"{len(candidate_corpus)} candidates and {len(references_corpus)} lists of references.")
    if max_n < 1:
        raise AssertionError(f"max_n is {max_n}, and must be at least 1.")
    matched = [0.0] * max_n
    total = [0.0] * max_n
    candidate_len = reference_len = 0
    for candidate, references in zip(candidate_corpus, references_corpus, strict=True):
        size = len(candidate)
        candidate_len += size
        reference_len += min((len(reference) for reference in references), key=lambda length: abs(size - length))
        allowed: Counter[tuple[str, ...]] = Counter()
        for reference in references:
            allowed |= _ngrams(reference, max_n)
        for ngram, count in (_ngrams(candidate, max_n) & allowed).items():
            matched[len(ngram) - 1] += count
        for n in range(max_n):
            total[n] += max(size - n, 0)
    if min(matched) == 0:
        return 0.0
    precision = torch.tensor(matched) / torch.tensor(total)
    score = (torch.tensor(weights) * precision.log()).sum().exp().item()
    return math.exp(min(0.0, 1 - reference_len / candidate_len)) * score


def _ngrams(tokens: Sequence[str], max_n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(ngram.split(" ")) for ngram in ngrams_iterator(tokens, max_n))
