"""Parallel text, ready to train on: read pairs, hold a validation part out, learn the vocabularies, encode, cache."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, overload

import numpy as np

from seqlab.data import cache
from seqlab.data.options import check_counts, check_fraction
from seqlab.data.pair_batching import PairLoader
from seqlab.data.same import different_text
from seqlab.data.splitting import crossings, crossings_said
from seqlab.data.unknown import much_unknown
from seqlab.protocols import LoadContext
from seqlab.text.pairs import PairPipeline
from seqlab.text.pipeline import load_pipeline
from seqlab.types import DataSpec, InputError, Loader, Pairs, Ragged

log = logging.getLogger(__name__)

_PARTS = {"train": "training", "val": "validation", "test": "test"}

Sentences = tuple[list[str], list[str]]
"""Sources and their targets, row by row."""


@dataclass(frozen=True)
class RawPairs:
    """What a source reads: sentences with their translations, part by part.

    Attributes:
        train: the part to learn from.
        test: the part that is touched once, at the end.
        val: the source's own validation part, where it has one; otherwise one is held out of ``train``.
    """

    train: Sentences
    test: Sentences
    val: Sentences | None = None


class Source(Protocol):
    """Names raw pairs of texts; anything with these three is one."""

    name: str

    def digest(self) -> str:
        """A digest of the files and of the options they are read with; cheap, for it is asked at every start."""
        ...

    def read(self) -> RawPairs:
        """All parts, in an order that is the same at every reading."""
        ...


class Texts(Sequence[str]):
    """Many texts in one array of UTF-8 bytes, maybe memory-mapped; each is decoded when it is asked for.

    Args:
        encoded: one row a text, of type uint8.
    """

    def __init__(self, encoded: Ragged) -> None:
        self._encoded = encoded

    @classmethod
    def of(cls, texts: Sequence[str]) -> Texts:
        """These texts."""
        rows = [text.encode("utf-8", "surrogatepass") for text in texts]
        offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        return cls(Ragged(np.frombuffer(b"".join(rows), np.uint8), offsets))

    @property
    def encoded(self) -> Ragged:
        """The bytes."""
        return self._encoded

    def __len__(self) -> int:
        return len(self._encoded)

    @overload
    def __getitem__(self, row: int) -> str: ...

    @overload
    def __getitem__(self, row: slice) -> list[str]: ...

    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self[each] for each in range(*row.indices(len(self)))]
        # Iteration ends by this error: what lies beyond an array's end would be an empty slice.
        if not -len(self) <= row < len(self):
            raise IndexError(f"there is no text {row} of {len(self)}")
        return self._encoded[row % len(self)].tobytes().decode("utf-8", "surrogatepass")


@dataclass(frozen=True)
class PairOptions:
    """How pairs are split and batched.

    Attributes:
        shared: whether both sides share one vocabulary.
        val_fraction: share of train that validates; unused where the source brings its own part.
        batch_size: pairs in a batch.
        max_batch_tokens: instead: as many pairs as keep the padded tokens of the longer side within this.
        max_length: pairs of which a side is longer are left out of training; None for never.
        round_to: both sides are padded to a multiple of this many tokens.
    """

    shared: bool = False
    val_fraction: float = 0.1
    batch_size: int = 64
    max_batch_tokens: int | None = None
    max_length: int | None = None
    round_to: int = 1

    def __post_init__(self) -> None:
        check_fraction(val_fraction=self.val_fraction)
        check_counts(
            batch_size=self.batch_size,
            max_batch_tokens=self.max_batch_tokens,
            max_length=self.max_length,
            round_to=self.round_to,
        )


@dataclass(frozen=True)
class ParallelText:
    """Three encoded parts and what encoded them: a ``Dataset``.

    Attributes:
        train: without ``texts``, for a batch to learn from needs none.
        pipeline: fitted on ``train`` alone.
        digest: sha256 of the contents (ids, texts, pipeline), wherever the files lie and whoever read them.
        train_texts: sources and targets of ``train`` as they were written, for methods that count words.
    """

    Options: ClassVar[type[PairOptions]] = PairOptions
    known_baselines: ClassVar[Mapping[str, float]] = {}
    gives: ClassVar[tuple[str, ...]] = ("translation",)

    name: str
    train: Pairs
    val: Pairs
    test: Pairs
    pipeline: PairPipeline
    digest: str
    train_texts: tuple[Sequence[str], Sequence[str]]

    @property
    def spec(self) -> DataSpec:
        """The sizes that the model takes from the data."""
        return DataSpec(
            task="translation",
            num_outputs=len(self.pipeline.target_tokens),
            labels=(),
            vocab_size=len(self.pipeline.tokens),
            pad_id=self.pipeline.pad_id,
            start_id=self.pipeline.start_id,
            eos_id=self.pipeline.eos_id,
            shared=self.pipeline.shared,
        )

    @classmethod
    def placeholder(cls, options: PairOptions, task: str, make_source: Callable[[], Any]) -> DataSpec:
        """Four tokens on each side."""
        return DataSpec(task, 4, (), 4, pad_id=1, start_id=2, eos_id=3, shared=options.shared)

    @classmethod
    def load(cls, source: Source, options: PairOptions, context: LoadContext) -> ParallelText:
        """Read, split and encode, see ``load_pairs``; say what is unknown."""
        pipeline = PairPipeline(context.make_tokenizer(), None if options.shared else context.make_tokenizer())
        data = load_pairs(
            source, pipeline, val_fraction=options.val_fraction, seed=context.seed, cache_dir=context.cache_dir
        )
        parts = {"validation": data.val.sources.values, "test": data.test.sources.values}
        if sentence := much_unknown(data.name, parts, data.pipeline.source):
            log.warning(sentence)
        return data

    def part(self, split: str) -> Pairs:
        """``train``, ``val`` or ``test``."""
        return {"train": self.train, "val": self.val, "test": self.test}[split]

    @staticmethod
    def batches(part: Pairs, options: PairOptions, spec: DataSpec, *, train: bool, seed: int) -> Loader:
        """Pairs of like lengths together."""
        return PairLoader(
            part,
            pad_id=spec.pad_id,
            batch_size=options.batch_size,
            max_batch_tokens=options.max_batch_tokens,
            max_length=options.max_length,
            round_to=options.round_to,
            seed=seed,
            shuffle=train,
        )

    @staticmethod
    def encode(inputs: Sequence[str], spec: DataSpec, pipeline: PairPipeline) -> Pairs:
        """Source sentences, each beside an empty target."""
        texts = list(inputs)
        return Pairs(
            pipeline.encode_sources(texts), pipeline.encode_targets([""] * len(texts)), (texts, [""] * len(texts))
        )

    def artifacts(self) -> dict[str, Any]:
        """Nothing besides the pipeline."""
        return {}

    def difference(self, saved: Mapping[str, Any]) -> str:
        """In the vocabularies, or in the sentences."""
        return different_text(saved, self.digest, self.pipeline)


def load_pairs(
    source: Source, pipeline: PairPipeline, *, val_fraction: float, seed: int, cache_dir: str | Path | None
) -> ParallelText:
    """Read, split and encode ``source``, or take the same from the token cache.

    Args:
        pipeline: not fitted yet; on a warm start the cached one is restored instead.
        val_fraction: share of train that validates, chosen by ``seed``; equal sources stay on one side. Unused where
            the source brings its own validation part.
        cache_dir: folder of the token caches (may be deleted at any time); None for no cache.

    Raises:
        InputError: the source cannot be read; nothing left to train, validate or test on; an empty vocabulary.
    """
    if not 0 < val_fraction < 1:
        raise InputError(f"val_fraction must lie between 0 and 1, not {val_fraction}.")
    if seed < 0:
        raise InputError(f"seed must not be negative, but it is {seed}.")
    started = time.perf_counter()
    key = cache.key_of(source.digest(), pipeline.config(), "pairs", val_fraction, seed)
    contents = None if cache_dir is None else cache.load(cache_dir, source.name, key)
    if contents is not None:
        pipeline = load_pipeline(contents.facts["pipeline"])
    else:
        contents = _encode(source, pipeline, val_fraction, seed)
        if cache_dir is not None:
            contents = cache.store(cache_dir, source.name, key, contents)
    parts = {part: _part(contents.arrays, part) for part in _PARTS}
    log.info(
        "%s: %s training, %s validation, %s test pairs, %s and %s tokens known%s (%.1f s)",
        source.name,
        *(f"{len(pairs):,}" for pairs in parts.values()),
        f"{len(pipeline.tokens):,}",
        f"{len(pipeline.target_tokens):,}",
        ", the same on both sides" if pipeline.shared else "",
        time.perf_counter() - started,
    )
    return ParallelText(
        name=source.name,
        train=Pairs(parts["train"].sources, parts["train"].targets),
        val=parts["val"],
        test=parts["test"],
        pipeline=pipeline,
        digest=contents.digest,
        train_texts=parts["train"].texts,
    )


def hold_out(sources: Sequence[str], fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Hold ``fraction`` of the different sources out, at least one; a pure function of its arguments.

    Returns:
        ``(kept, held)``: ascending row numbers; ``held`` is empty when all sources are the same.
    """
    ids: dict[str, int] = {}
    row_ids = np.array([ids.setdefault(text, len(ids)) for text in sources], dtype=np.int64)
    count = min(max(1, round(len(ids) * fraction)), len(ids) - 1)
    is_held = np.zeros(len(ids), dtype=bool)
    is_held[np.random.default_rng(seed).permutation(len(ids))[:count]] = True
    held = is_held[row_ids]
    return np.flatnonzero(~held), np.flatnonzero(held)


