"""What ``summary.json`` says of a run, as soon as its training is over and measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqlab.engine.evaluate import Evaluation
from seqlab.engine.runtime import Runtime, peak_memory, versions
from seqlab.engine.state import Result
from seqlab.types import Objective


def summarized(
    config: Mapping[str, Any],
    task: Objective,
    model: Any,
    runtime: Runtime,
    result: Result,
    split: str,
    found: Evaluation | None,
) -> dict[str, Any]:
    """What ``summary.json`` says, still without the floor. Without ``found`` there are no weights to measure."""
    metrics, seconds = ({}, 0.0) if found is None else (found.metrics, found.seconds)
    return {
        "task": config["task"]["name"],
        "data": config["data"]["name"],
        "model": config["model"]["name"],
        "monitor": task.monitor,
        "maximize": task.maximize,
        "headline": list(task.headline),
        "params": sum(p.numel() for p in model.parameters()),
        "seconds": result.seconds + result.eval_seconds + seconds,
        "train_seconds": result.seconds,
        "val_seconds": result.eval_seconds,
        "test_seconds": seconds if split == "test" else 0.0,
        "steps": result.steps,
        "best_step": result.best_step,
        "stopped_by": result.stopped_by,
        "diverged": bool(result.diverged),
        "complete": False,
        "val": metrics if split == "val" else result.best_metrics,
        "test": metrics if split == "test" else {},
        "floor": {},
        "tokens_per_second": result.tokens_per_second,
        "padding": result.padding,
        "peak_memory_mb": peak_memory() / 2**20,
        "device": str(runtime.device),
        "precision": runtime.precision,
        "versions": versions(),
        "seed": config["seed"],
    }
