"""Tagging as a question: its model, its baselines, its figures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from torch import Tensor

from seqlab.errors import warned
from seqlab.insight.answers import position_figure
from seqlab.models import Model, StepHead
from seqlab.models.parts import ModelParts
from seqlab.protocols import BaselineContext, Baselines, Saved, View
from seqlab.tasks.none import NoOptions
from seqlab.tasks.rows import RowPredictor
from seqlab.types import DataSpec


class TaggingTask:
    """Which label has every step? A ``Task``."""

    Options: ClassVar[type] = NoOptions
    name: ClassVar[str] = "tagging"
    reads: ClassVar[tuple[str, ...]] = ("tagging",)

    def __init__(self, options: NoOptions) -> None:
        self.options = options

    def known(self, spec: DataSpec, final: bool) -> dict[str, Any]:
        """Nothing."""
        return {}

    def model(
        self, parts: ModelParts, spec: DataSpec, objective: Any, tokens: Sequence[str] = (), train: Any = None
    ) -> Model:
        """Embedding, encoder and a ``StepHead``."""
        parts.refuse_ngrams()
        return parts.labelling(StepHead, spec, tokens)

    def check(self, data: Any, objective: Any) -> None:
        """Nothing to refuse."""

    def baselines(self, data: Any, split: str, context: BaselineContext) -> Baselines:
        """What is known of the data."""
        return Baselines(data.known_baselines)

    def show(self, view: View) -> dict[str, Any]:
        """Accuracy by position."""
        with warned(f"figure {view.split}/by_position"):
            figure = position_figure(*view.found.meter.by_position)
            view.tracker.figure(f"{view.split}/by_position", figure, view.step)
        return {}

    def watch(self, data: Any, tracker: Any) -> None:
        """Nothing."""
        return None

    def predictor(self, saved: Saved) -> RowPredictor:
        """The most probable label of every step."""
        return RowPredictor(saved, partial(_answer, saved.spec.labels))


def _answer(labels: Sequence[str], logits: Tensor, lengths: Tensor) -> list[dict[str, Any]]:
    best = logits.argmax(2).tolist()
    rows = zip(best, lengths.tolist(), strict=True)
    return [{"labels": [labels[label] for label in row[:length]]} for row, length in rows]
