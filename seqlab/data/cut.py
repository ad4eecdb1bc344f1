"""How many labelled texts are cut, and where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from seqlab.types import Split


def cut_texts(options: Any, parts: Sequence[Split]) -> Iterator[str]:
    """Sentences about texts of training, validation and test that are longer than ``options`` let be read."""
    learned, measured = options.max_length, options.eval_max_length
    if measured in (None, learned):
        yield from _longer("texts", "max_length", learned, parts, options.truncate)
    else:
        yield from _longer("training texts", "max_length", learned, parts[:1], options.truncate)
        yield from _longer("validation and test texts", "eval_max_length", measured, parts[1:], options.truncate)


def _longer(what: str, key: str, most: int | None, parts: Sequence[Split], truncate: str) -> Iterator[str]:
    lengths = np.concatenate([part.tokens.lengths for part in parts])
    count = 0 if most is None else int((lengths > most).sum())
    if count:
        end = "last" if truncate == "tail" else "first"
        yield (
            f"{count:,} of {len(lengths):,} {what} are longer than data.{key}={most} tokens: only their {end} {most} "
            "tokens are read"
        )
