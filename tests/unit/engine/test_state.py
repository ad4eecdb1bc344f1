"""Which of two evaluations is the better one."""

from __future__ import annotations

import math

import pytest

from seqlab.engine.state import State


@pytest.mark.parametrize(
    ("monitor", "maximize", "found", "best"),
    [
        ("bleu", True, [{"bleu": 1.0, "loss": 2.0}, {"bleu": 3.0, "loss": 4.0}, {"bleu": 2.0, "loss": 1.0}], 1),
        ("loss", False, [{"loss": 3.0}, {"loss": 1.0}, {"loss": 2.0}, {"loss": 1.0}], 1),
        # as long as nothing is exact, what learns is better than what does not
        ("exact", True, [{"exact": 0.0, "loss": 3.0}, {"exact": 0.0, "loss": 2.0}, {"exact": 0.0, "loss": 2.5}], 1),
        ("exact", True, [{"exact": 0.0, "loss": 3.0}, {"exact": 0.0, "loss": math.nan}], 0),
        # without a loss the first of equals stays
        ("error", False, [{"error": 1.0}, {"error": 1.0}], 0),
        ("error", False, [{"error": math.nan}, {"error": 1.0}], 1),
    ],
)
def test_the_best_is_kept_and_of_equals_the_one_of_lower_loss(monitor, maximize, found, best):
    state = State()
    improved = []
    for step, metrics in enumerate(found):
        state.step = step
        improved.append(state.note(metrics, monitor, maximize))
    assert state.best_step == best
    assert [k for k, better in enumerate(improved) if better][-1] == best
    assert state.stale == len(found) - 1 - best
