"""Detection: near a peak every step is right, padding never counts, reports are matched and counted."""

import math

import pytest
import torch
from torch import nn

from seqlab.tasks.detection import Detection
from seqlab.types import Batch, InputError


class Says(nn.Module):
    """Is sure that a peak is near at these steps of each row."""

    def __init__(self, T: int, *near: list[int], sure: float = 50.0) -> None:
        super().__init__()
        self.logits = torch.full((len(near), T, 1), -sure)
        for row, steps in enumerate(near):
            self.logits[row, steps] = sure

    def forward(self, inputs, lengths):
        return self.logits


def batch(T: int, *peaks: list[int], lengths: list[int] | None = None) -> Batch:
    targets = torch.zeros(len(peaks), T, dtype=torch.long)
    for row, steps in enumerate(peaks):
        targets[row, steps] = 1
    return Batch(torch.zeros(len(peaks), T, 1), torch.tensor(lengths or [T] * len(peaks)), targets,
                 torch.arange(len(peaks)))  # fmt: skip


def test_every_step_within_the_tolerance_of_a_peak_is_asked_for():
    task = Detection(1, ("peak",), tolerance=2, distance=4)
    asked = batch(12, [0, 6])
    right = task.loss(Says(12, [0, 1, 2, 4, 5, 6, 7, 8]), asked)
    assert right.count == 12
    assert float(right.total) == pytest.approx(0, abs=1e-6)
    assert float(task.loss(Says(12, [0, 1, 4, 5, 6, 7, 8]), asked).total) == pytest.approx(50)
    assert float(task.loss(Says(12, [], sure=0.0), asked).total) == pytest.approx(12 * math.log(2))


def test_padding_costs_nothing_and_finds_nothing():
    task = Detection(1, ("peak",), tolerance=1, distance=2)
    asked = batch(10, [2], [3], lengths=[10, 5])
    loss = task.loss(Says(10, [1, 2, 3], [2, 3, 4, 8]), asked)  # the second row's step 8 is padding
    assert loss.count == 15
    assert float(loss.total) == pytest.approx(0, abs=1e-6)
    meter = task.meter()
    meter.update(loss, asked)
    assert meter.compute() == pytest.approx({"loss": 0, "precision": 1, "recall": 1, "f1": 1, "offset": 0}, abs=1e-6)
    assert [len(row) for row in meter.probabilities] == [10, 5]


def test_reports_are_counted_over_rows_and_batches():
    task = Detection(1, ("peak",), tolerance=1, distance=3)
    meter = task.meter()
    for said, peaks in (([2, 8], [3, 15]), ([5], [5])):
        asked = batch(20, peaks)
        meter.update(task.loss(Says(20, said), asked), asked)
    assert meter.compute() == {
        "loss": pytest.approx((2 * 50 + 5 * 50) / 40, rel=0.2),
        "precision": 2 / 3,
        "recall": 2 / 3,
        "f1": 2 / 3,
        "offset": 1 / 2,
    }
    first, second = meter.matched
    assert (first.right.tolist(), first.alarms.tolist(), first.misses.tolist()) == ([2], [8], [15])
    assert second.right.tolist() == [5]
    assert meter.index.tolist() == [0, 0]


def test_the_threshold_is_a_probability():
    asked = batch(9, [4])
    for probability, found in ((0.65, 0), (0.75, 1)):
        said = Says(9, [4])
        said.logits[0, 4] = math.log(probability / (1 - probability))
        task = Detection(1, ("peak",), tolerance=1, distance=2, threshold=0.7)
        meter = task.meter()
        meter.update(task.loss(said, asked), asked)
        assert meter.compute()["recall"] == found
        assert meter.probabilities[0][4] == pytest.approx(probability)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_outputs": 2}, "one kind, the data has 2"),
        ({"tolerance": -1}, "task.tolerance is -1"),
        ({"distance": 0}, "task.distance is 0"),
        ({"threshold": 1.0}, "task.threshold is 1.0"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Detection(**{"num_outputs": 1, "labels": ("peak",)} | options)
