"""Regression: one or several real numbers for a whole sequence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.tasks.regression.task import RegressionTask
from seqlab.types import Batch, InputError, Loss


class Regression:
    """Mean squared error, which decides.

    Args:
        num_outputs: numbers asked of each sequence, ``K``.
        labels: their names.
        mean: targets are less this, and divided by ``deviation``; metrics are in the units before.
        deviation: see ``mean``.
    """

    task = RegressionTask

    monitor = "mse"
    maximize = False

    def __init__(self, num_outputs: int, labels: Sequence[str], mean: float = 0.0, deviation: float = 1.0) -> None:
        if num_outputs < 1:
            raise InputError("Regression needs at least one number to predict, the data has none.")
        self.num_outputs, self.labels = num_outputs, tuple(labels)
        self.mean, self.deviation = mean, deviation
        scaled = (mean, deviation) != (0.0, 1.0)
        self.headline: tuple[str, ...] = ("mae", "r2", "rmse") if scaled else ("mse",)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Sum of squared errors over the batch and its ``K`` numbers, in float32 whatever the model computes in."""
        answers: Tensor = model(batch.inputs, batch.lengths).float()
        return Loss(F.mse_loss(answers, batch.targets.float(), reduction="sum"), batch.targets.numel(), answers)

    def meter(self) -> RegressionMeter:
        """A fresh meter for one pass."""
        return RegressionMeter(self.mean, self.deviation)


class RegressionMeter:
    """Errors of one pass, in the units of the data; keeps every answer for figures."""

    def __init__(self, mean: float = 0.0, deviation: float = 1.0) -> None:
        self._mean, self._deviation = mean, deviation
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
        return self._original(self._answers)

    @property
    def targets(self) -> np.ndarray:
        """``(N, K)``: what was right."""
        return self._original(self._targets)

    @property
    def index(self) -> np.ndarray:
        """``(N,)``: which rows of the split these were."""
        return torch.cat(self._index).cpu().numpy()

    def compute(self) -> dict[str, float]:
        """``mse``, ``rmse`` and ``mae`` over all rows and numbers; ``r2``, the mean of the numbers' shares of variance
        explained (of a constant 1 where every answer is right, otherwise 0)."""
        assert self._answers, "compute() before any batch"
        targets = self.targets.astype(np.float64)
        errors = self.answers - targets
        mse = float(np.square(errors).mean())
        left = np.square(errors).sum(axis=0)
        whole = np.square(targets - targets.mean(axis=0)).sum(axis=0)
        r2 = np.where(whole > 0, 1 - left / np.where(whole > 0, whole, 1), left == 0)
        return {"mse": mse, "rmse": mse**0.5, "mae": float(np.abs(errors).mean()), "r2": float(r2.mean())}

    def _original(self, parts: list[Tensor]) -> np.ndarray:
        found = torch.cat(parts).cpu().numpy()
        if (self._mean, self._deviation) == (0.0, 1.0):
            return found
        return found.astype(np.float64) * self._deviation + self._mean
