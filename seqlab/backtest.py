"""Rolling origins: a run's forecasts over the last part of its data, fold by fold, with or without training anew."""

from __future__ import annotations

import shutil
import signal
import sys
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from seqlab import compose
from seqlab.data.forecast import ForecastData, Windows
from seqlab.data.series import Series
from seqlab.forecasts import Asked, intervals
from seqlab.tasks.forecast_errors import ForecastErrors, blocks
from seqlab.tasks.forecasting.baselines import fitted
from seqlab.trust import check_links
from seqlab.types import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from seqlab.run import Run


@dataclass(frozen=True)
class Fold:
    """Consecutive rows of the last part, of every series.

    Attributes:
        starts: ``(S,)`` first row of each.
        stops: ``(S,)`` the row behind the last.
        windows: those whose horizon lies wholly inside.
    """

    starts: np.ndarray
    stops: np.ndarray
    windows: Windows


@dataclass(frozen=True)
class Backtest:
    """What a backtest found.

    Attributes:
        table: one row a fold, and one of all: from, to, windows, the model's headline metrics, each floor's metric.
        metrics: all metrics over all folds: the model's, and by name each floor's.
        figure: truth and forecasts that follow on one another, of the first targets.
    """

    table: pd.DataFrame
    metrics: dict[str, dict[str, float]]
    figure: Figure


def backtest(run: Run, folds: int = 4, refit: bool = False) -> Backtest:
    """Forecast from every origin of the run's last part (test, or validation where there is none).

    Args:
        run: a forecaster's.
        folds: into how many consecutive pieces the part is cut; a window counts where its horizon lies in one piece.
        refit: train anew before each fold, on all rows before it: as many of the last ones as the run's validation
            part has choose the weights, the others train. Each training leaves a run folder ``RUN/backtest/fold-K``.
            The floors are fitted anew as well.

    Raises:
        InputError: the run is no forecaster; more folds than the part has room for; ``refit`` of series of different
            lengths.
    """
    asked = run.asked()
    data = run.data
    pieces = cut(data, folds)
    models = {"model": asked.task.errors(data.units)}
    rows, drawn = [], []
    teller, source, floors = asked, data, fitted(data)
    for number, fold in enumerate(pieces, 1):
        if refit:
            teller, source = _train_anew(run, data, fold, number)
            floors = fitted(source)
        mine = {"model": asked.task.errors(data.units)}
        for origins, point, quantiles in teller.forecasts(_over(source, fold), source.units, asked.task.levels):
            for errors in (mine["model"], models["model"]):
                errors.add(origins, point, quantiles)
            drawn.append(_drawn(fold, origins, point, quantiles))
        for name, forecast in floors.items():
            mine[name] = asked.task.errors(data.units)
            total = models.setdefault(name, asked.task.errors(data.units))
            for some in blocks(len(fold.windows), fold.windows.horizon * len(data.series.targets)):
                said = forecast(fold.windows.origins[some])
                for errors in (mine[name], total):
                    errors.add(fold.windows.origins[some], said)
        rows.append(_row(data, fold, mine, asked.task.headline))
    everything = Fold(pieces[0].starts, pieces[-1].stops, replace(pieces[0].windows, origins=_origins(pieces)))
    rows.append(_row(data, everything, models, asked.task.headline))
    rows[-1]["fold"] = "all"
    table = pd.DataFrame(rows)
    table.insert(0, "fold", table.pop("fold").fillna(pd.Series(range(1, len(rows) + 1)).astype(str)))
    found = {name: errors.compute() for name, errors in models.items()}
    return Backtest(table, found, _figure(data, asked, drawn))


def cut(data: ForecastData, folds: int) -> list[Fold]:
    """The last part in ``folds`` pieces of about equal length.

    Raises:
        InputError: fewer than one, or pieces shorter than the horizon.
    """
    if folds < 1:
        raise InputError(f"--folds {folds} forecasts nothing: give 1 or more.")
    windows, part = data.last
    H = windows.horizon
    edges = np.linspace(part.starts, part.stops, folds + 1).round().astype(np.int64)  # (folds + 1, S)
    shortest = int(np.diff(edges, axis=0).max(axis=1).min())
    if shortest < H:
        rows = int((part.stops - part.starts).max())
        raise InputError(
            f"--folds {folds} cuts the {rows} rows of the last part into pieces of {shortest}, but a forecast has {H}: "
            f"ask for {max(1, rows // H)} at most."
        )
    number = data.units.series(windows.origins)
    pieces = []
    for start, stop in pairwise(edges):
        inside = (windows.origins >= start[number]) & (windows.origins + H <= stop[number])
        pieces.append(Fold(start, stop, replace(windows, origins=windows.origins[inside])))
    return pieces


