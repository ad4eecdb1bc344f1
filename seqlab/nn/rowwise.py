"""Linear maps whose answers do not depend on how many rows are asked about at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from seqlab.nn.direction import Direction, autocast_bf16
from seqlab.nn.plain import plain_only
from seqlab.nn.reference import State
from seqlab.nn.rows import Rows


class RowwiseLinear:
    """``nn.Linear`` by the compiled cells' own product: each row of the answer has the same bits in any company.

    BLAS takes another way for one row than for many, with other roundings. Where nothing compiles, and under autocast,
    the map is torch's.

    Args:
        linear: whose weights are used, as they are at each call.
    """

    def __init__(self, linear: nn.Linear) -> None:
        self.linear = linear
        self._direction = Direction(_Map(linear))

    def __call__(self, rows: Tensor) -> Tensor:
        """``(N, V)`` for ``rows`` ``(N, D)``."""
        if not _exact(rows) or len(rows) == 0:
            mapped: Tensor = self.linear(rows)
            return mapped
        N = len(rows)
        start = self._direction.initial_state(N, rows)
        outputs, _ = self._direction(
            rows.unsqueeze(0), start, Rows(torch.ones(N, dtype=torch.int64), N, 1, rows.device)
        )
        return outputs.squeeze(0)

    def steps(self, N: int) -> Callable[[Tensor], Tensor]:
        """The same for exactly ``N`` rows at a time, quicker: with the weights as they are now."""
        steps = self._direction.steps(N) if _exact(self.linear.weight) else None
        return self if steps is None else steps.push


class _Map(nn.Module):
    """A linear map in the form of a cell that remembers nothing."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear
        self.input_size, self.hidden_size = linear.in_features, linear.out_features

    def step(self, x: Tensor, state: State) -> State:
        """``W x + b``."""
        return (self.linear(x),)


def _exact(rows: Tensor) -> bool:
    return rows.device.type == "cpu" and rows.dtype is torch.float32 and not autocast_bf16() and not plain_only(rows)
