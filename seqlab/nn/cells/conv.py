"""A recurrent cell on grids."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.nn.cells.parameters import check_sizes
from seqlab.nn.options import check_positive
from seqlab.nn.reference import State
from seqlab.types import InputError


class ConvLSTM(nn.Module):
    """The LSTM whose products are convolutions over a grid (Shi et al. 2015, equation 3).

        i = sigm(W_xi # x + W_hi # h + p_i * c + b_i)
        f = sigm(W_xf # x + W_hf # h + p_f * c + b_f)
        g = tanh(W_xg # x + W_hg # h + b_g)
        c' = f * c + i * g
        o = sigm(W_xo # x + W_ho # h + p_o * c' + b_o)
        h' = o * tanh(c')

    with ``#`` a convolution that keeps the grid's size, zeros beyond its border; ``p`` only where ``peephole``.

    Shapes: ``x`` ``(B, input_size, Hh, Ww)``, states ``h`` and ``c`` ``(B, hidden_size, Hh, Ww)``, ``p``
    ``(hidden_size, Hh, Ww)`` each; gates in the order i, f, g, o.

    Args:
        input_size: channels of ``x``.
        hidden_size: channels of the states.
        kernel_size: side of the convolutions' window, odd so that it has a middle.
        grid: height and width, ``(Hh, Ww)``.
        peephole: whether the gates see the cell.

    Raises:
        InputError: a size below one or an even kernel.
    """

    num_states = 2

    def __init__(
        self, input_size: int, hidden_size: int, kernel_size: int, grid: tuple[int, int], peephole: bool = False
    ) -> None:
        super().__init__()
        check_sizes(input_size, hidden_size)
        check_positive("kernel_size", kernel_size)
        if kernel_size % 2 == 0:
            raise InputError(f"kernel_size={kernel_size} has no middle, so the grid would shift: give an odd number")
        height, width = grid
        check_positive("grid height", height)
        check_positive("grid width", width)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.state_shapes = ((hidden_size, height, width),) * 2
        pad = kernel_size // 2
        self.ih = nn.Conv2d(input_size, 4 * hidden_size, kernel_size, padding=pad)
        self.hh = nn.Conv2d(hidden_size, 4 * hidden_size, kernel_size, padding=pad, bias=False)
        self.peephole = nn.Parameter(torch.zeros(3, hidden_size, height, width)) if peephole else None

    def step(self, x: Tensor, state: State) -> State:
        """One step in time."""
        h, c = state
        i, f, g, o = (self.ih(x) + self.hh(h)).chunk(4, 1)
        if self.peephole is not None:
            i, f = i + self.peephole[0] * c, f + self.peephole[1] * c
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        if self.peephole is not None:
            o = o + self.peephole[2] * c
        return torch.sigmoid(o) * torch.tanh(c), c

    @torch.no_grad()
    def forget_bias_(self, bias: float | Tensor) -> None:
        """Start the forget gate at the pre-activation ``bias``, a number or ``(hidden_size,)``."""
        assert self.ih.bias is not None
        self.ih.bias[self.hidden_size : 2 * self.hidden_size] = bias

    @torch.no_grad()
    def input_bias_(self, bias: float | Tensor) -> None:
        """Start the input gate at the pre-activation ``bias``, a number or ``(hidden_size,)``."""
        assert self.ih.bias is not None
        self.ih.bias[: self.hidden_size] = bias
