from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from seqlab.data import windows
from seqlab.data.windows import ChainLoader, LaneLoader, WindowLoader
from seqlab.types import InputError, Tokens

PAD = 1


def make_tokens(lengths, dtype=np.int32):
    """Documents of these lengths; token ``i`` of the whole text is ``i + 2``."""
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1])).astype(np.int64)
    return Tokens(np.arange(2, 2 + sum(lengths)).astype(dtype), starts)


documents = (
    st.lists(st.integers(1, 40), min_size=1, max_size=12).filter(lambda lengths: sum(lengths) > 1).map(make_tokens)
)
sizes = st.fixed_dictionaries(
    {"batch_size": st.integers(1, 9), "length": st.integers(1, 17), "seed": st.integers(0, 99)}
)
modes = st.sampled_from(["shuffled", "in order", "lanes", "lanes with resets"])


def make_loader(tokens, mode, batch_size, length, seed):
    if mode.startswith("lanes"):
        reset = 0.3 if "resets" in mode else 0.0
        return LaneLoader(tokens, batch_size=batch_size, length=length, seed=seed, reset=reset)
    return WindowLoader(tokens, batch_size=batch_size, length=length, seed=seed, shuffle=mode == "shuffled")


def long_enough(case):
    tokens, mode, options = case
    needed = {"in order": 1, "shuffled": options["length"]}.get(mode, options["batch_size"])
    return len(tokens) > needed


cases = st.tuples(documents, modes, sizes).filter(long_enough)


def spans_of(batch):
    """``(first, end)`` of each row, as positions of what it reads."""
    return [(first, first + length) for first, length in zip(batch.index.tolist(), batch.lengths.tolist(), strict=True)]


def assert_same(left, right):
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        for name in ("inputs", "lengths", "targets", "index"):
            assert torch.equal(getattr(one, name), getattr(other, name))
        assert (one.fresh is None) == (other.fresh is None)
        assert one.fresh is None or torch.equal(one.fresh, other.fresh)


@settings(max_examples=200, deadline=None)
@given(cases, st.integers(0, 3))
def test_every_token_but_the_first_is_asked_for_once_and_rows_hold_what_the_text_holds(case, epoch):
    tokens, mode, options = case
    loader = make_loader(tokens, mode, **options)
    asked = []
    for batch in loader.epoch(epoch):
        assert batch.inputs.dtype == batch.lengths.dtype == batch.targets.dtype == batch.index.dtype == torch.int64
        width = batch.inputs.shape[1]
        assert 1 <= width <= options["length"]
        assert 1 <= batch.size <= options["batch_size"]
        assert batch.tokens > 0
        for inputs, targets, (first, end) in zip(batch.inputs, batch.targets, spans_of(batch), strict=True):
            padding = [PAD] * (width - (end - first))
            assert inputs.tolist() == [*tokens.ids[first:end].tolist(), *padding]
            assert targets.tolist() == [*tokens.ids[first + 1 : end + 1].tolist(), *padding]
            asked += range(first + 1, end + 1)
    assert sorted(asked) == list(range(1, len(tokens)))


@settings(max_examples=100, deadline=None)
@given(cases, st.integers(0, 3))
def test_no_row_reads_across_a_reset(case, epoch):
    tokens, mode, options = case
    resets = set(tokens.resets.tolist())
    for batch in make_loader(tokens, mode, **options).epoch(epoch):
        for first, end in spans_of(batch):
            assert not resets & set(range(first + 1, end))


@settings(max_examples=100, deadline=None)
@given(documents, sizes, st.sampled_from([0.0, 0.3]), st.integers(0, 3))
def test_lanes_are_contiguous_and_fresh_where_memory_must_not_come_from_elsewhere(tokens, options, reset, epoch):
    assume(len(tokens) > options["batch_size"])
    batches = list(LaneLoader(tokens, reset=reset, **options).epoch(epoch))
    assert {batch.size for batch in batches} == {options["batch_size"]}
    resets = set(tokens.resets.tolist())
    lanes = []
    for row in range(options["batch_size"]):
        spans = [spans_of(batch)[row] for batch in batches]
        fresh = [bool(batch.fresh[row]) for batch in batches]
        lanes.append((spans[0][0], spans[-1][1]))
        assert fresh[0]
        assert all(before[1] == after[0] for before, after in pairwise(spans))
        for number, ((first, end), is_fresh) in enumerate(zip(spans, fresh, strict=True)):
            must = end > first and (number == 0 or first in resets)
            assert is_fresh == must if reset == 0 or end == first else is_fresh >= must
    assert all(before[1] == after[0] for before, after in pairwise(lanes))
    lengths = [end - first for first, end in lanes]
    assert max(lengths) - min(lengths) <= 1


@settings(max_examples=100, deadline=None)
@given(cases, st.integers(0, 3), st.integers(0, 30))
def test_an_epoch_is_a_pure_function_of_seed_and_epoch_and_can_be_taken_up_anywhere(case, epoch, start):
    tokens, mode, options = case
    used = make_loader(tokens, mode, **options)
    for other in (3, 0):
        list(used.epoch(other))
    whole = list(used.epoch(epoch))
    assert_same(whole, list(make_loader(tokens, mode, **options).epoch(epoch)))
    assert_same(whole[start:], list(used.epoch(epoch, start=start)))


@settings(max_examples=100, deadline=None)
@given(cases)
def test_counts_and_padding_are_what_the_batches_show(case):
    tokens, mode, options = case
    loader = make_loader(tokens, mode, **options)
    batches = list(loader.epoch(0))
    assert len(loader) == len(batches)
    cells = sum(batch.inputs.numel() for batch in batches)
    assert loader.padding == pytest.approx(1 - (len(tokens) - 1) / cells)
    if mode == "shuffled":
        assert loader.num_batches(2) == len(list(loader.epoch(2)))


