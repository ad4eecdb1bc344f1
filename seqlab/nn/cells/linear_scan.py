"""A linear recurrence over time without a loop over time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def linear_scan(a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
    """``h_t = a_t * h_{t-1} + b_t`` for all ``t``, in about ``2 log2(T)`` passes and ``O(T)`` work.

    Only products and sums of what the loop itself would compute: no division and no logarithm, so that ``a`` may be 0
    or negative and nothing overflows that would not in the loop. Differentiable any number of times. All of one dtype.

    It pays where steps are many and small, or on a GPU; on a CPU a loop is faster once a step fills the cache.

    Source: the odd-even form of a parallel prefix (Blelloch 1990; for such recurrences Martin and Cundy 2018).

    Args:
        a: ``(T, B, D)``, ``T`` at least 1.
        b: ``(T, B, D)``.
        h0: ``(B, D)``, the state before the first step.

    Returns:
        ``(T, B, D)``.
    """
    return _LinearScan.apply(a, b, h0)


class _LinearScan(torch.autograd.Function):
    """Its gradient is the same recurrence, run backwards."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
        h = _prefixes(a, torch.cat((torch.addcmul(b[:1], a[:1], h0), b[1:])))
        ctx.save_for_backward(a, h0, h)
        return h

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, h0, h = ctx.saved_tensors
        # What reaches h_t: its own gradient, and a_{t+1} times what reaches h_{t+1}.
        decay = torch.cat((torch.zeros_like(a[:1]), a[1:].flip(0)))
        reaches = linear_scan(decay, grad.flip(0), torch.zeros_like(h0)).flip(0)
        before = torch.cat((h0.unsqueeze(0), h[:-1]))
        return reaches * before, reaches, a[0] * reaches[0]


def _prefixes(a: Tensor, b: Tensor) -> Tensor:
    """The recurrence from a state of zeros: halve the steps by joining pairs, then fill in between."""
    if len(a) == 1:
        return b
    pairs = len(a) // 2 * 2
    second = a[1::2]
    odd = _prefixes(second * a[:pairs:2], torch.addcmul(b[1::2], second, b[:pairs:2]))
    h = torch.empty_like(b)
    h[0], h[1::2] = b[0], odd
    h[2::2] = torch.addcmul(b[2::2], a[2::2], odd[: len(h[2::2])])
    return h
