"""Reading step by step: an encoder with its memory, for inputs that arrive one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seqlab.nn.reference import State
from seqlab.nn.rows import Rows
from seqlab.types import InputError, States

if TYPE_CHECKING:
    from seqlab.nn.recurrent import Recurrent


class Stream:
    """``batch_size`` sequences read in step by a recurrent encoder; equal to its forward pass over whole rows.

    Each push costs one step, not the sequence so far. The weights are those of the moment in which the stream was made
    (compiled cells have them packed), in the mode in which the encoder was: call ``encoder.eval()`` first where it has
    dropout. No gradients.

    Args:
        encoder: a stack that reads forward.
        batch_size: ``B``.
    """

    @torch.no_grad()
    def __init__(self, encoder: Recurrent, batch_size: int = 1) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size={batch_size} is no number of streams: give at least 1")
        self._encoder, self._B = encoder, batch_size
        self._shape = (batch_size, encoder.input_size)
        self._rows = Rows(torch.ones(batch_size, dtype=torch.int64), batch_size, 1, torch.device("cpu"))
        self._state = encoder.initial_state(batch_size, torch.empty(0))  # of layers that are not compiled
        self._steps = [direction.steps(batch_size) for direction in encoder._directions]

    @property
    def state(self) -> tuple[State, ...]:
        """One tuple for each layer, as ``Encoded.state``; may be kept and put back."""
        pairs = zip(self._steps, self._state, strict=True)
        return tuple(kept if steps is None else steps.state for steps, kept in pairs)

    @state.setter
    def state(self, state: Sequence[State]) -> None:
        for k, part in enumerate(self._encoder._check_state(state, self._B)):
            steps = self._steps[k]
            if steps is None:
                self._state[k] = part
            else:
                steps.state = part

    def reset(self, row: int | None = None) -> None:
        """Forget everything, or what one row has read."""
        self.state = forget(self.state, row)

    @torch.no_grad()
    def push(self, x: Tensor) -> Tensor:
        """Read one step ``x`` ``(B, E)`` and answer ``(B, D)``.

        Raises:
            InputError: ``x`` has another shape.
        """
        encoder = self._encoder
        if x.shape[:2] != self._shape:
            raise InputError(
                f"push takes one step of shape {self._shape}, not {tuple(x.shape)}: batch first, then the input's width"
            )
        y = x
        for k, steps in enumerate(self._steps):
            if steps is None:
                outputs, _, ends = encoder._layers[k](y.unsqueeze(0), self._state[k : k + 1], self._rows)
                self._state[k], outputs = ends[0], outputs[0]
            else:
                outputs = steps.push(y)
            y = outputs + y if encoder.residual and k > 0 else outputs
        return y if y.dtype == x.dtype else y.to(x.dtype)


def forget(state: States, row: int | None) -> States:
    """A copy of ``state`` with zeros everywhere, or in one row of each ``(B, ...)``.

    Raises:
        InputError: there is no such row.
    """
    if row is None:
        return tuple(tuple(torch.zeros_like(part) for part in each) for each in state)
    B = state[0][0].shape[0]
    if not 0 <= row < B:
        raise InputError(f"there is no row {row} to forget: the stream's rows are 0 to {B - 1}")
    kept = tuple(tuple(part.clone() for part in each) for each in state)
    for each in kept:
        for part in each:
            part[row] = 0
    return kept
