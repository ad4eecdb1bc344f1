"""Regression: one or several real numbers for a whole sequence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.types import Batch, InputError, Loss


class Regression:
    """Mean squared error, which decides.

    Args:
        num_outputs: numbers asked of each sequence, ``K``.
        labels: their names.
    """

    monitor = "mse"
    headline: tuple[str, ...] = ("mse",)
    maximize = False

    def __init__(self, num_outputs: int, labels: Sequence[str]) -> None:
        if num_outputs < 1:
            raise InputError("Regression needs at least one number to predict, the data has none.")
        self.num_outputs, self.labels = num_outputs, tuple(labels)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Sum of squared errors over the batch and its ``K`` numbers, in float32 whatever the model computes in."""
        answers: Tensor = model(batch.inputs, batch.lengths).float()
        return Loss(F.mse_loss(answers, batch.targets.float(), reduction="sum"), batch.targets.numel(), answers)

    def meter(self) -> RegressionMeter:
        """A fresh meter for one pass."""
        return RegressionMeter()


class RegressionMeter:
    """Errors of one pass; keeps every answer for figures."""

    def __init__(self) -> None:
        self._answers: list[Tensor] = []
        self._targets: list[Tensor] = []
        self._index: list[Tensor] = []

    def update(self, loss: Loss, batch: Batch) -> None:
        """Takes one batch in; nothing is copied off the device before ``compute``."""
        self._answers.append(loss.logits.detach())
        self._targets.append(batch.targets)
        self._index.append(batch.index)

    @property
    def answers(self) -> np.ndarray:
        """``(N, K)``: what the model said."""
        return torch.cat(self._answers).cpu().numpy()

    @property
    def targets(self) -> np.ndarray:
        """``(N, K)``: what was right."""
        return torch.cat(self._targets).cpu().numpy()

    @property
    def index(self) -> np.ndarray:
        """``(N,)``: which rows of the split these were."""
        return torch.cat(self._index).cpu().numpy()

    def compute(self) -> dict[str, float]:
        """``mse`` and ``mae`` over all rows and numbers."""
        assert self._answers, "compute() before any batch"
        errors = self.answers.astype(np.float64) - self.targets
        return {"mse": float(np.square(errors).mean()), "mae": float(np.abs(errors).mean())}
