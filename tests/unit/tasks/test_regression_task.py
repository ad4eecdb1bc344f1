"""Regression: sums, counts and errors against arithmetic by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from seqlab.tasks.regression import Regression
from seqlab.types import Batch, InputError


class Says(nn.Module):
    def __init__(self, answers: list[list[float]]) -> None:
        super().__init__()
        self.answers = torch.tensor(answers)

    def forward(self, inputs, lengths):
        return self.answers


def batch(targets: list[list[float]]) -> Batch:
    rows = len(targets)
    return Batch(torch.zeros(rows, 3, 2), torch.full((rows,), 3), torch.tensor(targets), torch.arange(rows))


def test_loss_is_a_sum_and_a_count():
    loss = Regression(2, ("a", "b")).loss(Says([[1.0, 2.0], [0.0, 0.0]]), batch([[0.0, 2.0], [0.0, 3.0]]))
    assert float(loss.total) == 1 + 9
    assert loss.count == 4


def test_metrics_weigh_every_number_alike_over_uneven_batches():
    task = Regression(1, ("sum",))
    meter = task.meter()
    for answers, targets in (([[1.0]], [[0.0]]), ([[0.0], [0.0], [2.0]], [[0.0], [0.0], [0.0]])):
        asked = batch(targets)
        meter.update(task.loss(Says(answers), asked), asked)
    assert meter.compute() == {"mse": 5 / 4, "rmse": (5 / 4) ** 0.5, "mae": 3 / 4, "r2": 0.0}
    np.testing.assert_array_equal(meter.answers, [[1], [0], [0], [2]])


def test_nothing_to_predict_is_refused():
    with pytest.raises(InputError, match="at least one number"):
        Regression(0, ())
