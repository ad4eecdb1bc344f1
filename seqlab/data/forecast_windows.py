"""Windows over series: the rows before an origin and those from it on; nothing is copied but the batch at hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

from seqlab.data.scaling import Scaling
from seqlab.data.series import Series
from seqlab.types import Batch, InputError


@dataclass(frozen=True)
class Windows:
    """Windows by their origins: with origin ``o``, rows ``o - T`` to ``o - 1`` are read, ``o`` to ``o + H - 1`` asked.

    Attributes:
        inputs: ``(N, F)`` float32, contiguous: targets, past columns, then the ``G`` columns known beforehand; scaled.
            All parts share it.
        targets: ``(N, K)`` float32, NaN where nothing was measured; may be a view of ``inputs``.
        origins: ``(W,)`` int64.
        lookback: ``T``.
        horizon: ``H``.
        num_future: ``G``.
    """

    inputs: np.ndarray
    targets: np.ndarray
    origins: np.ndarray
    lookback: int
    horizon: int
    num_future: int = 0

    def __post_init__(self) -> None:
        if len(self.origins):  # a negative row would be read from the end, without a word
            first, last = int(self.origins.min()) - self.lookback, int(self.origins.max()) + self.horizon
            assert 0 <= first < last <= len(self.inputs), f"rows {first} to {last} of {len(self.inputs)}"

    def __len__(self) -> int:
        return len(self.origins)

    def batch(self, origins: np.ndarray) -> Batch:
        """The windows of these origins ``(B,)``."""
        known = self.inputs[:, self.inputs.shape[1] - self.num_future :]
        return Batch(
            torch.from_numpy(_rows(self.inputs, origins - self.lookback, self.lookback)),
            torch.full((len(origins),), self.lookback),
            torch.from_numpy(_rows(self.targets, origins, self.horizon)),
            torch.from_numpy(origins),
            future=torch.from_numpy(_rows(known, origins, self.horizon)) if self.num_future else None,
        )


class ForecastLoader:
    """Batches of windows in an order that is a pure function of ``(seed, epoch)``; in their own order unshuffled.

    Args:
        windows: all of an epoch, each read once.
        batch_size: windows in a batch; the last one of an epoch may hold fewer.
        seed: with the epoch's number, decides the order.
        shuffle: False for evaluation.

    Raises:
        InputError: a size below 1, a negative seed, or no windows.
    """

    padding = 0.0
    """Windows are all of one length."""

    def __init__(self, windows: Windows, *, batch_size: int = 32, seed: int = 0, shuffle: bool = True) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1, not {batch_size}.")
        if seed < 0:
            raise InputError(f"seed must not be negative, but it is {seed}.")
        if len(windows) == 0:
            raise InputError("there are no windows to make batches of.")
        self._windows, self._batch_size, self._seed, self._shuffle = windows, batch_size, seed, shuffle

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-len(self._windows) // self._batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of ``epoch`` from the ``start``-th on."""
        origins = self._windows.origins
        if self._shuffle:
            origins = np.random.default_rng([self._seed, epoch]).permutation(origins)
        for first in range(start * self._batch_size, len(origins), self._batch_size):
            yield self._windows.batch(origins[first : first + self._batch_size].copy())


def windows_over(series: Series, scaling: Scaling, origins: np.ndarray, lookback: int, horizon: int) -> Windows:
    """Windows over all rows of ``series``, scaled."""
    width, targets = series.values.shape[1], len(series.targets)
    inputs = np.empty((len(series), width + len(series.ahead)), dtype=np.float32)
    scaling.transform(series, out=inputs[:, :width])
    for number in range(len(series.ahead)):  # one at a time: float64 of all would be twice the data
        inputs[:, width + number] = scaling.transform_known(series.known, slice(number, number + 1))[:, 0]
    asked = inputs[:, :targets]
    if series.measured is not None and not series.measured.all():
        asked = np.where(series.measured, asked, np.float32(np.nan))
    return Windows(inputs, asked, origins, lookback, horizon, len(series.ahead))


def _rows(array: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """``(B, length, C)``: so many rows of ``array`` ``(N, C)`` from each of ``starts`` ``(B,)`` on; a copy."""
    # Windows first, rows and columns behind them: numpy then copies run by run instead of row by row.
    return sliding_window_view(array, length, axis=0).transpose(0, 2, 1)[starts]