def _train_anew(run: Run, data: ForecastData, fold: Fold, number: int) -> tuple[Asked, ForecastData]:
    """A run of the same recipe that has seen the rows before ``fold``; its data."""
    from seqlab.run import Run
    from seqlab.train import train

    check_links(run.path, trusted=run.trusted, how="add --trust")
    before = fold.starts - data.series.starts
    lengths = fold.stops - fold.starts
    held = data.parts["val"].stops - data.parts["val"].starts if "val" in data.parts else np.zeros_like(before)
    if len({*zip(before.tolist(), lengths.tolist(), held.tolist(), strict=True)}) > 1:
        raise InputError("--refit wants series of one length, the run's have several: remove it.")
    split = [int(before[0] - held[0]), int(held[0]), int(lengths[0])]
    run_dir = run.path / "backtest" / f"fold-{number}"
    known = run_dir / "config.yaml"
    if known.exists() and list(compose.load(known)["data"]["split"]) != split:
        raise InputError(f"{run_dir} holds a fold of another backtest: remove {run.path / 'backtest'} and start again.")
    if not (run_dir / "summary.json").exists():
        where: dict[str, Any] = {"run_dir": str(run_dir), "resume": None}
        if (run_dir / "last.pt").exists():  # it was cut off
            where = {"run_dir": None, "resume": str(run_dir)}
        elif run_dir.exists():
            shutil.rmtree(run_dir)
        data_node = {**run.config["data"], "split": split}
        result = train({**run.config, "data": data_node, "test": True, "floor": False, **where})
        if result.interrupted:
            print("The backtest was cut off; the same command goes on with it.", file=sys.stderr)
            raise SystemExit(128 + signal.Signals[result.stopped_by])
    again = Run(run_dir, str(run.runtime.device), run.trusted)
    return again.asked(), again.data


def _over(source: ForecastData, fold: Fold) -> Windows:
    """The fold's windows as ``source`` scales them."""
    return replace(source.train, origins=fold.windows.origins)


def _origins(pieces: list[Fold]) -> np.ndarray:
    return np.concatenate([fold.windows.origins for fold in pieces])


def _row(
    data: ForecastData, fold: Fold, errors: dict[str, ForecastErrors], headline: tuple[str, ...]
) -> dict[str, Any]:
    times, origins = data.series.times, fold.windows.origins
    row: dict[str, Any] = {
        "from": _short(data.series, times[origins.min()]),
        "to": _short(data.series, times[(origins + fold.windows.horizon - 1).max()]),
        "windows": len(origins),
    }
    model = errors["model"].compute()
    row |= {name: model[name] for name in headline if name in model}
    told = headline[-1] if headline[-1] in model else "scaled_mse"
    return row | {f"floor: {name}": found.compute()[told] for name, found in errors.items() if name != "model"}


def _short(series: Series, time: np.datetime64) -> str:
    """A time without the zeros that say nothing, with its zone where the data have one."""
    text = series.moment(time).replace("T", " ")
    return text.removesuffix(":00").removesuffix(" 00:00")


Drawn = tuple[np.ndarray, np.ndarray, np.ndarray | None]


def _drawn(fold: Fold, origins: np.ndarray, point: np.ndarray, quantiles: np.ndarray | None) -> Drawn:
    """Of the first series, the forecasts that follow on one another without overlap."""
    H = fold.windows.horizon
    kept = (origins < fold.stops[0]) & ((origins - fold.starts[0]) % H == 0)
    return origins[kept], point[kept], None if quantiles is None else quantiles[kept]


def _figure(data: ForecastData, asked: Asked, drawn: list[Drawn]) -> Figure:
    from seqlab.insight.forecast import Panel, forecast_figure

    origins = np.concatenate([one[0] for one in drawn])
    point = np.concatenate([one[1] for one in drawn])
    quantiles = [one[2] for one in drawn if one[2] is not None]
    rows = (origins[:, None] + np.arange(data.train.horizon)).ravel()
    past = np.arange(max(int(data.series.starts[0]), rows[0] - data.train.horizon), rows[0])
    # a fold may have rows at its end that no forecast without overlap covers: no line is drawn across them
    breaks = np.flatnonzero(np.diff(rows) > 1) + 1
    ahead = np.insert(data.series.times[rows], breaks, data.series.times[rows[breaks] - 1])
    panels = []
    for k, label in enumerate(data.series.targets[:6]):
        band = np.concatenate(quantiles)[:, :, k].reshape(len(rows), -1) if quantiles else None
        ends = intervals(asked.task.levels, band)
        panels.append(
            Panel(
                name=label,
                times=data.series.times[past],
                history=data.series.values[past, k],
                ahead=ahead,
                point=np.insert(point[:, :, k].ravel(), breaks, np.nan),
                truth=np.insert(data.series.values[rows, k].astype(np.float64), breaks, np.nan),
                intervals={
                    s: (np.insert(a, breaks, np.nan), np.insert(b, breaks, np.nan)) for s, (a, b) in ends.items()
                },
            )
        )
    return forecast_figure(panels)
