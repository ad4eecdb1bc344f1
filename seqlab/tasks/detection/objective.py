"""Detection: at which steps of a signal is there a peak?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.tasks.detection.task import DetectionTask
from seqlab.tasks.peaks import Matched, local_maxima, match, scores
from seqlab.types import Batch, InputError, Loss, mask


class Detection:
    """Binary cross-entropy at every step; F1 of the peaks found decides.

    The model is asked at each step whether a peak reported there would be a hit: a target is one at all steps within
    ``tolerance`` of a peak. So what it says is a probability, of just what is counted, and a network that reads
    forwards alone may answer a little late, having seen what follows the peak. (With the peak's own step as the only
    target it would have to know beforehand; and a weight on rare steps makes answers that are no probabilities.)

    A peak is reported where the probability has a local maximum of more than ``threshold``, and no higher one is less
    than ``distance`` steps away. The highest of many wavering answers is too sure of itself, so thresholds above one
    half do best. Found and true peaks are matched one to one within ``tolerance``, so a second report of one peak is a
    false alarm; precision, recall and F1 are of the counts over all rows. Nothing is tuned on what is measured:
    ``threshold`` is an option of the run.

    Args:
        num_outputs: kinds of peaks: one.
        labels: its name.
        tolerance: how far, in steps, a report may be from the peak. For heartbeats the norm is 150 ms (ANSI/AAMI
            EC57); 5 steps at 100 samples a second are 50 ms.
        distance: least steps between two reports; 30 at that rate are 300 ms, or 200 heartbeats a minute.
        threshold: probability that a report must exceed.

    Raises:
        InputError: more than one kind, or an option out of range.
    """

    task = DetectionTask

    monitor = "f1"
    maximize = True
    headline: tuple[str, ...] = ("precision", "recall", "f1")

    def __init__(
        self, num_outputs: int, labels: Sequence[str], tolerance: int = 5, distance: int = 30, threshold: float = 0.7
    ) -> None:
        if num_outputs != 1:
            raise InputError(f"Detection finds peaks of one kind, the data has {num_outputs}.")
        if tolerance < 0:
            raise InputError(f"task.tolerance is {tolerance}; give a number of steps from 0 up.")
        if distance < 1:
            raise InputError(f"task.distance is {distance}; give a number of steps from 1 up.")
        if not 0.0 < threshold < 1.0:
            raise InputError(f"task.threshold is {threshold}; give a probability between 0 and 1.")
        self.num_outputs, self.labels = num_outputs, tuple(labels)
        self.tolerance, self.distance, self.threshold = tolerance, distance, threshold

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Sum over the steps of all rows, in nats and in float32 whatever the model computes in."""
        logits: Tensor = model(batch.inputs, batch.lengths).float()
        wide = F.max_pool1d(batch.targets.float(), 2 * self.tolerance + 1, stride=1, padding=self.tolerance)
        each = F.binary_cross_entropy_with_logits(logits.squeeze(2), wide, reduction="none")
        count = batch.tokens
        if count < each.numel():
            each = each * mask(batch.lengths, each.shape[1], each.device)
        return Loss(each.sum(), count, logits, each)

    def meter(self) -> DetectionMeter:
        """A fresh meter for one pass."""
        return DetectionMeter(self.tolerance, self.distance, self.threshold)


class DetectionMeter:
    """Peaks found in one pass against the true ones; keeps every answer for figures."""

    def __init__(self, tolerance: int, distance: int, threshold: float) -> None:
        self._tolerance, self._distance, self.threshold = tolerance, distance, threshold
        self._totals: list[Tensor] = []
        self._answers: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        self._matched: list[Matched] = []

    def update(self, loss: Loss, batch: Batch) -> None:
        """Takes one batch in; nothing is copied off the device before ``compute``."""
        self._totals.append(loss.total.detach())
        self._answers.append((loss.logits.detach().squeeze(2), batch.targets, batch.lengths, batch.index))

    @property
    def index(self) -> np.ndarray:
        """``(N,)``: which rows of the split these were."""
        return torch.cat([index for *_, index in self._answers]).numpy()

    @property
    def probabilities(self) -> list[np.ndarray]:
        """For each row, ``(its length,)``: the probability, at each step, that a peak is near."""
        return [torch.sigmoid(torch.from_numpy(logits)).numpy() for logits, _ in self._rows()]

    @property
    def matched(self) -> list[Matched]:
        """For each row, the peaks found and the true ones."""
        # Logits are compared: of probabilities near 1 many are equal in float32, though one is higher.
        least = math.log(self.threshold / (1 - self.threshold))
        if len(self._matched) != sum(len(index) for *_, index in self._answers):
            self._matched = [
                match(local_maxima(logits, least, self._distance), np.flatnonzero(targets), self._tolerance)
                for logits, targets in self._rows()
            ]
        return self._matched

    def compute(self) -> dict[str, float]:
        """``loss`` in nats a step; ``precision``, ``recall``, ``f1``, and ``offset`` in steps: see ``peaks.scores``."""
        assert self._answers, "compute() before any batch"
        steps = sum(int(lengths.sum()) for _, _, lengths, _ in self._answers)
        total = float(torch.stack(self._totals).double().sum())
        return {"loss": total / max(steps, 1), **scores(self.matched)}

    def _rows(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each row, logits and targets without padding."""
        rows = []
        for logits, targets, lengths, _ in self._answers:
            said, right = logits.cpu().numpy(), targets.cpu().numpy()
            rows += [(said[i, :length], right[i, :length]) for i, length in enumerate(lengths.tolist())]
        return rows
