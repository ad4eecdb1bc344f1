"""``seqlab predict``: labels, forecasts and translations of a run, as tables, lines, files and pictures."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

from seqlab.engine.progress import readable
from seqlab.errors import InputError
from seqlab.terminal import PlainTable, json_text

if TYPE_CHECKING:
    from pandas import DataFrame

    from seqlab.forecasts import Outcome
    from seqlab.run import Run
    from seqlab.search import Search
    from seqlab.translations import Translated

RunDir = Annotated[Path, typer.Argument(help="A run folder: the last line that a training prints.", metavar="RUN")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Trust = Annotated[bool, typer.Option("--trust", help="Allow code outside seqlab that the run's config names.")]

CHUNK = 512
"""Sentences that are translated before the first of them is shown."""
PANELS = 6
"""Sentences whose attention is drawn in one picture."""


def predict(
    run: RunDir,
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            help="Texts to label or translate, a file of texts, or - for standard input, one text per line. "
            "Forecasts: another data file, as with --path. Arrays: a .npz file with an array inputs."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the predictions to this file (.csv, .jsonl).")] = None,
    horizon: Annotated[
        int | None,
        typer.Option(help="(forecasts) Number of steps. Default: the trained horizon; more steps roll forward."),
    ] = None,
    path: Annotated[
        Path | None, typer.Option(help="(forecasts) Another file with the same columns to forecast from.")
    ] = None,
    plans: Annotated[
        Path | None, typer.Option(help="(forecasts) CSV with the future values of the covariates.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="(forecasts) Write the forecast with its quantiles to this file.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="(forecasts) Plot the forecast to this file (.png, .pdf, .svg).")
    ] = None,
    nbest: Annotated[
        int | None, typer.Option(help="(translations) Number of alternatives per text, with scores.")
    ] = None,
    beam: Annotated[
        int | None, typer.Option(help="(translations) Beam size; 1 is greedy. Default: the run's own.")
    ] = None,
    length_penalty: Annotated[
        float | None, typer.Option(help="(translations) Higher values favour longer translations; 0: none.")
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="(translations) Sample instead of searching.")] = False,
    temperature: Annotated[
        float | None, typer.Option(help="With --sample: below 1 gives more likely tokens, above 1 more varied ones.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="With --sample: only the k most probable tokens.")] = None,
    top_p: Annotated[
        float | None, typer.Option(help="With --sample: only the smallest set of tokens with total probability p.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="With --sample: random seed.")] = None,
    attention: Annotated[
        Path | None,
        typer.Option(help="(translations) Plot the attention of the first 6 texts to this file (.png, .svg)."),
    ] = None,
    null: Annotated[bool, typer.Option("--null", help="Texts on standard input are separated by zero bytes.")] = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Each line of standard input is a JSON string, or an object with a text.")
    ] = False,
    device: Device = "auto",
    trust: Trust = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
) -> None:
    """Label or translate texts, or forecast beyond the end of the data, with a run's best weights.

    `seqlab predict RUN "some text"`, `seqlab predict RUN new.csv --out labels.csv`, `seqlab predict RUN < lines.txt`,
    `seqlab predict RUN --horizon 24 --csv out.csv`
    """
    from seqlab.cli_texts import gather
    from seqlab.labelling import check_out
    from seqlab.run import Run

    opened = Run(run, device, trust)
    task = opened.spec.task
    of_forecasts = {"--horizon": horizon, "--path": path, "--plans": plans, "--csv": csv, "--plot": plot}
    drawing: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    searching: dict[str, Any] = {"nbest": nbest, "beam": beam, "length_penalty": length_penalty, **drawing}
    of_translations: dict[str, Any] = {f"--{name.replace('_', '-')}": value for name, value in searching.items()}
    of_translations |= {"--sample": sample or None, "--attention": attention}
    for kind, options in (("forecasting", of_forecasts), ("translation", of_translations)):
        given = [name for name, value in options.items() if value is not None]
        if given and task != kind:
            what = "forecast" if kind == "forecasting" else "translate"
            raise InputError(f"{given[0]} is for runs that {what}, and {run} was trained for {task}: remove it.")
    if not sample and (given := [name for name, value in drawing.items() if value is not None]):
        raise InputError(f"--{given[0].replace('_', '-')} configures sampling: add --sample, or remove it.")
    if task == "forecasting":
        path, csv = _series_files(run, texts or [], path, csv, out)
        check_targets(csv, plot)
        _forecast(opened.forecast(horizon, path, plans), run, csv, plot, as_json)
        return
    if opened.pipeline is None:
        _label(opened, _arrays(opened, texts or [], run), True, out, as_json)
        return
    asked, from_files = gather(texts or [], opened, run, null=null, jsonl=jsonl)
    check_out(out)
    if task == "translation":
        check_targets(None, attention, "--attention")
        wanted = {name: value for name, value in searching.items() if value is not None}
        _translate(opened, asked, _search(opened, sample, wanted), attention, as_json, out)
        return
    _label(opened, asked, from_files, out, as_json)


def _series_files(
    run: Path, words: list[str], path: Path | None, csv: Path | None, out: Path | None
) -> tuple[Path | None, Path | None]:
    """The file to go on from and the file to write, for forecasts, whichever option named them."""
    if len(words) > 1 or (words and not Path(words[0]).is_file()):
        raise InputError(f"{run} makes forecasts: give one file, no texts.")
    if words and path is not None:
        raise InputError(f"--path {path} and {words[0]} are two files to forecast from: give one.")
    if out is not None and (csv is not None or out.suffix.lower() != ".csv"):
        raise InputError(f"--out {out}: forecasts are written to one .csv file.")
    return Path(words[0]) if words else path, csv if out is None else out


def _arrays(opened: Run, words: list[str], run: Path) -> list[Any]:
    """The rows of a file of arrays."""
    if len(words) != 1:
        raise InputError(f"{run} reads arrays: give one .npz file with an array 'inputs', (N, T) or (N, T, F).")
    return opened.rows_of(words[0])


def _label(opened: Run, texts: list[Any], numbered: bool, out: Path | None, as_json: bool) -> None:
    """Labels or numbers of texts: as a table, as JSON lines, or in a file."""
    from seqlab.labelling import table, write

    found = opened.predict(texts)
    if opened.pipeline is not None and (sentence := opened.much_unknown(texts)):
        print(f"warning: {sentence}.", file=sys.stderr)
    if numbered or out is not None:
        found = [{"row": row, **one} for row, one in enumerate(found, 1)]
    if out is not None:
        write(out, found)
        print(f"{len(found):,} rows written to {out}")
    elif as_json:
        for one in found:
            print(json_text(one))
    else:
        table(found, opened.spec).print()


def _search(opened: Run, sample: bool, wanted: dict[str, Any]) -> Search:
    """The run's own search, changed as was asked for."""
    own = opened.search
    if sample:
        own = replace(own, beam=1, sampling=True)
    elif wanted.get("nbest", 1) > own.beam and "beam" not in wanted:
        own = replace(own, beam=wanted["nbest"])
    return replace(own, **wanted)


