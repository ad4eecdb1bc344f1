"""Tagging: padding never counts, blanks are learned but not asked about."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from seqlab.tasks.tagging import Tagging
from seqlab.types import Batch, InputError


class Says(nn.Module):
    """Is sure of these labels."""

    def __init__(self, labels: list[list[int]], V: int = 3) -> None:
        super().__init__()
        self.logits = 50.0 * nn.functional.one_hot(torch.tensor(labels), V).float()

    def forward(self, inputs, lengths):
        return self.logits


def batch(targets: list[list[int]], lengths: list[int]) -> Batch:
    return Batch(torch.zeros(len(targets), len(targets[0]), dtype=torch.long), torch.tensor(lengths),
                 torch.tensor(targets), torch.arange(len(targets)))  # fmt: skip


def test_steps_are_counted_and_padding_is_not():
    task = Tagging(3, ("a", "b", "c"))
    asked = batch([[0, 1, 2], [1, 0, 0]], [3, 1])
    loss = task.loss(Says([[0, 1, 0], [1, 2, 2]]), asked)  # one wrong among four; what stands at padding is no matter
    assert loss.count == 4
    assert float(loss.total) == pytest.approx(50, abs=1e-3)
    meter = task.meter()
    meter.update(loss, asked)
    assert meter.compute()["accuracy"] == 3 / 4
    assert meter.compute()["loss"] == pytest.approx(50 / 4, abs=1e-3)
    hits, steps = meter.by_position
    assert (hits.tolist(), steps.tolist()) == ([2, 1, 0], [2, 1, 1])


def test_undecided_answers_cost_the_logarithm_of_the_labels():
    undecided = Says([[0, 0]])
    undecided.logits.zero_()
    loss = Tagging(3, ("a", "b", "c")).loss(undecided, batch([[0, 1]], [2]))
    assert float(loss.total) == pytest.approx(2 * math.log(3))


def test_blanks_are_learned_but_not_asked_about():
    task = Tagging(3, ("blank", "x", "y"), blank="blank")
    asked = batch([[0, 0, 1, 2]], [4])
    loss = task.loss(Says([[1, 0, 1, 1]]), asked)
    meter = task.meter()
    meter.update(loss, asked)
    assert loss.count == 4
    assert meter.compute()["accuracy"] == 1 / 2


def test_batches_of_different_widths_add_up():
    task = Tagging(3, ("a", "b", "c"))
    meter = task.meter()
    for answers, targets in (([[0, 0]], [[0, 1]]), ([[0, 1, 2]], [[0, 1, 2]])):
        asked = batch(targets, [len(targets[0])])
        meter.update(task.loss(Says(answers), asked), asked)
    hits, steps = meter.by_position
    np.testing.assert_array_equal(hits, [2, 1, 1])
    np.testing.assert_array_equal(steps, [2, 2, 1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_outputs": 1, "labels": ("a",)}, "at least two labels"),
        ({"blank": "z"}, "blank='z' is none of the labels a, b"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Tagging(**{"num_outputs": 2, "labels": ("a", "b")} | options)
