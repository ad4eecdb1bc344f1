import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from seqlab.engine import gradients
from seqlab.engine.ema import EMA


@settings(max_examples=40, deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(0.01, 100.0), st.sampled_from([1, 2**16]), st.integers(0, 99))
def test_clipping_is_torchs(scale: float, clip: float, small: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(3, 4), (4,), (1,), (2, 2, 5)]
    ours = [scale * torch.randn(shape, generator=generator) for shape in shapes]
    theirs = [nn.Parameter(torch.zeros(shape)) for shape in shapes]
    for p, grad in zip(theirs, ours, strict=True):
        p.grad = grad.clone()
    kept, gradients.SMALL = gradients.SMALL, small
    norm = gradients.total_norm(ours)
    gradients.SMALL = kept
    expected = nn.utils.clip_grad_norm_(theirs, clip)
    after = gradients.rescale(ours, norm, 1.0, clip, None)
    assert norm == pytest.approx(float(expected), rel=1e-5)
    assert after == pytest.approx(min(norm, clip), rel=1e-5)
    for p, grad in zip(theirs, ours, strict=True):
        torch.testing.assert_close(grad, p.grad, rtol=1e-5, atol=1e-6)


def test_rescale_divides_before_it_clips() -> None:
    grads = [torch.tensor([30.0, 40.0])]
    assert gradients.rescale(grads, 50.0, 0.1, 2.5, None) == 2.5
    torch.testing.assert_close(grads[0], torch.tensor([1.5, 2.0]))
    assert gradients.rescale(grads, 2.5, 2.0, None, 3.5) == pytest.approx(math.hypot(3.0, 3.5))
    torch.testing.assert_close(grads[0], torch.tensor([3.0, 3.5]))


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("small", [1, 2**16])
def test_one_bad_entry_makes_the_norm_not_finite(poison: float, small: int, monkeypatch) -> None:
    monkeypatch.setattr(gradients, "SMALL", small)
    grads = [torch.ones(3), torch.tensor([1.0, poison])]
    assert not math.isfinite(gradients.total_norm(grads))


def test_ema_follows_and_gives_the_weights_back() -> None:
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.0)
    ema = EMA(model, 0.5)
    average = 0.0
    for t in range(12):
        with torch.no_grad():
            model.weight.fill_(float(t))
        ema.update()
        decay = min(0.5, (1 + t) / (10 + t))
        average = decay * average + (1 - decay) * t
    storage = model.weight.data_ptr()
    with ema.applied():
        torch.testing.assert_close(model.weight, torch.full((1, 2), average))
        assert model.weight.data_ptr() == storage
    assert model.weight.tolist() == [[11.0, 11.0]]
