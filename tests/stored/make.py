"""Makes the stored run folders: python make.py FOLDER, in tests/stored."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import torch
import yaml

from seqlab.compose import composed
from seqlab.train import train

TINY = ("model.hidden_size=3", "runtime.threads=1", "runtime.tune=off", "trainer.precision=fp32",
        "trainer.max_steps=3", "trainer.log_every=1")  # fmt: skip
TEXT = ("model.embedding.dim=3", "data.batch_size=8")
ROWS = ("data.train=24", "data.val=4", "data.test=4")
RUNS = {
    "classification": ("data=reviews", "model=bilstm", "data.max_tokens=24", *TEXT),
    "language": ("data=verses", "model=lstm", "data.sampling=sequential", "data.length=16", "data.eval_length=16",
                 *TEXT),
    "forecast": ("data=waves", "model=gru", "data.length=900", "data.lookback=24", "data.horizon=4",
                 "task.loss=quantile", "task.levels=[0.1,0.5,0.9]", "task.nominal=0.8"),
    "translation": ("data=dates", "model=seq2seq", *ROWS, *TEXT),
    "detection": ("data=ecg", "model=gru", "data.steps=80", *ROWS),
    "tagging": ("data=copy", "model=rnn", "data.steps=8", *ROWS),
    "csv": ("data=csv", "model=lstm", "data.path=texts.csv", "data.text_column=note", "data.label_column=mood", *TEXT),
}  # fmt: skip


def main() -> None:
    """Train each, and keep of its folder what the other commands read."""
    folder = Path(sys.argv[1])
    for name, words in RUNS.items():
        made = folder / name
        train(composed(*words, *TINY, f"run_dir={made}"))
        for path in list(made.iterdir()):
            if path.name not in ("best.pt", "last.pt", "config.yaml", "summary.json", "metrics.jsonl"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        config = relative(yaml.safe_load((made / "config.yaml").read_text()))
        (made / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        for name in ("best.pt", "last.pt"):
            saved = torch.load(made / name, weights_only=True)
            torch.save({**saved, "config": relative(saved["config"])}, made / name)
        summary = json.loads((made / "summary.json").read_text())
        (made / "summary.json").write_text(json.dumps(summary, indent=1))


def relative(config: dict) -> dict:
    """Without absolute paths."""
    data = dict(config["data"])
    if "path" in data:
        data["path"] = Path(data["path"]).name
    return {**config, "data": data, "run_dir": None, "runs": "runs"}


if __name__ == "__main__":
    main()
