"""Windows are views, and an epoch is each of them once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.data.forecast_windows import ForecastLoader, Windows
from seqlab.types import InputError


def make_windows(rows=60, width=5, targets=2, lookback=7, horizon=4, num_future=2, view=True):
    """Row ``n`` holds ``n + column / 10``."""
    inputs = (np.arange(rows)[:, None] + np.arange(width) / 10).astype(np.float32)
    asked = inputs[:, :targets] if view else inputs[:, :targets].copy()
    return Windows(inputs, asked, np.arange(lookback, rows - horizon + 1), lookback, horizon, num_future)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(1, 6), st.integers(0, 2), st.booleans(), st.integers(1, 70), st.integers(0, 3))
def test_every_origin_is_covered_once_and_a_batch_holds_its_rows(lookback, horizon, num_future, view, size, epoch):
    windows = make_windows(lookback=lookback, horizon=horizon, num_future=num_future, view=view)
    loader = ForecastLoader(windows, batch_size=size, seed=3)
    batches = list(loader.epoch(epoch))
    assert len(batches) == len(loader)
    assert all(batch.size == size for batch in batches[:-1])
    assert sorted(torch.cat([batch.index for batch in batches]).tolist()) == windows.origins.tolist()
    for batch in batches:
        assert batch.inputs.dtype == batch.targets.dtype == torch.float32
        assert batch.inputs.is_contiguous()
        assert batch.targets.is_contiguous()
        assert batch.lengths.tolist() == [lookback] * batch.size
        back = (batch.index[:, None] + torch.arange(-lookback, 0))[:, :, None] + torch.arange(5) / 10
        ahead = (batch.index[:, None] + torch.arange(horizon))[:, :, None] + torch.arange(5) / 10
        torch.testing.assert_close(batch.inputs, back)
        torch.testing.assert_close(batch.targets, ahead[:, :, :2])
        if num_future:
            torch.testing.assert_close(batch.future, ahead[:, :, 5 - num_future :])
        else:
            assert batch.future is None


def test_order_is_a_pure_function_of_seed_and_epoch_and_can_be_taken_up_anywhere():
    loader = ForecastLoader(make_windows(), batch_size=8, seed=5)

    def order(epoch, start=0, of=loader):
        return torch.cat([batch.index for batch in of.epoch(epoch, start)]).tolist()

    first, second = order(0), order(1)
    assert first == order(0) != second
    assert order(1, start=2) == second[16:]
    assert order(0, of=ForecastLoader(make_windows(), batch_size=8, seed=6)) != first
    in_order = ForecastLoader(make_windows(), batch_size=8, shuffle=False)
    assert order(4, of=in_order) == make_windows().origins.tolist()


def test_what_is_done_to_a_batch_leaves_the_series_alone():
    windows = make_windows()
    before = windows.inputs.copy(), windows.origins.copy()
    for batch in ForecastLoader(windows, batch_size=8, shuffle=False).epoch(0):
        for part in (batch.inputs, batch.targets, batch.future, batch.index):
            part.zero_()
    np.testing.assert_array_equal(windows.inputs, before[0])
    np.testing.assert_array_equal(windows.origins, before[1])


def test_windows_have_no_padding():
    assert ForecastLoader(make_windows()).padding == 0


@pytest.mark.parametrize("origins", [[6], [57], [7, 57, 8]])
def test_rows_that_are_not_there_are_never_read(origins):
    with pytest.raises(AssertionError, match="of 60"):
        Windows(np.zeros((60, 1), np.float32), np.zeros((60, 1), np.float32), np.array(origins), 7, 4)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ({"seed": -1}, "seed must not be negative"),
    ],
)
def test_what_makes_no_batches_is_refused(options, says):
    with pytest.raises(InputError, match=says):
        ForecastLoader(make_windows(), **options)


def test_no_windows_make_no_batches():
    windows = make_windows()
    with pytest.raises(InputError, match="there are no windows"):
        ForecastLoader(Windows(windows.inputs, windows.targets, windows.origins[:0], 7, 4))
