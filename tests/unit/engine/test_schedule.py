import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlab.engine.schedule import Plateau, constant, cosine, one_cycle
from seqlab.types import InputError

shares = st.floats(0.0, 1.0)


@given(shares)
def test_closed_forms_after_warmup(p: float) -> None:
    assert constant(p) == 1.0
    assert cosine(p, warmup=0.0, floor=0.1) == pytest.approx(0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * p)))
    assert constant(p, warmup=0.25) == pytest.approx(min(1.0, 4 * p))


@given(shares)
def test_every_schedule_stays_between_floor_and_one(p: float) -> None:
    for factor in (constant(p, 0.3), cosine(p, 0.3, 0.05), one_cycle(p, 0.3, 0.04, 0.001), Plateau(warmup=0.2)(p)):
        assert 0.0 <= factor <= 1.0


def test_corners() -> None:
    assert [cosine(p, warmup=0.5) for p in (0.0, 0.25, 0.5, 0.75, 1.0)] == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert [one_cycle(p, 0.5, 0.2, 0.1) for p in (0.0, 0.25, 0.5, 0.75, 1.0)] == pytest.approx([0.2, 0.6, 1, 0.55, 0.1])


def test_one_cycle_is_torchs() -> None:
    import torch

    steps = 41
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=1.0,
        total_steps=steps,
        pct_start=0.325,
        div_factor=25,
        final_div_factor=1e4,
        cycle_momentum=False,
    )
    for step in range(steps):
        # torch ends its rise one step early: pct_start * total_steps - 1
        assert theirs.get_last_lr()[0] == pytest.approx(
            one_cycle(step / (steps - 1), warmup=(0.325 * steps - 1) / (steps - 1), start=1 / 25, floor=1 / 25e4),
            abs=1e-6,
        )
        optimizer.step()
        if step < steps - 1:
            theirs.step()


def test_plateau_waits_then_reduces_and_has_a_floor() -> None:
    plateau = Plateau(factor=0.5, patience=1, floor=0.2)
    factors = []
    for score in (1.0, 0.9, 0.9, 0.9, 0.9, 2.0, 1.0, 1.0, 1.0, 1.0):
        plateau.observe(score)
        factors.append(plateau(0.5))
    assert factors == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2]


def test_plateau_continues_from_its_state() -> None:
    one, other = Plateau(patience=2), Plateau(patience=2)
    for score in (1.0, 0.5, 0.5):
        one.observe(score)
    other.load_state_dict(one.state_dict())
    for plateau in (one, other):
        plateau.observe(0.5)
    assert one(0.3) == other(0.3) == 0.5


def test_refuses_impossible_shares() -> None:
    for bad in (lambda: cosine(0.5, warmup=1.0), lambda: constant(0.5, warmup=-0.1), lambda: Plateau(factor=1.0)):
        with pytest.raises(InputError, match="schedule"):
            bad()
