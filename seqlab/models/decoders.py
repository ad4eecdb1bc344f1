"""Decoders: what turns an encoder's answer into numbers for every step of a horizon.

Each is called with ``Encoded``, the known future ``(B, H, G)`` or None, and each row's channel ``(B,)``, and answers
``(B, H, M)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqlab.nn import Recurrent
from seqlab.nn.options import check_positive, check_share
from seqlab.nn.pooling import Pooling, PoolKind
from seqlab.types import Encoded

DecoderKind = Literal["direct", "recurrent", "segments", "recursive"]


AHEAD = 32
"""Width of the layer that reads what is known beforehand."""


def _reader(num_future: int, num_outputs: int) -> nn.Module | None:
    """``(B, H, G)`` to ``(B, H, M)``, each step by itself. Not one linear map: the hour is a number from 0 to 23, and
    midnight is no jump."""
    if num_future == 0:
        return None
    return nn.Sequential(nn.Linear(num_future, AHEAD), nn.Tanh(), nn.Linear(AHEAD, num_outputs, bias=False))


class DirectDecoder(nn.Module):
    """One linear layer from the pooled outputs to all steps at once; what is known beforehand is added step by step.

    Args:
        input_size: ``D``.
        num_outputs: ``M``, numbers asked of a step.
        horizon: ``H``.
        num_future: ``G``.
        pooling: see ``Pooling``.
        dropout: on the pooled vector.
    """

    def __init__(
        self,
        input_size: int,
        num_outputs: int,
        horizon: int,
        num_future: int = 0,
        pooling: PoolKind | Sequence[PoolKind] = "last",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_share("dropout", dropout)
        self.dropout, self.horizon = dropout, horizon
        self.pooling = Pooling(input_size, pooling)
        self.output = nn.Linear(self.pooling.output_size, horizon * num_outputs)
        self.ahead = _reader(num_future, num_outputs)

    def forward(self, encoded: Encoded, future: Tensor | None, channel: Tensor) -> Tensor:
        """``(B, H, M)``."""
        pooled = F.dropout(self.pooling(encoded), self.dropout, self.training)
        steps = self.output(pooled).unflatten(1, (self.horizon, -1))
        return steps if self.ahead is None else steps + self.ahead(future)


class RecurrentDecoder(nn.Module):
    """A GRU over the horizon, begun in a state made of the pooled outputs: an encoder-decoder.

    A step reads its place in the horizon and what is known of it beforehand, not the answer before: as in MQ-RNN (Wen
    et al. 2017), errors are not fed back, and training is what forecasting is.

    Args:
        input_size: ``D``, of the state as well.
        num_outputs: ``M``.
        horizon: ``H``.
        num_future: ``G``.
        pooling: see ``Pooling``.
        dropout: on the decoder's outputs.
        place: width of the learned vector that says which step of the horizon it is.
    """

    def __init__(
        self,
        input_size: int,
        num_outputs: int,
        horizon: int,
        num_future: int = 0,
        pooling: PoolKind | Sequence[PoolKind] = "last",
        dropout: float = 0.0,
        place: int = 16,
    ) -> None:
        super().__init__()
        check_share("dropout", dropout)
        check_positive("place", place)
        self.dropout = dropout
        self.pooling = Pooling(input_size, pooling)
        self.begin = nn.Linear(self.pooling.output_size, input_size)
        self.place = nn.Parameter(torch.randn(horizon, place))
        self.recurrent = Recurrent(place + num_future, "gru", input_size)
        self.output = nn.Linear(input_size, num_outputs)

    def forward(self, encoded: Encoded, future: Tensor | None, channel: Tensor) -> Tensor:
        """``(B, H, M)``."""
        B, H = len(encoded.final), len(self.place)
        state = torch.tanh(self.begin(self.pooling(encoded))).to(encoded.final.dtype)
        steps = self.place.expand(B, -1, -1).to(encoded.final.dtype)
        if future is not None:
            steps = torch.cat((steps, future), 2)
        outputs = self.recurrent(steps, torch.full((B,), H), ((state,),)).outputs
        answer: Tensor = self.output(F.dropout(outputs, self.dropout, self.training))
        return answer


class SegmentDecoder(nn.Module):
    """All segments of the horizon at once, each one GRU step from the encoder's final state.

    A segment's step reads a learned vector for its place in the horizon and one for the channel; no segment waits for
    another. Source: parallel multi-step forecasting of SegRNN (Lin et al. 2023, section 3.3); there the GRU is the
    encoder's own, here it has weights of its own, so that any encoder may stand before it.

    Args:
        input_size: ``D``.
        num_outputs: ``M``.
        horizon: ``H``; the last segment is cut where it ends.
        num_future: ``G``.
        channels: how many channels are told apart; 1: none.
        segment: steps in a segment.
        dropout: on the state that a segment's numbers are read from.
    """

    def __init__(
        self,
        input_size: int,
        num_outputs: int,
        horizon: int,
        num_future: int = 0,
        channels: int = 1,
        segment: int = 24,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_share("dropout", dropout)
        check_positive("segment", segment)
        self.dropout, self.horizon, self.segment = dropout, horizon, min(segment, horizon)
        width = input_size // 2 if channels > 1 else input_size
        self.place = nn.Parameter(torch.randn(math.ceil(horizon / self.segment), width))
        self.channel = nn.Parameter(torch.randn(channels, input_size - width)) if channels > 1 else None
        self.cell = nn.GRUCell(input_size, input_size)
        self.output = nn.Linear(input_size, self.segment * num_outputs)
        self.ahead = _reader(num_future, num_outputs)

    def forward(self, encoded: Encoded, future: Tensor | None, channel: Tensor) -> Tensor:
        """``(B, H, M)``."""
        n, final = len(self.place), encoded.final
        step = self.place.unsqueeze(0)  # (1, n, D), or with channels (C, n, D)
        if self.channel is not None:
            places, names = step.expand(len(self.channel), -1, -1), self.channel.unsqueeze(1).expand(-1, n, -1)
            step = torch.cat((places, names), 2)
        # Of one GRU step, the products with what is read are the same for all rows, and those with the state for all
        # segments: each is made once.
        read = F.linear(step, self.cell.weight_ih, self.cell.bias_ih)
        read = read[channel] if self.channel is not None else read
        kept = F.linear(final, self.cell.weight_hh, self.cell.bias_hh).unsqueeze(1)
        reset, update, new = read.chunk(3, 2)
        reset_h, update_h, new_h = kept.chunk(3, 2)
        candidate = torch.tanh(new + torch.sigmoid(reset + reset_h) * new_h)
        state = torch.lerp(candidate, final.unsqueeze(1).to(candidate.dtype), torch.sigmoid(update + update_h))
        steps = self.output(F.dropout(state, self.dropout, self.training))
        steps = steps.reshape(len(final), n * self.segment, -1)[:, : self.horizon]
        return steps if self.ahead is None else steps + self.ahead(future)
