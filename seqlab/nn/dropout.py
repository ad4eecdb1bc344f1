"""Dropout over sequences: a mask for every number, or one for all steps."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def dropout(x: Tensor, share: float, *, time: int, variational: bool) -> Tensor:
    """``x`` with ``share`` of its numbers zero and the others scaled up by ``1 / (1 - share)``.

    Args:
        x: has steps along dimension ``time``.
        share: probability with which a number is dropped; 0 hands ``x`` on.
        time: dimension of the steps.
        variational: draw one mask a row and keep it for all its steps (Gal and Ghahramani 2016); otherwise each number
            at each step is dropped by itself (Zaremba et al. 2014).
    """
    if not share:
        return x
    if not variational:
        return F.dropout(x, share)
    shape = list(x.shape)
    shape[time] = 1
    return x * F.dropout(x.new_ones(shape), share)
