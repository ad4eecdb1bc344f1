"""Transformers, out of torch's own layers: an encoder, and a decoder that can read on step by step."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqlab.nn.dropout import dropout as dropout_steps
from seqlab.nn.options import check_layers, check_positive, check_share
from seqlab.nn.padding import find_padding
from seqlab.nn.plain import no_script
from seqlab.nn.rows import Lengths, as_lengths
from seqlab.types import Encoded, InputError, mask

Layer = nn.TransformerEncoderLayer | nn.TransformerDecoderLayer


class TransformerEncoder(nn.Module):
    """Layers of self-attention over whole rows: ``(B, T, input_size)`` to ``Encoded`` of width ``hidden_size``.

    Every valid step sees every other; none sees padding. ``final`` is the output at the last valid step. Source:
    Vaswani et al. 2017, section 3, figure 1, left; with ``norm_first`` what each block reads is normalised instead of
    what it answers (Xiong et al. 2020, figure 1b), which trains without a warm-up.

    Args:
        input_size: ``E``.
        hidden_size: ``D``; a linear map stands in front where it is not ``E``.
        num_layers: blocks of attention and feed-forward network.
        num_heads: attentions side by side, each ``D / num_heads`` wide.
        feedforward: hidden units of the feed-forward networks; None is ``4 D``, as in the paper.
        dropout: on inputs with their positions, attention weights, hidden units, and each block's answer.
        norm_first: normalise before a block, and once more at the end; else after each block.

    Raises:
        InputError: a size below one, a probability outside ``[0, 1)``, or a width that the heads cannot share.
    """

    __prepare_scriptable__ = no_script

    def __init__(
        self,
        input_size: int,
        hidden_size: int = 128,
        num_layers: int = 3,
        num_heads: int = 4,
        feedforward: int | None = None,
        dropout: float = 0.1,
        norm_first: bool = True,
    ) -> None:
        super().__init__()
        _check(hidden_size, num_layers, num_heads, feedforward, dropout)
        self.input_size, self.output_size = input_size, hidden_size
        self.entrance = Entrance(input_size, hidden_size, dropout)
        self.layers = nn.ModuleList(
            [
                _layer(nn.TransformerEncoderLayer, hidden_size, num_heads, feedforward, dropout, norm_first)
                for _ in range(num_layers)
            ]
        )
        self.norm = nn.LayerNorm(hidden_size) if norm_first else nn.Identity()

    def forward(self, inputs: Tensor, lengths: Lengths = None) -> Encoded:
        """Read ``inputs`` ``(B, T, E)`` up to ``lengths`` ``(B,)``, whole without."""
        lengths = as_lengths(lengths, inputs)
        padding = find_padding(inputs, lengths, self.input_size)
        B, T, _ = inputs.shape
        if B == 0 or T == 0:
            zeros = inputs.new_zeros(B, T, self.output_size)
            return Encoded(zeros, inputs.new_zeros(B, self.output_size), lengths)
        hidden = None
        if padding is not None:
            # Who may look nowhere hears NaN in some versions of torch: an empty row looks at its first step, and what
            # comes of it is cleared below.
            hidden = ~mask(lengths.clamp(min=1), T).to(inputs.device)
        x = self.entrance(inputs)
        for layer in self.layers:  # nn.TransformerEncoder would pack rows into a nested tensor, cut T, and warn
            x = layer(x, src_key_padding_mask=hidden)
        x = self.norm(x)
        if padding is not None:
            x = padding.clear(x)
        x = x.to(inputs.dtype)
        return Encoded(x, x[:, -1] if padding is None else padding.last(x), lengths)


class TransformerDecoder(nn.Module):
    """Layers of attention to what was written and to what was read: ``(B, U, D)`` to ``(B, U, D)``.

    Output ``u`` depends on inputs up to ``u`` alone. There are two ways through the same weights: ``forward`` is
    torch's layers over whole rows, to train; ``read`` goes on from what was read before and tells where it looked.
    Without dropout they answer the same up to rounding. Source: Vaswani et al. 2017, figure 1, right.

    Args:
        size: ``D``, of the inputs and of what the encoder answered.
        num_layers: blocks of two attentions and a feed-forward network.
        num_heads: see ``TransformerEncoder``, also below.
        feedforward: hidden units.
        dropout: on attention weights, hidden units, and each block's answer.
        norm_first: normalise before a block.

    Raises:
        InputError: as ``TransformerEncoder``.
    """

    def __init__(
        self,
        size: int,
        num_layers: int = 3,
        num_heads: int = 4,
        feedforward: int | None = None,
        dropout: float = 0.1,
        norm_first: bool = True,
    ) -> None:
        super().__init__()
        _check(size, num_layers, num_heads, feedforward, dropout)
        self.size, self.num_heads, self.norm_first = size, num_heads, norm_first
        self.layers = nn.ModuleList(
            [
                _layer(nn.TransformerDecoderLayer, size, num_heads, feedforward, dropout, norm_first)
                for _ in range(num_layers)
            ]
        )
        self.norm = nn.LayerNorm(size) if norm_first else nn.Identity()

    def forward(self, inputs: Tensor, encoded: Tensor, seen: Tensor) -> Tensor:
        """Whole rows at once.

        Args:
            inputs: ``(B, U, D)``.
            encoded: ``(B, T, D)``: the encoder's outputs.
            seen: ``(B, T)`` bool: which of them may be looked at; at least one in each row.
        """
        U = inputs.shape[1]
        future = torch.ones(U, U, dtype=torch.bool, device=inputs.device).triu(1)
        x, hidden = inputs, ~seen
        for layer in self.layers:
            x = layer(x, encoded, tgt_mask=future, memory_key_padding_mask=hidden, tgt_is_causal=True)
        outputs: Tensor = self.norm(x).to(inputs.dtype)
        return outputs

    def keys(self, encoded: Tensor) -> tuple[Tensor, ...]:
        """Keys and values of ``encoded`` ``(B, T, D)`` for each layer in turn, each ``(B, heads, T, D / heads)``."""
        return tuple(part for layer in self._each() for part in _project(layer.multihead_attn, encoded, 1, 3))

    def start(self, B: int, like: Tensor) -> tuple[Tensor, ...]:
        """What ``read`` remembers before the first step: keys and values of no step for each layer."""
        empty = like.new_zeros(B, self.num_heads, 0, self.size // self.num_heads)
        return (empty,) * (2 * len(self.layers))

    def read(
        self, inputs: Tensor, keys: tuple[Tensor, ...], seen: Tensor, past: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
        """Read the next ``U`` steps, as in evaluation.

        Args:
            inputs: ``(B, U, D)``.
            keys: of the source, see ``keys``.
            seen: ``(B, T)`` bool: which of them may be looked at; at least one in each row.
            past: of the steps before, see ``start``.

        Returns:
            Outputs ``(B, U, D)``; ``past`` with these steps, each ``(B, heads, steps, D / heads)``; and ``(B, U, T)``
            where the last layer looked in the source, the mean of its heads.
        """
        U, before = inputs.shape[1], past[0].shape[2]
        visible = torch.ones(U, before + U, dtype=torch.bool, device=inputs.device).tril(before)
        source = seen[:, None, None]
        x, weights, kept = inputs, inputs, []
        for k, layer in enumerate(self._each()):
            y = layer.norm1(x) if self.norm_first else x
            query, key, value = _project(layer.self_attn, y, 0, 3)
            key, value = torch.cat((past[2 * k], key), 2), torch.cat((past[2 * k + 1], value), 2)
            kept += [key, value]
            x = x + layer.self_attn.out_proj(_attend(query, key, value, visible)[0])
            x, y = (x, layer.norm2(x)) if self.norm_first else (layer.norm1(x),) * 2
            (query,) = _project(layer.multihead_attn, y, 0, 1)
            found, weights = _attend(query, keys[2 * k], keys[2 * k + 1], source)
            x = x + layer.multihead_attn.out_proj(found)
            x, y = (x, layer.norm3(x)) if self.norm_first else (layer.norm2(x),) * 2
            x = x + layer.linear2(torch.relu(layer.linear1(y)))
            x = x if self.norm_first else layer.norm3(x)
        return self.norm(x).to(inputs.dtype), tuple(kept), weights.mean(1).to(inputs.dtype)

    def _each(self) -> Iterator[nn.TransformerDecoderLayer]:
        for layer in self.layers:
            assert isinstance(layer, nn.TransformerDecoderLayer)
            yield layer


class Entrance(nn.Module):
    """What a Transformer reads: inputs scaled by ``sqrt(E)``, mapped to its width, their positions added; dropout.

    ``(B, T, E)`` to ``(B, T, D)``. Position ``t`` is ``sin(t / 10000**(2 i / D))`` in number ``2 i`` and the cosine of
    the same in ``2 i + 1``, for any ``t``: no row is too long. Source: Vaswani et al. 2017, sections 3.4 and 3.5.

    Args:
        input_size: ``E``.
        hidden_size: ``D``; a linear map where it is not ``E``.
        dropout: on the sum.
    """

    table: Tensor

    def __init__(self, input_size: int, hidden_size: int, dropout: float = 0.0) -> None:
        super().__init__()
        check_positive("input_size", input_size)
        self.scale, self.dropout = math.sqrt(input_size), dropout
        self.map = nn.Linear(input_size, hidden_size) if input_size != hidden_size else nn.Identity()
        self.register_buffer("table", positions(256, hidden_size), persistent=False)

    def forward(self, inputs: Tensor, start: int = 0) -> Tensor:
        """Steps ``start`` and after, ``inputs`` ``(B, T, E)``."""
        stop = start + inputs.shape[1]
        if stop > len(self.table):
            self.table = positions(2 * stop, self.table.shape[1]).to(self.table)
        x = self.map(inputs * self.scale) + self.table[start:stop]
        return dropout_steps(x.to(inputs.dtype), self.dropout if self.training else 0.0, time=1, variational=False)


def positions(steps: int, size: int) -> Tensor:
    """``(steps, size)``: sines and cosines of each step, see ``Entrance``."""
    rates = 10_000.0 ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    angles = torch.arange(steps, dtype=torch.float64).unsqueeze(1) * rates
    return torch.stack((angles.sin(), angles.cos()), 2).flatten(1)[:, :size].float()


def _project(attention: nn.MultiheadAttention, x: Tensor, first: int, last: int) -> tuple[Tensor, ...]:
    """Of queries (0), keys (1) and values (2) of ``x`` ``(B, T, D)`` some: each ``(B, heads, T, D / heads)``."""
    rows = slice(first * attention.embed_dim, last * attention.embed_dim)
    mapped = F.linear(x, attention.in_proj_weight[rows], attention.in_proj_bias[rows])
    return mapped.unflatten(2, (last - first, attention.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)


def _attend(query: Tensor, key: Tensor, value: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
    """Scaled dot products (equation 1 of the paper): ``(B, U, D)``, and the weights ``(B, heads, U, T)``.

    Args:
        query: ``(B, heads, U, D / heads)``.
        key: ``(B, heads, T, D / heads)``, and ``value`` alike.
        visible: True where one may look; of a shape that goes with ``(B, heads, U, T)``.
    """
    scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
    weights = scores.masked_fill(~visible, -math.inf).softmax(3)
    return (weights.to(value.dtype) @ value).transpose(1, 2).flatten(2), weights


def _layer(kind: type, size: int, heads: int, feedforward: int | None, dropout: float, norm_first: bool) -> Layer:
    """One of torch's layers, its matrices drawn as ``nn.Transformer`` does (Glorot and Bengio 2010).

    ``F.relu`` would allow torch's "fast path", which is taken without gradients only: it answers NaN for a row that may
    look nowhere and rounds the residual stream to bfloat16 under autocast, for a seventh of the time of a pass.
    ``torch.relu`` is the same function and does not.
    """
    hidden = 4 * size if feedforward is None else feedforward
    layer: Layer = kind(size, heads, hidden, dropout, activation=torch.relu, batch_first=True, norm_first=norm_first)
    for parameter in layer.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
    for name, part in list(layer.named_children()):
        if isinstance(part, nn.Dropout):
            setattr(layer, name, _Dropout(dropout))
    return layer


class _Dropout(nn.Module):
    """In place of ``nn.Dropout`` in torch's layers: quicker on the CPU, where that takes a tenth of a training step."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        return dropout_steps(x, self.share if self.training else 0.0, time=1, variational=False)


def _check(hidden_size: int, num_layers: int, num_heads: int, feedforward: int | None, dropout: float) -> None:
    check_positive("hidden_size", hidden_size)
    check_layers(num_layers)
    check_positive("num_heads", num_heads)
    check_positive("feedforward", 1 if feedforward is None else feedforward)
    check_share("dropout", dropout)
    if hidden_size % num_heads:
        raise InputError(
            f"num_heads={num_heads} cannot share hidden_size={hidden_size} evenly: choose a width that is a multiple "
            "of the number of heads"
        )
