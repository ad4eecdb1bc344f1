"""Predictions row by row, for questions whose model answers each row by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from seqlab.protocols import Saved
from seqlab.types import InputError

Answer = Callable[[Tensor, Tensor], list[dict[str, Any]]]
"""Logits of some rows and their lengths ``(B,)`` to a record for each row."""


class RowPredictor:
    """A ``Predictor`` of texts, or of arrays; a row's answer depends on it alone.

    Args:
        saved: the run.
        answer: what logits mean.
    """

    def __init__(self, saved: Saved, answer: Answer) -> None:
        self._saved, self._answer = saved, answer

    def predict(self, inputs: Sequence[Any], **options: Any) -> list[dict[str, Any]]:
        """A record for each input; that of a text begins with the ``text``.

        Raises:
            InputError: inputs that the data's form cannot encode; a model that gives NaN or infinity.
        """
        if options:
            raise InputError(f"{sorted(options)[0]}: there is no such option of a prediction for this run.")
        if self._saved.pipeline is None and any(isinstance(each, str) for each in inputs):
            raise InputError(
                f"{self._saved.where} was trained on data={self._saved.data}, which has no texts to label: give arrays."
            )
        saved, found = self._saved, [dict[str, Any]() for _ in inputs]
        part = saved.form.encode(inputs, saved.spec, saved.pipeline)
        with torch.inference_mode():
            for batch in saved.batches(part).epoch(0) if len(part) else ():
                batch = batch.to(saved.runtime.device)
                with saved.runtime.autocast():
                    logits = saved.model(batch.inputs, batch.lengths)
                if not logits.isfinite().all():
                    raise saved.not_finite()
                answers = self._answer(logits, batch.lengths)
                for row, answer in zip(batch.index.tolist(), answers, strict=True):
                    echo = {"text": inputs[row]} if isinstance(inputs[row], str) else {}
                    found[row] = {**echo, **answer}
        return found
