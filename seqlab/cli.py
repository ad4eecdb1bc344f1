"""``seqlab``: train, and what one does with a run folder afterwards. Torch loads only in the commands that need it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from seqlab.engine.progress import readable
from seqlab.errors import InputError, one_sentence, show_anything

if TYPE_CHECKING:
    from pandas import DataFrame

    from seqlab.decode import Sampling
    from seqlab.forecasts import Outcome
    from seqlab.run import Run

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
    show_anything()
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
    split: Annotated[str | None, typer.Option(help="train, val or test; by default test, else val.")] = None,
    device: Device = "auto",
    trust: Trust = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Measure a run's best weights on one part of its dataset."""
    from seqlab.run import Run

    opened = Run(run, device, trust)
    metrics = opened.evaluate(split)
    if as_json:
        print(json.dumps(metrics))
        return
    table = Table("metric", "value", title=f"{run} on {split or opened.last_split}")
    for name, value in metrics.items():
        table.add_row(name, readable(value))
    Console().print(table)


@app.command()
def predict(
    run: RunDir,
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts to label, or - for one text a line from standard input.")
    ] = None,
    horizon: Annotated[int | None, typer.Option(help="Of a forecast: steps; by default all it learned.")] = None,
    path: Annotated[
        Path | None, typer.Option(help="Of a forecast: another file of the same columns to go on from.")
    ] = None,
    plans: Annotated[
        Path | None, typer.Option(help="Of a forecast: a CSV with the covariates of the steps to come.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Of a forecast: write it here, with its quantiles.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Of a forecast: draw it here (.png, .pdf, .svg).")] = None,
    device: Device = "auto",
    trust: Trust = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Label texts, or forecast beyond the end of the data, with a run's best weights.

    `seqlab predict RUN "some text"`, `seqlab predict RUN --horizon 24 --csv out.csv --plot out.png`
    """
    from seqlab.run import Run

    if not texts:
        opened = Run(run, device, trust)
        if opened.spec.task == "forecasting":
            _check_targets(csv, plot)
            _forecast(opened.forecast(horizon, path, plans), run, csv, plot, as_json)
            return
    if horizon is not None or path or plans or csv or plot:
        raise InputError(
            "--horizon, --path, --plans, --csv and --plot are for runs that forecast, and go without texts."
        )
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
def backtest(
    run: RunDir,
    folds: Annotated[int, typer.Option(help="Into how many pieces the last part is cut.")] = 4,
    refit: Annotated[bool, typer.Option("--refit", help="Train anew before each piece, on all before it.")] = False,
    csv: Annotated[Path | None, typer.Option(help="Write the table here.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw truth and forecasts here (.png, .pdf, .svg).")] = None,
    device: Device = "auto",
    trust: Trust = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object of all metrics, with the floors'.")] = False,
) -> None:
    """Forecast from every origin of the last part of a run's data, beside the honest floors."""
    from seqlab.backtest import backtest as roll
    from seqlab.run import Run

    _check_targets(csv, plot)
    found = roll(Run(run, device, trust), folds, refit)
    if csv is not None:
        found.table.to_csv(csv, index=False)
    if plot is not None:
        found.figure.savefig(plot)
    if as_json:
        print(json.dumps(found.metrics))
        return
    folded = found.table.set_index("fold").T.reset_index(names="fold")
    _show_table(folded, f"{run}: {'trained anew for each fold' if refit else 'as trained'}")


@app.command()
def leaktest(run: RunDir, device: Device = "auto", trust: Trust = False) -> None:
    """Change the future of a run's data and see that no forecast before it moves, nor anything it was trained on."""
    from seqlab.run import Run

    found = Run(run, device, trust).check_leak()
    print(
        f"No leak: with {found['rows_changed']:,} rows changed from {found['changed_from']} on, "
        f"{found['training_windows_compared']:,} training windows and {found['forecasts_compared']:,} forecasts before "
        "them kept every bit."
    )


