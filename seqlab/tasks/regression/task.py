"""Regression as a question: its model, its baselines, its figures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from torch import Tensor

from seqlab.baselines.text_targets import number_floor
from seqlab.errors import warned
from seqlab.insight.answers import answers_figure
from seqlab.models import Model, RegressionHead
from seqlab.models.parts import ModelParts
from seqlab.protocols import BaselineContext, Baselines, Saved, View
from seqlab.tasks.none import NoOptions
from seqlab.tasks.rows import RowPredictor
from seqlab.tasks.words import in_words
from seqlab.types import DataSpec


class RegressionTask:
    """Which numbers does a whole sequence stand for? A ``Task``."""

    Options: ClassVar[type] = NoOptions
    name: ClassVar[str] = "regression"
    reads: ClassVar[tuple[str, ...]] = ("regression",)

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
        """The mean, and linear models on counted words."""
        if data.known_baselines:
            return Baselines(data.known_baselines)
        words = in_words(data, context)
        digest, folder = f"{split}-{words.digest}", context.cache_dir
        return Baselines(number_floor(words.train, words.part(split), words.scale, cache_dir=folder, digest=digest))

    def show(self, view: View) -> dict[str, Any]:
        """Predicted against true numbers."""
        meter = view.found.meter
        for k, name in enumerate(view.data.spec.labels):
            figure = answers_figure(meter.targets[:, k], meter.answers[:, k], name)
            with warned(f"figure {view.split}/answers/{name}"):
                view.tracker.figure(f"{view.split}/answers/{name}", figure, view.step)
        return {}

    def watch(self, data: Any, tracker: Any) -> None:
        """Nothing."""
        return None

    def predictor(self, saved: Saved) -> RowPredictor:
        """The number, in the units of the data; several by name."""
        return RowPredictor(saved, partial(_answer, saved.spec))


def _answer(spec: DataSpec, logits: Tensor, lengths: Tensor) -> list[dict[str, Any]]:
    values = (logits.double() * spec.deviation + spec.mean).tolist()
    if spec.num_outputs == 1:
        return [{"value": value} for (value,) in values]
    return [{"values": dict(zip(spec.labels, row, strict=True))} for row in values]
