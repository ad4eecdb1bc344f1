"""Long short-term memories: a gated cell ``c`` beside the output ``h``."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from seqlab.nn.cells.parameters import check_sizes, draw_, draw_vector, write_bias_
from seqlab.nn.options import check_choice, check_positive, check_share
from seqlab.nn.reference import State

Peephole = Literal["new", "old"]


class LSTM(nn.Module):
    """The LSTM with forget gate (Hochreiter and Schmidhuber 1997; Gers et al. 2000), as ``nn.LSTM`` computes it.

        i, f, o = sigm(W_i x + b_i + W_h h + b_h), each gate with its own rows
        g = tanh(W_ig x + b_ig + W_hg h + b_hg)
        c' = f * c + i * g
        h' = o * tanh(c')

    Shapes: ``x`` ``(B, input_size)``, states ``h`` and ``c`` ``(B, hidden_size)``; gates in the order i, f, g, o.

    Args:
        input_size: width of ``x``.
        hidden_size: units.
        output_tanh: False leaves the tanh out of the output: ``h' = o * c'``.
        candidate_dropout: in training, zero the candidate ``g`` of a unit with this probability, anew at every step,
            so that what the cell already holds is never lost (Semeniuta et al. 2016).

    Raises:
        InputError: a size below one, or a probability outside ``[0, 1)``.
    """

    num_states = 2

    def __init__(
        self, input_size: int, hidden_size: int, output_tanh: bool = True, candidate_dropout: float = 0.0
    ) -> None:
        super().__init__()
        check_sizes(input_size, hidden_size)
        check_share("candidate_dropout", candidate_dropout)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.output_tanh, self.candidate_dropout = output_tanh, candidate_dropout
        self.num_masks = 1 if candidate_dropout else 0
        self.ih = nn.Linear(input_size, 4 * hidden_size)
        self.hh = nn.Linear(hidden_size, 4 * hidden_size)
        draw_(self, hidden_size)

    def step(self, x: Tensor, state: State, masks: State = ()) -> State:
        """One step in time."""
        h, c = state
        i, f, g, o = (self.ih(x) + self.hh(h)).chunk(4, -1)
        i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
        if masks:
            g = g * masks[0]
        c = f * c + i * g
        return o * (torch.tanh(c) if self.output_tanh else c), c

    def masks(self, T: int, B: int, like: Tensor) -> State:
        """What multiplies the candidate: ``(T, B, hidden_size)`` in training, one in evaluation."""
        if not self.training:
            return (like.new_ones(B, self.hidden_size),)
        keep = 1 - self.candidate_dropout
        return (like.new_empty(T, B, self.hidden_size).bernoulli_(keep).div_(keep),)

    def forget_bias_(self, bias: float | Tensor) -> None:
        """Start the forget gate at the pre-activation ``bias`` (Jozefowicz et al. 2015: 1)."""
        write_bias_(bias, 1, self.hidden_size, self.ih, self.hh)

    def input_bias_(self, bias: float | Tensor) -> None:
        """Start the input gate at the pre-activation ``bias``."""
        write_bias_(bias, 0, self.hidden_size, self.ih, self.hh)

    @property
    def torch_kind(self) -> str | None:
        """Which of torch's modules computes the same, if any."""
        return "lstm" if self.output_tanh and not self.num_masks else None

    def torch_weights(self) -> list[Tensor]:
        """The parameters in the order of ``torch.lstm``."""
        return [self.ih.weight, self.hh.weight, self.ih.bias, self.hh.bias]


class CoupledLSTM(nn.Module):
    """The LSTM with one gate for both input and forgetting, CIFG (Greff et al. 2017): ``i = 1 - f``.

        f, o = sigm(W_x x + W_h h + b), each gate with its own rows
        g = tanh(W_xg x + W_hg h + b_g)
        c' = f * c + (1 - f) * g
        h' = o * tanh(c')

    Shapes: ``x`` ``(B, input_size)``, states ``h`` and ``c`` ``(B, hidden_size)``; gates in the order f, g, o.

    Raises:
        InputError: a size below one.
    """

    num_states = 2

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size, hidden_size)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.ih = nn.Linear(input_size, 3 * hidden_size)
        self.hh = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        draw_(self, hidden_size)

    def step(self, x: Tensor, state: State) -> State:
        """One step in time."""
        h, c = state
        f, g, o = (self.ih(x) + self.hh(h)).chunk(3, -1)
        f, g, o = torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
        c = g + f * (c - g)
        return o * torch.tanh(c), c

    def forget_bias_(self, bias: float | Tensor) -> None:
        """Start the forget gate at the pre-activation ``bias``."""
        write_bias_(bias, 0, self.hidden_size, self.ih)


