"""Initial weights of a cell, and which of its linear maps read the input and which the state."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from seqlab.nn.options import check_finite
from seqlab.types import InputError

Init = Literal["uniform", "orthogonal", "identity"]


def linear_maps(cell: Any) -> tuple[dict[str, nn.Linear], dict[str, nn.Linear]]:
    """The ``nn.Linear`` submodules of a cell by name: those that read ``x`` itself, and all others.

    Found by one step on zeros, so it holds for any cell.
    """
    reads_input: dict[nn.Module, bool] = {}
    maps = {name: module for name, module in cell.named_modules() if isinstance(module, nn.Linear)}
    if not maps:
        return {}, {}
    weight = next(cell.parameters())
    x = weight.new_zeros(1, cell.input_size)

    def note(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        reads_input[module] = args[0] is x

    handles = [module.register_forward_pre_hook(note) for module in maps.values()]
    try:
        with torch.no_grad():
            noise = (tuple(mask.expand(1, 1, -1)[0] for mask in cell.masks(1, 1, x)),) if num_masks(cell) else ()
            cell.step(x, initial_state(cell, 1, x), *noise)
    finally:
        for handle in handles:
            handle.remove()
    inputs = {name: module for name, module in maps.items() if reads_input.get(module, True)}
    return inputs, {name: module for name, module in maps.items() if name not in inputs}


def num_masks(cell: Any) -> int:
    """How many masks the cell's ``step`` takes."""
    return int(getattr(cell, "num_masks", 0))


def state_shapes(cell: Any) -> tuple[tuple[int, ...], ...]:
    """Shape of each part of a cell's state, without ``B``."""
    shapes = getattr(cell, "state_shapes", None)
    return tuple(map(tuple, shapes)) if shapes else ((cell.hidden_size,),) * getattr(cell, "num_states", 1)


def initial_state(cell: Any, B: int, like: Tensor) -> tuple[Tensor, ...]:
    """Zeros for each part of the state, ``(B, ...)``, in the dtype and on the device of ``like``."""
    return tuple(like.new_zeros(B, *shape) for shape in state_shapes(cell))


@torch.no_grad()
def initialize(cell: Any, init: Init, forget_bias: float | None = None, max_lag: int | None = None) -> None:
    """Set a cell's initial weights.

    * ``uniform`` keeps what the cell drew when it was made, U(-1, 1) / sqrt(hidden_size) as in torch.
    * ``orthogonal``, gate by gate: input maps Xavier uniform (Glorot and Bengio 2010), recurrent ones orthogonal (Saxe
      et al. 2014), biases zero: for long lags.
    * ``identity``: recurrent maps the identity, gate by gate, biases zero, input maps as drawn (IRNN: Le, Jaitly and
      Hinton 2015, meant for the ReLU network).

    Args:
        cell: any cell.
        init: the scheme for its ``nn.Linear`` maps.
        forget_bias: where the gate that keeps the memory starts, before its sigmoid (Jozefowicz et al. 2015: 1).
        max_lag: the longest lag expected, in steps, at least 2: chrono initialisation (Tallec and Ollivier 2018, eq.
            14): forget biases ``log U(1, max_lag - 1)``, and the input gate's the negative of it. What a cell without
            such a gate cannot use, and what ``forget_bias`` says otherwise.

    Raises:
        InputError: a forget bias for a cell without a forget gate, or a ``max_lag`` below 2.
    """
    if init != "uniform":
        inputs, recurrent = linear_maps(cell)
        for module in (*inputs.values(), *recurrent.values()):
            if module.bias is not None:
                module.bias.zero_()
        for module in inputs.values() if init == "orthogonal" else ():
            for gate in module.weight.split(_gate(module, cell)):
                nn.init.xavier_uniform_(gate)
        for module in recurrent.values():
            for gate in module.weight.split(_gate(module, cell)):
                if init == "orthogonal":
                    nn.init.orthogonal_(gate)
                else:
                    nn.init.eye_(gate)
    if max_lag is not None and max_lag < 2:
        raise InputError(f"max_lag={max_lag} is no lag to prepare for: give the longest one in steps, at least 2")
    if forget_bias is not None:
        if not hasattr(cell, "forget_bias_"):
            kind = type(cell).__name__
            raise InputError(f"forget_bias sets the gate that keeps the memory, and {kind} has none: leave it null")
        check_finite("forget_bias", forget_bias)
        cell.forget_bias_(forget_bias)
    elif max_lag is not None and hasattr(cell, "forget_bias_"):
        bias = torch.empty(cell.hidden_size).uniform_(1.0, max(1.0, max_lag - 1.0)).log_()
        cell.forget_bias_(bias)
        if hasattr(cell, "input_bias_"):
            cell.input_bias_(-bias)


def _gate(module: nn.Linear, cell: Any) -> int:
    """Rows of one gate's matrix: ``hidden_size`` where the map stacks whole gates, else all of its rows."""
    return cell.hidden_size if module.out_features % cell.hidden_size == 0 else module.out_features
