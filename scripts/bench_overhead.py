"""What the trainer costs: steps per second of a tiny LSTM under a bare loop, under ours, and under Lightning.

Embedding and LSTM of 16, batches of 8 x 16 tokens, torch's fused AdamW that spares biases (ours keeps its lists from
step to step), one thread: a step is so short that everything around it shows. Ours runs as by default: progress bar on
a terminal, TensorBoard and metrics.jsonl, clipping, checkpoints. A bare loop runs interleaved with each contestant,
some steps of the one and some of the other in turn, so that a busy machine is busy for both; each ratio is between
these two, the median over rounds.

    python scripts/bench_overhead.py --steps 4000 --repeats 5
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab.engine.optim import adamw
from seqlab.engine.progress import Progress
from seqlab.engine.runtime import versions
from seqlab.engine.schedule import cosine
from seqlab.engine.settings import Settings
from seqlab.engine.tracker import Tracker
from seqlab.engine.trainer import Trainer
from seqlab.tasks.classification import Classification
from seqlab.types import Batch

HIDDEN, BATCH, LENGTH, VOCABULARY = 16, 8, 16, 100


class Tiny(nn.Module):
    """Embedding, LSTM, linear: ``(B, T)`` ids -> ``(B, 2)`` logits."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, HIDDEN)
        self.lstm = nn.LSTM(HIDDEN, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, 2)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Reads the last step."""
        return self.head(self.lstm(self.embedding(inputs))[0][:, -1])


class Bare:
    """The loop one writes first, a few steps at a time."""

    def __init__(self, clip: bool = False) -> None:
        self.clip = clip
        self.model = Tiny()
        decayed = [p for p in self.model.parameters() if p.ndim >= 2]
        kept = [p for p in self.model.parameters() if p.ndim < 2]
        groups: list[dict[str, Any]] = [{"params": decayed}, {"params": kept, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-3, fused=True)

    def run(self, batches: list[Batch]) -> None:
        """One update a batch."""
        for batch in batches:
            loss = F.cross_entropy(self.model(batch.inputs, batch.lengths), batch.targets)
            loss.backward()
            if self.clip:
                nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()


class Turns:
    """A loader over batches in memory that runs as many steps of a bare loop whenever some of its own are taken.

    Attributes:
        bare_seconds: what the bare loop's turns took in all.
    """

    padding = 0.0
    turn = 20

    def __init__(self, steps: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.steps = steps
        self.bare_seconds = 0.0
        self.batches = [
            Batch(
                torch.randint(VOCABULARY, (BATCH, LENGTH), generator=generator),
                torch.full((BATCH,), LENGTH),
                torch.randint(2, (BATCH,), generator=generator),
                torch.arange(BATCH),
            )
            for _ in range(self.turn)
        ]

    def __len__(self) -> int:
        return self.steps

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Goes round and round."""
        bare = Bare()
        for _ in range(start, self.steps, self.turn):
            started = time.perf_counter()
            bare.run(self.batches)
            self.bare_seconds += time.perf_counter() - started
            yield from self.batches


def clipping(loader: Turns, folder: Path) -> float:
    """The bare loop with torch's clipping; returns seconds, the other's turns included."""
    loop = Bare(clip=True)
    started = time.perf_counter()
    for batch in loader.epoch(0):
        loop.run([batch])
    return time.perf_counter() - started


def ours(loader: Turns, folder: Path) -> float:
    """The trainer with its defaults, its bar drawn as on a terminal; returns seconds, the last save included."""
    from rich.console import Console

    model = Tiny()
    tracker = Tracker(folder)
    with open(os.devnull, "w") as nowhere:
        trainer = Trainer(
            model,
            Classification(2, ("no", "yes")),
            adamw(model, lr=1e-3),
            cosine,
            loader,
            None,
            Settings(max_steps=len(loader)),
            tracker=tracker,
            progress=Progress(Console(file=nowhere, force_terminal=True, width=100)),
            run_dir=folder,
        )
        started = time.perf_counter()
        trainer.fit()
        seconds = time.perf_counter() - started
    tracker.close()
    return seconds


def lightning(loader: Turns, folder: Path) -> float:
    """Lightning with progress bar, TensorBoard logger and clipping; returns the seconds of its training epoch."""
    import contextlib
    import logging
    import warnings

    import lightning as L
    from lightning.pytorch.loggers import TensorBoardLogger

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = Tiny()
            self.started = self.seconds = 0.0

        def training_step(self, batch: Batch, _: int) -> Tensor:
            loss = F.cross_entropy(self.model(batch.inputs, batch.lengths), batch.targets)
            self.log("train/loss", loss, prog_bar=True)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return adamw(self, lr=1e-3)

        def on_train_start(self) -> None:
            self.started = time.perf_counter()

        def on_train_end(self) -> None:
            self.seconds = time.perf_counter() - self.started

    class Epoch:
        def __len__(self) -> int:
            return len(loader)

        def __iter__(self) -> Iterator[Batch]:
            return loader.epoch(0)

    module = Module()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        warnings.simplefilter("ignore")
        trainer = L.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=TensorBoardLogger(str(folder)),
            gradient_clip_val=1.0,
            log_every_n_steps=50,
            enable_model_summary=False,
        )
        trainer.fit(module, Epoch())
    return module.seconds


def contestants() -> dict[str, Callable[[Turns, Path], float]]:
    """Who runs here, by name."""
    found: dict[str, Callable[[Turns, Path], float]] = {"bare loop + clip_grad_norm_": clipping, "seqlab Trainer": ours}
    try:
        import lightning as L
    except ImportError:
        return found
    return {**found, f"Lightning {L.__version__}": lightning}


def main(steps: int = 4000, repeats: int = 5) -> dict[str, float]:
    """Measures, prints a table, and returns each contestant's rate as a share of the bare loop's."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants()}
    with tempfile.TemporaryDirectory() as folder:
        for round_ in range(repeats + 1):
            for number, (name, run) in enumerate(contestants().items()):
                torch.manual_seed(0)
                loader = Turns(steps)
                seconds = run(loader, Path(folder) / f"{number}-{round_}") - loader.bare_seconds
                if round_ > 0:  # the first warms up caches and imports
                    pairs[name].append((steps / seconds, steps / loader.bare_seconds))
    print(f"steps/s, embedding + LSTM of {HIDDEN}, batch {BATCH}, length {LENGTH}, {steps} steps x {repeats} rounds")
    bare = statistics.median(other for found in pairs.values() for _, other in found)
    print(f"  {'bare loop':30} {bare:7.0f}   x 1.000")
    shares = {"bare loop": 1.0}
    for name, found in pairs.items():
        ratios = [own / other for own, other in found]
        shares[name] = statistics.median(ratios)
        own_rate = statistics.median(own for own, _ in found)
        print(f"  {name:30} {own_rate:7.0f}   x {shares[name]:.3f}  ({min(ratios):.3f} to {max(ratios):.3f})")
    print("  " + ", ".join(f"{name} {version}" for name, version in versions().items()))
    torch.set_num_threads(threads)
    return shares


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4000, help="steps a round")
    parser.add_argument("--repeats", type=int, default=5, help="rounds")
    options = parser.parse_args()
    main(options.steps, options.repeats)
