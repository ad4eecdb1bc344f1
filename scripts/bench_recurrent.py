"""Recurrent layers against torch's and against the loop over time that one writes oneself; every number is a ratio.

Both sides run in one process in turns (A, B, A, B, ...) with the same threads, the same allocator setting and the same
work: ``outputs.backward(gradient)`` down to the inputs and all weights. A row's ratio is between the fastest turn of
each; ``+x%`` says how far the median turn lies above it. Ours is always called as a user calls it, as
``Recurrent(..., backend="compiled")`` on ``(B, T, I)`` with lengths; torch's layers get time-first tensors, which they
like best; ragged batches cost them the packing and unpacking that a user has to write.

    python scripts/bench_recurrent.py --quick
    python scripts/bench_recurrent.py --only training --threads 2 --json numbers.json
"""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from seqlab.engine.runtime import tune_allocator, versions
from seqlab.nn import Recurrent

Shape = tuple[int, int, int, int]
Run = Callable[[], object]

SHAPES: list[Shape] = [
    (32, 128, 128, 128),
    (64, 200, 128, 256),
    (64, 100, 256, 512),
    (16, 64, 64, 64),
    (1, 1000, 128, 256),
]
QUICK: list[Shape] = [(32, 128, 128, 128), (16, 64, 64, 64)]
TORCH: dict[str, Any] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
SECTIONS = ("training", "inference", "ragged", "cells", "start", "stream")

TRAINING = {
    ("rnn", "fp32"): 3.0,
    ("rnn", "bf16"): 3.0,
    ("gru", "fp32"): 3.0,
    ("gru", "bf16"): 3.0,
    ("lstm", "fp32"): 1.05,
    ("lstm", "bf16"): 1.1,
}
"""What the geometric mean over all shapes has to reach."""
INFERENCE = {"rnn": 2.8, "gru": 2.8, "lstm": None}
NEVER_BELOW = 0.93
RAGGED = 4.0
FIRST_USE, SECOND_PROCESS = 3.0, 0.050


class TemperedMGU(nn.Module):
    """A cell that nobody has published: one gate, and an old state scaled to unit mean square before it is read.

    ``r = h / sqrt(mean(h^2) + 0.01)``; ``z = sigmoid(W_z x + U_z r)``; ``h' = h + z * (tanh(W_c x + g * U_c r) - h)``
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.ih = nn.Linear(input_size, 2 * hidden_size)
        self.hh = nn.Linear(hidden_size, 2 * hidden_size, bias=False)
        self.gain = nn.Parameter(torch.ones(hidden_size))

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """One step: ``x`` ``(B, input_size)``, one state ``(B, hidden_size)``."""
        (h,) = state
        scaled = h * torch.rsqrt(h.square().mean(-1, keepdim=True) + 0.01)
        gate, candidate = self.ih(x).chunk(2, -1)
        gate_h, candidate_h = self.hh(scaled).chunk(2, -1)
        z = torch.sigmoid(gate + gate_h)
        return (h + z * (torch.tanh(candidate + self.gain * candidate_h) - h),)


CELLS: dict[str, Any] = {name: name for name in ("peephole", "layernorm_lstm", "mut1", "mut3")} | {
    "TemperedMGU (new)": TemperedMGU
}


# Measuring ---------------------------------------------------------------------------------------------------------


@dataclass
class Times:
    """Milliseconds of one side's turns."""

    turns: list[float] = field(default_factory=list)

    @property
    def best(self) -> float:
        """The fastest turn."""
        return min(self.turns)

    @property
    def spread(self) -> float:
        """How far the median turn lies above the fastest, as a share."""
        return statistics.median(self.turns) / self.best - 1


@dataclass
class Row:
    """One line of a table: ours against a peer, and the least ratio that was aimed at."""

    section: str
    what: str
    dtype: str
    shape: Shape
    ours_ms: float
    peer_ms: float
    ours_spread: float
    peer_spread: float
    ratio: float
    target: float | None = None


