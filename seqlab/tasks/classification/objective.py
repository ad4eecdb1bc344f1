"""Classification: one label for a whole sequence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.errors import shorten
from seqlab.tasks.classification.task import ClassificationTask
from seqlab.types import Batch, InputError, Loss

Decides = Literal["loss", "accuracy", "macro_f1", "auc"]


class Classification:
    """Cross-entropy over classes.

    Args:
        num_outputs: how many logits the model gives, ``V``.
        labels: their names, in the order of the class ids.
        label_smoothing: share of the target's probability spread evenly over all classes (Szegedy et al. 2016),
            in training only: evaluation always reports the plain loss, so runs with different smoothing compare.
        class_weights: how much an example of each class counts, in training only: a number for each; ``balanced``
            for ``N / (V * count)``, with which all classes weigh the same; None: every example counts alike.
        decides: which metric is monitored.
        counts: training examples of each class.

    Raises:
        InputError: fewer than two classes, or an option out of range.
    """

    task = ClassificationTask

    def __init__(
        self,
        num_outputs: int,
        labels: Sequence[str],
        label_smoothing: float = 0.0,
        class_weights: Literal["balanced"] | Sequence[float] | None = None,
        decides: Decides = "accuracy",
        counts: Sequence[int] = (),
    ) -> None:
        if num_outputs < 2:
            raise InputError(f"Classification needs at least two classes, the data has {num_outputs}.")
        if not 0.0 <= label_smoothing < 1.0:
            raise InputError(f"label_smoothing is {label_smoothing}; give a share from 0 up to, but not, 1.")
        assert len(labels) == num_outputs, (len(labels), num_outputs)
        self.num_outputs = num_outputs
        self.labels = tuple(labels)
        self.label_smoothing = label_smoothing
        self.class_weights = _weights(class_weights, self.labels, counts)
        self.monitor: str = decides
        self.maximize = decides != "loss"
        self.headline: tuple[str, ...] = (*["auc"] * (decides == "auc"), "macro_f1", "accuracy")

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Sum of cross-entropies over the batch, in nats and in float32 whatever the model computes in.

        Where several readers answer for themselves, ``(K, B, V)``, each has its own loss and the sum is descended.
        """
        logits: Tensor = model(batch.inputs, batch.lengths).float()
        smoothing = self.label_smoothing if model.training else 0.0
        weighed = self.class_weights is not None and model.training
        weight = torch.tensor(self.class_weights, device=logits.device) if weighed else None
        readers = logits if logits.ndim == 3 else logits.unsqueeze(0)
        losses = [
            F.cross_entropy(reader, batch.targets, weight, reduction="sum", label_smoothing=smoothing)
            for reader in readers
        ]
        total = losses[0] if len(losses) == 1 else torch.stack(losses).sum()
        return Loss(total, batch.size, readers.mean(0) if len(losses) > 1 else logits)

    def meter(self) -> ClassificationMeter:
        """A fresh meter for one pass."""
        return ClassificationMeter(self.num_outputs, needs_auc=self.monitor == "auc")


def _weights(
    wanted: Literal["balanced"] | Sequence[float] | None, labels: Sequence[str], counts: Sequence[int]
) -> list[float] | None:
    if wanted is None:
        return None
    if isinstance(wanted, str):
        if len(counts) != len(labels):
            raise InputError(
                "task.class_weights=balanced needs the number of examples of each class, which this data does not "
                "tell: give a number for each class."
            )
        return [sum(counts) / (len(counts) * max(count, 1)) for count in counts]
    weights = [float(weight) for weight in wanted]
    if len(weights) != len(labels):
        raise InputError(
            f"task.class_weights has {len(weights)} numbers, and the data has {len(labels)} classes: give one for each "
            f"of {shorten(', '.join(labels), 200)}, in this order."
        )
    if not all(0 <= weight < math.inf for weight in weights) or not sum(weights):
        raise InputError("task.class_weights must be numbers from 0 up, not all of them 0.")
    return weights


class ClassificationMeter:
    """Loss, accuracy, macro F1 and AUC of one pass; keeps every probability for figures and example tables.

    Args:
        num_classes: ``V``.
        needs_auc: whether a part without an AUC is refused.
    """

    def __init__(self, num_classes: int, needs_auc: bool = False) -> None:
        self._needs_auc = needs_auc
        self._num_classes = num_classes
        self._totals: list[Tensor] = []
        self._probabilities: list[Tensor] = []
        self._targets: list[Tensor] = []
        self._index: list[Tensor] = []

    def update(self, loss: Loss, batch: Batch) -> None:
        """Takes one batch in; nothing is copied off the device before ``compute``, so no batch waits for it."""
        self._totals.append(loss.total.detach())
        self._probabilities.append(loss.logits.detach().softmax(dim=1))
        self._targets.append(batch.targets)
        self._index.append(batch.index)

    @property
    def probabilities(self) -> np.ndarray:
        """``(N, V)`` float32, rows in the order they were seen."""
        return _numpy(self._probabilities, np.empty((0, self._num_classes), np.float32))

    @property
    def targets(self) -> np.ndarray:
        """``(N,)`` int64 class ids."""
        return _numpy(self._targets, np.empty(0, np.int64))

    @property
    def index(self) -> np.ndarray:
        """``(N,)`` int64: which rows of the split these were."""
        return _numpy(self._index, np.empty(0, np.int64))

    def compute(self) -> dict[str, float]:
        """``loss`` (nats per example), ``accuracy``, ``macro_f1`` (over classes that occur or were predicted), ``auc``.

        ``auc`` is the area under the ROC curve; of more than two classes the mean of each against the rest. Classes
        without examples, or without others, are left out of it; without any other there is none.

        Raises:
            InputError: there is no AUC, and it decides.
        """
        targets = self.targets
        assert len(targets), "compute() before any batch"
        predicted = self.probabilities.argmax(axis=1)
        confusion = np.zeros((self._num_classes, self._num_classes), np.int64)
        np.add.at(confusion, (targets, predicted), 1)
        hits = confusion.diagonal()
        said_or_true = confusion.sum(axis=0) + confusion.sum(axis=1)
        f1 = 2 * hits[said_or_true > 0] / said_or_true[said_or_true > 0]
        metrics = {
            "loss": float(torch.stack(self._totals).double().sum()) / len(targets),
            "accuracy": float(hits.sum() / len(targets)),
            "macro_f1": float(f1.mean()),
        }
        several = range(self._num_classes) if self._num_classes > 2 else [1]
        areas = [auc(self.probabilities[:, label], targets == label) for label in several]
        if known := [area for area in areas if area is not None]:
            metrics["auc"] = float(np.mean(known))
        elif self._needs_auc:
            raise InputError(
                "task.decides=auc: the examples that are measured are all of one class, so there is no AUC; add "
                "examples of others, or set task.decides=accuracy."
            )
        return metrics


def auc(scores: np.ndarray, positive: np.ndarray) -> float | None:
    """Area under the ROC curve of ``scores`` ``(N,)``: how probably a positive has the higher one, ties counting half.

    None where all rows are positive, or none is.
    """
    first, second = int(positive.sum()), int((~positive).sum())
    if not first or not second:
        return None
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return float((ranks[positive].sum() - first * (first + 1) / 2) / (first * second))


def _numpy(parts: list[Tensor], empty: np.ndarray) -> np.ndarray:
    return torch.cat(parts).cpu().numpy() if parts else empty
