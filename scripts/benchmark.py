"""Benchmarks that report ratios against a named peer in one run: ``python scripts/benchmark.py --help``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seqlab.errors import one_sentence

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)


@app.command()
def text(
    data_root: Annotated[
        Path, typer.Option(envvar="SEQLAB_DATA", help="Folder of aclImdb_v1.tar.gz; else texts are made up.")
    ] = Path("data"),
    repeats: Annotated[int, typer.Option(help="Times each way is measured.")] = 3,
    torchtext_python: Annotated[
        str | None, typer.Option(help="Interpreter in which torchtext loads (scripts/torchtext_env.sh makes one).")
    ] = None,
) -> None:
    """Raw reviews to vocabulary and ids: seqlab, a plain loop, torchtext; seconds and memory."""
    from bench_text import main

    main(data_root, repeats, torchtext_python)


@app.command()
def overhead(
    steps: Annotated[int, typer.Option(help="Steps of each measurement.")] = 4000,
    repeats: Annotated[int, typer.Option(help="Rounds; each measures every contestant beside the bare loop.")] = 5,
) -> None:
    """Steps per second of a tiny LSTM: seqlab's trainer, and Lightning where installed, as shares of a bare loop."""
    from bench_overhead import main

    main(steps, repeats)


@app.command()
def recurrent(
    quick: Annotated[bool, typer.Option("--quick", help="Two small shapes and fewer turns.")] = False,
    full: Annotated[bool, typer.Option("--full", help="The other cells in bf16 as well.")] = False,
    threads: Annotated[int, typer.Option(help="Threads of both sides.")] = 2,
    cpu_time: Annotated[
        bool, typer.Option("--cpu-time", help="Processor time of one thread, where the machine has other work.")
    ] = False,
    only: Annotated[
        str | None, typer.Option(help="One section: training, inference, ragged, cells, start, stream.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every number to this file.")] = None,
) -> None:
    """Recurrent layers against torch.nn, and any cell against a Python loop: training, inference, start, streaming."""
    from bench_recurrent import main

    main(quick, full, threads, cpu_time, only, json_file)


@app.command()
def memory(
    task: Annotated[str, typer.Argument(help="adding, copy or parity.")] = "adding",
    steps: Annotated[int, typer.Option(help="Length of the sequences, or of the wait.")] = 600,
    minutes: Annotated[float, typer.Option(help="Of training, each.")] = 5.0,
    models: Annotated[str, typer.Option(help="Names of configs, with commas.")] = "lstm,gru,rnn,indrnn,mingru,tcn",
    seeds: Annotated[int, typer.Option(help="Runs of each model.")] = 1,
    options: Annotated[str, typer.Option(help="More options of train.py, with spaces.")] = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every run's summary to this file.")] = None,
) -> None:
    """What each network can remember: models trained on a generated task for the same time."""
    from bench_memory import main

    main(task, steps, minutes, models.split(","), seeds, options.split(), json_file)


@app.command()
def charlm(
    seconds: Annotated[float, typer.Option(help="Of training, each, in the comparison of quality.")] = 60.0,
    rounds: Annotated[int, typer.Option(help="Rounds of the comparison of speed.")] = 3,
    options: Annotated[str, typer.Option(help="More options of train.py, with spaces; for both sides.")] = "",
    threads: Annotated[int | None, typer.Option(help="Threads of both sides; by default torch's choice.")] = None,
    only: Annotated[str | None, typer.Option(help="One section: speed, quality.")] = None,
    png: Annotated[Path | None, typer.Option(help="Draw validation loss by seconds of training.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every number to this file.")] = None,
) -> None:
    """A character model: our training beside a bare PyTorch loop of the same model, tokens/s and loss by seconds."""
    from bench_charlm import main

    with one_sentence():
        main(seconds, rounds, options.split(), threads, only, png, json_file)


@app.command()
def translate(
    steps: Annotated[int, typer.Option(help="Steps of a round of training.")] = 20,
    rounds: Annotated[int, typer.Option(help="Rounds of each comparison.")] = 3,
    sentences: Annotated[int, typer.Option(help="To translate in batches; one by one every twentieth of them.")] = 200,
    options: Annotated[str, typer.Option(help="More options of train.py, with spaces; for both sides.")] = "",
    threads: Annotated[int | None, typer.Option(help="Threads of both sides; by default torch's choice.")] = None,
    cpu_time: Annotated[
        bool, typer.Option("--cpu-time", help="Processor time, with --threads 1, where the machine has other work.")
    ] = False,
    only: Annotated[str | None, typer.Option(help="One section: training, decoding.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every number to this file.")] = None,
) -> None:
    """Translation: our training and writing beside a bare PyTorch loop of the same model, tokens/s and sentences/s."""
    from bench_translate import main

    with one_sentence():
        main(steps, rounds, sentences, options.split(), threads, cpu_time, only, json_file)


@app.command()
def cells(
    minutes: Annotated[float, typer.Option(help="Of training, each run.")] = 2.0,
    seeds: Annotated[int, typer.Option(help="Runs of each model.")] = 3,
    params: Annotated[int, typer.Option(help="Parameters of each model; 0: widths as configured.")] = 1_350_000,
    names: Annotated[str | None, typer.Option("--cells", help="Names of configs, with commas; by default all.")] = None,
    data: Annotated[
        str, typer.Option(help="shakespeare, verses, or text with data.path in --options.")
    ] = "shakespeare",
    threads: Annotated[
        int | None, typer.Option(help="Threads; by default torch's choice. With --jobs the cores are shared out.")
    ] = None,
    options: Annotated[str, typer.Option(help="More options of train.py, with spaces.")] = "",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Keep every run in this file; go on with what it holds.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Runs at a time.")] = 1,
    png: Annotated[Path | None, typer.Option(help="Draw the losses of all cells and seeds.")] = None,
) -> None:
    """Every cell of the zoo at equal parameter count, trained on one text for the same time: one table."""
    from bench_cells import ZOO, main

    models = ZOO if names is None else tuple(dict.fromkeys(names.split(",")))
    with one_sentence():
        main(minutes, seeds, params, models, data, threads, options.split(), json_file, jobs, png)


if __name__ == "__main__":
    app()
