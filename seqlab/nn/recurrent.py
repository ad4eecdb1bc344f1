"""Recurrent encoders over dense padded batches: stacks of Elman RNN, LSTM or GRU layers, in one or both directions.

Sequences are never packed: on CPU a packed ``nn.LSTM`` takes three times as long as a dense one. Padding follows the
valid steps, so the forward direction cannot see it; the backward direction reads each row's valid steps in reverse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqlab.nn.options import check_choice, check_positive, check_share
from seqlab.nn.padding import Padding, find_padding
from seqlab.types import Encoded, InputError

Cell = Literal["rnn", "lstm", "gru"]
Merge = Literal["concat", "sum"]
Init = Literal["uniform", "orthogonal"]
Backend = Literal["auto", "torch"]

_CELLS: dict[str, Callable[..., nn.Module]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
_WEIGHTS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


class Recurrent(nn.Module):
    """A stack of recurrent layers: ``(B, T, input_size)`` and lengths to ``Encoded`` of width ``output_size``.

    Equals ``nn.RNN``, ``nn.LSTM`` or ``nn.GRU`` on packed sequences where those can do the same. Rows of length zero
    are allowed. The answer has the inputs' dtype, under autocast too.

    Args:
        input_size: ``E``.
        cell: ``rnn`` (tanh; Elman 1990), ``lstm`` (Hochreiter and Schmidhuber 1997, with forget gate) or ``gru`` (Cho
            et al. 2014, in torch's convention).
        hidden_size: units of every layer (and direction), or one number a layer.
        num_layers: depth; None is the length of ``hidden_size``, or 1 where that is a single number.
        bidirectional: read each row backwards as well (Schuster and Paliwal 1997).
        merge: how two directions become one: ``concat`` doubles the width, ``sum`` keeps it.
        dropout: on what each layer but the first reads.
        recurrent_dropout: on the weights from state to state, one mask for a whole forward call (DropConnect, as in
            AWD-LSTM: Merity et al. 2017).
        residual: add to each layer but the first what it reads (He et al. 2016; before dropout).
        init: ``uniform`` as torch draws, all from ``U(-1, 1) / sqrt(hidden_size)``: a short memory first, which suits
            pooled text; ``orthogonal`` for long lags, see ``initialize``.
        forget_bias: initial bias of an LSTM's forget gate (Jozefowicz et al. 2015: 1); None leaves it as drawn, and
            the other cells have none.
        backend: what runs the cells; ``auto`` is ``torch``.

    Raises:
        InputError: an unknown choice, a size below one, a probability outside ``[0, 1)``, a ``num_layers`` that
            contradicts ``hidden_size``, or a residual connection between different widths.
    """

    def __init__(
        self,
        input_size: int,
        cell: Cell = "lstm",
        hidden_size: int | Sequence[int] = 128,
        num_layers: int | None = None,
        bidirectional: bool = False,
        merge: Merge = "concat",
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        residual: bool = False,
        init: Init = "uniform",
        forget_bias: float | None = None,
        backend: Backend = "auto",
    ) -> None:
        super().__init__()
        check_choice("cell", cell, get_args(Cell))
        check_choice("merge", merge, get_args(Merge))
        check_choice("init", init, get_args(Init))
        check_choice("backend", backend, get_args(Backend))
        check_share("dropout", dropout)
        check_share("recurrent_dropout", recurrent_dropout)
        check_positive("input_size", input_size)
        self.input_size, self.dropout, self.residual = input_size, dropout, residual

        layers: list[RecurrentLayer] = []
        width = input_size
        for k, units in enumerate(_layer_widths(hidden_size, num_layers)):
            layer = RecurrentLayer(width, units, cell, bidirectional, merge, recurrent_dropout, init, forget_bias)
            if residual and k > 0 and layer.output_size != width:
                raise InputError(
                    f"residual=true cannot join layer {k + 1}, which reads width {width} and answers width "
                    f"{layer.output_size}: give all layers one hidden_size, or set residual=false"
                )
            layers.append(layer)
            width = layer.output_size
        self.layers = nn.ModuleList(layers)
        self.output_size = width

    def forward(self, inputs: Tensor, lengths: Tensor) -> Encoded:
        """Read ``inputs`` ``(B, T, E)`` up to ``lengths`` ``(B,)``.

        Raises:
            InputError: wrong width, or lengths that do not fit ``inputs``.
        """
        padding = find_padding(inputs, lengths, self.input_size)
        B, T, _ = inputs.shape
        x, final = inputs, inputs
        if B == 0 or T == 0:
            zeros = inputs.new_zeros(B, T, self.output_size)
            return Encoded(zeros, inputs.new_zeros(B, self.output_size), lengths)
        for k, layer in enumerate(self.layers):
            dropped = F.dropout(x, self.dropout) if k > 0 and self.dropout and self.training else x
            outputs, last = layer(dropped, padding)
            if self.residual and k > 0:
                outputs, last = outputs + x, last + final
            x, final = outputs, last
        if padding is not None:
            x = padding.clear(x)
        if x.dtype is not inputs.dtype:  # autocast answers bfloat16 for some cells, float32 for others
            x = x.to(inputs.dtype)
        if final.dtype is not inputs.dtype:
            final = final.to(inputs.dtype)
        return Encoded(x, final, lengths)


class RecurrentLayer(nn.Module):
    """One layer of ``Recurrent``: a cell for each direction, and how their answers are merged.

    The cells are ``nn.RNN``, ``nn.LSTM`` or ``nn.GRU`` of one layer and one direction, so their weights carry torch's
    names; arguments are those of ``Recurrent``.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        cell: Cell,
        bidirectional: bool,
        merge: Merge,
        recurrent_dropout: float,
        init: Init,
        forget_bias: float | None,
    ) -> None:
        super().__init__()
        self.cell, self.merge, self.recurrent_dropout = cell, merge, recurrent_dropout
        self.input_size, self.hidden_size, self.bidirectional = input_size, hidden_size, bidirectional
        kind = _CELLS[cell]
        count = 2 if bidirectional else 1
        self.directions = nn.ModuleList([kind(input_size, hidden_size, batch_first=True) for _ in range(count)])
        for direction in self.directions:
            initialize(direction, init, forget_bias if cell == "lstm" else None)
        self.output_size = hidden_size * (count if merge == "concat" else 1)

    def forward(self, x: Tensor, padding: Padding | None) -> tuple[Tensor, Tensor]:
        """Outputs ``(B, T, D)``, undefined at padding, and the final state ``(B, D)``, for ``x`` ``(B, T, E)``."""
        if not self.bidirectional:
            return self._scan(self.directions[0], x, padding)
        ahead, ahead_last = self._scan(self.directions[0], x, padding)
        back, back_last = self._scan(self.directions[1], _reverse(x, padding), padding)
        back = _reverse(back, padding)
        if self.merge == "sum":
            return ahead + back, ahead_last + back_last
        return torch.cat((ahead, back), 2), torch.cat((ahead_last, back_last), 1)

    def _scan(self, direction: nn.Module, x: Tensor, padding: Padding | None) -> tuple[Tensor, Tensor]:
        # Called below nn.LSTM.forward: that spends 13 microseconds on checks, and cannot take dropped weights.
        weights: list[Any] = [getattr(direction, name) for name in _WEIGHTS]
        if self.recurrent_dropout and self.training:
            weights[1] = F.dropout(weights[1], self.recurrent_dropout)
        # In the weights' dtype: under autocast a GRU's state follows the initial one, and float32 is what it should be.
        state = weights[1].new_zeros(1, x.shape[0], self.hidden_size)
        if self.cell == "lstm":
            outputs, last, _ = torch.lstm(x, (state, state), weights, True, 1, 0.0, self.training, False, True)
        else:
            run = torch.gru if self.cell == "gru" else torch.rnn_tanh
            outputs, last = run(x, state, weights, True, 1, 0.0, self.training, False, True)
        return outputs, last[0] if padding is None else padding.last(outputs)

    def extra_repr(self) -> str:
        """What the layer is, for ``print(model)`` and the summary."""
        direction = f", bidirectional, {self.merge}" if self.bidirectional else ""
        return f"{self.cell}, {self.input_size}, {self.hidden_size}{direction}"


