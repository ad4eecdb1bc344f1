"""The three cells that a search over ten thousand found best (Jozefowicz et al. 2015).

Where the paper adds ``x`` without a matrix, its width must be that of the state; where it is not, ``P x`` stands for
it, a projection without bias.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.nn.cells.parameters import check_sizes, draw_, projection, write_bias_
from seqlab.nn.reference import State


class MUT1(nn.Module):
    """MUT1 (Jozefowicz et al. 2015): the update gate does not see the state.

        z = sigm(W_xz x + b_z)
        r = sigm(W_xr x + W_hr h + b_r)
        h' = tanh(W_hh (r * h) + tanh(x) + b_h) * z + h * (1 - z)

    Shapes: ``x`` ``(B, input_size)``, state ``h`` ``(B, hidden_size)``.

    Raises:
        InputError: a size below one.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size, hidden_size)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.ih = nn.Linear(input_size, 2 * hidden_size)
        self.hh = nn.Linear(hidden_size, hidden_size, bias=False)
        self.rh = nn.Linear(hidden_size, hidden_size)
        self.project = projection(input_size, hidden_size)
        draw_(self, hidden_size)

    def step(self, x: Tensor, state: State) -> State:
        """One step in time."""
        (h,) = state
        x_z, x_r = self.ih(x).chunk(2, -1)
        z, r = torch.sigmoid(x_z), torch.sigmoid(x_r + self.hh(h))
        n = torch.tanh(self.rh(r * h) + torch.tanh(self.project(x)))
        return (h + z * (n - h),)

    def forget_bias_(self, bias: float | Tensor) -> None:
        """Start ``1 - z``, the share of ``h`` that is kept, at the pre-activation ``bias``."""
        write_bias_(-bias, 0, self.hidden_size, self.ih)


class MUT2(nn.Module):
    """MUT2 (Jozefowicz et al. 2015): the reset gate sees ``x`` without a matrix.

        z = sigm(W_xz x + W_hz h + b_z)
        r = sigm(x + W_hr h + b_r)
        h' = tanh(W_hh (r * h) + W_xh x + b_h) * z + h * (1 - z)

    Shapes: ``x`` ``(B, input_size)``, state ``h`` ``(B, hidden_size)``.

    Raises:
        InputError: a size below one.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size, hidden_size)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.ih = nn.Linear(input_size, 2 * hidden_size, bias=False)
        self.hh = nn.Linear(hidden_size, 2 * hidden_size)
        self.rh = nn.Linear(hidden_size, hidden_size)
        self.project = projection(input_size, hidden_size)
        draw_(self, hidden_size)

    def step(self, x: Tensor, state: State) -> State:
        """One step in time."""
        (h,) = state
        x_z, x_n = self.ih(x).chunk(2, -1)
        h_z, h_r = self.hh(h).chunk(2, -1)
        z, r = torch.sigmoid(x_z + h_z), torch.sigmoid(self.project(x) + h_r)
        n = torch.tanh(self.rh(r * h) + x_n)
        return (h + z * (n - h),)

    def forget_bias_(self, bias: float | Tensor) -> None:
        """Start ``1 - z``, the share of ``h`` that is kept, at the pre-activation ``bias``."""
        write_bias_(-bias, 0, self.hidden_size, self.hh)


class MUT3(nn.Module):
    """MUT3 (Jozefowicz et al. 2015): the update gate sees the state through a tanh.

        z = sigm(W_xz x + W_hz tanh(h) + b_z)
        r = sigm(W_xr x + W_hr h + b_r)
        h' = tanh(W_hh (r * h) + W_xh x + b_h) * z + h * (1 - z)

    Shapes: ``x`` ``(B, input_size)``, state ``h`` ``(B, hidden_size)``.

    Raises:
        InputError: a size below one.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size, hidden_size)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.ih = nn.Linear(input_size, 3 * hidden_size)
        self.th = nn.Linear(hidden_size, hidden_size, bias=False)
        self.hh = nn.Linear(hidden_size, hidden_size, bias=False)
        self.rh = nn.Linear(hidden_size, hidden_size, bias=False)
        draw_(self, hidden_size)

    def step(self, x: Tensor, state: State) -> State:
        """One step in time."""
        (h,) = state
        x_z, x_r, x_n = self.ih(x).chunk(3, -1)
        z, r = torch.sigmoid(x_z + self.th(torch.tanh(h))), torch.sigmoid(x_r + self.hh(h))
        n = torch.tanh(self.rh(r * h) + x_n)
        return (h + z * (n - h),)

    def forget_bias_(self, bias: float | Tensor) -> None:
        """Start ``1 - z``, the share of ``h`` that is kept, at the pre-activation ``bias``."""
        write_bias_(-bias, 0, self.hidden_size, self.ih)
