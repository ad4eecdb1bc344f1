"""The temporal convolutional network against its definition, the future, and itself step by step."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from seqlab.nn.tcn import TCN, CausalConvolution
from seqlab.types import InputError


def full(x):
    return torch.full((x.shape[0],), x.shape[1])


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def make(*args, **options):
    torch.manual_seed(0)
    return TCN(*args, **options).eval()


def shapes(state):
    return [tuple(tuple(part.shape) for part in each) for each in state]


def assert_same_state(one, other, atol=1e-5):
    assert shapes(one) == shapes(other)
    for each, others in zip(one, other, strict=True):
        for part, wanted in zip(each, others, strict=True):
            torch.testing.assert_close(part, wanted, atol=atol, rtol=0)


@pytest.mark.parametrize("dilation", [1, 2, 5])
@pytest.mark.parametrize("k", [1, 2, 3, 8])
@pytest.mark.parametrize(("T", "C"), [(1, 1), (4, 1), (4, 3), (17, 2)])
def test_convolution_is_its_equation(k, dilation, T, C):
    torch.manual_seed(0)
    layer = CausalConvolution(C, 3, k, dilation, weight_norm=False)
    x, conv = draw(2, T, C), layer.convolution
    expected = conv.bias.expand(2, T, 3).clone()
    for t in range(T):
        for i in range(k):
            if t - i * dilation >= 0:
                expected[:, t] += x[:, t - i * dilation] @ conv.weight[:, :, k - 1 - i].T
    torch.testing.assert_close(layer(x, T), expected)


def test_network_is_conv1d_blocks():
    tcn = make(3, hidden_size=[5, 5, 4], kernel_size=3)
    x = draw(2, 20, 3)
    y = x.transpose(1, 2)
    for k, block in enumerate(tcn.blocks):
        residual = y
        for layer in (block.first, block.second):
            conv = layer.convolution
            y = F.conv1d(F.pad(y, (2 * 2**k, 0)), conv.weight, conv.bias, dilation=2**k).relu()
        if isinstance(block.shortcut, nn.Linear):
            residual = F.conv1d(residual, block.shortcut.weight.unsqueeze(2), block.shortcut.bias)
        y = (y + residual).relu()
    torch.testing.assert_close(tcn(x, full(x)).outputs, y.transpose(1, 2))
    assert [isinstance(block.shortcut, nn.Linear) for block in tcn.blocks] == [True, False, True]


def test_the_future_changes_nothing():
    tcn = make(2, hidden_size=4, num_layers=3, kernel_size=3)
    x = draw(2, 30, 2)
    other = x.clone()
    other[:, 12:] = draw(2, 18, 2, seed=1)
    before, after = tcn(x, full(x)).outputs, tcn(other, full(x)).outputs
    torch.testing.assert_close(before[:, :12], after[:, :12])
    assert not torch.allclose(before[:, 12:], after[:, 12:])


@pytest.mark.parametrize(("kernel_size", "num_layers", "field"), [(1, 2, 1), (2, 3, 15), (3, 2, 13)])
def test_gradient_reaches_back_as_far_as_the_receptive_field_and_never_ahead(kernel_size, num_layers, field):
    tcn = make(2, hidden_size=16, num_layers=num_layers, kernel_size=kernel_size)
    assert tcn.receptive_field == field
    x = draw(1, 40, 2).requires_grad_()
    tcn(x, full(x)).outputs[0, 25].sum().backward()
    touched = x.grad[0].abs().sum(1).nonzero().flatten().tolist()
    assert touched == list(range(25 - field + 1, 26))


def test_default_and_published_sizes_see_far():
    assert TCN(2).receptive_field == 883
    assert TCN(2, hidden_size=2, num_layers=8, kernel_size=8).receptive_field == 3571


def test_weight_norm_changes_the_parameters_not_the_function():
    plain, normed = make(2, 4, 2, 3, weight_norm=False), make(2, 4, 2, 3)
    x = draw(2, 9, 2)
    torch.testing.assert_close(plain(x, full(x)).outputs, normed(x, full(x)).outputs)
    twice = copy.deepcopy(normed)
    with torch.no_grad():  # a filter's direction may be scaled at will
        for block in twice.blocks:
            block.first.convolution.parametrizations.weight.original1.mul_(7.0)
    torch.testing.assert_close(twice(x, full(x)).outputs, normed(x, full(x)).outputs)


def test_dropout_drops_whole_channels_in_training_alone():
    tcn = make(1, hidden_size=50, num_layers=1, kernel_size=1, dropout=0.5)
    block = tcn.blocks[0].train()
    with torch.no_grad():
        for layer in (block.first, block.second):
            layer.convolution.bias.fill_(9.0)
            layer.convolution.parametrizations.weight.original0.fill_(0.01)  # so that no ReLU closes by itself
        block.shortcut.weight.zero_()
        block.shortcut.bias.zero_()
    y, _ = block(draw(3, 7, 1))
    gone = (y == 0).all(1)
    assert torch.equal((y == 0).any(1), gone)  # a channel is dropped at every step or at none
    assert 0.2 < gone.float().mean() < 0.8
    assert not torch.equal(gone[0], gone[1])
    assert (block.eval()(draw(3, 7, 1))[0] > 0).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kernel_size", [1, 2, 3])
def test_stream_is_the_batch_step_by_step(kernel_size, dtype):
    tcn = make(3, hidden_size=[4, 5, 5], kernel_size=kernel_size, dropout=0.5).to(dtype)
    x = draw(2, 40, 3).to(dtype)
    outputs = tcn(x, full(x)).outputs
    stream = tcn.stream(2)
    answers = torch.stack([stream.push(step) for step in x.unbind(1)], 1)
    torch.testing.assert_close(answers, outputs)
    assert not answers.requires_grad


def test_stream_state_can_be_kept_and_forgotten():
    tcn = make(2, hidden_size=4, num_layers=3, kernel_size=2)
    x = draw(9, 1, 2)
    stream, other = tcn.stream(), tcn.stream()
    first = [stream.push(step) for step in x]
    kept = stream.state
    assert shapes(kept) == [((1, 1, 2), (1, 1, 4)), ((1, 2, 4), (1, 2, 4)), ((1, 4, 4), (1, 4, 4))]
    later = [stream.push(step) for step in x]
    other.state = kept
    assert torch.equal(torch.stack(later), torch.stack([other.push(step) for step in x]))
    stream.reset()
    assert torch.equal(torch.stack(first), torch.stack([stream.push(step) for step in x]))
    assert not torch.equal(torch.stack(first), torch.stack(later))


def test_one_row_of_a_stream_can_be_forgotten():
    tcn = make(2, hidden_size=4, num_layers=3, kernel_size=3)
    x = draw(12, 3, 2)
    stream, kept, fresh = tcn.stream(3), tcn.stream(3), tcn.stream(3)
    for step in x:
        stream.push(step)
        kept.push(step)
    stream.reset(row=1)
    for step in x[:4]:
        after, before, new = stream.push(step), kept.push(step), fresh.push(step)
        assert torch.equal(after[[0, 2]], before[[0, 2]])
        assert torch.equal(after[1], new[1])
        assert not torch.equal(after[1], before[1])


def test_a_stream_remembers_what_it_was_given_not_where_it_stood():
    tcn = make(2, hidden_size=4, num_layers=1, kernel_size=4)
    x, place = draw(6, 1, 2), torch.empty(1, 2)
    stream, other = tcn.stream(), tcn.stream()
    for step in x:
        assert torch.equal(stream.push(place.copy_(step)), other.push(step))


@st.composite
def windows(draw):
    """Several batches of the same rows, each of some steps and lengths."""
    B = draw(st.integers(1, 4))
    steps = draw(st.lists(st.integers(0, 30), min_size=1, max_size=5))
    ragged = draw(st.booleans())
    return [[draw(st.integers(0, T)) if ragged else T for _ in range(B)] + [T] for T in steps]


@settings(max_examples=40, deadline=None)
@given(windows=windows(), kernel_size=st.integers(1, 4), graph=st.booleans())
def test_windows_with_a_carried_state_are_the_whole_rows(windows, kernel_size, graph):
    """Also windows that are short beside the 43 steps that a network sees; a row without steps keeps its state."""
    tcn = make(2, hidden_size=[5, 4, 4], kernel_size=kernel_size)
    B, state = len(windows[0]) - 1, None
    read = [torch.empty(0, 2) for _ in range(B)]
    heard = [torch.empty(0, 4) for _ in range(B)]
    for k, (*lengths, T) in enumerate(windows):
        x = draw(B, T, 2, seed=k)
        with torch.set_grad_enabled(graph):
            encoded = tcn(x, torch.tensor(lengths), state)
        for row, length in enumerate(lengths):
            read[row] = torch.cat((read[row], x[row, :length]))
            heard[row] = torch.cat((heard[row], encoded.outputs[row, :length]))
            if length == 0 and state is not None:
                assert_same_state(*([[part[row] for part in each] for each in s] for s in (encoded.state, state)), 0)
        state = encoded.state
    lengths = torch.tensor([len(each) for each in read])
    whole = tcn(nn.utils.rnn.pad_sequence(read, batch_first=True), lengths)
    for row, wanted in enumerate(whole.outputs):
        torch.testing.assert_close(heard[row], wanted[: lengths[row]], atol=1e-5, rtol=0)
    assert_same_state(state, whole.state)


def test_gradients_go_through_the_state():
    tcn = make(2, hidden_size=4, num_layers=2, kernel_size=3).double()
    x = draw(2, 20, 2).double().requires_grad_()
    (wanted,) = torch.autograd.grad(tcn(x, full(x)).outputs[:, 13:].square().sum(), x)
    first = tcn(x[:, :13], torch.tensor([13, 13]))
    (found,) = torch.autograd.grad(tcn(x[:, 13:], torch.tensor([7, 7]), first.state).outputs.square().sum(), x)
    torch.testing.assert_close(found, wanted)


def test_the_state_goes_between_forward_and_stream():
    tcn = make(2, hidden_size=[5, 4, 4], kernel_size=3)
    x = draw(2, 30, 2)
    whole, half = tcn(x, full(x)), tcn(x[:, :20], torch.tensor([20, 20]))
    stream = tcn.stream(2)
    stream.state = half.state
    answers = torch.stack([stream.push(step) for step in x[:, 20:].unbind(1)], 1)
    torch.testing.assert_close(answers, whole.outputs[:, 20:], atol=1e-5, rtol=0)
    assert_same_state(stream.state, whole.state)
    again = tcn(x[:, :5], torch.tensor([5, 5]), stream.state).outputs
    torch.testing.assert_close(
        again, torch.stack([stream.push(step) for step in x[:, :5].unbind(1)], 1), atol=1e-5, rtol=0
    )


def test_zeros_are_no_state():
    tcn = make(2, hidden_size=4, num_layers=3, kernel_size=3)
    x, lengths = draw(3, 5, 2), torch.tensor([5, 2, 0])
    cold, zeros = tcn(x, lengths), tcn(x, lengths, tcn.initial_state(3, x))
    torch.testing.assert_close(cold.outputs, zeros.outputs)
    assert_same_state(cold.state, zeros.state)
    assert not any(part[2].any() for each in cold.state for part in each)


def test_a_state_owns_its_memory_and_survives_a_replacement():
    tcn = make(2, hidden_size=4, num_layers=2, kernel_size=2)
    x = draw(1, 50, 2)
    encoded = tcn(x, full(x))
    assert encoded.state is encoded.state
    for part, steps in zip((part for each in encoded.state for part in each), (1, 1, 2, 2), strict=True):
        assert part.untyped_storage().nbytes() == steps * part.shape[2] * 4
    assert_same_state(replace(encoded, outputs=encoded.outputs * 2).state, encoded.state)


def test_a_state_under_autocast_has_the_dtype_of_the_inputs():
    tcn = make(2, hidden_size=4, num_layers=2, kernel_size=2)
    x = draw(2, 6, 2)
    with torch.autocast("cpu", torch.bfloat16):
        first = tcn(x[:, :3], torch.tensor([3, 3]))
        second = tcn(x[:, 3:], torch.tensor([3, 3]), first.state)
    assert {part.dtype for each in second.state for part in each} == {torch.float32}
    torch.testing.assert_close(second.outputs, tcn(x, full(x)).outputs[:, 3:], atol=3e-2, rtol=0)


def test_a_foreign_state_is_refused():
    tcn, x = make(2, hidden_size=4, num_layers=2), torch.zeros(2, 3, 2)
    for state in (tcn.initial_state(3, x), make(2, 4, 3).initial_state(2, x), ()):
        with pytest.raises(InputError, match=r"the state has shapes .* but this network and batch need"):
            tcn(x, torch.tensor([3, 3]), state)


def test_no_steps_and_no_rows():
    tcn = make(2, hidden_size=4, num_layers=1)
    state = tuple(tuple(torch.randn_like(part) for part in each) for each in tcn.initial_state(2, torch.zeros(1)))
    kept = tcn(torch.zeros(2, 0, 2), torch.tensor([0, 0]), state)
    assert_same_state(kept.state, state, 0)
    assert shapes(tcn(torch.zeros(0, 3, 2), torch.empty(0, dtype=torch.int64)).state) == [((0, 7, 2), (0, 7, 4))]
    assert not tcn(torch.zeros(2, 0, 2), torch.tensor([0, 0])).final.any()
    assert tcn(torch.zeros(0, 3, 2), torch.empty(0, dtype=torch.int64)).outputs.shape == (0, 3, 4)


def test_bad_options_are_refused():
    with pytest.raises(InputError, match="num_layers=3 contradicts"):
        TCN(2, hidden_size=[4, 4], num_layers=3)
    with pytest.raises(InputError, match="num_layers=0"):
        TCN(2, hidden_size=[])
    with pytest.raises(InputError, match="kernel_size=0"):
        TCN(2, kernel_size=0)
    with pytest.raises(InputError, match="hidden_size=0"):
        TCN(2, hidden_size=[4, 0])
    with pytest.raises(InputError, match=r"dropout=1\.0"):
        TCN(2, dropout=1.0)
    with pytest.raises(InputError, match="batch_size=0"):
        TCN(2, 4, 1).stream(0)
    with pytest.raises(InputError, match=r"shape \(1, 2\) but was given \(2, 2\)"):
        TCN(2, 4, 1).stream().push(torch.zeros(2, 2))
    with pytest.raises(InputError, match="the state has shapes"):
        TCN(2, 4, 1).stream().state = TCN(2, 4, 1).stream(2).state
    with pytest.raises(InputError, match="no row 2 to forget"):
        TCN(2, 4, 1).stream(2).reset(2)
