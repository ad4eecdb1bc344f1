"""Heads: what turns an encoder's answer into a task's logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from seqlab.nn.options import check_share
from seqlab.nn.pooling import Pooling, PoolKind
from seqlab.types import Encoded, InputError


class ClassificationHead(nn.Module):
    """Pool over time, then one linear layer.

    Two classes need one number: their layer has a single output ``z`` and the logits are ``[0, z]``, whose softmax is
    ``[1 - sigmoid(z), sigmoid(z)]``.

    Args:
        input_size: ``D``.
        num_classes: ``V``.
        pooling: one or several kinds of ``Pooling``.
        dropout: on the pooled vector.

    Raises:
        InputError: fewer than two classes, or what ``Pooling`` refuses.
    """

    def __init__(
        self,
        input_size: int,
        num_classes: int,
        pooling: PoolKind | Sequence[PoolKind] = "last",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if num_classes < 2:
            raise InputError(
                f"there is nothing to tell apart with num_classes={num_classes}: use data with two or more labels"
            )
        check_share("dropout", dropout)
        self.dropout, self.binary = dropout, num_classes == 2
        self.pooling = Pooling(input_size, pooling)
        self.output = nn.Linear(self.pooling.output_size, 1 if self.binary else num_classes)

    def forward(self, encoded: Encoded) -> Tensor:
        """Logits ``(B, V)``, in the dtype of the encoder's outputs."""
        pooled = self.pooling(encoded)
        if self.dropout and self.training:
            pooled = F.dropout(pooled, self.dropout)
        logits = self.output(pooled).to(pooled.dtype)
        return F.pad(logits, (1, 0)) if self.binary else logits
