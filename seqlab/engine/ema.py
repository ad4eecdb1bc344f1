"""Exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class EMA:
    """A second copy of the weights that follows the first slowly (Polyak and Juditsky 1992; decay as in TensorFlow's).

    The decay of update ``t`` is ``min(decay, (1 + t) / (10 + t))``: early on the average would otherwise be mostly
    the random start.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        assert 0.0 < decay < 1.0, decay
        self.decay = decay
        self.updates = 0
        self._parameters: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
        self._averages = [p.detach().clone() for p in self._parameters]

    @torch.no_grad()
    def update(self) -> None:
        """Moves the average towards the weights as they are now."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        torch._foreach_lerp_(self._averages, self._parameters, 1.0 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Puts the averages into the model and, at the end, the weights back.

        Values are copied, storages stay: cuDNN keeps a recurrent layer's weights in one flat block.
        """
        kept = [p.detach().clone() for p in self._parameters]
        self._copy(self._averages)
        try:
            yield
        finally:
            self._copy(kept)

    def state_dict(self) -> dict[str, int | list[Tensor]]:
        """What a checkpoint must hold."""
        return {"updates": self.updates, "averages": self._averages}

    def load_state_dict(self, state: dict) -> None:
        """Puts back what ``state_dict`` gave."""
        self.updates = state["updates"]
        for average, saved in zip(self._averages, state["averages"], strict=True):
            average.copy_(saved)

    @torch.no_grad()
    def _copy(self, values: list[Tensor]) -> None:
        torch._foreach_copy_(self._parameters, values)
