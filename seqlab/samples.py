"""What a model writes while it learns: texts of a language model, translations of an encoder-decoder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from seqlab.decode import Sampling, Writer
from seqlab.engine.tracker import Tracker
from seqlab.insight.translation import translation_table
from seqlab.models import AnyTranslator, LanguageModel
from seqlab.search import Search
from seqlab.text.pairs import PairPipeline
from seqlab.text.pipeline import TextPipeline
from seqlab.translations import translate
from seqlab.types import DataSpec, InputError

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
        return _now_and_then(self.write, model, step)

    def write(self, model: LanguageModel, step: int, tag: str = "samples") -> str:
        """Write one under ``tag``, and return it with its prompt. Mode and global generators stay as they are."""
        training = model.training
        model.eval()
        try:
            writer = Writer(model.stream(), self._pipeline, self._sampling, self._seed, model.device)
            text = self._prompt + "".join(writer.write(self._prompt, self._length))
        finally:
            model.train(training)
        self._tracker.text(tag, _as_written(text), step)
        return text


class SampleTranslations:
    """Translates the same few sentences greedily at those steps, in TensorBoard's text tab.

    Args:
        tracker: takes the tables.
        pipeline: the model's own.
        spec: of its data.
        search: how to translate.
        sources: sentences.
        references: what would be right.
    """

    def __init__(
        self,
        tracker: Tracker,
        pipeline: PairPipeline,
        spec: DataSpec,
        search: Search,
        sources: Sequence[str],
        references: Sequence[str],
    ) -> None:
        self._tracker, self._pipeline, self._spec, self._search = tracker, pipeline, spec, search
        self._sources, self._references = sources, references

    def __call__(self, model: Any, step: int) -> bool:
        """Translate them if it is time to; answers whether it was."""
        return _now_and_then(self.write, model, step)

    def write(self, model: AnyTranslator, step: int) -> list[str]:
        """Translate them, and answer the translations. The model's mode stays as it is."""
        training = model.training
        model.eval()
        try:
            found = translate(model, self._pipeline, self._spec, self._sources, self._search)
        finally:
            model.train(training)
        said = [each[0].text for each in found]
        table = translation_table(self._sources, self._references, said, len(said))
        self._tracker.text("samples", table, step)
        return said


def _now_and_then(write: Callable[[Any, int], Any], model: Any, step: int) -> bool:
    """``write`` after 100, 200, 500, 1,000, ... steps; answers whether it was time to."""
    if str(step).rstrip("0") not in ("1", "2", "5") or step < 100:
        return False
    try:
        write(model, step)
    except InputError as error:  # weights that are not finite: the next step says so, and says more
        log.warning("No sample at step %d: %s", step, error)
    return True


def _as_written(text: str) -> str:
    """Markdown that shows a text as it is, spaces and line ends too: an indented block, which nothing in it can end."""
    return "".join(f"    {line}\n" for line in text.splitlines())
