"""Token ids to vectors: learned, one-hot or pre-trained."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqlab.models.vectors import read_vectors
from seqlab.nn.dropout import dropout as dropout_steps
from seqlab.nn.options import check_choice, check_finite, check_positive, check_share
from seqlab.types import InputError

logger = logging.getLogger(__name__)

EmbeddingKind = Literal["random", "onehot"]


class Embedding(nn.Module):
    """``(B, T)`` ids to ``(B, T, output_size)``; the padding id's vector is zero and stays zero.

    Args:
        vocab_size: number of ids.
        dim: width ``E``; None is the width of ``vectors``, ``vocab_size`` for one-hot, otherwise ``default_dim``.
        pad_id: id of padding.
        kind: ``random`` for a table drawn from N(0, std), or ``onehot``, which has no parameters and takes
            ``4 * B * T * vocab_size`` bytes a batch: meant for characters and other small vocabularies.
        vectors: file of pre-trained vectors, which replace the random ones where they know the token.
        tokens: token of each id; needed with ``vectors`` alone.
        dropout: on single numbers of the vectors.
        variational: draw that mask once a row for all its steps, see ``seqlab.nn.dropout``.
        word_dropout: on whole tokens, which then read as padding (Iyyer et al. 2015).
        std: of the random vectors.
        trainable: whether the table is learned further.
        default_dim: the width of what has none of its own.

    Raises:
        InputError: an unknown kind, a size that contradicts another, or an unusable file of vectors.
    """

    def __init__(
        self,
        vocab_size: int,
        dim: int | None = None,
        *,
        pad_id: int,
        kind: EmbeddingKind = "random",
        vectors: str | Path | None = None,
        tokens: Sequence[str] | None = None,
        dropout: float = 0.0,
        variational: bool = False,
        word_dropout: float = 0.0,
        std: float = 0.1,
        trainable: bool = True,
        default_dim: int = 128,
    ) -> None:
        super().__init__()
        check_choice("kind", kind, get_args(EmbeddingKind))
        check_positive("vocab_size", vocab_size)
        check_share("dropout", dropout)
        check_share("word_dropout", word_dropout)
        check_finite("std", std, least=0)
        self.vocab_size, self.pad_id, self.kind = vocab_size, pad_id, kind
        self.dropout, self.variational, self.word_dropout = dropout, variational, word_dropout
        if kind == "onehot":
            if dim not in (None, vocab_size) or vectors is not None:
                raise InputError(
                    f"one-hot vectors are as wide as the vocabulary ({vocab_size}) and not learned: "
                    "leave dim and vectors out, or use kind=random"
                )
            self.output_size = vocab_size
            self.register_parameter("weight", None)
            return
        if vectors is None:
            self.output_size = default_dim if dim is None else dim
            check_positive("dim", self.output_size)
            weight = torch.empty(vocab_size, self.output_size).normal_(0, std)
        else:
            weight = _pretrained(vectors, tokens, vocab_size, dim, std)
            self.output_size = weight.shape[1]
        weight[pad_id] = 0
        self.weight = nn.Parameter(weight, requires_grad=trainable)

    def forward(self, inputs: Tensor) -> Tensor:
        """``inputs`` ``(B, T)`` int64 to ``(B, T, E)``."""
        if self.word_dropout and self.training:
            dropped = torch.rand(inputs.shape, device=inputs.device) < self.word_dropout
            inputs = inputs.masked_fill(dropped, self.pad_id)
        if self.weight is None:
            embedded = self._one_hot(inputs)
        else:
            # padding_idx keeps the padding row's gradient at zero, and so the row.
            embedded = F.embedding(inputs, self.weight, self.pad_id)
        return dropout_steps(embedded, self.dropout if self.training else 0.0, time=1, variational=self.variational)

    def extra_repr(self) -> str:
        """Sizes and kind, for ``print(model)`` and the summary."""
        return f"{self.vocab_size}, {self.output_size}, {self.kind}"

    def _one_hot(self, inputs: Tensor) -> Tensor:
        # Written straight into floats: F.one_hot makes int64 first, which takes three times the memory.
        ones = (inputs != self.pad_id).unsqueeze(2).to(torch.get_default_dtype())
        return ones.new_zeros(*inputs.shape, self.vocab_size).scatter_(2, inputs.unsqueeze(2), ones)


class Features(nn.Module):
    """Stands where an ``Embedding`` would, for inputs that are real numbers already: ``(B, T, F)`` to itself.

    Args:
        num_features: ``F``.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__()
        check_positive("num_features", num_features)
        self.output_size = num_features

    def forward(self, inputs: Tensor) -> Tensor:
        """Hand ``inputs`` ``(B, T, F)`` on."""
        return inputs

    def extra_repr(self) -> str:
        """The width, for ``print(model)`` and the summary."""
        return str(self.output_size)


def _pretrained(path: str | Path, tokens: Sequence[str] | None, vocab_size: int, dim: int | None, std: float) -> Tensor:
    """``(vocab_size, E)``: the file's vectors, and N(0, std) for tokens that it lacks."""
    if tokens is None or len(tokens) != vocab_size:
        raise InputError(
            f"pre-trained vectors need the token of each of the {vocab_size} ids, but tokens has "
            f"{0 if tokens is None else len(tokens)}: give the vocabulary's list"
        )
    matrix, found = read_vectors(path, tokens)
    if dim not in (None, matrix.shape[1]):
        raise InputError(f"{path} holds vectors of width {matrix.shape[1]}, not dim={dim}: leave dim out")
    logger.info("%s knows %d of %d tokens (%.1f %%)", path, found.sum(), vocab_size, 100 * found.mean())
    weight = torch.from_numpy(matrix)
    missing = torch.from_numpy(~found).unsqueeze(1)
    return torch.where(missing, torch.empty_like(weight).normal_(0, std), weight)
