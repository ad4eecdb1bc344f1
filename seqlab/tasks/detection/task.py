"""Detection as a question: its model, its baselines, its figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from seqlab.baselines.peaks import Signals, floor
from seqlab.errors import warned
from seqlab.insight.detection import Strip, detection_figure
from seqlab.models import Model, StepHead
from seqlab.models.parts import ModelParts
from seqlab.protocols import BaselineContext, Baselines, Saved, View
from seqlab.tasks.none import NoOptions
from seqlab.tasks.peaks import local_maxima, match, scores
from seqlab.tasks.rows import RowPredictor
from seqlab.types import DataSpec


class DetectionTask:
    """At which steps of a signal is there a peak? A ``Task``."""

    Options: ClassVar[type] = NoOptions
    name: ClassVar[str] = "detection"
    reads: ClassVar[tuple[str, ...]] = ("detection",)

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
        """F1 of what finds peaks without learning, by the objective's own rules for reports."""
        tolerance, distance = context.objective.tolerance, context.objective.distance

        def score(found: Sequence[np.ndarray], peaks: np.ndarray) -> float:
            return scores(match(f, np.flatnonzero(p), tolerance) for f, p in zip(found, peaks, strict=True))["f1"]

        train, part = (Signals(each.inputs[:, :, 0], each.targets) for each in (data.train, data.part(split)))
        digest = f"{split}-{tolerance}-{distance}-{data.digest}"
        found = floor(
            train, part, rate=data.rate, distance=distance, score=score, cache_dir=context.cache_dir, digest=digest
        )
        return Baselines(found)

    def show(self, view: View) -> dict[str, Any]:
        """The first two rows as they come, and the two where most went wrong."""
        meter, split = view.found.meter, view.split
        matched, probabilities = meter.matched, meter.probabilities
        wrong = np.array([len(row.misses) + len(row.alarms) for row in matched])
        part, strips = view.data.part(split), []
        for place in dict.fromkeys([*range(min(2, len(wrong))), *np.argsort(-wrong, kind="stable")[:2].tolist()]):
            row, index, said = matched[place], int(meter.index[place]), probabilities[place]
            title = f"{split}, row {index}: {len(row.misses)} missed, {len(row.alarms)} false"
            title += ", the most wrong" * (place > 1)
            signal = part.inputs[index, : len(said), 0]
            strips.append(Strip(title, signal, said, row.true, row.right, row.misses, row.alarms))
        with warned(f"figure {split}/peaks"):
            figure = detection_figure(strips, meter.threshold, view.data.spec.labels[0])
            view.tracker.figure(f"{split}/peaks", figure, view.step)
        return {}

    def watch(self, data: Any, tracker: Any) -> None:
        """Nothing."""
        return None

    def predictor(self, saved: Saved) -> RowPredictor:
        """The steps of the peaks, and the probability of one at every step."""
        return RowPredictor(saved, partial(_answer, saved.objective.threshold, saved.objective.distance))


def _answer(threshold: float, distance: int, logits: Tensor, lengths: Tensor) -> list[dict[str, Any]]:
    least = math.log(threshold / (1 - threshold))
    curves = logits.float().squeeze(2).cpu()
    rows = [row[:length] for row, length in zip(curves, lengths.tolist(), strict=True)]
    return [
        {
            "peaks": local_maxima(row.numpy(), least, distance).tolist(),
            "probabilities": row.sigmoid().tolist(),
        }
        for row in rows
    ]
