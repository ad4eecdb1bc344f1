"""Tables of runs: what a folder holds, what a sweep came to. Light: torch stays out.

Runs are compared by the settings in which they differ; a finished run is known by its ``summary.json``, one that can
be continued by its ``last.pt``.
"""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any

import yaml
from rich.table import Column

from seqlab.engine.progress import readable
from seqlab.errors import InputError, shorten
from seqlab.schema import did_you_mean
from seqlab.terminal import PlainTable

FIRST = ("optim.lr", "model.hidden_size", "model.num_layers", "data.batch_size", "model.embedding.dim", "seed")
"""Settings that stand first: learning rate, sizes, seed."""
ASIDE = ("run_dir", "runs", "resume", "test", "floor", "runtime.threads", "trainer.device")
"""Settings by which runs are not told apart: where they lie, and how they were measured."""
SORTS = ("time", "val", "test", "seconds", "params", "run")
MOST_SETTINGS = 8
"""Columns of settings in a table; runs that differ in more are of different kinds."""


@dataclass(frozen=True)
class Row:
    """A finished run.

    Attributes:
        path: its folder.
        summary: what ``summary.json`` says.
        settings: its config, dotted keys; empty where it cannot be read.
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

    def badness(self, split: str) -> tuple[bool, float]:
        """What to sort by, the best first and the unmeasured last."""
        value = self.value(split)
        return value is None, 0.0 if value is None else -value if self.maximize else value


@dataclass(frozen=True)
class Interrupted:
    """A run that has no result yet: interrupted, or still at work."""

    path: Path
    step: int | None
    continues: bool

    @property
    def command(self) -> str:
        """What continues it; empty where it was ended before its first checkpoint."""
        return f"seqlab train {word('resume', str(self.path))}" if self.continues else ""


def word(key: str, value: str) -> str:
    """``key=value`` for a command line of seqlab, quoted for Hydra and for the shell where that is needed."""
    if not re.fullmatch(r"[\w./:+-]+", value):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return quote(f"{key}='{escaped}'")
    return f"{key}={value}"


def read(folder: Path) -> tuple[list[Row], list[Interrupted], list[str]]:
    """The runs in and below ``folder``, the last finished last, and one sentence for each file that is left out."""
    rows, warnings = [], []
    for path in folder.rglob("summary.json"):
        try:
            rows.append(read_row(path.parent))
        except InputError as error:
            warnings.append(str(error))
    held = {path.parent for name in ("last.pt", "config.yaml") for path in folder.rglob(name)}
    unfinished = sorted(path for path in held if not (path / "summary.json").exists() and _is_run(path))
    interrupted = [Interrupted(path, _last_step(path), (path / "last.pt").exists()) for path in unfinished]
    return sorted(rows, key=lambda row: (row.time, str(row.path))), interrupted, sorted(warnings)


def read_row(path: Path) -> Row:
    """One finished run.

    Raises:
        InputError: its summary is damaged, or no summary of a run.
    """
    file = path / "summary.json"
    try:
        summary = json.loads(file.read_text(encoding="utf-8"))
        time = file.stat().st_mtime
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} is damaged ({shorten(error)}) and left out.") from error
    if (missing := _not_a_summary(summary)) is not None:
        raise InputError(f"{file} is not the summary of a run ({missing}) and left out.")
    try:
        config = yaml.safe_load((path / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        config = None
    return Row(path, summary, dict(_leaves(config)) if isinstance(config, dict) else {}, time)


def _not_a_summary(summary: Any) -> str | None:
    """What is wrong with it, or None."""
    if not isinstance(summary, dict):
        return "it is no JSON object"
    if not isinstance(summary.get("monitor"), str):
        return "it names no monitored metric"
    for name in ("val", "test", "floor"):
        if not isinstance(summary.get(name) or {}, dict):
            return f"'{name}' is no object"
    for name in ("seconds", "params"):
        if not isinstance(summary.get(name), int | float):
            return f"'{name}' is no number"
    return None


def _is_run(path: Path) -> bool:
    """Whether a folder without a summary is a run's: a ``config.yaml`` alone may be anything."""
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


# Settings that differ -----------------------------------------------------------------------------------------------


def ordered(keys: Iterable[str]) -> list[str]:
    """Learning rate, sizes and seed first; the rest by name."""
    return sorted(keys, key=lambda key: (FIRST.index(key) if key in FIRST else len(FIRST), key))


def differing(rows: Sequence[Row]) -> list[str]:
    """The settings in which ``rows`` differ; one that follows another, as ``data.lr`` and ``optim.lr``, stands once."""
    known = [row for row in rows if row.settings]
    keys = {key for row in known for key in row.settings} - set(ASIDE)
    columns = {key: [_text(row.settings.get(key)) for row in known] for key in keys}
    varied = {key: values for key, values in columns.items() if len(set(values)) > 1}
    kept: list[str] = []
    for key in sorted(varied, key=lambda key: (key.startswith("data."), key not in FIRST, key)):
        last = key.rpartition(".")[2]
        if not any(varied[other] == varied[key] and (other.rpartition(".")[2] == last) for other in kept):
            kept.append(key)
    return ordered(kept)


