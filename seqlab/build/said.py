"""What is said of texts once they are read: how many are cut, how much is unknown, and whether words are set apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from seqlab.build.keys import Config
from seqlab.data.corpus import Corpus
from seqlab.data.labelled import LabelledText
from seqlab.data.parallel import ParallelText
from seqlab.data.unknown import much_unknown, much_unspaced
from seqlab.types import Split


def unknown(data: Any) -> str:
    """A sentence about parts of which much is unknown; empty where none is, or the data are no texts."""
    if isinstance(data, LabelledText):
        parts = {"validation": data.val.tokens.values, "test": data.test.tokens.values}
        return much_unknown(data.name, parts, data.pipeline)
    if isinstance(data, ParallelText):
        parts = {"validation": data.val.sources.values, "test": data.test.sources.values}
        return much_unknown(data.name, parts, data.pipeline.source)
    if isinstance(data, Corpus):
        parts = {"validation": data.val.ids} | ({} if data.test is None else {"test": data.test.ids})
        return much_unknown(data.name, parts, data.pipeline)
    return ""


def unspaced(task: Config, data: Any) -> str:
    """A sentence where BLEU takes every target for one word; empty where it does not, or BLEU decides nothing."""
    if not isinstance(data, ParallelText) or task.get("bleu_tokenize", "13a") not in ("13a", "intl"):
        return ""
    targets = data.val.texts[1]
    if task["decides"] not in ("bleu", "bleu_lower", "loss") or not much_unspaced(targets):
        return ""
    return (
        f"{data.name}: the targets hold no spaces, so BLEU takes a sentence for one word: set task.bleu_tokenize=zh, "
        "ja-mecab or char"
    )


def cut(node: Config, data: Any) -> Iterator[str]:
    """Sentences about labelled texts that are longer than what the ``data`` node reads of them."""
    if not isinstance(data, LabelledText):
        return
    parts = [data.train, data.val, data.test]
    learned, measured = node["max_length"], node["eval_max_length"]
    if measured in (None, learned):
        yield from _longer("texts", "max_length", learned, parts, node["truncate"])
    else:
        yield from _longer("training texts", "max_length", learned, parts[:1], node["truncate"])
        yield from _longer("validation and test texts", "eval_max_length", measured, parts[1:], node["truncate"])


def _longer(what: str, key: str, most: int | None, parts: Sequence[Split], truncate: str) -> Iterator[str]:
    lengths = np.concatenate([part.tokens.lengths for part in parts])
    count = 0 if most is None else int((lengths > most).sum())
    if count:
        end = "last" if truncate == "tail" else "first"
        yield (
            f"{count:,} of {len(lengths):,} {what} are longer than data.{key}={most} tokens: only their {end} {most} "
            "tokens are read"
        )
