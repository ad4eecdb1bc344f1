"""A model is an embedding, an encoder and a head, one after the other; beside them maybe a linear reader of n-grams."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.models.layers import encoder_layers, example_embedded
from seqlab.nn.options import check_positive
from seqlab.nn.plain import no_script
from seqlab.types import InputError


class Model(nn.Module):
    """Token ids to logits.

    With ``ngrams`` two readers vote: while training each answers for itself, so that each learns to be right alone;
    in evaluation their logits are weighed by ``vote``.

    Args:
        embedding: ``(B, T)`` ids to ``(B, T, E)``.
        encoder: ``(B, T, E)`` and lengths to ``Encoded`` (see ``seqlab.types.Encoder``).
        head: ``Encoded`` to logits.
        ngrams: ``(B, T)`` ids and lengths to logits; None for none.
        tail: the encoder reads only so many last tokens of a row, ``(while training, in evaluation)``, while ``ngrams``
            reads the whole row; None for whole rows.
        vote: the network's share of the answer in evaluation, the n-grams have the rest.
    """

    __prepare_scriptable__ = no_script

    def __init__(
        self,
        embedding: nn.Module,
        encoder: nn.Module,
        head: nn.Module,
        ngrams: nn.Module | None = None,
        tail: tuple[int, int] | None = None,
        vote: float = 0.5,
    ) -> None:
        super().__init__()
        if not 0 <= vote <= 1:
            raise InputError(f"model.vote={vote} is no share of an average: give a number from 0 to 1.")
        for most in tail or ():
            check_positive("model.tail", most)
        self.tail, self.vote = tail, vote
        self.embedding = embedding
        self.encoder = encoder
        self.head = head
        self.ngrams = ngrams

    def example_inputs(self) -> tuple[Tensor, ...]:
        """Two rows of zeros and their lengths."""
        return example_embedded(self, self.embedding)

    def layers(self) -> dict[str, nn.Module]:
        """By name, in order."""
        found = {"embedding": self.embedding, **encoder_layers(self.encoder)}
        found |= {f"head.{name}": part for name, part in self.head.named_children()}
        return found if self.ngrams is None else {**found, "ngrams": self.ngrams}

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """``inputs`` ``(B, T)`` int64 and ``lengths`` ``(B,)`` int64 on the CPU to logits ``(B, V)``.

        While training with ``ngrams``: ``(2, B, V)``, one answer a reader.
        """
        ids, sizes = inputs, lengths
        if self.tail is not None:
            ids, sizes = last_tokens(inputs, lengths, self.tail[0] if self.training else self.tail[1])
        logits: Tensor = self.head(self.encoder(self.embedding(ids), sizes))
        if self.ngrams is None:
            return logits
        counted: Tensor = self.ngrams(inputs, lengths)
        if self.training:
            return torch.stack((logits, counted))
        return self.vote * logits + (1 - self.vote) * counted


def last_tokens(inputs: Tensor, lengths: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The last ``most`` tokens of each row of ``inputs`` ``(B, T)``, moved to the left, and their lengths ``(B,)``."""
    T = inputs.shape[1]
    if most >= T:
        return inputs, lengths
    kept = lengths.clamp(max=most)
    steps = torch.arange(most) + (lengths - kept).unsqueeze(1)
    return inputs.gather(1, steps.to(inputs.device)), kept
