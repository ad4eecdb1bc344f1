"""Every cell of the zoo at about equal parameter count, trained on one text for the same time, several seeds each.

python scripts/benchmark.py cells --minutes 2 --seeds 3 --json cells.json

First the clock: each model trains for some seconds, alone on the machine, and from its pace follows how many steps the
minutes are worth. Then every run trains for just that many steps. So what else the machine does meanwhile changes no
result, runs may stand side by side (``--jobs``), and they can be repeated. Only the first part wants an idle machine.

Each run is one ``train.py`` in a process of its own. With ``--json`` paces and runs are kept as soon as they are known,
and the same command goes on where it was stopped. A cell's width is the multiple of 8 that brings the whole model,
embedding and output layer included, nearest to ``--params``; ``--params 0`` leaves the widths as the configs have them.
Kernels are compiled beforehand, by two steps of each model: in a run that would count as training.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from seqlab import build
from seqlab.compose import composed
from seqlab.data.corpus import Corpus
from seqlab.types import DataSpec, InputError

ROOT = Path(__file__).resolve().parents[1]
ZOO = (
    "rnn", "rnn_relu", "indrnn", "lstm", "lstm_plain", "lstm_projected", "cifg", "peephole", "layernorm_lstm", "gru",
    "gru_reset_before", "gru_update_is_new", "mgu", "ugrnn", "mut1", "mut2", "mut3", "mingru", "minlstm", "sru", "qrnn",
)  # fmt: skip
"""The configs of ``configs/model`` that are one layer of one cell read left to right: each cell of the zoo once."""
PACE = 0.15
"""Minutes for which a model trains to find its pace."""
WIDTHS = 8
"""Widths are multiples of this, as vector units like them."""


@dataclass(frozen=True)
class Plan:
    """One cell as it is to be trained: its config's name, its width (None: as configured), the model's parameters."""

    model: str
    hidden_size: int | None
    params: int


def main(
    minutes: float,
    seeds: int,
    params: int,
    models: Sequence[str],
    data: str,
    threads: int | None,
    options: Sequence[str],
    to: Path | None,
    jobs: int,
    png: Path | None = None,
) -> None:
    """Find widths, train what is not in the file yet, print the table.

    Raises:
        InputError: an unknown name or option; a file of a benchmark with other settings.
    """
    if minutes <= 0 or seeds < 1 or jobs < 1 or params < 0:
        raise InputError("--minutes, --seeds and --jobs must be greater than zero, --params zero or more.")
    if params and any(option.startswith("model.hidden_size") for option in options):
        raise InputError("Widths follow from --params: leave model.hidden_size away, or add --params 0.")
    shared = [f"data={data}", "test=false", "floor=false", "task.samples=null", "trainer.max_epochs=null"]
    shared += options
    limit = f"trainer.max_minutes={minutes}"
    configs = {name: composed(f"model={name}", limit, *shared) for name in models}
    for config in configs.values():
        build.check_config(config)
    first = next(iter(configs.values()))
    corpus = build.build_data(first)
    assert isinstance(corpus, Corpus), "task.samples is refused for any other"
    plans = [plan(config, corpus.spec, params) for config in configs.values()]
    settings = {"data": data, "minutes": minutes, "params": params, "threads": threads, "options": list(options)}
    kept = Kept(to, settings)
    if not kept.floor:
        kept.floor = dict(build.build_baselines(first, corpus, "val").scores)

    missing = [(one, seed) for seed in range(seeds) for one in plans if kept.find(one, seed) is None]
    done = len(plans) * seeds - len(missing)
    print(f"{len(plans)} models x {seeds} seeds, {minutes:g} minutes each: {done} runs known, {len(missing)} to do")
    alone = [] if threads is None else [f"runtime.threads={threads}"]
    for one in dict.fromkeys(one for one, _ in missing):
        if one.model not in kept.pace:
            train(one, 0, [*shared, *alone, "trainer.max_steps=2"])  # compiles what the model needs
            summary = train(one, 0, [*shared, *alone, f"trainer.max_minutes={PACE}"])
            if isinstance(summary, str):
                raise InputError(f"model={one.model} does not train: {summary}")
            kept.keep_pace(one, summary["steps"] / summary["train_seconds"])
            print(f"{one.model}: {kept.pace[one.model]:.1f} steps a second", flush=True)
    if jobs > 1:
        alone = [f"runtime.threads={max(1, len(os.sched_getaffinity(0)) // jobs)}"]
    with ThreadPoolExecutor(jobs) as pool:
        try:
            running = []
            for one, seed in missing:
                steps = round(60 * minutes * kept.pace[one.model])
                running.append(pool.submit(run, one, seed, [*shared, *alone, f"trainer.max_steps={steps}"]))
            for finished in as_completed(running):
                found = finished.result()
                print(line(found), flush=True)
                kept.add(found)
        except BaseException:
            pool.shutdown(cancel_futures=True)  # those under way end by themselves
            raise
    ended, names = ranked(plans, kept, seeds)
    show(ended, names, kept, seeds)
    if png is not None:
        size = f", about {params:,} parameters each" if params else ""
        draw(ended, names, kept, f"{data}: {minutes:g} minutes of training each{size}", png)


# Widths ------------------------------------------------------------------------------------------------------------


def plan(config: dict[str, Any], spec: DataSpec, params: int) -> Plan:
    """The width at which ``config``'s model has about ``params`` parameters; its own with ``params=0``."""
    name = config["model"]["name"]
    if params == 0:
        width = config["model"].get("hidden_size")
        return Plan(name, width if isinstance(width, int) else None, count(config, spec, width))
    if "hidden_size" not in config["model"]:
        raise InputError(f"model={name} has no hidden_size to choose: leave it away, or add --params 0.")
    width = nearest(lambda size: count(config, spec, size), params)
    return Plan(name, width, count(config, spec, width))


