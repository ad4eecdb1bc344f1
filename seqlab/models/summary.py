"""A model's layers, the shapes that they answer and their parameters, as a table."""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.models.embedding import Features
from seqlab.models.forecaster import Forecaster
from seqlab.models.language_model import LanguageModel
from seqlab.models.model import Model
from seqlab.models.seq2seq import Seq2Seq
from seqlab.models.transformer import TransformerTranslator
from seqlab.types import Encoded

AnyTranslator = Seq2Seq | TransformerTranslator
AnyModel = Model | LanguageModel | Forecaster | AnyTranslator

_PROBE_LENGTH = 7
"""Steps of the probe; an answer's middle dimension of this size is shown as ``T``."""


@dataclass(frozen=True)
class Row:
    """One layer.

    Attributes:
        name: path inside the model.
        kind: class and its settings.
        shape: of its answer, by the shape legend.
        parameters: how many numbers it holds.
    """

    name: str
    kind: str
    shape: str
    parameters: int


@dataclass(frozen=True)
class Summary:
    """A model's rows and totals; ``str(summary)`` is the table."""

    rows: tuple[Row, ...]
    parameters: int
    trainable: int

    def __str__(self) -> str:
        from rich.console import Console
        from rich.table import Column

        from seqlab.terminal import PlainTable

        frozen = self.parameters - self.trainable
        table = PlainTable(
            Column("layer", "total" if not frozen else f"total ({frozen:,} frozen)"),
            "kind",
            "output",
            Column("parameters", f"{self.parameters:,}", justify="right"),
            footer=True,
        )
        for row in self.rows:
            table.add_row(row.name, row.kind, row.shape, f"{row.parameters:,}")
        text = StringIO()
        Console(file=text, width=120, color_system=None).print(table.table)
        return text.getvalue().rstrip("\n")


def summarize(model: AnyModel) -> Summary:
    """Run the model once on two rows of zeros and note what each layer answers.

    Every parameter is counted in exactly one row. The model's mode is left as it was and no random number is drawn.
    """
    layers = _layers(model)
    shapes: dict[str, str] = {}
    handles = [
        # The name is bound as a default: a plain closure would see the loop's last one.
        layer.register_forward_hook(lambda module, args, answer, name=name: shapes.update({name: _shape(answer)}))
        for name, layer in layers.items()
    ]
    first = next(model.parameters(), torch.empty(0))
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(*_probe(model, first))
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    counted: set[Tensor] = set()  # tied weights belong to the layer that has them first
    rows = []
    for name, layer in layers.items():
        own = set(layer.parameters()) - counted
        # A layer that only reads on, step by step, as a Transformer's decoder in evaluation, was not called itself.
        rows.append(Row(name, _kind(layer), shapes.get(name, ""), sum(p.numel() for p in own)))
        counted |= own
    return Summary(tuple(rows), _count(model), sum(p.numel() for p in model.parameters() if p.requires_grad))


def _probe(model: AnyModel, like: Tensor) -> tuple[Tensor, ...]:
    """Two rows of zeros and their lengths; of a forecaster the known future, of a translator targets."""
    lengths = torch.full((2,), _PROBE_LENGTH)
    if isinstance(model, Forecaster):
        G = model.num_future
        T = _PROBE_LENGTH if model.highway is None else max(_PROBE_LENGTH, model.highway.in_features)
        lengths, inputs = torch.full((2,), T), like.new_zeros(2, T, model.values + G)
        return (inputs, lengths, like.new_zeros(2, model.horizon, G)) if G else (inputs, lengths)
    if isinstance(model.embedding, Features):
        return like.new_zeros(2, _PROBE_LENGTH, model.embedding.output_size), lengths
    ids = torch.zeros(2, _PROBE_LENGTH, dtype=torch.long, device=like.device)
    return (ids, lengths, ids, lengths) if isinstance(model, AnyTranslator) else (ids, lengths)


def _layers(model: AnyModel) -> dict[str, nn.Module]:
    """What gets a row: the embedding, the encoder or each layer of a stack, and the parts of the head."""
    layers: dict[str, nn.Module] = {} if isinstance(model, Forecaster) else {"embedding": model.embedding}
    stack = getattr(model.encoder, "layers", None)
    if isinstance(stack, nn.ModuleList) and _count(stack) == _count(model.encoder):
        layers |= {f"encoder.layers.{name}": layer for name, layer in stack.named_children()}
    else:
        layers["encoder"] = model.encoder
    if isinstance(model, Seq2Seq):
        names = ("bridge", "target_embedding", "decoder", "head")
        return layers | {name: getattr(model, name) for name in names}
    if isinstance(model, TransformerTranslator):
        return layers | {name: getattr(model, name) for name in ("target_embedding", "entrance", "decoder", "head")}
    if isinstance(model, LanguageModel):
        return layers | {"head": model.head}
    if isinstance(model, Forecaster):
        return layers | {"decoder": model.decoder} | ({} if model.highway is None else {"highway": model.highway})
    layers |= {f"head.{name}": part for name, part in model.head.named_children()}
    if model.ngrams is not None:
        layers["ngrams"] = model.ngrams
    return layers


def _kind(layer: nn.Module) -> str:
    settings = layer.extra_repr()
    return f"{type(layer).__name__}({settings})" if settings else type(layer).__name__


def _shape(answer: Any) -> str:
    while isinstance(answer, tuple):  # a recurrent layer answers its outputs and its final state
        answer = answer[0]
    shape = answer.outputs.shape if isinstance(answer, Encoded) else answer.shape
    assert isinstance(shape, torch.Size)
    timed = len(shape) > 2 and _PROBE_LENGTH in shape[:2]  # recurrent layers hand on time first
    return f"({', '.join(['B', *(['T'] if timed else []), *map(str, shape[2 if timed else 1 :])])})"


def _count(module: nn.Module) -> int:
    parameters: list[Tensor] = list(module.parameters())
    return sum(p.numel() for p in parameters)
