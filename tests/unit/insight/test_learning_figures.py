"""The learning curve shows what was written down, marks the best weights and stands a baseline beside them."""

import numpy as np
import pytest

from seqlab.insight.learning import Floor, curve, learning_figure

ROWS = [
    *({"step": step, "train/loss": 1 / step, "train/lr": 0.1} for step in range(10, 61, 10)),
    {"step": 20, "val/loss": 0.4, "val/accuracy": 0.5, "val/f1 $x": 0.2},
    {"step": 40, "val/loss": 0.3, "val/accuracy": 0.8, "val/f1 $x": None},
    {"step": 60, "val/loss": 0.5, "val/accuracy": 0.7, "val/f1 $x": 0.4},
]


def drawn(figure):
    figure.canvas.draw()
    return [axes.get_title(loc="left") for axes in figure.axes]


def lines(axes):
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}


def test_losses_and_metrics_are_drawn_over_steps_and_the_best_weights_marked():
    figure = learning_figure(ROWS, ["accuracy", "accuracy"], best_step=40)
    assert drawn(figure) == ["loss", "accuracy"]
    loss, accuracy = figure.axes
    assert lines(loss) == {
        "training": ([10, 20, 30, 40, 50, 60], [1 / step for step in range(10, 61, 10)]),
        "validation": ([20, 40, 60], [0.4, 0.3, 0.5]),
        "best weights": ([40], [0.3]),
    }
    assert lines(accuracy) == {"validation": ([20, 40, 60], [0.5, 0.8, 0.7]), "best weights": ([40], [0.8])}


def test_a_baseline_is_a_line_in_the_drawing_of_the_last_metric():
    figure = learning_figure(ROWS, ["f1 $x", "accuracy"], 40, Floor("nb $svm", "test", 0.95))
    assert drawn(figure) == ["loss", r"f1 \$x", "accuracy"]
    assert not any("svm" in label for axes in figure.axes[:2] for label in lines(axes))
    assert lines(figure.axes[2])[r"nb \$svm, on test"][1] == [0.95, 0.95]
    assert figure.axes[2].get_ylim()[1] > 0.95


@pytest.mark.parametrize("rows", [[], ROWS[:1], ROWS[6:7], [{"step": 5, "train/loss": None}]])
def test_runs_that_measured_little_are_drawn_too(rows):
    assert drawn(learning_figure(rows, ["accuracy", "loss"], None, Floor("unigram", "validation", 0.5)))[0] == "loss"


def test_what_is_no_number_is_left_out():
    steps, values = curve(ROWS, "val/f1 $x")
    np.testing.assert_array_equal(steps, [20, 60])
    np.testing.assert_array_equal(values, [0.2, 0.4])


def test_a_first_step_far_off_does_not_hide_the_rest():
    rows = [{"step": step, "train/loss": 1e6 if step == 1 else 1 + 1 / step} for step in range(1, 101)]
    assert learning_figure(rows, []).axes[0].get_ylim()[1] < 10
