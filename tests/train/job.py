"""A small training that can be killed: ``python job.py FOLDER`` begins it, ``run(FOLDER, resume=True)`` goes on."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from seqlab.data.batching import BucketLoader
from seqlab.engine import checkpoint
from seqlab.engine.optim import adamw
from seqlab.engine.schedule import cosine
from seqlab.engine.settings import Settings
from seqlab.engine.tracker import Tracker
from seqlab.engine.trainer import Trainer
from seqlab.tasks.classification import Classification
from seqlab.types import Batch, Ragged, Split

EPOCHS, LATE = 6, 5
"""Epochs of the training, and the first one that a slow loader reads slowly."""


class Reader(nn.Module):
    """Embedding, dropout, LSTM with dropout between its layers, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(30, 8)
        self.dropout = nn.Dropout(0.3)
        self.rnn = nn.LSTM(8, 8, num_layers=2, dropout=0.2, batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        return self.head(self.rnn(self.dropout(self.embedding(inputs)))[0].mean(dim=1))


def split(rows: int, seed: int) -> Split:
    """Token 2 somewhere means yes."""
    generator = np.random.default_rng(seed)
    texts = [generator.integers(2, 30, size=length) for length in generator.integers(3, 14, size=rows)]
    offsets = np.cumsum([0, *map(len, texts)]).astype(np.int64)
    targets = np.array([2 in text for text in texts], np.int64)
    return Split(Ragged(np.concatenate(texts).astype(np.int32), offsets), targets)


class Slow:
    """The loader, at a pace that leaves time to kill: its last batches take as long as a busy machine may need."""

    def __init__(self, loader: BucketLoader, seconds: float) -> None:
        self.loader, self.seconds = loader, seconds
        self.padding = 0.0

    def __len__(self) -> int:
        return len(self.loader)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        for batch in self.loader.epoch(epoch, start):
            time.sleep(self.seconds if epoch < LATE else 50 * self.seconds)
            yield batch


def run(folder: Path, resume: bool = False, seconds: float = 0.0) -> Trainer:
    """Trains to the end; returns the trainer."""
    torch.set_num_threads(1)
    torch.manual_seed(11)
    state = checkpoint.load(folder / "last.pt") if resume else None
    model = Reader()
    tracker = Tracker(folder, None if state is None else state["trainer"]["step"])
    loader = Slow(BucketLoader(split(160, 0), pad_id=1, batch_size=8, seed=3), seconds)
    trainer = Trainer(
        model, Classification(2, ("no", "yes")), adamw(model, lr=0.01), cosine,
        loader, BucketLoader(split(40, 1), pad_id=1, batch_size=8, shuffle=False),
        Settings(max_epochs=EPOCHS, ema_decay=0.9, log_every=2, checkpoint_steps=3),
        tracker=tracker, run_dir=folder,
    )  # fmt: skip
    if state is not None:
        trainer.load_state_dict(state)
    trainer.fit()
    tracker.close()
    return trainer


if __name__ == "__main__":
    run(Path(sys.argv[1]), seconds=0.01)