@app.command()
def generate(
    run: RunDir,
    prompt: Annotated[str | None, typer.Option(help="What to go on from; - reads all of standard input.")] = None,
    length: Annotated[int, typer.Option(help="Tokens to write: characters, words or byte pairs.")] = 400,
    temperature: Annotated[float, typer.Option(help="Below 1 plays safe, above 1 dares more.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(help="Draw from so many of the most probable tokens.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from the most probable tokens of this share.")] = None,
    greedy: Annotated[bool, typer.Option("--greedy", help="Always take the most probable token.")] = False,
    stop: Annotated[str | None, typer.Option(help="End right before this text.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed writes the same text.")] = 0,
    samples: Annotated[int, typer.Option(help="How many texts; the next one's seed is one higher.")] = 1,
    stream: Annotated[
        bool | None, typer.Option(help="Show text while it is made; on a terminal that is the default.")
    ] = None,
    interactive: Annotated[bool, typer.Option("--interactive", "-i", help="Take turns; :help there says how.")] = False,
    device: Device = "auto",
    trust: Trust = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a text.")] = False,
) -> None:
    """Let a language model write: `seqlab generate RUN --prompt "The quick br" --length 388`.

    The prompt and what follows go to standard output. What the model never saw of the prompt is read as unknown.
    """
    from seqlab.decode import Sampling
    from seqlab.run import Run

    sampling = Sampling(temperature, top_k, top_p, greedy)
    if samples < 1:
        raise InputError(f"--samples {samples} writes nothing: give 1 or more.")
    if as_json and (stream or interactive):
        raise InputError("--json gives whole texts: leave --stream and --interactive away.")
    if interactive and (samples > 1 or prompt == "-"):
        raise InputError("--interactive goes on with one text, and reads lines: leave --samples and --prompt - away.")
    if prompt is None and not interactive:
        raise InputError("There is no prompt to go on from: give --prompt TEXT, or --interactive.")
    opened = Run(run, device, trust)
    if interactive:
        _take_turns(opened, sampling, seed, prompt, length, stop)
        return
    text = sys.stdin.read() if prompt == "-" else prompt or ""
    for each in range(seed, seed + samples):
        pieces = opened.writer(sampling, each).write(text, length, stop)
        if each == seed:
            _name_unknown(opened, text)
        if as_json:
            print(json.dumps({"prompt": text, "text": "".join(pieces), "seed": each}, ensure_ascii=False))
            continue
        if samples > 1:
            print(f"--- seed {each}")
        if sys.stdout.isatty() if stream is None else stream:
            _show(chain([text], pieces))
        else:
            print(text + "".join(pieces))


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
        best = max if summary.get("maximize", summary["monitor"] == "accuracy") else min  # older runs do not say
        floor = best(summary["floor"].values()) if summary.get("floor") else None
        table.add_row(
            summary["run"],
            *(_number(summary.get(split, {}).get(summary["monitor"])) for split in ("val", "test")),
            _number(floor),
            f"{summary['seconds']:.0f}",
            f"{summary['params']:,}",
            str(summary["seed"]),
        )
    Console().print(table)


TURNS = """\
A line is read on from where the text is, and the model writes on behind it; an empty line lets it go on.
A line break is read only where a line ends in \\.   :reset forgets the text, :quit (or the end of input) ends."""


def _forecast(found: Outcome, run: Path, csv: Path | None, plot: Path | None, as_json: bool) -> None:
    """A forecast beyond the end of the data: as a table, a file, a picture."""
    table = found.table()
    if csv is not None:
        table.to_csv(csv, index=False)
    if plot is not None:
        found.figure().savefig(plot)
    if as_json:
        print(table.to_json(orient="records", lines=True, date_format="iso", date_unit="s"), end="")
        return
    shown = table[[name for name in ("series", "time", *found.columns) if name in table]].copy()
    shown["time"] = [str(time).removesuffix(" 00:00:00") for time in shown["time"]]
    for label in found.columns:
        shown[label] = shown[label].map(readable)
        if {f"{label}_5%", f"{label}_95%"} <= {*table}:
            ends = zip(table[f"{label}_5%"].map(readable), table[f"{label}_95%"].map(readable), strict=True)
            shown[label] += [f"  [{low}, {high}]" for low, high in ends]
    _show_table(shown, f"{run}, beyond the end of the data")


def _check_targets(csv: Path | None, plot: Path | None) -> None:
    """Refuse a place that cannot be written before the work that it is to hold."""
    if plot is not None:
        from matplotlib.figure import Figure

        kinds = sorted(Figure().canvas.get_supported_filetypes())
        if plot.suffix[1:].lower() not in kinds:
            raise InputError(f"--plot {plot} names no kind of picture: end it in one of .{', .'.join(kinds)}.")
    for path in (csv, plot):
        if path is not None and not path.resolve().parent.is_dir():
            raise InputError(f"{path.resolve().parent} is no folder: make it first, or name another place.")


def _show_table(frame: DataFrame, title: str, most: int = 60) -> None:
    """At most so many rows on standard output."""
    table = Table(*(str(name) for name in frame), title=title)
    for row in frame.head(most).itertuples(index=False):
        table.add_row(*(readable(cell) if isinstance(cell, float) else str(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    if len(frame) > most:
        print(f"{len(frame) - most:,} more rows: --csv FILE writes all.")


def _take_turns(run: Run, sampling: Sampling, seed: int, prompt: str | None, length: int, stop: str | None) -> None:
    """A text that a person and the model write in turns."""
    writer = run.writer(sampling, seed)
    for line in _lines(prompt):
        if line == ":quit":
            return
        if line == ":reset":
            writer.reset()
        elif line == ":help":
            print(TURNS)
        else:
            text = line[:-1] + "\n" if line.endswith("\\") else line
            try:
                pieces = writer.write(text, length, stop)
                _name_unknown(run, text)
                _show(pieces)
            except InputError as error:  # a slip is no reason to lose the text
                print(f"error: {error}", file=sys.stderr)
            except KeyboardInterrupt:  # enough of this turn
                print()


def _lines(first: str | None) -> Iterator[str]:
    """``first``, if any, then what is typed."""
    if first is not None:
        yield first
    while True:
        try:
            yield input("> " if sys.stdin.isatty() else "")
        except EOFError:
            return


def _name_unknown(run: Run, text: str) -> None:
    from seqlab.decode import unknown

    if run.pipeline is not None and (sentence := unknown(run.pipeline, text)):
        print(f"warning: {sentence}", file=sys.stderr)


def _show(pieces: Iterable[str]) -> None:
    """Each piece as it comes."""
    for piece in pieces:
        print(piece, end="", flush=True)
    print()


def _summary(path: Path) -> dict[str, Any]:
    try:
        return {"run": str(path.parent), **json.loads(path.read_text(encoding="utf-8"))}
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}): remove it, or train that run again.") from error


def _number(value: float | None) -> str:
    return "" if value is None else readable(value)
