"""A temporal convolutional network: dilated causal convolutions, what a long memory costs without recurrence."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm as normalise

from seqlab.nn.options import check_positive, check_share, layer_widths
from seqlab.nn.padding import Padding, find_padding
from seqlab.nn.plain import no_script, plain_only
from seqlab.nn.rows import Lengths, as_lengths
from seqlab.nn.stream import forget
from seqlab.types import Encoded, InputError, States

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

    causal = True

    __prepare_scriptable__ = no_script

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
        widths = layer_widths(hidden_size, num_layers, LAYERS, "blocks")
        self.input_size, self.output_size = input_size, widths[-1]
        self.receptive_field = 1 + 2 * (kernel_size - 1) * (2 ** len(widths) - 1)
        pairs = list(zip([input_size, *widths], widths, strict=False))
        self.blocks = nn.ModuleList(
            [Block(*pair, kernel_size, 2**k, dropout, weight_norm) for k, pair in enumerate(pairs)]
        )
        self._memory = [((kernel_size - 1) * 2**k, *pair) for k, pair in enumerate(pairs)]  # steps, and their widths

    def forward(self, inputs: Tensor, lengths: Lengths = None, state: States | None = None) -> Encoded:
        """Read ``inputs`` ``(B, T, E)`` up to ``lengths`` ``(B,)``, from ``state`` on.

        Args:
            inputs: ``(B, T, E)``.
            lengths: ``(B,)`` whole numbers, a tensor on the CPU, a list or an array; None: all rows have ``T`` steps.
            state: one pair a block, what its convolutions remember: ``(B, (kernel_size - 1) * dilation, C)``, oldest
                step first, as ``Encoded.state`` gives it; None is all zeros.

        Raises:
            InputError: wrong width, lengths that do not fit ``inputs``, or a state of another network or batch.
        """
        lengths = as_lengths(lengths, inputs)
        padding = find_padding(inputs, lengths, self.input_size)
        B, T, _ = inputs.shape
        if state is not None:
            _check_state(state, self._shapes(B))
        if B == 0 or T == 0:
            zeros = inputs.new_zeros(B, T, self.output_size)
            start = self.initial_state(B, inputs) if state is None else state
            return Encoded(zeros, inputs.new_zeros(B, self.output_size), lengths, start)
        behind = 0 if padding is None else padding.behind  # the shortest row's padding
        x, reads = inputs, []
        for k, block in enumerate(self.blocks):
            x, read = block(x, None if state is None else state[k])
            steps = self._memory[k][0] + behind
            if 2 * steps <= T and not torch.is_grad_enabled():  # a graph would hold all of it anyway
                read = tuple(_last(part, steps) for part in read)
            reads.append(read)
        # Padding follows the valid steps, so none of them has seen it.
        if padding is not None:
            x = padding.clear(x)
        x = x.to(inputs.dtype)

        def remember() -> States:
            return tuple(
                tuple(_remember(part, memory, behind, padding).to(inputs.dtype) for part in read)
                for read, (memory, _, _) in zip(reads, self._memory, strict=True)
            )

        final = x[:, -1] if padding is None else padding.last(x)
        if plain_only(x):
            return Encoded(x, final, lengths, remember())
        return _Remembering(x, final, lengths, remember)

    def initial_state(self, B: int, like: Tensor) -> States:
        """Zeros, one pair a block; in the dtype and on the device of ``like``."""
        return tuple(tuple(like.new_zeros(shape) for shape in each) for each in self._shapes(B))

    def stream(self, batch_size: int = 1) -> TCNStream:
        """Read one step at a time, with the weights as they are now and without dropout."""
        check_positive("batch_size", batch_size)
        return TCNStream(self, batch_size)

    def _shapes(self, B: int) -> list[tuple[tuple[int, ...], ...]]:
        """Of the state, for ``B`` rows."""
        return [((B, memory, first), (B, memory, second)) for memory, first, second in self._memory]


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

    def forward(self, x: Tensor, past: Sequence[Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """``(B, T, D)`` for ``x`` ``(B, T, C)``, and what the convolutions have read for it.

        ``past`` is what they read before, each ``(B, memory, C)``; where given, it precedes what they read now.
        """
        T = x.shape[1]
        first = x if past is None else torch.cat((past[0].to(x.dtype), x), 1)
        y = self._drop(self.first(first, T).relu())
        second = y if past is None else torch.cat((past[1].to(y.dtype), y), 1)
        y = self._drop(self.second(second, T).relu())
        return (y + self.shortcut(x)).relu(), (first, second)

    def _drop(self, x: Tensor) -> Tensor:
        if not self.dropout or not self.training:
            return x
        return x * F.dropout(x.new_ones(x.shape[0], 1, x.shape[2]), self.dropout)


class CausalConvolution(nn.Module):
    """``y[t] = b + sum over i of W[i] x[t - i * dilation]``, for ``i`` below ``kernel_size``; zeros before step 0.

    Arguments are those of ``TCN``; the weights are an ``nn.Conv1d``'s, whose last tap reads step ``t``.

    Attributes:
        memory: how many steps before its own an output depends on.
    """

    def __init__(self, input_size: int, output_size: int, kernel_size: int, dilation: int, weight_norm: bool) -> None:
        super().__init__()
        self.kernel_size, self.dilation = kernel_size, dilation
        self.memory = (kernel_size - 1) * dilation
        convolution = nn.Conv1d(input_size, output_size, kernel_size, dilation=dilation)
        self.convolution = normalise(convolution) if weight_norm else convolution

    def forward(self, x: Tensor, T: int) -> Tensor:
        """``(B, T, D)`` for the last ``T`` steps of ``x`` ``(B, S, C)``; ``S`` is ``T`` or ``memory + T``."""
        S = x.shape[1]
        taps = min(self.kernel_size, (S - 1) // self.dilation + 1)  # earlier ones would read nothing but zeros
        weight = self.convolution.weight[:, :, -taps:]
        missing = (taps - 1) * self.dilation - (S - T)
        if missing:
            x = F.pad(x, (0, 0, missing, 0))
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
        self._shapes = tcn._shapes(batch_size)
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
        x = x.clone()  # to be remembered, whatever the caller writes into it next
        for first, second, shortcut in self._blocks:
            x = (second.push(first.push(x)) + shortcut(x)).relu()
        return x

    def reset(self, row: int | None = None) -> None:
        """Forget everything, or what one row has read."""
        self.state = forget(self.state, row)

    @property
    def state(self) -> States:
        """One pair a block, as ``Encoded.state``; may be kept and put back."""
        return tuple((first.state, second.state) for first, second, _ in self._blocks)

    @state.setter
    def state(self, state: States) -> None:
        _check_state(state, self._shapes)
        for (first, second, _), (before, between) in zip(self._blocks, state, strict=True):
            first.state, second.state = before, between


class _Taps:
    """One convolution with ReLU, step by step. ``past`` is a ring: what is appended pushes the oldest out."""

    def __init__(self, convolution: CausalConvolution, batch_size: int) -> None:
        weight, bias = convolution.convolution.weight, convolution.convolution.bias
        assert bias is not None
        self.dilation = convolution.dilation
        self.weight, self.bias = weight.permute(0, 2, 1).flatten(1), bias
        self.zeros = weight.new_zeros(batch_size, weight.shape[1])
        self.past = deque([self.zeros] * convolution.memory, maxlen=convolution.memory)

    @property
    def state(self) -> Tensor:
        """``(B, memory, C)``."""
        return torch.stack(tuple(self.past), 1) if self.past else self.zeros.unsqueeze(1)[:, :0]

    @state.setter
    def state(self, state: Tensor) -> None:
        self.past.extend(state.detach().to(self.zeros, copy=True).unbind(1))

    def push(self, x: Tensor) -> Tensor:
        read = [self.past[i] for i in range(0, len(self.past), self.dilation)]
        self.past.append(x)
        return F.linear(torch.cat([*read, x], 1), self.weight, self.bias).relu()


class _Remembering(Encoded):
    """What a ``TCN`` answers: its state is gathered when it is first asked for.

    For most who read never do, and that many copies take up to a fifth of the time to train on a batch of short rows.
    """

    def __init__(self, outputs: Tensor, final: Tensor, lengths: Tensor, state: States | Callable[[], States]) -> None:
        self.__dict__.update(outputs=outputs, final=final, lengths=lengths, _state=state)

    @cached_property
    def state(self) -> States:
        """See ``Encoded``."""
        state = self.__dict__.pop("_state")  # the gathering holds all that was read
        gathered: States = state() if callable(state) else state
        return gathered


def _remember(read: Tensor, memory: int, behind: int, padding: Padding | None) -> Tensor:
    """``(B, memory, C)``: each row's last steps of ``read`` ``(B, S, C)``, before its padding of at most ``behind``."""
    read = _last(read, memory + behind)
    if padding is None:
        return read
    B, S, C = read.shape
    rows = padding.lengths - padding.T + behind + torch.arange(B) * S
    steps = (rows.unsqueeze(1) + torch.arange(memory)).flatten().to(read.device)
    return read.flatten(0, 1).index_select(0, steps).view(B, memory, C)


def _last(x: Tensor, steps: int) -> Tensor:
    """A copy of the last ``steps`` of ``x`` ``(B, S, C)``; zeros come first where there are fewer."""
    return F.pad(x, (0, 0, steps - x.shape[1], 0))  # which cuts where that is negative


def _check_state(state: States, wanted: list[tuple[tuple[int, ...], ...]]) -> None:
    found = [tuple(tuple(part.shape) for part in each) for each in state]
    if found != wanted:
        raise InputError(
            f"the state has shapes {found} but this network and batch need {wanted}: "
            "give what the same network answered for as many rows"
        )
