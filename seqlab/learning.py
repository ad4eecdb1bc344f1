"""Shown for every run, whatever its task: learning curves, and settings in TensorBoard's HParams tab."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqlab.bounded import LARGEST_METRICS, lines_within
from seqlab.compose import CONFIGS, flatten
from seqlab.engine.tracker import Tracker
from seqlab.insight.learning import Floor, learning_figure
from seqlab.runs_table import ordered

UNUSED_WITHOUT = {
    "model.ngrams": ("model.tail", "model.vote"),
    "model.bidirectional": ("model.merge",),
}
"""Settings without effect if another one is null or false."""
ONE_LOSS_ALONE = {"task.levels": "quantile", "task.delta": "huber"}
"""Settings that only one ``task.loss`` uses."""
HOUSEKEEPING = re.compile(
    r"data\.(root|path|\w+_path|download|cache)|model\.backend|model\.embedding\.vectors|"
    r"task\.samples\..*|trainer\.(device|log_every|checkpoint_\w+|keep)"
)
"""Settings for paths, devices, logging and checkpoints: they do not change what is learned."""
_TAKEN = re.compile(r"\$\{(?:oc\.select:)?data\.(\w+)[,}]")


def draw_learning(tracker: Tracker, summary: Mapping[str, Any]) -> None:
    """Draw losses and the deciding metrics over steps as ``figures/learning_curve.png``, beside the best floor."""
    tracker.flush()
    rows = read_rows(tracker.run_dir / "metrics.jsonl")
    metrics = (summary["monitor"], summary["headline"][-1])
    floors = {name: value for name, value in summary["floor"].items() if isinstance(value, int | float)}
    floor = None
    if floors:
        best = (max if summary["maximize"] else min)(floors, key=floors.__getitem__)
        split = "test" if summary["test"] else "validation"
        floor = Floor(best.replace("_", " "), split, floors[best])
    figure = learning_figure(rows, metrics, summary["best_step"], floor)
    tracker.figure("learning_curve", figure, summary["steps"])


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The lines of a ``metrics.jsonl``; one that was cut short is left out.

    Raises:
        InputError: it is larger than any that seqlab writes.
    """
    rows = []
    for line in lines_within(path, LARGEST_METRICS):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            rows.append(row)
    return rows


def compared_settings(config: Mapping[str, Any], reads_tokens: bool) -> dict[str, Any]:
    """The settings to compare runs by, for the HParams tab: learning rate, sizes and seed first, no unused ones.

    A dataset's recommended settings appear once, under the key that uses them: ``data.lr`` as ``optim.lr``.

    Args:
        config: the whole config.
        reads_tokens: whether the data consists of tokens; otherwise the embedding is not used.
    """
    parts = {part: config[part] for part in ("data", "model", "optim", "schedule", "trainer", "task", "seed")}
    flat = {key: value for key, value in flatten(parts) if value not in (None, [], {}) and "_target_" not in key}
    unused = {f"data.{name}" for name in _recommendations()}
    for switch, others in UNUSED_WITHOUT.items():
        if not flat.get(switch):
            unused.update(others)
    unused.update(key for key, loss in ONE_LOSS_ALONE.items() if flat.get("task.loss") != loss)
    return {
        key: flat[key]
        for key in ordered(flat)
        if key not in unused
        and not HOUSEKEEPING.fullmatch(key)
        and (reads_tokens or not key.startswith("model.embedding."))
    }


def _recommendations() -> set[str]:
    """Names of a dataset's keys that other groups take over, read from the configs."""
    files = [path for path in CONFIGS.rglob("*.yaml") if path.parent.name != "data"]
    return {name for path in files for name in _TAKEN.findall(path.read_text(encoding="utf-8"))}
