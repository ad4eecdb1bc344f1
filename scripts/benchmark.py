"""Benchmarks that report ratios against a named peer in one run: ``python scripts/benchmark.py --help``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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


if __name__ == "__main__":
    app()
