"""Minibatches of one long text: windows in random order from a zero state, or lanes whose state is carried on.

A text of ``N`` tokens asks ``N - 1`` questions: read token ``i``, say token ``i + 1``. Every loader here asks each of
them exactly once an epoch, and no row reads across a reset (``Tokens.resets``: where a document ends).
The two ways are those of Zhang et al., "Dive into Deep Learning", ch. 9.3, but nothing is left out at the ends.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import chain, islice

import numpy as np
import torch

from seqlab.types import Batch, InputError, Loader, Tokens

_BLOCK = 4096  # batches laid out at a time
_LARGE = 1 << 27  # bytes of a map that had better not stay in memory
_RELEASE = 16  # batches, between giving pages back


class _Windows:
    """Segments of a text, each cut in windows of ``length``, numbered through; only segments are held in memory.

    Args:
        bounds: ``(segments + 1,)`` where each segment begins, and the end of the last.
        length: of a window.
        shifts: ``(segments,)``, each in ``[0, length)``: how much shorter a segment's first window is.
    """

    def __init__(self, bounds: np.ndarray, length: int, shifts: np.ndarray | int = 0) -> None:
        self.length = length
        self._starts, self._ends = bounds[:-1], bounds[1:]
        self._grid = self._starts - shifts  # where the first window would begin if it were whole
        self.numbers = np.concatenate(([0], np.cumsum(-(-(self._ends - self._grid) // length))))
        """``(segments + 1,)`` the number of each segment's first window, and of all windows."""

    def __len__(self) -> int:
        return int(self.numbers[-1])

    def spans(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``(starts, lengths, first)`` of windows by number, any shape: ``first`` is True where a segment begins."""
        segments = self.numbers.searchsorted(windows, side="right") - 1
        steps = windows - self.numbers[segments]
        grid = self._grid[segments] + steps * self.length
        starts = np.maximum(grid, self._starts[segments])
        return starts, np.minimum(grid + self.length, self._ends[segments]) - starts, steps == 0


class WindowLoader:
    """Windows of ``length`` tokens, each read from a zero state: in random order, or consecutive for evaluation.

    Shuffled, the windows of each document are cut from a random offset, so that the first is the short one, and all
    windows come in a random order; both are a pure function of ``(seed, epoch)``. So the number of batches may differ
    by a little from epoch to epoch. Unshuffled, they are cut from each document's beginning, and come in order.

    An epoch of a billion tokens takes 31 MB of memory at a length of 128.

    Args:
        tokens: the text.
        batch_size: windows in a batch; the last one of an epoch may hold fewer.
        length: tokens that a window reads.
        seed: with the epoch's number, decides offsets and order.
        shuffle: False for evaluation.
        pad_id: what fills the windows that are shorter.

    Raises:
        InputError: a size below 1; fewer than 2 tokens; to train on, fewer than one window needs.
    """

    def __init__(
        self,
        tokens: Tokens,
        *,
        batch_size: int = 32,
        length: int = 128,
        seed: int = 0,
        shuffle: bool = True,
        pad_id: int = 1,
    ) -> None:
        self._bounds = _bounds(tokens, batch_size, length, seed)
        if shuffle and len(tokens) <= length:
            raise InputError(
                f"there are {len(tokens):,} tokens to train on, but one window of length {length} needs {length + 1:,} "
                "(the last is asked for only): lower length, bring a longer text, or hold less of it out."
            )
        self._ids, self._batch_size, self._length, self._pad_id = tokens.ids, batch_size, length, pad_id
        self._seed, self._shuffle = seed, shuffle
        self._width = min(length, int(np.diff(self._bounds).max()))
        self._rows = len(self._windows(self._generator(0)))

    def __len__(self) -> int:
        """Batches in epoch 0; in others, see ``num_batches``."""
        return -(-self._rows // self._batch_size)

    def num_batches(self, epoch: int) -> int:
        """Batches in ``epoch``."""
        return -(-len(self._windows(self._generator(epoch))) // self._batch_size)

    @property
    def padding(self) -> float:
        """Share of padded cells in epoch 0."""
        return 1 - int(self._bounds[-1]) / (self._rows * self._width)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of ``epoch`` from the ``start``-th on."""
        generator = self._generator(epoch)
        windows = self._windows(generator)
        rows = len(windows)
        order = np.arange(rows, dtype=np.int32 if rows < 1 << 31 else np.int64)
        if self._shuffle:
            generator.shuffle(order)
        release = _releaser(self._ids)
        for number, first in enumerate(range(start * self._batch_size, rows, self._batch_size)):
            release(number)
            starts, lengths, _ = windows.spans(order[first : first + self._batch_size])
            yield _batch(self._ids, starts, lengths, self._width, self._pad_id)

    def _generator(self, epoch: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, epoch])

    def _windows(self, generator: np.random.Generator) -> _Windows:
        shifts = generator.integers(self._length, size=len(self._bounds) - 1) if self._shuffle else 0
        return _Windows(self._bounds, self._length, shifts)


