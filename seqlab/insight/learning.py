"""Learning curves: losses and metrics over steps, the step of the best weights, the result of a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seqlab.insight.classification import COLOURS, GREY, shorten
from seqlab.insight.forecast import INK, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_POINTS = 60
"""A curve of more points is drawn without a mark for each."""


@dataclass(frozen=True)
class Floor:
    """A baseline's result.

    Attributes:
        name: of the baseline.
        split: the part on which it was measured.
        value: in units of the last metric that is drawn.
    """

    name: str
    split: str
    value: float


def learning_figure(
    rows: Sequence[Mapping[str, Any]], metrics: Sequence[str], best_step: int | None = None, floor: Floor | None = None
) -> Figure:
    """The loss of training and validation over steps, and beside it each of ``metrics`` on validation.

    Args:
        rows: of a run's ``metrics.jsonl``: ``step`` and, if measured at that step, ``train/loss``, ``val/loss`` and
            ``val/NAME`` for each of ``metrics``.
        metrics: names. ``loss`` is drawn with the training loss; a metric that was never measured is skipped.
        best_step: the step of the best weights, which is marked.
        floor: a line in the drawing of the last of ``metrics``.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    named = [name for name in dict.fromkeys(metrics) if name != "loss" and len(curve(rows, f"val/{name}")[0])]
    figure = Figure(figsize=(4.6 * (1 + len(named)), 3.7), dpi=120, layout="constrained")
    panels = figure.subplots(1, 1 + len(named), squeeze=False)[0]
    _draw_losses(panels[0], rows, best_step)
    for axes, name in zip(panels[1:], named, strict=True):
        _draw_metric(axes, rows, name, best_step)
    if floor is not None and metrics and (metrics[-1] == "loss" or metrics[-1] in named):
        _draw_floor(panels[-1] if metrics[-1] in named else panels[0], floor)
    for axes in panels:
        axes.set_xlabel("steps")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
        axes.set_xlim(0, 1.02 * max((row["step"] for row in rows), default=1))
        tidy(axes)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=9)
    return figure


def curve(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """``(N,)`` steps and ``(N,)`` values of one metric; rows without it are skipped."""
    found = [(row["step"], row[name]) for row in rows if isinstance(row.get(name), int | float)]
    steps, values = np.array(found, np.float64).reshape(-1, 2).T
    return steps, values


def _draw_losses(axes: Axes, rows: Sequence[Mapping[str, Any]], best_step: int | None) -> None:
    steps, losses = curve(rows, "train/loss")
    few = len(steps) <= 1
    axes.plot(steps, losses, color="#8FB8DA", linewidth=1.2, marker="o" if few else None, ms=4, label="training")
    seen, val = curve(rows, "val/loss")
    if len(seen):
        axes.plot(seen, val, color=COLOURS[1], linewidth=1.8, marker=_mark(seen), ms=4, label="validation")
        _mark_best(axes, seen, val, best_step)
    axes.set_title("loss", loc="left", fontsize=10, color=INK)
    if len(losses) > 20:  # the first steps of a training may be far off, and hide all that follows
        highest = max(np.quantile(losses, 0.98), val.max(initial=-np.inf))
        lowest = min(losses.min(), val.min(initial=np.inf))
        axes.set_ylim(lowest - 0.05 * (highest - lowest or 1), highest + 0.08 * (highest - lowest or 1))


def _draw_metric(axes: Axes, rows: Sequence[Mapping[str, Any]], name: str, best_step: int | None) -> None:
    steps, values = curve(rows, f"val/{name}")
    axes.plot(steps, values, color=COLOURS[1], linewidth=1.8, marker=_mark(steps), ms=4, label="validation")
    _mark_best(axes, steps, values, best_step)
    axes.set_title(shorten(name, 40), loc="left", fontsize=10, color=INK)


def _mark(steps: np.ndarray) -> str | None:
    return "o" if len(steps) <= MOST_POINTS else None


def _mark_best(axes: Axes, steps: np.ndarray, values: np.ndarray, best_step: int | None) -> None:
    place = np.flatnonzero(steps == best_step)
    if len(place):
        axes.plot(
            steps[place[:1]], values[place[:1]], "o", color=COLOURS[1], markeredgecolor=INK, ms=8, zorder=5,
            label="best weights",
        )  # fmt: skip


def _draw_floor(axes: Axes, floor: Floor) -> None:
    name = f"{shorten(floor.name, 24)}, on {floor.split}"
    axes.axhline(floor.value, color=GREY, linestyle="--", linewidth=1.2, label=name, zorder=1)
    low, high = axes.get_ylim()
    room = 0.06 * (high - low)
    axes.set_ylim(min(low, floor.value - room), max(high, floor.value + room))
