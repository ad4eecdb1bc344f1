"""Heads: what turns an encoder's answer into what a task asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from seqlab.nn.dropout import dropout as dropout_steps
from seqlab.nn.options import check_share
from seqlab.nn.pooling import Pooling, PoolKind
from seqlab.nn.rowwise import RowwiseLinear
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

    stepwise = True
    """Reads the outputs of every step."""

    def __init__(self, input_size: int, num_outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        check_share("dropout", dropout)
        self.dropout = dropout
        self.output = nn.Linear(input_size, num_outputs)

    def forward(self, encoded: Encoded) -> Tensor:
        """Logits ``(B, T, V)``, in the dtype of the encoder's outputs."""
        outputs = F.dropout(encoded.outputs, self.dropout, self.training)
        return self.output(outputs).to(outputs.dtype)


class TokenHead(nn.Module):
    """Logits of the next token at every step.

    Args:
        input_size: ``D``.
        num_outputs: ``V``, the size of the vocabulary.
        dropout: on the encoder's outputs.
        variational: draw that mask once a row for all its steps, see ``seqlab.nn.dropout``.
        tied: the embedding's weights ``(V, E)``, to be the output layer's too (Press and Wolf 2017); where ``D`` is not
            ``E``, a linear map from one to the other stands between. None for weights of its own.
    """

    def __init__(
        self,
        input_size: int,
        num_outputs: int,
        dropout: float = 0.0,
        variational: bool = False,
        tied: nn.Parameter | None = None,
    ) -> None:
        super().__init__()
        check_share("dropout", dropout)
        self.dropout, self.variational, self.tied = dropout, variational, tied is not None
        width = input_size if tied is None else tied.shape[1]
        self.project = nn.Linear(input_size, width, bias=False) if width != input_size else None
        self.output = nn.Linear(width, num_outputs)
        if tied is not None:
            self.output.weight = tied
        maps = [self.output] if self.project is None else [self.project, self.output]
        self._maps = [RowwiseLinear(each) for each in maps]  # no modules of their own: the weights are named above

    def extra_repr(self) -> str:
        """Sizes, for ``print(model)`` and the summary."""
        return f"{self._maps[0].linear.in_features}, {self.output.out_features}" + (", tied" if self.tied else "")

    def drop(self, outputs: Tensor) -> Tensor:
        """The encoder's outputs ``(B, T, D)`` as the output layer reads them: in training, thinned by dropout."""
        share = self.dropout if self.training else 0.0
        return dropout_steps(outputs, share, time=1, variational=self.variational)

    def forward(self, outputs: Tensor) -> Tensor:
        """Logits ``(B, T, V)`` of outputs ``(B, T, D)`` that went through ``drop``, in their dtype.

        In evaluation each step's logits have the same bits however many steps are asked about at once: a stream says
        what the whole text would have said.
        """
        B, T, D = outputs.shape
        rows = outputs.reshape(B * T, D)
        for each in self._maps:
            rows = each.linear(rows) if self.training else each(rows)
        return rows.view(B, T, -1).to(outputs.dtype)

    def steps(self, B: int) -> Callable[[Tensor], Tensor]:
        """``(B, D)`` to ``(B, V)``, again and again, with the weights as they are now, as in evaluation."""
        maps = [each.steps(B) for each in self._maps]

        def push(outputs: Tensor) -> Tensor:
            for each in maps:
                outputs = each(outputs)
            return outputs

        return push
