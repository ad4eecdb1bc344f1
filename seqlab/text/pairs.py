"""Sentences and their translations to ids and back: a text pipeline for either side, or one for both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from seqlab.text.pipeline import TextPipeline, load_pipeline
from seqlab.types import InputError, Ragged

START, EOS = "<START>", "<EOS>"
_BLANK = "▁"  # what a blank is written as where a token stands alone, as in SentencePiece


class PairPipeline:
    """Two tokenizers with their vocabularies, or one for both sides; two ids more mark where a sentence begins, ends.

    The ids of either side are its pipeline's own, ``<unk>`` 0 and ``<pad>`` 1 first; behind them stand START
    (``V - 2``) and EOS (``V - 1``), on both sides alike. A source becomes ``tokens EOS``, a target
    ``START tokens EOS``. What a text itself writes as "<EOS>" is text, and never one of the two.

    Args:
        source: pipeline of the sentences to translate, not fitted yet.
        target: likewise of their translations; None: ``source`` learns one vocabulary from both sides.

    Attributes:
        source: see above, and ``target`` likewise; of a shared vocabulary both are one.
        shared: whether one vocabulary serves both sides.
        tokens: the source side's vocabulary, id to token.
        target_tokens: the target side's.
    """

    pad_id = 1
    unk_id = 0
    characters: np.ndarray | None = None  # two vocabularies have no one answer to what each token stands for

    def __init__(self, source: TextPipeline, target: TextPipeline | None = None) -> None:
        assert target is not source, "leave target away to share one vocabulary"
        self.source, self.target = source, source if target is None else target
        self.shared = target is None
        for side in (self.source, self.target):
            assert (side.unk_id, side.pad_id) == (self.unk_id, self.pad_id), "both sides agree on <unk> and <pad>"
        self.tokens: list[str] = []
        self.target_tokens: list[str] = []
        self._number()

    @property
    def start_id(self) -> int:
        """What stands before each target, in the target side's vocabulary."""
        return len(self.target_tokens) - 2

    @property
    def eos_id(self) -> int:
        """What ends each target, in the target side's vocabulary."""
        return len(self.target_tokens) - 1

    @property
    def source_eos_id(self) -> int:
        """What ends each source, in the source side's vocabulary."""
        return len(self.tokens) - 1

    def fit_encode(self, sources: Sequence[str], targets: Sequence[str]) -> tuple[Ragged, Ragged]:
        """Learn the vocabularies, or the shared one, from these pairs and encode them.

        Raises:
            InputError: no token is left for a vocabulary.
        """
        if self.shared:
            both = self.source.fit_encode([*sources, *targets])
            found = _rows(both, 0, len(sources)), _rows(both, len(sources), len(both))
        else:
            found = _fit_side("source", self.source, sources), _fit_side("target", self.target, targets)
        self._number()
        return _framed(found[0], None, self.source_eos_id), _framed(found[1], self.start_id, self.eos_id)

    def encode_sources(self, texts: Iterable[str]) -> Ragged:
        """Ids of sentences to translate, each row ending in EOS."""
        return _framed(self.source.encode(texts), None, self.source_eos_id)

    def encode_targets(self, texts: Iterable[str]) -> Ragged:
        """Ids of translations, each row from START to EOS."""
        return _framed(self.target.encode(texts), self.start_id, self.eos_id)

    def decode(self, ids: Iterable[int]) -> str:
        """The text that target ids stand for, without START, EOS and padding."""
        return self.target.decode(id for id in map(int, ids) if id < self.start_id)

    def source_words(self, ids: Iterable[int]) -> list[str]:
        """Each source token by itself, readable, EOS too, padding not: what an axis is labelled with."""
        return _words(self.tokens, ids, self.pad_id)

    def target_words(self, ids: Iterable[int]) -> list[str]:
        """Each target token by itself, likewise."""
        return _words(self.target_tokens, ids, self.pad_id)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments: what a cache key digests."""
        return {"source": self.source.config(), "target": None if self.shared else self.target.config()}

    def state_dict(self) -> dict[str, Any]:
        """Both sides, as plain data."""
        target = None if self.shared else self.target.state_dict()
        return {"kind": "pair", "source": self.source.state_dict(), "target": target}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> PairPipeline:
        """The pipeline that ``state_dict`` described."""
        target = None if state["target"] is None else load_pipeline(state["target"])
        return cls(load_pipeline(state["source"]), target)

    def _number(self) -> None:
        """Put START and EOS behind what the sides have learned; nothing where they have not."""
        if self.source.tokens and self.target.tokens:
            self.tokens = [*self.source.tokens, START, EOS]
            self.target_tokens = self.tokens if self.shared else [*self.target.tokens, START, EOS]


def _fit_side(name: str, pipeline: TextPipeline, texts: Sequence[str]) -> Ragged:
    try:
        return pipeline.fit_encode(texts)
    except InputError as error:
        raise InputError(f"The {name} side: {error}") from error


def _rows(ragged: Ragged, first: int, end: int) -> Ragged:
    """Rows ``first`` to ``end`` of many."""
    offsets = ragged.offsets[first : end + 1]
    return Ragged(ragged.values[offsets[0] : offsets[-1]], offsets - offsets[0])


def _framed(ragged: Ragged, before: int | None, behind: int) -> Ragged:
    """The same rows with one id before each, if any, and one behind each."""
    rows, added = np.arange(len(ragged) + 1), 1 if before is None else 2
    offsets = ragged.offsets + added * rows
    values = np.empty(int(offsets[-1]), np.int32)
    inner = np.ones(len(values), dtype=bool)
    for places, id in ((offsets[:-1], before), (offsets[1:] - 1, behind)):
        if id is not None:
            values[places] = id
            inner[places] = False
    values[inner] = ragged.values
    return Ragged(values, offsets)


def _words(tokens: Sequence[str], ids: Iterable[int], pad_id: int) -> list[str]:
    return [tokens[id].replace(" ", _BLANK) or "∅" for id in map(int, ids) if id != pad_id]
