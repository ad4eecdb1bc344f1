"""Finds run folders: finished runs by their ``summary.json``, interrupted ones with the command that continues them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from seqlab import stored
from seqlab.engine.lock import Holder, holder
from seqlab.errors import InputError, shorten
from seqlab.words import word


@dataclass(frozen=True)
class Row:
    """A finished run.

    Attributes:
        path: its folder.
        summary: what ``summary.json`` says.
        settings: its config, dotted keys; only the names of data and model where it cannot be read.
        time: when it was finished, seconds since 1970.
    """

    path: Path
    summary: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    time: float = 0.0

    @property
    def monitor(self) -> str:
        """The metric that decided which weights were kept."""
        return str(self.summary["monitor"])

    @property
    def maximize(self) -> bool:
        """Whether more of it is better; older runs do not say."""
        return bool(self.summary.get("maximize", self.monitor == "accuracy"))

    def value(self, split: str) -> float | None:
        """The monitored metric on ``split``, None where it was not measured or is no number."""
        found = (self.summary.get(split) or {}).get(self.monitor)
        return found if isinstance(found, int | float) and math.isfinite(found) else None

    @property
    def floor(self) -> float | None:
        """The best of the baselines."""
        found = [value for value in (self.summary.get("floor") or {}).values() if isinstance(value, int | float)]
        return (max if self.maximize else min)(found) if found else None

    @property
    def state(self) -> str:
        """``diverged``, ``incomplete`` where a report was interrupted, else ``finished``; older runs do not say."""
        if self.summary.get("diverged", False) is True:
            return "diverged"
        return "finished" if self.summary.get("complete", True) is True else "incomplete"

    def badness(self, split: str) -> tuple[bool, float]:
        """What to sort by, the best first and the unmeasured last."""
        value = self.value(split)
        return value is None, 0.0 if value is None else -value if self.maximize else value


@dataclass(frozen=True)
class Interrupted:
    """A run without a complete result: interrupted, or training now.

    Attributes:
        path: its folder.
        step: the last one that was written down.
        holder: the process that trains it now.
        measured: whether it has a result, and its report alone is not complete.
    """

    path: Path
    step: int | None
    holder: Holder | None = None
    measured: bool = False

    @property
    def command(self) -> str:
        """The command that continues it, from its start if nothing was saved yet; empty while it trains."""
        if self.holder is not None:
            return ""
        return f"seqlab train {word('resume', str(self.path))}"

    @property
    def sentence(self) -> str:
        """How it stands, and what to do."""
        at = "" if self.step is None else f" at step {self.step:,}"
        if self.holder is not None:
            return f"training now{at}: {self.path}\n    {self.holder}"
        what = "report not complete" if self.measured else "not finished"
        return f"{what}{at}: {self.path}\n    continue: {self.command}"


def latest(folder: Path) -> Path:
    """The run to continue in and below ``folder``: the newest one that is not finished, else the newest.

    A run that was killed before its first checkpoint is one of them: it starts again.

    Raises:
        InputError: there is no run to continue.
    """
    begun = [path for path in folder.rglob("metrics.jsonl") if (path.parent / "config.yaml").exists()]
    begun = [path for path in begun if not (path.parent / "summary.json").exists()]
    held = {path.parent: path.stat().st_mtime for path in [*begun, *folder.rglob("last.pt")]}  # last.pt decides
    if not held:
        raise InputError(f"{folder} holds no run to continue: name a run folder, {word('resume', 'FOLDER')}.")
    return max(held, key=lambda path: (not (path / "summary.json").exists(), held[path], str(path)))


def read(folder: Path) -> tuple[list[Row], list[Interrupted], list[str]]:
    """The runs in and below ``folder``, the last finished last, and one sentence for each file that is left out."""
    rows, warnings = [], []
    for path in folder.rglob("summary.json"):
        try:
            rows.append(read_row(path.parent))
        except InputError as error:
            warnings.append(str(error))
    held = {path.parent for name in ("last.pt", "last.1.pt", "config.yaml") for path in folder.rglob(name)}
    incomplete = {row.path: row.summary.get("complete", True) is not True for row in rows}
    interrupted = []
    for path in sorted(filter(_is_run, held)):
        now, measured = holder(path), path in incomplete
        if now is not None or incomplete.get(path, not (path / "summary.json").exists()):
            interrupted.append(Interrupted(path, _last_step(path), now, measured))
    return sorted(rows, key=lambda row: (row.time, str(row.path))), interrupted, sorted(warnings)


def read_row(path: Path) -> Row:
    """One finished run.

    Raises:
        InputError: its summary is damaged, or no summary of a run.
    """
    file = path / "summary.json"
    try:
        summary = json.loads(stored.bytes_of(file, stored.LARGEST_SUMMARY))
        time = file.stat().st_mtime
    except InputError as error:
        raise InputError(f"{str(error).rstrip('.')}; it is left out.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} is damaged ({shorten(error)}) and left out.") from error
    try:
        stored.summary(summary, file)
    except InputError as error:
        raise InputError(f"{str(error).rstrip('.')}; it is left out.") from error
    try:
        config = yaml.safe_load(stored.text_of(path / "config.yaml"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):  # an InputError is a ValueError
        config = None
    names = {f"{part}.name": summary[part] for part in ("data", "model") if part in summary}
    return Row(path, summary, names | (dict(_leaves(config)) if isinstance(config, dict) else {}), time)


def _is_run(path: Path) -> bool:
    """Whether a folder without a summary is a run: other programs write a ``config.yaml`` too."""
    return (path / "metrics.jsonl").exists()


def _last_step(path: Path) -> int | None:
    """The last step that was written down."""
    try:
        with open(path / "metrics.jsonl", "rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 65536))
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        try:
            step = json.loads(line)["step"]
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        return step if isinstance(step, int) else None
    return None


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        elif key != "_target_":
            yield f"{prefix}{key}", value
