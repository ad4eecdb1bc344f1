"""Recurrent cells, written as the equations of their papers.

A cell is a plain module with ``step(x, state) -> state``; ``seqlab.nn.reference.scan`` runs one over time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from seqlab.nn.cells.gru import GRU
from seqlab.nn.cells.lstm import LSTM
from seqlab.nn.cells.noise import StateDropout, Zoneout
from seqlab.nn.cells.rnn import RNN, IndRNN

CELLS: dict[str, Callable[[int, int], nn.Module]] = {
    "rnn": RNN,
    "rnn_relu": partial(RNN, nonlinearity="relu"),
    "indrnn": IndRNN,
    "lstm": LSTM,
    "lstm_plain": partial(LSTM, output_tanh=False),
    "gru": GRU,
}
"""The cells by their names in a config: each takes ``input_size`` and ``hidden_size``."""

__all__ = ["CELLS", "GRU", "LSTM", "RNN", "IndRNN", "StateDropout", "Zoneout"]