def count(config: dict[str, Any], spec: DataSpec, width: Any) -> int:
    """Parameters of the whole model at a width; nothing is allocated."""
    model = {**config["model"], **({} if width is None else {"hidden_size": width})}
    with torch.device("meta"):
        return sum(p.numel() for p in build.build_model({**config, "model": model}, spec).parameters())


def nearest(size: Callable[[int], int], wanted: int, step: int = WIDTHS) -> int:
    """The positive multiple of ``step`` at which ``size``, which grows, is nearest to ``wanted``."""
    high = 1
    while size(high * step) < wanted:
        high *= 2
    low = high // 2  # size(low) < wanted <= size(high), where there is a low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle * step) < wanted else (low, middle)
    if low > 0 and wanted - size(low * step) <= size(high * step) - wanted:
        return low * step
    return high * step


# Running -----------------------------------------------------------------------------------------------------------


def run(one: Plan, seed: int, shared: Sequence[str]) -> dict[str, Any]:
    """One training: what the table needs of its summary, or why it ``diverged`` or ``failed``."""
    known = {"model": one.model, "hidden_size": one.hidden_size, "params": one.params, "seed": seed}
    summary = train(one, seed, shared)
    if isinstance(summary, str):
        why = summary.removeprefix("error: ")
        return {**known, "diverged" if why.startswith("Training stopped") else "failed": why}
    names = ("monitor", "headline", "val", "steps", "best_step", "tokens_per_second", "train_seconds", "seconds")
    kept = {name: summary[name] for name in (*names, "precision", "versions")}
    # JSON has no NaN: a network may be stable over a window and not over a stream of a hundred thousand steps
    kept["val"] = {name: math.nan if value is None else value for name, value in summary["val"].items()}
    return {**known, **kept}


