"""Reading step by step: an encoder with its memory, for inputs that arrive one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seqlab.nn.reference import State
from seqlab.nn.rows import Rows
from seqlab.types import InputError

if TYPE_CHECKING:
    from seqlab.nn.recurrent import Recurrent


class Stream:
    """``batch_size`` sequences read in step by a recurrent encoder; equal to its forward pass over whole rows.

    Each push costs one step, not the sequence so far. The weights are read as they are at each push, in whatever mode
    the encoder is in (call ``encoder.eval()`` first where it has dropout). No gradients.

    Args:
        encoder: a stack that reads forward.
        batch_size: ``B``.
    """

    def __init__(self, encoder: Recurrent, batch_size: int = 1) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size={batch_size} is no number of streams: give at least 1")
        self._encoder, self._B = encoder, batch_size
        self._rows = Rows(torch.ones(batch_size, dtype=torch.int64), 1, torch.device("cpu"))
        self._state: list[State] = []
        self.reset()

    @property
    def state(self) -> tuple[State, ...]:
        """One tuple for each layer, as ``Encoded.state``; may be kept and put back."""
        return tuple(self._state)

    @state.setter
    def state(self, state: Sequence[State]) -> None:
        self._state = list(self._encoder._check_state(state, self._B))

    def reset(self, row: int | None = None) -> None:
        """Forget everything, or what one row has read."""
        zeros = self._encoder.initial_state(self._B, next(self._encoder.parameters()).detach())
        if row is None:
            self._state = zeros
            return
        kept = [tuple(part.clone() for part in each) for each in self._state]
        for each in kept:
            for part in each:
                part[row] = 0
        self._state = kept

    @torch.no_grad()
    def push(self, x: Tensor) -> Tensor:
        """Read one step ``x`` ``(B, E)`` and answer ``(B, D)``.

        Raises:
            InputError: ``x`` has another shape.
        """
        encoder = self._encoder
        if x.shape[:2] != (self._B, encoder.input_size):
            raise InputError(
                f"push takes one step of shape ({self._B}, {encoder.input_size}), not {tuple(x.shape)}: "
                "batch first, then the input's width"
            )
        y = x.unsqueeze(0)
        layers: list[Any] = encoder._layers
        for k, layer in enumerate(layers):
            outputs, _, ends = layer(y, self._state[k : k + 1], self._rows)
            self._state[k] = ends[0]
            y = outputs + y if encoder.residual and k > 0 else outputs
        return y[0].to(x.dtype)