class LaneLoader:
    """``batch_size`` lanes side by side: each row goes on where the same row of the batch before ended.

    The ``N - 1`` questions of the text are cut in ``batch_size`` contiguous lanes whose sizes differ by one at most.
    Batch ``k`` holds the ``k``-th window of every lane: ``length`` tokens, or fewer where a document or the lane ends.
    ``fresh`` is True in a row that begins from a zero state: a lane's first, and the first of a document. A lane that
    is through before others has rows of length 0, which are not fresh. Order and cut are the same in every epoch.

    ``batch_size=1`` without ``reset`` is the text as it stands, for evaluation.

    Args:
        tokens: the text.
        batch_size: lanes.
        length: tokens that a row reads at most.
        reset: probability that a row is made fresh all the same, in ``[0, 1)``: reading from a zero state and from a
            carried one are then both learned.
        seed: with the epoch's number, decides which.
        pad_id: what fills the rows that are shorter.

    Raises:
        InputError: a size below 1, a probability out of range, fewer tokens than give each lane a question.
    """

    def __init__(
        self,
        tokens: Tokens,
        *,
        batch_size: int = 32,
        length: int = 128,
        reset: float = 0.0,
        seed: int = 0,
        pad_id: int = 1,
    ) -> None:
        bounds = _bounds(tokens, batch_size, length, seed)
        if not 0 <= reset < 1:
            raise InputError(f"reset is a probability, at least 0 and below 1, not {reset}.")
        questions = int(bounds[-1])
        if questions < batch_size:
            raise InputError(
                f"the text has {len(tokens):,} tokens, but {batch_size} lanes need {batch_size + 1:,} at least: lower "
                "batch_size, or bring a longer text."
            )
        lanes = np.arange(batch_size + 1) * questions // batch_size
        segments = np.union1d(bounds, lanes)
        self._windows = _Windows(segments, length)
        self._ends = lanes[1:]
        numbers = self._windows.numbers[segments.searchsorted(lanes)]
        self._first, self._last = numbers[:-1], numbers[1:]  # (batch_size,) of each lane: its windows by number
        self._ids, self._pad_id = tokens.ids, pad_id
        self._reset, self._seed = reset, seed

    def __len__(self) -> int:
        """Batches in an epoch."""
        return int((self._last - self._first).max())

    @cached_property
    def padding(self) -> float:
        """Share of padded cells, exact."""
        cells = 0
        for first in range(0, len(self), _BLOCK):
            _, lengths, _ = self._spans(np.arange(first, min(first + _BLOCK, len(self)))[:, None])
            cells += int(lengths.max(axis=1).sum()) * lengths.shape[1]
        return 1 - int(self._ends[-1]) / cells

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of ``epoch`` from the ``start``-th on."""
        lanes = len(self._first)
        bits = np.random.PCG64([self._seed, epoch])
        bits.advance(start * lanes)  # as far as the batches before would have drawn
        generator = np.random.Generator(bits)
        release = _releaser(self._ids)
        for number in range(start, len(self)):
            release(number)
            starts, lengths, fresh = self._spans(number)
            if self._reset:
                fresh |= (generator.random(lanes) < self._reset) & (lengths > 0)
            yield _batch(self._ids, starts, lengths, int(lengths.max()), self._pad_id, fresh)

    def _spans(self, batches: np.ndarray | int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``(starts, lengths, fresh)`` of every lane's windows: ``(batch_size,)``, or ``(batches, batch_size)``."""
        windows = self._first + batches
        through = windows >= self._last
        starts, lengths, fresh = self._windows.spans(np.minimum(windows, self._last - 1))
        if through.any():
            starts, lengths = np.where(through, self._ends, starts), np.where(through, 0, lengths)
            fresh &= ~through
        return starts, lengths, fresh


