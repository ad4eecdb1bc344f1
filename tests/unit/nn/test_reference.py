"""The reference loop: each row as if it were alone, in both directions, whatever the lengths of its neighbours."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from seqlab.nn.cells import LSTM
from seqlab.nn.reference import scan


def alive(lengths: list[int], T: int) -> list[int]:
    """How many of the sorted rows are alive at each step."""
    return [sum(length > t for length in lengths) for t in range(T)]


def lstm(input_size: int = 3, hidden_size: int = 4) -> LSTM:
    torch.manual_seed(0)
    return LSTM(input_size, hidden_size).double()


def rand(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.integers(0, 5), min_size=1, max_size=4), extra=st.integers(0, 2), reverse=st.booleans())
def test_every_row_is_as_if_it_were_alone(lengths, extra, reverse):
    lengths = sorted(lengths, reverse=True)
    T, B, cell = max(1, lengths[0] + extra), len(lengths), lstm()
    x, state = rand(T, B, 3), (rand(B, 4), rand(B, 4))
    y, final = scan(cell.step, x, state, alive(lengths, T), reverse)
    assert y.shape == (T, B, 4)
    for row, length in enumerate(lengths):
        expected = tuple(part[row : row + 1] for part in state)
        steps = reversed(range(length)) if reverse else range(length)
        for t in steps:
            expected = cell.step(x[t, row : row + 1], expected)
            torch.testing.assert_close(y[t, row : row + 1], expected[0])
        assert not y[length:, row].any()
        for part, alone in zip(final, expected, strict=True):
            torch.testing.assert_close(part[row : row + 1], alone)


def test_full_rows_equal_torch_in_both_directions():
    cell, theirs = lstm(), nn.LSTM(3, 4).double()
    for ours, other in zip(cell.torch_weights(), theirs.all_weights[0], strict=True):
        other.data.copy_(ours.detach())
    x, zeros = rand(6, 2, 3), (torch.zeros(2, 4, dtype=torch.float64),) * 2
    torch.testing.assert_close(scan(cell.step, x, zeros)[0], theirs(x)[0])
    torch.testing.assert_close(scan(cell.step, x, zeros, reverse=True)[0], theirs(x.flip(0))[0].flip(0))


@pytest.mark.parametrize("reverse", [False, True])
def test_padding_is_never_read(reverse):
    cell, x = lstm(), rand(4, 3, 3)
    x[2:, 1] = float("nan")
    x[:, 2] = float("nan")
    x.requires_grad_()
    initial = rand(3, 4).requires_grad_()
    y, final = scan(cell.step, x, (initial, initial * 0.5), alive([4, 2, 0], 4), reverse)
    (y.sum() + final[0].sum() + final[1].sum()).backward()
    assert y.isfinite().all()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert not x.grad[2:, 1].any()
    assert not x.grad[:, 2].any()
    assert x.grad[1, 1].all()
    torch.testing.assert_close(initial.grad[2], torch.full((4,), 1.5, dtype=torch.float64))
    assert all(p.grad.isfinite().all() for p in cell.parameters())


@pytest.mark.parametrize("reverse", [False, True])
def test_first_and_second_derivatives_by_finite_differences(reverse):
    cell, active = lstm(2, 3), alive([3, 1, 0], 3)

    def run(x, h, c):
        y, final = scan(cell.step, x, (h, c), active, reverse)
        return (y, *final)

    inputs = (rand(3, 3, 2).requires_grad_(), rand(3, 3).requires_grad_(), rand(3, 3).requires_grad_())
    assert torch.autograd.gradcheck(run, inputs)
    assert torch.autograd.gradgradcheck(run, inputs, fast_mode=True)


@pytest.mark.parametrize("reverse", [False, True])
def test_masks_reach_their_own_step_and_row(reverse):
    def step(x, state, masks):
        fixed, fresh = masks
        return (state[0] + fixed * x + fresh,)

    x, fixed, fresh = rand(3, 2, 4), rand(2, 4), rand(3, 2, 4)
    y, (final,) = scan(step, x, (torch.zeros(2, 4, dtype=torch.float64),), [2, 2, 1], reverse, (fixed, fresh))
    terms = fixed * x + fresh
    torch.testing.assert_close(final, torch.stack((terms[:, 0].sum(0), terms[:2, 1].sum(0))))
    torch.testing.assert_close(y[1, 1], terms[1, 1] + (0 if reverse else terms[0, 1]))


def test_states_of_any_shape():
    def step(x, state):
        total, count = state
        return total + x, count + 1

    x, state = rand(3, 2, 2, 5), (torch.zeros(2, 2, 5, dtype=torch.float64), torch.zeros(2, 1))
    y, (total, count) = scan(step, x, state, [2, 1, 1])
    torch.testing.assert_close(total[0], x[:, 0].sum(0))
    torch.testing.assert_close(y[0, 1], x[0, 1])
    assert count.tolist() == [[3.0], [1.0]]
