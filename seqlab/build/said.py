"""What is said of texts once they are read, as far as the question decides it."""

from __future__ import annotations

from typing import Any

from seqlab.build.keys import Config
from seqlab.data.parallel import ParallelText
from seqlab.data.unknown import much_unspaced


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
