"""A model's layers, the shapes that they answer and their parameters, as a table."""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.models.forecaster import Forecaster
from seqlab.models.language_model import LanguageModel
from seqlab.models.layers import STEPS, count
from seqlab.models.model import Model
from seqlab.models.seq2seq import Seq2Seq
from seqlab.models.transformer import TransformerTranslator
from seqlab.types import Encoded

AnyTranslator = Seq2Seq | TransformerTranslator
AnyModel = Model | LanguageModel | Forecaster | AnyTranslator


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


def summarize(model: Any) -> Summary:
    """Run the model once on two rows of zeros and note what each layer answers.

    Every parameter is counted in exactly one row. The model's mode is left as it was and no random number is drawn.
    """
    layers = model.layers()
    shapes: dict[str, str] = {}
    handles = [
        # The name is bound as a default: a plain closure would see the loop's last one.
        layer.register_forward_hook(lambda module, args, answer, name=name: shapes.update({name: _shape(answer)}))
        for name, layer in layers.items()
    ]
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(*model.example_inputs())
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
    return Summary(tuple(rows), count(model), sum(p.numel() for p in model.parameters() if p.requires_grad))


def _kind(layer: nn.Module) -> str:
    settings = layer.extra_repr()
    return f"{type(layer).__name__}({settings})" if settings else type(layer).__name__


def _shape(answer: Any) -> str:
    while isinstance(answer, tuple):  # a recurrent layer answers its outputs and its final state
        answer = answer[0]
    shape = answer.outputs.shape if isinstance(answer, Encoded) else answer.shape
    assert isinstance(shape, torch.Size)
    timed = len(shape) > 2 and STEPS in shape[:2]  # recurrent layers hand on time first
    return f"({', '.join(['B', *(['T'] if timed else []), *map(str, shape[2 if timed else 1 :])])})"
