import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.data.batching import BucketLoader
from seqlab.types import InputError, Ragged, Split

PAD = 1


def make_split(lengths):
    """Row ``i`` holds ``10 * i + 2, 10 * i + 3, ...``; its target is ``i % 3``."""
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    rows = [np.arange(length) + 1000 * row + 2 for row, length in enumerate(lengths)]
    values = np.concatenate([*rows, np.zeros(0)]).astype(np.int32)
    return Split(Ragged(values, offsets), np.arange(len(lengths)) % 3)


lengths_lists = st.lists(st.integers(0, 40), min_size=1, max_size=60)
options = st.fixed_dictionaries(
    {
        "batch_size": st.integers(1, 9),
        "max_batch_tokens": st.none() | st.integers(48, 200),
        "max_length": st.none() | st.integers(1, 45),
        "truncate": st.sampled_from(["head", "tail"]),
        "seed": st.integers(0, 1000),
        "shuffle": st.booleans(),
        "round_to": st.integers(1, 8),
        "pool": st.integers(1, 5),
    }
)


def same(left, right):
    pairs = zip(left, right, strict=True)
    return all(
        torch.equal(getattr(one, name), getattr(other, name))
        for one, other in pairs
        for name in ("inputs", "lengths", "targets", "index")
    )


@settings(max_examples=60, deadline=None)
@given(lengths_lists, options, st.integers(0, 5))
def test_an_epoch_holds_every_row_once_padded_and_cut_as_asked(lengths, options, epoch):
    split = make_split(lengths)
    loader = BucketLoader(split, pad_id=PAD, **options)
    batches = list(loader.epoch(epoch))
    assert sorted(row for batch in batches for row in batch.index.tolist()) == list(range(len(lengths)))
    cut = options["max_length"]
    for batch in batches:
        assert batch.inputs.dtype == batch.lengths.dtype == batch.targets.dtype == batch.index.dtype == torch.int64
        width = batch.inputs.shape[1]
        assert width >= 1
        assert width % options["round_to"] == 0 or width == cut
        for inputs, length, target, row in zip(batch.inputs, batch.lengths, batch.targets, batch.index, strict=True):
            tokens = split.tokens[row]
            if cut is not None and len(tokens) > cut:
                tokens = tokens[:cut] if options["truncate"] == "head" else tokens[-cut:]
            assert length == len(tokens)
            assert inputs.tolist() == [*tokens.tolist(), *[PAD] * (width - len(tokens))]
            assert target == split.targets[row]


@settings(max_examples=60, deadline=None)
@given(lengths_lists, options, st.integers(0, 5), st.integers(0, 70))
def test_order_is_a_pure_function_of_seed_and_epoch(lengths, options, epoch, start):
    split = make_split(lengths)
    used = BucketLoader(split, pad_id=PAD, **options)
    for other in (3, 0):
        list(used.epoch(other))
    whole = list(used.epoch(epoch))
    assert same(whole, list(BucketLoader(split, pad_id=PAD, **options).epoch(epoch)))
    assert same(whole[start:], list(used.epoch(epoch, start=start)))


@settings(max_examples=60, deadline=None)
@given(lengths_lists, options, st.integers(0, 5))
def test_counts_padding_and_budget_are_what_the_batches_show(lengths, options, epoch):
    loader = BucketLoader(make_split(lengths), pad_id=PAD, **options)
    batches = list(loader.epoch(epoch))
    cells = sum(batch.inputs.numel() for batch in batches)
    assert loader.padding == pytest.approx(1 - sum(batch.tokens for batch in batches) / cells)
    assert loader.num_batches(epoch) == len(batches)
    assert len(loader) == loader.num_batches(0)
    if options["max_batch_tokens"] is None:
        assert len(batches) == len(loader)
        assert sorted(batch.size for batch in batches)[1:] == [options["batch_size"]] * (len(batches) - 1)
    else:
        assert max(batch.inputs.numel() for batch in batches) <= options["max_batch_tokens"]


def test_epochs_and_seeds_differ_and_the_global_generator_is_left_alone():
    split = make_split([5] * 50)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    rows = {
        (seed, epoch): torch.cat([b.index for b in BucketLoader(split, pad_id=PAD, seed=seed).epoch(epoch)]).tolist()
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    assert len({tuple(order) for order in rows.values()}) == 4
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])


def test_buckets_save_padding():
    split = make_split(np.random.default_rng(0).integers(10, 200, 500))
    bucketed = BucketLoader(split, pad_id=PAD, batch_size=8)
    plain = BucketLoader(split, pad_id=PAD, batch_size=8, pool=1)
    assert bucketed.padding < 0.1 < 0.3 < plain.padding


def test_a_token_budget_fills_its_batches():
    split = make_split(np.random.default_rng(0).integers(10, 200, 500))
    loader = BucketLoader(split, pad_id=PAD, max_batch_tokens=2000)
    sizes = [batch.inputs.numel() for batch in loader.epoch(0)]
    assert np.mean(sizes) > 0.9 * 2000


def test_drop_last_leaves_out_rows_by_lot():
    loader = BucketLoader(make_split(range(23)), pad_id=PAD, batch_size=5, drop_last=True)
    left_out = []
    for epoch in range(6):
        batches = list(loader.epoch(epoch))
        assert [batch.size for batch in batches] == [5] * 4 == [5] * len(loader)
        left_out.append(frozenset(range(23)) - {row for batch in batches for row in batch.index.tolist()})
    assert len(set(left_out)) > 1


def test_evaluation_order_is_longest_first():
    loader = BucketLoader(make_split([3, 9, 0, 7]), pad_id=PAD, batch_size=2, shuffle=False, round_to=1)
    assert [batch.index.tolist() for batch in loader.epoch(0)] == [[1, 3], [0, 2]]


def test_texts_that_are_all_empty_make_batches_of_padding():
    (batch,) = BucketLoader(make_split([0, 0]), pad_id=PAD, round_to=1).epoch(0)
    assert batch.inputs.tolist() == [[PAD], [PAD]]
    assert batch.lengths.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("lengths", "options", "says"),
    [
        ([], {}, "no examples"),
        ([3], {"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ([3], {"max_length": 0}, "max_length"),
        ([3], {"truncate": "middle"}, "head or tail"),
        ([3], {"seed": -1}, "seed"),
        ([3, 30], {"max_batch_tokens": 16}, "longest text, 32 tokens"),
        ([3] * 4, {"batch_size": 5, "drop_last": True}, "lower batch_size"),
    ],
)
def test_what_cannot_be_is_refused(lengths, options, says):
    with pytest.raises(InputError, match=says):
        BucketLoader(make_split(lengths), pad_id=PAD, **options)
