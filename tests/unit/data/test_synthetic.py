"""The generated tasks against their definitions, and their floors against what guessing gets."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.data.synthetic import (
    Adding,
    CopyMemory,
    Parity,
    adding,
    adding_floor,
    copy_floor,
    copy_memory,
    parity,
    parity_floor,
)
from seqlab.types import InputError

SMALL = {"train": 40, "val": 20, "test": 10}
TASKS = [Adding(12, **SMALL), CopyMemory(5, **SMALL), Parity(30, **SMALL), Parity(30, 3, "prefixes", **SMALL)]

every_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task.name}-{task.digest()[:4]}")


@settings(max_examples=30, deadline=None)
@given(steps=st.integers(2, 30), count=st.integers(1, 20), seed=st.integers(0, 99))
def test_adding_sums_the_two_marked_values_one_from_each_half(steps, count, seed):
    inputs, targets = adding(steps, count, seed)
    assert inputs.shape == (count, steps, 2)
    assert inputs.dtype == targets.dtype == np.float32
    values, marks = inputs[..., 0], inputs[..., 1]
    assert ((values >= 0) & (values < 1)).all()
    assert np.isin(marks, (0, 1)).all()
    assert (marks[:, : steps // 2].sum(1) == 1).all()
    assert (marks[:, steps // 2 :].sum(1) == 1).all()
    np.testing.assert_allclose(targets, (values * marks).sum(1, keepdims=True), rtol=1e-6)


def test_adding_marks_every_step_equally_and_its_floor_is_what_the_mean_gets():
    inputs, targets = adding(7, 70_000, 0)
    shares = inputs[..., 1].mean(0)
    np.testing.assert_allclose(shares, [1 / 3] * 3 + [1 / 4] * 4, atol=0.01)
    assert np.square(targets - 1).mean() == pytest.approx(adding_floor(), rel=0.02)
    assert adding_floor() == pytest.approx(0.1667, abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(
    steps=st.integers(1, 20),
    count=st.integers(1, 10),
    symbols=st.integers(2, 9),
    length=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_copy_memory_asks_for_the_first_symbols_at_the_end(steps, count, symbols, length, seed):
    inputs, targets = copy_memory(steps, count, seed, symbols, length)
    assert inputs.shape == targets.shape == (count, steps + 2 * length)
    assert inputs.dtype == targets.dtype == np.int64
    for row, answer in zip(inputs, targets, strict=True):
        words = row[:length]
        assert ((words >= 1) & (words <= symbols)).all()
        assert row[length:].tolist() == [0] * (steps - 1) + [symbols + 1] + [0] * length
        assert answer.tolist() == [0] * (steps + length) + words.tolist()


def test_copy_floor_is_the_loss_of_knowing_the_time_alone():
    steps, symbols, length = 30, 5, 4
    _, targets = copy_memory(steps, 5000, 0, symbols, length)
    probabilities = np.zeros((steps + 2 * length, symbols + 1))
    probabilities[:-length, 0] = 1
    probabilities[-length:, 1:] = 1 / symbols
    loss = -np.log(probabilities[np.arange(steps + 2 * length), targets]).mean()
    floor = copy_floor(steps, symbols, length)
    assert floor.loss == pytest.approx(loss)
    assert floor.accuracy == pytest.approx((targets[:, -length:] == 3).mean(), abs=0.01)
    assert copy_floor(1000).loss == pytest.approx(10 * math.log(8) / 1020)


@settings(max_examples=30, deadline=None)
@given(steps=st.integers(1, 20), count=st.integers(1, 10), seed=st.integers(0, 99), data=st.data())
def test_parity_counts_ones(steps, count, seed, data):
    shortest = data.draw(st.none() | st.integers(1, steps))
    bits, lengths, prefixes, whole = parity(steps, count, seed, shortest)
    assert bits.shape == prefixes.shape == (count, steps)
    assert {bits.dtype, lengths.dtype, prefixes.dtype, whole.dtype} == {np.dtype(np.int64)}
    assert ((lengths >= (shortest or steps)) & (lengths <= steps)).all()
    for row, length, answers, answer in zip(bits, lengths, prefixes, whole, strict=True):
        assert set(row) <= {0, 1}
        assert not row[length:].any()
        assert not answers[length:].any()
        assert [sum(row[: t + 1]) % 2 for t in range(length)] == answers[:length].tolist()
        assert answer == sum(row) % 2


def test_parity_is_even_odds_and_lengths_are_even():
    bits, lengths, prefixes, whole = parity(9, 20_000, 0, shortest=5)
    assert whole.mean() == pytest.approx(parity_floor(), abs=0.02)
    assert bits[:, :5].mean() == pytest.approx(0.5, abs=0.02)
    assert prefixes[:, 4].mean() == pytest.approx(0.5, abs=0.02)
    np.testing.assert_allclose(np.bincount(lengths)[5:] / 20_000, 0.2, atol=0.02)


@pytest.mark.parametrize("make", [adding, copy_memory, parity])
def test_a_seed_decides_everything(make):
    for one, other in zip(make(8, 5, 3), make(8, 5, 3), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(make(8, 5, 3)[0], make(8, 5, 4)[0])


@every_task
def test_parts_have_the_sizes_asked_for_and_are_the_same_each_time(task):
    parts, again = task.splits(), task.splits()
    assert list(parts) == ["train", "val", "test"]
    for name, part in parts.items():
        assert len(part) == len(part.inputs) == len(part.lengths) == len(part.targets) == SMALL[name]
        assert part.lengths.dtype == np.int64
        assert part.lengths.min() >= 1
        assert part.lengths.max() <= part.inputs.shape[1]
        for field in ("inputs", "lengths", "targets"):
            np.testing.assert_array_equal(getattr(part, field), getattr(again[name], field))
    assert not np.array_equal(parts["val"].inputs[:10], parts["test"].inputs)


def rows_of(part):
    return {(row.tobytes(), length) for row, length in zip(part.inputs, part.lengths.tolist(), strict=True)}


@pytest.mark.parametrize(
    "task",
    [
        Parity(12, train=1000, val=300, test=300),
        Parity(11, shortest=2, train=500, val=300, test=300),
        CopyMemory(3, symbols=3, length=6, train=300, val=100, test=100),
    ],
    ids=["parity", "parity-varied", "copy"],
)
def test_no_example_stands_in_two_parts_and_answers_still_fit(task):
    parts = task.splits()
    train, val, test = (rows_of(part) for part in parts.values())
    assert not train & val
    assert not train & test
    assert not val & test
    for part in parts.values():
        if task.name == "parity":
            np.testing.assert_array_equal(part.targets, part.inputs.sum(1) % 2)
        else:
            np.testing.assert_array_equal(part.targets[:, -6:], part.inputs[:, :6])


def test_a_task_too_small_to_keep_its_parts_apart_is_refused():
    with pytest.raises(InputError, match="parity at steps=4 has too few different sequences to keep 1,000 val"):
        Parity(4).splits()


def test_the_digest_is_of_the_parameters():
    assert Adding().digest() == "06d2331ddd8f3606990b1bded291d987ec711ee53cbb13b6bc6d0f7cf1e16992"
    digests = {task.digest() for task in TASKS} | {dataclasses.replace(TASKS[0], seed=1).digest()}
    assert len(digests) == len(TASKS) + 1
    assert Parity(30, **SMALL).digest() == TASKS[2].digest()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: adding(1, 5, 0), "steps=1 is too small"),
        (lambda: adding(5, 0, 0), "count=0"),
        (lambda: adding(5, 5, -1), "seed=-1"),
        (lambda: copy_memory(0, 5, 0), "steps=0"),
        (lambda: copy_memory(5, 5, 0, symbols=1), "symbols=1"),
        (lambda: copy_memory(5, 5, 0, length=0), "length=0"),
        (lambda: parity(0, 5, 0), "steps=0"),
        (lambda: parity(5, 5, 0, shortest=0), "shortest=0"),
        (lambda: parity(5, 5, 0, shortest=6), "shortest=6 is more than steps=5"),
        (lambda: Adding(test=0).splits(), "test=0"),
        (lambda: Adding(seed=-1).splits(), "seed=-1"),
        (lambda: Parity(asked="some").splits(), "asked='some' is unknown"),
    ],
)
def test_impossible_sizes_are_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()