class PeepholeLSTM(nn.Module):
    """The LSTM whose gates see the cell, each unit its own (Gers and Schmidhuber 2000, here with tanh).

        i = sigm(W_xi x + W_hi h + p_i * c + b_i)
        f = sigm(W_xf x + W_hf h + p_f * c + b_f)
        g = tanh(W_xg x + W_hg h + b_g)
        c' = f * c + i * g
        o = sigm(W_xo x + W_ho h + p_o * c' + b_o)
        h' = o * tanh(c')

    Shapes: ``x`` ``(B, input_size)``, states ``h`` and ``c`` ``(B, hidden_size)``, ``p`` ``(hidden_size,)`` each;
    gates in the order i, f, g, o.

    Args:
        input_size: width of ``x``.
        hidden_size: units.
        output_peephole: whether the output gate sees the ``new`` cell ``c'``, or the ``old`` one like the others.

    Raises:
        InputError: an unknown ``output_peephole`` or a size below one.
    """

    num_states = 2

    def __init__(self, input_size: int, hidden_size: int, output_peephole: Peephole = "new") -> None:
        super().__init__()
        check_sizes(input_size, hidden_size)
        check_choice("output_peephole", output_peephole, get_args(Peephole))
        self.input_size, self.hidden_size, self.output_peephole = input_size, hidden_size, output_peephole
        self.ih = nn.Linear(input_size, 4 * hidden_size)
        self.hh = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        bound = hidden_size**-0.5
        self.p_i, self.p_f, self.p_o = (draw_vector(hidden_size, -bound, bound) for _ in range(3))
        draw_(self, hidden_size)

    def step(self, x: Tensor, state: State) -> State:
        """One step in time."""
        h, c = state
        i, f, g, o = (self.ih(x) + self.hh(h)).chunk(4, -1)
        i, f, g = torch.sigmoid(i + self.p_i * c), torch.sigmoid(f + self.p_f * c), torch.tanh(g)
        new = f * c + i * g
        o = torch.sigmoid(o + self.p_o * (new if self.output_peephole == "new" else c))
        return o * torch.tanh(new), new

    def forget_bias_(self, bias: float | Tensor) -> None:
        """Start the forget gate at the pre-activation ``bias``."""
        write_bias_(bias, 1, self.hidden_size, self.ih)

    def input_bias_(self, bias: float | Tensor) -> None:
        """Start the input gate at the pre-activation ``bias``."""
        write_bias_(bias, 0, self.hidden_size, self.ih)


class ProjectedLSTM(nn.Module):
    """The LSTM with a narrow output, which is also what it feeds back (Sak et al. 2014), as ``proj_size`` of torch.

        i, f, g, o and c' from x, h and c as in the LSTM
        h' = W_hr (o * tanh(c'))

    Shapes: ``x`` ``(B, input_size)``, states ``h`` ``(B, projection)`` and ``c`` ``(B, hidden_size)``.

    Args:
        input_size: width of ``x``.
        hidden_size: units of the cell.
        projection: width of the output.

    Raises:
        InputError: a size below one.
    """

    num_states = 2

    def __init__(self, input_size: int, hidden_size: int, projection: int) -> None:
        super().__init__()
        check_sizes(input_size, hidden_size)
        check_positive("projection", projection)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.state_shapes = ((projection,), (hidden_size,))
        self.ih = nn.Linear(input_size, 4 * hidden_size)
        self.hh = nn.Linear(projection, 4 * hidden_size)
        self.hr = nn.Linear(hidden_size, projection, bias=False)
        draw_(self, hidden_size)

    def step(self, x: Tensor, state: State) -> State:
        """One step in time."""
        h, c = state
        i, f, g, o = (self.ih(x) + self.hh(h)).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return self.hr(torch.sigmoid(o) * torch.tanh(c)), c

    def forget_bias_(self, bias: float | Tensor) -> None:
        """Start the forget gate at the pre-activation ``bias``."""
        write_bias_(bias, 1, self.hidden_size, self.ih, self.hh)

    def input_bias_(self, bias: float | Tensor) -> None:
        """Start the input gate at the pre-activation ``bias``."""
        write_bias_(bias, 0, self.hidden_size, self.ih, self.hh)

    @property
    def torch_kind(self) -> str | None:
        """``lstm``; None where both states are equally wide, from which torch concludes that nothing is projected."""
        return "lstm" if self.hr.out_features != self.hidden_size else None

    def torch_weights(self) -> list[Tensor]:
        """The parameters in the order of ``torch.lstm``, the projection last."""
        return [self.ih.weight, self.hh.weight, self.ih.bias, self.hh.bias, self.hr.weight]


class LayerNormLSTM(nn.Module):
    """The LSTM with layer normalisation (Ba et al. 2016, supplement, equations 20 to 22).

        i, f, o = sigm(LN(W_x x) + LN(W_h h)), each gate with its own rows
        g = tanh(LN(W_xg x) + LN(W_hg h))
        c' = f * c + i * g
        h' = o * tanh(LN(c'))

    Every LN has its own gain, first 1, and bias, first 0, so that the maps need no bias. The paper normalises the four
    gates' pre-activations as one long vector; here each gate is normalised on its own.

    Shapes: ``x`` ``(B, input_size)``, states ``h`` and ``c`` ``(B, hidden_size)``; gates in the order i, f, g, o.

    Raises:
        InputError: a size below one.
    """

    num_states = 2

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        check_sizes(input_size, hidden_size)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.ih = nn.Linear(input_size, 4 * hidden_size, bias=False)
        self.hh = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.norm_x = nn.ModuleList([nn.LayerNorm(hidden_size) for _ in range(4)])
        self.norm_h = nn.ModuleList([nn.LayerNorm(hidden_size) for _ in range(4)])
        self.norm_c = nn.LayerNorm(hidden_size)
        draw_(self, hidden_size)

    def step(self, x: Tensor, state: State) -> State:
        """One step in time."""
        h, c = state
        from_x, from_h = self.ih(x).chunk(4, -1), self.hh(h).chunk(4, -1)
        i, f, g, o = (self.norm_x[k](from_x[k]) + self.norm_h[k](from_h[k]) for k in range(4))
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(self.norm_c(c)), c

    def forget_bias_(self, bias: float | Tensor) -> None:
        """Start the forget gate at the pre-activation ``bias``."""
        self._write(1, bias)

    def input_bias_(self, bias: float | Tensor) -> None:
        """Start the input gate at the pre-activation ``bias``."""
        self._write(0, bias)

    @torch.no_grad()
    def _write(self, gate: int, bias: float | Tensor) -> None:
        self.norm_x.get_parameter(f"{gate}.bias")[:] = bias
        self.norm_h.get_parameter(f"{gate}.bias")[:] = 0.0
