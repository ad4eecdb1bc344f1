"""Texts as one rectangle of token ids, as small scripts want them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from seqlab.text.data.utils import get_tokenizer
from seqlab.types import InputError


def vectorize(
    texts: Sequence[str],
    tokenizer: str | Callable[[str], list[str]],
    vocab: Any,
    length: int,
    pad: str = "<pad>",
) -> Tensor:
    """Tokens to ids, each row cut or padded on the right to one length: ``(N, length)`` int64.

    Args:
        texts: N of them.
        tokenizer: a name that ``get_tokenizer`` knows, or a callable.
        vocab: a ``Vocab`` (ours or torchtext's); unknown tokens raise unless it has a default index.
        length: of every row.
        pad: the token that fills short rows.

    Raises:
        InputError: ``pad`` is not in ``vocab``.
    """
    if pad not in vocab:
        raise InputError(f"The padding token {pad!r} is not in the vocabulary: build it with specials=[..., {pad!r}].")
    tokenize = get_tokenizer(tokenizer)
    rows = torch.full((len(texts), length), vocab[pad], dtype=torch.long)
    for row, text in zip(rows, texts, strict=True):
        ids = vocab(tokenize(text)[:length])
        row[: len(ids)] = torch.tensor(ids, dtype=torch.long)
    return rows
