"""Gated recurrent units: one state, which an update gate mixes with a new candidate."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.nn.cells.parameters import check_sizes, draw_, write_bias_
from seqlab.nn.reference import State


class GRU(nn.Module):
    """The gated recurrent unit, as ``nn.GRU`` computes it: the reset gate acts after the recurrent product.

        r = sigm(W_ir x + b_ir + W_hr h + b_hr)
        z = sigm(W_iz x + b_iz + W_hz h + b_hz)
        n = tanh(W_in x + b_in + r * (W_hn h + b_hn))
        h' = (1 - z) * n + z * h

    Source: Cho et al. 2014, in the variant of version 1 of that paper. Shapes: ``x`` ``(B, input_size)``, state ``h``
    ``(B, hidden_size)``; gates in the order r, z, n.

    Raises:
        InputError: a size below one.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size, hidden_size)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.ih = nn.Linear(input_size, 3 * hidden_size)
        self.hh = nn.Linear(hidden_size, 3 * hidden_size)
        draw_(self, hidden_size)

    def step(self, x: Tensor, state: State) -> State:
        """One step in time."""
        (h,) = state
        x_r, x_z, x_n = self.ih(x).chunk(3, -1)
        h_r, h_z, h_n = self.hh(h).chunk(3, -1)
        r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
        n = torch.tanh(x_n + r * h_n)
        return (n + z * (h - n),)

    def forget_bias_(self, bias: float | Tensor) -> None:
        """Start the update gate, which keeps ``h``, at the pre-activation ``bias``."""
        write_bias_(bias, 1, self.hidden_size, self.ih, self.hh)

    @property
    def torch_kind(self) -> str | None:
        """Which of torch's modules computes the same."""
        return "gru"

    def torch_weights(self) -> list[Tensor]:
        """The parameters in the order of ``torch.gru``."""
        return [self.ih.weight, self.hh.weight, self.ih.bias, self.hh.bias]
