"""Language modeling as a question: its model, its baselines, its figures and the texts that it writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from seqlab.baselines.kneser_ney import floor
from seqlab.decode import Sampling, Writer
from seqlab.errors import warned
from seqlab.insight.language import position_loss_figure
from seqlab.models import LanguageModel
from seqlab.models.parts import ModelParts
from seqlab.protocols import BaselineContext, Baselines, Saved, View
from seqlab.samples import Samples
from seqlab.types import DataSpec, InputError


@dataclass(frozen=True)
class SampleOptions:
    """The texts that a model writes while it learns, see ``Samples``."""

    prompt: str = "The quick br"
    length: int = 388
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    greedy: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        Sampling(self.temperature, self.top_k, self.top_p, self.greedy)  # refuses what is out of range


@dataclass(frozen=True)
class Options:
    """What the question needs besides the objective.

    Attributes:
        samples: the texts that are written while the model learns; None for none.
    """

    samples: SampleOptions | None = None


class LanguageModelingTask:
    """What comes next, at every step of a text? A ``Task``."""

    Options: ClassVar[type] = Options
    name: ClassVar[str] = "language_modeling"
    reads: ClassVar[tuple[str, ...]] = ("language_modeling",)

    def __init__(self, options: Any) -> None:
        self.samples: SampleOptions | None = options.samples

    def known(self, spec: DataSpec, final: bool) -> dict[str, Any]:
        """Nothing."""
        return {}

    def model(
        self, parts: ModelParts, spec: DataSpec, objective: Any, tokens: Sequence[str] = (), train: Any = None
    ) -> LanguageModel:
        """Embedding, an encoder that never reads ahead, and a ``TokenHead``."""
        embedding = parts.embedding(spec, tokens)
        encoder = parts.encoder(embedding.output_size)
        return LanguageModel(embedding, encoder, parts.token_head(embedding, encoder.output_size, spec.vocab_size))

    def check(self, data: Any, objective: Any) -> None:
        """Refuse samples that could not be written, before the training that they would end.

        Raises:
            InputError: nothing to write, or to begin with; a seed out of range.
        """
        if self.samples is None:
            return
        no_stream: Any = None  # what is wrong is said before the model is asked
        try:
            Writer(no_stream, data.pipeline, seed=self.samples.seed).write(self.samples.prompt, self.samples.length)
        except InputError as error:
            raise InputError(f"task.samples: {error} (task.samples=null writes none.)") from error

    def baselines(self, data: Any, split: str, context: BaselineContext) -> Baselines:
        """Interpolated Kneser-Ney n-grams: longer ones of characters than of words."""
        single = data.pipeline.config().get("tokenizer") == "char"
        found = floor(
            data.train, data.part(split), data.spec.vocab_size, order=10 if single else 5,
            cache_dir=context.cache_dir, digest=f"{split}-{data.digest}",
        )  # fmt: skip
        return Baselines(found)

    def show(self, view: View) -> dict[str, Any]:
        """Loss by position in a window, and a text."""
        with warned(f"figure {view.split}/by_position"):
            figure = position_loss_figure(*view.found.meter.by_position)
            view.tracker.figure(f"{view.split}/by_position", figure, view.step)
        if (samples := self.watch(view.data, view.tracker)) is not None:
            print(f"What it writes:\n\n{samples.write(view.model, view.step, f'{view.split}/sample')}\n")
        return {}

    def watch(self, data: Any, tracker: Any) -> Samples | None:
        """Writes texts into TensorBoard while the model learns."""
        return None if self.samples is None else Samples(tracker, data.pipeline, **vars(self.samples))

    def predictor(self, saved: Saved) -> Any:
        """Refused: a language model writes, see ``Run.generate``.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"{saved.where} was trained on data={saved.data}, which has no texts to label: let it write, "
            "`seqlab generate`."
        )
