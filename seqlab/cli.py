"""``seqlab``: train, and what one does with a run folder afterwards. Torch loads only in the commands that need it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqlab import run_folders, runs_table
from seqlab.cached import cached
from seqlab.choices import GROUPS, choices, lines
from seqlab.cli_predict import Device, RunDir, Trust, check_targets, predict, show_table
from seqlab.engine.progress import readable
from seqlab.errors import InputError, one_sentence, show_anything
from seqlab.paths import cache_dir
from seqlab.terminal import PlainTable, json_text

if TYPE_CHECKING:
    from seqlab.decode import Sampling
    from seqlab.run import Run

app = typer.Typer(
    help="Recurrent networks for sequences: train one, then use its run folder.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Entry point of the installed command; ``seqlab train ...`` is ``python train.py ...``."""
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
    """Train a model: `seqlab train model=lstm data=imdb optim.lr=3e-3` (`seqlab train --help` lists every option)."""
    raise AssertionError("main() hands `train` to Hydra before typer sees it")


@app.command()
def evaluate(
    run: RunDir,
    split: Annotated[
        str | None, typer.Option(help="train, val or test. Default: test, or val if there is no test part.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Evaluate on this file instead: labelled texts, pairs, or running text.")
    ] = None,
    device: Device = "auto",
    trust: Trust = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Evaluate a run's best weights on one part of its dataset, or on another file of the same format."""
    from seqlab.run import Run

    opened = Run(run, device, trust)
    metrics = opened.evaluate(split, data)
    if as_json:
        print(json_text(metrics))
        return
    table = PlainTable("metric", "value", title=f"{run} on {data or split or opened.last_split}")
    for name, value in metrics.items():
        table.add_row(name, readable(value))
    table.print()


app.command()(predict)


@app.command()
def backtest(
    run: RunDir,
    folds: Annotated[int, typer.Option(help="Number of folds to divide the last part into.")] = 4,
    refit: Annotated[bool, typer.Option("--refit", help="Retrain before each fold on all data before it.")] = False,
    csv: Annotated[Path | None, typer.Option(help="Write the table to this file (.csv).")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Plot observed values and forecasts to this file (.png, .pdf, .svg).")
    ] = None,
    device: Device = "auto",
    trust: Trust = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with all metrics, baselines included.")
    ] = False,
) -> None:
    """Forecast from every origin of the last part of a run's data, and compare with simple baselines."""
    from seqlab.backtest import backtest as roll
    from seqlab.run import Run

    check_targets(csv, plot)
    found = roll(Run(run, device, trust), folds, refit)
    if csv is not None:
        found.table.to_csv(csv, index=False)
    if plot is not None:
        found.figure.savefig(plot)
    if as_json:
        print(json_text(found.metrics))
        return
    folded = found.table.set_index("fold").T.reset_index(names="fold")
    show_table(folded, f"{run}: {'retrained for each fold' if refit else 'as trained'}")


