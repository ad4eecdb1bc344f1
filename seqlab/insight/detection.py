"""Peaks found in signals, and those that were not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Strip(NamedTuple):
    """One row to be drawn.

    Attributes:
        title: what it is.
        signal: ``(T,)``.
        probabilities: ``(T,)``: how likely a peak is near.
        true: ``(m,)`` steps of the peaks that there are.
        right: ``(n,)`` steps of reports that are right.
        misses: steps of peaks that were not found.
        alarms: steps of reports where there is no peak.
    """

    title: str
    signal: np.ndarray
    probabilities: np.ndarray
    true: np.ndarray
    right: np.ndarray
    misses: np.ndarray
    alarms: np.ndarray


def detection_figure(strips: Sequence[Strip], threshold: float, name: str = "peak") -> Figure:
    """Signals with their peaks, and under each what the model thought of every step.

    Args:
        strips: one or more rows.
        threshold: the probability that a report must exceed.
        name: what a peak is called.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 2.6 * len(strips) + 0.4), dpi=110, layout="constrained")
    grid = figure.subplots(2 * len(strips), 1, sharex=True, height_ratios=[3, 1] * len(strips), squeeze=False)[:, 0]
    for strip, above, below in zip(strips, grid[::2], grid[1::2], strict=True):
        signal = strip.signal
        above.plot(signal, color="#30343B", linewidth=0.8)
        # reports may stand beside the peak: they are drawn over the signal, peaks on it
        top, height = float(np.nanmax(signal)), float(np.ptp(signal)) or 1.0
        above.plot(strip.true, signal[strip.true], "o", color="#8A8F98", markersize=4, label=f"{name}")
        above.plot(strip.right, np.full(len(strip.right), top + 0.12 * height), "v", color="#009E73", label="found")
        above.plot(strip.misses, signal[strip.misses], "o", color="#0072B2", markersize=11, markeredgewidth=1.8,
                   fillstyle="none", label="missed")  # fmt: skip
        above.plot(strip.alarms, np.full(len(strip.alarms), top + 0.12 * height), "x", color="#D55E00", markersize=8,
                   markeredgewidth=2.2, label="false alarm")  # fmt: skip
        above.set_title(strip.title, loc="left", fontsize=9)
        above.margins(x=0.01)
        below.fill_between(np.arange(len(signal)), strip.probabilities, color="#56B4E9", linewidth=0)
        below.axhline(threshold, color="#8A8F98", linewidth=0.8, linestyle="--")
        below.set(ylim=(0, 1.05), yticks=(0, 1))
        below.set_ylabel("probability", fontsize=8)
        for alarm in strip.alarms:
            below.axvline(alarm, color="#D55E00", linewidth=0.8)
    grid[-1].set_xlabel("step")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=4, frameon=False)
    return figure
