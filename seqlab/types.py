"""The words every room shares: shapes, a batch, what the data knows, what an encoder answers.

Shape legend, used in comments and docstrings everywhere (batch first):

=====  =========================================
``B``  batch
``T``  source time
``U``  target time
``E``  embedding
``D``  encoder width
``V``  classes, or vocabulary
``F``  features
``H``  horizon
=====  =========================================

This module imports torch (and numpy, which torch brings) alone, and every other room may import it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from seqlab.errors import InputError as InputError  # the rooms take it from here, with the other shared words


@dataclass(frozen=True)
class Ragged:
    """Many integer sequences in one flat array: row ``i`` is ``values[offsets[i]:offsets[i + 1]]``.

    Attributes:
        values: ``(sum of lengths,)`` int32; may be memory-mapped.
        offsets: ``(rows + 1,)`` int64, starts at 0, never decreases.
    """

    values: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """``(rows,)`` int64."""
        return np.diff(self.offsets)


@dataclass(frozen=True)
class Split:
    """One part of a labelled dataset: token ids and targets, row by row.

    Attributes:
        tokens: one row an example.
        targets: ``(rows,)`` int64 class ids; or ``(rows, K)`` float32: numbers, or 0 and 1 for each label.
    """

    tokens: Ragged
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class Pairs:
    """One part of a parallel dataset: each source sentence with its target sentence.

    Attributes:
        sources: ids, each row ending in EOS.
        targets: ids, each row from START to EOS.
        texts: the sentences as they were written, ``(sources, targets)``, to measure and show translations by; two
            empty tuples for a part that is only learned from.
    """

    sources: Ragged
    targets: Ragged
    texts: tuple[Sequence[str], Sequence[str]] = ((), ())

    def __len__(self) -> int:
        return len(self.sources)


@dataclass(frozen=True)
class Tokens:
    """One part of a corpus: one long run of token ids.

    Attributes:
        ids: ``(N,)``, of any integer type; may be memory-mapped.
        starts: ``(documents,)`` int64, where each document begins; ascending, the first is 0.
    """

    ids: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def resets(self) -> np.ndarray:
        """``(documents,)`` int64: before which tokens, when they are read, a carried state begins anew.

        The end of a document is asked of its own last words, and then opens the next: the token before a document's
        first is read from a zero state. So every token but the very first is asked for once, and none with the memory
        of another document.
        """
        return np.maximum(self.starts - 1, 0)


States = tuple[tuple[Tensor, ...], ...]
"""An encoder's memory of each row: for each layer and direction, or block, a tuple of ``(B, ...)``."""


@dataclass(frozen=True)
class Batch:
    """Some examples, padded to one length. Built on the CPU; only the trainer and ``evaluate`` move it.

    Attributes:
        inputs: ``(B, T)`` token ids, int64, positions at and after ``lengths`` hold the padding id; or real numbers
            ``(B, T, F)``, float32.
        lengths: ``(B,)`` int64, always on the CPU, ``0 <= lengths <= T``.
        targets: what is asked: ``(B,)`` class ids, ``(B, T)`` labels or next tokens, int64, or real numbers:
            ``(B, K)``, or ``(B, H, K)`` with NaN where nothing was measured. Of pairs ``(B, 1 + U)`` ids: START, the
            target sentence, EOS, padding.
        index: ``(B,)`` int64, on the CPU: which rows of the split these are; of a corpus, where each row begins; of
            series, the row that is the first to be forecast.
        fresh: ``(B,)`` bool, on the CPU: which rows begin with a zero state; the others go on from the state in which
            the same row of the batch before ended. None where rows have nothing to do with those before.
        state: those states, put in by whoever carries them (``engine.carry``); None is all zeros.
        future: ``(B, H, G)`` float32: what is known beforehand of the steps to forecast (calendar, plans).
        target_lengths: of pairs ``(B,)`` int64, on the CPU: how many ids behind START count, EOS among them.
        texts: of pairs that are measured: each row's source and target as they were written.
        progress: how much of the training is done when this batch is learned from, in ``[0, 1]``; set by the trainer.
    """

    inputs: Tensor
    lengths: Tensor
    targets: Tensor
    index: Tensor
    fresh: Tensor | None = None
    state: States | None = None
    future: Tensor | None = None
    target_lengths: Tensor | None = None
    texts: tuple[Sequence[str], Sequence[str]] = ((), ())
    progress: float = 0.0

    @property
    def size(self) -> int:
        """Number of examples."""
        return self.inputs.shape[0]

    @property
    def tokens(self) -> int:
        """Number of tokens that count (no padding); of pairs, those of the targets with EOS."""
        counted = self.lengths if self.target_lengths is None else self.target_lengths
        return sum(counted.tolist())

    @property
    def positions(self) -> int:
        """Number of steps, padding included: ``B * T``; of pairs ``B * U``."""
        if self.target_lengths is None:
            return self.inputs.shape[0] * self.inputs.shape[1]
        return self.targets.shape[0] * (self.targets.shape[1] - 1)

    def to(self, device: torch.device) -> Batch:
        """The same batch with ``inputs``, ``targets`` and ``future`` on ``device``; ``lengths`` and ``index`` stay."""
        if device.type == "cpu":
            return self
        return replace(
            self,
            inputs=self.inputs.to(device, non_blocking=True),
            targets=self.targets.to(device, non_blocking=True),
            future=None if self.future is None else self.future.to(device, non_blocking=True),
        )


