import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlab.engine.settings import Settings
from seqlab.engine.state import State
from seqlab.types import InputError


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_epochs": 0}, {"max_steps": 1.5}, {"max_minutes": "abc"}, {"clip_norm": -1}, {"accumulate": None},
        {"clip_value": 1e300}, {"log_every": True}, {"patience": float("nan")}, {"ema_decay": 1.0}, {"keep": 10**12},
    ],
)  # fmt: skip
def test_names_what_is_wrong(wrong: dict) -> None:
    with pytest.raises(InputError, match=f"trainer.{next(iter(wrong))}"):
        Settings(**({"max_epochs": 1} | wrong))


def test_something_must_end_the_run() -> None:
    with pytest.raises(InputError, match="Nothing ends"):
        Settings()


def test_the_nearest_limit_is_the_progress() -> None:
    settings = Settings(max_epochs=4, max_steps=100, max_minutes=1)
    assert settings.share_done(State(step=10, epoch=1, consumed=5, seconds=6.0), batches=10) == pytest.approx(0.375)
    assert settings.share_done(State(step=10, epoch=0, consumed=5, seconds=30.0), batches=10) == 0.5
    assert settings.share_done(State(step=90, epoch=0, consumed=5), batches=10) == 0.9


@given(st.integers(0, 40), st.integers(1, 3))
def test_a_step_is_placed_at_its_middle(step: int, accumulate: int) -> None:
    settings = Settings(max_epochs=10, accumulate=accumulate)
    batches = 5 * accumulate
    state = State(step=step, epoch=step // 5, consumed=step % 5 * accumulate)
    assert settings.share_done(state, batches, ahead=0.5) == pytest.approx((step + 0.5) / 50)


def test_limits() -> None:
    settings = Settings(max_epochs=2, max_steps=7, max_minutes=1, patience=3)
    assert settings.limit(State(step=6, epoch=1, seconds=59.9, stale=2)) is None
    assert settings.limit(State(step=7)) == "max_steps"
    assert settings.limit(State(epoch=2)) == "max_epochs"
    assert settings.limit(State(seconds=60.0)) == "max_minutes"
    assert settings.limit(State(stale=3)) == "patience"
