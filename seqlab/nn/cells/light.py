"""Light recurrences: no matrix from state to state, so that all products with ``x`` are one.

Where the gates see ``x`` alone, a sequence needs no loop: ``parallel`` reads it as a whole, by ``linear_scan``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqlab.nn.cells.linear_scan import linear_scan
from seqlab.nn.cells.parameters import check_sizes, draw_, draw_vector, projection, write_bias_
from seqlab.nn.reference import State


class MinGRU(nn.Module):
    """The minimal GRU (Feng et al. 2024, section 3.1).

        z = sigm(W_z x + b_z)
        n = W_n x + b_n
        h' = (1 - z) * h + z * n

    This is the paper's plain form. Its other one works on logarithms, and so only with positive states, because the
    paper's parallel scan would overflow; ``linear_scan`` does not.

    Shapes: ``x`` ``(B, input_size)``, state ``h`` ``(B, hidden_size)``.

    Raises:
        InputError: a size below one.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size, hidden_size)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.ih = nn.Linear(input_size, 2 * hidden_size)
        draw_(self, hidden_size)

    def step(self, x: Tensor, state: State) -> State:
        """One step in time."""
        (h,) = state
        z, n = self._gates(x)
        return (h + z * (n - h),)

    def parallel(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All steps of ``x`` ``(T, B, input_size)``: the outputs ``(T, B, hidden_size)`` and the last state."""
        (h,) = state
        z, n = self._gates(x)
        z = z.to(h.dtype)  # under autocast 1 - z must not be rounded to bfloat16, which has nothing between 0.996 and 1
        y = linear_scan(1 - z, z * n, h)
        return y, (y[-1],)

    def forget_bias_(self, bias: float | Tensor) -> None:
        """Start ``1 - z``, the share of ``h`` that is kept, at the pre-activation ``bias``."""
        write_bias_(-bias, 0, self.hidden_size, self.ih)

    def _gates(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z, n = self.ih(x).chunk(2, -1)
        return torch.sigmoid(z), n


class MinLSTM(nn.Module):
    """The minimal LSTM (Feng et al. 2024, section 3.2), its gates scaled to a sum of one.

        f = sigm(W_f x + b_f),   i = sigm(W_i x + b_i),   n = W_n x + b_n
        h' = f / (f + i) * h + i / (f + i) * n

    The plain form, as for ``MinGRU``. ``f / (f + i)`` is computed as ``sigm(log f - log i)``, which stays finite where
    both gates are closed.

    Shapes: ``x`` ``(B, input_size)``, state ``h`` ``(B, hidden_size)``.

    Raises:
        InputError: a size below one.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size, hidden_size)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.ih = nn.Linear(input_size, 3 * hidden_size)
        draw_(self, hidden_size)

    def step(self, x: Tensor, state: State) -> State:
        """One step in time."""
        (h,) = state
        keep, n = self._gates(x)
        return (n + keep * (h - n),)

    def parallel(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All steps of ``x`` ``(T, B, input_size)``: the outputs ``(T, B, hidden_size)`` and the last state."""
        (h,) = state
        keep, n = self._gates(x)
        keep = keep.to(h.dtype)
        y = linear_scan(keep, (1 - keep) * n, h)
        return y, (y[-1],)

    def forget_bias_(self, bias: float | Tensor) -> None:
        """Start the forget gate, before the scaling, at the pre-activation ``bias``."""
        write_bias_(bias, 0, self.hidden_size, self.ih)

    def input_bias_(self, bias: float | Tensor) -> None:
        """Start the input gate, before the scaling, at the pre-activation ``bias``."""
        write_bias_(bias, 1, self.hidden_size, self.ih)

    def _gates(self, x: Tensor) -> tuple[Tensor, Tensor]:
        f, i, n = self.ih(x).chunk(3, -1)
        return torch.sigmoid(F.softplus(-i) - F.softplus(-f)), n


class QRNN(nn.Module):
    """The quasi-recurrent network with fo-pooling (Bradbury et al. 2017, equation 4).

        n = tanh(W_n x + b_n),   f = sigm(W_f x + b_f),   o = sigm(W_o x + b_o)
        c' = f * c + (1 - f) * n
        h' = o * c'

    The paper's convolution over time has width 1 here, so that a step is a function of ``x`` and the state alone; a
    wider one is a convolution before the cell.

    Shapes: ``x`` ``(B, input_size)``, states ``h`` and ``c`` ``(B, hidden_size)``, of which ``h`` is not read.

    Raises:
        InputError: a size below one.
    """

    num_states = 2

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size, hidden_size)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.ih = nn.Linear(input_size, 3 * hidden_size)
        draw_(self, hidden_size)

    def step(self, x: Tensor, state: State) -> State:
        """One step in time."""
        _, c = state
        f, n, o = self._gates(x)
        c = n + f * (c - n)
        return o * c, c

    def parallel(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """All steps of ``x`` ``(T, B, input_size)``: the outputs ``(T, B, hidden_size)`` and the last states."""
        _, c = state
        f, n, o = self._gates(x)
        f = f.to(c.dtype)
        cells = linear_scan(f, (1 - f) * n, c)
        y = o * cells
        return y, (y[-1], cells[-1])

    def forget_bias_(self, bias: float | Tensor) -> None:
        """Start the forget gate at the pre-activation ``bias``."""
        write_bias_(bias, 0, self.hidden_size, self.ih)

    def _gates(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        f, n, o = self.ih(x).chunk(3, -1)
        return torch.sigmoid(f), torch.tanh(n), torch.sigmoid(o)


class SRU(nn.Module):
    """The simple recurrent unit (Lei et al. 2018, equations 1 to 4).

        f = sigm(W_f x + v_f * c + b_f)
        c' = f * c + (1 - f) * (W x)
        r = sigm(W_r x + v_r * c + b_r)
        h' = r * c' + (1 - r) * x

    ``v`` makes the gates see the state, each unit its own; with it there is no form without a loop. ``x`` in the last
    line, the highway, is ``P x``, a projection without bias, where it is not as wide as the state.

    Shapes: ``x`` ``(B, input_size)``, states ``h`` and ``c`` ``(B, hidden_size)``, of which ``h`` is not read; ``v_f``
    and ``v_r`` ``(hidden_size,)``.

    Raises:
        InputError: a size below one.
    """

    num_states = 2

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size, hidden_size)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.ih = nn.Linear(input_size, 2 * hidden_size)
        self.candidate = nn.Linear(input_size, hidden_size, bias=False)
        self.project = projection(input_size, hidden_size)
        bound = hidden_size**-0.5
        self.v_f, self.v_r = (draw_vector(hidden_size, -bound, bound) for _ in range(2))
        draw_(self, hidden_size)

    def step(self, x: Tensor, state: State) -> State:
        """One step in time."""
        _, c = state
        f, r = self.ih(x).chunk(2, -1)
        f, r = torch.sigmoid(f + self.v_f * c), torch.sigmoid(r + self.v_r * c)
        n, skip = self.candidate(x), self.project(x)
        c = n + f * (c - n)
        return skip + r * (c - skip), c

    def forget_bias_(self, bias: float | Tensor) -> None:
        """Start the forget gate at the pre-activation ``bias``."""
        write_bias_(bias, 0, self.hidden_size, self.ih)
