"""The curve of loss by position."""

import numpy as np

from seqlab.insight.language import binned, position_loss_figure


def test_bins_grow_and_weigh_by_what_they_count():
    position = np.arange(1, 9)
    nats = np.array([3.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    counts = np.array([1, 1, 1, 1, 1, 1, 1, 3])
    centers, means = binned(position, nats, counts)
    assert np.all(np.diff(centers) > 0)
    assert means[0] == 3.0
    assert means[-1] == 0.0
    assert np.isclose((means * np.array([1, 1, 1, 2, 2, 3])).sum(), (nats * counts).sum())


def test_the_figure_shows_positions_that_were_asked_about():
    figure = position_loss_figure(np.array([3.0, 2.0, 0.0]), np.array([4, 4, 0]))
    (axes,) = figure.axes
    points = axes.collections[0].get_offsets()
    assert points[:, 0].tolist() == [1, 2]
    assert "nats" in axes.get_ylabel()
