"""The linear recurrence without a loop, against the loop."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.nn.cells.linear_scan import linear_scan


def loop(a, b, h):
    states = []
    for decay, new in zip(a, b, strict=True):
        h = decay * h + new
        states.append(h)
    return torch.stack(states)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@settings(max_examples=40, deadline=None)
@given(T=st.integers(1, 40), B=st.integers(1, 3), D=st.integers(1, 3), seed=st.integers(0, 9))
def test_equals_the_loop_with_gradients(T, B, D, seed):
    torch.manual_seed(seed)
    a, b, h, weight = draw(T, B, D).clamp(-1, 1), draw(T, B, D), draw(B, D), draw(T, B, D)
    a[torch.rand(T, B, D) < 0.2] = 0.0
    leaves = [[part.clone().requires_grad_() for part in (a, b, h)] for _ in range(2)]
    one, other = linear_scan(*leaves[0]), loop(*leaves[1])
    torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)
    (one * weight).sum().backward()
    (other * weight).sum().backward()
    for ours, theirs in zip(*leaves, strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("T", [1, 2, 5])
def test_first_and_second_derivatives_by_finite_differences(T):
    torch.manual_seed(0)
    inputs = [draw(T, 2, 2).requires_grad_(), draw(T, 2, 2).requires_grad_(), draw(2, 2).requires_grad_()]
    with torch.no_grad():
        inputs[0][0, 0] = 0.0
    assert torch.autograd.gradcheck(linear_scan, inputs)
    assert torch.autograd.gradgradcheck(linear_scan, inputs)


def test_long_sequences_neither_overflow_nor_lose_precision():
    torch.manual_seed(0)
    a, b, h = torch.rand(5000, 1, 8), torch.randn(5000, 1, 8), torch.randn(1, 8)
    a[:, :, 0], a[:, :, 1], a[:, :, 2] = 1e-30, 1.0, 0.0
    exact = loop(a.double(), b.double(), h.double())
    error = (linear_scan(a, b, h).double() - exact).abs().amax((0, 1)) / exact.abs().amax((0, 1))
    assert error.max() < 1e-6


def test_arguments_stay_as_they_were():
    a, b, h = draw(6, 1, 2), draw(6, 1, 2), draw(1, 2)
    before = a.clone(), b.clone(), h.clone()
    linear_scan(a, b, h)
    assert all(torch.equal(now, then) for now, then in zip((a, b, h), before, strict=True))
