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


class ResetBeforeGRU(nn.Module):
    """The GRU whose reset gate acts on the state before the recurrent product.

        r = sigm(W_xr x + W_hr h + b_r)
        z = sigm(W_xz x + W_hz h + b_z)
        n = tanh(W_xn x + W_hn (r * h) + b_n)
        h' = z * h + (1 - z) * n        (Cho et al. 2014, equations 5 to 8)
        h' = (1 - z) * h + z * n        (Chung et al. 2014), where ``update_is_new``

    Shapes: ``x`` ``(B, input_size)``, state ``h`` ``(B, hidden_size)``.

    Args:
        input_size: width of ``x``.
        hidden_size: units.
        update_is_new: whether the update gate is the share of what is new, or of what is kept.

    Raises:
        InputError: a size below one.
    """

    def __init__(self, input_size: int, hidden_size: int, update_is_new: bool = False) -> None:
        super().__init__()
        check_sizes(input_size, hidden_size)
        self.input_size, self.hidden_size, self.update_is_new = input_size, hidden_size, update_is_new
        self.ih = nn.Linear(input_size, 3 * hidden_size)
        self.hh = nn.Linear(hidden_size, 2 * hidden_size, bias=False)
        self.rh = nn.Linear(hidden_size, hidden_size, bias=False)
        draw_(self, hidden_size)

    def step(self, x: Tensor, state: State) -> State:
        """One step in time."""
        (h,) = state
        x_r, x_z, x_n = self.ih(x).chunk(3, -1)
        h_r, h_z = self.hh(h).chunk(2, -1)
        r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
        n = torch.tanh(x_n + self.rh(r * h))
        return (h + z * (n - h) if self.update_is_new else n + z * (h - n),)

    def forget_bias_(self, bias: float | Tensor) -> None:
        """Start the share of ``h`` that is kept at the pre-activation ``bias``."""
        write_bias_(-bias if self.update_is_new else bias, 1, self.hidden_size, self.ih)


class MGU(nn.Module):
    """The minimal gated unit (Zhou et al. 2016): one gate is both reset and update.

        f = sigm(W_xf x + W_hf h + b_f)
        n = tanh(W_xn x + W_hn (f * h) + b_n)
        h' = (1 - f) * h + f * n

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
        self.fh = nn.Linear(hidden_size, hidden_size, bias=False)
        draw_(self, hidden_size)

    def step(self, x: Tensor, state: State) -> State:
        """One step in time."""
        (h,) = state
        x_f, x_n = self.ih(x).chunk(2, -1)
        f = torch.sigmoid(x_f + self.hh(h))
        n = torch.tanh(x_n + self.fh(f * h))
        return (h + f * (n - h),)

    def forget_bias_(self, bias: float | Tensor) -> None:
        """Start ``1 - f``, the share of ``h`` that is kept, at the pre-activation ``bias``."""
        write_bias_(-bias, 0, self.hidden_size, self.ih)


class UGRNN(nn.Module):
    """The update gate RNN (Collins et al. 2017): an Elman network with a gate that keeps the old state.

        n = tanh(W_xn x + W_hn h + b_n)
        z = sigm(W_xz x + W_hz h + b_z)
        h' = z * h + (1 - z) * n

    Shapes: ``x`` ``(B, input_size)``, state ``h`` ``(B, hidden_size)``.

    Raises:
        InputError: a size below one.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size, hidden_size)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.ih = nn.Linear(input_size, 2 * hidden_size)
        self.hh = nn.Linear(hidden_size, 2 * hidden_size, bias=False)
        draw_(self, hidden_size)

    def step(self, x: Tensor, state: State) -> State:
        """One step in time."""
        (h,) = state
        z, n = (self.ih(x) + self.hh(h)).chunk(2, -1)
        z, n = torch.sigmoid(z), torch.tanh(n)
        return (n + z * (h - n),)

    def forget_bias_(self, bias: float | Tensor) -> None:
        """Start the gate, which keeps ``h``, at the pre-activation ``bias``."""
        write_bias_(bias, 0, self.hidden_size, self.ih)
