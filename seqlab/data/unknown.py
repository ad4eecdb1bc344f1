"""How much of what is read a vocabulary does not know, said where it is much."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from seqlab.text.pipeline import TextPipeline, WordPipeline

MUCH = 0.2
"""Share of unknown tokens above which it is said."""

# Thai, Lao, Burmese, Khmer; kana; Chinese characters.
_NO_SPACES = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")


def unknown_share(ids: np.ndarray, pipeline: TextPipeline) -> float:
    """Share of ``ids`` that stand for unknown tokens; 0 where there are none at all."""
    return float((np.asarray(ids) == pipeline.unk_id).mean()) if len(ids) else 0.0


def much_unknown(name: str, parts: Mapping[str, np.ndarray], pipeline: TextPipeline) -> str:
    """A sentence about the parts of which more than a fifth is unknown; empty where none is."""
    shares = {part: unknown_share(ids, pipeline) for part, ids in parts.items()}
    found = [f"{share:.0%} of the {part} tokens".replace("%", " %") for part, share in shares.items() if share > MUCH]
    return f"{name}: {' and '.join(found)} are unknown{_advice(pipeline)}" if found else ""


def much_unknown_texts(texts: Sequence[str], pipeline: TextPipeline) -> str:
    """The same of texts that a model is asked about, which names the first of them."""
    encoded = pipeline.encode(texts)
    shares = [unknown_share(encoded[row], pipeline) for row in range(len(texts))]
    rows = [row for row, share in enumerate(shares) if share > MUCH]
    if not rows:
        return ""
    whose = f"text {rows[0] + 1}" if len(texts) > 1 else "the text"
    others = f"{len(rows) - 1:,} other text{'s' * (len(rows) > 2)}"
    more = f", and more than {MUCH:.0%} of {others}".replace("%", " %") if len(rows) > 1 else ""
    share = f"{shares[rows[0]]:.0%}".replace("%", " %")
    return f"{share} of the tokens of {whose} are unknown to the model{more}{_advice(pipeline, ': train with ')}"


def much_unspaced(texts: Sequence[str]) -> bool:
    """Whether nearly all texts are written without a space, and most of those in letters of such a script."""
    written = [text.strip() for text in texts if text.strip()]
    spaced = sum(len(text.split()) > 1 for text in written)
    scripts = sum(_NO_SPACES.search(text) is not None for text in written)
    return bool(written) and spaced < 0.1 * len(written) and scripts > 0.5 * len(written)


def _advice(pipeline: TextPipeline, lead: str = ": try ") -> str:
    if not isinstance(pipeline, WordPipeline) or pipeline.tokenizer == "char":
        return ""
    some = pipeline.tokens[2:2000]
    if some and sum(_NO_SPACES.search(token) is not None for token in some) > len(some) / 2:
        return f"{lead}data/tokenizer=char, for the script writes no spaces between words"
    return f"{lead}data/tokenizer=bpe or char"
