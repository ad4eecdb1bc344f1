"""Dropout: the right share, the right mean, a mask a number or a row, and the same masks from the same seed."""

import pytest
import torch

from seqlab.nn.dropout import dropout


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_share_and_scale(share, dtype):
    torch.manual_seed(0)
    dropped = dropout(torch.ones(50, 40, 60, dtype=dtype), share, time=1, variational=False)
    assert dropped.dtype is dtype
    zero = (dropped == 0).double().mean().item()
    assert abs(zero - share) < 0.005  # 120,000 numbers: more than three standard deviations
    (scale,) = dropped[dropped != 0].unique().tolist()
    assert scale == pytest.approx(1 / (1 - share), rel=1e-2 if dtype is torch.bfloat16 else 1e-4)


def test_a_share_next_to_one_leaves_finite_numbers():
    dropped = dropout(torch.ones(40, 50, 60), 0.999999, time=1, variational=False)
    assert set(dropped.unique().tolist()) <= {0.0, 65536.0}


def test_numbers_fall_by_themselves_or_a_row_at_a_time():
    torch.manual_seed(0)
    x = torch.ones(6, 9, 30)
    single = dropout(x, 0.5, time=1, variational=False)
    assert not torch.equal(single[:, 0], single[:, 1])
    for time in (0, 1):
        whole = dropout(x, 0.5, time=time, variational=True)
        assert torch.equal(whole, whole.narrow(time, 0, 1).expand_as(whole))
        assert 0.3 < (whole == 0).float().mean() < 0.7


def test_neighbours_are_not_alike():
    torch.manual_seed(1)
    kept = (dropout(torch.ones(200_000), 0.5, time=0, variational=False) != 0).double() - 0.5
    for lag in (1, 2, 3, 4, 8, 64):
        assert abs((kept[lag:] * kept[:-lag]).mean().item()) < 0.25 * 4 / 200_000**0.5


def test_the_same_seed_gives_the_same_masks_and_each_call_another():
    x = torch.ones(4, 5, 6)
    torch.manual_seed(3)
    first, second = (dropout(x, 0.5, time=1, variational=False) for _ in range(2))
    torch.manual_seed(3)
    assert torch.equal(dropout(x, 0.5, time=1, variational=False), first)
    assert not torch.equal(first, second)


def test_gradients_pass_where_numbers_stayed():
    torch.manual_seed(0)
    x = torch.randn(3, 4, 5, requires_grad=True)
    y = dropout(x, 0.25, time=1, variational=False)
    y.sum().backward()
    assert torch.equal(x.grad != 0, y != 0)


def test_nothing_to_drop_draws_nothing():
    x = torch.ones(2, 3)
    before = torch.get_rng_state()
    assert dropout(x, 0.0, time=1, variational=False) is x
    assert torch.equal(torch.get_rng_state(), before)
