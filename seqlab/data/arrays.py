"""Data that is whole in memory as padded arrays: generated tasks, joined to the loader's side of things."""

from __future__ import annotations

import logging
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch

from seqlab.data.options import check_counts
from seqlab.errors import shorten
from seqlab.protocols import LoadContext
from seqlab.types import Batch, DataSpec, InputError, Loader

log = logging.getLogger(__name__)

_DIMENSIONS = {"classification": 1}  # of targets; others have two


@dataclass(frozen=True)
class Part:
    """One part of a generated dataset.

    Attributes:
        inputs: ``(count, T)`` int64 tokens, or ``(count, T, F)`` float32; zero at and after ``lengths``.
        lengths: ``(count,)`` int64, from 1 to ``T``.
        targets: what is asked, row by row; its shape is the task's.
    """

    inputs: np.ndarray
    lengths: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)


class Generator(Protocol):
    """Makes a dataset out of nothing but its options."""

    name: str

    @property
    def spec(self) -> DataSpec:
        """Sizes, and what is asked."""
        ...

    @property
    def floor(self) -> dict[str, float]:
        """What is reached without learning, in closed form, by name."""
        ...

    def digest(self) -> str:
        """Equal for equal data."""
        ...

    def splits(self) -> dict[str, Part]:
        """``train``, ``val`` and ``test``."""
        ...


@dataclass(frozen=True)
class ArrayOptions:
    """How arrays are batched.

    Attributes:
        batch_size: rows in a batch.
    """

    batch_size: int = 32

    def __post_init__(self) -> None:
        check_counts(batch_size=self.batch_size)