@torch.no_grad()
def initialize(cell: nn.Module, init: Init, forget_bias: float | None) -> None:
    """Set a torch cell's weights. ``uniform`` keeps what torch drew when it made the cell.

    ``orthogonal``, gate by gate: input Xavier uniform (Glorot and Bengio 2010), recurrent orthogonal (Saxe et al.
    2014), biases zero. ``forget_bias`` is written to one of an LSTM's two biases, which the cell adds up, and the
    other is zeroed; None leaves both.
    """
    w_ih, w_hh, b_ih, b_hh = (getattr(cell, name) for name in _WEIGHTS)
    hidden_size = w_hh.shape[1]
    if init == "orthogonal":
        for gate in w_ih.split(hidden_size):
            nn.init.xavier_uniform_(gate)
        for gate in w_hh.split(hidden_size):
            nn.init.orthogonal_(gate)
        b_ih.zero_()
        b_hh.zero_()
    if forget_bias is not None:
        forget = slice(hidden_size, 2 * hidden_size)  # torch orders the gates input, forget, cell, output
        b_ih[forget] = forget_bias
        b_hh[forget] = 0.0


def _reverse(x: Tensor, padding: Padding | None) -> Tensor:
    return x.flip(1) if padding is None else padding.reverse(x)


def _layer_widths(hidden_size: int | Sequence[int], num_layers: int | None) -> list[int]:
    if isinstance(hidden_size, int):
        widths = [hidden_size] * (1 if num_layers is None else num_layers)
    else:
        widths = list(hidden_size)
    if num_layers is not None and num_layers != len(widths):
        raise InputError(
            f"num_layers={num_layers} contradicts hidden_size={widths}, which lists {len(widths)} layers: "
            "leave num_layers out, or make the two agree"
        )
    check_positive("num_layers", len(widths))
    for width in widths:
        check_positive("hidden_size", width)
    return widths
