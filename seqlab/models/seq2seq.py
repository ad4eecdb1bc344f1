"""Encoder-decoder: one network reads the source, another writes the target and looks back at the source."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.models.attention_decoder import AttentionDecoder, Bridge
from seqlab.models.embedding import Embedding
from seqlab.models.heads import TokenHead
from seqlab.models.layers import encoder_layers, example_ids
from seqlab.models.translator import Memory, Spoken, own_words
from seqlab.nn.plain import no_script
from seqlab.types import Encoded, States


class Seq2Seq(nn.Module):
    """A recurrent encoder-decoder (Sutskever et al. 2014, Bahdanau et al. 2015, Luong et al. 2015): a ``Translator``.

    Args:
        embedding: of the source.
        encoder: any: ``(B, T, E)`` and lengths to ``Encoded``.
        bridge: from its end to the decoder's beginning.
        target_embedding: of the target; the same module where both sides share their vocabulary.
        decoder: embedded tokens to what says the next.
        head: that to logits.
    """

    __prepare_scriptable__ = no_script

    def __init__(
        self,
        embedding: Embedding,
        encoder: nn.Module,
        bridge: Bridge,
        target_embedding: Embedding,
        decoder: AttentionDecoder,
        head: TokenHead,
    ) -> None:
        super().__init__()
        self.embedding, self.encoder, self.bridge = embedding, encoder, bridge
        self.target_embedding, self.decoder, self.head = target_embedding, decoder, head

    @property
    def attends(self) -> bool:
        """Whether the decoder has attention weights to show."""
        return self.decoder.attention is not None

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.head.output.weight.device

    def example_inputs(self) -> tuple[Tensor, ...]:
        """Sources and targets, each with their lengths."""
        return (*example_ids(self), *example_ids(self))

    def layers(self) -> dict[str, nn.Module]:
        """By name, in order."""
        names = ("bridge", "target_embedding", "decoder", "head")
        parts = {name: getattr(self, name) for name in names}
        return {"embedding": self.embedding, **encoder_layers(self.encoder), **parts}

    def forward(
        self, inputs: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor, forcing: float = 1.0
    ) -> Spoken:
        """See ``Translator``."""
        if forcing < 1:
            targets = own_words(self, inputs, lengths, targets, forcing)
        memory = self.begin(inputs, lengths)
        words = self.target_embedding(targets)
        said, attention = self.decoder(words, target_lengths, memory.source, self._states(memory))
        return Spoken(self.head(self.head.drop(said)), attention)

    def begin(self, inputs: Tensor, lengths: Tensor) -> Memory:
        """See ``Translator``."""
        encoded: Encoded = self.encoder(self.embedding(inputs), lengths)
        state = tuple(part for layer in self.bridge(encoded) for part in layer)
        if self.decoder.input_feeding:
            state = (encoded.final.new_zeros(len(inputs), self.decoder.output_size), *state)
        return Memory(self.decoder.prepare(encoded), state)

    def step(self, memory: Memory, ids: Tensor) -> tuple[Tensor, Memory, Tensor | None]:
        """See ``Translator``."""
        word = self.target_embedding(ids.unsqueeze(1)).squeeze(1)
        feeds = self.decoder.input_feeding
        fed = memory.state[0] if feeds else None
        said, states, weights = self.decoder.step(word, fed, memory.source, self._states(memory))
        logits = self.head(self.head.drop(said.unsqueeze(1))).squeeze(1)
        parts = tuple(part for layer in states for part in layer)
        return logits.float(), Memory(memory.source, (said, *parts) if feeds else parts), weights

    def _states(self, memory: Memory) -> States:
        """The decoder's states, layer by layer; with input feeding its last answer stands before them."""
        parts = iter(memory.state[1:] if self.decoder.input_feeding else memory.state)
        return tuple(tuple(next(parts) for _ in layer) for layer in self.bridge.shapes)
