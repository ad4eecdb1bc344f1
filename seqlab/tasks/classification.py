"""Classification: one label for a whole sequence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.types import Batch, InputError, Loss


class Classification:
    """Cross-entropy over classes; accuracy decides.

    Args:
        num_outputs: how many logits the model gives, ``V``.
        labels: their names, in the order of the class ids.
        label_smoothing: share of the target's probability spread evenly over all classes (Szegedy et al. 2016),
            in training only: evaluation always reports the plain loss, so runs with different smoothing compare.
    """

    monitor = "accuracy"
    maximize = True
    headline: tuple[str, ...] = ("macro_f1", "accuracy")

    def __init__(self, num_outputs: int, labels: Sequence[str], label_smoothing: float = 0.0) -> None:
        if num_outputs < 2:
            raise InputError(f"Classification needs at least two classes, the data has {num_outputs}.")
        if not 0.0 <= label_smoothing < 1.0:
            raise InputError(f"label_smoothing is {label_smoothing}; give a share from 0 up to, but not, 1.")
        assert len(labels) == num_outputs, (len(labels), num_outputs)
        self.num_outputs = num_outputs
        self.labels = tuple(labels)
        self.label_smoothing = label_smoothing

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Sum of cross-entropies over the batch, in nats and in float32 whatever the model computes in.

        Where several readers answer for themselves, ``(K, B, V)``, each has its own loss and the sum is descended.
        """
        logits: Tensor = model(batch.inputs, batch.lengths).float()
        smoothing = self.label_smoothing if model.training else 0.0
        readers = logits if logits.ndim == 3 else logits.unsqueeze(0)
        losses = [
            F.cross_entropy(reader, batch.targets, reduction="sum", label_smoothing=smoothing) for reader in readers
        ]
        total = losses[0] if len(losses) == 1 else torch.stack(losses).sum()
        return Loss(total, batch.size, readers.mean(0) if len(losses) > 1 else logits)

    def meter(self) -> ClassificationMeter:
        """A fresh meter for one pass."""
        return ClassificationMeter(self.num_outputs)


class ClassificationMeter:
    """Loss, accuracy and macro F1 of one pass; keeps every probability for figures and example tables."""

    def __init__(self, num_classes: int) -> None:
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
        """``loss`` (nats per example), ``accuracy`` and ``macro_f1`` (over classes that occur or were predicted)."""
        targets = self.targets
        assert len(targets), "compute() before any batch"
        predicted = self.probabilities.argmax(axis=1)
        confusion = np.zeros((self._num_classes, self._num_classes), np.int64)
        np.add.at(confusion, (targets, predicted), 1)
        hits = confusion.diagonal()
        said_or_true = confusion.sum(axis=0) + confusion.sum(axis=1)
        f1 = 2 * hits[said_or_true > 0] / said_or_true[said_or_true > 0]
        return {
            "loss": float(torch.stack(self._totals).double().sum()) / len(targets),
            "accuracy": float(hits.sum() / len(targets)),
            "macro_f1": float(f1.mean()),
        }


def _numpy(parts: list[Tensor], empty: np.ndarray) -> np.ndarray:
    return torch.cat(parts).cpu().numpy() if parts else empty
