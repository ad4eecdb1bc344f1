"""Dropout over sequences: a mask for every number, or one for all steps."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seqlab.nn.plain import plain_only

_LEVELS = 1 << 16


def dropout(x: Tensor, share: float, *, time: int, variational: bool) -> Tensor:
    """``x`` with ``share`` of its numbers zero, the others scaled up so that the mean stays (Srivastava et al. 2014).

    Args:
        x: has steps along dimension ``time``.
        share: probability with which a number is dropped; 0 hands ``x`` on.
        time: dimension of the steps.
        variational: draw one mask a row and keep it for all its steps (Gal and Ghahramani 2016); otherwise each number
            at each step is dropped by itself (Zaremba et al. 2014).
    """
    if not share:
        return x
    shape = list(x.shape)
    if variational:
        shape[time] = 1
    return x * _mask(shape, share, x)


def _mask(shape: list[int], share: float, like: Tensor) -> Tensor:
    """``shape`` of zeros and ``1 / (1 - share)``, on the device and in the dtype of ``like``.

    torch draws a mask on the CPU number by number, which took an eighth of an LSTM's training step.
    Here sixteen random bits decide (so ``share`` is met to 1/65,536), drawn by SFC64 from a seed that comes out of
    torch's own generator: the same seed gives the same masks, and a restored generator the same again.
    """
    if like.device.type != "cpu" or plain_only(like):
        return F.dropout(like.new_ones(shape), share)
    dropped = min(round(share * _LEVELS), _LEVELS - 1)  # what is kept is divided by
    size = math.prod(shape)
    seed = int(torch.randint(2**62, ()))
    bits = np.random.SFC64(seed).random_raw(-(-size // 4)).view(np.uint16)[:size]
    kept = torch.from_numpy(bits >= dropped).view(shape)
    return kept.to(like.dtype).mul_(_LEVELS / (_LEVELS - dropped))
