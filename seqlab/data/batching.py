"""Batches of a split: which rows stand together, in which order, and how they are padded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from seqlab.types import Batch, InputError, Split


@dataclass(frozen=True)
class Ordering:
    """Which rows stand together in a batch, in an order that is a pure function of ``(seed, epoch)``.

    An epoch: shuffle all rows; cut them in pools of ``pool`` batches; sort each pool by ``keys``; cut it in batches;
    shuffle the batches. Without shuffling, rows come by falling ``keys``.

    Attributes:
        keys: ``(rows,)`` integers: rows with near ones belong together.
        widths: ``(rows,)``: what each row alone would be padded to; a batch is as wide as its widest row.
        batch_size: rows in a batch, the last one of an epoch may hold fewer; unused with ``max_batch_tokens``.
        max_batch_tokens: instead: as many rows as keep rows times width within this (a wider row stands alone).
        seed: with the epoch's number, decides the order.
        shuffle: False for evaluation.
        drop_last: leave out, by lot, the rows that do not fill a batch of ``batch_size``.
        pool: batches in a pool.
    """

    keys: np.ndarray
    widths: np.ndarray
    batch_size: int
    max_batch_tokens: int | None
    seed: int
    shuffle: bool
    drop_last: bool
    pool: int

    def batches(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows in their order, and where each batch begins (with the end of the last)."""
        rows = len(self.keys)
        if not self.shuffle:
            index = np.argsort(-self.keys, kind="stable")
            return index, self._cut(index, rows)
        generator = np.random.default_rng([self.seed, epoch])
        index = generator.permutation(rows)
        if self.drop_last and self.max_batch_tokens is None:
            index = index[: rows // self.batch_size * self.batch_size]
        pool_rows = self.pool * self._rows_a_batch()
        index = index[np.lexsort((self.keys[index], np.arange(len(index)) // pool_rows))]
        bounds = self._cut(index, pool_rows)
        order = generator.permutation(len(bounds) - 1)
        sizes = np.diff(bounds)[order]
        moved = np.concatenate(([0], np.cumsum(sizes)))
        within = np.arange(moved[-1]) - np.repeat(moved[:-1], sizes)
        return index[np.repeat(bounds[order], sizes) + within], moved

    def _rows_a_batch(self) -> int:
        """Rows in a batch: exactly, or on average with a token budget."""
        if self.max_batch_tokens is None:
            return self.batch_size
        return max(1, int(self.max_batch_tokens / self.widths.mean()))

    def _cut(self, index: np.ndarray, pool_rows: int) -> np.ndarray:
        """Bounds of the batches in rows that are sorted within pools."""
        budget = self.max_batch_tokens
        if budget is None:
            return np.append(np.arange(0, len(index), self.batch_size), len(index))
        bounds, first, widest = [0], 0, 0
        for row, width in enumerate(self.widths[index].tolist()):
            widest = max(widest, width)
            if row > first and (row % pool_rows == 0 or widest * (row + 1 - first) > budget):
                bounds.append(row)
                first, widest = row, width
        return np.array([*bounds, len(index)])


def check_sizes(seed: int, **sizes: int | None) -> None:
    """Refuse what no loader can do.

    Raises:
        InputError: a size below 1, or a negative seed.
    """
    for name, size in sizes.items():
        if size is not None and size < 1:
            raise InputError(f"{name} must be at least 1, not {size}.")
    if seed < 0:
        raise InputError(f"seed must not be negative, but it is {seed}.")


def padded(values: np.ndarray, starts: np.ndarray, lengths: np.ndarray, columns: np.ndarray, pad_id: int) -> np.ndarray:
    """Rows gathered side by side: ``(B, width)`` int64, ``pad_id`` behind each row's end.

    Args:
        values: all rows in one array, not empty.
        starts: ``(B,)``: where each row begins.
        lengths: ``(B,)``: how long it is.
        columns: ``arange(width)``.
    """
    cells = values.take(starts[:, None] + columns, mode="clip")
    # What was gathered beyond a row's end belongs to the next row.
    return np.where(columns < lengths[:, None], cells, np.array([pad_id]))


@dataclass(frozen=True)
class _Plan:
    """One epoch, laid out: batch ``i`` is rows ``index[bounds[i]:bounds[i + 1]]``, padded to ``widths[i]``.

    All but ``bounds`` and ``widths`` are aligned with ``index``, so that a batch is made of slices.
    """

    epoch: int
    index: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    targets: np.ndarray
    bounds: list[int]
    widths: list[int]


class BucketLoader:
    """Batches of rows of like length, in an order that is a pure function of ``(seed, epoch)``.

    They are laid out by an ``Ordering`` by length. So batches hold little padding, and which rows meet still changes
    from epoch to epoch. Without shuffling, rows come longest first, so that an epoch too large for the memory says so
    at once; ``Batch.index`` tells which rows of the split they are.

    A text longer than ``max_length`` is cut; an empty one is kept with length 0 (``T`` is at least 1).

    Args:
        split: the rows.
        pad_id: what fills a row after its last token.
        batch_size: examples in a batch, the last one of an epoch may hold fewer; unused with ``max_batch_tokens``.
        max_batch_tokens: instead of ``batch_size``: as many examples as keep ``B * T``, padding included, within this.
        max_length: longer texts are cut to this many tokens; None for never.
        truncate: which end of a long text is kept.
        seed: with the epoch's number, decides the order.
        shuffle: False for evaluation.
        drop_last: leave out, by lot, the rows that do not fill a batch of ``batch_size``.
        round_to: ``T`` is a multiple of this, up to ``max_length``: fewer distinct shapes keep the allocator calm.
        pool: batches in a pool; more means less padding and less mixing of lengths, 1 means no buckets.

    Raises:
        InputError: a size below 1, no rows, fewer rows than one batch with ``drop_last``, a budget below the longest
            text.
    """

    def __init__(
        self,
        split: Split,
        *,
        pad_id: int,
        batch_size: int = 32,
        max_batch_tokens: int | None = None,
        max_length: int | None = None,
        truncate: Literal["head", "tail"] = "head",
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        round_to: int = 8,
        pool: int = 50,
    ) -> None:
        check_sizes(
            seed,
            batch_size=batch_size,
            max_batch_tokens=max_batch_tokens,
            max_length=max_length,
            round_to=round_to,
            pool=pool,
        )
        if truncate not in ("head", "tail"):
            raise InputError(f"truncate must be head or tail (the end that is kept), not {truncate!r}.")
        offsets, full = split.tokens.offsets, split.tokens.lengths
        self._lengths = full if max_length is None else np.minimum(full, max_length)
        self._starts = offsets[:-1] + (full - self._lengths if truncate == "tail" else 0)
        self._targets = split.targets
        self._type = np.float32 if split.targets.dtype.kind == "f" else np.int64
        # One cell to gather from where every text is empty.
        self._values = split.tokens.values if len(split.tokens.values) else np.zeros(1, dtype=np.int32)
        # What a row alone would be padded to; a batch is as wide as its widest row.
        rounded = np.maximum(-(-self._lengths // round_to), 1) * round_to
        self._widths = rounded if max_length is None else np.minimum(rounded, max_length)
        self._positions = np.arange(int(self._widths.max(initial=1)))
        self._pad_id = pad_id
        self._ordering = Ordering(
            self._lengths, self._widths, batch_size, max_batch_tokens, seed, shuffle, drop_last, pool
        )
        self._check(len(split))
        self._plan = self._lay_out(0)
        self._num_batches = len(self._plan.widths)

    def _check(self, rows: int) -> None:
        if rows == 0:
            raise InputError("there are no examples to make batches of.")
        budget, batch_size = self._ordering.max_batch_tokens, self._ordering.batch_size
        if budget is not None and budget < len(self._positions):
            raise InputError(
                f"max_batch_tokens={budget} cannot hold the longest text, {len(self._positions)} tokens with padding: "
                "raise it, or set a smaller max_length."
            )
        if budget is None and self._ordering.drop_last and rows < batch_size:
            raise InputError(
                f"drop_last leaves nothing of {rows} examples in batches of {batch_size}: lower batch_size."
            )

    def __len__(self) -> int:
        """Batches in epoch 0; with ``max_batch_tokens`` other epochs may differ, see ``num_batches``."""
        return self._num_batches

    def num_batches(self, epoch: int) -> int:
        """Batches in ``epoch``: a pure function; the same for every epoch unless a token budget makes them."""
        return self._num_batches if self._ordering.max_batch_tokens is None else len(self._planned(epoch).widths)

    @property
    def padding(self) -> float:
        """Share of padded cells, exact, in the epoch begun last (before any: in epoch 0)."""
        plan = self._plan
        cells = int((np.diff(plan.bounds) * plan.widths).sum())
        return 1 - int(plan.lengths.sum()) / cells

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of ``epoch`` from the ``start``-th on; the order is the same whatever was asked before."""
        plan = self._plan = self._planned(epoch)
        index, starts, lengths, targets, from_numpy = (
            plan.index,
            plan.starts,
            plan.lengths,
            plan.targets,
            torch.from_numpy,
        )
        for first, end, width in zip(plan.bounds[start:], plan.bounds[start + 1 :], plan.widths[start:], strict=False):
            length = lengths[first:end]
            inputs = padded(self._values, starts[first:end], length, self._positions[:width], self._pad_id)
            yield Batch(
                from_numpy(inputs), from_numpy(length), from_numpy(targets[first:end]), from_numpy(index[first:end])
            )

    def _planned(self, epoch: int) -> _Plan:
        return self._plan if self._plan.epoch == epoch else self._lay_out(epoch)

    def _lay_out(self, epoch: int) -> _Plan:
        index, bounds = self._ordering.batches(epoch)
        lengths = self._lengths[index]
        return _Plan(
            epoch=epoch,
            index=index,
            starts=self._starts[index],
            lengths=lengths,
            targets=self._targets[index].astype(self._type, copy=False),
            bounds=bounds.tolist(),
            widths=np.maximum.reduceat(self._widths[index], bounds[:-1]).tolist(),
        )
