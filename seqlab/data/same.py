"""How the texts of a checkpoint differ from those at hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqlab.text.pairs import PairPipeline
from seqlab.text.pipeline import TextPipeline, load_pipeline


def different_text(saved: Mapping[str, Any], digest: str, pipeline: TextPipeline | PairPipeline) -> str:
    """The rest of a sentence about a checkpoint's data; empty where they are these.

    Args:
        saved: a checkpoint's ``digest`` and ``pipeline``.
        digest: of the data at hand.
        pipeline: of the data at hand.
    """
    if saved["digest"] == digest:
        return ""
    if saved["pipeline"] is None:
        return "it was no text"
    old, new = (_vocabulary(each) for each in (load_pipeline(saved["pipeline"]), pipeline))
    if old == new:
        return "its vocabulary is the same, its texts or labels are not"
    pairs = enumerate(zip(old, new, strict=False))
    first = next((i for i, (was, now) in pairs if was != now), min(len(old), len(new)))
    was, now = (repr(tokens[first]) if first < len(tokens) else "nothing" for tokens in (old, new))
    return f"its vocabulary has {len(old):,} tokens, this one {len(new):,}, and token {first} was {was}, is {now}"


def _vocabulary(pipeline: TextPipeline | PairPipeline) -> list[str]:
    """All tokens: of pairs, the source's and then, where they are others, the target's."""
    other = isinstance(pipeline, PairPipeline) and not pipeline.shared
    return [*pipeline.tokens, *pipeline.target_tokens] if other else pipeline.tokens  # type: ignore[union-attr]
