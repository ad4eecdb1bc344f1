"""Real processes, really killed: the same command line, again and again, comes to the run that was never disturbed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from seqlab.engine import checkpoint

ROOT = Path(__file__).parents[2]
SIZES = ["model.hidden_size=4", "model.embedding.dim=4", "data.batch_size=4", "runtime.threads=1", "floor=false"]
PACE = ["trainer.max_steps=400", "trainer.eval_every=40", "trainer.checkpoint_steps=10", "trainer.log_every=5"]


@pytest.fixture
def words(tmp_path) -> list[str]:
    path = tmp_path / "texts.csv"
    rows = [f"{'pos' if row % 2 else 'neg'},a {'good' if row % 2 else 'bad'} film {row % 7}" for row in range(80)]
    path.write_text("\n".join(["label,text", *rows]) + "\n", encoding="utf-8")
    return ["data=csv", f"data.path={path}", *SIZES, *PACE]


def start(words: list[str], folder: Path) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "seqlab", "train", *words, f"run_dir={folder}", "resume=auto"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(process: subprocess.Popen, path: Path) -> None:
    deadline = time.monotonic() + 300
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def same(one: Path, other: Path) -> None:
    for name in ("last.pt", "best.pt"):
        weights = [checkpoint.load(folder / name)["model"] for folder in (one, other)]
        assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    curves = []
    for folder in (one, other):
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        curves.append([(row["step"], row.get("train/loss"), row.get("val/loss"), row.get("test/loss")) for row in rows])
    assert curves[0] == curves[1]
    results = [json.loads((folder / "summary.json").read_text()) for folder in (one, other)]
    assert all(results[0][key] == results[1][key] for key in ("val", "test", "steps", "best_step", "complete"))


def test_two_processes_and_a_kill(words, tmp_path):
    """The second process is refused; killed, the first leaves no lock; the same command line goes on."""
    folder = tmp_path / "run"
    first = start(words, folder)
    wait_for(first, folder / "last.pt")
    second = start(words, folder)
    first.send_signal(signal.SIGSTOP)  # it holds the folder for as long as the second one looks
    said = second.communicate(timeout=300)[1]
    assert second.returncode == 2
    assert f"{folder} is in use by process {first.pid} on " in said
    first.kill()
    first.communicate()
    again = start(words, folder)
    out, said = again.communicate(timeout=300)
    assert again.returncode == 0, said
    assert out.splitlines()[-1] == str(folder)
    assert json.loads((folder / "summary.json").read_text())["complete"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random_until_it_is_finished(words, tmp_path, seed):
    whole = start(words, tmp_path / "whole")
    began = time.monotonic()
    assert whole.wait(timeout=300) == 0
    lasts, draw, folder = time.monotonic() - began, random.Random(seed), tmp_path / "run"
    for _ in range(8):
        process = start(words, folder)
        time.sleep(draw.uniform(0.3, 1.0) * lasts)
        process.send_signal(draw.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
        said = process.communicate()[1]
        assert process.returncode in (0, -signal.SIGKILL, -signal.SIGTERM, 143), said
        assert "Traceback" not in said
    final = start(words, folder)
    assert final.communicate(timeout=300)
    assert final.returncode == 0
    same(folder, tmp_path / "whole")
