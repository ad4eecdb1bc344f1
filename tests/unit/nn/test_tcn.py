"""The temporal convolutional network against its definition, the future, and itself step by step."""

import copy

import pytest
import torch
import torch.nn.functional as F
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
    torch.testing.assert_close(layer(x), expected)


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
    y = block(draw(3, 7, 1))
    gone = (y == 0).all(1)
    assert torch.equal((y == 0).any(1), gone)  # a channel is dropped at every step or at none
    assert 0.2 < gone.float().mean() < 0.8
    assert not torch.equal(gone[0], gone[1])
    assert (block.eval()(draw(3, 7, 1)) > 0).any()


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
    assert [part.shape for part in kept] == [(1, 1, 2), (1, 1, 4), (1, 2, 4), (1, 2, 4), (1, 4, 4), (1, 4, 4)]
    later = [stream.push(step) for step in x]
    other.state = kept
    assert torch.equal(torch.stack(later), torch.stack([other.push(step) for step in x]))
    stream.reset()
    assert torch.equal(torch.stack(first), torch.stack([stream.push(step) for step in x]))
    assert not torch.equal(torch.stack(first), torch.stack(later))


def test_no_steps_and_no_rows():
    tcn = make(2, hidden_size=4, num_layers=1)
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
    with pytest.raises(InputError, match="other shapes"):
        TCN(2, 4, 1).stream().state = TCN(2, 4, 1).stream(2).state
