"""Heads: what turns an encoder's answer into what a task asks for."""

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
        num_outputs: classes, ``V``.
        pooling: one or several kinds of ``Pooling``.
        dropout: on the pooled vector.

    Raises:
        InputError: fewer than two classes, or what ``Pooling`` refuses.
    """

    def __init__(
        self,
        input_size: int,
        num_outputs: int,
        pooling: PoolKind | Sequence[PoolKind] = "last",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if num_outputs < 2:
            raise InputError(
                f"there is nothing to tell apart with num_outputs={num_outputs}: use data with two or more labels"
            )
        check_share("dropout", dropout)
        self.dropout, self.binary = dropout, num_outputs == 2
        self.pooling = Pooling(input_size, pooling)
        self.output = nn.Linear(self.pooling.output_size, 1 if self.binary else num_outputs)

    def forward(self, encoded: Encoded) -> Tensor:
        """Logits ``(B, V)``, in the dtype of the encoder's outputs."""
        pooled = self.pooling(encoded)
        if self.dropout and self.training:
            pooled = F.dropout(pooled, self.dropout)
        logits = self.output(pooled).to(pooled.dtype)
        return F.pad(logits, (1, 0)) if self.binary else logits


class RegressionHead(nn.Module):
    """Pool over time, then one linear layer: ``K`` real numbers a row.

    Args:
        input_size: ``D``.
        num_outputs: ``K``.
        pooling: one or several kinds of ``Pooling``.
        dropout: on the pooled vector.
    """

    def __init__(
        self,
        input_size: int,
        num_outputs: int,
        pooling: PoolKind | Sequence[PoolKind] = "last",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_share("dropout", dropout)
        self.dropout = dropout
        self.pooling = Pooling(input_size, pooling)
        self.output = nn.Linear(self.pooling.output_size, num_outputs)

    def forward(self, encoded: Encoded) -> Tensor:
        """``(B, K)``, in the dtype of the encoder's outputs."""
        pooled = F.dropout(self.pooling(encoded), self.dropout, self.training)
        return self.output(pooled).to(pooled.dtype)


class StepHead(nn.Module):
    """One linear layer at every step: logits for a label, or the next token, of each.

    Args:
        input_size: ``D``.
        num_outputs: labels, ``V``.
        dropout: on the encoder's outputs.
    """

    def __init__(self, input_size: int, num_outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        check_share("dropout", dropout)
        self.dropout = dropout
        self.output = nn.Linear(input_size, num_outputs)

    def forward(self, encoded: Encoded) -> Tensor:
        """Logits ``(B, T, V)``, in the dtype of the encoder's outputs."""
        outputs = F.dropout(encoded.outputs, self.dropout, self.training)
        return self.output(outputs).to(outputs.dtype)