class ChainLoader:
    """The batches of several loaders, one loader after the other: what an evaluation reads in one pass.

    Args:
        loaders: at least one.
    """

    def __init__(self, loaders: Sequence[Loader]) -> None:
        assert loaders, "a chain of no loaders"
        self._loaders = tuple(loaders)

    def __len__(self) -> int:
        """Batches of all loaders."""
        return sum(map(len, self._loaders))

    @property
    def padding(self) -> float:
        """Share of padded cells: each loader's own, weighed by its batches."""
        return sum(loader.padding * len(loader) for loader in self._loaders) / len(self)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of ``epoch`` from the ``start``-th on; those before are made and passed over."""
        return islice(chain.from_iterable(loader.epoch(epoch) for loader in self._loaders), start, None)


def _bounds(tokens: Tokens, batch_size: int, length: int, seed: int) -> np.ndarray:
    """Where reading begins anew, and the number of questions: ``(segments + 1,)`` int64, ascending."""
    for name, size in (("batch_size", batch_size), ("length", length)):
        if size < 1:
            raise InputError(f"{name} must be at least 1, not {size}.")
    if seed < 0:
        raise InputError(f"seed must not be negative, but it is {seed}.")
    if len(tokens) < 2:
        raise InputError(
            f"the text has {len(tokens)} token{'s' * (len(tokens) != 1)}, but 2 are needed, one to read and one to "
            "predict: bring a longer text."
        )
    return np.unique(np.append(tokens.resets, len(tokens) - 1))


def _releaser(ids: np.ndarray) -> Callable[[int], None]:
    """What gives the pages of a large file that is mapped back now and then: they stay in the system's cache.

    Around each page that is read the system maps a hundred others that it has at hand, and counts them all as ours.
    """
    found: object = ids
    while isinstance(found, np.ndarray) and not isinstance(found, np.memmap):
        found = found.base
    advice = getattr(mmap, "MADV_DONTNEED", None)  # not everywhere
    file = found.base if isinstance(found, np.memmap) and found.mode == "r" else None
    if advice is None or not isinstance(file, mmap.mmap) or ids.nbytes < _LARGE:
        return lambda number: None
    return lambda number: file.madvise(advice) if number % _RELEASE == 0 else None


def _batch(
    ids: np.ndarray, starts: np.ndarray, lengths: np.ndarray, width: int, pad_id: int, fresh: np.ndarray | None = None
) -> Batch:
    """Rows of ``lengths`` questions from ``starts`` on, padded to ``width``."""
    # Beyond a row's end stands another document, or nothing: what was gathered there is masked.
    cells = ids.take(starts[:, None] + np.arange(width + 1), mode="clip")
    inputs, targets = (part.astype(np.int64) for part in (cells[:, :-1], cells[:, 1:]))
    if lengths.min() < width:
        padded = np.arange(width) >= lengths[:, None]
        inputs[padded] = targets[padded] = pad_id
    return Batch(
        torch.from_numpy(inputs),
        torch.from_numpy(lengths),
        torch.from_numpy(targets),
        torch.from_numpy(starts),
        None if fresh is None else torch.from_numpy(fresh),
    )
