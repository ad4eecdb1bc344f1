"""What a language model makes of what it has read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS_PER_OCTAVE = 2


def position_loss_figure(nats: np.ndarray, counts: np.ndarray) -> Figure:
    """How much what was read before helps: the loss at each position of windows that began with a zero state.

    A point is one position; the line is their mean in bins whose width grows with the position, for late positions
    differ little and there are many of them.

    Args:
        nats: ``(T,)`` mean loss of the targets at each position.
        counts: ``(T,)`` how many those were.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.6), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    seen = np.flatnonzero(counts)
    position = seen + 1
    axes.scatter(position, nats[seen], s=6, alpha=0.35, color="#0072B2", linewidths=0, label="one position")
    centers, means = binned(position, nats[seen], counts[seen])
    axes.plot(centers, means, color="#D55E00", linewidth=1.5, label="mean of a bin")
    axes.set(xscale="log", xlabel="tokens read since the state was zero", ylabel="loss (nats)")
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


def binned(position: np.ndarray, nats: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over bins of ``position`` (from 1 up), ``BINS_PER_OCTAVE`` of them to a doubling, weighted by ``counts``.

    Returns:
        ``(bins,)`` centres and ``(bins,)`` means of the bins that hold anything.
    """
    which = np.floor(BINS_PER_OCTAVE * np.log2(position)).astype(np.int64)
    weight = np.bincount(which, counts)
    held = weight > 0
    return (
        (np.bincount(which, counts * position)[held] / weight[held]),
        (np.bincount(which, counts * nats)[held] / weight[held]),
    )
