"""Figures and tables of classification: by class, confusion, precision and recall, examples."""

from __future__ import annotations

import numpy as np

from seqlab.errors import warned
from seqlab.insight.by_label import by_label, write_by_label
from seqlab.insight.classification import confusion_figure, example_table, precision_recall_figure
from seqlab.protocols import View

EXAMPLES = 24
"""Texts shown with their probabilities."""


def draw(view: View) -> None:
    """Draw and write them all; what fails is left out, with a warning."""
    meter, split, step, tracker = view.found.meter, view.split, view.step, view.tracker
    probabilities, targets, labels = meter.probabilities, meter.targets, view.data.spec.labels
    with warned(f"table {split}_by_class.csv"):
        write_by_label(tracker, split, by_label(targets, probabilities.argmax(axis=1), labels), step)
    with warned(f"figure {split}/confusion"):
        tracker.figure(f"{split}/confusion", confusion_figure(targets, probabilities.argmax(axis=1), labels), step)
    with warned(f"figure {split}/precision_recall"):
        tracker.figure(f"{split}/precision_recall", precision_recall_figure(targets, probabilities, labels), step)
    # One curve says all of two classes.
    for label in range(1 if len(labels) == 2 else 0, len(labels)):
        with warned(f"curve {split}/{labels[label]}"):
            tracker.pr_curve(f"{split}/{labels[label]}", targets == label, probabilities[:, label], step)
    if view.data.pipeline is not None:
        # Evaluation goes from long texts to short ones: take examples from all along the way.
        seen = np.unique(np.linspace(0, len(targets) - 1, 2000).astype(int))
        part = view.data.part(split)
        texts = [view.data.pipeline.decode(part.tokens[row]) for row in meter.index[seen]]
        table = example_table(texts, targets[seen], probabilities[seen], labels, EXAMPLES)
        with warned(f"table {split}/examples"):
            tracker.text(f"{split}/examples", table, step)
