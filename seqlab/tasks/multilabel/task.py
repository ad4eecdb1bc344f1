"""Several labels a sequence as a question: its model, its baselines, its figures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from torch import Tensor

from seqlab.baselines.text_targets import label_floor
from seqlab.errors import warned
from seqlab.insight.by_label import by_label, write_by_label
from seqlab.models import Model, RegressionHead
from seqlab.models.parts import ModelParts
from seqlab.protocols import BaselineContext, Baselines, Saved, View
from seqlab.tasks.none import NoOptions
from seqlab.tasks.rows import RowPredictor
from seqlab.tasks.words import in_words
from seqlab.types import DataSpec

LIKELY = 0.5
"""Probability above which a label is given."""
MOST_LABELS = 8
"""Labels whose curve is drawn."""


class MultilabelTask:
    """Which labels does a whole sequence have? A ``Task``."""

    Options: ClassVar[type] = NoOptions
    name: ClassVar[str] = "multilabel"
    reads: ClassVar[tuple[str, ...]] = ("multilabel",)

    def __init__(self, options: NoOptions) -> None:
        self.options = options

    def known(self, spec: DataSpec, final: bool) -> dict[str, Any]:
        """Nothing."""
        return {}

    def model(
        self, parts: ModelParts, spec: DataSpec, objective: Any, tokens: Sequence[str] = (), train: Any = None
    ) -> Model:
        """Embedding, encoder and a ``RegressionHead``."""
        parts.refuse_ngrams()
        return parts.labelling(RegressionHead, spec, tokens)

    def check(self, data: Any, objective: Any) -> None:
        """Nothing to refuse."""

    def baselines(self, data: Any, split: str, context: BaselineContext) -> Baselines:
        """The commonest labels, and linear models on counted words."""
        words = in_words(data, context)
        digest = f"{split}-{words.digest}"
        return Baselines(label_floor(words.train, words.part(split), cache_dir=context.cache_dir, digest=digest))

    def show(self, view: View) -> dict[str, Any]:
        """A table by label, precision and recall of each."""
        meter, split, labels = view.found.meter, view.split, view.data.spec.labels
        write_by_label(view.tracker, split, by_label(meter.targets, meter.predictions, labels), view.step)
        for k, label in enumerate(labels[:MOST_LABELS]):
            with warned(f"curve {split}/{label}"):
                view.tracker.pr_curve(f"{split}/{label}", meter.targets[:, k], meter.probabilities[:, k], view.step)
        return {}

    def watch(self, data: Any, tracker: Any) -> None:
        """Nothing."""
        return None

    def predictor(self, saved: Saved) -> RowPredictor:
        """The labels that are more likely than not, and the probability of each."""
        return RowPredictor(saved, partial(_answer, saved.spec.labels))


def _answer(labels: Sequence[str], logits: Tensor, lengths: Tensor) -> list[dict[str, Any]]:
    rows = [dict(zip(labels, row, strict=True)) for row in logits.float().sigmoid().tolist()]
    return [{"labels": [label for label in row if row[label] > LIKELY], "probabilities": row} for row in rows]