def _encode(source: Source, pipeline: PairPipeline, val_fraction: float, seed: int) -> cache.Contents:
    raw = source.read()
    for part, name in _PARTS.items():
        sentences: Sentences | None = getattr(raw, part)
        if sentences is not None:
            assert len(sentences[0]) == len(sentences[1]), f"{len(sentences[0])} and {len(sentences[1])} in {part}"
            if not sentences[0]:
                raise InputError(f"{source.name} has no {name} pairs.")
    train, val = raw.train, raw.val
    if val is None:
        kept, held = hold_out(train[0], val_fraction, seed)
        if len(held) == 0:
            raise InputError(
                f"every training pair of {source.name} has the same source, so none is left to validate on: add more, "
                "or bring a validation file."
            )
        train, val = (([train[0][row] for row in rows], [train[1][row] for row in rows]) for rows in (kept, held))
    # Sources alone are held against each other: one may have several translations.
    found = crossings(
        {part: (texts[0], texts[0]) for part, texts in (("train", train), ("val", val), ("test", raw.test))}
    )
    if said := crossings_said(found, "sources"):
        log.info("%s: %s", source.name, said)
    encoded = {"train": pipeline.fit_encode(*train)}
    encoded |= {
        part: (pipeline.encode_sources(sources), pipeline.encode_targets(targets))
        for part, (sources, targets) in (("val", val), ("test", raw.test))
    }
    arrays = {}
    for part, texts in (("train", train), ("val", val), ("test", raw.test)):
        for side, ids, written in zip(("sources", "targets"), encoded[part], texts, strict=True):
            for field, ragged in ((side, ids), (f"{side}.texts", Texts.of(written).encoded)):
                arrays[f"{part}.{field}.values"] = ragged.values
                arrays[f"{part}.{field}.offsets"] = ragged.offsets
    return cache.Contents.of(arrays, {"pipeline": pipeline.state_dict()})


def _part(arrays: Mapping[str, np.ndarray], part: str) -> Pairs:
    def ragged(field: str) -> Ragged:
        return Ragged(arrays[f"{part}.{field}.values"], arrays[f"{part}.{field}.offsets"])

    texts = Texts(ragged("sources.texts")), Texts(ragged("targets.texts"))
    return Pairs(ragged("sources"), ragged("targets"), texts)
