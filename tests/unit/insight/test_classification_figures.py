import io
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.insight.classification import confusion_figure, example_table, precision_recall, precision_recall_figure


class Cells(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.cells = set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data):
        if self.cells and data.strip():
            self.cells[-1] += data


def answers(rows, V, seed=0):
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, V, rows)
    logits = rng.normal(size=(rows, V)) + 2 * np.eye(V)[targets]
    return targets, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def render(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def texts_of(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_confusion_cells_hold_counts_and_shares_of_the_true_class():
    targets, predictions = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 0])
    figure = confusion_figure(targets, predictions, ("neg", "pos"))
    assert texts_of(figure) == ["3\n75.0%", "1\n25.0%", "1\n50.0%", "1\n50.0%"]
    assert figure.axes[0].get_title() == "accuracy 66.67% of 6"
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("predicted", "true")


@pytest.mark.parametrize("V", [2, 5, 12, 30, 60])
def test_figures_draw_at_every_number_of_classes(V):
    targets, probabilities = answers(300, V)
    labels = [f"class ${i}_^" for i in range(V)]  # signs that a formula would choke on
    for figure in (
        confusion_figure(targets, probabilities.argmax(axis=1), labels),
        precision_recall_figure(targets, probabilities, labels),
    ):
        assert render(figure).startswith(b"\x89PNG")


def test_figures_of_nothing_and_of_absent_classes_draw():
    nothing = np.empty(0, np.int64)
    for figure in (
        confusion_figure(nothing, nothing, ("a", "b")),
        precision_recall_figure(nothing, np.empty((0, 2)), ("a", "b")),
        precision_recall_figure(np.zeros(4, np.int64), np.full((4, 3), 1 / 3), ("a", "b", "c")),
    ):
        assert render(figure).startswith(b"\x89PNG")


def test_no_pyplot_and_no_state_is_left_behind():
    targets, probabilities = answers(20, 2)
    render(precision_recall_figure(targets, probabilities, ("neg", "pos")))
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.1, 0.3, 0.5, 0.8])), min_size=1, max_size=30))
def test_precision_and_recall_are_those_of_every_threshold(pairs):
    positive, scores = np.array([p for p, _ in pairs]), np.array([s for _, s in pairs])
    if not positive.any():
        positive[0] = True
    recall, precision, average = precision_recall(positive, scores)
    assert recall[0] == 0
    assert recall[-1] == 1
    expected = 0.0
    for i, threshold in enumerate(sorted(set(scores), reverse=True), start=1):
        said = scores >= threshold
        assert recall[i] == pytest.approx((said & positive).sum() / positive.sum())
        assert precision[i] == pytest.approx((said & positive).sum() / said.sum())
        expected += (recall[i] - recall[i - 1]) * precision[i]
    assert average == pytest.approx(expected)


def cells(table):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]


def test_the_table_mixes_mistakes_doubts_and_hits():
    p = np.array([0.01, 0.99, 0.95, 0.45, 0.55, 0.9, 0.2, 0.96, 0.03, 0.6])
    targets = np.array([0, 1, 0, 0, 1, 0, 1, 1, 0, 1])
    rows = cells(example_table([f"text {i}" for i in range(10)], targets, np.stack([1 - p, p], 1), ("neg", "pos"), 9))
    assert rows[:3] == [
        ["sure and wrong ✗", "pos 95.0%, true: neg", "text 2"],
        ["sure and wrong ✗", "pos 90.0%, true: neg", "text 5"],
        ["sure and wrong ✗", "neg 80.0%, true: pos", "text 6"],
    ]
    assert {row[2] for row in rows if row[0].startswith("unsure")} == {"text 3", "text 4", "text 9"}
    assert {row[2] for row in rows if row[0] == "sure and right ✓"} == {"text 0", "text 1", "text 8"}


def test_a_model_that_has_learned_little_is_called_sure_of_nothing():
    p = np.array([0.528, 0.52, 0.51, 0.49, 0.47, 0.53])
    targets = np.array([0, 0, 1, 0, 1, 1])
    rows = cells(example_table(list("abcdef"), targets, np.stack([1 - p, p], 1), ("neg", "pos"), 6))
    assert not any("sure and" in row[0] for row in rows)
    shares = [float(row[1].split("%")[0].split()[-1]) for row in rows if row[0].startswith("wrong")]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize(
    ("V", "share", "name"), [(2, 0.76, "sure and right ✓"), (2, 0.74, "right ✓"), (4, 0.63, "sure and right ✓")]
)
def test_sure_is_nearer_to_certain_than_to_guessing(V, share, name):
    p = np.full((2, V), (1 - share) / (V - 1))
    p[:, 0] = share
    p[1] = 1 / V  # takes the place of the unsure
    (row,) = (row for row in cells(example_table(["a", "b"], np.zeros(2, int), p, "abcd"[:V], 2)) if row[2] == "a")
    assert row[0] == name


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(0, 20), V=st.integers(2, 4), count=st.integers(0, 12), seed=st.integers(0, 9))
def test_the_table_never_repeats_and_never_exceeds(rows, V, count, seed):
    targets, probabilities = answers(rows, V, seed)
    found = [
        row[2] for row in cells(example_table([str(i) for i in range(rows)], targets, probabilities, "abcd", count))
    ]
    assert len(set(found)) == len(found) <= count
    if (probabilities.argmax(axis=1) == targets).all():
        assert len(found) == min(rows, count)


NASTY = [
    "a | b \\| c",
    "<script>alert(1)</script> <br />",
    "**bold** _it_ `code` [x](javascript:alert(1)) ![i](http://e.x/i.png)",
    "&lt; &amp; &#124;",
    "line\nbreak\r\n\n| --- |",
    "# ~~no~~ $x$ 5 < 6 http://example.org",
    "\\",
    "",
]


@pytest.mark.parametrize("text", NASTY)
def test_tensorboard_shows_a_text_as_it_is(text):
    plugin_util = pytest.importorskip("tensorboard.plugin_util")
    table = example_table([text], np.array([1]), np.array([[0.1, 0.9]]), ("n|eg", "<b>pos</b>"), 3)
    html = plugin_util.markdown_to_safe_html(table)
    parsed = Cells()
    parsed.feed(html)
    assert parsed.tags <= {"table", "thead", "tbody", "tr", "th", "td"}
    assert parsed.cells[-2:] == ["<b>pos</b> 90.0%, true: <b>pos</b>", " ".join(text.split())]
    assert len(parsed.cells) == 6


def test_a_long_text_keeps_both_ends():
    text = "start " + "word " * 400 + "end"
    (row,) = cells(example_table([text], np.array([0]), np.array([[1.0, 0.0]]), ("a", "b"), 1))
    assert row[2].startswith("start")
    assert row[2].endswith("end")
    assert " … " in row[2]
    assert len(row[2]) < 200