@dataclass(frozen=True)
class DataSpec:
    """What the data alone knows and the model needs; none of it is ever written in a config.

    Attributes:
        task: what is asked: ``classification | regression | multilabel | tagging | detection | language_modeling |
            forecasting | translation``.
        num_outputs: classes, or numbers to predict; of translation, the target side's vocabulary.
        labels: their names.
        vocab_size: of token ids (of the source side); 0 where the inputs are real numbers.
        num_features: width ``F`` of real inputs; 0 where the inputs are token ids.
        pad_id: id of padding.
        blank: of labels for every step, one that most steps have and that says nothing.
        horizon: ``H``, how many steps ahead to forecast.
        num_future: ``G``, how many of the features, the last ones, are known beforehand.
        start_id: of translation: what stands before each target sentence.
        eos_id: what ends it.
        shared: whether source and target ids mean the same tokens.
        counts: of classes, how many training examples each has.
        mean: of a number to predict, its mean in training: targets are less it, and by ``deviation``.
        deviation: its standard deviation there.
    """

    task: str
    num_outputs: int
    labels: tuple[str, ...]
    vocab_size: int = 0
    num_features: int = 0
    pad_id: int = 0
    blank: str | None = None
    horizon: int = 0
    num_future: int = 0
    start_id: int = 0
    eos_id: int = 0
    shared: bool = False
    counts: tuple[int, ...] = ()
    mean: float = 0.0
    deviation: float = 1.0


Role = Literal["location", "scale", "shape"]
"""What a number that a forecaster gives stands for. A location (a mean, a quantile) moves and grows with the data; a
scale, positive, grows with them; a shape (degrees of freedom) does neither."""


class Units(Protocol):
    """Leads forecasts back to the units of the data, and knows what came to pass. Rows are counted as in the data.

    Attributes:
        ids: ``S`` names of the series.
        deviation: ``(S, K)`` standard deviation of each target over its training part.
        seasonal: ``(S, K)`` mean absolute difference between values one season apart, over the training part (the
            denominator of MASE: Hyndman and Koehler 2006).
    """

    ids: tuple[str, ...]
    deviation: np.ndarray
    seasonal: np.ndarray

    @property
    def monotone(self) -> bool:
        """Whether ``original`` takes quantiles: not where differences add up over the horizon."""
        ...

    def series(self, origins: np.ndarray) -> np.ndarray:
        """``(B,)`` int64: to which of the series each of the rows ``origins`` ``(B,)`` belongs."""
        ...

    def actual(self, origins: np.ndarray) -> np.ndarray:
        """``(B, H, K)`` float64: what came to pass from each origin on, NaN where nothing was measured."""
        ...

    def original(self, values: np.ndarray, origins: np.ndarray) -> np.ndarray:
        """Scaled forecasts ``(B, H, K, ...)``, ascending functions of the data, in the data's own units, float64."""
        ...


