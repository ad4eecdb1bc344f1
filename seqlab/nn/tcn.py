"""A temporal convolutional network: dilated causal convolutions, what a long memory costs without recurrence."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm as normalise

from seqlab.nn.options import check_positive, check_share
from seqlab.nn.padding import find_padding
from seqlab.types import Encoded, InputError

LAYERS = 6
"""Depth where none is given: with kernels of 8 steps, output t sees 883 of them."""


class TCN(nn.Module):
    """Blocks of two dilated causal convolutions around a residual connection; block ``k`` has dilation ``2**k``.

    ``(B, T, input_size)`` to ``Encoded`` of width ``output_size``. Output ``t`` depends on inputs up to ``t`` alone, on
    the last ``receptive_field`` of them. Sources: Bai, Kolter and Koltun 2018, figure 1; dilation in powers of two: van
    den Oord et al. 2016.

    Args:
        input_size: ``E``.
        hidden_size: channels of every block, or one number a block.
        num_layers: blocks; None is the length of ``hidden_size``, or 6 where that is a single number.
        kernel_size: steps that one convolution reads, ``2**k`` apart in block ``k``.
        dropout: after each convolution, on whole channels (spatial dropout: Tompson et al. 2015).
        weight_norm: learn each filter's length and direction apart (Salimans and Kingma 2016).

    Attributes:
        receptive_field: how many steps, its own included, an output can see:
            ``1 + 2 (kernel_size - 1) (2**num_layers - 1)``.

    Raises:
        InputError: a size below one, a probability outside ``[0, 1)``, or a ``num_layers`` that contradicts
            ``hidden_size``.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int] = 64,
        num_layers: int | None = None,
        kernel_size: int = 8,
        dropout: float = 0.0,
        weight_norm: bool = True,
    ) -> None:
        super().__init__()
        check_positive("input_size", input_size)
        check_positive("kernel_size", kernel_size)
        check_share("dropout", dropout)
        widths = _widths(hidden_size, num_layers)
        self.input_size, self.output_size = input_size, widths[-1]
        self.receptive_field = 1 + 2 * (kernel_size - 1) * (2 ** len(widths) - 1)
        self.blocks = nn.ModuleList(
            [
                Block(before, width, kernel_size, 2**k, dropout, weight_norm)
                for k, (before, width) in enumerate(zip([input_size, *widths], widths, strict=False))
            ]
        )

    def forward(self, inputs: Tensor, lengths: Tensor) -> Encoded:
        """Read ``inputs`` ``(B, T, E)`` up to ``lengths`` ``(B,)``.

        Raises:
            InputError: wrong width, or lengths that do not fit ``inputs``.
        """
        padding = find_padding(inputs, lengths, self.input_size)
        B, T, _ = inputs.shape
        if B == 0 or T == 0:
            zeros = inputs.new_zeros(B, T, self.output_size)
            return Encoded(zeros, inputs.new_zeros(B, self.output_size), lengths)
        x = inputs
        for block in self.blocks:
            x = block(x)
        # Padding follows the valid steps, so none of them has seen it.
        if padding is not None:
            x = padding.clear(x)
        x = x.to(inputs.dtype)
        return Encoded(x, x[:, -1] if padding is None else padding.last(x), lengths)

    def stream(self, batch_size: int = 1) -> TCNStream:
        """Read one step at a time, with the weights as they are now and without dropout."""
        check_positive("batch_size", batch_size)
        return TCNStream(self, batch_size)


