"""The honest floor of translation: the source as it is, and word for word by a lexicon learned from the training part.

The lexicon is IBM model 1 (Brown, Della Pietra, Della Pietra and Mercer, Computational Linguistics 19(2), 1993, section
4.1), learned by expectation maximisation without loops over words: each word of a target sentence beside each word of
its source sentence is one cell of a flat array, and the cells of the same two words share one probability.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqlab.baselines.kept import kept
from seqlab.types import Ragged

log = logging.getLogger(__name__)

FORMAT = 1
"""Version of the methods behind the cached numbers; raise it when they change."""
METHODS = ("copy_source", "word_by_word")
ITERATIONS = 10
"""Of expectation maximisation: 26.4 BLEU on Multi30k's validation part, German to English, after five, 26.8 after ten,
27.0 after twenty."""
MOST_WORDS = 200
"""A sentence that is longer teaches nothing: who says which of its words belong together?"""
MOST_CELLS = 10_000_000
"""Cells that the lexicon is learned from: its time and its memory (some 60 bytes each) grow with them."""
NULL = 0
"""Number of the empty word, which stands in every source sentence and has said what no other word has."""
CLEARLY = 1.2
"""How many times as well the empty word must say what a word says best, for the word to say nothing: with a word of
nearly every sentence, an article, it shares what that says about equally."""

_WORDS = re.compile(r"\w+(?:['’\-.]\w+)*|[^\w\s]")
_SPACED = re.compile(r" +([.,!?;:)\]}%])|([(\[{]) +")


def floor(
    train: tuple[Sequence[str], Sequence[str]],
    test: tuple[Sequence[str], Sequence[str]],
    score: Callable[[Sequence[str], Sequence[str]], float],
    *,
    name: str,
    cache_dir: Path | None = None,
    digest: str = "",
) -> dict[str, float]:
    """What ``copy_source`` and ``word_by_word`` score on ``test``.

    Args:
        train: sentences as they are written, ``(sources, targets)``.
        test: likewise; its targets are what answers are held against, and nothing is tuned on them.
        score: of ``(answers, references)``, 0 or more, the higher the better.
        name: of that score; the answer is kept under it.
        cache_dir: where the answer is kept, if at all.
        digest: stands for everything that decides both parts (files, languages, split).
    """
    assert digest or cache_dir is None

    def compute() -> dict[str, float]:
        sources, references = test
        return {
            "copy_source": score(sources, references),
            "word_by_word": score(Lexicon.learn(*train).translate(sources), references),
        }

    path = None if cache_dir is None else cache_dir / f"words-{name}-{digest[:32]}.json"
    return kept(path, compute, digest=digest, version=FORMAT, methods=METHODS)


@dataclass(frozen=True)
class Lexicon:
    """Words with their translations.

    Attributes:
        words: of each source word, in lower case, the likeliest translation as it is mostly written inside a sentence;
            ``""`` where it has none.
    """

    words: dict[str, str]

    @classmethod
    def learn(cls, sources: Sequence[str], targets: Sequence[str]) -> Lexicon:
        """From pairs of sentences as they are written.

        A word has no translation of its own if the empty word says ``CLEARLY`` better what it says best: it is one that
        the other language does without. Punctuation explains punctuation here, but is not translated: of what stands in
        every sentence nobody can tell what it says.
        """
        source_rows, source_words = _number([_split(text) for text in sources], "")
        target_rows, target_words = _number([_split(text) for text in targets])
        table = ibm1(*_teachable(source_rows, target_rows))
        usual = _usual_case(targets)
        by_null = np.zeros(len(target_words))
        unaligned = table.sources == NULL
        by_null[table.targets[unaligned]] = table.probabilities[unaligned]
        # The last cell of each source word in this order is its likeliest; of equally likely ones that met first.
        order = np.lexsort((-table.targets, table.probabilities, table.sources))
        best = order[np.diff(table.sources[order], append=-1) != 0]
        words = {}
        for source, target, probability in zip(
            table.sources[best].tolist(), table.targets[best].tolist(), table.probabilities[best].tolist(), strict=True
        ):
            word, said = source_words[source], target_words[target]
            if word[:1].isalnum():
                words[word] = usual.get(said, said) if probability * CLEARLY >= by_null[target] else ""
        return cls(words)

    def translate(self, sources: Sequence[str]) -> list[str]:
        """Each word by its own translation, in the order of the source; words never met stay as they are.

        Spaces before punctuation go, and a sentence that begins with a capital letter begins with one.
        """
        return [self._translate(text) for text in sources]

    def _translate(self, text: str) -> str:
        said = " ".join(filter(None, (self.words.get(word.lower(), word) for word in _WORDS.findall(text))))
        said = _SPACED.sub(r"\1\2", said)
        return said[:1].upper() + said[1:] if text[:1].isupper() else said


@dataclass(frozen=True)
class Table:
    """What ``ibm1`` learned, the ``K`` pairs of words that share a pair of sentences.

    Attributes:
        sources: ``(K,)`` numbers of source words, ascending.
        targets: ``(K,)`` numbers of target words, ascending within a source word.
        probabilities: ``(K,)`` float64: how likely the source word, if it says anything, says the target word.
        log_likelihood: ``(iterations,)`` of the target sentences given their sources and lengths, in nats, before each
            iteration; it never falls.
    """

    sources: np.ndarray
    targets: np.ndarray
    probabilities: np.ndarray
    log_likelihood: np.ndarray


def ibm1(sources: Ragged, targets: Ragged, iterations: int = ITERATIONS) -> Table:
    """Expectation maximisation of IBM model 1, from equal probabilities on.

    A target word ``y_j`` of a sentence whose source is ``x_1 ... x_S`` has probability ``sum_i t(y_j | x_i) / S``: each
    source word, the empty one among them, is as likely to have said it. An iteration shares each target word out among
    the words of its source in proportion to ``t`` (equation 17), and takes for the new ``t(y | x)`` what ``x`` got of
    all ``y``, divided by what it got of everything.

    Args:
        sources: one row a sentence, of at least one word (the empty word is a word like the others here).
        targets: as many rows; they may be empty.
        iterations: how many.
    """
    assert len(sources) == len(targets)
    widths = np.repeat(sources.lengths, targets.lengths)  # of each target word, the words of its source
    assert (widths > 0).all()
    ends = np.cumsum(widths)
    begins = ends - widths
    cells = int(ends[-1]) if len(ends) else 0
    V = 1 + int(targets.values.max(initial=0))
    # Cell c of target word j is the source word as far from the sentence's first as c is from the word's first cell.
    place = np.arange(cells) + np.repeat(np.repeat(sources.offsets[:-1], targets.lengths) - begins, widths)
    keys = sources.values[place] * np.int64(V) + np.repeat(targets.values, widths)
    del place
    kinds, kind = np.unique(keys, return_inverse=True)
    del keys
    kind = kind.reshape(-1).astype(np.int32)
    of_source = kinds // V

    t = np.full(len(kinds), 1 / V)
    history = np.empty(iterations)
    for i in range(iterations):
        share = t[kind]
        total = np.add.reduceat(share, begins) if cells else np.empty(0)
        history[i] = np.log(total / widths).sum()
        share /= np.repeat(total, widths)
        got = np.bincount(kind, share, len(kinds))
        t = got / np.bincount(of_source, got)[of_source]
    return Table(of_source, kinds % V, t, history)


def _teachable(sources: Ragged, targets: Ragged) -> tuple[Ragged, Ragged]:
    """The pairs to learn from: not too long, and the first of them if there are too many; the log says so."""
    S, U = sources.lengths, targets.lengths
    fits = (S <= MOST_WORDS + 1) & (U <= MOST_WORDS)
    cells = np.where(fits, S * U, 0)
    learned = fits & (np.cumsum(cells) <= MOST_CELLS)
    if not learned.all():
        log.warning(
            "the word-by-word floor learns from %d of %d pairs: of the others %d are longer than %d words, %d too many",
            *(learned.sum(), len(learned), (~fits).sum(), MOST_WORDS, (fits & ~learned).sum()),
        )
    return _rows(sources, learned), _rows(targets, learned)


def _rows(ragged: Ragged, chosen: np.ndarray) -> Ragged:
    values = ragged.values[np.repeat(chosen, ragged.lengths)]
    return Ragged(values, np.append(0, np.cumsum(ragged.lengths[chosen])))


def _split(text: str) -> list[str]:
    return _WORDS.findall(text.lower())


def _usual_case(texts: Sequence[str]) -> dict[str, str]:
    """How each word, in lower case, is mostly written where no sentence begins with it."""
    forms = Counter(word for text in texts for word in _WORDS.findall(text)[1:])
    # Of equally frequent forms the last one stays, and that is the one met first.
    return {form.lower(): form for form, _ in reversed(forms.most_common())}


def _number(rows: Sequence[Sequence[str]], first: str | None = None) -> tuple[Ragged, list[str]]:
    """Words as numbers in the order in which they are met, ``first``, number 0, before each row; and the words."""
    known: dict[str, int] = {} if first is None else {first: NULL}
    before = [] if first is None else [NULL]
    numbers = [before + [known.setdefault(word, len(known)) for word in row] for row in rows]
    lengths = np.array([len(row) for row in numbers], np.int64)
    values = np.fromiter((number for row in numbers for number in row), np.int32, int(lengths.sum()))
    return Ragged(values, np.append(0, np.cumsum(lengths))), list(known)
