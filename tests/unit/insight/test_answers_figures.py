"""Figures of regressions and of labels at every step: what they show is what was counted."""

import numpy as np

from seqlab.insight.answers import answers_figure, position_figure


def test_answers_are_drawn_over_what_was_right():
    targets, answers = np.array([0.0, 1.0, 2.0]), np.array([0.5, 1.0, 1.5])
    (axes,) = answers_figure(targets, answers, "sum").axes
    np.testing.assert_allclose(axes.collections[0].get_offsets(), np.stack((targets, answers), 1))
    assert axes.get_xlabel() == "sum: right"


def test_only_positions_that_were_asked_about_are_drawn():
    hits, asked = np.array([0, 2, 0, 1]), np.array([0, 4, 0, 1])
    (axes,) = position_figure(hits, asked).axes
    (line,) = axes.lines
    np.testing.assert_allclose(line.get_xdata(), [1, 3])
    np.testing.assert_allclose(line.get_ydata(), [0.5, 1.0])