def train(one: Plan, seed: int, shared: Sequence[str]) -> dict[str, Any] | str:
    """``train.py`` in a process of its own: its summary, or the last line that it said.

    Raises:
        SystemExit: a signal stopped it.
    """
    width = [] if one.hidden_size is None else [f"model.hidden_size={one.hidden_size}"]
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder) / "run"
        own = [f"model={one.model}", *width, f"seed={seed}", f"run_dir={run_dir}"]
        command = [sys.executable, str(ROOT / "train.py"), *shared, *own]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode < 0 or done.returncode > 128:
            raise SystemExit(f"{one.model}, seed {seed} was stopped by a signal; it is not counted.")
        if done.returncode != 0:
            return (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        summary: dict[str, Any] = json.loads((run_dir / "summary.json").read_text(encoding="utf-8"))
        return summary


def line(found: dict[str, Any]) -> str:
    """One run as soon as it has ended: all of them may take hours."""
    who = f"{found['model']} {found['hidden_size'] or ''}".strip() + f", seed {found['seed']}"
    for what in ("diverged", "failed"):
        if what in found:
            return f"{who}: {what}: {found[what].partition(', batch rows')[0]}"
    scores = ", ".join(f"{name} {found['val'][name]:.4f}" for name in found["headline"])
    return f"{who}: {scores}; {found['steps']:,} steps, {found['train_seconds']:.0f} s of training"


class Kept:
    """The runs so far, in a file where one is named.

    Args:
        to: the file; what it holds is taken over.
        settings: what all runs of one benchmark share.

    Raises:
        InputError: the file cannot be read, or its benchmark had other settings.
    """

    def __init__(self, to: Path | None, settings: dict[str, Any]) -> None:
        self._to, self._settings = to, settings
        self.floor: dict[str, float] = {}
        self.pace: dict[str, float] = {}
        self._runs: list[dict[str, Any]] = []
        if to is None or not to.exists():
            return
        try:
            held = json.loads(to.read_text(encoding="utf-8"))
            was, self.floor, self.pace, self._runs = (held[key] for key in ("settings", "floor", "pace", "runs"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{to} is not a file of this benchmark ({error}): name another.") from error
        changed = [
            f"{key} was {was.get(key)!r}, is {value!r}" for key, value in settings.items() if was.get(key) != value
        ]
        if changed:
            raise InputError(f"{to} holds runs of another benchmark: {'; '.join(changed)}: name another file.")

    def find(self, one: Plan, seed: int) -> dict[str, Any] | None:
        """The run of this model, width and seed, if there was one that ended by itself."""
        key = (one.model, one.hidden_size, one.params, seed)
        for found in self._runs:
            if key == (found["model"], found["hidden_size"], found["params"], found["seed"]):
                return found
        return None

    def add(self, found: dict[str, Any]) -> None:
        """Keep a run; one that failed for another reason than its numbers is to be tried again."""
        if "failed" in found:
            return
        self._runs.append(found)
        self._write()

    def keep_pace(self, one: Plan, pace: float) -> None:
        """Keep how many steps a second a model makes."""
        self.pace[one.model] = pace
        self._write()

    def _write(self) -> None:
        if self._to is not None:
            held = {"settings": self._settings, "floor": self.floor, "pace": self.pace, "runs": self._runs}
            draft = self._to.with_name(self._to.name + ".part")
            draft.write_text(json.dumps(held, indent=1), encoding="utf-8")
            os.replace(draft, self._to)


# Showing -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ended:
    """What became of one cell's runs.

    Attributes:
        plan: the cell.
        runs: those that came to their end.
        lost: those that diverged on the way.
        guess: the loss of guessing by frequency; a run that is worse, or no number, counts as diverged.
    """

    plan: Plan
    runs: Sequence[dict[str, Any]]
    lost: Sequence[dict[str, Any]]
    guess: float

    def values(self, name: str) -> list[float]:
        """A metric of each run that has one."""
        return [value for found in self.runs if (value := found["val"][name]) <= self.guess]

    def score(self, name: str) -> str:
        """Mean and sample deviation, and how many runs have no number."""
        values, all_runs = self.values(name), len(self.runs) + len(self.lost)
        more = f" ({all_runs - len(values)} of {all_runs} diverged)" if len(values) < all_runs else ""
        return spread(values) + more if values else more.strip(" ()")


def ranked(plans: Sequence[Plan], kept: Kept, seeds: int) -> tuple[list[Ended], list[str]]:
    """The cells, best first, and the metrics that are shown, of which the first ranks.

    Raises:
        InputError: no run came to its end.
    """
    ended, guess = [], kept.floor.get("unigram", math.inf)
    for one in plans:
        found = [run for seed in range(seeds) if (run := kept.find(one, seed)) is not None]
        good, lost = ([run for run in found if what in run] for what in ("val", "diverged"))
        ended.append(Ended(one, good, lost, guess))
    some = next((run for one in ended for run in one.runs), None)
    if some is None:
        raise InputError("No run came to its end: the lines above say why.")
    monitor: str = some["monitor"]
    ended.sort(key=lambda one: statistics.fmean(one.values(monitor) or [math.inf]))
    return ended, sorted(some["headline"], key=lambda name: name != monitor)


def show(ended: Sequence[Ended], names: Sequence[str], kept: Kept, seeds: int) -> None:
    """The table, and why runs diverged."""
    for found in (run for one in ended for run in one.lost):
        print(line(found))
    some = next(run for one in ended for run in one.runs)
    print(f"validation loss (nats), mean and sample deviation of {seeds} seeds")
    print(", ".join(f"{name} {version}" for name, version in some["versions"].items()) + f", {some['precision']}")
    table = Table("model", "hidden size", "parameters", "steps", "steps/s", *(_short(name) for name in names))
    for column in table.columns[1:]:
        column.justify = "right"
    for one in ended:
        sizes = (one.plan.model, str(one.plan.hidden_size or "as configured"), f"{one.plan.params:,}")
        if not one.runs:
            table.add_row(*sizes, "", "", one.score(names[0]) or "failed")
            continue
        steps = statistics.fmean(found["steps"] for found in one.runs)
        scores = [one.score(name) for name in names]
        table.add_row(*sizes, f"{steps:,.0f}", f"{kept.pace[one.plan.model]:.1f}", *scores)
    if (floor := kept.floor.get("kneser_ney")) is not None:
        # N-grams look back as far as their order and never from a zero state: what they score is the stream.
        scores = [f"{floor:.4f}" if name == "stream_loss" else "" for name in names]
        table.add_row("floor: kneser ney", "", "", "", "", *scores, style="dim")
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def draw(ended: Sequence[Ended], names: Sequence[str], kept: Kept, title: str, png: Path) -> None:
    """A line for each cell, the best on top: a mark for each seed, and how fast it trains."""
    from matplotlib.figure import Figure

    ended = [one for one in ended if one.runs]
    figure = Figure(figsize=(7, 1.2 + 0.24 * len(ended)), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for name, color, marker in zip(names, ("#0072B2", "#D55E00"), ("o", "|"), strict=False):
        losses = [value for one in ended for value in one.values(name)]
        places = [place for place, one in enumerate(ended) for _ in one.values(name)]
        axes.scatter(losses, places, s=30, color=color, marker=marker, label=_short(name), zorder=3)
    if (floor := kept.floor.get("kneser_ney")) is not None:
        axes.axvline(floor, color="gray", linestyle="--", linewidth=1, label="floor: Kneser-Ney, stream")
    axes.set_yticks(range(len(ended)), [one.plan.model for one in ended])
    paces = axes.secondary_yaxis("right")
    paces.set_yticks(range(len(ended)), [f"{kept.pace[one.plan.model]:.0f}" for one in ended])
    paces.set_ylabel("steps a second")
    axes.invert_yaxis()
    axes.set_xlabel("validation loss (nats)")
    axes.set_title(title, fontsize=9)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(png)


def _short(name: str) -> str:
    return name.removesuffix("_loss").replace("_", "-")


def spread(values: Sequence[float]) -> str:
    """Mean and sample standard deviation."""
    more = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.4f}{more}"
