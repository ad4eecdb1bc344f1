"""What a trainer remembers from step to step, all of it small, and the sums behind the curves."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass
class Window:
    """Sums since the last point of the curves.

    Attributes:
        since: ``State.seconds`` when the window began.
        total: sum of losses.
        count: what was counted.
        norm: the last gradient norm before clipping.
        clipped: the same after.
        tokens: that counted.
        positions: padding included.
    """

    since: float = 0.0
    total: float = 0.0
    count: int = 0
    norm: float = 0.0
    clipped: float = 0.0
    tokens: int = 0
    positions: int = 0


@dataclass
class State:
    """Where a training stands; a checkpoint holds exactly this.

    Attributes:
        step: updates done.
        epoch: passes completed, so also the number of the pass under way.
        consumed: batches of this pass that are done.
        evaluated: the step of the last completed evaluation.
        best: the best monitored value so far.
        best_step: where that was.
        best_epoch: in which pass, counted from 1.
        best_metrics: all metrics there.
        metrics: those of the last evaluation.
        stale: evaluations since the best.
        seconds: of training.
        eval_seconds: of evaluation.
        tokens: that counted, up to the window.
        positions: of all batches up to the window, padding included.
        window: what the next point of the curves will be made of.
    """

    step: int = 0
    epoch: int = 0
    consumed: int = 0
    evaluated: int = 0
    best: float | None = None
    best_step: int = 0
    best_epoch: int = 0
    best_metrics: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    stale: int = 0
    seconds: float = 0.0
    eval_seconds: float = 0.0
    tokens: int = 0
    positions: int = 0
    window: Window = field(default_factory=Window)

    def note(self, metrics: dict[str, float], monitor: str, maximize: bool) -> bool:
        """Takes this step's evaluation in; returns whether it is the best so far. NaN never is.

        Of equal values the lower loss is better: BLEU stays at zero for a while, and the model learns all the same.
        """
        value, best = metrics[monitor], self.best
        improved = not math.isnan(value) and (best is None or (value > best if maximize else value < best))
        if value == best:
            improved = metrics.get("loss", math.inf) < self.best_metrics.get("loss", math.inf)
        if improved:
            self.best, self.best_metrics, self.best_step, self.best_epoch = value, metrics, self.step, self.epoch + 1
        self.stale = 0 if improved else self.stale + 1
        self.evaluated, self.metrics = self.step, metrics
        return improved

    def state_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def load_state_dict(self, values: dict[str, Any]) -> None:
        """Puts back what ``state_dict`` gave."""
        for item in fields(self):
            setattr(self, item.name, values[item.name])
        self.window = Window(**values["window"])


@dataclass(frozen=True)
class Result:
    """What a training came to.

    Attributes:
        stopped_by: ``max_epochs``, ``max_steps``, ``max_minutes``, ``patience``, ``SIGTERM`` or ``SIGINT``.
        best: the best monitored value, None without evaluation.
        best_step: where it was.
        best_epoch: in which pass, counted from 1.
        best_metrics: all metrics there.
        metrics: those of the last evaluation.
        steps: updates done.
        epochs: passes completed.
        seconds: of training, evaluation not included.
        eval_seconds: of evaluation.
        tokens_per_second: tokens that counted, over ``seconds``.
        padding: share of all positions that was padding.
    """

    stopped_by: str
    best: float | None
    best_step: int
    best_epoch: int
    best_metrics: dict[str, float]
    metrics: dict[str, float]
    steps: int
    epochs: int
    seconds: float
    eval_seconds: float
    tokens_per_second: float
    padding: float

    @classmethod
    def of(cls, state: State, stopped_by: str) -> Result:
        """The end of a training that stands at ``state``."""
        s = state
        tokens, positions = s.tokens + s.window.tokens, s.positions + s.window.positions
        return cls(
            stopped_by=stopped_by,
            best=s.best,
            best_step=s.best_step,
            best_epoch=s.best_epoch,
            best_metrics=s.best_metrics,
            metrics=s.metrics,
            steps=s.step,
            epochs=s.epoch,
            seconds=s.seconds,
            eval_seconds=s.eval_seconds,
            tokens_per_second=tokens / s.seconds if s.seconds else 0.0,
            padding=1.0 - tokens / positions if positions else 0.0,
        )

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended the run, so that it may be resumed."""
        return self.stopped_by.startswith("SIG")
