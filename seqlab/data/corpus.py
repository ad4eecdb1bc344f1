"""Running text, ready to train on: read a source piece by piece, cut it by position, encode, cache."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from seqlab.data import cache
from seqlab.data.corpus_reading import PARTS, PartedSource, build, fractions
from seqlab.data.corpus_reading import CorpusSource as CorpusSource
from seqlab.data.corpus_reading import own_parts as own_parts
from seqlab.data.options import check_counts, check_fraction
from seqlab.data.same import different_text
from seqlab.data.unknown import much_unknown
from seqlab.data.windows import ChainLoader, LaneLoader, WindowLoader
from seqlab.errors import shorten
from seqlab.protocols import LoadContext
from seqlab.text.pipeline import TextPipeline, load_pipeline
from seqlab.types import DataSpec, InputError, Loader, Tokens

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CorpusOptions:
    """How running text is split and read.

    Attributes:
        sampling: ``random`` windows that begin with a zero state, or ``sequential`` lanes whose state is carried.
        batch_size: windows, or lanes, in a batch.
        length: tokens in a window.
        reset: of lanes, the probability that a row begins with a zero state all the same.
        eval_length: tokens in the windows that validation and test are read in, before they are read as one stream.
        val_fraction: share of the characters that validates.
        test_fraction: share that tests; 0 for no test part.
    """

    sampling: Literal["random", "sequential"] = "random"
    batch_size: int = 16
    length: int = 64
    reset: float = 0.0
    eval_length: int = 256
    val_fraction: float = 0.1
    test_fraction: float = 0.0

    def __post_init__(self) -> None:
        check_counts(batch_size=self.batch_size, length=self.length, eval_length=self.eval_length)
        check_fraction(val_fraction=self.val_fraction)
        if not 0 <= self.reset < 1:
            raise InputError(f"data.reset is a probability, at least 0 and below 1, not {self.reset}.")
        if self.reset and self.sampling == "random":
            raise InputError(
                f"data.reset={self.reset} is for lanes whose state is carried: set data.sampling=sequential too, or "
                "remove data.reset: random windows all begin with a zero state."
            )


@dataclass(frozen=True)
class Corpus:
    """Two or three encoded parts and what encoded them: a ``Dataset``.

    Attributes:
        test: None where nothing was held out for it.
        pipeline: fitted on ``train`` alone.
        digest: sha256 of the contents (ids, documents, pipeline), wherever the files lie and whoever read them.
    """

    Options: ClassVar[type[CorpusOptions]] = CorpusOptions
    known_baselines: ClassVar[Mapping[str, float]] = {}
    gives: ClassVar[tuple[str, ...]] = ("language_modeling",)

    name: str
    train: Tokens
    val: Tokens
    test: Tokens | None
    pipeline: TextPipeline
    digest: str

    @property
    def spec(self) -> DataSpec:
        """The sizes that the model takes from the data."""
        size = len(self.pipeline.tokens)
        return DataSpec(
            task="language_modeling", num_outputs=size, labels=(), vocab_size=size, pad_id=self.pipeline.pad_id
        )

    @classmethod
    def placeholder(cls, options: CorpusOptions, task: str, make_source: Callable[[], Any]) -> DataSpec:
        """Four tokens."""
        return DataSpec(task, 4, (), vocab_size=4, pad_id=1)

    @classmethod
    def load(cls, source: CorpusSource, options: CorpusOptions, context: LoadContext) -> Corpus:
        """Read, cut and encode, see ``load_corpus``; say what is unknown."""
        pipeline, line_end = context.make_tokenizer(), getattr(source, "line_end", None)
        if line_end is not None and pipeline.config().get("tokenizer") in (None, "char"):
            raise InputError(
                f"data.line_end={shorten(line_end)} is for tokenizers of words: set data/tokenizer=whitespace, or "
                "remove data.line_end."
            )
        data = load_corpus(
            source,
            pipeline,
            val_fraction=options.val_fraction,
            test_fraction=options.test_fraction,
            cache_dir=context.cache_dir,
        )
        parts = {"validation": data.val.ids} | ({} if data.test is None else {"test": data.test.ids})
        if sentence := much_unknown(data.name, parts, data.pipeline):
            log.warning(sentence)
        return data

    def part(self, split: str) -> Tokens | None:
        """``train``, ``val`` or ``test``; None where nothing was held out for it."""
        return {"train": self.train, "val": self.val, "test": self.test}[split]

    @staticmethod
    def batches(part: Tokens, options: CorpusOptions, spec: DataSpec, *, train: bool, seed: int) -> Loader:
        """Windows or lanes to learn from; to measure, windows from a zero state, then the whole part as one stream."""
        size, length, pad_id = options.batch_size, options.length, spec.pad_id
        if not train:  # no batch larger than one of training
            tokens, length = size * length, options.eval_length
            cold = WindowLoader(part, batch_size=max(1, tokens // length), length=length, shuffle=False, pad_id=pad_id)
            return ChainLoader([cold, LaneLoader(part, batch_size=1, length=tokens, pad_id=pad_id)])
        if options.sampling == "random":
            return WindowLoader(part, batch_size=size, length=length, seed=seed, pad_id=pad_id)
        return LaneLoader(part, batch_size=size, length=length, reset=options.reset, seed=seed, pad_id=pad_id)

    @staticmethod
    def encode(inputs: Sequence[Any], spec: DataSpec, pipeline: TextPipeline) -> Tokens:
        """Refused: running text is written on, see ``Run.generate``."""
        raise InputError("Running text has no rows to label: let the model write, with seqlab generate.")

    def artifacts(self) -> dict[str, Any]:
        """Nothing besides the pipeline."""
        return {}

    def difference(self, saved: Mapping[str, Any]) -> str:
        """In the vocabulary, or in the text."""
        return different_text(saved, self.digest, self.pipeline)


def load_corpus(
    source: CorpusSource | PartedSource,
    pipeline: TextPipeline,
    *,
    val_fraction: float,
    test_fraction: float,
    cache_dir: str | Path | None,
) -> Corpus:
    """Read, cut and encode ``source``, or take the same from the token cache.

    The parts follow one another: of ``n`` characters, the first ``int(n * (1 - val_fraction - test_fraction))`` train,
    those up to ``int(n * (1 - test_fraction))`` validate, the rest tests. They are counted in characters whatever the
    tokenizer, so that tokenizers can be compared; a document that lies across a cut is cut.

    The text is read three times (count, learn, encode) and never held: what is in memory are a million characters, and
    without ``cache_dir`` the ids, a byte each for up to 256 tokens, two up to 65,536. With it they are memory-mapped.

    Args:
        source: the text; parts that are files of their own are not cut out of it.
        pipeline: not fitted yet; on a warm start the cached one is restored instead.
        val_fraction: share of the characters that validates, in ``(0, 1)``; unused with a validation part of its own.
        test_fraction: share that tests, in ``[0, 1)``; 0 for no test part. Unused with a test part of its own.
        cache_dir: folder of the token caches (may be deleted at any time); None for no cache.

    Raises:
        InputError: the source cannot be read; fractions that leave nothing to train on; no text, or a part with fewer
            than two tokens; an empty vocabulary.
    """
    own = own_parts(source)
    if "val" in own and "test" not in own and test_fraction:
        raise InputError(
            "data.val_path is a file of its own, and so must the test part be: set data.test_path, or "
            "data.test_fraction=0."
        )
    shares = fractions(val_fraction if "val" not in own else 0.5, 0.0 if "test" in own else test_fraction)
    started = time.perf_counter()
    key = cache.key_of(source.digest(), pipeline.config(), "corpus", val_fraction, test_fraction)
    contents = None if cache_dir is None else cache.load(cache_dir, source.name, key)
    if contents is not None:
        pipeline = load_pipeline(contents.facts["pipeline"])
    else:
        contents = build(source, pipeline, shares, cache_dir, key)
    arrays = contents.arrays
    there = [part for part in PARTS if f"{part}.ids" in arrays]
    parts = {part: Tokens(arrays[f"{part}.ids"], arrays[f"{part}.starts"]) for part in there}
    log.info(
        "%s: %s tokens, %s tokens known (%.1f s)",
        source.name,
        ", ".join(f"{len(tokens):,} {PARTS[part]}" for part, tokens in parts.items()),
        f"{len(pipeline.tokens):,}",
        time.perf_counter() - started,
    )
    return Corpus(source.name, parts["train"], parts["val"], parts.get("test"), pipeline, contents.digest)
