"""Several labels a row: loss and metrics against scikit-learn and torch."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from seqlab.tasks.multilabel import Multilabel
from seqlab.types import Batch, InputError


class Says(nn.Module):
    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, inputs, lengths):
        return self.logits


def batch(targets: torch.Tensor) -> Batch:
    rows = len(targets)
    return Batch(torch.zeros(rows, 3, dtype=torch.long), torch.full((rows,), 3), targets, torch.arange(rows))


@pytest.mark.parametrize("seed", range(3))
def test_metrics_agree_with_scikit_learn_over_uneven_batches(seed):
    from sklearn.metrics import accuracy_score, f1_score

    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(13, 4, generator=generator)
    targets = (torch.rand(13, 4, generator=generator) > 0.6).float()
    logits[:, 3], targets[:, 3] = -1.0, 0.0  # a label that neither occurs nor is given
    task = Multilabel(4, "abcd")
    meter = task.meter()
    for some in (slice(0, 9), slice(9, 13)):
        rows = batch(targets[some])
        loss = task.loss(Says(logits[some].bfloat16()), rows)
        assert loss.total.dtype == torch.float32
        meter.update(task.loss(Says(logits[some]), rows), rows)
    right, said = targets.numpy().astype(int), (logits.sigmoid() > 0.5).numpy().astype(int)
    found = meter.compute()
    assert found["loss"] == pytest.approx(float(F.binary_cross_entropy_with_logits(logits, targets)))
    assert found["micro_f1"] == pytest.approx(f1_score(right, said, average="micro"))
    assert found["macro_f1"] == pytest.approx(f1_score(right, said, average="macro", zero_division=0))
    assert found["subset_accuracy"] == pytest.approx(accuracy_score(right, said))
    np.testing.assert_allclose(meter.probabilities, logits.sigmoid().numpy())


def test_nothing_given_and_nothing_right_is_an_f1_of_zero():
    task, rows = Multilabel(2, "ab"), batch(torch.zeros(3, 2))
    meter = task.meter()
    meter.update(task.loss(Says(torch.full((3, 2), -1.0)), rows), rows)
    assert meter.compute()["micro_f1"] == 0.0
    assert meter.compute()["subset_accuracy"] == 1.0


def test_what_decides_is_monitored():
    assert (Multilabel(2, "ab").monitor, Multilabel(2, "ab").maximize) == ("micro_f1", True)
    assert (Multilabel(2, "ab", decides="loss").monitor, Multilabel(2, "ab", decides="loss").maximize) == (
        "loss",
        False,
    )
    with pytest.raises(InputError, match=r"check data.label_separator"):
        Multilabel(1, "a")
