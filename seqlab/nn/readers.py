"""Encoders without recurrence, the yardsticks of the recurrent ones: bag of words, concatenating MLP, convolution."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqlab.nn.options import check_positive
from seqlab.nn.padding import find_padding
from seqlab.nn.rows import Lengths, as_lengths
from seqlab.types import Encoded, InputError


class BagOfWords(nn.Module):
    """Words without their order: outputs are the word vectors themselves, ``final`` is their mean.

    ``(B, T, input_size)`` to ``Encoded`` of the same width; no parameters. Source: fastText (Joulin et al. 2017).
    """

    def __init__(self, input_size: int) -> None:
        super().__init__()
        check_positive("input_size", input_size)
        self.output_size = input_size

    def forward(self, inputs: Tensor, lengths: Lengths = None) -> Encoded:
        """Read ``inputs`` ``(B, T, E)`` up to ``lengths`` ``(B,)``, whole without."""
        lengths = as_lengths(lengths, inputs)
        padding = find_padding(inputs, lengths, self.output_size)
        outputs = inputs if padding is None else padding.clear(inputs).to(inputs.dtype)
        counts = lengths.clamp(min=1).unsqueeze(1).to(inputs.device)
        return Encoded(outputs, outputs.sum(1) / counts, lengths)


class ConcatMLP(nn.Module):
    """The first ``length`` word vectors side by side, zero-padded, through one hidden layer with ReLU.

    ``(B, T, input_size)`` to ``Encoded`` with a single step: outputs ``(B, 1, hidden_size)``, whose lengths are 1, and
    0 for an empty row. Source: Bengio et al. 2003, the hidden layer of a neural language model.

    Args:
        input_size: ``E``.
        length: how many positions are read; what follows is not seen.
        hidden_size: units of the hidden layer.
    """

    stepwise = False
    """One output for a whole row."""

    def __init__(self, input_size: int, length: int = 64, hidden_size: int = 128) -> None:
        super().__init__()
        check_positive("input_size", input_size)
        check_positive("length", length)
        check_positive("hidden_size", hidden_size)
        self.input_size, self.length, self.output_size = input_size, length, hidden_size
        self.hidden = nn.Linear(length * input_size, hidden_size)

    def forward(self, inputs: Tensor, lengths: Lengths = None) -> Encoded:
        """Read ``inputs`` ``(B, T, E)`` up to ``lengths`` ``(B,)``, whole without."""
        lengths = as_lengths(lengths, inputs)
        padding = find_padding(inputs, lengths, self.input_size)
        B, T, _ = inputs.shape
        x = inputs[:, : self.length]
        if padding is not None:
            x = x * padding.keep[:, : self.length]
        x = F.pad(x, (0, 0, 0, max(0, self.length - T))).reshape(B, -1)
        final = self.hidden(x).relu().to(inputs.dtype)
        seen = lengths.clamp(max=1)
        if T == 0 or (padding is not None and padding.empty):
            final = final * seen.unsqueeze(1).to(final)
        return Encoded(final.unsqueeze(1), final, seen)


class Convolution(nn.Module):
    """Convolutions over time with ReLU, one for each kernel size, side by side; weights are shared by all positions.

    ``(B, T, input_size)`` to ``Encoded`` of width ``channels * len(kernel_sizes)`` and unchanged ``T``. Source: Kim
    2014, meant for ``max`` pooling. A kernel of size ``k`` sees ``k // 2`` positions before its own and the rest from
    there on.

    Args:
        input_size: ``E``.
        channels: filters of each kernel size.
        kernel_sizes: one or several widths in positions.
    """

    def __init__(self, input_size: int, channels: int = 100, kernel_sizes: int | Sequence[int] = (3, 4, 5)) -> None:
        super().__init__()
        sizes = [kernel_sizes] if isinstance(kernel_sizes, int) else list(kernel_sizes)
        check_positive("input_size", input_size)
        check_positive("channels", channels)
        if not sizes:
            raise InputError("kernel_sizes is empty: give at least one kernel size, such as 3")
        for size in sizes:
            check_positive("kernel_sizes", size)
        self.input_size, self.output_size = input_size, channels * len(sizes)
        self.convolutions = nn.ModuleList([nn.Conv1d(input_size, channels, k, padding=k // 2) for k in sizes])

    def forward(self, inputs: Tensor, lengths: Lengths = None) -> Encoded:
        """Read ``inputs`` ``(B, T, E)`` up to ``lengths`` ``(B,)``, whole without."""
        lengths = as_lengths(lengths, inputs)
        padding = find_padding(inputs, lengths, self.input_size)
        B, T, _ = inputs.shape
        if B == 0 or T == 0:
            zeros = inputs.new_zeros(B, T, self.output_size)
            return Encoded(zeros, inputs.new_zeros(B, self.output_size), lengths)
        # A filter near the end must see zeros after it, as it would if there were no padding.
        x = (inputs if padding is None else padding.clear(inputs)).transpose(1, 2)
        # An even kernel answers T + 1 positions; the last belongs to no word.
        outputs = torch.cat([conv(x)[:, :, :T] for conv in self.convolutions], 1).relu().transpose(1, 2)
        if padding is not None:
            outputs = padding.clear(outputs)
        outputs = outputs.to(inputs.dtype)
        return Encoded(outputs, outputs[:, -1] if padding is None else padding.last(outputs), lengths)
