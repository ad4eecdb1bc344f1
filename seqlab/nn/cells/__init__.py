"""Recurrent cells, written as the equations of their papers.

A cell is a plain module with ``step(x, state) -> state``; ``seqlab.nn.reference.scan`` runs one over time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from seqlab.nn.cells.conv import ConvLSTM
from seqlab.nn.cells.gru import GRU, MGU, UGRNN, ResetBeforeGRU
from seqlab.nn.cells.light import QRNN, SRU, MinGRU, MinLSTM
from seqlab.nn.cells.lstm import LSTM, CoupledLSTM, LayerNormLSTM, PeepholeLSTM, ProjectedLSTM
from seqlab.nn.cells.mut import MUT1, MUT2, MUT3
from seqlab.nn.cells.noise import StateDropout, Zoneout
from seqlab.nn.cells.rnn import RNN, IndRNN

CELLS: dict[str, Callable[[int, int], nn.Module]] = {
    "rnn": RNN,
    "rnn_relu": partial(RNN, nonlinearity="relu"),
    "indrnn": IndRNN,
    "lstm": LSTM,
    "lstm_plain": partial(LSTM, output_tanh=False),
    "lstm_projected": lambda input_size, hidden_size: ProjectedLSTM(input_size, hidden_size, max(1, hidden_size // 2)),
    "cifg": CoupledLSTM,
    "peephole": PeepholeLSTM,
    "layernorm_lstm": LayerNormLSTM,
    "gru": GRU,
    "gru_reset_before": ResetBeforeGRU,
    "gru_update_is_new": partial(ResetBeforeGRU, update_is_new=True),
    "mgu": MGU,
    "ugrnn": UGRNN,
    "mut1": MUT1,
    "mut2": MUT2,
    "mut3": MUT3,
    "mingru": MinGRU,
    "minlstm": MinLSTM,
    "sru": SRU,
    "qrnn": QRNN,
}
"""The cells by their names in a config: each takes ``input_size`` and ``hidden_size``."""

__all__ = [
    "CELLS",
    "GRU",
    "LSTM",
    "MGU",
    "MUT1",
    "MUT2",
    "MUT3",
    "QRNN",
    "RNN",
    "SRU",
    "UGRNN",
    "ConvLSTM",
    "CoupledLSTM",
    "IndRNN",
    "LayerNormLSTM",
    "MinGRU",
    "MinLSTM",
    "PeepholeLSTM",
    "ProjectedLSTM",
    "ResetBeforeGRU",
    "StateDropout",
    "Zoneout",
]
