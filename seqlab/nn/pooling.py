"""From ``Encoded`` to one vector a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from seqlab.nn.options import check_choice, check_positive
from seqlab.nn.plain import plain_only
from seqlab.types import Encoded, InputError, mask

PoolKind = Literal["last", "mean", "max", "attention"]


class Pooling(nn.Module):
    """Summarise an encoder's outputs over time: ``Encoded`` of width ``size`` to ``(B, output_size)``.

    Padding counts for nothing and an empty row gives zeros. Several kinds are concatenated in the order given.

    * ``last``: the encoder's ``final``.
    * ``mean``, ``max``: over the valid steps.
    * ``attention``: mean weighted by ``softmax(v . tanh(W h + b))`` with learned ``v``, ``W``, ``b`` (additive scoring
      of Bahdanau et al. 2015 with a learned query, as in Yang et al. 2016).

    Args:
        size: ``D``.
        kinds: one or several of ``last | mean | max | attention``.

    Raises:
        InputError: no kind, or an unknown one.
    """

    def __init__(self, size: int, kinds: PoolKind | Sequence[PoolKind] = "last") -> None:
        super().__init__()
        self.kinds: tuple[str, ...] = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        check_positive("size", size)
        if not self.kinds:
            raise InputError(f"pooling is empty: choose one or several of {', '.join(get_args(PoolKind))}")
        for kind in self.kinds:
            check_choice("pooling", kind, get_args(PoolKind))
        self.output_size = size * len(self.kinds)
        if "attention" in self.kinds:
            self.projection = nn.Linear(size, size)
            self.query = nn.Parameter(torch.empty(size).uniform_(-(size**-0.5), size**-0.5))

    def forward(self, encoded: Encoded) -> Tensor:
        """``(B, output_size)``, in the dtype of the encoder's outputs."""
        pooled = [encoded.final if kind == "last" else self._pool(kind, encoded) for kind in self.kinds]
        return pooled[0] if len(pooled) == 1 else torch.cat(pooled, 1)

    def extra_repr(self) -> str:
        """The kinds, for ``print(model)`` and the summary."""
        return ", ".join(self.kinds)

    def _pool(self, kind: str, encoded: Encoded) -> Tensor:
        outputs = encoded.outputs
        T = outputs.shape[1]
        if T == 0:
            return torch.zeros_like(encoded.final)
        if kind == "mean":
            # Outputs are zero at padding, so the sum needs no mask.
            return outputs.sum(1) / encoded.lengths.clamp(min=1).unsqueeze(1).to(outputs.device)
        padded = plain_only(encoded.lengths) or bool((encoded.lengths < T).any())
        padding = ~mask(encoded.lengths, T).to(outputs.device) if padded else None
        return _max(outputs, padding) if kind == "max" else self._attend(outputs, padding)

    def _attend(self, outputs: Tensor, padding: Tensor | None) -> Tensor:
        # Autocast would round the weights to 8 bits and copy the outputs.
        with torch.autocast("cpu" if outputs.is_meta else outputs.device.type, enabled=False):
            scores = torch.tanh(self.projection(outputs)) @ self.query
            if padding is not None:
                # The lowest finite number, not -inf: an empty row then weighs its zeros evenly, without NaN.
                scores = scores.masked_fill(padding, torch.finfo(scores.dtype).min)
            return torch.bmm(scores.softmax(1).unsqueeze(1), outputs).squeeze(1)


def _max(outputs: Tensor, padding: Tensor | None) -> Tensor:
    """``(B, D)``: the greatest over time; ``padding`` ``(B, T)`` is True where a step does not count.

    Finds the steps without gradient and gathers there: the copy without padding is then no part of the backward pass.
    """
    with torch.no_grad():
        visible = outputs
        if padding is not None:
            lowest = torch.finfo(outputs.dtype).min
            visible = outputs + padding.unsqueeze(2).to(outputs.dtype) * lowest
        steps = visible.max(1, keepdim=True).indices
    return outputs.gather(1, steps).squeeze(1)
