from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.models import ClassificationHead, Embedding, Model, NgramReader
from seqlab.models.model import last_tokens
from seqlab.nn import BagOfWords
from seqlab.tasks.classification import Classification
from seqlab.types import Batch, InputError, Ragged, Split

texts = st.lists(st.lists(st.integers(0, 6), max_size=9), min_size=1, max_size=6)


def padded(rows, width=0):
    lengths = torch.tensor([len(row) for row in rows])
    inputs = torch.full((len(rows), max(width, 1, int(lengths.max()))), 1)
    for number, row in enumerate(rows):
        inputs[number, : len(row)] = torch.tensor(row, dtype=torch.int64)
    return inputs, lengths


def split_of(rows, targets):
    values = np.array([token for row in rows for token in row], dtype=np.int32)
    offsets = np.cumsum([0, *(len(row) for row in rows)])
    return Split(Ragged(values, offsets), np.array(targets))


def grams(row, order):
    return {tuple(row[i : i + n]) for n in range(1, order + 1) for i in range(len(row) - n + 1)}


@settings(max_examples=60, deadline=None)
@given(rows=texts, order=st.integers(1, 4))
def test_each_ngram_of_each_text_is_read_once(rows, order):
    reader = NgramReader(2, order=order)
    counted, _ = reader._distinct(*padded(rows))
    expected = [len(grams(row, order)) for row in rows]
    assert torch.bincount(counted, minlength=len(rows)).tolist() == expected


@settings(max_examples=60, deadline=None)
@given(rows=texts, width=st.integers(1, 20))
def test_padding_changes_nothing(rows, width):
    reader = NgramReader(3, order=3, buckets=512)
    torch.nn.init.normal_(reader.weight)
    reader.ratios.normal_()
    torch.testing.assert_close(reader(*padded(rows)), reader(*padded(rows, width + 9)))


@pytest.mark.parametrize("num_classes", [2, 3])
def test_ratios_are_those_of_the_paper(num_classes):
    rows = [[2, 3, 2, 3], [3, 4], [5, 2, 3], [4, 4, 4], [2], [5, 4]]
    targets = [0, 1, 2, 0, 1, 2] if num_classes == 3 else [0, 1, 1, 0, 1, 0]
    reader = NgramReader(num_classes, order=2)
    reader.fit(split_of(rows, targets))
    counts = [Counter() for _ in range(num_classes)]
    for row, target in zip(rows, targets, strict=True):
        counts[target].update(grams(row, 2))
    sums = [sum(count.values()) + reader.buckets for count in counts]  # one more in every bucket
    for row in ([2], [3], [4], [5]):
        _, (bucket,) = reader._distinct(*padded([row]))
        for label in range(num_classes):
            rest_count = sum(c[tuple(row)] for k, c in enumerate(counts) if k != label) + (num_classes - 1)
            rest_sum = sum(s for k, s in enumerate(sums) if k != label)
            expected = math.log((counts[label][tuple(row)] + 1) / sums[label]) - math.log(rest_count / rest_sum)
            if num_classes == 2 and label == 0:
                continue
            got = reader.ratios[bucket, 0 if num_classes == 2 else label].item()
            assert got == pytest.approx(expected, abs=1e-4)


def test_it_learns_what_counting_can_learn():
    torch.manual_seed(0)
    rows = [[2, 3, 4], [4, 3, 2], [2, 3, 5], [5, 3, 2]] * 4
    targets = [0, 1, 0, 1] * 4
    reader = NgramReader(2, order=2)
    reader.fit(split_of(rows, targets))
    optimizer = torch.optim.Adam(reader.parameters(), lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(reader(*padded(rows)), torch.tensor(targets))
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


def test_a_size_below_one_is_an_input_error():
    with pytest.raises(InputError, match="order"):
        NgramReader(2, order=0)


@settings(max_examples=40, deadline=None)
@given(rows=texts, most=st.integers(1, 12))
def test_last_tokens_are_the_ends_of_the_rows(rows, most):
    inputs, lengths = last_tokens(*padded(rows), most)
    assert [inputs[i, : lengths[i]].tolist() for i in range(len(rows))] == [row[-most:] for row in rows]


def joined(vote=0.25, tail=None):
    torch.manual_seed(0)
    embedding = Embedding(7, 4, pad_id=1)
    ngrams = NgramReader(3, buckets=256)
    torch.nn.init.normal_(ngrams.weight)
    ngrams.ratios.normal_()
    return Model(embedding, BagOfWords(4), ClassificationHead(4, 3, "mean"), ngrams, tail, vote)


def test_two_readers_answer_alone_while_training_and_together_afterwards():
    model, (inputs, lengths) = joined(), padded([[2, 3], [4, 5, 6]])
    apart = model(inputs, lengths)
    assert apart.shape == (2, 2, 3)
    torch.testing.assert_close(model.eval()(inputs, lengths), 0.25 * apart[0] + 0.75 * apart[1])


def test_the_tail_is_for_the_network_and_the_whole_text_for_the_ngrams():
    whole, short = joined(), joined(tail=(2, 3))
    inputs, lengths = padded([[2, 3, 4, 5], [6, 5]])
    a, b = whole(inputs, lengths), short(inputs, lengths)
    torch.testing.assert_close(a[1], b[1])
    torch.testing.assert_close(b[0], whole(*padded([[4, 5], [6, 5]]))[0])
    torch.testing.assert_close(short.eval()(inputs, lengths)[1], whole.eval()(inputs, lengths)[1])


def test_each_reader_has_a_loss_of_its_own():
    model, (inputs, lengths) = joined(), padded([[2, 3], [4, 5, 6]])
    targets = torch.tensor([0, 2])
    loss = Classification(3, ("a", "b", "c")).loss(model, Batch(inputs, lengths, targets, torch.arange(2)))
    apart = model(inputs, lengths)
    expected = sum(torch.nn.functional.cross_entropy(one, targets, reduction="sum") for one in apart)
    torch.testing.assert_close(loss.total, expected)
    assert loss.logits.shape == (2, 3)