@dataclass(frozen=True)
class ArrayData:
    """Three parts and what is known of them: a ``Dataset``.

    Attributes:
        floor: what is reached without learning, in closed form, by name.
        rate: of signals, samples a second.
    """

    Options: ClassVar[type[ArrayOptions]] = ArrayOptions
    gives: ClassVar[tuple[str, ...]] = ("classification", "regression", "tagging", "detection")

    name: str
    train: Part
    val: Part
    test: Part
    spec: DataSpec
    floor: dict[str, float]
    digest: str
    pipeline: None = None
    rate: float | None = None

    @classmethod
    def placeholder(cls, options: ArrayOptions, task: str, make_source: Callable[[], Any]) -> DataSpec:
        """What the source says: it is made of its options alone."""
        spec: DataSpec = make_source().spec
        return spec

    @classmethod
    def load(cls, source: Generator, options: ArrayOptions, context: LoadContext) -> ArrayData:
        """Make all parts."""
        return load_generated(source)

    @property
    def known_baselines(self) -> Mapping[str, float]:
        """What is reached without learning."""
        return self.floor

    def part(self, split: str) -> Part:
        """``train``, ``val`` or ``test``."""
        return {"train": self.train, "val": self.val, "test": self.test}[split]

    @staticmethod
    def batches(part: Part, options: ArrayOptions, spec: DataSpec, *, train: bool, seed: int) -> Loader:
        """Rows in a new order each epoch; in their own order to measure."""
        return ArrayLoader(part, batch_size=options.batch_size, seed=seed, shuffle=train)

    @staticmethod
    def encode(inputs: Sequence[Any], spec: DataSpec, pipeline: None) -> Part:
        """Rows of token ids ``(T,)``, or of real numbers ``(T, F)``; each may have its own length.

        Raises:
            InputError: a row of another shape, without steps, with ids that are none, or with NaN or infinity.
        """
        return as_part(inputs, spec)

    @staticmethod
    def read_file(path: Path, spec: DataSpec, *, targets: bool) -> Part:
        """Rows of a ``.npz`` file, see ``read_npz``."""
        return read_npz(path, spec, targets=targets)

    def artifacts(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def difference(self, saved: Mapping[str, Any]) -> str:
        """In the options that they were made with."""
        return "" if saved["digest"] == self.digest else f"data={self.name} was made with other options"


def load_generated(source: Generator) -> ArrayData:
    """Make all parts of a generated dataset."""
    started = time.perf_counter()
    parts = source.splits()
    log.info(
        "%s: %s training, %s validation, %s test examples (%.1f s)",
        source.name,
        *(f"{len(parts[part]):,}" for part in ("train", "val", "test")),
        time.perf_counter() - started,
    )
    train, val, test = (parts[part] for part in ("train", "val", "test"))
    return ArrayData(
        source.name, train, val, test, source.spec, source.floor, source.digest(), rate=getattr(source, "rate", None)
    )


class ArrayLoader:
    """Batches of rows in an order that is a pure function of ``(seed, epoch)``; in their own order unshuffled.

    Args:
        part: the rows.
        batch_size: examples in a batch; the last one of an epoch may hold fewer.
        seed: with the epoch's number, decides the order.
        shuffle: False for evaluation.

    Raises:
        InputError: a size below 1, or no rows.
    """

    def __init__(self, part: Part, *, batch_size: int = 32, seed: int = 0, shuffle: bool = True) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1, not {batch_size}.")
        if len(part) == 0:
            raise InputError("there are no examples to make batches of.")
        self._part, self._batch_size, self._seed, self._shuffle = part, batch_size, seed, shuffle

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-len(self._part) // self._batch_size)

    @property
    def padding(self) -> float:
        """Share of padded cells over the whole part."""
        return 1 - float(self._part.lengths.sum()) / (len(self._part) * self._part.inputs.shape[1])

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of ``epoch`` from the ``start``-th on."""
        rows = len(self._part)
        order = np.random.default_rng([self._seed, epoch]).permutation(rows) if self._shuffle else np.arange(rows)
        for first in range(start * self._batch_size, rows, self._batch_size):
            index = order[first : first + self._batch_size]
            lengths = self._part.lengths[index]
            yield Batch(
                torch.from_numpy(self._part.inputs[index]),
                torch.from_numpy(lengths),
                torch.from_numpy(self._part.targets[index]),
                torch.from_numpy(index),
            )


def as_part(inputs: Sequence[Any], spec: DataSpec) -> Part:
    """Rows padded to one array, see ``ArrayData.encode``; targets are zero."""
    real = spec.num_features > 0
    rows = [np.asarray(row) for row in inputs]
    wanted = f"(T, {spec.num_features}) real numbers" if real else f"(T,) whole numbers from 0 to {spec.vocab_size - 1}"
    for number, row in enumerate(rows):
        fits = row.ndim == 2 and row.shape[1] == spec.num_features if real else row.ndim == 1 and row.dtype.kind in "iu"
        if not fits or row.dtype.kind not in "iuf" or len(row) == 0:
            raise InputError(f"Row {number} has the shape {row.shape} and type {row.dtype}: give {wanted}.")
        if not (np.isfinite(row).all() if real else ((row >= 0) & (row < spec.vocab_size)).all()):
            raise InputError(f"Row {number} has values that are none of {wanted}.")
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    T = int(lengths.max(initial=1))
    shape = (len(rows), T, spec.num_features) if real else (len(rows), T)
    padded = np.zeros(shape, np.float32 if real else np.int64)
    for row, values in zip(padded, rows, strict=True):
        row[: len(values)] = values
    return Part(padded, lengths, np.zeros(len(rows), np.int64))


def read_npz(path: str | Path, spec: DataSpec, *, targets: bool) -> Part:
    """Rows of a ``.npz`` file: ``inputs`` ``(N, T)`` or ``(N, T, F)``; maybe ``lengths`` ``(N,)``; ``targets``.

    Nothing is unpickled.

    Raises:
        InputError: no such file; no arrays of numbers; no ``inputs``, or arrays whose rows do not agree.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in ("inputs", "lengths", "targets") if name in file}
    except FileNotFoundError as error:
        raise InputError(f"{shorten(path)} does not exist: check the path.") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise InputError(f"{shorten(path)} is not a .npz file of plain arrays ({shorten(error)}).") from error
    missing = [name for name in ("inputs", *["targets"] * targets) if name not in found]
    if missing:
        raise InputError(f"{shorten(path)} has no array '{missing[0]}': save it with numpy.savez(FILE, inputs=...).")
    inputs = found["inputs"]
    if inputs.ndim not in (2, 3) or len({len(each) for each in found.values()}) != 1:
        raise InputError(f"{shorten(path)}: inputs must be (N, T) or (N, T, F), and all arrays have N rows.")
    lengths = found.get("lengths", np.full(len(inputs), inputs.shape[1]))
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or ((lengths < 1) | (lengths > inputs.shape[1])).any():
        raise InputError(f"{shorten(path)}: lengths must be whole numbers from 1 to {inputs.shape[1]}, one a row.")
    part = as_part([row[:length] for row, length in zip(inputs, lengths, strict=True)], spec)
    return replace(part, targets=_targets(found["targets"], spec, path)) if targets else part


def _targets(targets: np.ndarray, spec: DataSpec, path: str | Path) -> np.ndarray:
    """Class ids ``(N,)``, numbers ``(N, K)`` or labels ``(N, T)``, as the question asks."""
    real = spec.task == "regression"
    if targets.ndim != _DIMENSIONS.get(spec.task, 2) or (targets.dtype.kind not in ("fiu" if real else "iu")):
        raise InputError(
            f"{shorten(path)}: targets have the shape {targets.shape} and type {targets.dtype}, which do not suit "
            f"{spec.task}."
        )
    most = 2 if spec.task == "detection" else spec.num_outputs
    if not (np.isfinite(targets).all() if real else ((targets >= 0) & (targets < most)).all()):
        raise InputError(f"{shorten(path)}: targets must be {'finite' if real else f'from 0 to {most - 1}'}.")
    return targets.astype(np.float32 if real else np.int64)
