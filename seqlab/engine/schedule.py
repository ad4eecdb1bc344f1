"""Learning-rate schedules: what to multiply the optimiser's own rate by, as a function of training progress.

Progress runs from 0 to 1 and is whatever limits the run: steps, epochs or minutes. So a run of so many minutes anneals
by the clock, and a run of so many steps is exactly repeatable. ``constant``, ``cosine`` and ``one_cycle`` remember
nothing; ``Plateau`` listens to the validation score.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from seqlab.types import InputError

Schedule = Callable[[float], float]
"""Progress in [0, 1] -> factor of the learning rate."""


def constant(progress: float, warmup: float = 0.0) -> float:
    """Rises linearly from 0 to 1 over the first ``warmup`` share of training, then stays."""
    _check_share("warmup", warmup)
    return progress / warmup if progress < warmup else 1.0


def cosine(progress: float, warmup: float = 0.1, floor: float = 0.0) -> float:
    """Linear warm-up, then half a cosine down to ``floor`` (Loshchilov and Hutter 2017, without restarts)."""
    _check_share("warmup", warmup)
    if progress < warmup:
        return progress / warmup
    return _half_cosine(1.0, floor, _share(progress, warmup))


def one_cycle(progress: float, warmup: float = 0.3, start: float = 0.04, floor: float = 4e-6) -> float:
    """Half a cosine up from ``start`` to 1, then half a cosine down to ``floor`` (Smith and Topin 2018)."""
    _check_share("warmup", warmup)
    if progress < warmup:
        return _half_cosine(start, 1.0, progress / warmup)
    return _half_cosine(1.0, floor, _share(progress, warmup))


class Plateau:
    """Multiplies the rate by ``factor`` when the monitored value has not improved for more than ``patience`` looks.

    Args:
        factor: what each reduction multiplies by, in (0, 1).
        patience: how many evaluations in a row may pass without improvement.
        threshold: how much better (absolute) counts as better.
        floor: the rate never falls below this share of its start.
        warmup: share of training over which the rate rises linearly.
    """

    def __init__(
        self,
        factor: float = 0.5,
        patience: int = 1,
        threshold: float = 0.0,
        floor: float = 0.01,
        warmup: float = 0.0,
    ) -> None:
        if not 0.0 < factor < 1.0:
            raise InputError(f"schedule.factor is {factor}; give a number between 0 and 1.")
        _check_share("warmup", warmup)
        self.factor, self.patience, self.threshold, self.floor, self.warmup = factor, patience, threshold, floor, warmup
        self.scale = 1.0
        self._best = -math.inf
        self._stale = 0

    def __call__(self, progress: float) -> float:
        """The factor at this point, as reduced so far."""
        return self.scale * constant(progress, self.warmup)

    def observe(self, score: float) -> None:
        """Takes one evaluation's score in, of which more is better."""
        if score > self._best + self.threshold:
            self._best, self._stale = score, 0
            return
        self._stale += 1
        if self._stale > self.patience:
            self.scale, self._stale = max(self.scale * self.factor, self.floor), 0

    def state_dict(self) -> dict[str, float]:
        """What a checkpoint must hold."""
        return {"scale": self.scale, "best": self._best, "stale": self._stale}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Puts back what ``state_dict`` gave."""
        self.scale, self._best, self._stale = state["scale"], state["best"], int(state["stale"])


def _check_share(name: str, value: float) -> None:
    if not 0.0 <= value < 1.0:
        raise InputError(f"schedule.{name} is {value}; give a share of training, from 0 up to, but not, 1.")


def _share(progress: float, warmup: float) -> float:
    """How much of the time after warm-up is over."""
    return min((progress - warmup) / (1.0 - warmup), 1.0)


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * share))
