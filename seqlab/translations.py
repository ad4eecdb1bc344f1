"""Sentences into another language: what a trained translation model makes of text that it is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from seqlab.models.translator import Translator
from seqlab.search import Hypothesis, Search, search
from seqlab.text.pairs import PairPipeline
from seqlab.types import DataSpec

ROWS = 64
"""Sentences that are translated at once."""


@dataclass(frozen=True)
class Translated:
    """One translation of a sentence.

    Attributes:
        source: the sentence.
        text: its translation; empty of an empty sentence.
        score: log probability of the tokens over the length penalty, see ``Search``.
        finished: whether the model ended it by itself; if not, it was cut off at ``Search``'s limit.
        source_words: the sentence's tokens, EOS among them.
        words: the translation's, EOS among them if finished.
        attention: ``(words, source words)``, where the model looked for each; None where nobody asked or it cannot.
    """

    source: str
    text: str
    score: float
    finished: bool
    source_words: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    attention: np.ndarray | None = None


def translate(
    model: Translator,
    pipeline: PairPipeline,
    spec: DataSpec,
    texts: Sequence[str],
    options: Search,
    attention: bool = False,
) -> list[list[Translated]]:
    """Translations of ``texts``, in their order, of each the ``options.nbest`` best first.

    Computed in float32, whatever the model was trained in: then a sentence's translation is the same alone and in any
    company. A sentence of white space alone has one translation, which is empty.

    Args:
        model: in evaluation.
        pipeline: the model's own.
        spec: of the model's data.
        texts: sentences.
        options: how translations are searched for.
        attention: whether to tell where the model looked.
    """
    found = [[Translated(text, "", 0.0, True)] for text in texts]
    rows = [row for row, text in enumerate(texts) if text.strip()]
    ids = pipeline.encode_sources(texts[row] for row in rows)
    order = np.argsort(-ids.lengths, kind="stable")
    for first in range(0, len(order), ROWS):
        some = order[first : first + ROWS]
        lengths = torch.from_numpy(ids.lengths[some])
        inputs = torch.full((len(some), int(lengths.max())), pipeline.pad_id)
        for place, row in enumerate(some):
            inputs[place, : lengths[place]] = torch.from_numpy(ids[row].astype(np.int64))
        answers = search(model, inputs, lengths, spec, options, attention)
        for row, hypotheses in zip(some, answers, strict=True):
            text, words = texts[rows[row]], tuple(pipeline.source_words(ids[row]))
            found[rows[row]] = [_translated(text, words, each, pipeline) for each in hypotheses]
    return found


def _translated(text: str, source_words: tuple[str, ...], found: Hypothesis, pipeline: PairPipeline) -> Translated:
    ids = [*found.ids, pipeline.eos_id] if found.finished else found.ids
    looked = None if found.attention is None else found.attention.numpy()
    words = tuple(pipeline.target_words(ids))
    return Translated(text, pipeline.decode(found.ids), found.score, found.finished, source_words, words, looked)
