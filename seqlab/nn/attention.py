"""Attention: how a step of the target looks at all steps of the source."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from seqlab.nn.options import check_choice, check_positive
from seqlab.types import InputError

AttentionKind = Literal["dot", "general", "additive", "multihead"]


class Attention(nn.Module):
    """Scores of each query with each step of a memory, made into weights that sum to 1, and the mean they give.

    * ``dot``: ``q . m``; both of one width (Luong et al. 2015, equation 8).
    * ``general``: ``q . W m`` (there, too).
    * ``additive``: ``v . tanh(W q + U m + b)`` (Bahdanau et al. 2015, appendix A.1.2; ``concat`` of Luong et al.).
    * ``multihead``: ``num_heads`` scaled dot products of linear maps of both, whose means of a third map are put side
      by side (Vaswani et al. 2017, section 3.2.2, without the map behind them: what reads the context has one).

    Args:
        query_size: ``Q``.
        memory_size: ``D``.
        kind: how scores are made.
        num_heads: of ``multihead``.

    Raises:
        InputError: an unknown kind, widths that differ with ``dot``, or a memory that heads do not divide.
    """

    def __init__(self, query_size: int, memory_size: int, kind: AttentionKind = "general", num_heads: int = 4) -> None:
        super().__init__()
        check_choice("attention", kind, get_args(AttentionKind))
        check_positive("num_heads", num_heads)
        self.kind, self.num_heads, self.output_size = kind, num_heads, memory_size
        if kind == "dot" and query_size != memory_size:
            raise InputError(
                f"attention=dot compares vectors of one width, but the decoder has {query_size} and the encoder "
                f"{memory_size}: take attention=general, or make them equal."
            )
        if kind == "general":
            self.memory = nn.Linear(memory_size, query_size, bias=False)
        elif kind == "additive":
            self.query = nn.Linear(query_size, query_size, bias=False)
            self.memory = nn.Linear(memory_size, query_size)
            self.score = nn.Parameter(torch.empty(query_size).uniform_(-(query_size**-0.5), query_size**-0.5))
        elif kind == "multihead":
            if memory_size % num_heads:
                raise InputError(f"num_heads={num_heads} does not divide the encoder's width {memory_size}.")
            self.query = nn.Linear(query_size, memory_size)
            self.memory = nn.Linear(memory_size, 2 * memory_size)

    def prepare(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """What of a memory ``(B, T, D)`` every query needs, made once: keys and values, both ``(B, T, ...)``."""
        if self.kind == "dot":
            return memory, memory
        mapped: Tensor = self.memory(memory)
        if self.kind == "multihead":
            keys, values = mapped.chunk(2, 2)
            return keys, values
        return mapped, memory

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, ignored: Tensor) -> tuple[Tensor, Tensor]:
        """Look at the memory once for each query.

        Args:
            queries: ``(B, U, Q)``.
            keys: ``(B, T, ...)``, from ``prepare``.
            values: ``(B, T, D)``, likewise.
            ignored: ``(B, T)`` bool, True at padding.

        Returns:
            ``(B, U, D)`` and the weights ``(B, U, T)``, zero at padding (of heads, their mean).
        """
        if self.kind == "multihead":
            return self._heads(queries, keys, values, ignored)
        if self.kind == "additive":
            sums = torch.tanh(self.query(queries).unsqueeze(2) + keys.unsqueeze(1))
            scores = sums @ self.score.to(sums.dtype)
        else:
            scores = queries @ keys.transpose(1, 2)
        weights = _normalize(scores, ignored.unsqueeze(1))
        return weights.to(values.dtype) @ values, weights

    def _heads(self, queries: Tensor, keys: Tensor, values: Tensor, ignored: Tensor) -> tuple[Tensor, Tensor]:
        asked, told, said = (
            part.unflatten(2, (self.num_heads, -1)).transpose(1, 2) for part in (self.query(queries), keys, values)
        )
        scores = asked @ told.transpose(2, 3) / math.sqrt(asked.shape[3])
        weights = _normalize(scores, ignored[:, None, None])
        context = (weights.to(said.dtype) @ said).transpose(1, 2).flatten(2)
        return context, weights.mean(1)

    def extra_repr(self) -> str:
        """The kind, for ``print(model)`` and the summary."""
        return self.kind + (f", {self.num_heads} heads" if self.kind == "multihead" else "")


def _normalize(scores: Tensor, ignored: Tensor) -> Tensor:
    """Softmax over the last dimension in float32, nothing where ``ignored``; all zeros where all is."""
    scores = scores.float().masked_fill(ignored, -1e30)  # not -inf: a row of nothing but padding would be nan
    return scores.softmax(-1).masked_fill(ignored, 0.0)
