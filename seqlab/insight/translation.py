"""What a translator looked at, how well it does by length, and what it writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from seqlab.insight.classification import COLOURS, GREY, escape, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from matplotlib.image import AxesImage

FEW_WORDS = 20
CELL, SMALL_CELL = 0.24, 0.165
"""Sides of a heatmap's cell in inches: where no sentence has more than ``FEW_WORDS``, and where one has."""
MOST_WORDS = 100
"""Of a longer sentence the first so many are drawn."""
WORD_LENGTH = 22
LINE_WIDTH = 13.0
"""Inches: what fits is drawn side by side."""

# The first of them that is there draws what the one before cannot.
_FONTS = (
    "DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Source Han Sans", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Microsoft YaHei", "Yu Gothic",
    "Malgun Gothic", "Noto Sans Devanagari", "Noto Sans Thai", "Arial Unicode MS",
)  # fmt: skip


class Attention(NamedTuple):
    """One sentence, its translation, and what was looked at.

    Attributes:
        source: ``T`` words, or pieces of words, with the end of the sentence where that can be looked at.
        target: ``U`` likewise, as they were written.
        weights: ``(U, T)``, 0 to 1: how much each source word was looked at when each target word was written.
    """

    source: Sequence[str]
    target: Sequence[str]
    weights: np.ndarray


def attention_figure(sentences: Sequence[Attention]) -> Figure:
    """One heatmap a sentence: the source from left to right, the translation from top to bottom.

    Colours mean the same in all of them, up to the tenth above the largest weight.
    """
    from matplotlib.figure import Figure

    assert sentences
    panels = [_Panel(sentence, max(map(_longest, sentences)) <= FEW_WORDS) for sentence in sentences]
    lines: list[list[_Panel]] = [[]]
    for panel in panels:
        if lines[-1] and sum(other.width for other in lines[-1]) + panel.width > LINE_WIDTH:
            lines.append([])
        lines[-1].append(panel)

    bar, gap = 0.9, 0.15
    inner = max(sum(panel.width for panel in line) for line in lines)
    # All that stands in one line begins at one height, below the longest source word.
    above = [max(panel.above for panel in line) for line in lines]
    below = [max(0.75, *(panel.cells_height for panel in line)) for line in lines]  # "translation" takes that much
    width, height = inner + bar + gap, sum(above) + sum(below) + gap
    figure = Figure(figsize=(width, height), dpi=120)
    most = max((float(panel.weights.max(initial=0)) for panel in panels), default=0)
    scale = max(np.ceil(most * 10 - 1e-6) / 10, 0.1)
    top = height
    for line, high, low in zip(lines, above, below, strict=True):
        top -= high
        left = 0.0
        for panel in line:
            box = (left + panel.beside, top - panel.cells_height, panel.cells_width, panel.cells_height)
            axes = figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height))
            image = panel.draw(axes, scale)
            left += panel.width
        top -= low
    tall = min(below[0], 2.4)
    beside = figure.add_axes(((inner + gap) / width, (height - above[0] - tall) / height, 0.13 / width, tall / height))
    colours = figure.colorbar(image, cax=beside)
    colours.set_label("attention", fontsize=8)
    colours.ax.tick_params(labelsize=7, length=2)
    colours.outline.set_visible(False)
    return figure


