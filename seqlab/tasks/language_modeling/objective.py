"""Language modeling: the next token, at every step of a text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.tasks.language_modeling.task import LanguageModelingTask
from seqlab.types import Batch, InputError, Loss, mask


class LanguageModeling:
    """Cross-entropy of the next token; the loss on validation decides.

    Two protocols, each named for what it is: ``cold_256`` reads windows of 256 tokens, each from a zero state and each
    token asked for once, as nanoGPT measures; ``stream`` reads the whole part from its beginning to its end, the
    state carried along.

    Args:
        num_outputs: size of the vocabulary, ``V``.
        characters: ``(V,)``: how many characters each token stands for, for bits per character; None where tokens do
            not give the text back.
        cold: length of the cold windows, for the metrics' names.
        decides: ``cold`` or ``stream``: whose loss is monitored.
        label_smoothing: in training only, see ``Classification``.
        activation: weight of the mean square of what the output layer reads, in training only (AR: Merity et al. 2017).
        temporal_activation: weight of the mean square of how much the encoder's outputs change from step to step, in
            training only (TAR, as there).
    """

    task = LanguageModelingTask

    maximize = False

    def __init__(
        self,
        num_outputs: int,
        characters: Sequence[int] | np.ndarray | None = None,
        cold: int = 256,
        decides: Literal["cold", "stream"] = "cold",
        label_smoothing: float = 0.0,
        activation: float = 0.0,
        temporal_activation: float = 0.0,
    ) -> None:
        if num_outputs < 2:
            raise InputError(f"Language modeling needs at least two tokens, the vocabulary has {num_outputs}.")
        if decides not in ("cold", "stream"):
            raise InputError(f"task.decides is {decides!r}; choose cold or stream.")
        if not 0.0 <= label_smoothing < 1.0:
            raise InputError(f"label_smoothing is {label_smoothing}; give a share from 0 up to, but not, 1.")
        for name, weight in (("activation", activation), ("temporal_activation", temporal_activation)):
            if weight < 0:
                raise InputError(f"{name} is {weight}; give a weight from 0 up.")
        self.num_outputs, self.cold, self.label_smoothing = num_outputs, cold, label_smoothing
        self.activation, self.temporal_activation = activation, temporal_activation
        self.characters = None if characters is None else torch.as_tensor(np.asarray(characters), dtype=torch.int64)
        self.headline: tuple[str, ...] = (f"cold_{cold}_loss", "stream_loss")
        self.monitor = f"cold_{cold}_loss" if decides == "cold" else "stream_loss"

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Sum over the steps of all rows, in nats and in float32 whatever the model computes in."""
        said = model(batch.inputs, batch.lengths, batch.state)
        logits: Tensor = said.logits.float()
        B, T = batch.targets.shape
        smoothing = self.label_smoothing if model.training else 0.0
        each = F.cross_entropy(
            logits.flatten(0, 1), batch.targets.flatten(), reduction="none", label_smoothing=smoothing
        )
        each = each.view(B, T)
        count = batch.tokens
        if count < B * T:
            each = each.masked_fill(~mask(batch.lengths, T, each.device), 0.0)
        total = each.sum()
        if model.training and (self.activation or self.temporal_activation):
            total = total + count * self._penalty(said, batch.lengths)
        state = () if batch.fresh is None else said.encoded.state  # gathered only where it is asked for
        return Loss(total, count, logits, each.detach(), state)

    def _penalty(self, said: Any, lengths: Tensor) -> Tensor:
        """Both regularisers: means over the steps that count, so that padding weighs nothing."""
        dropped, outputs = said.dropped.float(), said.encoded.outputs.float()
        T, D = outputs.shape[1:]
        counted = mask(lengths, T, outputs.device).unsqueeze(2)
        penalty = self.activation * (dropped.square() * counted).sum() / (counted.sum() * D).clamp(min=1)
        if self.temporal_activation and T > 1:
            both = counted[:, 1:]  # a step that counts has one before it that does
            change = (outputs[:, 1:] - outputs[:, :-1]).square() * both
            penalty = penalty + self.temporal_activation * change.sum() / (both.sum() * D).clamp(min=1)
        return penalty

    def meter(self) -> LanguageMeter:
        """A fresh meter for one pass."""
        return LanguageMeter(self.cold, self.characters)


class LanguageMeter:
    """Nats, perplexity and bits per character of one pass, cold and in a stream; cold loss by position.

    Args:
        cold: length of the cold windows.
        characters: ``(V,)`` characters that each token stands for, or None.
    """

    def __init__(self, cold: int, characters: Tensor | None = None) -> None:
        self._cold, self._characters = cold, characters
        self._nats: dict[str, list[Tensor]] = {}
        self._tokens: dict[str, int] = {}
        self._letters: dict[str, int] = {}
        self._positions: list[tuple[Tensor, Tensor]] = []

    def update(self, loss: Loss, batch: Batch) -> None:
        """Take one batch in: cold where its rows are by themselves, of the stream where they go on."""
        assert loss.each is not None
        name = f"cold_{self._cold}" if batch.fresh is None else "stream"
        self._nats.setdefault(name, []).append(loss.each.sum(dtype=torch.float64))
        self._tokens[name] = self._tokens.get(name, 0) + loss.count
        counted = mask(batch.lengths, batch.targets.shape[1])
        if self._characters is not None:
            letters = self._characters[batch.targets.cpu()] * counted
            self._letters[name] = self._letters.get(name, 0) + int(letters.sum())
        if batch.fresh is None:
            self._positions.append((loss.each.sum(0, dtype=torch.float64), counted.sum(0)))

    @property
    def by_position(self) -> tuple[np.ndarray, np.ndarray]:
        """``(T,)`` mean nats of the targets at each position of the cold windows, and ``(T,)`` how many those were."""
        longest = max((len(nats) for nats, _ in self._positions), default=0)
        totals, counts = torch.zeros(longest, dtype=torch.float64), torch.zeros(longest, dtype=torch.int64)
        for nats, count in self._positions:
            totals[: len(nats)] += nats.cpu()
            counts[: len(count)] += count
        return (totals / counts.clamp(min=1)).numpy(), counts.numpy()

    def compute(self) -> dict[str, float]:
        """By protocol: ``loss`` in nats a token, ``perplexity`` (its exponential) and ``bits_per_character``."""
        assert self._tokens, "compute() before any token"
        metrics = {}
        for name, tokens in self._tokens.items():
            nats = float(torch.stack(self._nats[name]).sum())
            metrics[f"{name}_loss"] = nats / tokens
            metrics[f"{name}_perplexity"] = math.exp(min(nats / tokens, 700.0))
            if self._letters.get(name):
                metrics[f"{name}_bits_per_character"] = nats / math.log(2) / self._letters[name]
        return metrics
