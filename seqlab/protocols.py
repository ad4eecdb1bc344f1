"""What someone brings who adds a form of data: the protocol that ``build`` joins it to models and questions by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from seqlab.types import DataSpec, Loader


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
        pipeline: from texts to ids and back, fitted on the training part; None where there are no texts.
    """

    Options: ClassVar[type]
    gives: ClassVar[tuple[str, ...]]
    name: str
    digest: str
    pipeline: Any

    @property
    def spec(self) -> DataSpec:
        """The sizes that a model takes from the data."""
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

    def artifacts(self) -> dict[str, Any]:
        """Plain data, besides the pipeline, that a checkpoint carries to use the model without the data."""
        ...

    def difference(self, saved: Mapping[str, Any]) -> str:
        """How the data of a checkpoint differs from this, as the rest of a sentence; empty where it does not."""
        ...
