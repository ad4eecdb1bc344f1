"""The figure of peaks found: marks stand where things are."""

import numpy as np

from seqlab.insight.detection import Strip, detection_figure


def test_true_found_missed_and_false_stand_at_their_steps():
    signal = np.zeros(50)
    signal[[10, 30]] = 1.0, 2.0
    steps = [np.array(found) for found in ([10, 30], [11], [30], [44])]
    strip = Strip("row 3", signal, np.linspace(0, 1, 50), *steps)
    figure = detection_figure([strip, strip], 0.7, "R peak")
    assert len(figure.axes) == 4
    above, below = figure.axes[2:]
    curve, *marks = above.lines
    np.testing.assert_array_equal(curve.get_ydata(), signal)
    assert [line.get_xdata().tolist() for line in marks] == [[10, 30], [11], [30], [44]]
    assert marks[0].get_ydata().tolist() == [1, 2]
    assert [line.get_label() for line in marks] == ["R peak", "found", "missed", "false alarm"]
    assert above.get_title(loc="left") == "row 3"
    assert below.lines[0].get_ydata() == [0.7, 0.7]


def test_a_flat_row_without_any_peak_is_drawn():
    nothing = np.empty(0, np.int64)
    figure = detection_figure([Strip("", np.zeros(5), np.zeros(5), nothing, nothing, nothing, nothing)], 0.5)
    figure.canvas.draw()
    assert len(figure.axes) == 2
