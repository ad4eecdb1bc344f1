"""Attention against torch's own, against its equations written out, and against padding."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from seqlab.errors import InputError
from seqlab.nn.attention import Attention

KINDS = ["dot", "general", "additive", "multihead"]


def example(kind, B=3, T=5, U=4, size=8):
    torch.manual_seed(0)
    attention = Attention(size, size, kind, num_heads=2)
    return attention, torch.randn(B, U, size), torch.randn(B, T, size)


def nothing_ignored(memory):
    return torch.zeros(memory.shape[:2], dtype=torch.bool)


def test_dot_is_torchs_scaled_dot_product_without_the_scale():
    attention, queries, memory = example("dot")
    context, weights = attention(queries, *attention.prepare(memory), nothing_ignored(memory))
    torch.testing.assert_close(context, F.scaled_dot_product_attention(queries, memory, memory, scale=1.0))
    torch.testing.assert_close(weights, (queries @ memory.transpose(1, 2)).softmax(2))


def test_general_compares_with_a_map_of_the_memory():
    attention, queries, memory = example("general")
    _, weights = attention(queries, *attention.prepare(memory), nothing_ignored(memory))
    scores = torch.einsum("buq,qd,btd->but", queries, attention.memory.weight, memory)
    torch.testing.assert_close(weights, scores.softmax(2))


def test_additive_is_bahdanaus_equation():
    attention, queries, memory = example("additive")
    context, weights = attention(queries, *attention.prepare(memory), nothing_ignored(memory))
    for b in range(3):
        for u in range(4):
            scores = [
                attention.score @ torch.tanh(attention.query(queries[b, u]) + attention.memory(memory[b, t]))
                for t in range(5)
            ]
            expected = torch.stack(scores).softmax(0)
            torch.testing.assert_close(weights[b, u], expected)
            torch.testing.assert_close(context[b, u], expected @ memory[b])


def test_multihead_is_torchs_but_for_the_last_map():
    attention, queries, memory = example("multihead")
    theirs = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat((attention.query.weight, attention.memory.weight)))
        theirs.in_proj_bias.copy_(torch.cat((attention.query.bias, attention.memory.bias)))
        theirs.out_proj.weight.copy_(torch.eye(8))
        theirs.out_proj.bias.zero_()
    ignored = torch.tensor([[False] * 5, [False, False, False, True, True], [False] * 4 + [True]])
    context, weights = attention(queries, *attention.prepare(memory), ignored)
    expected, looked = theirs(queries, memory, memory, key_padding_mask=ignored)
    torch.testing.assert_close(context, expected)
    torch.testing.assert_close(weights, looked)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=15)
@given(length=st.integers(1, 5), extra=st.integers(0, 4), seed=st.integers(0, 99))
def test_what_stands_in_padding_makes_no_difference(kind, length, extra, seed):
    attention, queries, memory = example(kind)
    torch.manual_seed(seed)
    memory = memory[:, :length]
    padded = torch.cat((memory, 100 * torch.randn(3, extra, 8)), 1)
    alone = attention(queries, *attention.prepare(memory), nothing_ignored(memory))
    ignored = (torch.arange(length + extra) >= length).expand(3, -1)
    context, weights = attention(queries, *attention.prepare(padded), ignored)
    torch.testing.assert_close(context, alone[0])
    torch.testing.assert_close(weights[..., :length], alone[1])
    assert weights[..., length:].eq(0).all()
    torch.testing.assert_close(weights.sum(2), torch.ones(3, 4))


@pytest.mark.parametrize("kind", KINDS)
def test_a_memory_of_nothing_but_padding_gives_zeros_and_no_nan(kind):
    attention, queries, memory = example(kind)
    queries.requires_grad_()
    context, weights = attention(queries, *attention.prepare(memory), torch.ones(3, 5, dtype=torch.bool))
    context.sum().backward()
    assert weights.eq(0).all()
    assert context.eq(0).all()
    assert queries.grad.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_finite_differences(kind):
    attention, queries, memory = example(kind, B=1, T=3, U=2, size=4)
    attention.double()
    ignored = torch.tensor([[False, False, True]])
    # the softmax itself is computed in float32, whatever comes in
    assert torch.autograd.gradcheck(
        lambda q, m: attention(q, *attention.prepare(m), ignored)[0],
        (queries.double().requires_grad_(), memory.double().requires_grad_()),
        eps=1e-3, atol=2e-3, rtol=1e-2,
    )  # fmt: skip


def test_scores_of_heads_are_scaled_by_their_width():
    attention, queries, memory = example("multihead")
    asked = attention.query(queries)[0, 0, :4]
    told = attention.memory(memory)[0, :, :4]
    first = (told @ asked / math.sqrt(4)).softmax(0)
    asked, told = attention.query(queries)[0, 0, 4:], attention.memory(memory)[0, :, 4:8]
    second = (told @ asked / math.sqrt(4)).softmax(0)
    _, weights = attention(queries, *attention.prepare(memory), nothing_ignored(memory))
    torch.testing.assert_close(weights[0, 0], (first + second) / 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((8, 6, "dot"), "attention=dot compares vectors of one width, but the decoder has 8 and the encoder 6"),
        ((8, 8, "aditive"), "attention='aditive' is unknown: did you mean 'additive'"),
        ((8, 9, "multihead", 2), "num_heads=2 does not divide the encoder's width 9"),
        ((8, 8, "multihead", 0), "num_heads=0"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Attention(*arguments)
