import logging

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.data.pair_batching import PairLoader, like_lengths
from seqlab.types import InputError, Pairs, Ragged

PAD, START, EOS = 1, 98, 99


def ragged(rows):
    offsets = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    return Ragged(np.array([id for row in rows for id in row], dtype=np.int32), offsets)


def make_pairs(lengths, texts=False):
    """Row ``i`` has ``lengths[i]`` tokens on either side, before EOS, all of them ``i + 2`` or ``i + 3``."""
    sources = [[row % 90 + 2] * source + [EOS] for row, (source, _) in enumerate(lengths)]
    targets = [[START] + [row % 90 + 3] * target + [EOS] for row, (_, target) in enumerate(lengths)]
    written = [[f"{side} {row}" for row in range(len(lengths))] for side in ("source", "target")] if texts else ((), ())
    return Pairs(ragged(sources), ragged(targets), tuple(written))


lengths_lists = st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), min_size=1, max_size=60)
options = st.fixed_dictionaries(
    {
        "batch_size": st.integers(1, 9),
        "max_batch_tokens": st.none() | st.integers(32, 150),
        "seed": st.integers(0, 1000),
        "shuffle": st.booleans(),
        "round_to": st.integers(1, 4),
        "pool": st.integers(1, 5),
    }
)


def same(left, right):
    names = ("inputs", "lengths", "targets", "target_lengths", "index")
    return all(
        torch.equal(getattr(one, name), getattr(other, name))
        for one, other in zip(left, right, strict=True)
        for name in names
    )


@settings(max_examples=60, deadline=None)
@given(lengths_lists, options, st.integers(0, 5))
def test_an_epoch_holds_every_pair_once_whole_and_padded(lengths, options, epoch):
    split = make_pairs(lengths, texts=True)
    batches = list(PairLoader(split, pad_id=PAD, **options).epoch(epoch))
    assert sorted(row for batch in batches for row in batch.index.tolist()) == list(range(len(lengths)))
    for batch in batches:
        for tensor in (batch.inputs, batch.lengths, batch.targets, batch.target_lengths, batch.index):
            assert tensor.dtype == torch.int64
        T, U = batch.inputs.shape[1], batch.targets.shape[1] - 1
        for width, counts in ((T, batch.lengths), (U, batch.target_lengths)):
            assert width == -(-int(counts.max()) // options["round_to"]) * options["round_to"]
        for place, row in enumerate(batch.index.tolist()):
            source, target = split.sources[row].tolist(), split.targets[row].tolist()
            assert batch.inputs[place].tolist() == source + [PAD] * (T - len(source))
            assert batch.targets[place].tolist() == target + [PAD] * (1 + U - len(target))
            assert batch.lengths[place] == len(source)
            assert batch.target_lengths[place] == len(target) - 1
            assert (batch.texts[0][place], batch.texts[1][place]) == (f"source {row}", f"target {row}")


@settings(max_examples=60, deadline=None)
@given(lengths_lists, options, st.integers(0, 5), st.integers(0, 70))
def test_order_is_a_pure_function_of_seed_and_epoch(lengths, options, epoch, start):
    split = make_pairs(lengths)
    used = PairLoader(split, pad_id=PAD, **options)
    for other in (3, 0):
        list(used.epoch(other))
    whole = list(used.epoch(epoch))
    assert same(whole, list(PairLoader(split, pad_id=PAD, **options).epoch(epoch)))
    assert same(whole[start:], list(used.epoch(epoch, start=start)))


@settings(max_examples=60, deadline=None)
@given(lengths_lists, options, st.integers(0, 5))
def test_counts_padding_and_budget_are_what_the_batches_show(lengths, options, epoch):
    loader = PairLoader(make_pairs(lengths), pad_id=PAD, **options)
    batches = list(loader.epoch(epoch))
    cells = sum(batch.inputs.numel() + batch.positions for batch in batches)
    filled = sum(int(batch.lengths.sum() + batch.target_lengths.sum()) for batch in batches)
    assert loader.padding == pytest.approx(1 - filled / cells)
    assert loader.num_batches(epoch) == len(batches)
    assert len(loader) == loader.num_batches(0)
    assert all(batch.texts == ((), ()) for batch in batches)
    if options["max_batch_tokens"] is None:
        assert sorted(batch.size for batch in batches)[1:] == [options["batch_size"]] * (len(batches) - 1)
    else:
        most = max(batch.size * max(batch.inputs.shape[1], batch.targets.shape[1] - 1) for batch in batches)
        assert most <= options["max_batch_tokens"]


def test_epochs_and_seeds_differ_and_the_global_generator_is_left_alone():
    split = make_pairs([(5, 5)] * 50)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    orders = {
        tuple(torch.cat([batch.index for batch in PairLoader(split, pad_id=PAD, seed=seed).epoch(epoch)]).tolist())
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    assert len(orders) == 4
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])


