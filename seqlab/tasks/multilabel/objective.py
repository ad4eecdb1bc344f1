"""Several labels for a whole sequence, each there or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.tasks.multilabel.task import MultilabelTask
from seqlab.types import Batch, InputError, Loss

Decides = Literal["loss", "micro_f1", "macro_f1", "subset_accuracy"]


class Multilabel:
    """Binary cross-entropy of each label; a label is given where its probability is above one half.

    Args:
        num_outputs: labels, ``K``.
        labels: their names.
        decides: which metric is monitored.
    """

    task = MultilabelTask

    def __init__(self, num_outputs: int, labels: Sequence[str], decides: Decides = "micro_f1") -> None:
        if num_outputs < 2:
            raise InputError(f"Several labels are needed, the data has {num_outputs}: check data.label_separator.")
        assert len(labels) == num_outputs, (len(labels), num_outputs)
        self.num_outputs, self.labels = num_outputs, tuple(labels)
        self.monitor: str = decides
        self.maximize = decides != "loss"
        self.headline: tuple[str, ...] = ("subset_accuracy", "macro_f1", "micro_f1")

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Sum over rows and labels, in nats and in float32 whatever the model computes in."""
        logits: Tensor = model(batch.inputs, batch.lengths).float()
        total = F.binary_cross_entropy_with_logits(logits, batch.targets, reduction="sum")
        return Loss(total, batch.targets.numel(), logits)

    def meter(self) -> MultilabelMeter:
        """An empty meter for one pass."""
        return MultilabelMeter()


class MultilabelMeter:
    """Loss, F1 and exact matches of one pass; keeps every probability for figures and tables."""

    def __init__(self) -> None:
        self._totals: list[Tensor] = []
        self._logits: list[Tensor] = []
        self._targets: list[Tensor] = []
        self._index: list[Tensor] = []

    def update(self, loss: Loss, batch: Batch) -> None:
        """Take one batch in; nothing is copied off the device before ``compute``."""
        self._totals.append(loss.total.detach())
        self._logits.append(loss.logits.detach())
        self._targets.append(batch.targets)
        self._index.append(batch.index)

    @property
    def probabilities(self) -> np.ndarray:
        """``(N, K)`` float32, rows in the order they were seen."""
        return torch.cat(self._logits).sigmoid().cpu().numpy()

    @property
    def predictions(self) -> np.ndarray:
        """``(N, K)`` bool: which labels are given."""
        return (torch.cat(self._logits) > 0).cpu().numpy()

    @property
    def targets(self) -> np.ndarray:
        """``(N, K)`` bool: which labels are right."""
        return (torch.cat(self._targets) > 0).cpu().numpy()

    @property
    def index(self) -> np.ndarray:
        """``(N,)`` int64: which rows of the split these were."""
        return torch.cat(self._index).cpu().numpy()

    def compute(self) -> dict[str, float]:
        """``loss`` (nats a label), ``micro_f1`` over all labels of all rows, ``macro_f1``, ``subset_accuracy``.

        ``macro_f1`` is the mean over labels, 0 for one that neither occurs nor is given; ``subset_accuracy`` the share
        of rows whose labels are all right.
        """
        assert self._totals, "compute() before any batch"
        said, right = self.predictions, self.targets
        hits, both = (said & right).sum(axis=0), said.sum(axis=0) + right.sum(axis=0)
        return {
            "loss": float(torch.stack(self._totals).double().sum()) / right.size,
            "micro_f1": float(2 * hits.sum() / max(both.sum(), 1)),
            "macro_f1": float((2 * hits / np.maximum(both, 1)).mean()),
            "subset_accuracy": float((said == right).all(axis=1).mean()),
        }
