"""A linear reader of n-grams, to stand beside a recurrent one: what is said where order does not matter."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqlab.nn.options import check_finite, check_positive
from seqlab.types import Split, mask

_CHUNK = 256  # rows counted at a time by `fit`


class NgramReader(nn.Module):
    """Logits as a sum over the distinct n-grams of a text, each weighted by how much its class favours it.

    ``z = b + scale * sum_g r_g v_g`` over hashed 1- to ``order``-grams ``g``. ``r`` is the naive Bayes log-count ratio
    of the training part, fixed by ``fit``; ``v`` is learned from zero. This is NB-SVM (Wang and Manning 2012) as a
    layer, trained by the same gradient as everything else.

    Args:
        num_classes: ``V``; two classes have one number ``z`` and the logits ``[0, z]``, others one ratio a class
            against the rest.
        order: longest n-gram.
        buckets: size of the hash table; n-grams that meet in a bucket share a weight.
        smoothing: added to every count.
        scale: how far one step of an adaptive optimiser, which moves every entry of ``v`` alike, moves ``z``. Most
            n-grams are rare and each of hundreds in a text moves at once, so it is small.

    Raises:
        InputError: a size below one, or a number that is not finite.
    """

    ratios: Tensor

    def __init__(
        self, num_classes: int, order: int = 3, buckets: int = 2**20, smoothing: float = 1.0, scale: float = 0.1
    ) -> None:
        super().__init__()
        for name, value in (("order", order), ("buckets", buckets)):
            check_positive(name, value)
        check_finite("smoothing", smoothing, least=0)
        check_finite("scale", scale)
        self.num_classes, self.order, self.buckets = num_classes, order, buckets
        self.smoothing, self.scale = smoothing, scale
        outputs = 1 if num_classes == 2 else num_classes
        self.register_buffer("ratios", torch.zeros(buckets, outputs))
        self.weight = nn.Parameter(torch.zeros(buckets, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Token ids ``(B, T)`` and lengths ``(B,)`` to logits ``(B, V)``."""
        rows, ids = self._distinct(inputs, lengths)
        votes = F.embedding(ids, self.weight) * (self.scale * self.ratios[ids])
        z = self.bias + votes.new_zeros(inputs.shape[0], votes.shape[1]).index_add(0, rows, votes)
        return F.pad(z, (1, 0)) if self.num_classes == 2 else z

    @torch.no_grad()
    def fit(self, train: Split) -> None:
        """Set ``ratios`` from the training part, whole texts, each n-gram counted once a text."""
        counts = torch.full((self.num_classes, self.buckets), self.smoothing)
        targets = torch.from_numpy(np.array(train.targets))  # a copy: cached targets are read-only
        for first in range(0, len(train), _CHUNK):
            texts = [train.tokens[row] for row in range(first, min(first + _CHUNK, len(train)))]
            lengths = torch.tensor([len(text) for text in texts])
            inputs = torch.zeros(len(texts), max(1, int(lengths.max())), dtype=torch.int64)
            for row, text in enumerate(texts):
                inputs[row, : len(text)] = torch.from_numpy(text.astype(np.int64))
            rows, ids = self._distinct(inputs, lengths)
            keys = targets[first + rows] * self.buckets + ids
            counts.view(-1).index_add_(0, keys, torch.ones(len(keys)))
        rest = counts.sum(0) - counts
        ratios = (counts / counts.sum(1, keepdim=True)).log() - (rest / rest.sum(1, keepdim=True)).log()
        self.ratios.copy_(ratios[1:].t() if self.num_classes == 2 else ratios.t())

    def extra_repr(self) -> str:
        """Sizes, for ``print(model)`` and the summary."""
        return f"order={self.order}, buckets={self.buckets}"

    def _distinct(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``(rows, ids)``, both ``(N,)``: each n-gram of each row once, by its bucket."""
        T = inputs.shape[1]
        grams, hashed = [], torch.zeros_like(inputs)
        for n in range(1, min(self.order, T) + 1):
            # The hash of the n-gram that ends here: that of the shorter one before, and this token.
            hashed = (F.pad(hashed[:, :-1], (1, 0)) * 1_000_003 + (inputs + 1) * 7_919 + n) % 2_147_483_647
            ends = mask(lengths, T, inputs.device)
            ends[:, : n - 1] = False
            grams.append(torch.where(ends, hashed % self.buckets, self.buckets))
        ids = torch.cat(grams, 1).sort(1).values
        first = torch.ones_like(ids, dtype=torch.bool)
        first[:, 1:] = ids[:, 1:] != ids[:, :-1]
        rows, columns = torch.nonzero(first & (ids < self.buckets), as_tuple=True)
        return rows, ids[rows, columns]
