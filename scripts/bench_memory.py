"""What each network can remember: every named model trained on one generated task for the same time, in one table.

python scripts/benchmark.py memory adding --steps 600 --minutes 5 --models lstm,gru,rnn,tcn
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]


def main(
    task: str, steps: int, minutes: float, models: list[str], seeds: int, more: list[str], to: Path | None
) -> None:
    """Train, one process a run, and print what each reached on test beside the task's floor."""
    found: list[dict[str, Any]] = []
    for model in models:
        for seed in range(seeds):
            found.append(run(task, steps, minutes, model, seed, more))
            show(found[-1])
    if to is not None:
        to.write_text(json.dumps(found, indent=1), encoding="utf-8")
    finished = [summary for summary in found if "failed" not in summary]
    if not finished:
        raise SystemExit("no run came to its end")
    monitor = finished[0]["monitor"]
    title = f"{task}, {steps} steps, {minutes:g} minutes of training each, {torch.get_num_threads()} threads"
    table = Table("model", f"test {monitor}", "parameters", "steps taken", "best step", "seconds", title=title)
    for model in models:
        mine = [summary for summary in finished if summary["model"] == model]
        if not mine:
            table.add_row(model, "diverged")
            continue
        scores = ", ".join(f"{summary['test'][monitor]:.4g}" for summary in mine)
        last = mine[-1]
        table.add_row(
            model,
            scores,
            f"{last['params']:,}",
            f"{last['steps']:,}",
            f"{last['best_step']:,}",
            f"{last['train_seconds']:.0f}",
        )
    for name, value in finished[0]["floor"].items():
        table.add_row(f"floor: {name.replace('_', ' ')}", f"{value:.4g}", style="dim")
    Console().print(table)


def run(task: str, steps: int, minutes: float, model: str, seed: int, more: list[str]) -> dict[str, Any]:
    """One training in a process of its own; its summary."""
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder) / "run"
        command = [
            sys.executable, str(ROOT / "train.py"), f"data={task}", f"data.steps={steps}", f"model={model}",
            f"trainer.max_minutes={minutes}", "trainer.max_epochs=null", f"seed={seed}", f"run_dir={run_dir}", *more,
        ]  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode != 0:
            return {"model": model, "seed": seed, "failed": done.stderr.strip().splitlines()[-1]}
        summary: dict[str, Any] = json.loads((run_dir / "summary.json").read_text(encoding="utf-8"))
        return summary


def show(summary: dict[str, Any]) -> None:
    """One line as soon as a run has ended: the whole table may take an hour."""
    if "failed" in summary:
        print(f"{summary['model']}, seed {summary['seed']}: {summary['failed']}", flush=True)
        return
    scores = ", ".join(f"{name} {value:.4g}" for name, value in summary["test"].items())
    print(f"{summary['model']}, seed {summary['seed']}: {scores}; {summary['train_seconds']:.0f} s", flush=True)
