"""A model is an embedding, an encoder and a head, one after the other."""

from __future__ import annotations

from torch import Tensor, nn


class Model(nn.Module):
    """Token ids to logits.

    Args:
        embedding: ``(B, T)`` ids to ``(B, T, E)``.
        encoder: ``(B, T, E)`` and lengths to ``Encoded`` (see ``seqlab.types.Encoder``).
        head: ``Encoded`` to logits.
    """

    def __init__(self, embedding: nn.Module, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.embedding = embedding
        self.encoder = encoder
        self.head = head

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """``inputs`` ``(B, T)`` int64 and ``lengths`` ``(B,)`` int64 on the CPU to logits ``(B, V)``."""
        logits: Tensor = self.head(self.encoder(self.embedding(inputs), lengths))
        return logits
