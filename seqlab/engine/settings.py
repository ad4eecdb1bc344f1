"""What a person may set about a training, checked before any data is read."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from seqlab.engine.state import State
from seqlab.types import InputError

MOST_KEPT = 1_000
"""Checkpoints; each save counts through all of them."""
LARGEST = 3.4e38
"""What a float32 holds."""


@dataclass(frozen=True)
class Settings:
    """How long to train, how to step, when to look and when to save.

    Attributes:
        max_epochs: passes over the training split; None is no limit. The first limit that is reached ends the run.
        max_steps: updates.
        max_minutes: minutes of training; time spent in evaluation does not count.
        clip_norm: largest norm of the whole gradient; None does not clip.
        clip_value: largest size of one gradient entry, applied after ``clip_norm``.
        accumulate: batches per update; an epoch's last update may have fewer.
        eval_every: updates between evaluations; None evaluates at each epoch's end. The end of training always does.
        patience: evaluations in a row without improvement that end the run; None never does.
        ema_decay: decay of the averaged weights that are then evaluated and kept as the best; None averages nothing.
        log_every: updates between two points in the curves.
        checkpoint_steps: updates between saves of ``last.pt``; each evaluation and the end also save it.
        checkpoint_minutes: the same by the clock.
        keep: how many checkpoints to keep: ``last.pt``, then ``last.1.pt``, which replaces a damaged ``last.pt``.
    """

    max_epochs: int | None = None
    max_steps: int | None = None
    max_minutes: float | None = None
    clip_norm: float | None = 1.0
    clip_value: float | None = None
    accumulate: int = 1
    eval_every: int | None = None
    patience: int | None = None
    ema_decay: float | None = None
    log_every: int = 50
    checkpoint_steps: int | None = None
    checkpoint_minutes: float | None = 5.0
    keep: int = 2

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            whole = "int" in str(field.type)
            if value is None and "None" in str(field.type):
                continue
            wanted = int if whole else int | float
            if isinstance(value, bool) or not isinstance(value, wanted) or not 0 < value < math.inf:
                kind = "a whole number" if whole else "a number"
                raise InputError(f"trainer.{field.name} is {value!r}; give {kind} greater than zero.")
        for name in ("clip_norm", "clip_value"):
            if (value := getattr(self, name)) is not None and value > LARGEST:
                raise InputError(f"trainer.{name} is {value:g}; give a number that float32 holds, or null.")
        if self.keep > MOST_KEPT:
            raise InputError(f"trainer.keep is {self.keep}; give at most {MOST_KEPT:,} checkpoints to keep.")
        if self.ema_decay is not None and self.ema_decay >= 1:
            raise InputError(f"trainer.ema_decay is {self.ema_decay}; give a number between 0 and 1, such as 0.999.")
        if self.max_epochs is None and self.max_steps is None and self.max_minutes is None:
            raise InputError(
                "Nothing ends the training; set trainer.max_epochs, trainer.max_steps or trainer.max_minutes."
            )

    def limit(self, state: State) -> str | None:
        """What ends the run at ``state``, if anything."""
        if self.max_steps is not None and state.step >= self.max_steps:
            return "max_steps"
        if self.max_minutes is not None and state.seconds >= 60.0 * self.max_minutes:
            return "max_minutes"
        if self.max_epochs is not None and state.epoch >= self.max_epochs:
            return "max_epochs"
        if self.patience is not None and state.stale >= self.patience:
            return "patience"
        return None

    def share_done(self, state: State, batches: int, ahead: float = 0.0) -> float:
        """How much of the run is over, 0 to 1, by the limit that is nearest.

        Args:
            state: where the run stands.
            batches: of one epoch.
            ahead: looks so many updates further. A step's learning rate is that of its middle: then neither the first
                step of a warm-up nor the last of an annealing is wasted on a rate of zero.
        """
        share = 0.0
        if self.max_steps is not None:
            share = (state.step + ahead) / self.max_steps
        if self.max_epochs is not None:
            passes = state.epoch + min((state.consumed + ahead * self.accumulate) / batches, 1.0)
            share = max(share, passes / self.max_epochs)
        if self.max_minutes is not None:
            share = max(share, state.seconds / (60.0 * self.max_minutes))
        return min(share, 1.0)
