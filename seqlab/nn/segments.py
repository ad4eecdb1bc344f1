"""A recurrent encoder that reads segments of a row, rather than its steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.nn.options import check_positive, check_share
from seqlab.nn.padding import find_padding
from seqlab.nn.plain import no_script, plain_only
from seqlab.nn.recurrent import MakeCell, Recurrent
from seqlab.nn.rows import Lengths, as_lengths
from seqlab.types import Encoded


class SegmentRecurrent(nn.Module):
    """Cut a row into segments of equal length, map each to a vector, read those with a recurrent stack.

    A window of 720 steps in segments of 48 takes 15 recurrent steps: gradients reach its beginning. Source: SegRNN (Lin
    et al. 2023, section 3.2), there with a GRU and ReLU after the map.

    Segments end where the row ends: of a row that is no multiple of ``segment``, the first one begins with zeros.

    Args:
        input_size: width ``E`` of the inputs.
        segment: steps in a segment.
        cell: see ``Recurrent``.
        hidden_size: width ``D``.
        num_layers: recurrent layers.
        dropout: between layers.

    Raises:
        InputError: a size below one, or a probability out of range.
    """

    causal = False  # a segment is read as a whole
    stepwise = False  # and answered by one vector

    __prepare_scriptable__ = no_script

    def __init__(
        self,
        input_size: int,
        segment: int = 24,
        cell: str | MakeCell = "gru",
        hidden_size: int = 256,
        num_layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_positive("segment", segment)
        check_positive("hidden_size", hidden_size)
        check_share("dropout", dropout)
        self.input_size, self.segment = input_size, segment
        self.project = nn.Linear(input_size * segment, hidden_size)
        self.recurrent = Recurrent(hidden_size, cell, hidden_size, num_layers, dropout=dropout)
        self.output_size = self.recurrent.output_size

    def extra_repr(self) -> str:
        """Settings, for ``print(model)`` and the summary."""
        return f"segment={self.segment}"

    def forward(self, inputs: Tensor, lengths: Lengths = None) -> Encoded:
        """Read ``inputs`` ``(B, T, E)``; the answer has one output a segment."""
        lengths = as_lengths(lengths, inputs)
        padding = find_padding(inputs, lengths, self.input_size)
        B, T, E = inputs.shape
        counts = -(-lengths // self.segment)
        n = -(-T // self.segment) if plain_only(counts) else int(counts.max()) if B else 0
        shift = (counts * self.segment - lengths).to(inputs.device)
        if padding is None:  # all rows are whole, as windows are
            padded = nn.functional.pad(inputs, (0, 0, n * self.segment - T, 0))
        else:
            steps = torch.arange(n * self.segment, device=inputs.device) - shift.unsqueeze(1)
            inside = (steps >= 0) & (steps < lengths.to(inputs.device).unsqueeze(1))
            index = steps.clamp(0, max(T - 1, 0)).unsqueeze(2).expand(-1, -1, E)
            padded = inputs.gather(1, index) * inside.unsqueeze(2)
        segments = torch.relu(self.project(padded.reshape(B, n, self.segment * E)))
        encoded: Encoded = self.recurrent(segments.to(inputs.dtype), counts)
        return encoded
