"""Texts that a language model writes while it learns."""

from __future__ import annotations

import logging
from typing import Any

from seqlab.decode import Sampling, Writer
from seqlab.engine.tracker import Tracker
from seqlab.models import LanguageModel
from seqlab.text.pipeline import TextPipeline
from seqlab.types import InputError

log = logging.getLogger(__name__)


class Samples:
    """Writes a text after 100, 200, 500, 1,000, 2,000, 5,000 ... steps into TensorBoard's text tab.

    Args:
        tracker: takes the texts.
        pipeline: tokens and back.
        prompt: what every text begins with.
        length: tokens to write behind it.
        temperature, top_k, top_p, greedy: see ``seqlab.decode.Sampling``.
        seed: of the drawing; the same in each text, so that what changes is the model.
    """

    def __init__(
        self,
        tracker: Tracker,
        pipeline: TextPipeline,
        prompt: str = "The quick br",
        length: int = 388,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        greedy: bool = False,
        seed: int = 0,
    ) -> None:
        self._tracker, self._pipeline, self._prompt, self._length, self._seed = tracker, pipeline, prompt, length, seed
        self._sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, greedy=greedy)

    def __call__(self, model: Any, step: int) -> bool:
        """Write one if it is time to; answers whether it was."""
        if str(step).rstrip("0") not in ("1", "2", "5") or step < 100:
            return False
        try:
            self.write(model, step)
        except InputError as error:  # weights that are not finite: the next step says so, and says more
            log.warning("No sample at step %d: %s", step, error)
        return True

    def write(self, model: LanguageModel, step: int) -> str:
        """Write one, and answer it with its prompt. The model's mode and the global generators stay as they are."""
        training = model.training
        model.eval()
        try:
            writer = Writer(model.stream(), self._pipeline, self._sampling, self._seed, model.device)
            text = self._prompt + "".join(writer.write(self._prompt, self._length))
        finally:
            model.train(training)
        self._tracker.text("samples", _as_written(text), step)
        return text


def _as_written(text: str) -> str:
    """Markdown that shows a text as it is, spaces and line ends too: an indented block, which nothing in it can end."""
    return "".join(f"    {line}\n" for line in text.splitlines())
