"""An encoder-decoder, put together as ``task.decoder`` says."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from seqlab.models import AttentionDecoder, Bridge, Embedding, Seq2Seq, TransformerTranslator
from seqlab.models.attention_decoder import BridgeKind
from seqlab.models.parts import ModelParts
from seqlab.nn import TransformerEncoder
from seqlab.nn.attention import AttentionKind
from seqlab.types import DataSpec, InputError

TRANSFORMER = ("num_layers", "num_heads", "feedforward", "dropout", "norm_first")
"""Options of a transformer's encoder that its decoder takes as well."""


@dataclass(frozen=True)
class DecoderOptions:
    """What writes the translation, see ``AttentionDecoder`` and ``Bridge``; a transformer takes its encoder's sizes."""

    kind: Literal["recurrent", "transformer"] = "recurrent"
    cell: str = "gru"
    hidden_size: int = 256
    num_layers: int = 1
    dropout: float = 0.0
    variational: bool = False
    recurrent_dropout: float = 0.0
    state_dropout: float = 0.0
    zoneout: float = 0.0
    attention: AttentionKind | Literal["none"] = "general"
    num_heads: int = 4
    input_feeding: bool = True
    bridge: BridgeKind = "dense"

    def recurrent(self) -> dict[str, Any]:
        """The arguments of ``AttentionDecoder``."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("kind", "bridge")}


def build_translator(
    parts: ModelParts, spec: DataSpec, decoder: DecoderOptions, embedding: Any, encoder: Any
) -> Seq2Seq | TransformerTranslator:
    """Join embedding and encoder of the source with what writes the target.

    Raises:
        InputError: a decoder that does not suit the encoder.
    """
    target = embedding
    if not spec.shared:
        # Vectors of the source's language say nothing of the target's.
        options = {**parts.node["embedding"], "vectors": None, "trainable": True}
        options["dim"] = None if options["kind"] == "onehot" else embedding.output_size
        target = Embedding(vocab_size=spec.num_outputs, pad_id=spec.pad_id, **options)
    if decoder.kind == "transformer":
        if not isinstance(encoder, TransformerEncoder):
            raise InputError(
                f"task.decoder.kind=transformer goes with model=transformer, whose sizes it takes, not with "
                f"model={parts.name}: set task.decoder.kind=recurrent."
            )
        head = parts.token_head(target, encoder.output_size, spec.num_outputs)
        sizes = {name: parts.node[name] for name in TRANSFORMER if name in parts.node}
        return TransformerTranslator(embedding, encoder, target, head, **sizes)
    if not getattr(encoder, "stepwise", True) and decoder.attention != "none":
        raise InputError(
            f"model={parts.name} answers one vector for a whole row, so there is nothing to attend to: set "
            "task.decoder.attention=none and task.decoder.input_feeding=false, or choose another model, such as "
            "model=seq2seq."
        )
    writer = AttentionDecoder(target.output_size, encoder.output_size, **decoder.recurrent())
    bridge = Bridge(encoder, writer.recurrent, decoder.bridge)
    head = parts.token_head(target, writer.output_size, spec.num_outputs)
    return Seq2Seq(embedding, encoder, bridge, target, writer, head)
