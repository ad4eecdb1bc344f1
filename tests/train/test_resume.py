"""A run that was killed at any moment goes on to the very weights it would have had."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from seqlab.engine import checkpoint

JOB = Path(__file__).with_name("job.py")


@pytest.fixture
def job() -> Iterator:
    spec = importlib.util.spec_from_file_location("job", JOB)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    threads = torch.get_num_threads()
    yield module
    torch.set_num_threads(threads)


def start(folder: Path) -> subprocess.Popen:
    """The job in a process of its own, on its way: its first checkpoint is there."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(JOB.parents[2])}
    process = subprocess.Popen([sys.executable, str(JOB), str(folder)], env=environment)
    deadline = time.monotonic() + 300  # a busy machine may take long to import torch
    while not (folder / "last.pt").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def curve(folder: Path) -> list[tuple[int, dict[str, float]]]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    timed = ("time", "train/seconds", "train/tokens_per_second", "val/seconds")
    return [(row["step"], {name: value for name, value in row.items() if name not in timed}) for row in rows]


def test_kill_and_resume_give_the_same_bits(job, tmp_path) -> None:
    whole = job.run(tmp_path / "whole")
    process = start(tmp_path / "killed")
    time.sleep(random.uniform(0.0, 0.8))  # anywhere: in a step, an evaluation, a save
    process.kill()
    assert process.wait() == -signal.SIGKILL
    step = checkpoint.load(tmp_path / "killed" / "last.pt")["trainer"]["step"]
    resumed = job.run(tmp_path / "killed", resume=True)

    assert 0 < step < whole.state.step
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), f"{name} differs after a kill past step {step}"
    assert resumed.state.best_metrics == whole.state.best_metrics
    assert curve(tmp_path / "killed") == curve(tmp_path / "whole")
    for one, other in zip(
        *(checkpoint.load(tmp_path / f / "best.pt")["model"].values() for f in ("whole", "killed")), strict=True
    ):
        assert torch.equal(one, other)


def test_sigterm_saves_and_ends_well(job, tmp_path) -> None:
    process = start(tmp_path)
    process.terminate()
    assert process.wait(timeout=300) == 0
    saved = checkpoint.load(tmp_path / "last.pt")["trainer"]
    assert saved["step"] < 120
    assert job.run(tmp_path, resume=True).state.step == 120
    steps = [step for step, values in curve(tmp_path) if "train/loss" in values]
    assert steps == list(range(2, 121, 2))


def test_it_overfits(job, tmp_path) -> None:
    """A tiny set is learned by heart."""
    from seqlab.data.batching import BucketLoader
    from seqlab.engine.optim import adamw
    from seqlab.engine.schedule import one_cycle
    from seqlab.engine.settings import Settings
    from seqlab.engine.trainer import Trainer
    from seqlab.tasks.classification import Classification

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, rows = job.Reader(), job.split(24, 5)
    train = BucketLoader(rows, pad_id=1, batch_size=8)
    val = BucketLoader(rows, pad_id=1, batch_size=8, shuffle=False)
    settings = Settings(max_epochs=150, eval_every=30, patience=6)
    task = Classification(2, ("no", "yes"), label_smoothing=0.05)
    result = Trainer(model, task, adamw(model, lr=0.02), one_cycle, train, val, settings).fit()
    assert result.best == 1.0
