"""How good written sentences are beside reference sentences: BLEU, chrF, exact match; of all and by source length.

BLEU (Papineni et al. 2002) and chrF (Popović 2015) are sacreBLEU's own (Post 2018), on text as a person reads it, one
reference a sentence, and each is told with its signature.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

from seqlab.errors import InputError

Tokenize = Literal["13a", "zh", "ja-mecab", "char", "intl"]
"""sacreBLEU's names for how BLEU splits sentences into words."""

LENGTHS = (5, 10, 15, 20, 25, 30, 40, 50, 75, 100)
"""The longest source sentence of each bucket, in tokens; a last bucket holds those that are longer. Always the same, so
that runs compare."""


class LengthScores(NamedTuple):
    """The scores of the sentences of one bucket.

    Attributes:
        bucket: which source lengths it holds, in tokens: ``6-10``, ``101+``.
        sentences: how many there are.
        bleu_lower: as of the whole, 0 to 100. Sentences that are all shorter than four words have a BLEU of 0.
        chrf: 0 to 100.
        exact: 0 to 1.
    """

    bucket: str
    sentences: int
    bleu_lower: float
    chrf: float
    exact: float


class TranslationScores:
    """Adds up one pass over sentences, and scores them together: none of these scores is a mean over sentences.

    Args:
        tokenize: how BLEU splits sentences into words.

    Attributes:
        sources: what was to be translated, in the order of ``add``.
        said: what was written.
        references: what would have been right.
        lengths: tokens of each source.
    """

    def __init__(self, tokenize: Tokenize = "13a") -> None:
        self.tokenize = tokenize
        self.sources: list[str] = []
        self.said: list[str] = []
        self.references: list[str] = []
        self.lengths: list[int] = []

    def add(
        self, sources: Sequence[str], said: Sequence[str], references: Sequence[str], lengths: Sequence[int]
    ) -> None:
        """Count some sentences, detokenised and cased as they are to be read; what was said may be empty."""
        assert len(sources) == len(said) == len(references) == len(lengths)
        self.sources += sources
        self.said += said
        self.references += references
        self.lengths += lengths

    def compute(self) -> dict[str, float]:
        """The scores of all sentences: there must be at least one.

        ``bleu``: sacreBLEU's, cased; with ``13a`` its own default. ``bleu_lower``: the same of lower-cased text,
        which is BLEU on lower-cased tokens as papers have it. ``chrf``: chrF2. All from 0 to 100. ``exact``: the share
        of sentences that are the reference letter by letter, from 0 to 1.
        """
        names = ("bleu", "bleu_lower", "chrf", "exact")
        return {name: score(name, self.said, self.references, self.tokenize) for name in names}

    @property
    def by_length(self) -> list[LengthScores]:
        """Scores by source length, for every bucket of ``LENGTHS`` that holds a sentence, the shortest first."""
        rows: dict[int, list[int]] = {}
        for row, length in enumerate(self.lengths):
            rows.setdefault(bisect_left(LENGTHS, length), []).append(row)
        result = []
        for bucket in sorted(rows):
            said = [self.said[row] for row in rows[bucket]]
            references = [self.references[row] for row in rows[bucket]]
            scores = (score(name, said, references, self.tokenize) for name in ("bleu_lower", "chrf", "exact"))
            result.append(LengthScores(_name(bucket), len(said), *scores))
        return result

    @property
    def signatures(self) -> dict[str, str]:
        """What sacreBLEU says about each of its scores, by name: case, tokens, smoothing, version."""
        return {name: str(metric.get_signature()) for name, metric in _metrics(self.tokenize).items()}


def score(name: str, said: Sequence[str], references: Sequence[str], tokenize: Tokenize = "13a") -> float:
    """One of the scores of ``TranslationScores.compute``, by name, of at least one sentence."""
    assert said
    assert len(said) == len(references)
    if name == "exact":
        return sum(map(str.__eq__, said, references)) / len(said)
    return float(_metrics(tokenize)[name].corpus_score(said, [references]).score)


def check_tokenize(tokenize: Tokenize) -> None:
    """Refuse a way to split sentences that needs packages which are not installed.

    Raises:
        InputError: ``ja-mecab`` without MeCab.
    """
    if tokenize == "ja-mecab" and (find_spec("MeCab") is None or find_spec("ipadic") is None):
        raise InputError(
            "task.bleu_tokenize=ja-mecab needs MeCab: pip install 'sacrebleu[ja]', or set task.bleu_tokenize=char."
        )


@cache
def _metrics(tokenize: Tokenize) -> dict[str, Any]:
    """sacreBLEU's metrics by our names. They keep no sentences, but BLEU what they were split into: 2^16 of them.

    That is why there is one of each for all passes: references come again at every validation. ``force`` silences
    advice about input that ends in " ."; a person's data may well be written so.
    """
    from sacrebleu.metrics import BLEU, CHRF  # slow to import

    metrics = {
        "bleu": BLEU(tokenize=tokenize, force=True),
        "bleu_lower": BLEU(tokenize=tokenize, lowercase=True, force=True),
        "chrf": CHRF(),
    }
    for metric in metrics.values():  # a signature tells the number of references, known from the first score on
        metric.corpus_score(["a"], [["a"]])
    return metrics


def _name(bucket: int) -> str:
    first = LENGTHS[bucket - 1] + 1 if bucket else 0
    return f"{first}-{LENGTHS[bucket]}" if bucket < len(LENGTHS) else f"{first}+"
