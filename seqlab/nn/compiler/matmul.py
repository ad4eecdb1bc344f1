"""The large matrix products of the backward pass, by whichever of torch's libraries is the faster one here."""

from __future__ import annotations

import threading
import time
from functools import cache
from typing import Any

import torch
from torch import Tensor

_LARGE = 1 << 21
"""Multiplications from which on the other library's greater start-up cost is made up for."""
_lock = threading.Lock()
_inside = 0
_before = ""


def product_over_rows(a: Tensor, b: Tensor) -> Tensor:
    """``a`` transposed times ``b``: ``(N, M)`` and ``(N, K)`` to ``(M, K)``, without gradient.

    fp32 products go to oneDNN where that is as exact as MKL and faster: MKL uses only half the vector width on AMD.
    """
    work = a.numel() * b.shape[1]
    if a.dtype != torch.float32 and work < _LARGE:
        a, b = a.float(), b.float()  # then it costs nothing not to round the result
    out = a.new_empty(a.shape[1], b.shape[1])
    # With `out`, autocast leaves the product alone.
    if a.dtype == torch.float32 and work >= _LARGE and _onednn_is_better():
        with _OneDNN():
            return torch.mm(a.t(), b, out=out)
    return torch.mm(a.t(), b, out=out)


class _OneDNN:
    """torch's switch for fp32 products, on while any thread is inside."""

    def __enter__(self) -> None:
        global _inside, _before
        with _lock:
            _inside += 1
            if _inside == 1:
                settings: Any = getattr(torch.backends.mkldnn, "matmul", None)
                _before = settings.fp32_precision
                settings.fp32_precision = "bf16"

    def __exit__(self, *error: object) -> None:
        global _inside
        with _lock:
            _inside -= 1
            if _inside == 0:
                settings: Any = getattr(torch.backends.mkldnn, "matmul", None)
                settings.fp32_precision = _before


@cache
def _onednn_is_better() -> bool:
    """Whether the switch exists, keeps fp32 exact (on some processors it means bf16), and is faster."""
    if not hasattr(getattr(torch.backends.mkldnn, "matmul", None), "fp32_precision"):
        return False
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(512, 256, generator=generator) for _ in range(2))

    def fastest() -> tuple[float, Tensor]:
        times = []
        for _ in range(4):
            start = time.perf_counter()
            result = torch.mm(a.t(), b)
            times.append(time.perf_counter() - start)
        return min(times), result

    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        plain, _ = fastest()
        with _OneDNN():
            other, result = fastest()
        exact = a.double().t() @ b.double()
    return other < plain and float((result - exact).norm() / exact.norm()) < 1e-5
