"""Quantiles: in order, and those of Student's t."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

_DEGREE = 12
"""Of the polynomials behind Student's quantiles: within 1e-8 of them down to the level 0.0001."""


def student_quantiles(freedom: Tensor, levels: Sequence[float]) -> Tensor:
    """``(..., Q)`` quantiles of Student's t for degrees of ``freedom`` ``(...)`` of at least 2.

    Inverting the distribution takes a microsecond a number, and a pass may ask for hundreds of millions. At each level
    the quantile is a smooth function of ``1 / freedom``, here a Chebyshev series through exact values.
    """
    x = 4.0 / freedom.clamp(min=2.0) - 1.0  # [0, 1/2] to [-1, 1]
    basis = [torch.ones_like(x), x]
    while len(basis) <= _DEGREE:
        basis.append(2.0 * x * basis[-1] - basis[-2])
    return torch.stack(basis, -1) @ torch.from_numpy(_student_series(tuple(levels))).to(x)


@lru_cache(maxsize=16)
def _student_series(levels: tuple[float, ...]) -> np.ndarray:
    """``(degree + 1, Q)`` Chebyshev coefficients of Student's quantiles, one column a level."""
    from scipy.special import stdtrit  # scikit-learn brings it; half a second that few runs need

    nodes = np.cos(np.pi * (np.arange(_DEGREE + 1) + 0.5) / (_DEGREE + 1))
    exact = stdtrit(4.0 / (nodes + 1.0)[:, None], np.asarray(levels))
    return np.linalg.solve(np.polynomial.chebyshev.chebvander(nodes, _DEGREE), exact)


def ascending(quantiles: Tensor) -> Tensor:
    """The same numbers from low to high, in float32; no gradient passes."""
    quantiles = quantiles.detach().float()
    if quantiles.device.type == "cpu":  # numpy sorts short rows ten times as fast
        return torch.from_numpy(np.sort(quantiles.numpy(), axis=-1))
    return quantiles.sort(-1).values
