"""Labelled text, ready to train on: read a source, hold a validation part out, learn the vocabulary, encode, cache."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from seqlab.data import cache
from seqlab.data.batching import BucketLoader
from seqlab.data.cut import cut_texts
from seqlab.data.options import check_counts, check_fraction
from seqlab.data.rawtext import Examples as Examples
from seqlab.data.rawtext import RawText as RawText
from seqlab.data.rawtext import check_raw
from seqlab.data.same import different_text
from seqlab.data.splitting import crossings, crossings_said, grouped, stratified
from seqlab.data.targets import KINDS, Kind, learned, scale_of, stored, strata
from seqlab.data.unknown import much_unknown
from seqlab.protocols import LoadContext
from seqlab.text.pipeline import TextPipeline, load_pipeline
from seqlab.types import DataSpec, InputError, Loader, Ragged, Split

log = logging.getLogger(__name__)

_PARTS = ("train", "val", "test")


class Source(Protocol):
    """Names raw labelled text; anything with these three is one."""

    name: str

    def digest(self) -> str:
        """A digest of the files and of the options they are read with; cheap, for it is asked at every start."""
        ...

    def read(self) -> RawText:
        """All parts, in an order that is the same at every reading."""
        ...


@dataclass(frozen=True)
class TextOptions:
    """How labelled texts are split and batched.

    Attributes:
        val_fraction: share of train that validates, stratified; unused where the source brings its own part.
        group_texts: whether equal texts are held out together; false holds single rows out, as earlier versions did.
        batch_size: texts in a batch.
        max_batch_tokens: instead: as many texts as keep the padded tokens of a batch within this.
        max_length: longer texts are cut to this many tokens; None for never.
        eval_max_length: the same in evaluation; None for ``max_length``.
        truncate: which end of a long text is kept.
        round_to: batches are padded to a multiple of this many tokens.
    """

    val_fraction: float = 0.1
    group_texts: bool = False
    batch_size: int = 32
    max_batch_tokens: int | None = None
    max_length: int | None = 400
    eval_max_length: int | None = None
    truncate: Literal["head", "tail"] = "tail"
    round_to: int = 8

    def __post_init__(self) -> None:
        check_fraction(val_fraction=self.val_fraction)
        check_counts(
            batch_size=self.batch_size,
            max_batch_tokens=self.max_batch_tokens,
            max_length=self.max_length,
            eval_max_length=self.eval_max_length,
            round_to=self.round_to,
        )


@dataclass(frozen=True)
class LabelledText:
    """Three encoded parts and what encoded them: a ``Dataset``.

    Attributes:
        pipeline: fitted on ``train`` alone.
        labels: class id -> name.
        kind: what the targets are. Class ids; numbers, here less their mean in training and by their deviation; or 0
            and 1 for each label.
        scale: that mean and deviation, in the units of the data.
        digest: sha256 of the contents (ids, targets, labels, pipeline), wherever the files lie and whoever read them.
    """

    name: str
    train: Split
    val: Split
    test: Split
    Options: ClassVar[type[TextOptions]] = TextOptions
    known_baselines: ClassVar[Mapping[str, float]] = {}
    gives: ClassVar[tuple[str, ...]] = KINDS

    pipeline: TextPipeline
    labels: tuple[str, ...]
    digest: str
    kind: Kind = "classification"
    scale: tuple[float, float] = (0.0, 1.0)

    @property
    def spec(self) -> DataSpec:
        """The sizes that the model takes from the data."""
        return DataSpec(
            task=self.kind,
            vocab_size=len(self.pipeline.tokens),
            num_outputs=len(self.labels),
            labels=self.labels,
            pad_id=self.pipeline.pad_id,
            counts=tuple(np.bincount(self.train.targets, minlength=len(self.labels)).tolist())
            if self.kind == "classification"
            else (),
            mean=self.scale[0],
            deviation=self.scale[1],
        )

    @classmethod
    def placeholder(cls, options: TextOptions, task: str, make_source: Callable[[], Any]) -> DataSpec:
        """Two labels."""
        return DataSpec(task, 2, ("a", "b"), vocab_size=4, pad_id=1, counts=(1, 1))

    @classmethod
    def load(cls, source: Source, options: TextOptions, context: LoadContext) -> LabelledText:
        """Read, split and encode, see ``load_labelled``; say what of the texts is cut or unknown."""
        data = load_labelled(
            source,
            context.make_tokenizer(),
            val_fraction=options.val_fraction,
            seed=context.seed,
            cache_dir=context.cache_dir,
            group_texts=options.group_texts,
        )
        for sentence in cut_texts(options, [data.train, data.val, data.test]):
            log.info(sentence)
        parts = {"validation": data.val.tokens.values, "test": data.test.tokens.values}
        if sentence := much_unknown(data.name, parts, data.pipeline):
            log.warning(sentence)
        return data

    def part(self, split: str) -> Split:
        """``train``, ``val`` or ``test``."""
        return {"train": self.train, "val": self.val, "test": self.test}[split]

    @staticmethod
    def batches(part: Split, options: TextOptions, spec: DataSpec, *, train: bool, seed: int) -> Loader:
        """Texts of like length together; to measure, as much of each as ``eval_max_length`` says."""
        longest = options.max_length if train or options.eval_max_length is None else options.eval_max_length
        return BucketLoader(
            part,
            pad_id=spec.pad_id,
            batch_size=options.batch_size,
            max_batch_tokens=options.max_batch_tokens,
            max_length=longest,
            truncate=options.truncate,
            round_to=options.round_to,
            seed=seed,
            shuffle=train,
        )

    @staticmethod
    def encode(inputs: Sequence[str], spec: DataSpec, pipeline: TextPipeline) -> Split:
        """Texts, by the vocabulary of training."""
        tokens = pipeline.encode(inputs)
        return Split(tokens, np.zeros(len(tokens), dtype=np.int64))

    def artifacts(self) -> dict[str, Any]:
        """Nothing besides the pipeline."""
        return {}

    def difference(self, saved: Mapping[str, Any]) -> str:
        """In the vocabulary, or in texts and labels."""
        return different_text(saved, self.digest, self.pipeline)


def load_labelled(
    source: Source,
    pipeline: TextPipeline,
    *,
    val_fraction: float,
    seed: int,
    cache_dir: str | Path | None,
    group_texts: bool = True,
) -> LabelledText:
    """Read, split and encode ``source``, or take the same from the token cache.

    Args:
        pipeline: not fitted yet; on a warm start the cached one is restored instead.
        val_fraction: share of train that validates, stratified, chosen by ``seed``; unused where the source
            brings its own validation part.
        cache_dir: folder of the token caches (may be deleted at any time); None for no cache.
        group_texts: whether equal texts are held out together; false holds single rows out, as earlier versions did.

    Raises:
        InputError: the source cannot be read; a single class; nothing left to train, validate or test on; an
            empty vocabulary.
    """
    if not 0 < val_fraction < 1:
        raise InputError(f"val_fraction must lie between 0 and 1, not {val_fraction}.")
    if seed < 0:
        raise InputError(f"seed must not be negative, but it is {seed}.")
    started = time.perf_counter()
    key = cache.key_of(source.digest(), pipeline.config(), val_fraction, seed, *["group_texts"] * group_texts)
    contents = None if cache_dir is None else cache.load(cache_dir, source.name, key)
    if contents is not None:
        pipeline = load_pipeline(contents.facts["pipeline"])
    else:
        contents = _encode(source, pipeline, val_fraction, seed, group_texts)
        if cache_dir is not None:
            contents = cache.store(cache_dir, source.name, key, contents)
    kind: Kind = contents.facts.get("kind", "classification")
    labels = tuple(contents.facts["labels"])
    scale = scale_of(contents.arrays["train.targets"], source.name) if kind == "regression" else (0.0, 1.0)
    splits = _splits(contents.arrays, kind, len(labels), scale)
    log.info(
        "%s: %s training, %s validation, %s test examples, %s tokens known (%.1f s)",
        source.name,
        *(f"{len(splits[part]):,}" for part in _PARTS),
        f"{len(pipeline.tokens):,}",
        time.perf_counter() - started,
    )
    if said := crossings_said(contents.facts.get("crossings", {})):
        log.info("%s: %s", source.name, said)
    return LabelledText(
        name=source.name,
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        pipeline=pipeline,
        labels=labels,
        digest=contents.digest,
        kind=kind,
        scale=scale,
    )


def _encode(
    source: Source, pipeline: TextPipeline, val_fraction: float, seed: int, group_texts: bool
) -> cache.Contents:
    raw = source.read()
    check_raw(source.name, raw)
    if raw.val is not None:
        train, val = raw.train, raw.val
    else:
        texts, targets = raw.train[0], strata(raw.kind, raw.train[1])
        kept, held = (
            grouped(texts, targets, val_fraction, seed) if group_texts else stratified(targets, val_fraction, seed)
        )
        if len(held) == 0:
            raise InputError(
                f"{source.name} has one training text of each label, so none is left to validate on: add more, or "
                "bring a validation file."
            )
        train, val = (([texts[row] for row in rows], [raw.train[1][row] for row in rows]) for rows in (kept, held))
    splits = {
        part: Split(tokens, stored(raw.kind, found, len(raw.labels)))
        for part, tokens, found in (
            ("train", pipeline.fit_encode(train[0]), train[1]),
            ("val", pipeline.encode(val[0]), val[1]),
            ("test", pipeline.encode(raw.test[0]), raw.test[1]),
        )
    }
    facts: dict[str, Any] = {"labels": list(raw.labels), "pipeline": pipeline.state_dict()}
    if raw.kind != "classification":  # the contents of classes are those of earlier versions, and so is their digest
        facts["kind"] = raw.kind
    found = crossings({"train": train, "val": val, "test": raw.test})
    if group_texts and found:
        facts["crossings"] = found
    elif said := crossings_said(found):  # the contents are those of earlier versions, and so is their digest
        log.info("%s: %s", source.name, said)
    return cache.Contents.of(_arrays(splits), facts)


def _arrays(splits: Mapping[str, Split]) -> dict[str, np.ndarray]:
    """As they are cached: by part and field."""
    found = {}
    for part, split in splits.items():
        found[f"{part}.values"] = split.tokens.values.astype(np.int32, copy=False)
        found[f"{part}.offsets"] = split.tokens.offsets.astype(np.int64, copy=False)
        found[f"{part}.targets"] = split.targets.ravel()
    return found


def _splits(
    arrays: Mapping[str, np.ndarray], kind: Kind, num_outputs: int, scale: tuple[float, float]
) -> dict[str, Split]:
    return {
        part: Split(
            Ragged(arrays[f"{part}.values"], arrays[f"{part}.offsets"]),
            learned(kind, arrays[f"{part}.targets"], num_outputs, scale),
        )
        for part in _PARTS
    }
