"""Noise inside the recurrence: what the masks are, what they reach, and that they are gone in evaluation."""

import copy

import pytest
import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

from seqlab.nn.cells import (
    CELLS,
    GRU,
    LSTM,
    MUT3,
    ConvLSTM,
    MinGRU,
    ProjectedLSTM,
    ResetBeforeGRU,
    StateDropout,
    Zoneout,
)
from seqlab.nn.reference import scan
from seqlab.types import InputError


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def run(cell: nn.Module, x: torch.Tensor, state: tuple[torch.Tensor, ...]):
    masks = cell.masks(x.shape[0], x.shape[1], state[0]) if getattr(cell, "num_masks", 0) else ()
    assert len(masks) == getattr(cell, "num_masks", 0)
    return scan(cell.step, x, state, masks=masks)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("around", [Zoneout, StateDropout])
def test_no_noise_is_the_inner_cell_exactly(name, around):
    torch.manual_seed(0)
    cell = CELLS[name](3, 4).double()
    shapes = getattr(cell, "state_shapes", ((4,),) * getattr(cell, "num_states", 1))
    x, state = draw(5, 2, 3), tuple(draw(2, *shape) for shape in shapes)
    y, final = run(cell, x, state)
    y2, final2 = run(around(cell, 0.0), x, state)
    assert torch.equal(y, y2)
    assert all(torch.equal(one, other) for one, other in zip(final, final2, strict=True))


@pytest.mark.parametrize("around", [lambda cell: Zoneout(cell, 0.3), lambda cell: StateDropout(cell, 0.3)])
def test_says_of_itself_what_the_inner_cell_says(around):
    gru, lstm, light = around(GRU(2, 3)), around(ProjectedLSTM(2, 3, 1)), around(CELLS["indrnn"](2, 3))
    assert (gru.input_size, gru.hidden_size, lstm.num_states, lstm.state_shapes) == (2, 3, 2, ((1,), (3,)))
    assert gru.torch_kind is None
    assert not hasattr(gru, "num_states")
    assert not hasattr(light, "forget_bias_")
    assert not hasattr(gru, "input_bias_")
    gru.forget_bias_(2.0)
    assert gru.cell.ih.bias[3:6].tolist() == [2.0] * 3
    lstm.input_bias_(3.0)
    assert lstm.cell.ih.bias[:3].tolist() == [3.0] * 3
    copied = copy.deepcopy(gru)
    copied.forget_bias_(-1.0)
    assert gru.cell.ih.bias[3:6].tolist() == [2.0] * 3
    assert copied.cell.ih.bias[3:6].tolist() == [-1.0] * 3
    assert set(gru.state_dict()) == {f"cell.{key}" for key in GRU(2, 3).state_dict()}


def test_zoneout_keeps_old_values_at_its_rates_and_anew_at_every_step():
    torch.manual_seed(0)
    cell = Zoneout(LSTM(3, 400), [0.1, 0.6])
    x, state = torch.randn(4, 2, 3), (torch.randn(2, 400), torch.randn(2, 400))
    masks = cell.masks(4, 2, x)
    for mask, rate in zip(masks, (0.1, 0.6), strict=True):
        assert mask.shape == (4, 2, 400)
        assert set(mask.unique().tolist()) == {0.0, 1.0}
        assert abs(mask.mean() - rate) < 0.04
        assert not torch.equal(mask[0], mask[1])
    new, plain = cell.step(x[0], state, tuple(mask[0] for mask in masks)), cell.cell.step(x[0], state)
    for mask, was, now, without in zip(masks, state, new, plain, strict=True):
        assert torch.equal(now, torch.where(mask[0] == 1, was, without))


def test_zoneout_in_evaluation_is_the_expectation():
    torch.manual_seed(0)
    cell = Zoneout(GRU(3, 4), 0.3)
    x, h = torch.randn(1, 3), torch.randn(1, 4)
    many = cell.masks(20000, 1, x)[0]
    (sampled,) = cell.step(x.expand(20000, 3), (h.expand(20000, 4),), (many[:, 0],))
    cell.eval()
    masks = cell.masks(7, 1, x)
    assert masks[0].shape == (1, 4)
    (expected,) = cell.step(x, (h,), masks)
    torch.testing.assert_close(sampled.mean(0, keepdim=True), expected, atol=0.02, rtol=0)
    torch.testing.assert_close(expected, 0.3 * h + 0.7 * cell.cell.step(x, (h,))[0])


def test_state_dropout_draws_one_mask_a_sequence_and_none_in_evaluation():
    torch.manual_seed(0)
    cell = StateDropout(GRU(3, 1000), 0.2)
    (mask,) = cell.masks(9, 2, torch.zeros(2, 3))
    assert mask.shape == (2, 1000)
    assert not torch.equal(mask[0], mask[1])
    assert set(mask.unique().tolist()) == {0.0, 1.25}
    assert abs((mask == 0).float().mean() - 0.2) < 0.04
    cell.eval()
    x, state = torch.randn(4, 2, 3), (torch.randn(2, 1000),)
    assert torch.equal(run(cell, x, state)[0], run(cell.cell, x, state)[0])


