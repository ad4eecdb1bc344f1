"""What someone brings who adds a form of data: the protocol that ``build`` joins it to models and questions by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from seqlab.types import DataSpec, InputError, Loader


@dataclass(frozen=True)
class LoadContext:
    """What a form of data needs besides its source and its options.

    Attributes:
        seed: of the validation part that is held out.
        cache_dir: folder of the caches, which may be deleted at any time; None for no cache.
        make_tokenizer: the text pipeline that ``data.tokenizer`` describes, a new one at each call, not yet fitted.
    """

    seed: int
    cache_dir: Path | None
    make_tokenizer: Callable[[], Any]


class Dataset(Protocol):
    """A form of data, ready to learn from. A source names its form by the class attribute ``dataset``.

    Attributes:
        Options: a frozen dataclass of how it is split and batched; its fields are keys of ``data``, and its
            ``__post_init__`` refuses values that are out of range.
        gives: the values that ``spec.task`` may have.
        name: of the source.
        digest: equal for equal data.
        known_baselines: scores that follow from how the data were made; empty where none are known.
        pipeline: from texts to ids and back, fitted on the training part; None where there are no texts.
    """

    Options: ClassVar[type]
    gives: ClassVar[tuple[str, ...]]
    name: str
    digest: str
    pipeline: Any
    known_baselines: Mapping[str, float]

    @property
    def spec(self) -> DataSpec:
        """The sizes that a model takes from the data."""
        ...

    @classmethod
    def placeholder(cls, options: Any, task: str, make_source: Callable[[], Any]) -> DataSpec:
        """Sizes that stand in for the data's before any are read, to try a model on."""
        ...

    @classmethod
    def load(cls, source: Any, options: Any, context: LoadContext) -> Any:
        """Read a source, hold a validation part out, encode or scale.

        Raises:
            InputError: the source cannot be read, or leaves a part empty.
        """
        ...

    def part(self, split: str) -> Any:
        """``train``, ``val`` or ``test``; None where there is no such part."""
        ...

    @staticmethod
    def batches(part: Any, options: Any, spec: DataSpec, *, train: bool, seed: int) -> Loader:
        """Batches of a part, in an order that depends on the seed and the epoch alone; in a fixed order to measure."""
        ...

    @staticmethod
    def encode(inputs: Sequence[Any], spec: DataSpec, pipeline: Any) -> Any:
        """New inputs as a part without targets, to predict for.

        Raises:
            InputError: inputs of another kind.
        """
        ...

    def artifacts(self) -> dict[str, Any]:
        """Plain data, besides the pipeline, that a checkpoint carries to use the model without the data."""
        ...

    def difference(self, saved: Mapping[str, Any]) -> str:
        """How the data of a checkpoint differs from this, as the rest of a sentence; empty where it does not."""
        ...


@dataclass(frozen=True)
class Baselines:
    """What simple methods reach on the same part of the same data.

    Attributes:
        scores: of each method, the metric that it is compared by.
        details: what figures need besides; the question knows.
    """

    scores: Mapping[str, float]
    details: Any = None


@dataclass(frozen=True)
class BaselineContext:
    """What baselines may need besides the data.

    Attributes:
        objective: whose metric they are compared by.
        cache_dir: where scores are kept.
        reread: the same data, read with another text pipeline.
    """

    objective: Any
    cache_dir: Path
    reread: Callable[[Any], Any]


@dataclass(frozen=True)
class View:
    """A trained model and what it reached on one part, to be shown.

    Attributes:
        data: the dataset.
        split: the part that was measured: ``test`` or ``val``.
        found: what was measured: ``metrics`` and the ``meter``.
        model: the trained model, with its best weights.
        objective: loss and metrics.
        tracker: takes figures, tables and texts.
        baselines: of the same part.
        step: how many steps the model has trained.
        name: of the model.
    """

    data: Any
    split: str
    found: Any
    model: Any
    objective: Any
    tracker: Any
    baselines: Baselines
    step: int
    name: str


@dataclass(frozen=True)
class Saved:
    """A trained model with what it takes to use it, without its data.

    Attributes:
        model: in evaluation mode, on its device.
        objective: loss and metrics, without the data.
        spec: of its data.
        pipeline: of its data.
        runtime: device and precision.
        form: its form of data.
        options: of that form.
        seed: of the run.
        where: the run folder, for messages.
        data: the name of its data, for messages.
    """

    model: Any
    objective: Any
    spec: DataSpec
    pipeline: Any
    runtime: Any
    form: Any
    options: Any
    seed: int
    where: str
    data: str

    def batches(self, part: Any) -> Loader:
        """Batches of a part to predict for."""
        return self.form.batches(part, self.options, self.spec, train=False, seed=self.seed)

    def not_finite(self) -> InputError:
        """The error to raise where the model gives NaN or infinity."""
        return InputError(
            f"{self.where}: the model answers with numbers that are NaN or infinite, so there is no answer: its "
            "training diverged; train again, for example with a lower optim.lr."
        )


class Predictor(Protocol):
    """What a trained model is used by: plain data in, plain data out."""

    def predict(self, inputs: Sequence[Any], **options: Any) -> list[dict[str, Any]]:
        """A record of plain data for each input.

        Raises:
            InputError: inputs or options that do not suit the run.
        """
        ...


class Model(Protocol):
    """What answers a question; an ``nn.Module``."""

    def example_inputs(self) -> tuple[Any, ...]:
        """Two rows of zeros, as ``forward`` takes them: for summaries, dry builds and export."""
        ...

    def layers(self) -> dict[str, Any]:
        """Its layers by name, in order; together they hold every parameter."""
        ...


class Task(Protocol):
    """A question: what model answers it, what it is compared with, how its answers are shown.

    An objective (loss and metrics, the class that ``task._target_`` names) says to which question it belongs by its
    class attribute ``task``, and so does one that derives from it.

    Attributes:
        Options: a frozen dataclass of what the question needs besides the objective's arguments; its fields are keys of
            the config's ``task``.
        name: of the question.
        reads: values of ``spec.task`` that it can be asked of.
    """

    Options: ClassVar[type]
    name: ClassVar[str]
    reads: ClassVar[tuple[str, ...]]

    def __init__(self, options: Any) -> None: ...

    def known(self, spec: DataSpec, final: bool) -> dict[str, Any]:
        """Arguments of the objective that are neither options nor facts of the data; ``final``: to be measured."""
        ...

    def model(self, parts: Any, spec: DataSpec, objective: Any, tokens: Any = (), train: Any = None) -> Any:
        """A model with new weights: embedding, encoder and head, drawn in this order.

        Args:
            parts: makes them (``models.ModelParts``).
            spec: sizes.
            objective: loss and metrics, without the data.
            tokens: names of the ids, for pre-trained vectors.
            train: the training part, where a model counts or fits something at once; None for a model that is loaded.
        """
        ...

    def check(self, data: Any, objective: Any) -> None:
        """Refuse, or warn of, what does not suit the data that were read, before training.

        Raises:
            InputError: it cannot work.
        """
        ...

    def baselines(self, data: Any, split: str, context: BaselineContext) -> Baselines:
        """What simple methods reach on a part, from the same training part."""
        ...

    def show(self, view: View) -> dict[str, Any]:
        """Draw figures and write tables; more fields for ``summary.json``."""
        ...

    def watch(self, data: Any, tracker: Any) -> Any:
        """What is called as ``watch(model, step)`` while the model learns; None for nothing."""
        ...

    def predictor(self, saved: Saved) -> Predictor:
        """What answers the question for new inputs.

        Raises:
            InputError: the question has no answer for new inputs of this form.
        """
        ...
