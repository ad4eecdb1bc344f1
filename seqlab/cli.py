"""``seqlab``: train, and what one does with a run folder afterwards. Torch loads only in the commands that need it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from seqlab.engine.progress import readable
from seqlab.errors import InputError, one_sentence

app = typer.Typer(
    help="Recurrent networks over sequences: train one, then ask its run folder.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
RunDir = Annotated[Path, typer.Argument(help="A run folder, as a training prints it on its last line.", metavar="RUN")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Trust = Annotated[bool, typer.Option("--trust", help="Also run code outside seqlab that the run's config names.")]


def main() -> None:
    """Entry point of the installed command; ``seqlab train ...`` is ``python train.py ...``."""
    sys.path.append(str(Path.cwd()))  # cells and sources of a person's own; last, so that they hide nothing
    if sys.argv[1:2] == ["train"]:
        from seqlab import train

        sys.argv[:2] = ["seqlab train"]
        train.main()
    else:
        with one_sentence():
            app()


@app.command("train", add_help_option=False)
def train_command() -> None:
    """Train: `seqlab train model=lstm data=imdb optim.lr=3e-3` (`seqlab train --help` lists every option)."""
    raise AssertionError("main() hands `train` to Hydra before typer sees it")


@app.command()
def evaluate(
    run: RunDir,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    device: Device = "auto",
    trust: Trust = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Measure a run's best weights on one part of its dataset."""
    from seqlab.run import Run

    metrics = Run(run, device, trust).evaluate(split)
    if as_json:
        print(json.dumps(metrics))
        return
    table = Table("metric", "value", title=f"{run} on {split}")
    for name, value in metrics.items():
        table.add_row(name, readable(value))
    Console().print(table)


@app.command()
def predict(
    run: RunDir,
    texts: Annotated[list[str], typer.Argument(help="Texts, or - for one text a line from standard input.")],
    device: Device = "auto",
    trust: Trust = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Label texts with a run's best weights, with probabilities."""
    from seqlab.run import Run

    if texts == ["-"]:
        texts = [line.rstrip("\n") for line in sys.stdin]
    if not texts:
        raise InputError("There is no text to label: give texts as arguments, or - and one text a line.")
    answers = Run(run, device, trust).predict(texts)
    if as_json:
        for answer in answers:
            print(json.dumps(answer, ensure_ascii=False))
        return
    table = Table("label", "probability", "text")
    for answer in answers:
        text = answer["text"] if len(answer["text"]) <= 100 else answer["text"][:99] + "…"
        table.add_row(answer["label"], f"{answer['probabilities'][answer['label']]:.3f}", text)
    Console().print(table)


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(help="Where run folders are.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List runs with their numbers, newest last."""
    summaries = [_summary(path) for path in sorted(folder.rglob("summary.json"), key=lambda p: p.stat().st_mtime)]
    if not summaries:
        raise InputError(f"{folder} holds no finished run: train one, or name another folder.")
    if as_json:
        for summary in summaries:
            print(json.dumps(summary))
        return
    table = Table(Column("run", overflow="fold"), "val", "test", "floor", "seconds", "params", "seed")
    for summary in summaries:
        floor = max(summary["floor"].values(), default=None) if summary.get("floor") else None
        table.add_row(
            summary["run"],
            *(_number(summary.get(split, {}).get(summary["monitor"])) for split in ("val", "test")),
            _number(floor),
            f"{summary['seconds']:.0f}",
            f"{summary['params']:,}",
            str(summary["seed"]),
        )
    Console().print(table)


def _summary(path: Path) -> dict[str, Any]:
    try:
        return {"run": str(path.parent), **json.loads(path.read_text(encoding="utf-8"))}
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}): remove it, or train that run again.") from error


def _number(value: float | None) -> str:
    return "" if value is None else readable(value)
