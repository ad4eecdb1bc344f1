"""The carried state: handed on detached, zero where a row is fresh, the same after a checkpoint."""

import pytest
import torch

from seqlab.engine.carry import Carry
from seqlab.types import Batch, InputError, Loss


def batch(fresh: list[bool] | None, rows: int = 3) -> Batch:
    return Batch(
        torch.zeros(rows, 4, dtype=torch.long), torch.full((rows,), 4), torch.zeros(rows, 4), torch.arange(rows),
        None if fresh is None else torch.tensor(fresh),
    )  # fmt: skip


def loss(value: float, rows: int = 3) -> Loss:
    state = torch.full((rows, 2), value, requires_grad=True)
    return Loss(state.sum(), 1, state, state=((state, state * 2), (state + 1,)))


def values(given: Batch) -> list[list[float]]:
    assert given.state is not None
    return [part[:, 0].tolist() for each in given.state for part in each]


def test_what_a_row_ended_in_is_what_it_goes_on_from():
    carry = Carry()
    first = carry.give(batch([True, True, True]))
    assert first.state is None
    carry.take(first, loss(5.0))
    given = carry.give(batch([False, False, False]))
    assert values(given) == [[5.0] * 3, [10.0] * 3, [6.0] * 3]
    assert not any(part.requires_grad for each in given.state for part in each)


def test_a_fresh_row_begins_with_zeros_even_after_a_state_that_is_not_finite():
    carry = Carry()
    carry.take(batch([True] * 3), loss(float("nan")))
    assert values(carry.give(batch([True, True, False])))[0][:2] == [0.0, 0.0]
    carry.take(batch([True] * 3), loss(5.0))
    assert values(carry.give(batch([False, True, False]))) == [[5.0, 0.0, 5.0], [10.0, 0.0, 10.0], [6.0, 0.0, 6.0]]


def test_batches_that_go_on_from_nothing_pass_by():
    carry = Carry()
    carry.take(batch([True] * 3), loss(5.0))
    cold = batch(None, rows=7)
    assert carry.give(cold) is cold
    carry.take(cold, loss(9.0, rows=7))
    assert values(carry.give(batch([False] * 3)))[0] == [5.0] * 3


def test_a_checkpoint_brings_it_back_as_plain_data():
    carry, restored = Carry(), Carry()
    carry.take(batch([True] * 3), loss(5.0))
    restored.load_state_dict(carry.state_dict())
    assert values(restored.give(batch([False] * 3))) == values(carry.give(batch([False] * 3)))
    assert type(carry.state_dict()["state"][0]) is list


def test_another_number_of_rows_is_refused():
    carry = Carry()
    carry.take(batch([True] * 3), loss(5.0))
    with pytest.raises(InputError, match="carried state is of 3 rows and the batch has 2"):
        carry.give(batch([False, False], rows=2))