def _translate(
    opened: Run, texts: list[str], options: Search, attention: Path | None, as_json: bool, out: Path | None
) -> None:
    """One line a text; of several translations a text each with its score, and an empty line between texts."""
    from seqlab.labelling import write

    rows: list[dict[str, Any]] = []
    if attention is not None and not opened.attends:
        raise InputError("--attention: this run's decoder has task.decoder.attention=none, there is nothing to draw.")
    panels: list[Translated] = []
    chunks = [texts[first : first + CHUNK] for first in range(0, len(texts), CHUNK)]
    shown = Console(stderr=True)
    for text in texts:
        if sentence := opened.unknown(text):
            print(f"warning: {sentence}", file=sys.stderr)
    bar = track(chunks, "translating", console=shown, transient=True, disable=len(chunks) == 1 or not shown.is_terminal)
    for number, chunk in enumerate(bar):
        found = opened.translate(chunk, options, attention=attention is not None)
        if attention is not None:
            panels += [each[0] for each in found if each[0].attention is not None]
            panels = panels[:PANELS]
        for row, each in enumerate(found):
            if out is not None:
                place = number * CHUNK + row + 1
                rows += [{"row": place, "source": one.source, "text": one.text, "score": one.score} for one in each]
            elif as_json:
                said = [{"text": one.text, "score": one.score, "finished": one.finished} for one in each]
                print(json_text({"source": each[0].source, "translations": said}))
            elif options.nbest == 1:
                print(each[0].text)
            else:
                print("\n" * bool(number or row) + "\n".join(f"{one.score:.4f}\t{one.text}" for one in each))
    if out is not None:
        write(out, rows)
        print(f"{len(rows):,} rows written to {out}")
    if attention is not None:
        from seqlab.insight.translation import Attention, attention_figure

        if not panels:
            raise InputError("There is no attention to draw: the texts are empty.")
        looked = [(one, one.attention) for one in panels if one.attention is not None]
        attention_figure([Attention(one.source_words, one.words, weights) for one, weights in looked]).savefig(
            attention
        )