@pytest.mark.parametrize("mode", ["shuffled", "lanes with resets"])
def test_epochs_and_seeds_differ_and_the_global_generator_is_left_alone(mode):
    before = np.random.get_state()[1].copy()
    seen = set()
    for seed in (0, 1):
        loader = make_loader(make_tokens([500]), mode, batch_size=4, length=8, seed=seed)
        for epoch in (0, 1):
            rows = [(span, batch.fresh is not None and bool(batch.fresh[row]))
                    for batch in loader.epoch(epoch) for row, span in enumerate(spans_of(batch))]  # fmt: skip
            seen.add(tuple(rows))
    assert len(seen) == 4
    assert np.array_equal(before, np.random.get_state()[1])


def test_offsets_are_spread_over_the_whole_length_in_each_document():
    loader = WindowLoader(make_tokens([100, 100]), length=4, batch_size=100)
    offsets = set()
    for epoch in range(40):
        (batch,) = loader.epoch(epoch)
        begins = dict(spans_of(batch))
        offsets.add((begins[0], begins[99] - 99))
    assert {first for first, _ in offsets} == {second for _, second in offsets} == {1, 2, 3, 4}
    assert len(offsets) > 8, "documents have an offset each"


def test_resets_come_as_often_as_asked():
    loader = LaneLoader(make_tokens([20_001]), batch_size=4, length=5, reset=0.2)
    fresh = torch.stack([batch.fresh for batch in loader.epoch(0)])
    assert fresh[0].all()
    assert fresh[1:].float().mean().item() == pytest.approx(0.2, abs=0.03)


def test_one_lane_is_the_text_as_it_stands():
    loader = LaneLoader(make_tokens([5, 3]), batch_size=1, length=3)
    # The end of the first document, token 5, is read from a zero state: its next token is another document's first.
    rows = [(*spans_of(batch)[0], bool(batch.fresh)) for batch in loader.epoch(0)]
    assert rows == [(0, 3, True), (3, 4, False), (4, 7, True)]


def test_small_ids_are_read_from_a_map(tmp_path):
    tokens = make_tokens([50], np.uint8)
    np.save(tmp_path / "ids.npy", tokens.ids)
    mapped = Tokens(np.load(tmp_path / "ids.npy", mmap_mode="r"), tokens.starts)
    assert_same(list(WindowLoader(mapped, length=7).epoch(0)), list(WindowLoader(tokens, length=7).epoch(0)))
    assert_same(list(LaneLoader(mapped, length=7).epoch(0)), list(LaneLoader(tokens, length=7).epoch(0)))


def test_pages_of_a_large_map_are_given_back_and_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "_LARGE", 1)
    monkeypatch.setattr(windows, "_RELEASE", 2)
    tokens = make_tokens([3000])
    np.save(tmp_path / "ids.npy", tokens.ids)
    mapped = Tokens(np.asarray(np.load(tmp_path / "ids.npy", mmap_mode="r")), tokens.starts)
    assert_same(list(WindowLoader(mapped, length=9).epoch(0)), list(WindowLoader(tokens, length=9).epoch(0)))
    assert_same(list(LaneLoader(mapped, length=9).epoch(0)), list(LaneLoader(tokens, length=9).epoch(0)))
    # What was changed in a private copy of the file is in memory alone.
    changed = np.load(tmp_path / "ids.npy", mmap_mode="c")
    changed[:] = 7
    assert all((batch.inputs == 7).all() for batch in LaneLoader(Tokens(changed, tokens.starts), batch_size=1).epoch(0))


def test_a_chain_reads_one_loader_after_the_other():
    tokens = make_tokens([30, 20])
    cold, stream = WindowLoader(tokens, length=8, batch_size=3, shuffle=False), LaneLoader(tokens, batch_size=1)
    chained = ChainLoader([cold, stream])
    expected = [*cold.epoch(0), *stream.epoch(0)]
    assert len(chained) == len(expected)
    for start in range(len(expected) + 1):
        assert_same(list(chained.epoch(0, start)), expected[start:])
    assert min(cold.padding, stream.padding) <= chained.padding <= max(cold.padding, stream.padding)


def test_a_text_of_two_tokens_can_be_evaluated():
    tokens = make_tokens([2])
    for loader in (WindowLoader(tokens, length=256, shuffle=False), LaneLoader(tokens, batch_size=1, length=256)):
        (batch,) = loader.epoch(0)
        assert (batch.inputs.tolist(), batch.targets.tolist()) == ([[2]], [[3]])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: WindowLoader(make_tokens([128])),
            "128 tokens to train on, but one window of length 128 needs 129",
        ),
        (lambda: LaneLoader(make_tokens([32])), "the text has 32 tokens, but 32 lanes need 33"),
        (lambda: WindowLoader(make_tokens([1]), shuffle=False), "the text has 1 token, but 2 are needed"),
        (lambda: LaneLoader(make_tokens([1]), batch_size=1), "the text has 1 token, but 2 are needed"),
        (lambda: WindowLoader(make_tokens([9]), length=0), "length must be at least 1, not 0"),
        (lambda: LaneLoader(make_tokens([9]), batch_size=0), "batch_size must be at least 1, not 0"),
        (lambda: LaneLoader(make_tokens([9]), batch_size=1, reset=1.0), "reset is a probability"),
        (lambda: WindowLoader(make_tokens([9]), length=2, seed=-1), "seed must not be negative"),
    ],
)
def test_what_cannot_be_is_refused(make, says):
    with pytest.raises(InputError, match=says):
        make()
