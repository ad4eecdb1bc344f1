"""What the cells' constructors share: checks of sizes, the first values of parameters, biases written gate by gate."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.nn.options import check_positive


def check_sizes(input_size: int, hidden_size: int) -> None:
    """Refuse a cell without inputs or without units.

    Raises:
        InputError: a size below one.
    """
    check_positive("input_size", input_size)
    check_positive("hidden_size", hidden_size)


@torch.no_grad()
def draw_(cell: nn.Module, hidden_size: int) -> None:
    """Draw all of a cell's linear maps as torch's recurrent modules do: ``U(-1, 1) / sqrt(hidden_size)``."""
    bound = hidden_size**-0.5
    for part in cell.modules():
        if isinstance(part, nn.Linear):
            for parameter in part.parameters():
                parameter.uniform_(-bound, bound)


def draw_vector(hidden_size: int, low: float, high: float) -> nn.Parameter:
    """A parameter with one number for each unit, ``(hidden_size,)``, from ``U(low, high)``."""
    return nn.Parameter(torch.empty(hidden_size).uniform_(low, high))


@torch.no_grad()
def write_bias_(bias: float | Tensor, gate: int, hidden_size: int, first: nn.Linear, *others: nn.Linear) -> None:
    """Let a gate's pre-activation start at ``bias``, a number or ``(hidden_size,)``.

    The gate is the ``gate``-th block of units in every map. Their biases are added up in the cell: the first map gets
    the value, the others zero.
    """
    rows = slice(gate * hidden_size, (gate + 1) * hidden_size)
    first.bias[rows] = bias
    for other in others:
        other.bias[rows] = 0.0


def projection(input_size: int, hidden_size: int) -> nn.Module:
    """``x`` itself where it is as wide as the state, else a linear map to that width."""
    return nn.Identity() if input_size == hidden_size else nn.Linear(input_size, hidden_size, bias=False)
