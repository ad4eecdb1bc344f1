"""What a trained forecaster says: beyond the end of its data, from origins in the past, and that it never peeks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from seqlab.data.calendar import features
from seqlab.data.forecast import ForecastData, ForecastLoader, Windows, prepare
from seqlab.data.forecast_beyond import beyond, extended, read_plans, tail, upcoming
from seqlab.data.moments import Zone
from seqlab.data.roles import names_of
from seqlab.engine.runtime import Runtime
from seqlab.models import AnyModel
from seqlab.tasks.forecasting import Forecasting
from seqlab.tasks.forecasting.figures import CONTEXT as CONTEXT
from seqlab.tasks.forecasting.figures import intervals as intervals
from seqlab.types import InputError, Units

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FURTHEST = 1000
"""A forecast goes at most so many horizons beyond the data."""


@dataclass(frozen=True)
class Asked:
    """A model with what is needed to ask it.

    Attributes:
        model: in evaluation mode, on its device.
        task: reads its answers.
        runtime: device and precision.
        batch_size: windows at a time.
    """

    model: AnyModel
    task: Forecasting
    runtime: Runtime
    batch_size: int

    def forecasts(
        self, windows: Windows, units: Units, levels: Sequence[float]
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
        """Of some windows at a time: origins ``(B,)``, points ``(B, H, K)`` and quantiles ``(B, H, K, Q)``, in the
        data's own units, float64; without quantiles where the model gives points."""
        self.model.eval()
        for batch in ForecastLoader(windows, batch_size=self.batch_size, shuffle=False).epoch(0):
            batch = batch.to(self.runtime.device)
            origins = batch.index.numpy()
            with torch.inference_mode():  # ends before the yield: whoever asks is not to be in it, nor to end it late
                with self.runtime.autocast():
                    answers = self.model(batch.inputs, batch.lengths, batch.future).float()
                if not answers.isfinite().all():
                    raise InputError(
                        "The model's forecasts are NaN or infinite, so there is none to show: its training diverged; "
                        "train again, for example with a lower optim.lr."
                    )
                point = units.original(self.task.point(answers).cpu().numpy(), origins)
                scaled = self.task.quantiles(answers, levels) if len(levels) else None
                quantiles = None if scaled is None else units.original(scaled.cpu().numpy(), origins)
            yield origins, point, quantiles


