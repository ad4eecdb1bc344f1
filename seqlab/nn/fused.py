"""torch's own recurrent loops (oneDNN on CPU, cuDNN on GPU) for the cells whose equations are exactly torch's."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.nn.reference import State
from seqlab.nn.rows import Rows

# It says that it takes torch's slower loop, which is the only one there is for projections.
warnings.filterwarnings("ignore", message="LSTM with projections is not supported with oneDNN")

HOLD = 1e4
"""A gate's pre-activation at which its sigmoid is exactly 0 or 1, in bfloat16 too."""


def scan(cell: Any, x: Tensor, state: State, rows: Rows, reverse: bool = False) -> tuple[Tensor, State]:
    """As ``reference.scan``, by torch's kernel, for a cell that has a ``torch_kind``.

    Sequences are never packed: on CPU a packed ``nn.LSTM`` takes three times as long as a dense one. Padding comes
    after a row's own steps, so the outputs there are worked out and thrown away. An LSTM's memory ``c`` is not among
    the outputs; it is carried through padding by one more input that is 1 there and holds the forget gate open and the
    input gate shut.

    Args:
        cell: ``torch_kind`` and ``torch_weights()`` say what to call.
        x: ``(T, B, I)``, rows sorted by length.
        state: initial state, each part ``(B, ...)``.
        rows: the batch's layout.
        reverse: from each row's last step to its first.
    """
    if reverse:
        x = rows.reverse(x)
    weights: list[Tensor] = cell.torch_weights()
    # In the weights' dtype: under autocast a GRU's state follows the initial one, and float32 is what it should be.
    initial = [part.to(weights[0].dtype).unsqueeze(0) for part in state]
    learns = torch.is_grad_enabled() or rows.traced  # a trace is used either way
    if cell.torch_kind == "lstm":
        if not rows.full:
            x, weights = _hold(x, weights, rows)
        y, h, c = torch.lstm(x, initial, weights, True, 1, 0.0, learns, False, False)
        last: State = (h[0] if rows.full else rows.last(y, initial[0][0].to(y.dtype)), c[0])
    else:
        run = {"gru": torch.gru, "rnn_tanh": torch.rnn_tanh, "rnn_relu": torch.rnn_relu}[cell.torch_kind]
        y, h = run(x, initial[0], weights, True, 1, 0.0, learns, False, False)
        last = (h[0] if rows.full else rows.last(y, initial[0][0].to(y.dtype)),)
    if not rows.full:
        y = y.masked_fill(rows.padding(), 0.0)
    return rows.reverse(y) if reverse else y, last


def _hold(x: Tensor, weights: list[Tensor], rows: Rows) -> tuple[Tensor, list[Tensor]]:
    """An LSTM that keeps its memory, bit for bit, wherever its extra input is 1: at padding."""
    four_hidden = weights[0].shape[0]
    shut = weights[0].new_zeros(4, four_hidden // 4, 1)
    shut[0], shut[1] = -HOLD, HOLD  # torch orders the gates input, forget, cell, output
    padding = rows.padding()
    return torch.cat((x.masked_fill(padding, 0.0), padding.to(x.dtype)), 2), [
        torch.cat((weights[0], shut.view(four_hidden, 1)), 1),
        *weights[1:],
    ]


def torch_names(module: nn.RNNBase) -> list[list[str]]:
    """Names of a torch module's parameters, one list for each layer and direction, layer by layer."""
    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"] + (["weight_hr"] if module.proj_size else [])
    suffixes = ("", "_reverse") if module.bidirectional else ("",)
    return [[f"{name}_l{k}{suffix}" for name in names] for k in range(module.num_layers) for suffix in suffixes]
