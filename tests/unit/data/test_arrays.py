"""Arrays in memory: the order of their batches, and what generated data says of itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqlab.data.arrays import ArrayLoader, load_generated
from seqlab.data.synthetic import Adding, CopyMemory, Parity, Part
from seqlab.types import InputError


def part(rows: int = 10) -> Part:
    lengths = np.arange(rows) % 4 + 1
    return Part(np.arange(rows * 4).reshape(rows, 4), lengths, np.arange(rows))


def test_an_epoch_is_every_row_once_in_an_order_of_its_own():
    loader = ArrayLoader(part(), batch_size=3, seed=5)
    epochs = [[batch.index for batch in loader.epoch(epoch)] for epoch in (0, 1, 0)]
    assert [len(batch) for batch in epochs[0]] == [3, 3, 3, 1]
    assert len(loader) == 4
    first, second, again = (torch.cat(batches).tolist() for batches in epochs)
    assert sorted(first) == sorted(second) == list(range(10))
    assert first == again != second


def test_a_batch_holds_its_rows():
    for batch in ArrayLoader(part(), batch_size=4, seed=1).epoch(3):
        assert torch.equal(batch.inputs[:, 0], batch.index * 4)
        assert torch.equal(batch.targets, batch.index)
        assert torch.equal(batch.lengths, batch.index % 4 + 1)


def test_an_epoch_can_be_entered_anywhere():
    loader = ArrayLoader(part(), batch_size=3)
    whole, rest = list(loader.epoch(2)), list(loader.epoch(2, start=2))
    assert [batch.index.tolist() for batch in rest] == [batch.index.tolist() for batch in whole[2:]]


def test_unshuffled_rows_stand_in_their_own_order():
    order = torch.cat([batch.index for batch in ArrayLoader(part(), batch_size=3, shuffle=False).epoch(7)])
    assert order.tolist() == list(range(10))


def test_padding_is_what_lengths_leave_over():
    assert ArrayLoader(part(8)).padding == pytest.approx(1 - 20 / 32)


@pytest.mark.parametrize(("rows", "size", "message"), [(10, 0, "batch_size must be at least 1"), (0, 3, "no examples")])
def test_what_makes_no_batches_is_refused(rows, size, message):
    with pytest.raises(InputError, match=message):
        ArrayLoader(part(rows), batch_size=size)


@pytest.mark.parametrize(
    ("source", "task", "outputs"),
    [
        (Adding(steps=10, train=9, val=2, test=2), "regression", 1),
        (CopyMemory(steps=5, symbols=3, train=9, val=2, test=2), "tagging", 5),
        (Parity(steps=40, train=9, val=2, test=2), "classification", 2),
        (Parity(steps=40, train=9, val=2, test=2, asked="prefixes"), "tagging", 2),
    ],
)
def test_generated_data_fits_what_it_says_of_itself(source, task, outputs):
    data = load_generated(source)
    assert (data.spec.task, data.spec.num_outputs, len(data.spec.labels)) == (task, outputs, outputs)
    assert [len(data.train), len(data.val), len(data.test)] == [9, 2, 2]
    if data.spec.num_features:
        assert data.train.inputs.shape[2] == data.spec.num_features
    else:
        assert 0 <= data.train.inputs.min() <= data.train.inputs.max() < data.spec.vocab_size
    if task != "regression":
        assert 0 <= data.train.targets.min() <= data.train.targets.max() < outputs
    assert all(0 < value < 1 for value in data.floor.values())
    assert data.digest == load_generated(source).digest
