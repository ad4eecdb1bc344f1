"""A Transformer that translates: reads a whole sentence, and writes another token by token."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.models.embedding import Embedding
from seqlab.models.heads import TokenHead
from seqlab.models.layers import encoder_layers, example_ids
from seqlab.models.translator import Memory, Spoken, own_words
from seqlab.nn.plain import no_script
from seqlab.nn.transformer import Entrance, TransformerDecoder
from seqlab.types import Encoded, InputError, mask


class TransformerTranslator(nn.Module):
    """Encoder and decoder of attention alone (Vaswani et al. 2017); a ``Translator``.

    Written tokens are remembered as the decoder's keys and values, so a step costs one token's work, not the prefix's.

    Args:
        embedding: source ids to vectors.
        encoder: vectors to outputs at each source step, a ``TransformerEncoder`` or another; the decoder has its width.
        target_embedding: target ids to vectors; may be ``embedding`` itself where both sides share a vocabulary.
        head: the decoder's outputs to logits; may be tied to ``target_embedding``.
        num_layers: of the decoder.
        num_heads: see ``TransformerEncoder``, also below.
        feedforward: hidden units; None is four times the width.
        dropout: in the decoder.
        norm_first: normalise before each block.

    Raises:
        InputError: a size or a probability that ``TransformerDecoder`` refuses.
    """

    __prepare_scriptable__ = no_script
    attends = True
    """There are attention weights to show."""

    def __init__(
        self,
        embedding: Embedding,
        encoder: nn.Module,
        target_embedding: Embedding,
        head: TokenHead,
        num_layers: int = 3,
        num_heads: int = 4,
        feedforward: int | None = None,
        dropout: float = 0.1,
        norm_first: bool = True,
    ) -> None:
        super().__init__()
        width = encoder.output_size
        assert isinstance(width, int)
        self.embedding, self.encoder, self.target_embedding = embedding, encoder, target_embedding
        self.entrance = Entrance(target_embedding.output_size, width, dropout)
        self.decoder = TransformerDecoder(width, num_layers, num_heads, feedforward, dropout, norm_first)
        self.head = head

    def example_inputs(self) -> tuple[Tensor, ...]:
        """Sources and targets, each with their lengths."""
        return (*example_ids(self), *example_ids(self))

    def layers(self) -> dict[str, nn.Module]:
        """By name, in order."""
        names = ("target_embedding", "entrance", "decoder", "head")
        parts = {name: getattr(self, name) for name in names}
        return {"embedding": self.embedding, **encoder_layers(self.encoder), **parts}

    def forward(
        self, inputs: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor, forcing: float = 1.0
    ) -> Spoken:
        """See ``Translator``. Where the model looked is told in evaluation alone.

        No step sees a later one, so nothing that counts sees the targets' padding.
        """
        if forcing < 1:
            targets = own_words(self, inputs, lengths, targets, forcing)
        encoded, told, seen = self._read(inputs, lengths)
        x = self.entrance(self.target_embedding(targets))
        attention = None
        if self.training:
            outputs = self.decoder(x, encoded, seen)
        else:
            start = self.decoder.start(len(x), x)
            outputs, _, attention = self.decoder.read(x, self.decoder.keys(encoded), seen, start)
            attention = (attention * told.unsqueeze(1))[:, :, : inputs.shape[1]]
        return Spoken(self.head(self.head.drop(outputs)), attention)

    def begin(self, inputs: Tensor, lengths: Tensor) -> Memory:
        """Read sources ``(B, T)`` with ``lengths`` ``(B,)``; nothing is written yet.

        Raises:
            InputError: the model is in training mode, where dropout would blur what it says.
        """
        if self.training:
            raise InputError("Call model.eval() before model.begin(): in training mode dropout blurs what it says.")
        encoded, told, seen = self._read(inputs, lengths)
        # An answer tells of T steps, also where T is 0 and one was put in.
        return Memory(
            (told[:, : inputs.shape[1]], seen, *self.decoder.keys(encoded)), self.decoder.start(len(inputs), encoded)
        )

    def step(self, memory: Memory, ids: Tensor) -> tuple[Tensor, Memory, Tensor | None]:
        """Read the token written last, ``ids`` ``(B,)``; logits ``(B, V)``, the memory after it, ``(B, T)`` looks."""
        told, seen, *keys = memory.source
        x = self.entrance(self.target_embedding(ids.unsqueeze(1)), memory.state[0].shape[2])
        outputs, state, attention = self.decoder.read(x, tuple(keys), seen, memory.state)
        looked = attention[:, 0, : told.shape[1]] * told
        return self.head(self.head.drop(outputs)).squeeze(1), Memory(memory.source, state), looked

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.head.output.weight.device

    def _read(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The encoder's outputs ``(B, T, D)``, which count ``(B, T)``, and at which one may look ``(B, T)``.

        These differ in an empty row alone: its first step, which is zero, may be looked at, for a softmax over nothing
        is no number. ``T`` is at least 1 here.
        """
        encoded: Encoded = self.encoder(self.embedding(inputs), lengths)
        outputs = encoded.outputs
        if outputs.shape[1] == 0:
            outputs = outputs.new_zeros(outputs.shape[0], 1, outputs.shape[2])
        T = outputs.shape[1]
        told, seen = mask(encoded.lengths, T), mask(encoded.lengths.clamp(min=1), T)
        return outputs, told.to(outputs.device), seen.to(outputs.device)
