"""Pooling row by row against plain computation, under padding, and its gradient."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.nn.pooling import Pooling
from seqlab.types import Encoded, InputError

KINDS = ["last", "mean", "max", "attention"]


def encode(outputs: torch.Tensor, lengths: list[int]) -> Encoded:
    """An encoder's answer with ``final`` at the last valid step."""
    outputs = outputs.clone()
    final = torch.zeros_like(outputs[:, 0])
    for row, length in enumerate(lengths):
        outputs[row, length:] = 0
        if length:
            final[row] = outputs[row, length - 1]
    return Encoded(outputs, final, torch.tensor(lengths))


def by_hand(pooling: Pooling, kind: str, row: torch.Tensor) -> torch.Tensor:
    if len(row) == 0:
        return torch.zeros(row.shape[1])
    if kind == "last":
        return row[-1]
    if kind == "mean":
        return row.mean(0)
    if kind == "max":
        return row.amax(0)
    weights = (torch.tanh(pooling.projection(row)) @ pooling.query).softmax(0)
    return weights @ row


@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.integers(0, 5), min_size=1, max_size=4), extra=st.integers(0, 3), shift=st.floats(-9, 9))
@pytest.mark.parametrize("kind", KINDS)
def test_each_row_is_pooled_over_its_valid_steps(kind, lengths, extra, shift):
    torch.manual_seed(0)
    pooling = Pooling(3, kind)
    outputs = torch.randn(len(lengths), max(1, *lengths) + extra, 3) + shift  # a maximum may be below zero
    encoded = encode(outputs, lengths)
    pooled = pooling(encoded)
    for row, length in enumerate(lengths):
        expected = by_hand(pooling, kind, encoded.outputs[row, :length])
        torch.testing.assert_close(pooled[row], expected, atol=1e-5, rtol=1e-5)


def test_several_kinds_are_concatenated_in_order():
    pooling = Pooling(3, ["max", "last", "mean"])
    encoded = encode(torch.randn(2, 4, 3), [4, 2])
    expected = torch.cat([Pooling(3, kind)(encoded) for kind in ("max", "last", "mean")], 1)
    assert pooling.output_size == 9
    torch.testing.assert_close(pooling(encoded), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [[4, 4], [4, 2], [0, 4]])
def test_gradient_by_finite_differences(kind, lengths):
    torch.manual_seed(0)
    pooling = Pooling(2, kind).double()
    outputs = torch.randn(2, 4, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: pooling(encode(x, lengths)), (outputs,))


def test_no_steps_give_zeros():
    encoded = Encoded(torch.zeros(2, 0, 3), torch.zeros(2, 3), torch.tensor([0, 0]))
    assert Pooling(3, KINDS)(encoded).tolist() == [[0.0] * 12] * 2


def test_attention_is_not_rounded_under_autocast():
    pooling = Pooling(8, "attention")
    encoded = encode(torch.randn(2, 5, 8), [5, 3])
    exact = pooling(encoded)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(pooling(encoded), exact)


def test_unknown_kinds_are_refused():
    with pytest.raises(InputError, match="did you mean 'mean'"):
        Pooling(3, ["max", "maen"])
    with pytest.raises(InputError, match="pooling is empty"):
        Pooling(3, [])