def _text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


# Tables -------------------------------------------------------------------------------------------------------------


def sort(rows: Sequence[Row], by: str) -> list[Row]:
    """By ``time``, the newest last; by ``val`` or ``test``, the best first; by anything else, the least first.

    Raises:
        InputError: there is nothing of that name to sort by.
    """
    if by == "time":
        return sorted(rows, key=lambda row: (row.time, str(row.path)))
    if by in ("val", "test"):
        return sorted(rows, key=lambda row: row.badness(by))
    if by in ("seconds", "params"):
        return sorted(rows, key=lambda row: row.summary[by])
    if by == "run":
        return sorted(rows, key=lambda row: str(row.path))
    known = {key for row in rows for key in row.settings}
    if by not in known:
        raise InputError(f"--sort {shorten(by)}: there is nothing of that name{did_you_mean(by, (*SORTS, *known))}")
    return sorted(rows, key=lambda row: _natural(row.settings.get(by)))


def _natural(value: Any) -> tuple[int, float, str]:
    if isinstance(value, int | float):
        return 0, float(value), ""
    return (1, 0.0, str(value)) if value is not None else (2, 0.0, "")


def table(rows: Sequence[Row], title: str | None = None) -> PlainTable:
    """Runs as they come, with their numbers and the settings in which those of the same data and model differ."""
    monitors = {row.monitor for row in rows}
    one = f" {monitors.pop()}" if len(monitors) == 1 else ""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((str(row.summary.get("data")), str(row.summary.get("model"))), []).append(row)
    keys = ordered({key for group in groups.values() for key in differing(group)})[:MOST_SETTINGS]
    found = PlainTable(
        Column("run", overflow="fold"), *([] if one else ["metric"]), f"val{one}", f"test{one}", "floor", *keys,
        "seconds", "params", title=title,
    )  # fmt: skip
    for row in rows:
        found.add_row(
            str(row.path),
            *([] if one else [row.monitor]),
            *(_number(value) for value in (row.value("val"), row.value("test"), row.floor)),
            *(_text(row.settings[key]) if key in row.settings else "" for key in keys),
            f"{row.summary['seconds']:.0f}",
            f"{row.summary['params']:,}",
        )
    return found


def deciding(rows: Sequence[Row]) -> str:
    """The part that a sweep is ranked by: validation, or test where there is none."""
    return "val" if any(row.value("val") is not None for row in rows) else "test"


def spread(rows: Sequence[Row]) -> PlainTable | None:
    """Mean and sample deviation over the seeds of what is otherwise one recipe, the best first; None without seeds."""
    keys = differing(rows)
    others = [key for key in keys if key != "seed"]
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(_text(row.settings.get(key)) for key in others), []).append(row)
    if "seed" not in keys or max(map(len, groups.values())) < 2:
        return None
    monitor, split = rows[0].monitor, deciding(rows)
    splits = [name for name in ("val", "test") if any(row.value(name) is not None for row in rows)]
    found = PlainTable(*others, "seeds", *(f"{name} {monitor}" for name in splits), title="mean ± sample deviation")

    def mean(group: Sequence[Row]) -> tuple[bool, float]:
        values = _values(group, split)
        middle = statistics.fmean(values) if values else 0.0
        return not values, -middle if group[0].maximize else middle

    for group in sorted(groups.items(), key=lambda item: mean(item[1])):
        cells = [_mean_and_spread(_values(group[1], name)) for name in splits]
        found.add_row(*group[0], str(len(group[1])), *cells)
    return found


def _values(rows: Iterable[Row], split: str) -> list[float]:
    return [value for row in rows if (value := row.value(split)) is not None]


def _mean_and_spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    deviation = f" ± {readable(statistics.stdev(values))}" if len(values) > 1 else ""
    return readable(statistics.fmean(values)) + deviation


def _number(value: float | None) -> str:
    return "" if value is None else readable(value)


def show_sweep(folders: Sequence[Path]) -> None:
    """What a sweep came to, on standard output: its runs from the best to the worst, and what seeds are worth."""
    rows = []
    for folder in folders:
        try:
            rows.append(read_row(folder))
        except InputError as error:
            print(f"warning: {error}")
    if not rows:
        return
    split = deciding(rows)
    best = "highest" if rows[0].maximize else "lowest"
    title = f"{len(rows)} runs, {best} {split} {rows[0].monitor} first"
    table(sort(rows, split), title).print(width_in_file=200)
    if (over_seeds := spread(rows)) is not None:
        over_seeds.print(width_in_file=200)
