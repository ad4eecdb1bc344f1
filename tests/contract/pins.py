"""Numbers that a change of structure must not change: initial weights and first losses of eight models, key owners.

python tests/contract/pins.py            digests to the last bit, to compare two commits on one machine
python tests/contract/pins.py --write    record what this tree gives in tests/contract/pins.json
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from seqlab import build
from seqlab.compose import CONFIGS, composed
from seqlab.engine.trainer import Trainer
from seqlab.train import train

FILE = Path(__file__).with_name("pins.json")
TINY = (
    "model.hidden_size=6",
    "runtime.threads=1",
    "runtime.tune=off",
    "trainer.precision=fp32",
    "trainer.max_steps=3",
    "trainer.log_every=1",
    "floor=false",
)
MODELS: dict[str, Sequence[str]] = {
    "classification": ("data=reviews", "model=bilstm", "model.embedding.dim=5", "data.batch_size=8"),
    "n-grams": ("data=reviews", "model=lstm_ngrams", "model.embedding.dim=5", "model.ngrams.buckets=64"),
    "language model": ("data=verses", "model=lstm", "model.embedding.dim=5", "data.length=16", "data.batch_size=4"),
    "regression": ("data=adding", "model=gru", "data.train=40", "data.val=4", "data.test=4", "data.steps=20"),
    "tagging": ("data=copy", "model=rnn", "data.train=40", "data.val=4", "data.test=4", "data.steps=8"),
    "detection": ("data=ecg", "model=bigru", "data.train=8", "data.val=2", "data.test=2", "data.steps=80"),
    "forecast": ("data=waves", "model=seggru", "data.length=1200", "task.loss=quantile", "task.highway=8"),
    "translation": (
        "data=dates",
        "model=seq2seq",
        "data.train=40",
        "data.val=4",
        "data.test=4",
        "model.embedding.dim=5",
    ),
}


class StopError(BaseException):
    """Training is over, and what follows is not asked for."""


def pin(words: Sequence[str]) -> dict[str, Any]:
    """Initial weights, by name, and the losses of the first three steps of a tiny training."""
    found: dict[str, Any] = {}
    fit = Trainer.fit

    def recorded(trainer: Trainer, *args: Any, **options: Any) -> None:
        state = {name: tensor.detach().clone() for name, tensor in trainer.model.state_dict().items()}
        found["weights"] = {name: summed(tensor) for name, tensor in state.items()}
        found["digest"] = digest(state)
        fit(trainer, *args, **options)
        found["after"] = digest(trainer.model.state_dict())
        raise StopError

    with tempfile.TemporaryDirectory() as folder, patch.object(Trainer, "fit", recorded):
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            try:
                train(composed(*words, *TINY, f"run_dir={folder}/run"))
            except StopError:
                rows = [json.loads(line) for line in Path(folder, "run", "metrics.jsonl").read_text().splitlines()]
        found["losses"] = [row["train/loss"] for row in rows if "train/loss" in row]
    return found


def owners() -> dict[str, dict[str, str]]:
    """Of every data config: whose each key of ``data`` is: of its source, of its form of data, or a recommendation."""
    found = {}
    for path in sorted((CONFIGS / "data").glob("*.yaml")):
        config = composed(f"data={path.stem}", *(["data.path=x"] if "path: ???" in path.read_text() else []))
        plan = build.make_plan(config)
        options = vars(plan.options)
        found[path.stem] = {
            key: "source" if key in plan.source else "form" if key in (*options, "tokenizer") else "recommended"
            for key in sorted(config["data"])
            if key != "_target_"
        }
    return found


def summed(tensor: torch.Tensor) -> list[float]:
    """Shape, sum and sum of squares: equal on every processor, where the last bits of normal draws are not."""
    values = tensor.double()
    return [*tensor.shape, values.sum().item(), values.square().sum().item()]


def digest(state: dict[str, torch.Tensor]) -> str:
    """SHA-256 over all names and bytes."""
    found = hashlib.sha256()
    for name, tensor in state.items():
        found.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def main() -> None:
    """Print digests, or record."""
    pins = {name: pin(words) for name, words in MODELS.items()}
    for name, found in pins.items():
        print(f"{name:15} {found['digest'][:16]} {found['after'][:16]} {found['losses']}")
    if "--write" in sys.argv:
        kept = {name: {"weights": found["weights"], "losses": found["losses"]} for name, found in pins.items()}
        FILE.write_text(json.dumps({"models": kept, "keys": owners()}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
