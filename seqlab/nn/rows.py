"""How a recurrent stack lays out a batch: time first, longest rows first, so that no step ever reads padding."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqlab.errors import shorten
from seqlab.nn.plain import plain_only
from seqlab.types import InputError


class Rows:
    """The order in which a batch's rows are worked on, and how tensors get into that order and back.

    Every map between the two layouts is a permutation of the ``B * T`` positions, padding included, so that it and its
    gradient are one gather each.

    Args:
        lengths: ``(B,)`` int64 on the CPU.
        B: rows.
        T: padded length.
        device: where the tensors lie.

    Attributes:
        full: whether every row is known to have ``T`` steps.
        active: how many (first) rows are alive at each of the ``T`` steps; None when every row is full.
        alive: instead, while torch traces, ``(T, B)`` bool: which rows are. Nothing is then sorted, and nothing depends
            on what the lengths are: the trace is right for any others.

    Raises:
        InputError: there are not ``B`` lengths, or one is negative or more than ``T``.
    """

    def __init__(self, lengths: Tensor, B: int, T: int, device: torch.device) -> None:
        self.T, self.B, self.device = T, B, device
        self.traced = plain_only(lengths)
        self.full = not self.traced and check_lengths(lengths, B, T) == T
        self.kept = self.full or self.traced
        self.active: list[int] | None = None
        self.lengths = lengths
        if self.traced:
            self.order = self.back = torch.arange(B)
        elif not self.full:
            self.lengths, self.order = lengths.sort(descending=True, stable=True)
            self.back = torch.empty_like(self.order)
            self.back[self.order] = torch.arange(self.B)
            self.active = (self.B - torch.searchsorted(self.lengths.flip(0), torch.arange(T), right=True)).tolist()

    def enter(self, x: Tensor) -> Tensor:
        """``(B, T, ...)`` as the caller has it to ``(T, B, ...)`` as the layers read it."""
        return x.transpose(0, 1) if self.kept else self._move(x, self._in, self._out, (self.T, self.B))

    def leave(self, x: Tensor) -> Tensor:
        """``(T, B, ...)`` back to the caller's ``(B, T, ...)``."""
        return x.transpose(0, 1) if self.kept else self._move(x, self._out, self._in, (self.B, self.T))

    def reverse(self, x: Tensor) -> Tensor:
        """``(T, B, ...)`` with each row's own steps in reverse order; padding stays where it is."""
        return x.flip(0) if self.full else self._move(x, self._turn, self._turn, (self.T, self.B))

    def sort(self, part: Tensor) -> Tensor:
        """One vector a row, ``(B, ...)``, from the caller's order to the layers'."""
        return part if self.kept else part.index_select(0, self.order.to(part.device))

    def unsort(self, part: Tensor) -> Tensor:
        """The way back of ``sort``."""
        return part if self.kept else part.index_select(0, self.back.to(part.device))

    def last(self, x: Tensor, initial: Tensor) -> Tensor:
        """``(B, ...)``: ``x`` ``(T, B, ...)`` at each row's last step; ``initial`` for a row without any."""
        if self.full:
            return x[-1]
        rows = torch.arange(self.B)
        last = x[(self.lengths - 1).clamp(min=0).to(x.device), rows.to(x.device)]
        return torch.where(self._alive[-1].view(-1, *[1] * (last.ndim - 1)), last, initial)

    def padding(self) -> Tensor:
        """``(T, B, 1)`` bool: True where a position is padding."""
        return self._alive[:-1].logical_not().unsqueeze(2)

    @property
    def alive(self) -> Tensor | None:
        """``(T, B)`` bool while torch traces, else None, see ``Rows``."""
        return self._alive[:-1] if self.traced else None

    @cached_property
    def _alive(self) -> Tensor:
        """``(T + 1, B)`` bool: whether a row is alive at a step; the last line says whether it ever is."""
        steps = torch.arange(self.T).unsqueeze(1)
        return torch.cat((steps < self.lengths, self.lengths.unsqueeze(0) > 0)).to(self.device)

    @cached_property
    def _in(self) -> Tensor:
        return (self.order * self.T + torch.arange(self.T).unsqueeze(1)).flatten().to(self.device)

    @cached_property
    def _out(self) -> Tensor:
        return (self.back.unsqueeze(1) + self.B * torch.arange(self.T)).flatten().to(self.device)

    @cached_property
    def _turn(self) -> Tensor:
        steps = torch.arange(self.T).unsqueeze(1)
        steps = torch.where(steps < self.lengths, self.lengths - 1 - steps, steps)
        return (steps * self.B + torch.arange(self.B)).flatten().to(self.device)

    def _move(self, x: Tensor, there: Tensor, back: Tensor, shape: tuple[int, int]) -> Tensor:
        flat = x.flatten(0, 1)
        moved: Tensor = flat.index_select(0, there) if self.traced else _Permutation.apply(flat, there, back)
        return moved.view(*shape, *x.shape[2:])


class _Permutation(torch.autograd.Function):
    """Positions in another order. Ordinary indexing would scatter-add backwards: 2 to 10 times slower."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, there: Tensor, back: Tensor) -> Tensor:
        return x.index_select(0, there)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        there, back = ctx.saved_tensors
        return _Permutation.apply(grads[0], back, there), None, None


Lengths = Tensor | Sequence[int] | np.ndarray | None
"""How callers may say how long rows are; None: all are as long as their tensor."""


def as_lengths(lengths: Lengths, inputs: Tensor) -> Tensor:
    """``lengths`` as int64 on the CPU, for ``inputs`` ``(B, T, ...)``.

    Raises:
        InputError: ``inputs`` are not real numbers of that shape, or ``lengths`` are not whole numbers.
    """
    if inputs.ndim < 3 or not inputs.is_floating_point():
        raise InputError(
            f"the encoder reads real numbers of shape (B, T, E), not {inputs.dtype} of shape {tuple(inputs.shape)}"
        )
    if lengths is None:
        return torch.full((inputs.shape[0],), inputs.shape[1])
    if not isinstance(lengths, Tensor):
        try:
            lengths = torch.as_tensor(lengths) if len(lengths) else torch.empty(0, dtype=torch.int64)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"lengths={shorten(lengths)} cannot be read: give one whole number a row") from error
    if lengths.dtype is torch.bool or lengths.is_floating_point() or lengths.is_complex() or lengths.ndim != 1:
        raise InputError(
            f"lengths are {lengths.dtype} of shape {tuple(lengths.shape)}: give one whole number for each row, (B,)"
        )
    return lengths.to("cpu", torch.int64) if not lengths.is_meta else lengths


def check_lengths(lengths: Tensor, B: int, T: int) -> int:
    """Refuse lengths that do not belong to a batch of ``B`` rows of ``T`` steps; answer the shortest (``T`` of none).

    Raises:
        InputError: there are not ``B`` of them, or one is negative or more than ``T``.
    """
    values: list[int] = lengths.tolist()  # whose min and max are cheaper than two reductions of a tensor
    if len(values) != B:
        raise InputError(f"there are {len(values)} lengths for a batch of {B}: give one length for each row")
    shortest, longest = min(values, default=T), max(values, default=T)
    if shortest < 0 or longest > T:
        wrong = longest if longest > T else shortest
        raise InputError(
            f"length {wrong} of row {values.index(wrong)} does not fit inputs of {T} steps: lengths run from 0 to {T}"
        )
    return shortest