def test_state_dropout_reaches_every_recurrent_product_and_never_x():
    torch.manual_seed(0)
    mask, h = torch.tensor([[0.0, 2.0, 2.0, 0.0]]), torch.randn(1, 4)
    x = torch.randn(1, 4)  # as wide as the state, and still no state

    cell = ResetBeforeGRU(4, 4)
    (ours,) = StateDropout(cell, 0.5).step(x, (h,), (mask,))
    x_r, x_z, x_n = cell.ih(x).chunk(3, -1)
    h_r, h_z = cell.hh(h * mask).chunk(2, -1)
    r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
    n = torch.tanh(x_n + cell.rh(r * h * mask))
    torch.testing.assert_close(ours, n + z * (h - n))

    mut = MUT3(4, 4)
    (ours,) = StateDropout(mut, 0.5).step(x, (h,), (mask,))
    x_z, x_r, x_n = mut.ih(x).chunk(3, -1)
    z, r = torch.sigmoid(x_z + mut.th(torch.tanh(h) * mask)), torch.sigmoid(x_r + mut.hh(h * mask))
    torch.testing.assert_close(ours, h + z * (torch.tanh(mut.rh(r * h * mask) + x_n) - h))

    light = MinGRU(4, 4)
    assert torch.equal(StateDropout(light, 0.5).step(x, (h,), (mask,))[0], light.step(x, (h,))[0])


def test_state_dropout_leaves_nothing_behind_and_can_be_traced_and_called_with_other_weights():
    torch.manual_seed(0)
    cell = StateDropout(LSTM(3, 4), 0.5)
    x, state = torch.randn(2, 3), (torch.randn(2, 4), torch.randn(2, 4))
    masks = cell.masks(1, 2, x)
    expected = cell.step(x, state, masks)
    assert not any(part._forward_pre_hooks for part in cell.modules())
    with pytest.raises(RuntimeError):
        cell.step(x, (torch.randn(2, 9), state[1]), masks)
    assert not any(part._forward_pre_hooks for part in cell.modules())

    traced = make_fx(lambda *args: cell.step(args[0], args[1:3], args[3:]))(x, *state, *masks)
    other = torch.tensor([[2.0, 0, 0, 2], [0, 0, 2, 2]])
    for one, two in zip(traced(x, *state, other), cell.step(x, state, (other,)), strict=True):
        torch.testing.assert_close(one, two)

    class Run(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = cell

        def forward(self):
            return self.cell.step(x, state, masks)

    zeros = {f"cell.{key}": torch.zeros_like(value) for key, value in cell.state_dict().items()}
    called = torch.func.functional_call(Run(), zeros, ())
    torch.testing.assert_close(called[1], 0.5 * state[1])
    for one, two in zip(cell.step(x, state, masks), expected, strict=True):
        assert torch.equal(one, two)


def test_noise_around_noise():
    torch.manual_seed(0)
    cell = Zoneout(StateDropout(LSTM(3, 4, candidate_dropout=0.5), 0.5), 0.5)
    x, state = torch.randn(6, 2, 3), (torch.randn(2, 4), torch.randn(2, 4))
    masks = cell.masks(6, 2, x)
    assert [mask.shape for mask in masks] == [(6, 2, 4), (6, 2, 4), (2, 4), (6, 2, 4)]
    assert run(cell, x, state)[0].isfinite().all()
    cell.eval()
    assert torch.equal(run(cell, x, state)[0], run(Zoneout(cell.cell.cell, 0.5).eval(), x, state)[0])


@pytest.mark.parametrize("around", [lambda cell: Zoneout(cell, 0.3), lambda cell: StateDropout(cell, 0.3)])
def test_gradients_by_finite_differences(around):
    torch.manual_seed(0)
    cell = around(LSTM(2, 3).double())
    masks = cell.masks(3, 2, draw(1))
    inputs = (draw(3, 2, 2).requires_grad_(), draw(2, 3).requires_grad_(), draw(2, 3).requires_grad_())
    assert torch.autograd.gradcheck(lambda x, h, c: scan(cell.step, x, (h, c), masks=masks)[0], inputs)


@pytest.mark.parametrize(
    ("slip", "words"),
    [
        (lambda: Zoneout(GRU(2, 3), 1.0), "rate=1.0 is no dropout probability"),
        (lambda: Zoneout(GRU(2, 3), [0.1, 0.2]), "2 probabilities for a cell with 1 states"),
        (lambda: Zoneout(ConvLSTM(2, 3, 3, (2, 2)), 0.1), "Zoneout takes cells whose states are"),
        (lambda: StateDropout(ConvLSTM(2, 3, 3, (2, 2)), 0.1), "StateDropout takes cells whose states are"),
        (lambda: StateDropout(GRU(2, 3), -0.1), "rate=-0.1"),
    ],
)
def test_slips_are_named(slip, words):
    with pytest.raises(InputError, match=words):
        slip()