@dataclass
class Goal:
    """One thing that was aimed at, and whether it was reached."""

    what: str
    value: float
    target: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether it was."""
        return self.value <= self.target if self.at_most else self.value >= self.target


@dataclass
class Report:
    """Everything one run of the benchmark found."""

    rows: list[Row] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    console: Console = field(default_factory=Console)

    def goal(self, what: str, value: float, target: float, at_most: bool = False) -> None:
        """Note and print one."""
        self.goals.append(Goal(what, value, target, at_most))
        sign = "at most" if at_most else "at least"
        self.console.print(
            f"  {what}: [bold]{value:.3g}[/], {sign} {target:g} aimed at: {_verdict(self.goals[-1].met)}"
        )


@dataclass(frozen=True)
class Effort:
    """How long to measure: each pair goes on for ``seconds`` and for ``turns`` turns at least."""

    seconds: float
    turns: int
    full: bool = False
    quick: bool = False
    clock: Callable[[], float] = time.perf_counter


def duel(sides: Sequence[Run], effort: Effort) -> list[Times]:
    """Run the sides in turns and time every turn; a side shorter than 2 ms is run several times a turn."""
    counts = []
    for side in sides:
        for _ in range(2):  # the first call builds, packs and allocates
            started = effort.clock()
            side()
            took = effort.clock() - started
        counts.append(max(1, min(2000, math.ceil(2e-3 / took))))
    found = [Times() for _ in sides]
    end = time.perf_counter() + effort.seconds
    while len(found[0].turns) < effort.turns or time.perf_counter() < end:
        for side, count, times in zip(sides, counts, found, strict=True):
            started = effort.clock()
            for _ in range(count):
                side()
            times.turns.append((effort.clock() - started) * 1e3 / count)
    return found


def compare(section: str, what: str, dtype: str, shape: Shape, sides: Sequence[Run], effort: Effort) -> Row:
    """Ours (the first side) against a peer (the second)."""
    ours, peer = duel(sides, effort)
    return Row(section, what, dtype, shape, ours.best, peer.best, ours.spread, peer.spread, peer.best / ours.best)


def geomean(values: Sequence[float]) -> float:
    """Geometric mean."""
    return math.exp(statistics.fmean(map(math.log, values)))


def autocast(dtype: str) -> AbstractContextManager[object]:
    """What a user writes around a forward pass for this dtype."""
    return nullcontext() if dtype == "fp32" else torch.autocast("cpu", DTYPES[dtype])


def show(report: Report, title: str, rows: Sequence[Row], peer: str, unit: str = "ms") -> None:
    """A table of rows, in ``ms`` or ``us``."""
    scale = {"ms": 1.0, "us": 1e3}[unit]
    table = Table(title=title, title_justify="left", title_style="bold", caption_justify="left")
    table.add_column("cell")
    table.add_column("dtype")
    for name in ("B, T, I, H", f"ours {unit}", "+%", f"{peer} {unit}", "+%", "ratio", "aim"):
        table.add_column(name, justify="right")
    for row in rows:
        aim = "" if row.target is None else f"{row.target:g} {_verdict(row.ratio >= row.target)}"
        table.add_row(
            row.what,
            row.dtype,
            ", ".join(map(str, row.shape)),
            f"{row.ours_ms * scale:.3g}",
            f"{row.ours_spread:.0%}",
            f"{row.peer_ms * scale:.3g}",
            f"{row.peer_spread:.0%}",
            f"{row.ratio:.2f}",
            aim,
        )
    report.rows += rows
    report.console.print(table)


def _verdict(met: bool) -> str:
    return "[green]met[/]" if met else "[red]NOT met[/]"


# Standard cells ----------------------------------------------------------------------------------------------------


def training_step(
    run: Callable[[Tensor], Tensor], module: nn.Module, x: Tensor, gradient: Tensor, dtype: str = "fp32"
) -> Run:
    """Forward and backward down to the inputs and all weights."""
    x = x.clone().requires_grad_()
    parameters = list(module.parameters())

    def step() -> None:
        x.grad = None
        for parameter in parameters:
            parameter.grad = None
        with autocast(dtype):
            outputs = run(x)
        outputs.backward(gradient.to(outputs.dtype))

    return step


def inference_step(run: Callable[[Tensor], Tensor], x: Tensor, dtype: str = "fp32") -> Run:
    """Forward without gradients."""

    def step() -> None:
        with torch.inference_mode(), autocast(dtype):
            run(x)

    return step


def build_ours(input_size: int, cell: Any, hidden_size: int, bidirectional: bool = False) -> Any:
    """What all of this is about."""
    return Recurrent(input_size, cell, hidden_size, bidirectional=bidirectional, backend="compiled")


def read(layer: nn.Module, lengths: Tensor, x: Tensor) -> Tensor:
    """Ours on ``(B, T, E)``."""
    return layer(x, lengths).outputs


def read_dense(layer: nn.Module, x: Tensor) -> Tensor:
    """Torch's on full rows, time first."""
    return layer(x)[0]


def read_packed(layer: nn.Module, lengths: Tensor, x: Tensor) -> Tensor:
    """Torch's on ``(B, T, E)`` of any lengths, as its documentation tells users to."""
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    return nn.utils.rnn.pad_packed_sequence(layer(packed)[0], batch_first=True)[0]


