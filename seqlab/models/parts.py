"""What models are made of, made when it is asked for: so that weights are drawn in the order of the questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from seqlab import schema
from seqlab.models.embedding import Embedding, Features
from seqlab.models.heads import TokenHead
from seqlab.models.model import Model
from seqlab.models.ngrams import NgramReader
from seqlab.types import DataSpec, InputError

PARTS = ("name", "lr", "embedding", "head", "decoder", "translator", "ngrams", "tail", "vote")
"""Keys of the config's ``model`` that are not the encoder's own."""


class ModelParts:
    """Embeddings, encoders and heads as a config describes them.

    Args:
        config: the whole config.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.node: Mapping[str, Any] = config["model"]
        self.name: str = self.node["name"]
        self._data: str = config["data"]["name"]
        self._width = config["data"].get("embedding_dim")

    def embedding(self, spec: DataSpec, tokens: Sequence[str] = ()) -> Embedding | Features:
        """Of token ids, as wide as ``model.embedding`` says or as suits the data; real inputs stay as they are."""
        if spec.num_features:
            return Features(spec.num_features)
        options = dict(self.node["embedding"])
        if self._width is not None:
            options["default_dim"] = self._width
        with schema.named("model.embedding"):
            return Embedding(vocab_size=spec.vocab_size, pad_id=spec.pad_id, tokens=tokens, **options)

    def encoder(self, input_size: int) -> Any:
        """Whatever ``model._target_`` names, for vectors of this size."""
        node = {key: value for key, value in self.node.items() if key not in PARTS}
        return schema.construct("model", node, input_size=input_size)

    def labelling(
        self, head: type[nn.Module], spec: DataSpec, tokens: Sequence[str], ngrams: NgramReader | None = None
    ) -> Model:
        """Embedding, encoder and a head that answers ``spec.num_outputs`` numbers."""
        self.refuse_tied(spec)
        embedding = self.embedding(spec, tokens)
        encoder = self.encoder(embedding.output_size)
        if getattr(head, "stepwise", False) and not getattr(encoder, "stepwise", True):
            raise InputError(
                f"model={self.name} answers one vector for a whole row, and data of task={spec.task} has a label for "
                "each step: choose another model, such as model=bigru."
            )
        taken = schema.arguments(head)  # a label for every step needs no pooling
        options = {key: value for key, value in self.node["head"].items() if key in taken}
        made = head(input_size=encoder.output_size, num_outputs=spec.num_outputs, **options)
        return Model(embedding, encoder, made, ngrams, self.node["tail"], self.node["vote"])

    def token_head(self, embedding: Any, width: int, vocab_size: int) -> TokenHead:
        """From ``width`` to the logits of tokens, with the embedding's weights if ``model.head.tied``."""
        self.refuse_readers_of_texts()
        head = self.node["head"]
        if head["tied"] and embedding.weight is None:
            raise InputError("model.head.tied=true shares the embedding's weights, and one-hot vectors have none.")
        tied = embedding.weight if head["tied"] else None
        return TokenHead(width, vocab_size, head["dropout"], head["variational"], tied)

    def refuse_tied(self, spec: DataSpec) -> None:
        """Refuse models that write text, where the answer is none.

        Raises:
            InputError: ``model.head.tied`` is true.
        """
        if self.node["head"]["tied"]:
            which = "is an encoder-decoder" if self.name == "seq2seq" else "has model.head.tied=true"
            raise InputError(
                f"model={self.name} {which}, for data whose answer is text (data=pairs, data=dates), and "
                f"data={self._data} is {spec.task}: choose another model, such as model=bigru."
            )

    def refuse_ngrams(self) -> None:
        """Refuse a reader of n-grams.

        Raises:
            InputError: ``model.ngrams`` is set.
        """
        if self.node["ngrams"] is not None:
            raise InputError(f"model={self.name} counts words and classifies texts: choose another for this data.")

    def refuse_readers_of_texts(self) -> None:
        """Refuse models that only classify.

        Raises:
            InputError: ``model.ngrams`` or ``model.tail`` is set.
        """
        if self.node["ngrams"] is not None or self.node["tail"] is not None:
            raise InputError(f"model={self.name} classifies texts: choose another for this data, such as model=lstm.")
