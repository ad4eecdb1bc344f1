"""What is said of texts once they are read: how many are cut, and how much is unknown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from seqlab.build.keys import Config
from seqlab.data.corpus import Corpus
from seqlab.data.labelled import LabelledText
from seqlab.data.parallel import ParallelText
from seqlab.data.unknown import much_unknown
from seqlab.types import Split


def remarks(config: Config, data: Any) -> Iterator[str]:
    """Sentences for the log, one after the other; none of data without texts."""
    if isinstance(data, LabelledText):
        yield from _cut(config["data"], [data.train, data.val, data.test])
        parts = {"validation": data.val.tokens.values, "test": data.test.tokens.values}
        yield much_unknown(data.name, parts, data.pipeline)
    elif isinstance(data, ParallelText):
        parts = {"validation": data.val.sources.values, "test": data.test.sources.values}
        yield much_unknown(data.name, parts, data.pipeline.source)
    elif isinstance(data, Corpus):
        parts = {"validation": data.val.ids} | ({} if data.test is None else {"test": data.test.ids})
        yield much_unknown(data.name, parts, data.pipeline)


def _cut(node: Config, parts: Sequence[Split]) -> Iterator[str]:
    """Of labelled texts, how many are longer than what is read of them."""
    learned, measured = node["max_length"], node["eval_max_length"]
    if measured in (None, learned):
        yield _longer("texts", "max_length", learned, parts, node["truncate"])
    else:
        yield _longer("training texts", "max_length", learned, parts[:1], node["truncate"])
        yield _longer("validation and test texts", "eval_max_length", measured, parts[1:], node["truncate"])


def _longer(what: str, key: str, most: int | None, parts: Sequence[Split], truncate: str) -> str:
    lengths = np.concatenate([part.tokens.lengths for part in parts])
    cut = 0 if most is None else int((lengths > most).sum())
    if not cut:
        return ""
    end = "last" if truncate == "tail" else "first"
    return (
        f"{cut:,} of {len(lengths):,} {what} are longer than data.{key}={most} tokens: only their {end} {most} tokens "
        "are read"
    )
