"""What series are forecast by without a network."""

from __future__ import annotations

from typing import Any

from seqlab.baselines.series import Forecaster, History, forecasters
from seqlab.protocols import Baselines
from seqlab.tasks.forecast_errors import ForecastErrors, blocks


def fitted(data: Any) -> dict[str, Forecaster]:
    """Forecasters by name: origins ``(B,)`` to forecasts ``(B, H, K)`` in the data's own units."""
    values, windows = data.series.values[:, : len(data.series.targets)], data.train
    stops, season = data.parts["train"].stops, data.season
    history = History(values, data.series.starts, stops, windows.lookback, windows.horizon, season)
    return forecasters(history, None if data.val is None else data.val.origins)


def measured(data: Any, split: str, objective: Any) -> Baselines:
    """Their errors on the very windows of a part; ``details`` are the ``ForecastErrors`` by name."""
    windows = data.part(split)
    found: dict[str, ForecastErrors] = {}
    for name, forecast in fitted(data).items():
        found[name] = errors = objective.errors(data.units)
        for some in blocks(len(windows), windows.horizon * len(data.series.targets)):
            errors.add(windows.origins[some], forecast(windows.origins[some]))
    metrics = {name: errors.compute() for name, errors in found.items()}
    metric = objective.monitor
    return Baselines({name: each[metric] for name, each in metrics.items() if metric in each}, found)
