"""Translation as a question: its model, its baselines, its figures and the sentences that it shows."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, ClassVar

from torch import Tensor

from seqlab.baselines.translation import floor
from seqlab.data.unknown import much_unspaced
from seqlab.models.parts import ModelParts
from seqlab.protocols import BaselineContext, Baselines, Saved, View
from seqlab.samples import SampleTranslations
from seqlab.search import Search, search
from seqlab.tasks.translation.figures import draw
from seqlab.tasks.translation.model import DecoderOptions, build_translator
from seqlab.tasks.translation_scores import score
from seqlab.translations import translate
from seqlab.types import DataSpec, InputError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What the question needs besides the objective.

    Attributes:
        decoder: what writes the target.
        search: how a finished model's translations are searched for.
        samples: sentences of the validation part that are translated while the model learns.
    """

    decoder: DecoderOptions = field(default_factory=DecoderOptions)
    search: Search = field(default_factory=Search)
    samples: int = 5

    def __post_init__(self) -> None:
        if self.samples < 0:
            raise InputError(f"task.samples must be a number of sentences from 0 up, not {self.samples}.")


class TranslationTask:
    """What is a sequence in the other language? A ``Task``."""

    Options: ClassVar[type] = Options
    name: ClassVar[str] = "translation"
    reads: ClassVar[tuple[str, ...]] = ("translation",)

    def __init__(self, options: Any) -> None:
        self.options: Options = options

    @property
    def greedy(self) -> Search:
        """The search while a model learns."""
        return replace(self.options.search, beam=1)

    def known(self, spec: DataSpec, final: bool) -> dict[str, Any]:
        """How the model writes while it is measured: greedily while it learns."""
        return {"write": partial(_write, spec, self.options.search if final else self.greedy)}

    def model(
        self, parts: ModelParts, spec: DataSpec, objective: Any, tokens: Sequence[str] = (), train: Any = None
    ) -> Any:
        """An encoder-decoder."""
        embedding = parts.embedding(spec, tokens)
        return build_translator(parts, spec, self.options.decoder, embedding, parts.encoder(embedding.output_size))

    def check(self, data: Any, objective: Any) -> None:
        """Warn where BLEU decides and takes a whole target for one word."""
        if objective.bleu_tokenize not in ("13a", "intl") or objective.monitor not in ("bleu", "bleu_lower", "loss"):
            return
        if much_unspaced(data.val.texts[1]):
            log.warning(
                "%s: the targets hold no spaces, so BLEU takes a sentence for one word: set task.bleu_tokenize=zh, "
                "ja-mecab or char",
                data.name,
            )

    def baselines(self, data: Any, split: str, context: BaselineContext) -> Baselines:
        """Copying the source, and the translation of the most similar training sentence."""
        objective = context.objective
        name, tokens = objective.monitor.replace("loss", "bleu_lower"), objective.bleu_tokenize
        found = floor(
            data.train_texts, data.part(split).texts, partial(score, name, tokenize=tokens),
            name=name if tokens == "13a" else f"{name}-{tokens}",
            cache_dir=context.cache_dir, digest=f"{split}-{data.digest}",
        )  # fmt: skip
        return Baselines(found)

    def show(self, view: View) -> dict[str, Any]:
        """Examples, scores by source length, attention; all translations as a file."""
        draw(view, self.options.search)
        return {"signatures": view.found.meter.scores.signatures}

    def watch(self, data: Any, tracker: Any) -> SampleTranslations | None:
        """Translates some validation sentences into TensorBoard while the model learns."""
        sources, references = (texts[: self.options.samples] for texts in data.val.texts)
        if not sources:
            return None
        return SampleTranslations(tracker, data.pipeline, data.spec, self.greedy, sources, references)

    def predictor(self, saved: Saved) -> TranslationPredictor:
        """Translations of texts."""
        return TranslationPredictor(saved, self.options.search)


class TranslationPredictor:
    """A ``Predictor`` of sentences.

    Args:
        saved: the run.
        search: how translations are searched for.
    """

    def __init__(self, saved: Saved, search: Search) -> None:
        self._saved, self._search = saved, search

    def predict(self, inputs: Sequence[str], **options: Any) -> list[dict[str, Any]]:
        """For each sentence ``source`` and ``translations``, the best first: ``text``, ``score``, ``finished``.

        Args:
            inputs: sentences.
            options: fields of ``Search`` that differ from the run's own.
        """
        if unknown := sorted(set(options) - {each.name for each in fields(Search)}):
            raise InputError(f"{unknown[0]}: there is no such option of a translation.")
        saved, search = self._saved, replace(self._search, **options)
        found = translate(saved.model, saved.pipeline, saved.spec, list(inputs), search)
        return [
            {
                "source": each[0].source,
                "translations": [{"text": one.text, "score": one.score, "finished": one.finished} for one in each],
            }
            for each in found
        ]


def _write(spec: DataSpec, options: Search, model: Any, inputs: Tensor, lengths: Tensor) -> list[Sequence[int]]:
    return [found[0].ids for found in search(model, inputs, lengths, spec, options)]
