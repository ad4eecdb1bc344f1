"""What a classifier got right and wrong: confusion matrix, precision-recall curves, a table of examples.

Figures are plain ``matplotlib.figure.Figure`` objects: no pyplot, so nothing stays behind in global state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart by people with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#B8A800", "#000000")
GREY = "#8A8F98"
NUMBERED_CLASSES = 20
NAMED_CLASSES = 40
"""More classes than these have no room for numbers in the cells, or names on the axes."""
TEXT_LENGTH = 160
"""Characters of a text that a table cell shows; half of them from its end, where verdicts stand.

TensorBoard shares a table's width out by what its columns would like: a long text breaks short labels apart.
"""

_ESCAPES = {ord(mark): f"&#{ord(mark)};" for mark in "&<>|\\`*_[](){}#~!$:"}


def confusion_figure(targets: np.ndarray, predictions: np.ndarray, labels: Sequence[str]) -> Figure:
    """Confusion matrix with the share of each true class as colour, and counts and shares as numbers.

    Args:
        targets: ``(N,)`` true class ids.
        predictions: ``(N,)`` predicted class ids.
        labels: names by class id.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    V = len(labels)
    counts = np.zeros((V, V), np.int64)
    np.add.at(counts, (targets, predictions), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    side = max(3.4, 0.95 * V) if V <= 8 else min(2 + 0.45 * V, 11)
    figure = Figure(figsize=(side + 1.6, side + 0.6), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if V <= NUMBERED_CLASSES:
        size = 11 if V <= 6 else 7
        for row, column in np.ndindex(V, V):
            share = shares[row, column]
            text = f"{counts[row, column]:,}\n{share:.1%}" if V <= 8 else f"{counts[row, column]}"
            colour = "white" if share > 0.55 else "#1B2733"
            axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)
    if V <= NAMED_CLASSES:
        names = [shorten(label, 18) for label in labels]
        upright = V > 4 or max(map(len, names)) > 10
        axes.set_xticks(range(V), names, rotation=60 if upright else 0)
        if upright:
            for tick in axes.get_xticklabels():
                tick.set(ha="right", rotation_mode="anchor")
        axes.set_yticks(range(V), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(f"accuracy {_share(counts.trace(), counts.sum())} of {counts.sum():,}", fontsize=11, pad=10)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    # White lines between the cells.
    axes.set_xticks(np.arange(V - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(V - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="minor", length=0)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, format=PercentFormatter(1, decimals=0))
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    return figure


def precision_recall_figure(targets: np.ndarray, probabilities: np.ndarray, labels: Sequence[str]) -> Figure:
    """Precision against recall, each class against the rest; of two classes the second alone, which says all.

    The dashed line is what guessing gets, the dot where the class is the likelier half (two classes only), the faint
    lines join points of the same F1. AP is average precision, the sum over thresholds of recall gained times
    precision. Classes without an example are left out.

    Args:
        targets: ``(N,)`` true class ids.
        probabilities: ``(N, V)``.
        labels: names by class id.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(5.6, 4.8), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    _draw_f1(axes)
    shown = [label for label in range(len(labels)) if (targets == label).any()]
    if len(labels) == 2:
        shown = [label for label in shown if label == 1]
    named = len(shown) <= len(COLOURS)
    averages = []
    for order, label in enumerate(shown):
        recall, precision, average = precision_recall(targets == label, probabilities[:, label])
        averages.append(average)
        name = f"{shorten(labels[label], 24)}  AP {average:.3f}" if named else None
        colour, width = (COLOURS[order], 2.0) if named else (GREY, 0.8)
        axes.step(recall, precision, where="pre", color=colour, linewidth=width, label=name)
    if len(labels) == 2 and shown:
        positive, chosen = targets == 1, probabilities[:, 1] > 0.5
        axes.axhline(positive.mean(), color=GREY, linestyle="--", linewidth=1, label="guessing")
        if (hits := int((positive & chosen).sum())) > 0:
            axes.plot(hits / positive.sum(), hits / chosen.sum(), "o", color=COLOURS[0], markeredgecolor="white", ms=8)
    if len(shown) > 1:
        axes.set_title(f"mean average precision of {len(shown)} classes {np.mean(averages):.3f}", fontsize=11, pad=10)
    if named and shown:
        axes.legend(loc="lower left", frameon=True, framealpha=0.9, edgecolor="none")
    axes.set(xlim=(0, 1.005), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def precision_recall(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Recall and precision at every distinct score from high to low, both ``(thresholds + 1,)``, and their AP.

    ``positive`` is ``(N,)`` bool with at least one True. The first point, recall 0, repeats the first precision.
    """
    assert positive.any()
    order = np.argsort(-scores, kind="stable")
    last_of_score = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(positive[order])[last_of_score]
    precision = hits / (last_of_score + 1)
    recall = np.append(0.0, hits / hits[-1])
    average = float((np.diff(recall) * precision).sum())
    return recall, np.append(precision[0], precision), average


def example_table(
    texts: Sequence[str], targets: np.ndarray, probabilities: np.ndarray, labels: Sequence[str], count: int
) -> str:
    """A Markdown table of at most ``count`` examples: the surest mistakes, the least sure, the surest hits.

    A third of each, hits and mistakes in turn from every predicted class, each third from the surest on (the least sure
    from the least sure on); where mistakes are few, others take their rows. Only an answer that is nearer to certainty
    than to guessing is called sure: a model that has learned little is sure of nothing.

    Whatever is in a text or a label shows as it is and is never read as Markdown or HTML.

    Args:
        texts: ``N`` texts.
        targets: ``(N,)`` true class ids.
        probabilities: ``(N, V)``.
        labels: names by class id.
        count: rows of the table.
    """
    assert len(texts) == len(targets) == len(probabilities)
    predictions = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    right = predictions == targets

    mistakes = _in_turn(np.flatnonzero(~right), predictions, confidence)[: count // 3]
    rest = np.setdiff1d(np.arange(len(texts)), mistakes)
    # Half of what is left goes to the unsure, the other half to the sure.
    unsure = rest[np.argsort(confidence[rest], kind="stable")][: (count - len(mistakes)) // 2]
    hits = np.setdiff1d(np.flatnonzero(right), unsure)
    hits = _in_turn(hits, predictions, confidence)[: count - len(mistakes) - len(unsure)]

    lines = ["| | answer | text |", "|---|---|---|"]
    sure = (1 + 1 / len(labels)) / 2
    for name, rows in (("wrong", mistakes), ("unsure", unsure), ("right", hits)):
        for row in rows if name == "unsure" else rows[np.argsort(-confidence[rows], kind="stable")]:
            kind = f"sure and {name}" if name != "unsure" and confidence[row] >= sure else name
            mark = "✓" if right[row] else "✗"
            said = f"{escape(labels[predictions[row]])} {confidence[row]:.1%}, true: {escape(labels[targets[row]])}"
            lines.append(f"| {kind} {mark} | {said} | {escape(texts[row])} |")
    return "\n".join(lines)


def _in_turn(rows: np.ndarray, predictions: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """``rows``, surest first, one predicted class after the other."""
    rows = rows[np.argsort(-confidence[rows], kind="stable")]
    turn = np.zeros(len(rows), np.int64)
    for label in np.unique(predictions[rows]):
        of_label = predictions[rows] == label
        turn[of_label] = np.arange(of_label.sum())
    return rows[np.argsort(turn, kind="stable")]


def escape(text: str) -> str:
    """A text as a cell of a Markdown table shows it, in one line and not too long."""
    text = " ".join(text.split()).translate({0: "\ufffd"})
    if len(text) > TEXT_LENGTH:
        text = f"{text[: TEXT_LENGTH // 2].rstrip()} … {text[-TEXT_LENGTH // 2 :].lstrip()}"
    return text.translate(_ESCAPES)


def _draw_f1(axes: Axes) -> None:
    for f1 in (0.2, 0.4, 0.6, 0.8, 0.9):
        recall = np.linspace(f1 / (2 - f1) + 1e-6, 1, 200)
        axes.plot(recall, f1 * recall / (2 * recall - f1), color="#DDE1E6", linewidth=0.8, zorder=0)
        axes.annotate(f"F1 {f1}", (1, f1 / (2 - f1)), (3, 0), textcoords="offset points", fontsize=7, color=GREY)


def shorten(label: str, length: int) -> str:
    """A label of at most ``length`` characters, as matplotlib writes it."""
    # A dollar sign would start a formula.
    label = label if len(label) <= length else f"{label[: length - 1]}…"
    return label.replace("$", r"\$")


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else "-"