def layers(kind: str, shape: Shape, bidirectional: bool = False) -> tuple[nn.Module, nn.Module]:
    """Ours and torch's layer of one kind, time-first the latter."""
    _, _, E, H = shape
    return build_ours(E, kind, H, bidirectional), TORCH[kind](E, H, bidirectional=bidirectional)


def standard(report: Report, effort: Effort, train: bool) -> None:
    """RNN, GRU and LSTM against torch.nn, all rows full."""
    shapes, rows = QUICK if effort.quick else SHAPES, []
    for dtype in DTYPES:
        for kind in TORCH:
            for shape in shapes:
                B, T, E, H = shape
                torch.manual_seed(0)
                x, gradient, lengths = torch.randn(B, T, E), torch.randn(B, T, H), torch.full((B,), T)
                ours, peer = layers(kind, shape)
                run_ours, run_peer = partial(read, ours, lengths), partial(read_dense, peer)
                first_x, first_gradient = x.transpose(0, 1).contiguous(), gradient.transpose(0, 1).contiguous()
                if train:
                    sides = [
                        training_step(run_ours, ours, x, gradient, dtype),
                        training_step(run_peer, peer, first_x, first_gradient, dtype),
                    ]
                else:
                    ours.eval(), peer.eval()
                    sides = [inference_step(run_ours, x, dtype), inference_step(run_peer, first_x, dtype)]
                rows.append(compare("training" if train else "inference", kind, dtype, shape, sides, effort))
    name = "Training: forward and backward" if train else "Inference"
    show(report, f"{name}, all rows full, against torch.nn", rows, "torch.nn")
    for dtype in DTYPES:
        for kind in TORCH:
            ratios = [row.ratio for row in rows if (row.what, row.dtype) == (kind, dtype)]
            target = TRAINING[kind, dtype] if train else INFERENCE[kind]
            what = f"{kind} {dtype} {'training' if train else 'inference'}, geometric mean of {len(ratios)} shapes"
            if target is None:
                report.console.print(f"  {what}: [bold]{geomean(ratios):.3g}[/]")
            else:
                report.goal(what, geomean(ratios), target)
    if train:
        report.goal("the worst single ratio in training", min(row.ratio for row in rows), NEVER_BELOW)