def sentences(rows):
    """Lengths as of translations: the target's is near the source's."""
    random = np.random.default_rng(0)
    source = random.integers(5, 40, rows)
    return list(zip(source.tolist(), (source + random.integers(-4, 5, rows)).tolist(), strict=True))


def test_buckets_save_padding_on_both_sides():
    split = make_pairs(sentences(3000))
    bucketed, plain = (PairLoader(split, pad_id=PAD, batch_size=16, pool=pool) for pool in (100, 1))
    assert bucketed.padding < 0.1 < 0.3 < plain.padding
    budget = PairLoader(split, pad_id=PAD, max_batch_tokens=1000)
    sizes = [batch.size * max(batch.inputs.shape[1], batch.targets.shape[1] - 1) for batch in budget.epoch(0)]
    assert np.mean(sizes) > 0.9 * 1000


@settings(max_examples=60, deadline=None)
@given(lengths_lists)
def test_neighbours_have_like_lengths(lengths):
    source, target = np.array(lengths).T
    keys = like_lengths(source, target)
    assert len(set(keys.tolist())) == len(set(lengths))
    longest = np.maximum(source, target)[np.argsort(keys, kind="stable")]
    assert all(np.diff(longest) >= 0)


def test_evaluation_is_longest_first():
    loader = PairLoader(make_pairs([(3, 1), (2, 9), (0, 0), (7, 4)]), pad_id=PAD, batch_size=2, shuffle=False)
    assert [batch.index.tolist() for batch in loader.epoch(0)] == [[1, 3], [0, 2]]


def test_long_pairs_are_left_out_of_training_alone_and_that_is_told(caplog):
    split = make_pairs([(3, 1), (2, 9), (0, 0), (7, 4), (4, 4)])
    with caplog.at_level(logging.INFO):
        loader = PairLoader(split, pad_id=PAD, batch_size=2, max_length=5)
    assert "2 of 5 pairs are longer than max_length=5" in caplog.text
    for epoch in range(3):
        assert sorted(row for batch in loader.epoch(epoch) for row in batch.index.tolist()) == [0, 2, 4]
    caplog.clear()
    whole = PairLoader(split, pad_id=PAD, batch_size=2, max_length=5, shuffle=False, max_batch_tokens=6)
    assert [batch.index.tolist() for batch in whole.epoch(0)] == [[1], [3], [4], [0], [2]]
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("lengths", "options", "says"),
    [
        ([], {}, "no pairs"),
        ([(3, 3)], {"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ([(3, 3)], {"max_length": 0}, "max_length"),
        ([(3, 3)], {"max_length": 3}, "every pair is longer than max_length=3"),
        ([(3, 3)], {"seed": -1}, "seed"),
        ([(3, 3), (3, 30)], {"max_batch_tokens": 16}, "longest pair, 31 tokens"),
    ],
)
def test_what_cannot_be_is_refused(lengths, options, says):
    with pytest.raises(InputError, match=says):
        PairLoader(make_pairs(lengths), pad_id=PAD, **options)
