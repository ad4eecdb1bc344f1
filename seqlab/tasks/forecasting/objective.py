"""Forecasting: the next values of one or several series, as numbers or as distributions."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.tasks.forecast_errors import ForecastErrors, blocks, check_levels, interval
from seqlab.tasks.forecasting.quantiles import ascending
from seqlab.tasks.forecasting.quantiles import student_quantiles as student_quantiles
from seqlab.tasks.forecasting.task import ForecastingTask
from seqlab.types import Batch, InputError, Loss, Role, Units

LossName = Literal["mse", "mae", "huber", "quantile", "gaussian", "student_t"]
LEVELS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""0.05, 0.1, ... 0.95."""
EXAMPLES = 4
"""Windows kept for figures."""

_ORIGINAL = ("mse", "mae", "rmse", "smape")
_POINT = ("scaled_mse", "scaled_mae", "scaled_rmse", *_ORIGINAL, "mase", "loss")
_PROBABILISTIC = ("pinball", "crps", "scaled_crps")


class Forecasting:
    """Losses over the horizon and metrics in the data's own units.

    What the model gives for each value is ``roles``: a location; for quantiles one location a level; for ``gaussian``
    location and scale; for ``student_t`` location, scale and degrees of freedom. Scales are positive and degrees of
    freedom above 2 already: that is the model's business.

    Args:
        num_outputs: targets, ``K``.
        labels: their names.
        horizon: steps ahead, ``H``.
        units: leads forecasts back to the data's own units; without it there is a loss, but no meter.
        loss: ``mse``, ``mae``, ``huber`` (Huber 1964); ``quantile``, the pinball loss, mean over the levels (Koenker
            and Bassett 1978); ``gaussian``, ``student_t``: negative log-likelihood in nats.
        levels: of the quantiles, ``Q``, ascending: what ``quantile`` learns, and what every distribution is measured
            at. Losses of points have none.
        delta: where ``huber`` turns from square to straight, in scaled units.
        nominal: what the measured interval should cover, see ``ForecastErrors``; None measures none.
        decides: the metric that does.
    """

    task = ForecastingTask

    maximize = False

    def __init__(
        self,
        num_outputs: int,
        labels: Sequence[str],
        horizon: int,
        units: Units | None = None,
        loss: LossName = "mse",
        levels: Sequence[float] = LEVELS,
        delta: float = 1.0,
        nominal: float | None = 0.9,
        decides: str = "scaled_mse",
    ) -> None:
        if loss not in get_args(LossName):
            raise InputError(f"task.loss is {loss!r}; choose one of {', '.join(get_args(LossName))}.")
        if num_outputs < 1 or horizon < 1:
            raise InputError(f"Forecasting needs targets and steps ahead, there are {num_outputs} and {horizon}.")
        if not delta > 0:
            raise InputError(f"task.delta is {delta}; give a positive number, in scaled units.")
        assert len(labels) == num_outputs, (len(labels), num_outputs)
        self.num_outputs, self.labels, self.horizon, self.units = num_outputs, tuple(labels), horizon, units
        self.loss_name, self.delta, self.nominal = loss, float(delta), nominal
        self.levels: tuple[float, ...] = ()
        self.given_levels = tuple(levels)
        if loss in ("quantile", "gaussian", "student_t"):
            self.levels = check_levels(levels)
            if nominal is not None:
                interval(self.levels, nominal)
        if loss == "quantile" and not self.levels[0] <= 0.5 <= self.levels[-1]:
            raise InputError("task.levels lie all on one side of 0.5, which the point forecast is read from; add 0.5.")
        if self.levels and units is not None and not units.monotone:
            raise InputError(
                f"loss={loss} gives intervals, and quantiles of differences do not add up over a horizon of {horizon} "
                "steps: use data.normalize=last instead of diff, a horizon no longer than the lag, or a point loss."
            )
        self.roles: tuple[Role, ...] = _roles(loss, len(self.levels))
        self.monitor = self._decides(decides)
        self.headline = self._headline(decides)

    def errors(self, units: Units) -> ForecastErrors:
        """What adds up the errors of any forecasts of these targets, points among them."""
        return ForecastErrors(units, self.given_levels, self.nominal, self.labels)

    def _decides(self, name: str) -> str:
        if name in _PROBABILISTIC and not self.levels:
            raise InputError(
                f"decides is {name}, which measures distributions, and loss is {self.loss_name}, which gives points; "
                "choose the loss quantile, gaussian or student_t, or let mae decide, which is the crps of a point."
            )
        if name not in (*_POINT, *_PROBABILISTIC):
            raise InputError(f"decides is {name!r}; choose one of {', '.join((*_POINT, *_PROBABILISTIC))}.")
        return name

    def _headline(self, decides: str) -> tuple[str, ...]:
        """What decides comes last, behind its kin: in the data's units if it is told in these."""
        names = ["mae", "rmse"] if decides in _ORIGINAL else ["scaled_mae", "scaled_mse"]
        names.append("mase")
        if self.levels:
            names.append("crps")
            if self.nominal is not None:
                names.append(f"coverage_{100 * self.nominal:g}")
        return (*(name for name in names if name != decides), decides)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Sum over the values that were measured, in float32 whatever the model computes in; the count is of these.

        The targets are shown to the model in training alone, where it may read on from what came to pass.
        """
        shown = batch.targets if model.training else None
        answers: Tensor = model(batch.inputs, batch.lengths, batch.future, shown).float()
        targets = batch.targets.float()
        assert answers.shape == (*targets.shape, len(self.roles)), (answers.shape, targets.shape, self.roles)
        measured = ~targets.isnan()
        count = int(measured.sum())
        if count < targets.numel():
            # NaN * 0 is NaN, in gradients too: what is not measured is taken to be as forecast, then left out
            targets = torch.where(measured, targets, answers[..., 0].detach())
        each = self._each(answers, targets)
        if count < targets.numel():
            each = torch.where(measured, each, 0.0)
        return Loss(each.sum(), count, answers)

    def _each(self, answers: Tensor, targets: Tensor) -> Tensor:
        """``(B, H, K)`` the loss of every value."""
        if self.loss_name == "quantile":
            above = targets.unsqueeze(-1) - answers
            levels = torch.tensor(self.levels, dtype=above.dtype, device=above.device)
            # max(t d, (t - 1) d) with few passes over Q times as many numbers as a point loss has
            return torch.addcmul(F.relu(-above), levels, above).mean(-1)
        location = answers[..., 0]
        if self.loss_name == "mse":
            return F.mse_loss(location, targets, reduction="none")
        if self.loss_name == "mae":
            return F.l1_loss(location, targets, reduction="none")
        if self.loss_name == "huber":
            return F.huber_loss(location, targets, reduction="none", delta=self.delta)
        scale = answers[..., 1]
        z = (targets - location) / scale
        if self.loss_name == "gaussian":
            return 0.5 * z.square() + scale.log() + 0.5 * math.log(2 * math.pi)
        # The difference of two logarithms of gamma functions loses every digit of float32 when freedom is large.
        freedom = answers[..., 2].double()
        norm = torch.lgamma(0.5 * freedom) - torch.lgamma(0.5 * freedom + 0.5) + 0.5 * (math.pi * freedom).log()
        freedom = answers[..., 2]
        return norm.float() + scale.log() + 0.5 * (freedom + 1) * torch.log1p(z.square() / freedom)

    def point(self, answers: Tensor) -> Tensor:
        """``(B, H, K)``: the mean, or of quantiles the median, of ``answers`` ``(B, H, K, P)``, in scaled units."""
        if self.loss_name == "quantile":
            return self._between(ascending(answers), (0.5,)).squeeze(-1)
        return answers[..., 0]

    def quantiles(self, answers: Tensor, levels: Sequence[float]) -> Tensor | None:
        """``(B, H, K, Q)`` quantiles at ``levels``, in scaled units, never crossing; None where the loss has no such.

        Learned quantiles are sorted, which never makes them worse (rearrangement: Chernozhukov et al. 2010), and
        between two levels a straight line is drawn.

        Raises:
            InputError: a level lies outside those that were learned, or outside (0, 1).
        """
        if not self.levels:
            return None
        levels = check_levels(levels)
        if self.loss_name == "quantile":
            return self._between(ascending(answers), levels)
        location, scale = answers[..., 0:1], answers[..., 1:2]
        if self.loss_name == "gaussian":
            normal = torch.special.ndtri(torch.tensor(levels, dtype=torch.float64))
            return location + scale * normal.to(answers)
        return location + scale * student_quantiles(answers[..., 2], levels)

    def point_and_quantiles(self, answers: Tensor) -> tuple[Tensor, Tensor | None]:
        """Both at once, at the task's own levels: what is learned is sorted only once."""
        if self.loss_name == "quantile":
            ordered = ascending(answers)
            return self._between(ordered, (0.5,)).squeeze(-1), ordered
        return self.point(answers), self.quantiles(answers, self.levels)

    def _between(self, quantiles: Tensor, levels: Sequence[float]) -> Tensor:
        """Of learned quantiles, ascending, to others: straight lines between neighbours."""
        known = np.asarray(self.levels)
        if min(levels) < known[0] - 1e-6 or max(levels) > known[-1] + 1e-6:
            raise InputError(
                f"The model has learned quantiles from {known[0]:g} to {known[-1]:g} and cannot give "
                f"{', '.join(f'{t:g}' for t in levels if not known[0] <= t <= known[-1])}; ask within, or train with "
                "more task.levels."
            )
        if len(known) == len(levels) and np.allclose(known, levels, rtol=0, atol=1e-6):
            return quantiles
        place = np.interp(levels, known, np.arange(len(known)))
        place = np.where(np.abs(place - place.round()) < 1e-6, place.round(), place)
        lower = torch.from_numpy(np.floor(place).astype(np.int64)).to(quantiles.device)
        upper = torch.from_numpy(np.ceil(place).astype(np.int64)).to(quantiles.device)
        share = torch.from_numpy(place - np.floor(place)).to(quantiles)
        return torch.lerp(quantiles[..., lower], quantiles[..., upper], share)

    def meter(self) -> ForecastMeter:
        """A fresh meter for one pass; it needs the units."""
        if self.units is None:
            raise InputError("Forecasts are measured in the units of their data; give the task the data's units.")
        return ForecastMeter(self, self.units)


