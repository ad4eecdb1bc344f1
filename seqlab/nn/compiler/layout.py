"""How sequences of unequal length stand in memory: without padding."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Where rows of a time-major batch stand in memory: step after step, without padding.

    Attributes:
        T: steps.
        B: rows at most.
        offset: ``(T + 1,)`` int64: the rows of step ``t`` start at row ``offset[t]``.
        rows: how many rows there are in all.
        index: ``(rows,)`` their places in the padded ``(T * B,)``; None where there is no padding.
    """

    T: int
    B: int
    offset: Tensor
    rows: int
    index: Tensor | None = None

    def pack(self, padded: Tensor) -> Tensor:
        """``(T, B, D)`` to ``(rows, D)``."""
        flat = padded.contiguous().view(self.T * self.B, padded.shape[2])
        return flat if self.index is None else flat.index_select(0, self.index)

    def pad(self, rows: Tensor) -> Tensor:
        """``(rows, D)`` to ``(T, B, D)``, with zeros."""
        shape = self.T, self.B, rows.shape[1]
        if self.index is None:
            return rows.view(shape)
        padded = rows.new_zeros(shape)  # no view, so that those who get it may write to it
        padded.view(-1, shape[2]).index_copy_(0, self.index, rows)
        return padded


@lru_cache(maxsize=64)
def dense(T: int, B: int) -> Layout:
    """All rows full."""
    return Layout(T, B, torch.arange(0, (T + 1) * B, B) if B else torch.zeros(T + 1, dtype=torch.int64), T * B)


@lru_cache(maxsize=16)
def ragged(active: tuple[int, ...], B: int) -> Layout:
    """``active[t]`` rows at step ``t``."""
    T = len(active)
    alive = torch.tensor(active)
    offset = torch.zeros(T + 1, dtype=torch.int64)
    torch.cumsum(alive, 0, out=offset[1:])
    index = (torch.arange(B) < alive.unsqueeze(1)).flatten().nonzero().squeeze(1)
    return Layout(T, B, offset, len(index), index)
