"""The state of a reader that goes on from batch to batch: truncated backpropagation through time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from seqlab.types import Batch, InputError, Loss, States


class Carry:
    """Hands the state in which each row ended to the batch that goes on from there (Mikolov et al. 2010).

    Gradients stop between batches: what is handed on is detached. Rows that a batch calls fresh begin with zeros.
    Batches without ``fresh`` pass by, and leave what is kept alone.
    """

    def __init__(self) -> None:
        self._state: States = ()

    def give(self, batch: Batch) -> Batch:
        """``batch``, on its device, with the state from which its rows go on."""
        if batch.fresh is None or not self._state or bool(batch.fresh.all()):
            return batch
        rows = len(self._state[0][0])
        if rows != batch.size:
            raise InputError(
                f"The carried state is of {rows} rows and the batch has {batch.size}: continue a run with its own "
                "data.batch_size."
            )
        if not bool(batch.fresh.any()):
            return replace(batch, state=self._state)
        kept = (~batch.fresh).to(batch.inputs.device).nonzero().squeeze(1)

        def begin(part: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(part).index_copy_(0, kept, part.index_select(0, kept))

        return replace(batch, state=tuple(tuple(begin(part) for part in each) for each in self._state))

    def take(self, batch: Batch, loss: Loss) -> None:
        """Keep the state in which the rows of ``batch`` ended."""
        if batch.fresh is not None:
            assert loss.state, "a batch that goes on needs a task that answers a state"
            self._state = tuple(tuple(part.detach() for part in each) for each in loss.state)

    def state_dict(self) -> dict[str, Any]:
        """The kept state, as plain data."""
        return {"state": [list(each) for each in self._state]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put back what ``state_dict`` gave."""
        self._state = tuple(tuple(each) for each in state["state"])

    def to(self, device: torch.device) -> None:
        """Move what is kept."""
        self._state = tuple(tuple(part.to(device) for part in each) for each in self._state)
