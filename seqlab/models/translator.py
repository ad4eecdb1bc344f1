"""What every translation model can do: be taught whole sentences, and write one token by token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Spoken:
    """What a translation model answers while it is taught.

    Attributes:
        logits: ``(B, U, V)`` of the token after each target step.
        attention: ``(B, U, T)``: where in the source each step looked, rows sum to 1 over what is no padding; None for
            a model that does not look.
    """

    logits: Tensor
    attention: Tensor | None = None


@dataclass(frozen=True)
class Memory:
    """All that a model knows of some sentences while it writes their translations, row by row.

    Attributes:
        source: of the source alone (keys, values, lengths): the same at every step; each ``(B, ...)``.
        state: of what was written; each ``(B, ...)``.
    """

    source: tuple[Tensor, ...]
    state: tuple[Tensor, ...]

    def select(self, rows: Tensor) -> Memory:
        """The memories of ``rows`` ``(N,)`` int64, in that order, each maybe more than once: beams that go on."""
        return Memory(*(tuple(part.index_select(0, rows) for part in each) for each in (self.source, self.state)))


class Translator(Protocol):
    """A translation model; an ``nn.Module``. In evaluation a row's answers depend on that row alone."""

    training: bool

    def __call__(
        self, inputs: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor, forcing: float = 1.0
    ) -> Spoken:
        """Read sources and the targets so far, and say what comes next after each target step.

        Args:
            inputs: ``(B, T)`` source ids.
            lengths: ``(B,)`` int64 on the CPU.
            targets: ``(B, U)`` ids, beginning with START.
            target_lengths: ``(B,)`` int64 on the CPU, how many steps of ``targets`` count.
            forcing: probability with which a step reads the true token rather than what the model says itself.
        """
        ...

    def begin(self, inputs: Tensor, lengths: Tensor) -> Memory:
        """Read sources ``(B, T)`` with ``lengths`` ``(B,)``; nothing is written yet."""
        ...

    def step(self, memory: Memory, ids: Tensor) -> tuple[Tensor, Memory, Tensor | None]:
        """Read the token written last, ``ids`` ``(B,)`` (START at first).

        Returns:
            Logits ``(B, V)`` of the next, float32; the memory after it; and ``(B, T)`` where it looked, or None.
        """
        ...

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        ...


@torch.no_grad()
def own_words(model: Any, inputs: Tensor, lengths: Tensor, targets: Tensor, forcing: float) -> Tensor:
    """What a translator reads where it is not always told the truth (scheduled sampling: Bengio et al. 2015).

    It writes step by step, without gradient and dropout; what it has read so is then read at once, to learn from.

    Args:
        model: a ``Translator``.
        inputs: ``(B, T)`` source ids.
        lengths: ``(B,)`` int64 on the CPU.
        targets: ``(B, U)`` ids, beginning with START.
        forcing: probability with which a step after the first reads the true token.

    Returns:
        ``(B, U)``: at each step the true token, or the likeliest after what was read before.
    """
    B, U = targets.shape
    # Drawn step by step, so that more padding changes no draw.
    true = (torch.rand(U, B) < forcing).to(targets.device)
    with _without_dropout(model):
        memory, read = model.begin(inputs, lengths), [targets[:, 0]]
        for u in range(1, U):
            logits, memory, _ = model.step(memory, read[-1])
            read.append(torch.where(true[u], targets[:, u], logits.argmax(1)))
    return torch.stack(read, 1)


@contextmanager
def _without_dropout(model: nn.Module) -> Iterator[None]:
    """``model`` in evaluation mode for a while; then each part is in the mode in which it was."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