@app.command()
def leaktest(run: RunDir, device: Device = "auto", trust: Trust = False) -> None:
    """Test for data leakage: alter future rows and check that earlier forecasts and training windows stay the same."""
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
    prompt: Annotated[str | None, typer.Option(help="Text to continue; - reads all of standard input.")] = None,
    length: Annotated[int, typer.Option(help="Number of tokens to generate: characters, words or byte pairs.")] = 400,
    temperature: Annotated[float, typer.Option(help="Below 1: more likely tokens; above 1: more varied ones.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(help="Sample from the k most probable tokens.")] = None,
    top_p: Annotated[
        float | None,
        typer.Option(help="Nucleus sampling: sample from the smallest set of tokens with total probability p."),
    ] = None,
    greedy: Annotated[bool, typer.Option("--greedy", help="Always take the most probable token; no sampling.")] = False,
    stop: Annotated[str | None, typer.Option(help="Stop before this text.")] = None,
    seed: Annotated[int, typer.Option(help="Random seed: the same seed gives the same text.")] = 0,
    samples: Annotated[int, typer.Option(help="Number of texts; each next text uses the next seed.")] = 1,
    stream: Annotated[bool | None, typer.Option(help="Show text while it is generated. Default on a terminal.")] = None,
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Write a text in turns with the model; type :help there.")
    ] = False,
    device: Device = "auto",
    trust: Trust = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per text.")] = False,
) -> None:
    """Generate text with a language model: `seqlab generate RUN --prompt "The quick br" --length 388`.

    The prompt and its continuation go to standard output. Tokens of the prompt not in the vocabulary become unknown.
    """
    from seqlab.decode import Sampling
    from seqlab.run import Run

    sampling = Sampling(temperature, top_k, top_p, greedy)
    if samples < 1:
        raise InputError(f"--samples {samples}: give 1 or more.")
    if as_json and (stream or interactive):
        raise InputError("--json gives whole texts: remove --stream and --interactive.")
    if interactive and (samples > 1 or prompt == "-"):
        raise InputError("--interactive continues one text and reads lines: remove --samples and --prompt -.")
    if prompt is None and not interactive:
        raise InputError("There is no prompt to continue: give --prompt TEXT, or --interactive.")
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
            print(json_text({"prompt": text, "text": "".join(pieces), "seed": each}))
            continue
        if samples > 1:
            print(f"--- seed {each}")
        if sys.stdout.isatty() if stream is None else stream:
            _show(chain([text], pieces))
        else:
            print(text + "".join(pieces))


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(help="Folder to search for run folders.")] = Path("runs"),
    sort: Annotated[
        str, typer.Option(help="time, val, test, seconds, params, run, or a setting such as optim.lr.")
    ] = "time",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
) -> None:
    """List finished runs with their metrics, then runs in training, then unfinished runs with the command to continue.

    The column `state` appears where a run diverged or its report is incomplete.
    """
    rows, interrupted, warnings = run_folders.read(folder)
    for sentence in warnings:
        print(f"warning: {sentence}", file=sys.stderr)
    if not rows and not interrupted:
        raise InputError(f"{folder} holds no run: train one, or name another folder.")
    rows = runs_table.sort(rows, sort)
    if as_json:
        for row in rows:
            print(json_text({"run": str(row.path), **row.summary, "settings": row.settings}))
        for one in interrupted:
            if not one.measured:  # those are above, with "complete": false
                state = {"interrupted": one.holder is None, "training": one.holder is not None}
                print(json_text({"run": str(one.path), **state, "step": one.step, "command": one.command}))
        return
    if rows:
        runs_table.table(rows).print(width_in_file=200)  # no path cut in a file
    for one in interrupted:
        print(one.sentence)


@app.command()
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete all of it; it is computed again when needed.")] = False,
) -> None:
    """List the cache: token ids, baseline scores, compiled cells (SEQLAB_CACHE sets the folder)."""
    folder = cache_dir()
    found = cached(folder)
    table = PlainTable("", "files", "MB", "newest", title=str(folder))
    for one in found:
        written = datetime.fromtimestamp(one.newest).strftime("%Y-%m-%d %H:%M")
        table.add_row(one.what, f"{one.files:,}", f"{one.size / 1e6:,.1f}", written)
    total = f"{sum(one.size for one in found) / 1e6:,.1f} MB"
    if not found:
        print(f"{folder} holds nothing of seqlab's.")
    elif not clear:
        table.print()
        print(f"{total}; `seqlab cache --clear` deletes it")
    else:
        for one in found:
            one.remove()
        print(f"{folder}: {total} deleted")


@app.command("list")
def list_choices(
    group: Annotated[str | None, typer.Argument(help=f"One of {', '.join(GROUPS)}. Default: all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object: group, name, description.")] = False,
) -> None:
    """List the datasets, models, optimisers and other choices of `seqlab train`, one line each."""
    groups = list(GROUPS) if group is None else [group]
    if as_json:
        print(json_text({each: choices(each) for each in groups}))
    else:
        print("\n\n".join("\n".join(lines(each)) for each in groups))


TURNS = """\
Each line you type is appended to the text, and the model continues it; an empty line only continues.
To append a line break, end the line with \\.   :reset clears the text, :quit (or the end of input) ends."""


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
        elif re.fullmatch(r":[a-z]+", line):
            print(f"error: there is no {line}; :help lists the commands", file=sys.stderr)
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
    if sentence := run.unknown(text):
        print(f"warning: {sentence}", file=sys.stderr)


def _show(pieces: Iterable[str]) -> None:
    """Each piece as it comes."""
    for piece in pieces:
        print(piece, end="", flush=True)
    print()