@dataclass(frozen=True)
class Outcome:
    """Forecasts beyond the end of some series, in the data's own units.

    Attributes:
        ids: ``S`` names of the series.
        labels: ``K`` names of the targets.
        times: ``(S, H)`` datetime64.
        point: ``(S, H, K)``.
        levels: ``Q`` levels.
        quantiles: ``(S, H, K, Q)``, or None where the model gives points.
        past_times: ``(S, C)`` the last rows that were read.
        past: ``(S, C, K)`` their values.
        rolled: step after which forecasts were fed back as if they had been measured; None: they were not. There are
            no quantiles behind it.
        zone: of the data, where ``times`` are UTC; None: times have no zone.
    """

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    times: np.ndarray
    point: np.ndarray
    levels: tuple[float, ...]
    quantiles: np.ndarray | None
    past_times: np.ndarray
    past: np.ndarray
    rolled: int | None = None
    zone: Zone | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The labels as the table has them: those of its own columns are taken."""
        own = ("series", "time", "rolled_on")
        return tuple(f"{label} forecast" if label in own else label for label in self.labels)

    def table(self) -> pd.DataFrame:
        """One row a step: ``series`` (of several), ``time`` (text with its zone, where the data have one), of every
        target its forecast and its quantiles, and where some were, whether the step was ``rolled_on``."""
        S, H, _ = self.point.shape
        columns: dict[str, Any] = {"series": np.repeat(self.ids, H)} if S > 1 else {}
        columns["time"] = self.times.ravel() if self.zone is None else self.zone.text(self.times)
        for k, label in enumerate(self.columns):
            columns[label] = self.point[:, :, k].ravel()
            for q, level in enumerate(self.levels if self.quantiles is not None else ()):
                assert self.quantiles is not None
                columns[f"{label}_{100 * level:g}%"] = self.quantiles[:, :, k, q].ravel()
        if self.rolled is not None:
            columns["rolled_on"] = np.tile(np.arange(H) >= self.rolled, S)
        return pd.DataFrame(columns)

    @property
    def note(self) -> str:
        """What a reader should know of the later steps; may be empty."""
        return "" if self.rolled is None else f"rolled on after step {self.rolled}: forecasts are fed back as values"

    def figure(self) -> Figure:
        """History and forecast with its intervals, at most six panels."""
        from seqlab.insight.forecast import Panel, forecast_figure

        panels = [
            Panel(
                name=(label if len(self.ids) == 1 else f"{self.ids[s]}: {label}")
                + (f" ({self.note})" if self.note else ""),
                times=wall(self.zone, self.past_times[s]),
                history=self.past[s, :, k],
                ahead=wall(self.zone, self.times[s]),
                zone="" if self.zone is None else self.zone.name(self.times[s]),
                point=self.point[s, :, k],
                intervals=intervals(self.levels, None if self.quantiles is None else self.quantiles[s, :, k]),
            )
            for s in range(len(self.ids))
            for k, label in enumerate(self.labels)
        ]
        return forecast_figure(panels[:6])


def wall(zone: Zone | None, times: np.ndarray) -> np.ndarray:
    """What a clock on the wall shows at ``times``, for pictures."""
    return times if zone is None else zone.local(times)


def ahead_of(
    asked: Asked, data: ForecastData, source: Mapping[str, Any], horizon: int | None = None, plans: Path | None = None
) -> Outcome:
    """What comes after the last row of each series.

    Beyond the steps that the model was trained for, its forecasts are fed back as if they had been measured, and it is
    asked again; past columns stay as they last were there. Quantiles do not know of those earlier errors: there are
    none.

    Args:
        asked: the model.
        data: prepared with the scaling that the model was trained with.
        source: options of the data's source: its ``calendar``, known of every time, its covariates and columns.
        horizon: steps; None is as many as it was trained for.
        plans: a file that says what the covariates will be.

    Raises:
        InputError: no steps, or far too many; columns whose future nobody gave.
    """
    H = data.train.horizon
    wanted = H if horizon is None else horizon
    if not 0 < wanted <= FURTHEST * H:
        raise InputError(f"--horizon {wanted}: a run of data.horizon={H} forecasts 1 to {FURTHEST * H:,} steps.")
    rounds = -(-wanted // H)
    series = data.series
    times = upcoming(series, rounds * H)
    known = _known(data, source, times, plans)
    points, quantiles = [], None
    context = min(data.train.lookback, CONTEXT * H)
    rows = series.stops[:, None] + np.arange(-context, 0)
    for number in range(rounds):
        now = known[:, number * H : (number + 1) * H]
        outlook = beyond(data, now)
        parts = list(asked.forecasts(outlook.windows, outlook.units, () if number else asked.task.levels))
        points.append(np.concatenate([part[1] for part in parts]))
        if number == 0 and parts[0][2] is not None:
            quantiles = np.full((len(series.ids), rounds * H, *parts[0][2].shape[2:]), np.nan)
            quantiles[:, :H] = np.concatenate([part[2] for part in parts if part[2] is not None])
        if number < rounds - 1:
            short = tail(data.series, data.train.lookback + data.scaling.lost)
            data = replace(data, series=extended(short, points[-1].astype(np.float32), now))
    return Outcome(
        ids=series.ids,
        labels=series.targets,
        times=times[:, :wanted],
        point=np.concatenate(points, axis=1)[:, :wanted],
        levels=asked.task.levels,
        quantiles=None if quantiles is None else quantiles[:, :wanted],
        past_times=series.times[rows],
        past=series.values[:, : len(series.targets)][rows],
        rolled=H if wanted > H else None,
        zone=series.zone,
    )


def _known(data: ForecastData, source: Mapping[str, Any], times: np.ndarray, plans: Path | None) -> np.ndarray:
    """``(S, n, G)``: what is known of the rows to come at ``times`` ``(S, n)``; n is a multiple of the horizon."""
    series, calendar = data.series, source.get("calendar") or ()
    known = np.stack([features(row, calendar) for row in times])
    planned = [name for name in series.ahead if name not in calendar]  # they stand before the calendar
    if not planned:
        return known
    columns = names_of(source["time_column"])
    if not columns:
        raise InputError("Rows to come can be planned on a clock alone: train with data.time_column.")
    if plans is None:
        id_column = names_of(source["id_column"])
        first, last = series.moment(times[0, 0]), series.moment(times[0, -1])
        raise InputError(
            f"The model needs future values of {', '.join(planned)} for the {times.shape[1]} rows from {first} to "
            f"{last}: pass a CSV with the columns {', '.join((*id_column, *columns, *planned))}: --plans FILE.csv."
        )
    found = read_plans(plans, times, series.ids, planned, columns, _one(source["id_column"]), source)
    return np.concatenate((found, known), axis=2)


def _one(name: str | int | None) -> str | None:
    return None if name is None else str(name)


def check_leak(asked: Asked, data: ForecastData, options: dict[str, Any], seed: int = 0) -> dict[str, Any]:
    """Change the future, all of it from the middle of the last part on, and see whether anything before it moves.

    The data are prepared anew from the changed rows: parts, scaling, windows. Nothing of the training windows may
    differ in a single bit, so that training on them would give the same weights; nor any forecast from an origin at or
    before the change.

    Args:
        asked: the model.
        data: as it was trained on.
        options: that ``prepare`` was called with.
        seed: of the values that are put in.

    Returns:
        ``changed_from`` (the time), ``rows_changed``, ``forecasts_compared`` and ``training_windows_compared``.

    Raises:
        InputError: something moved: there is a leak, and the sentence says where.
    """
    windows, last = data.last
    cuts = (last.starts + last.stops) // 2
    series, values = data.series, data.series.values.copy()
    random = np.random.default_rng(seed)
    for cut, stop in zip(cuts.tolist(), series.stops.tolist(), strict=True):
        block = values[cut:stop]
        away = np.abs(block).max(axis=0) + 1  # upwards: a logarithm may be taken
        values[cut:stop] = block[random.permutation(len(block))] + away * random.uniform(1.0, 2.0, (len(block), 1))
    again = prepare(replace(series, values=values), **options)
    if not _equal(data.train, again.train, data.train.origins):
        raise InputError("There is a leak: the training windows change with what comes after them.")
    number = data.units.series(windows.origins)
    origins = windows.origins[windows.origins <= cuts[number]]
    if not len(origins):
        raise InputError("No window of the last part lies before its middle: there is nothing to compare.")
    before, after = replace(data.train, origins=origins), replace(again.train, origins=origins)
    pairs = zip(
        asked.forecasts(before, data.units, asked.task.levels),
        asked.forecasts(after, again.units, asked.task.levels),
        strict=True,
    )
    for (at, point, quantiles), (_, other, others) in pairs:
        same = np.array_equal(point, other) and (quantiles is None or np.array_equal(quantiles, np.asarray(others)))
        if not same:
            row = at[np.abs(point - other).reshape(len(at), -1).max(1).argmax()]
            raise InputError(
                f"There is a leak: the forecast from {series.moment(series.times[row])} on changes with what comes "
                "later."
            )
    return {
        "changed_from": series.moment(series.times[cuts[0]]),
        "rows_changed": int((values != series.values).any(axis=1).sum()),
        "forecasts_compared": len(origins),
        "training_windows_compared": len(data.train),
    }


def _equal(one: Windows, other: Windows, origins: np.ndarray) -> bool:
    """Whether windows of the same origins hold the same bits, a block of rows at a time."""
    if not np.array_equal(origins, other.origins):
        return False
    rows = np.zeros(len(one.inputs), dtype=bool)
    for origin in origins:
        rows[origin - one.lookback : origin + one.horizon] = True
    return np.array_equal(one.inputs[rows], other.inputs[rows]) and np.array_equal(
        one.targets[rows], other.targets[rows], equal_nan=True
    )
