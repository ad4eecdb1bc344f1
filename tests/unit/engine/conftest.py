"""A model, batches and a loader small enough to follow by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from seqlab.engine.optim import sgd
from seqlab.engine.schedule import constant
from seqlab.engine.settings import Settings
from seqlab.engine.trainer import Trainer
from seqlab.tasks.classification import Classification
from seqlab.types import Batch


class Reader(nn.Module):
    def __init__(self, vocabulary: int = 12, classes: int = 3, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 6)
        self.dropout = nn.Dropout(dropout)
        self.rnn = nn.LSTM(6, 5, batch_first=True)
        self.head = nn.Linear(5, classes)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        return self.head(self.rnn(self.dropout(self.embedding(inputs)))[0].mean(dim=1))


@dataclass
class Rows:
    """Batches of given sizes; each epoch has its own order, a function of the epoch alone."""

    sizes: tuple[int, ...] = (4, 4, 4, 4, 4)
    classes: int = 3
    padding: float = 0.0
    inputs: Tensor = field(init=False)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(7)
        self.inputs = torch.randint(12, (sum(self.sizes), 6), generator=generator)

    def __len__(self) -> int:
        return len(self.sizes)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        order = torch.randperm(len(self.inputs), generator=torch.Generator().manual_seed(epoch))
        for rows in order.split(list(self.sizes))[start:]:
            inputs = self.inputs[rows]
            yield Batch(inputs, torch.full((len(rows),), 5), inputs[:, 0] % self.classes, rows)


@dataclass
class Book:
    """A tracker that remembers."""

    rows: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    def scalars(self, values: dict[str, float], step: int) -> None:
        self.rows.append((step, dict(values)))

    def flush(self) -> None:
        pass

    def column(self, name: str) -> list[tuple[int, float]]:
        return [(step, values[name]) for step, values in self.rows if name in values]


@pytest.fixture
def reader() -> Callable[..., Reader]:
    def build(**options: float) -> Reader:
        torch.manual_seed(1)
        return Reader(**options)

    return build


@pytest.fixture
def rows() -> type[Rows]:
    return Rows


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def task() -> Classification:
    return Classification(3, ("a", "b", "c"))


@pytest.fixture
def build(task: Classification) -> Callable[..., Trainer]:
    """A trainer from as few words as a test needs; settings by name."""

    def make(model=None, optimizer=None, schedule=constant, train=None, val=None, **options) -> Trainer:
        if model is None:
            torch.manual_seed(1)
            model = Reader()
        own = {name: options.pop(name) for name in ("tracker", "run_dir", "extra", "runtime") if name in options}
        train = Rows() if train is None else train
        optimizer = optimizer or sgd(model, lr=0.5)
        return Trainer(model, task, optimizer, schedule, train, val, Settings(**options), **own)

    return make
