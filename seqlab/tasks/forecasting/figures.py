"""Figures and tables of forecasts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from seqlab import durable
from seqlab.data.series import Series
from seqlab.errors import warned
from seqlab.insight.forecast import Panel, error_by_step_figure, forecast_figure, residual_figure
from seqlab.protocols import View

CONTEXT = 3
"""A picture shows so many horizons of the past before a forecast, or one look-back if that is shorter."""
MOST_TARGETS = 8
"""Targets whose residuals are drawn."""


def draw(view: View) -> None:
    """Draw and write them all; what fails is left out, with a warning."""
    data, split, tracker, meter = view.data, view.split, view.tracker, view.found.meter
    floors = view.baselines.details or {}
    step, series, examples = view.step, data.series, meter.examples
    H, K = data.spec.horizon, len(series.targets)
    panels = []
    for row, origin in enumerate(examples.origins):
        k = row % K  # one target after the other: where there are few, several windows of each
        past = np.arange(origin - min(data.train.lookback, CONTEXT * H), origin)
        ahead = np.arange(origin, origin + H)
        bands = intervals(meter.task.levels, None if examples.quantiles is None else examples.quantiles[row, :, k])
        label = _named(series, meter.units.series(examples.origins[row : row + 1])[0], k)
        panel = Panel(
            label, series.wall(past), series.values[past, k], series.wall(ahead),
            examples.point[row, :, k], examples.actual[row, :, k], bands,
            "" if series.zone is None else series.zone.name(series.times[ahead]),
        )  # fmt: skip
        panels.append(panel)
    with warned(f"figure {split}/forecasts"):
        tracker.figure(f"{split}/forecasts", forecast_figure(panels), step)
    metric = view.objective.headline[-1]
    by_step = {view.name: meter.errors.by_step} | {name: found.by_step for name, found in floors.items()}
    told = {name: found[metric] for name, found in by_step.items() if metric in found}
    if told:
        with warned(f"figure {split}/error_by_step"):
            tracker.figure(f"{split}/error_by_step", error_by_step_figure(told, metric), step)
    origins, residuals = meter.errors.residuals
    one = meter.units.series(origins) == 0  # of several series the first
    for k, label in enumerate(series.targets[:MOST_TARGETS]):
        with warned(f"figure {split}/residuals/{label}"):
            figure = residual_figure(residuals[one, k], _named(series, 0, k), series.wall(origins[one]))
            tracker.figure(f"{split}/residuals/{label}", figure, step)
    tables = {
        "by_step": pd.DataFrame({"step": np.arange(1, H + 1), **meter.errors.by_step}).set_index("step"),
        "by_series": pd.DataFrame(meter.errors.by_series).rename_axis("series"),
    }
    for name, table in tables.items():
        with warned(f"{split}_{name}.csv"):
            durable.write_text(tracker.run_dir / f"{split}_{name}.csv", table.to_csv())


def _named(series: Series, number: int, target: int) -> str:
    """A target's name, with its series' where there are several."""
    label = series.targets[target]
    return label if len(series.ids) == 1 else f"{series.ids[number]}: {label}"


def intervals(
    levels: Sequence[float], quantiles: np.ndarray | None, shares: Sequence[float] = (0.5, 0.9)
) -> dict[float, tuple[np.ndarray, np.ndarray]]:
    """Of quantiles ``(H, Q)`` the lower and upper ends ``(H,)`` of the intervals that enclose ``shares``."""
    found = {}
    for share in shares if quantiles is not None else ():
        assert quantiles is not None
        ends = [np.flatnonzero(np.isclose(levels, 0.5 + side * share / 2, atol=1e-6)) for side in (-1, 1)]
        if all(len(end) for end in ends):
            found[share] = (quantiles[:, ends[0][0]], quantiles[:, ends[1][0]])
    return found
