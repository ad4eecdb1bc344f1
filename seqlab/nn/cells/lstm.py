"""Long short-term memories: a gated cell ``c`` beside the output ``h``."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.nn.cells.parameters import check_sizes, draw_, write_bias_
from seqlab.nn.options import check_share
from seqlab.nn.reference import State


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
