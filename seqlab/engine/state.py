"""What a trainer remembers from step to step, all of it small, and the sums behind the curves."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from seqlab.errors import InputError

ADDED = ("first_loss", "last_loss", "monitored")
"""What older checkpoints do not hold."""
NON_FINITE = "non_finite"
"""What stopped a training whose loss or gradient was no finite number."""
FAR_WORSE = 10.0
"""A training diverged if its loss ends above so many times that of the untrained model."""


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
        first_loss: that of the first update, so of the untrained model; None in older checkpoints, like the next two.
        last_loss: of the last point of the training curves.
        monitored: the deciding metric of the last evaluation.
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
    first_loss: float | None = None
    last_loss: float | None = None
    monitored: float | None = None

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
        self.evaluated, self.metrics, self.monitored = self.step, metrics, value
        return improved

    def state_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def load_state_dict(self, values: dict[str, Any]) -> None:
        """Puts back what ``state_dict`` gave."""
        for item in fields(self):
            setattr(self, item.name, values[item.name] if item.name not in ADDED else values.get(item.name))
        self.window = Window(**values["window"])

    @property
    def diverged(self) -> str:
        """Why this training, over now, diverged, in one sentence; empty if it did not.

        It did if the deciding metric or every loss of its last evaluation is no finite number, or if the training
        loss at the end, both of the last point of the curve and of the steps since, is above ``FAR_WORSE`` times that
        of the first step. The training loss of a model that overfits, or that learns nothing, does not grow like that.
        """
        what = ""
        ends = [] if self.last_loss is None else [self.last_loss]
        if self.window.count:
            ends.append(self.window.total / self.window.count)
        losses = [value for name, value in self.metrics.items() if name.endswith("loss")]
        if self.monitored is not None and not math.isfinite(self.monitored):
            what = f"the last evaluation gave {self.monitored} instead of a number"
        elif losses and not any(map(math.isfinite, losses)):
            what = f"the loss of the last evaluation is {losses[0]}"
        elif ends and self.first_loss is not None and min(ends) > FAR_WORSE * self.first_loss > 0:
            what = f"the training loss is {ends[-1]:.3g} at the end and was {self.first_loss:.3g} in the first step"
        return what and f"The training diverged: {what}; lower optim.lr, or set trainer.clip_norm."


@dataclass(frozen=True, repr=False)
class Result:
    """What a training came to.

    Attributes:
        stopped_by: ``max_epochs``, ``max_steps``, ``max_minutes``, ``patience``, ``SIGTERM``, ``SIGINT`` or
            ``non_finite``.
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
        diverged: why the training diverged, in one sentence; empty if it did not.
        run_dir: the run folder; None where none was written.
        opens: opens the run folder, for ``run``.
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
    diverged: str = ""
    run_dir: Path | None = None
    opens: Callable[[Path], Any] | None = field(default=None, repr=False, compare=False)

    @cached_property
    def run(self) -> Any:
        """The run folder, opened when it is first asked for: a ``seqlab.run.Run``.

        Raises:
            InputError: no run folder was written, or it holds no weights.
        """
        if self.run_dir is None or self.opens is None:
            raise InputError("This result has no run folder: seqlab.train.train writes one.")
        return self.opens(self.run_dir)

    def __repr__(self) -> str:
        metrics = ", ".join(f"{name}={value:.4g}" for name, value in self.best_metrics.items())
        best = f"best at step {self.best_step}: {metrics}" if metrics else "no evaluation"
        where = "" if self.run_dir is None else f", run_dir={str(self.run_dir)!r}"
        return f"Result({best}; {self.steps} steps in {self.seconds:.1f} s, stopped by {self.stopped_by}{where})"

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
            diverged=s.diverged,
        )

    @property
    def has_weights(self) -> bool:
        """Whether weights were kept as the best: with evaluations, if one gave a number; else if it came to its end."""
        return self.best is not None or (not self.metrics and self.stopped_by != NON_FINITE)

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended the run, so that it may be resumed."""
        return self.stopped_by.startswith("SIG")
