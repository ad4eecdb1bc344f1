"""Translation: one sequence into another, measured by what the model writes itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.tasks.translation.task import TranslationTask
from seqlab.tasks.translation_scores import Tokenize, TranslationScores, check_tokenize
from seqlab.types import Batch, InputError, Loss, mask

Write = Callable[[nn.Module, Tensor, Tensor], Sequence[Sequence[int]]]
"""Model, sources ``(B, T)`` and lengths ``(B,)`` to the ids that it writes for each, without START and EOS."""
Decides = Literal["bleu", "bleu_lower", "chrf", "exact", "loss"]
ForcingSchedule = Literal["constant", "linear", "exponential", "inverse_sigmoid"]

LEAST = 0.01
"""Of ``exponential``, which never reaches zero."""
STEEPNESS = 5.0
"""Of ``inverse_sigmoid``: from nearly 1 to nearly 0 within the training."""


class Translation:
    """Cross-entropy of the next target token, padding never counted; what the model writes by itself decides.

    Args:
        num_outputs: size of the target's vocabulary, ``V``.
        pad_id: which target ids are padding.
        decode: target ids to text.
        write: how the model writes while it is measured; None where it is not to.
        label_smoothing: share of the target's probability spread evenly over all tokens (Szegedy et al. 2016), in
            training only.
        forcing: probability of teacher forcing at the beginning: with which a step reads the true token rather than
            what the model said (scheduled sampling: Bengio et al. 2015).
        forcing_end: the same at the end of the training.
        forcing_schedule: how it goes from one to the other (there, section 2.4).
        decides: which metric is monitored.
        bleu_tokenize: how BLEU splits sentences into words, see sacreBLEU.

    Raises:
        InputError: an option out of range; MeCab is not installed.
    """

    task = TranslationTask

    def __init__(
        self,
        num_outputs: int,
        pad_id: int,
        decode: Callable[[Iterable[int]], str] | None = None,
        write: Write | None = None,
        label_smoothing: float = 0.0,
        forcing: float = 1.0,
        forcing_end: float = 1.0,
        forcing_schedule: ForcingSchedule = "constant",
        decides: Decides = "bleu",
        bleu_tokenize: Tokenize = "13a",
    ) -> None:
        if not 0.0 <= label_smoothing < 1.0:
            raise InputError(f"label_smoothing is {label_smoothing}; give a share from 0 up to, but not, 1.")
        for name, share in (("forcing", forcing), ("forcing_end", forcing_end)):
            if not 0.0 <= share <= 1.0:
                raise InputError(f"task.{name}={share} is no probability: give a number from 0 to 1.")
        if forcing_schedule == "constant" and forcing_end not in (1.0, forcing):
            raise InputError(
                f"task.forcing_end={forcing_end} is never reached with task.forcing_schedule=constant: take linear, "
                "exponential or inverse_sigmoid."
            )
        check_tokenize(bleu_tokenize)
        self.bleu_tokenize = bleu_tokenize
        self.num_outputs, self.pad_id, self.label_smoothing = num_outputs, pad_id, label_smoothing
        self.decode, self.write = decode, write
        self.forcing, self.forcing_end, self.forcing_schedule = forcing, forcing_end, forcing_schedule
        self.monitor, self.maximize = decides, decides != "loss"
        told = "bleu_lower" if decides == "loss" else decides
        self.headline: tuple[str, ...] = ("perplexity", "token_accuracy", told)

    def forced(self, progress: float) -> float:
        """Probability of teacher forcing when ``progress`` of the training, in ``[0, 1]``, is done."""
        first, last = self.forcing, self.forcing_end
        if self.forcing_schedule == "linear":
            return first + (last - first) * progress
        if self.forcing_schedule == "exponential":
            first, last = max(first, LEAST), max(last, LEAST)
            return first * (last / first) ** progress
        if self.forcing_schedule == "inverse_sigmoid":
            return last + (first - last) / (1 + math.exp(2 * STEEPNESS * (progress - 0.5)))
        return first

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Sum over the target's tokens, EOS among them, in nats and in float32 whatever the model computes in."""
        assert batch.target_lengths is not None, "translation reads pairs"
        forcing = self.forced(batch.progress) if model.training else 1.0
        given, asked = batch.targets[:, :-1], batch.targets[:, 1:]
        said = model(batch.inputs, batch.lengths, given, batch.target_lengths, forcing)
        smoothing = self.label_smoothing if model.training else 0.0
        total = F.cross_entropy(
            said.logits.float().flatten(0, 1), asked.flatten(), ignore_index=self.pad_id, reduction="sum",
            label_smoothing=smoothing,
        )  # fmt: skip
        written = None
        if self.write is not None and not model.training and len(batch.texts[0]):
            # In float32, whatever it was trained in: then a sentence alone is written as in any batch.
            with torch.autocast(batch.inputs.device.type, enabled=False):
                written = self.write(model, batch.inputs, batch.lengths)
        return Loss(total, batch.tokens, said.logits, said=written)

    def meter(self) -> TranslationMeter:
        """A fresh meter for one pass."""
        return TranslationMeter(self)


class TranslationMeter:
    """Teacher-forced loss, perplexity and accuracy of tokens; BLEU, chrF and exact matches of what was written.

    Attributes:
        scores: of what was written, also by length of the source; it keeps the texts.
        index: which rows of the split those are, in the order of ``scores``.
    """

    def __init__(self, task: Translation) -> None:
        self.task, self.scores = task, TranslationScores(task.bleu_tokenize)
        self.index: list[int] = []
        self._nats: list[Tensor] = []
        self._right: list[Tensor] = []
        self._tokens = 0

    def update(self, loss: Loss, batch: Batch) -> None:
        """Take one batch in."""
        assert batch.target_lengths is not None
        asked = batch.targets[:, 1:]
        counted = mask(batch.target_lengths, asked.shape[1], asked.device)
        self._nats.append(loss.total.detach().double())
        self._right.append(((loss.logits.argmax(2) == asked) & counted).sum())
        self._tokens += loss.count
        if loss.said is None:
            return
        assert self.task.decode is not None
        sources, references = batch.texts
        said = [self.task.decode(ids) for ids in loss.said]
        self.scores.add(sources, said, references, (batch.lengths - 1).tolist())  # EOS is no word
        self.index += batch.index.tolist()

    def compute(self) -> dict[str, float]:
        """``loss`` (nats a token), ``perplexity``, ``token_accuracy`` and, where something was written, its scores."""
        assert self._tokens, "compute() before any token"
        nats = float(torch.stack(self._nats).sum()) / self._tokens
        metrics = {
            "loss": nats,
            "perplexity": math.exp(min(nats, 700.0)),
            "token_accuracy": int(torch.stack(self._right).sum()) / self._tokens,
        }
        return metrics | (self.scores.compute() if self.index else {})