@dataclass(frozen=True)
class Examples:
    """Some forecasts, in the data's own units, spread evenly over a pass.

    Attributes:
        origins: ``(E,)`` first row of each.
        point: ``(E, H, K)``.
        quantiles: ``(E, H, K, Q)`` at the task's levels, or None.
        actual: ``(E, H, K)``, NaN where nothing was measured.
    """

    origins: np.ndarray
    point: np.ndarray
    quantiles: np.ndarray | None
    actual: np.ndarray


class ForecastMeter:
    """Errors of one pass, its mean loss, and a few forecasts to look at.

    Attributes:
        errors: everything by step and by series, and residuals one step ahead.
    """

    def __init__(self, task: Forecasting, units: Units) -> None:
        self.task, self.units = task, units
        self.errors = ForecastErrors(units, task.levels, task.nominal, task.labels)
        self._total, self._count, self._seen, self._stride = 0.0, 0, 0, 1
        self._kept: list[tuple[int, np.ndarray, np.ndarray | None]] = []
        self._last: tuple[int, np.ndarray, np.ndarray | None] | None = None

    def update(self, loss: Loss, batch: Batch) -> None:
        """Count one batch, some windows at a time: all its quantiles at once would be large."""
        self._total += float(loss.total.detach())
        self._count += loss.count
        answers, origins = loss.logits.detach(), batch.index.numpy()
        for rows in blocks(len(answers), math.prod(answers.shape[1:3]) * max(1, len(self.task.levels))):
            point, quantiles = (
                None if scaled is None else self.units.original(scaled.cpu().numpy(), origins[rows])
                for scaled in self.task.point_and_quantiles(answers[rows])
            )
            assert point is not None
            self._take(origins[rows], point, quantiles)

    def _take(self, origins: np.ndarray, point: np.ndarray, quantiles: np.ndarray | None) -> None:
        """Count them, and keep every so-maniest window: as few however many there are."""
        self.errors.add(origins, point, quantiles)
        for row in range(len(origins)):
            self._last = (int(origins[row]), point[row], None if quantiles is None else quantiles[row])
            if self._seen % self._stride == 0:  # copied, for a view keeps all the others
                self._kept.append(copy.deepcopy(self._last))
            if len(self._kept) > 4 * EXAMPLES:
                self._kept, self._stride = self._kept[::2], 2 * self._stride
            self._seen += 1

    @property
    def examples(self) -> Examples:
        """At most ``EXAMPLES`` windows, the first and the last of the pass among them."""
        assert self._last is not None, "examples before any window"
        kept = self._kept if self._kept[-1][0] == self._last[0] else [*self._kept, self._last]
        chosen = [kept[i] for i in np.unique(np.linspace(0, len(kept) - 1, EXAMPLES).round().astype(int))]
        origins = np.array([origin for origin, _, _ in chosen])
        quantiles = [one for _, _, one in chosen if one is not None]
        return Examples(
            origins,
            np.stack([point for _, point, _ in chosen]),
            np.stack(quantiles) if quantiles else None,
            self.units.actual(origins),
        )

    def compute(self) -> dict[str, float]:
        """``loss``, the mean training objective in scaled units, and the errors by name."""
        return {"loss": self._total / self._count if self._count else math.nan, **self.errors.compute()}


def _roles(loss: LossName, levels: int) -> tuple[Role, ...]:
    if loss == "gaussian":
        return ("location", "scale")
    if loss == "student_t":
        return ("location", "scale", "shape")
    locations: list[Role] = ["location"] * (levels or 1)
    return tuple(locations)
