"""Labelled texts in words, for methods that count them."""

from __future__ import annotations

from typing import Any

from seqlab.protocols import BaselineContext
from seqlab.text.pipeline import WordPipeline


def in_words(data: Any, context: BaselineContext) -> Any:
    """The same texts in words, or in characters where the model reads these.

    Subwords would handicap methods that count, and so would characters where words are written apart.
    """
    words, own = WordPipeline(), data.pipeline.config()
    return data if own.get("tokenizer") == "char" or words.config() == own else context.reread(words)
