"""What a regression got right and wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def answers_figure(targets: np.ndarray, answers: np.ndarray, name: str) -> Figure:
    """What the model said over what was right, one point an example, ``(N,)`` each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.scatter(targets, answers, s=8, alpha=0.4, color="#0072B2", linewidths=0)
    low, high = float(min(targets.min(), answers.min())), float(max(targets.max(), answers.max()))
    axes.plot((low, high), (low, high), color="#8A8F98", linewidth=1, label="exactly right")
    axes.set(xlabel=f"{name}: right", ylabel=f"{name}: said", aspect="equal")
    axes.legend(frameon=False)
    return figure


def position_figure(hits: np.ndarray, asked: np.ndarray) -> Figure:
    """Accuracy at each position that was asked about: ``hits`` and ``asked`` are ``(T,)`` counts."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.6), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    steps = np.flatnonzero(asked)
    axes.plot(steps, hits[steps] / asked[steps], marker=".", color="#0072B2", linewidth=1)
    axes.set(xlabel="position", ylabel="accuracy", ylim=(-0.02, 1.02))
    axes.grid(alpha=0.3)
    return figure
