import io
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.insight import translation
from seqlab.insight.translation import WORD_LENGTH, Attention, attention_figure, length_figure, translation_table


def attention(source, target, seed=0):
    weights = np.random.default_rng(seed).dirichlet(np.full(len(source), 0.3), len(target))
    return Attention(source, target, weights)


def render(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def outside(figure):
    """Texts that are cut off, or lie over each other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    FigureCanvasAgg(figure).draw()
    boxes = [
        (text.get_text(), text.get_window_extent())
        for axes in figure.axes
        for text in axes.findobj(Text)
        if text.get_visible() and text.get_text().strip()
    ]
    width, height = figure.bbox.size
    found = [name for name, box in boxes if min(box.x0, box.y0) < -1 or box.x1 > width + 1 or box.y1 > height + 1]
    for i, (name, box) in enumerate(boxes):
        for other, beside in boxes[:i]:
            if (
                min(box.x1, beside.x1) - max(box.x0, beside.x0) > 1
                and min(box.y1, beside.y1) - max(box.y0, beside.y0) > 1
            ):
                found.append(f"{name} over {other}")
    return found


LONG = [f"wort{i}" for i in range(40)]
STRANGE = ["собака", "Übergrößenträgerinnenbekleidung", "$x^2$", "5$", "\\frac{", "<EOS>", "", " ", "\u200d", "\u202e"]


def test_a_heatmap_has_the_source_from_left_to_right_and_the_translation_from_top_to_bottom():
    weights = np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5]])
    figure = attention_figure([Attention(["ein", "hund", "<EOS>"], ["dog", "<EOS>"], weights)])
    axes, bar = figure.axes
    assert ticks(axes.xaxis) == ["ein", "hund", "<EOS>"]
    assert ticks(axes.yaxis) == ["dog", "<EOS>"]
    assert axes.yaxis_inverted()
    assert (axes.get_xlabel(), axes.get_ylabel(), bar.get_ylabel()) == ("source", "translation", "attention")
    np.testing.assert_array_equal(axes.images[0].get_array(), weights)


@pytest.mark.parametrize(
    "sentences",
    [
        [(["ja"], ["yes"])],
        [(["ja"], LONG)],
        [(LONG, ["yes"])],
        [(LONG, LONG[:35])],
        [(STRANGE, ["the", "dog"]), (["ein"], STRANGE)],
        [(LONG[:12], LONG[:9]), (LONG, LONG[:3]), (STRANGE, STRANGE), (["ja"], ["yes"]), (LONG[:5], LONG[:30])],
        [([], ["yes"]), (["ja"], [])],
    ],
)
def test_no_word_is_cut_off_or_covered_and_cells_are_square(sentences):
    figure = attention_figure([attention(source, target) for source, target in sentences])
    assert len(figure.axes) == len(sentences) + 1
    assert outside(figure) == []
    for (source, target), axes in zip(sentences, figure.axes, strict=False):
        box = axes.get_window_extent()
        assert box.width / max(len(source), 1) == pytest.approx(box.height / max(len(target), 1))
    assert render(figure).startswith(b"\x89PNG")


def test_colours_mean_the_same_in_all_heatmaps():
    faint, strong = np.full((2, 8), 1 / 8), np.array([[0.7, 0.3]])
    figure = attention_figure([Attention(LONG[:8], ["a", "b"], faint), Attention(["a", "b"], ["c"], strong)])
    assert [axes.images[0].get_clim() for axes in figure.axes[:2]] == pytest.approx(np.array([[0, 0.7]] * 2))
    axes, _ = attention_figure([Attention(LONG[:8], ["a", "b"], faint)]).axes
    assert axes.images[0].get_clim() == pytest.approx((0, 0.2))


def test_what_is_too_long_is_shortened(monkeypatch):
    monkeypatch.setattr(translation, "MOST_WORDS", 12)
    figure = attention_figure([attention([f"{i}" + "x" * 200 for i in range(15)], ["y"] * 14)])
    assert figure.axes[0].images[0].get_array().shape == (12, 12)
    assert {len(name) for name in ticks(figure.axes[0].xaxis)} == {WORD_LENGTH}


def test_scores_by_length_stand_over_how_many_sentences_they_are_of():
    rows = [("0-5", 12, 40.0, 60.0, 0.25), ("6-10", 1300, 30.0, 50.0, 0.0)]
    figure = length_figure(rows)
    upper, lower = figure.axes
    curves = {line.get_label(): line.get_ydata().tolist() for line in upper.lines}
    assert curves == {"BLEU (lower case)": [40, 30], "chrF": [60, 50], "exact %": [25, 0]}
    assert [text.get_text() for text in lower.texts] == ["12", "1,300"]
    assert ticks(lower.xaxis) == ["0-5", "6-10"]
    assert (lower.get_xlabel(), upper.get_ylabel()) == ("tokens of the source", "score")


@pytest.mark.parametrize("count", [0, 1, 11])
def test_any_number_of_lengths_draws(count):
    assert render(length_figure([(f"{i}-{i + 5}", i, 1.0 * i, 2.0 * i, i / 20) for i in range(count)]))


def test_no_pyplot_and_no_state_is_left_behind():
    render(attention_figure([attention(["a"], ["b"])]))
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def cells(table):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 30), st.integers(0, 40))
def test_the_table_is_of_sentences_from_all_over_each_once(rows, count):
    names = [f"s{i}" for i in range(rows)]
    found = [row[1] for row in cells(translation_table(names, names, names, count))]
    assert len(found) == len(set(found)) == min(rows, count)
    assert found == sorted(found, key=names.index)
    if count > 1 and rows > 1:
        assert (found[0], found[-1]) == (names[0], names[-1])


def test_the_table_marks_what_is_right():
    table = translation_table(["ein Hund", "ja"], ["a dog", "yes"], ["a dog", ""], 5)
    assert cells(table) == [["✓", "ein Hund", "a dog", "a dog"], ["", "ja", "yes", ""]]


@pytest.mark.parametrize("text", ["a | b \\| c", "<script>alert(1)</script>", "**b** _i_ `c` [x](y)", "&lt; $x$ # ~"])
def test_tensorboard_shows_a_text_as_it_is(text):
    plugin_util = pytest.importorskip("tensorboard.plugin_util")
    found, tags = [], set()

    class Cells(HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.add(tag)
            if tag == "td":
                found.append("")

        def handle_data(self, data):
            if found and data.strip():
                found[-1] += data

    Cells().feed(plugin_util.markdown_to_safe_html(translation_table([text], [text], [text], 1)))
    assert tags <= {"table", "thead", "tbody", "tr", "th", "td"}
    assert found == ["✓", text, text, text]
