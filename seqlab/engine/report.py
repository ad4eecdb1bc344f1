"""What a training says of itself while it runs: points of curves, a bar or lines, evaluations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from torch.optim import Optimizer

from seqlab.engine.evaluate import Evaluation
from seqlab.engine.progress import Progress, readable
from seqlab.engine.state import State, Window


class Curves(Protocol):
    """Where the numbers go: a ``Tracker``, or a test's own list."""

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Takes all numbers of one moment."""
        ...

    def flush(self) -> None:
        """Makes them outlive the process."""
        ...


class Report:
    """Tells a tracker and whoever watches; either may be absent.

    Args:
        tracker: takes the curves.
        progress: shows how far the run is.
        batches: of one epoch.
        headline: the metrics that are told beside the loss; all of them go to the tracker.
    """

    def __init__(
        self, tracker: Curves | None, progress: Progress | None, batches: int, headline: Sequence[str] = ()
    ) -> None:
        self.tracker, self.progress, self.batches, self.headline = tracker, progress, batches, headline
        self.next_show = math.inf if progress is None else 0.0
        self._loss = math.nan

    def log(self, state: State, optimizer: Optimizer) -> None:
        """One point of the training curves, and a new window for the next."""
        window = state.window
        self._loss = window.total / window.count if window.count else math.nan
        if window.count:
            state.last_loss = self._loss
        seconds = state.seconds - window.since
        if self.tracker is not None:
            values = {
                "train/loss": self._loss,
                "train/lr": optimizer.param_groups[0]["lr"],
                "train/grad_norm": window.norm,
                "train/grad_norm_clipped": window.clipped,
                "train/tokens_per_second": window.tokens / seconds if seconds else 0.0,
                "train/padding": 1.0 - window.tokens / window.positions if window.positions else 0.0,
                "train/epoch": state.epoch + state.consumed / self.batches,
                "train/seconds": state.seconds,
            }
            self.tracker.scalars(values, state.step)
        state.tokens += window.tokens
        state.positions += window.positions
        state.window = Window(since=state.seconds)

    def show(self, state: State, share: float) -> None:
        """Draws how far the run is and plans when next to: a step between pays for one comparison."""
        assert self.progress is not None
        window = state.window
        loss = window.total / window.count if window.count else self._loss
        speed = (state.tokens + window.tokens) / state.seconds if state.seconds else 0.0
        self.progress.show(share, state.epoch + 1, state.step, loss, speed, state.seconds)
        self.next_show = state.seconds + self.progress.every

    def evaluation(self, state: State, found: Evaluation, improved: bool) -> None:
        """One point of the validation curves."""
        if self.tracker is not None:
            values = {f"val/{name}": value for name, value in found.metrics.items()}
            self.tracker.scalars(values | {"val/seconds": found.seconds}, state.step)
        if self.progress is not None:
            told = [name for name in ("loss", *self.headline) if name in found.metrics]
            numbers = "  ".join(f"{name} {readable(found.metrics[name])}" for name in dict.fromkeys(told))
            best = "  (best)" if improved else ""
            self.progress.message(f"epoch {state.epoch + 1}  step {state.step}  val  {numbers}{best}")