class Block(nn.Module):
    """Twice convolution, ReLU, dropout; then what was read is added, and ReLU. ``(B, T, C)`` to ``(B, T, D)``.

    Where the widths differ, what is added goes through a linear map first (a convolution of one step). Arguments are
    those of ``TCN``.
    """

    def __init__(
        self, input_size: int, output_size: int, kernel_size: int, dilation: int, dropout: float, weight_norm: bool
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.first = CausalConvolution(input_size, output_size, kernel_size, dilation, weight_norm)
        self.second = CausalConvolution(output_size, output_size, kernel_size, dilation, weight_norm)
        self.shortcut = nn.Linear(input_size, output_size) if input_size != output_size else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, D)`` for ``x`` ``(B, T, C)``."""
        y = self._drop(self.first(x).relu())
        y = self._drop(self.second(y).relu())
        return (y + self.shortcut(x)).relu()

    def _drop(self, x: Tensor) -> Tensor:
        if not self.dropout or not self.training:
            return x
        return x * F.dropout(x.new_ones(x.shape[0], 1, x.shape[2]), self.dropout)


class CausalConvolution(nn.Module):
    """``y[t] = b + sum over i of W[i] x[t - i * dilation]``, for ``i`` below ``kernel_size``; zeros before step 0.

    Arguments are those of ``TCN``; the weights are an ``nn.Conv1d``'s, whose last tap reads step ``t``.
    """

    def __init__(self, input_size: int, output_size: int, kernel_size: int, dilation: int, weight_norm: bool) -> None:
        super().__init__()
        self.kernel_size, self.dilation = kernel_size, dilation
        convolution = nn.Conv1d(input_size, output_size, kernel_size, dilation=dilation)
        self.convolution = normalise(convolution) if weight_norm else convolution

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, D)`` for ``x`` ``(B, T, C)``."""
        T = x.shape[1]
        taps = min(self.kernel_size, (T - 1) // self.dilation + 1)  # earlier ones would read nothing but zeros
        weight = self.convolution.weight[:, :, -taps:]
        x = F.pad(x, (0, 0, (taps - 1) * self.dilation, 0))
        # (B, T, C) is in memory what torch calls a channels-last image of height 1: no transposition is needed, and on
        # CPU this takes 0.6 to 1.0 of conv1d's time.
        image = x.transpose(1, 2).unsqueeze(2)
        y = F.conv2d(image, weight.unsqueeze(2), self.convolution.bias, dilation=(1, self.dilation))
        return y.squeeze(2).transpose(1, 2)


class TCNStream:
    """A ``TCN`` that is fed step by step: answers what the whole sequence would, in evaluation, up to rounding.

    Each convolution keeps the last ``(kernel_size - 1) * dilation`` steps that it read. Made by ``TCN.stream``.
    """

    def __init__(self, tcn: TCN, batch_size: int) -> None:
        self.batch_size, self.input_size = batch_size, tcn.input_size
        with torch.no_grad():
            self._blocks = [
                (_Taps(block.first, batch_size), _Taps(block.second, batch_size), block.shortcut)
                for block in tcn.blocks
                if isinstance(block, Block)
            ]

    @torch.no_grad()
    def push(self, x: Tensor) -> Tensor:
        """The output ``(B, D)`` at the step whose input is ``x`` ``(B, E)``.

        Raises:
            InputError: ``x`` has another shape.
        """
        if x.shape != (self.batch_size, self.input_size):
            raise InputError(
                f"the stream reads steps of shape {(self.batch_size, self.input_size)} but was given "
                f"{tuple(x.shape)}: push one (batch, width) step at a time"
            )
        for first, second, shortcut in self._blocks:
            x = (second.push(first.push(x)) + shortcut(x)).relu()
        return x

    def reset(self) -> None:
        """Forget what was read."""
        for taps in self._taps():
            taps.past.extend([taps.zeros] * len(taps.past))

    @property
    def state(self) -> tuple[Tensor, ...]:
        """For each convolution, in order, the steps it remembers: ``(B, (kernel_size - 1) * dilation, C)``."""
        return tuple(
            torch.stack(tuple(taps.past), 1) if taps.past else taps.zeros.unsqueeze(1)[:, :0] for taps in self._taps()
        )

    @state.setter
    def state(self, state: Sequence[Tensor]) -> None:
        expected = [tuple(part.shape) for part in self.state]
        if [tuple(part.shape) for part in state] != expected:
            raise InputError(
                "this state has other shapes than the stream's own: set one that came from a stream of the same model "
                "and batch size"
            )
        for taps, part in zip(self._taps(), state, strict=True):
            taps.past.extend(part.detach().clone().unbind(1))

    def _taps(self) -> list[_Taps]:
        return [taps for first, second, _ in self._blocks for taps in (first, second)]


class _Taps:
    """One convolution with ReLU, step by step. ``past`` is a ring: what is appended pushes the oldest out."""

    def __init__(self, convolution: CausalConvolution, batch_size: int) -> None:
        weight, bias = convolution.convolution.weight, convolution.convolution.bias
        assert bias is not None
        self.dilation = convolution.dilation
        self.weight, self.bias = weight.permute(0, 2, 1).flatten(1), bias
        self.zeros = weight.new_zeros(batch_size, weight.shape[1])
        steps = (convolution.kernel_size - 1) * convolution.dilation
        self.past = deque([self.zeros] * steps, maxlen=steps)

    def push(self, x: Tensor) -> Tensor:
        read = [self.past[i] for i in range(0, len(self.past), self.dilation)]
        self.past.append(x)
        return F.linear(torch.cat([*read, x], 1), self.weight, self.bias).relu()


def _widths(hidden_size: int | Sequence[int], num_layers: int | None) -> list[int]:
    if isinstance(hidden_size, int):
        widths = [hidden_size] * (LAYERS if num_layers is None else num_layers)
    else:
        widths = list(hidden_size)
    if num_layers is not None and num_layers != len(widths):
        raise InputError(
            f"num_layers={num_layers} contradicts hidden_size={widths}, which lists {len(widths)} blocks: "
            "leave num_layers out, or make the two agree"
        )
    check_positive("num_layers", len(widths))
    for width in widths:
        check_positive("hidden_size", width)
    return widths
