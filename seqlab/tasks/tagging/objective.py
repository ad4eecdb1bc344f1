"""Tagging: one label for every step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.tasks.tagging.task import TaggingTask
from seqlab.types import Batch, InputError, Loss, mask


class Tagging:
    """Cross-entropy over labels, step by step; accuracy decides, of the steps that are asked about.

    Args:
        num_outputs: how many labels, ``V``.
        labels: their names.
        blank: a label that most steps have and that says nothing (the silence of the copy task): it is learned like
            any other, but ``accuracy`` is that of the other steps; None where every label counts.
        label_smoothing: in training only, see ``Classification``.
    """

    task = TaggingTask

    monitor = "accuracy"
    maximize = True
    headline: tuple[str, ...] = ("accuracy",)

    def __init__(
        self, num_outputs: int, labels: Sequence[str], blank: str | None = None, label_smoothing: float = 0.0
    ) -> None:
        if num_outputs < 2:
            raise InputError(f"Tagging needs at least two labels, the data has {num_outputs}.")
        if not 0.0 <= label_smoothing < 1.0:
            raise InputError(f"label_smoothing is {label_smoothing}; give a share from 0 up to, but not, 1.")
        if blank is not None and blank not in labels:
            raise InputError(f"blank={blank!r} is none of the labels {', '.join(labels)}.")
        self.num_outputs, self.labels, self.label_smoothing = num_outputs, tuple(labels), label_smoothing
        self.blank = None if blank is None else self.labels.index(blank)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Sum over the steps of all rows, in nats and in float32 whatever the model computes in."""
        logits: Tensor = model(batch.inputs, batch.lengths).float()
        said, right = logits.flatten(0, 1), batch.targets.flatten()
        count = batch.tokens
        if count < right.numel():
            counted = mask(batch.lengths, logits.shape[1]).flatten().to(right.device)
            said, right = said[counted], right[counted]
        smoothing = self.label_smoothing if model.training else 0.0
        return Loss(F.cross_entropy(said, right, reduction="sum", label_smoothing=smoothing), count, logits)

    def meter(self) -> TaggingMeter:
        """A fresh meter for one pass."""
        return TaggingMeter(self.blank)


class TaggingMeter:
    """Loss and accuracy of one pass, and how many were right at each position."""

    def __init__(self, blank: int | None) -> None:
        self._blank = blank
        self._totals: list[Tensor] = []
        self._steps = 0
        self._hits: list[Tensor] = []
        self._asked: list[Tensor] = []

    def update(self, loss: Loss, batch: Batch) -> None:
        """Takes one batch in; nothing is copied off the device before ``compute``."""
        T = batch.targets.shape[1]
        asked = mask(batch.lengths, T).to(batch.targets.device)
        if self._blank is not None:
            asked = asked & (batch.targets != self._blank)
        self._totals.append(loss.total.detach())
        self._steps += loss.count
        self._hits.append(((loss.logits.detach().argmax(2) == batch.targets) & asked).sum(0))
        self._asked.append(asked.sum(0))

    @property
    def by_position(self) -> tuple[np.ndarray, np.ndarray]:
        """``(T,)`` right answers and ``(T,)`` questions at each position."""
        longest = max(len(part) for part in self._hits)
        hits, asked = (
            torch.stack([F.pad(part, (0, longest - len(part))) for part in parts]).sum(0).cpu().numpy()
            for parts in (self._hits, self._asked)
        )
        return hits, asked

    def compute(self) -> dict[str, float]:
        """``loss`` in nats a step, over all steps, and ``accuracy`` of the steps that are asked about."""
        assert self._steps, "compute() before any step"
        hits, asked = self.by_position
        total = float(torch.stack(self._totals).double().sum())
        return {"loss": total / self._steps, "accuracy": float(hits.sum() / max(asked.sum(), 1))}