def ragged(report: Report, effort: Effort) -> None:
    """Lengths uniform between 10 % of T and T against pack, torch.nn and unpack: training."""
    shapes, rows = ([(32, 128, 128, 128)] if effort.quick else [(32, 128, 128, 128), (64, 200, 128, 256)]), []
    for shape in shapes:
        B, T, E, H = shape
        torch.manual_seed(0)
        lengths = torch.randint(T // 10, T + 1, (B,))
        lengths[0] = T
        for bidirectional in (False, True):
            x, gradient = torch.randn(B, T, E), torch.randn(B, T, H * (1 + bidirectional))
            for kind in ("gru", "lstm"):
                ours, _ = layers(kind, shape, bidirectional)
                peer = TORCH[kind](E, H, bidirectional=bidirectional, batch_first=True)
                sides = [
                    training_step(partial(read, ours, lengths), ours, x, gradient),
                    training_step(partial(read_packed, peer, lengths), peer, x, gradient),
                ]
                what = f"{kind}, two directions" if bidirectional else kind
                rows.append(compare("ragged", what, "fp32", shape, sides, effort))
                rows[-1].target = RAGGED
    share = f"lengths {T // 10} to {T}, mean {lengths.float().mean() / T:.0%} of T"
    show(report, f"Training on ragged batches ({share}) against pack, torch.nn, unpack", rows, "packed")
    report.goal("the least ratio on ragged batches", min(row.ratio for row in rows), RAGGED)


# Other cells -------------------------------------------------------------------------------------------------------


def python_loop(cell: Any, x: Tensor) -> Tensor:
    """The loop everyone writes: index a step, call the cell, keep what it says."""
    state = tuple(x.new_zeros(x.shape[0], cell.hidden_size) for _ in range(getattr(cell, "num_states", 1)))
    outputs = []
    for t in range(x.shape[1]):
        state = cell.step(x[:, t], state)
        outputs.append(state[0])
    return torch.stack(outputs, 1)


def unbound_loop(cell: Any, x: Tensor) -> Tensor:
    """The same by one who knows that indexing gives every step a gradient of the whole sequence's size."""
    state = tuple(x.new_zeros(x.shape[0], cell.hidden_size) for _ in range(getattr(cell, "num_states", 1)))
    outputs = []
    for x_t in x.unbind(1):
        state = cell.step(x_t, state)
        outputs.append(state[0])
    return torch.stack(outputs, 1)


def build_cell(cell: Any, input_size: int, hidden_size: int) -> nn.Module:
    """A cell by its name or by its class."""
    from seqlab.nn.cells import CELLS as ZOO

    return ZOO[cell](input_size, hidden_size) if isinstance(cell, str) else cell(input_size, hidden_size)


def loop_target(shape: Shape) -> float:
    """What was aimed at against the loop."""
    return 12.0 if shape[0] == 1 else 2.5 if shape[0] >= 32 else 8.0


def cells(report: Report, effort: Effort) -> None:
    """Cells that torch has not, against the loop over time: training."""
    shapes = QUICK if effort.quick else SHAPES
    rows: list[Row] = []
    better: list[Row] = []
    chosen = dict(list(CELLS.items())[-3:]) if effort.quick else CELLS
    for dtype in DTYPES if effort.full else ["fp32"]:
        for name, cell in chosen.items():
            for shape in shapes:
                B, T, E, H = shape
                torch.manual_seed(0)
                x, gradient, lengths = torch.randn(B, T, E), torch.randn(B, T, H), torch.full((B,), T)
                ours = build_ours(E, cell, H)
                peer = build_cell(cell, E, H)
                sides = [
                    training_step(partial(read, ours, lengths), ours, x, gradient, dtype),
                    training_step(partial(python_loop, peer), peer, x, gradient, dtype),
                    training_step(partial(unbound_loop, peer), peer, x, gradient, dtype),
                ]
                mine, *others = duel(sides, effort)
                for found, other in zip((rows, better), others, strict=True):
                    ratio = other.best / mine.best
                    found.append(
                        Row("cells", name, dtype, shape, mine.best, other.best, mine.spread, other.spread, ratio)
                    )
                rows[-1].target = loop_target(shape)
                better[-1].section = "cells, unbind"
    show(report, "Training against the Python loop, x[:, t] at each step", rows, "loop")
    show(report, "The same against a loop over x.unbind(1)", better, "unbind")
    for least in (2.5, 8.0, 12.0):
        if ratios := [row.ratio for row in rows if row.target == least]:
            where = {2.5: "B at least 32", 8.0: "16, 64, 64, 64", 12.0: "1, 1000, 128, 256"}[least]
            report.goal(f"the least ratio over the loop at {where}", min(ratios), least)
            unbound = [row.ratio for row in better if loop_target(row.shape) == least]
            report.console.print(f"    geometric mean {geomean(ratios):.3g}; over unbind, least {min(unbound):.3g}")


# Starting ----------------------------------------------------------------------------------------------------------


def start(report: Report, effort: Effort) -> None:
    """The first training step of a new cell with an empty cache, and in the next process: seconds over a later step."""
    report.console.print("[bold]First forward and backward of a cell in a process, imports done, less a later one[/]")
    names = [TemperedMGU.__name__] if effort.quick else [TemperedMGU.__name__, "layernorm_lstm", "lstm"]
    for name in names:
        firsts, seconds = [], []
        for _ in range(1 if effort.quick else 3):
            with tempfile.TemporaryDirectory() as cache:
                firsts.append(_child(name, cache))
                seconds.append(_child(name, cache))
        report.goal(f"{name}: empty cache, seconds", min(firsts), FIRST_USE, at_most=True)
        report.goal(f"{name}: second process, seconds", min(seconds), SECOND_PROCESS, at_most=True)


def _child(name: str, cache: str) -> float:
    command = [sys.executable, str(Path(__file__).resolve()), "--child", name]
    environment = os.environ | {"SEQLAB_CACHE": cache, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return float(done.stdout.split()[-1])


def first_use(name: str) -> float:
    """Seconds of this process's first training step with a cell, less those of a later one."""
    layer = build_ours(32, TemperedMGU if name == TemperedMGU.__name__ else name, 64)
    x, lengths = torch.randn(4, 10, 32, requires_grad=True), torch.full((4,), 10)
    nn.functional.linear(x, torch.randn(8, 32)).square().mean().backward()  # torch's own first times
    took = []
    for _ in range(5):
        started = time.perf_counter()
        read(layer, lengths, x).square().mean().backward()
        took.append(time.perf_counter() - started)
    return took[0] - min(took)


# Streaming ---------------------------------------------------------------------------------------------------------


def stream(report: Report, effort: Effort) -> None:
    """One step at a time, one row: ours, torch's cell, torch's layer at T = 1."""
    rows = []
    for kind in ("gru", "lstm"):
        for E, H in ((64, 64), (128, 256)):
            torch.manual_seed(0)
            x = torch.randn(1, E)
            for peer_name, peer in (("cell", _torch_cell(kind, E, H)), ("layer, T=1", _torch_layer(kind, E, H))):
                live = build_ours(E, kind, H).eval().stream(1)
                sides = [_inferring(partial(live.push, x)), _inferring(partial(peer, x))]
                rows.append(compare("stream", f"{kind} against {peer_name}", "fp32", (1, 1, E, H), sides, effort))
    show(report, "Streaming, one row, one step", rows, "torch.nn", "us")


def _inferring(run: Run) -> Run:
    def step() -> None:
        with torch.inference_mode():
            run()

    return step


def _torch_cell(kind: str, E: int, H: int) -> Callable[[Tensor], object]:
    cell = nn.GRUCell(E, H) if kind == "gru" else nn.LSTMCell(E, H)
    state: Any = None

    def push(x: Tensor) -> None:
        nonlocal state
        state = cell(x, state)

    return push


def _torch_layer(kind: str, E: int, H: int) -> Callable[[Tensor], object]:
    layer = TORCH[kind](E, H)
    state: Any = None

    def push(x: Tensor) -> None:
        nonlocal state
        _, state = layer(x.unsqueeze(0), state)

    return push


# The command -------------------------------------------------------------------------------------------------------


def surroundings(threads: int, kept: bool, cpu_time: bool) -> dict[str, str]:
    """What the numbers depend on, by name."""
    found = versions() | {"threads": str(threads), "processor": _processor(), "compiler": _compiler()}
    found["clock"] = "processor time" if cpu_time else "wall"
    found["allocator"] = "keeps blocks up to 64 MB, for both sides" if kept else "left alone"
    return found


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def _compiler() -> str:
    named = [os.environ["CXX"]] if os.environ.get("CXX") else ["c++", "g++", "clang++"]
    path = next(filter(None, map(shutil.which, named)), None)
    if path is None:
        return "none found"
    return subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout.partition("\n")[0]


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Two small shapes and fewer turns.")] = False,
    full: Annotated[bool, typer.Option("--full", help="The other cells in bf16 as well.")] = False,
    threads: Annotated[int, typer.Option(help="Threads of both sides.")] = 2,
    cpu_time: Annotated[
        bool, typer.Option("--cpu-time", help="Processor time of one thread, where the machine has other work.")
    ] = False,
    only: Annotated[str | None, typer.Option(help=f"One section: {', '.join(SECTIONS)}.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every number to this file.")] = None,
    child: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Recurrent layers against torch.nn and against Python loops: ratios, geometric means and what was aimed at."""
    if child is not None:
        print(first_use(child))
        return
    if only is not None and only not in SECTIONS:
        raise typer.BadParameter(f"{only} is none of {', '.join(SECTIONS)}", param_hint="--only")
    if cpu_time and threads != 1:
        raise typer.BadParameter("counts one thread's time: add --threads 1", param_hint="--cpu-time")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    report = Report(console=Console(width=max(110, Console().width)))
    found = surroundings(threads, tune_allocator(), cpu_time)
    report.console.print(", ".join(f"{name} {value}" for name, value in found.items()))
    clock = time.process_time if cpu_time else time.perf_counter
    effort = Effort(0.15, 5, full, quick, clock) if quick else Effort(0.8, 7, full, quick, clock)
    work: dict[str, Callable[[], None]] = {
        "training": lambda: standard(report, effort, train=True),
        "inference": lambda: standard(report, effort, train=False),
        "ragged": lambda: ragged(report, effort),
        "cells": lambda: cells(report, effort),
        "start": lambda: start(report, effort),
        "stream": lambda: stream(report, effort),
    }
    for section in [only] if only else SECTIONS:
        work[section]()
    _summary(report)
    if json_file is not None:
        numbers = {"surroundings": found, "rows": [asdict(row) for row in report.rows]}
        goals = [asdict(goal) | {"met": goal.met} for goal in report.goals]
        json_file.write_text(json.dumps(numbers | {"goals": goals}, indent=1) + "\n")
    torch.set_num_threads(before)


def _summary(report: Report) -> None:
    missed = [goal for goal in report.goals if not goal.met]
    report.console.print(f"[bold]{len(report.goals) - len(missed)} of {len(report.goals)} aims met[/]")
    for goal in missed:
        report.console.print(f"  {_verdict(False)}: {goal.what}: {goal.value:.3g}, aimed at {goal.target:g}")


if __name__ == "__main__":
    typer.run(main)