def _forecast(found: Outcome, run: Path, csv: Path | None, plot: Path | None, as_json: bool) -> None:
    """A forecast beyond the end of the data: as a table, a file, a picture."""
    table = found.table()
    if csv is not None:
        table.to_csv(csv, index=False)
    if plot is not None:
        found.figure().savefig(plot)
    if as_json:
        table["time"] = [str(time).replace(" ", "T") for time in table["time"]]
        for row in table.to_dict("records"):
            print(json_text(row))
        return
    shown = table[[name for name in ("series", "time", *found.columns) if name in table]].copy()
    shown["time"] = [str(time).replace("T", " ").removesuffix(" 00:00:00") for time in shown["time"]]
    for label in found.columns:
        shown[label] = shown[label].map(readable)
        if {f"{label}_5%", f"{label}_95%"} <= {*table}:
            there = table[f"{label}_5%"].notna()
            ends = zip(table[f"{label}_5%"].map(readable), table[f"{label}_95%"].map(readable), strict=True)
            shown[label] += [f"  [{low}, {high}]" * known for (low, high), known in zip(ends, there, strict=True)]
    if "rolled_on" in table:
        shown["rolled on"] = table["rolled_on"].map({True: "yes", False: ""})
    show_table(shown, f"{run}, beyond the end of the data{f'; {found.note}' if found.note else ''}")


def check_targets(csv: Path | None, plot: Path | None, option: str = "--plot") -> None:
    """Refuse a place that cannot be written before the work that it is to hold."""
    if plot is not None:
        from matplotlib.figure import Figure

        kinds = sorted(Figure().canvas.get_supported_filetypes())
        if plot.suffix[1:].lower() not in kinds:
            raise InputError(f"{option} {plot} has no image format: end it in one of .{', .'.join(kinds)}.")
    for path in (csv, plot):
        if path is not None and not path.resolve().parent.is_dir():
            raise InputError(f"{path.resolve().parent} is not a folder: create it first, or give another path.")


def show_table(frame: DataFrame, title: str, most: int = 60) -> None:
    """At most so many rows on standard output."""
    table = PlainTable(*(str(name) for name in frame), title=title)
    for row in frame.head(most).itertuples(index=False):
        table.add_row(*(readable(cell) if isinstance(cell, float) else str(cell) for cell in row))
    table.print(width_in_file=160)
    if len(frame) > most:
        print(f"{len(frame) - most:,} more rows: --csv FILE writes all.")
