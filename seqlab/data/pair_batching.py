"""Batches of pairs: which stand together, in which order, and how both sides are padded."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from seqlab.data.batching import Ordering, check_sizes, padded
from seqlab.types import Batch, InputError, Pairs

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Side:
    """The rows of one side: where each begins, its ids in all, and what it alone would be padded to."""

    values: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    widths: np.ndarray

    def rows(self, rows: np.ndarray, width: int, pad_id: int) -> np.ndarray:
        """``(B, width)`` int64."""
        return padded(self.values, self.starts[rows], self.lengths[rows], np.arange(width), pad_id)


@dataclass(frozen=True)
class _Plan:
    """One epoch: batch ``i`` is rows ``index[bounds[i]:bounds[i + 1]]``, padded to ``source_widths[i]`` and so on."""

    epoch: int
    index: np.ndarray
    bounds: list[int]
    source_widths: list[int]
    target_widths: list[int]


class PairLoader:
    """Batches of pairs of like lengths, in an order that is a pure function of ``(seed, epoch)``.

    They are laid out by an ``Ordering`` by both lengths, see ``like_lengths``. Without shuffling they come longest
    first, so that an epoch too large for the memory says so at once; ``Batch.index`` tells which rows of the split they
    are.

    Lengths count EOS and not START: ``T`` of the source, ``U`` of what is asked of the target. ``Batch.targets`` is
    ``(B, 1 + U)``, START first. ``Batch.texts`` holds the rows' texts where the split has them.

    Args:
        split: the pairs.
        pad_id: what fills a row of either side after its last id.
        batch_size: pairs in a batch, the last one of an epoch may hold fewer; unused with ``max_batch_tokens``.
        max_batch_tokens: instead of ``batch_size``: as many pairs as keep ``B * max(T, U)``, padding included, within
            this.
        max_length: with shuffling, pairs of which a side is longer than this are left out (cut in half they would not
            be translations); None for never. Without, nothing is ever left out or cut: what is measured is measured
            whole, and a pair beyond the budget makes a batch of its own.
        seed: with the epoch's number, decides the order.
        shuffle: False for evaluation.
        round_to: ``T`` and ``U`` are multiples of this.
        pool: batches in a pool; more means less padding and less mixing of lengths, 1 means no buckets.

    Raises:
        InputError: a size below 1, no pairs (or none that is short enough), a budget below the longest pair.
    """

    def __init__(
        self,
        split: Pairs,
        *,
        pad_id: int,
        batch_size: int = 64,
        max_batch_tokens: int | None = None,
        max_length: int | None = None,
        seed: int = 0,
        shuffle: bool = True,
        round_to: int = 1,
        pool: int = 100,
    ) -> None:
        check_sizes(
            seed,
            batch_size=batch_size,
            max_batch_tokens=max_batch_tokens,
            max_length=max_length,
            round_to=round_to,
            pool=pool,
        )
        if len(split) == 0:
            raise InputError("there are no pairs to make batches of.")
        self._pad_id, self._texts = pad_id, split.texts
        self._source, self._target = (
            _Side(ragged.values, ragged.offsets[:-1], ragged.lengths, _rounded(ragged.lengths - before, round_to))
            for ragged, before in ((split.sources, 0), (split.targets, 1))
        )
        lengths, asked = self._source.lengths, self._target.lengths - 1
        assert min(lengths.min(), asked.min()) >= 1, "every row has an EOS, and targets a START before"
        longest = np.maximum(lengths, asked)
        self._rows = np.arange(len(split))
        if shuffle and max_length is not None:
            self._rows = np.flatnonzero(longest <= max_length)
            self._tell_left_out(len(split), max_length)
        widths = np.maximum(self._source.widths, self._target.widths)[self._rows]
        if shuffle and max_batch_tokens is not None and max_batch_tokens < widths.max():
            raise InputError(
                f"max_batch_tokens={max_batch_tokens} cannot hold the longest pair, {widths.max()} tokens with "
                "padding: raise it, or set a smaller max_length."
            )
        keys = like_lengths(lengths, asked)[self._rows]
        self._ordering = Ordering(keys, widths, batch_size, max_batch_tokens, seed, shuffle, False, pool)
        self._plan = self._lay_out(0)
        self._num_batches = len(self._plan.bounds) - 1

    def _tell_left_out(self, pairs: int, max_length: int) -> None:
        if len(self._rows) == 0:
            raise InputError(f"every pair is longer than max_length={max_length} tokens: raise it.")
        if len(self._rows) < pairs:
            log.info(
                "%s of %s pairs are longer than max_length=%d tokens: they are left out of training",
                f"{pairs - len(self._rows):,}",
                f"{pairs:,}",
                max_length,
            )

    def __len__(self) -> int:
        """Batches in epoch 0; with ``max_batch_tokens`` other epochs may differ, see ``num_batches``."""
        return self._num_batches

    def num_batches(self, epoch: int) -> int:
        """Batches in ``epoch``: a pure function; the same for every epoch unless a token budget makes them."""
        return self._num_batches if self._ordering.max_batch_tokens is None else len(self._planned(epoch).bounds) - 1

    @property
    def padding(self) -> float:
        """Share of padded cells on both sides, exact, in the epoch begun last (before any: in epoch 0)."""
        plan = self._plan
        cells = int((np.diff(plan.bounds) * (np.array(plan.source_widths) + plan.target_widths)).sum())
        filled = self._source.lengths[plan.index].sum() + (self._target.lengths[plan.index] - 1).sum()
        return 1 - int(filled) / cells

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of ``epoch`` from the ``start``-th on; the order is the same whatever was asked before."""
        plan = self._plan = self._planned(epoch)
        for batch in range(start, len(plan.bounds) - 1):
            rows = plan.index[plan.bounds[batch] : plan.bounds[batch + 1]]
            yield Batch(
                inputs=torch.from_numpy(self._source.rows(rows, plan.source_widths[batch], self._pad_id)),
                lengths=torch.from_numpy(self._source.lengths[rows]),
                targets=torch.from_numpy(self._target.rows(rows, 1 + plan.target_widths[batch], self._pad_id)),
                index=torch.from_numpy(rows),
                target_lengths=torch.from_numpy(self._target.lengths[rows] - 1),
                texts=self._texts_of(rows),
            )

    def _texts_of(self, rows: np.ndarray) -> tuple[Sequence[str], Sequence[str]]:
        sources, targets = ([side[row] for row in rows.tolist()] if len(side) else () for side in self._texts)
        return sources, targets

    def _planned(self, epoch: int) -> _Plan:
        return self._plan if self._plan.epoch == epoch else self._lay_out(epoch)

    def _lay_out(self, epoch: int) -> _Plan:
        order, bounds = self._ordering.batches(epoch)
        index = self._rows[order]
        source, target = (
            np.maximum.reduceat(side.widths[index], bounds[:-1]).tolist() for side in (self._source, self._target)
        )
        return _Plan(epoch, index, bounds.tolist(), source, target)


def like_lengths(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """``(rows,)`` int64: sorted by these, neighbours have like lengths on both sides, ``source`` and ``target``.

    First comes how long the longer side is, then by how much the target is longer: rising and falling in turn, like a
    snake, so that the last pairs of one length also resemble the first of the next. On Multi30k in batches of 64, 4 %
    of the cells are padding; 9 % when sorted by target length and then by source length.
    """
    longest, longer = np.maximum(source, target), target - source
    return longest * (2 * int(longest.max(initial=0)) + 1) + np.where(longest % 2 == 1, longer, -longer)


def _rounded(lengths: np.ndarray, round_to: int) -> np.ndarray:
    return -(-lengths // round_to) * round_to
