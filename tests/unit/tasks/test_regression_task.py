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


@pytest.mark.parametrize("K", [1, 3])
def test_metrics_are_in_the_units_of_the_data_and_agree_with_scikit_learn(K):
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

    rng = np.random.default_rng(0)
    answers, targets = rng.normal(size=(20, K)), rng.normal(size=(20, K))
    task = Regression(K, "abc"[:K], mean=1000.0, deviation=50.0)
    meter, rows = task.meter(), batch(targets.astype(np.float32).tolist())
    loss = task.loss(Says(answers.astype(np.float32).tolist()), rows)
    assert float(loss.total) == pytest.approx(np.square(answers - targets).sum(), rel=1e-5)
    meter.update(loss, rows)
    right, said = targets * 50 + 1000, answers * 50 + 1000
    found = meter.compute()
    assert found["mse"] == pytest.approx(mean_squared_error(right, said), rel=1e-5)
    assert found["rmse"] == pytest.approx(mean_squared_error(right, said) ** 0.5, rel=1e-5)
    assert found["mae"] == pytest.approx(mean_absolute_error(right, said), rel=1e-5)
    assert found["r2"] == pytest.approx(r2_score(right, said), rel=1e-5)
    assert task.headline == ("mae", "r2", "rmse")


@pytest.mark.parametrize(("answers", "r2"), [([[5.0], [5.0]], 1.0), ([[5.0], [6.0]], 0.0)])
def test_constant_targets_have_an_r2_of_one_or_zero_as_scikit_learn_has_it(answers, r2):
    task, rows = Regression(1, ("a",)), batch([[5.0], [5.0]])
    meter = task.meter()
    meter.update(task.loss(Says(answers), rows), rows)
    assert meter.compute()["r2"] == r2