@dataclass(frozen=True, repr=False)
class Encoded:
    """What an encoder answers.

    Attributes:
        outputs: ``(B, T, D)``; positions at and after ``lengths`` are zero.
        final: ``(B, D)``: the summary at the last valid step (both directions' own last step when bidirectional);
            zero for an empty sequence.
        lengths: ``(B,)`` int64 on the CPU: how many positions of ``outputs`` count.
        state: each row's memory after its last step, one tuple of ``(B, ...)`` for each layer and direction, or block;
            empty where the encoder keeps none.
    """

    outputs: Tensor
    final: Tensor
    lengths: Tensor
    state: States = ()

    def __repr__(self) -> str:
        state = f"{len(self.state)} x {[tuple(part.shape) for part in self.state[0]]}" if self.state else "none"
        outputs, final, lengths = tuple(self.outputs.shape), tuple(self.final.shape), tuple(self.lengths.shape)
        return f"Encoded(outputs={outputs}, final={final}, lengths={lengths}, state={state})"


class Encoder(Protocol):
    """Reads ``(B, T, E)`` and answers ``Encoded`` of width ``output_size``. An ``nn.Module``.

    One that never reads ahead says ``causal = True``: it takes a state as third argument and answers one, and
    ``encoder.stream(batch_size)`` reads step by step.
    """

    output_size: int

    def __call__(self, inputs: Tensor, lengths: Tensor) -> Encoded:
        """Read ``inputs`` ``(B, T, E)`` whose rows are ``lengths`` ``(B,)`` long."""
        ...


@dataclass(frozen=True)
class Loss:
    """One batch's answer: sums and counts, never means, so that what is divided is divided once.

    Attributes:
        total: scalar, the sum of the loss over what counts (with gradient while training).
        count: how many things were counted (examples, target tokens).
        logits: what the model said, for the meter: ``(B, V)``, ``(B, T, V)``, ``(B, U, V)``, ``(B, K)`` or
            ``(B, H, K, P)``.
        each: ``(B, T)``: the loss of every step, zero where nothing is asked, for a meter that looks closer.
        state: in which each row ended, where it may be carried on.
        said: of each row the ids that the model writes itself, without START and EOS, where it was asked to.
    """

    total: Tensor
    count: int
    logits: Tensor
    each: Tensor | None = None
    state: States = ()
    said: Sequence[Sequence[int]] | None = None


class Meter(Protocol):
    """Adds up one pass over a split."""

    def update(self, loss: Loss, batch: Batch) -> None:
        """Count one batch."""
        ...

    def compute(self) -> dict[str, float]:
        """The metrics of all that was counted, by name without the split: ``{"loss": ..., "accuracy": ...}``."""
        ...


class Objective(Protocol):
    """Loss and metrics of one kind of question; holds no parameters."""

    monitor: str
    """Name of the metric that decides (checkpoint, early stop, plateau, sweeps), without its split: ``accuracy``."""
    maximize: bool
    headline: tuple[str, ...]
    """Names of the metrics that a result is told by; floors compare with the last."""

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Ask the model about a batch and hold the answer against the targets."""
        ...

    def meter(self) -> Meter:
        """An empty meter for one pass."""
        ...


class Loader(Protocol):
    """Batches of one split in an order that is a pure function of ``(seed, epoch)``."""

    def __len__(self) -> int:
        """Batches in an epoch."""
        ...

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from the ``start``-th on."""
        ...

    @property
    def padding(self) -> float:
        """Share of cells in the padded batches that hold no token, in ``[0, 1]``."""
        ...


def mask(lengths: Tensor, T: int, device: torch.device | None = None) -> Tensor:
    """``(B, T)`` bool: True where a position counts, for ``lengths`` ``(B,)``."""
    return torch.arange(T, device=device) < lengths.to(device).unsqueeze(1)
