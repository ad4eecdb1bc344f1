"""Gradients of one step: their norm, their scaling, and which of them are broken."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqlab.errors import DivergedError
from seqlab.types import Batch

SMALL = 2**16
"""So many entries are copied together in less time than it takes to call torch once for each tensor."""


class NonFiniteError(DivergedError):
    """Loss or gradient of a step is not a finite number; the update did not happen."""


def gradients(parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    """The gradients that there are."""
    return [grad for p in parameters if (grad := p.grad) is not None]


def total_norm(grads: list[Tensor]) -> float:
    """2-norm of all entries together; not finite if any entry is not. The one place where a GPU is waited for."""
    if not grads[0].is_cpu:
        return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads))).item()
    if sum([grad.numel() for grad in grads]) <= SMALL:
        flat = torch._utils._flatten_dense_tensors(grads)
        return math.sqrt(torch.dot(flat, flat).item())
    return math.hypot(*[torch.linalg.vector_norm(grad).item() for grad in grads])


def rescale(
    grads: list[Tensor], norm: float, factor: float, clip_norm: float | None, clip_value: float | None
) -> float:
    """Multiplies by ``factor``, then clips, in place.

    ``g <- factor g``, then ``g <- min(1, clip_norm / ||g||) g`` (Pascanu et al. 2013), both in one multiplication or,
    where nothing changes, none; then every entry into ``[-clip_value, clip_value]``.

    Args:
        grads: all gradients.
        norm: their ``total_norm``, finite.
        factor: positive.
        clip_norm: largest allowed norm.
        clip_value: largest allowed size of one entry.

    Returns:
        The norm that they have then.
    """
    after = norm * factor
    if clip_norm is not None and after > clip_norm:
        factor, after = clip_norm / norm, clip_norm
    if factor != 1.0:
        torch._foreach_mul_(grads, factor)
    if clip_value is not None:
        torch._foreach_clamp_min_(grads, -clip_value)
        torch._foreach_clamp_max_(grads, clip_value)
        after = total_norm(grads)
    return after


def describe_broken(model: nn.Module, batches: Sequence[Batch], step: int, loss: float, norm: float) -> str:
    """One sentence on a step whose loss or gradient is not a finite number."""
    broken = [n for n, p in model.named_parameters() if p.grad is not None and not bool(p.grad.isfinite().all())]
    weights = [n for n, p in model.named_parameters() if not bool(p.detach().isfinite().all())]
    rows = [int(row) for batch in batches for row in batch.index]
    where = f"non-finite gradients in {_some(broken)}" if broken else "every single gradient entry finite"
    if weights:
        where += f", weights already non-finite in {_some(weights)}"
    return (
        f"Training stopped before the update of step {step}: loss {loss:g}, gradient norm {norm:g}, {where}, "
        f"batch rows {_some(rows, 64)}; lower optim.lr, set trainer.clip_norm, or look at these rows."
    )


def _some(items: Sequence[object], most: int = 8) -> str:
    shown = ", ".join(str(item) for item in items[:most])
    return f"{shown} and {len(items) - most} more" if len(items) > most else shown