class _Panel:
    """One heatmap, with its size in inches."""

    def __init__(self, sentence: Attention, large: bool) -> None:
        assert sentence.weights.shape == (len(sentence.target), len(sentence.source))
        self.weights = sentence.weights[:MOST_WORDS, :MOST_WORDS]
        self.source = [shorten(word, WORD_LENGTH) for word in sentence.source[:MOST_WORDS]]
        self.target = [shorten(word, WORD_LENGTH) for word in sentence.target[:MOST_WORDS]]
        self.font = _font(8 if large else 7)
        cell = CELL if large else SMALL_CELL
        self.cells_width, self.cells_height = max(len(self.source), 1) * cell, max(len(self.target), 1) * cell
        # The words, and the names of the axes before them.
        self.beside, self.above = _inches(self.target, self.font) + 0.42, _inches(self.source, self.font) + 0.42
        self.width = self.beside + max(self.cells_width, 0.5) + 0.1

    def draw(self, axes: Axes, scale: float) -> AxesImage:
        U, T = self.weights.shape
        shown = self.weights if self.weights.size else np.zeros((max(U, 1), max(T, 1)))
        image = axes.imshow(shown, cmap="Blues", vmin=0, vmax=scale, aspect="auto", interpolation="nearest")
        axes.set_xticks(range(T), self.source, rotation=90, fontproperties=self.font)
        axes.set_yticks(range(U), self.target, fontproperties=self.font)
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.set_xlabel("source", fontsize=8, color=GREY, loc="left")
        axes.set_ylabel("translation", fontsize=8, color=GREY, loc="top")
        axes.tick_params(length=0, pad=2)
        axes.vlines(np.arange(1, T) - 0.5, -0.5, U - 0.5, color="#E4E8EE", linewidth=0.5)
        axes.hlines(np.arange(1, U) - 0.5, -0.5, T - 0.5, color="#E4E8EE", linewidth=0.5)
        axes.spines[:].set(color="#C9D0D9", linewidth=0.6)
        return image


def length_figure(rows: Sequence[tuple[str, int, float, float, float]]) -> Figure:
    """BLEU, chrF and exact match by the length of the source, over how many sentences each bucket holds.

    Args:
        rows: of each bucket its name, its sentences, BLEU and chrF (0 to 100), and the share of exact matches (0 to 1).
    """
    from matplotlib.figure import Figure

    names, sentences = [row[0] for row in rows], [row[1] for row in rows]
    figure = Figure(figsize=(max(6.0, 0.62 * len(rows) + 1.5), 4.4), dpi=120, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (3, 1)})
    places = np.arange(len(rows))
    for at, (name, factor, marker) in enumerate(
        (("BLEU (lower case)", 1, "o"), ("chrF", 1, "s"), ("exact %", 100, "^"))
    ):
        values = [factor * row[2 + at] for row in rows]
        upper.plot(places, values, marker=marker, markersize=5, color=COLOURS[at], linewidth=1.5, label=name)
    upper.set(ylim=(-2, 102), ylabel="score")
    upper.grid(alpha=0.3)
    upper.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1), fontsize=9)
    bars = lower.bar(places, sentences, color="#B9C4D0", width=0.7)
    lower.bar_label(bars, [f"{count:,}" for count in sentences], fontsize=7, padding=1)
    lower.set(ylabel="sentences", xlabel="tokens of the source", ylim=(0, 1.3 * max([*sentences, 1])))
    lower.set_xticks(places, names)
    middle, half = (len(rows) - 1) / 2, max(len(rows), 4) / 2 + 0.1  # the bars of one or two buckets stay bars
    lower.set_xlim(middle - half, middle + half)
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def translation_table(sources: Sequence[str], references: Sequence[str], said: Sequence[str], count: int) -> str:
    """A Markdown table of ``count`` sentences, evenly spaced over all: source, reference, what the model wrote.

    The same sentences come each time, so that one may watch them get better; ``✓`` where the reference was found.
    Whatever is in a text shows as it is and is never read as Markdown or HTML.
    """
    assert len(sources) == len(references) == len(said)
    lines = ["| | source | reference | translation |", "|---|---|---|---|"]
    for row in np.linspace(0, len(sources) - 1, min(count, len(sources))).round().astype(int).tolist():
        mark = "✓" if said[row] == references[row] else ""
        lines.append(f"| {mark} | {escape(sources[row])} | {escape(references[row])} | {escape(said[row])} |")
    return "\n".join(lines)


def _longest(sentence: Attention) -> int:
    return min(max(sentence.weights.shape), MOST_WORDS)


def _font(size: float) -> FontProperties:
    """What draws as many of the world's letters as this machine can; a family that is not there would be warned of."""
    from matplotlib.font_manager import FontProperties, fontManager

    installed = set(fontManager.get_font_names())
    return FontProperties(family=[name for name in _FONTS if name in installed], size=size)


def _inches(words: Sequence[str], font: FontProperties) -> float:
    """How long the longest of ``words`` is when it is drawn; some, such as a lone joiner, have no outline at all."""
    from matplotlib.textpath import text_to_path

    widths = (text_to_path.get_text_width_height_descent(word, font, False)[0] for word in words)
    return max(widths, default=0.0) / 72
