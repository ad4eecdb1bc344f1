"""What the transforms do, as functions: ``torchtext.functional``.

Everything takes one list or a list of lists, of one kind of element; anything else is a ``TypeError``. An empty list
counts as a list of whatever is asked for; a bool counts as an int.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

__all__ = ["add_token", "str_to_int", "to_tensor", "truncate"]


def to_tensor(input: Any, padding_value: int | None = None, dtype: torch.dtype = torch.long) -> Tensor:
    """Ids as a tensor: ``(T,)`` for a list, ``(B, T)`` for a list of lists.

    Args:
        input: integers.
        padding_value: fills short rows; None: a ``ValueError`` where rows differ in length.
        dtype: of the ``(B, T)`` answer; a ``(T,)`` answer is int64 whatever is asked for, as in torchtext.
    """
    if _is_list(input, int):
        return torch.tensor(input, dtype=torch.long)
    if not _is_nested(input, int):
        raise _unsupported(input)
    if padding_value is None:
        return torch.tensor(input, dtype=dtype)
    rows = [torch.tensor(row, dtype=dtype) for row in input]
    return pad_sequence(rows, batch_first=True, padding_value=float(padding_value))


def truncate(input: Any, max_seq_len: int) -> Any:
    """The first ``max_seq_len`` elements of each row, of integers or of strings."""
    for kind in (int, str):
        if _is_list(input, kind):
            return list(input[:max_seq_len])
        if _is_nested(input, kind):
            return [list(row[:max_seq_len]) for row in input]
    raise _unsupported(input)


def add_token(input: Any, token_id: Any, begin: bool = True) -> Any:
    """Each row with ``token_id`` (an integer among integers, a string among strings) before it, or after it."""
    for kind in (int, str):
        if isinstance(token_id, kind) and _is_list(input, kind):
            return [token_id, *input] if begin else [*input, token_id]
        if isinstance(token_id, kind) and _is_nested(input, kind):
            return [[token_id, *row] if begin else [*row, token_id] for row in input]
    raise _unsupported(input)


def str_to_int(input: Any) -> Any:
    """Each string as the integer it spells; ``ValueError`` where it spells none."""
    if _is_list(input, str):
        return [int(text) for text in input]
    if _is_nested(input, str):
        return [[int(text) for text in row] for row in input]
    raise _unsupported(input)


def _is_list(input: Any, kind: type) -> bool:
    return isinstance(input, list) and all(isinstance(element, kind) for element in input)


def _is_nested(input: Any, kind: type) -> bool:
    return isinstance(input, list) and all(_is_list(row, kind) for row in input)


def _unsupported(input: Any) -> TypeError:
    return TypeError(f"Input type not supported: {type(input).__name__}")
