"""Figures and tables of translation: examples, scores by length, attention."""

from __future__ import annotations

import numpy as np
import pandas as pd

from seqlab import durable
from seqlab.errors import warned
from seqlab.insight.translation import Attention, attention_figure, length_figure, translation_table
from seqlab.protocols import View
from seqlab.search import Search
from seqlab.translations import translate

EXAMPLES = 24
"""Translations shown beside their references."""
HEATMAPS = 4
"""Translations whose attention is drawn."""


def draw(view: View, search: Search) -> None:
    """Draw and write them all, the translations in the data's order; what fails is left out, with a warning."""
    meter, split, step, tracker = view.found.meter, view.split, view.step, view.tracker
    scores, run_dir = meter.scores, tracker.run_dir
    with warned(f"table {split}/translations"):
        table = translation_table(scores.sources, scores.references, scores.said, EXAMPLES)
        tracker.text(f"{split}/translations", table, step)
    with warned(f"figure {split}/by_length"):
        tracker.figure(f"{split}/by_length", length_figure(scores.by_length), step)
    with warned(f"{split}_by_length.csv"):
        table = pd.DataFrame(scores.by_length).to_csv(index=False)
        durable.write_text(run_dir / f"{split}_by_length.csv", table)
    with warned(f"{split}_translations.txt"):
        lines = [" ".join(scores.said[place].splitlines()) + "\n" for place in np.argsort(meter.index)]
        durable.write_text(run_dir / f"{split}_translations.txt", "".join(lines))
    view.model.eval()
    # Evaluation goes from long to short: these stand all along the way.
    places = np.unique(np.linspace(0, len(scores.sources) - 1, HEATMAPS + 2).astype(int)[1:-1])
    texts = [scores.sources[place] for place in places]
    translated = translate(view.model, view.data.pipeline, view.data.spec, texts, search, attention=True)
    best = [each[0] for each in translated]
    attended = [Attention(one.source_words, one.words, one.attention) for one in best if one.attention is not None]
    if attended:
        with warned(f"figure {split}/attention"):
            tracker.figure(f"{split}/attention", attention_figure(attended), step)
