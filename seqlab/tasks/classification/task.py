"""Classification as a question: its model, its baselines, its figures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from torch import Tensor

from seqlab.baselines.text import floor
from seqlab.models import ClassificationHead, Model, NgramReader
from seqlab.models.parts import ModelParts
from seqlab.protocols import BaselineContext, Baselines, Saved, View
from seqlab.tasks.classification.figures import draw
from seqlab.tasks.none import NoOptions
from seqlab.tasks.rows import RowPredictor
from seqlab.tasks.words import in_words
from seqlab.types import DataSpec, InputError, Split


class ClassificationTask:
    """Which class is a whole sequence of? A ``Task``."""

    Options: ClassVar[type] = NoOptions
    name: ClassVar[str] = "classification"
    reads: ClassVar[tuple[str, ...]] = ("classification",)

    def __init__(self, options: NoOptions) -> None:
        self.options = options

    def known(self, spec: DataSpec, final: bool) -> dict[str, Any]:
        """Nothing."""
        return {}

    def model(
        self, parts: ModelParts, spec: DataSpec, objective: Any, tokens: Sequence[str] = (), train: Any = None
    ) -> Model:
        """Embedding, encoder and a ``ClassificationHead``; with ``model.ngrams`` beside a reader of n-grams."""
        if parts.node["ngrams"] is None:
            return parts.labelling(ClassificationHead, spec, tokens)
        if not isinstance(train, Split | None):
            raise InputError(f"model={parts.name} counts words and classifies texts: choose another for this data.")
        ngrams = NgramReader(num_classes=spec.num_outputs, **parts.node["ngrams"])
        model = parts.labelling(ClassificationHead, spec, tokens, ngrams)
        if train is not None:
            ngrams.fit(train)
        return model

    def check(self, data: Any, objective: Any) -> None:
        """Nothing to refuse."""

    def baselines(self, data: Any, split: str, context: BaselineContext) -> Baselines:
        """The largest class, and linear models on counted words."""
        if data.known_baselines:
            return Baselines(data.known_baselines)
        words = in_words(data, context)
        digest = f"{split}-{words.digest}"
        return Baselines(
            floor(words.train, words.part(split), data.spec.num_outputs, cache_dir=context.cache_dir, digest=digest)
        )

    def show(self, view: View) -> dict[str, Any]:
        """Confusion, precision and recall, and examples."""
        draw(view)
        return {}

    def watch(self, data: Any, tracker: Any) -> None:
        """Nothing."""
        return None

    def predictor(self, saved: Saved) -> RowPredictor:
        """The most probable class, and the probability of each."""
        return RowPredictor(saved, partial(_answer, saved.spec.labels))


def _answer(labels: Sequence[str], logits: Tensor, lengths: Tensor) -> list[dict[str, Any]]:
    rows = [dict(zip(labels, row, strict=True)) for row in logits.float().softmax(-1).tolist()]
    return [{"label": max(row, key=row.__getitem__), "probabilities": row} for row in rows]
