"""Tables of runs, for ``seqlab runs`` and for sweeps, with the settings in which runs differ. Does not import torch."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.table import Column

from seqlab.engine.progress import readable
from seqlab.errors import InputError, shorten
from seqlab.run_folders import Row, read_row
from seqlab.schema import did_you_mean
from seqlab.terminal import PlainTable

FIRST = (
    "optim.lr",
    "model.hidden_size",
    "model.num_layers",
    "model.embedding.dim",
    "data.embedding_dim",
    "data.batch_size",
    "seed",
)
"""Settings to list first: learning rate, sizes, seed."""
ASIDE = ("run_dir", "runs", "resume", "test", "floor", "runtime.threads", "trainer.device")
"""Settings that do not distinguish runs: where they are stored, and how they are measured."""
NAMES = ("data.name", "model.name")
SORTS = ("time", "val", "test", "seconds", "params", "run")
MOST_SETTINGS = 8
"""Columns of settings in a table; runs that differ in more are of different kinds."""


# Settings that differ -----------------------------------------------------------------------------------------------


def ordered(keys: Iterable[str]) -> list[str]:
    """Learning rate, sizes and seed first; the rest by name."""
    return sorted(keys, key=lambda key: (FIRST.index(key) if key in FIRST else len(FIRST), key))


def compared(rows: Sequence[Row]) -> list[str]:
    """What distinguishes ``rows``: data and model, and settings that differ within the same data and model."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(_text(row.settings.get(name)) for name in NAMES), []).append(row)
    names = [name for place, name in enumerate(NAMES) if len({found[place] for found in groups}) > 1]
    return names + ordered({key for group in groups.values() for key in _differing(group)})[:MOST_SETTINGS]


def _differing(rows: Sequence[Row]) -> list[str]:
    """The settings in which ``rows`` differ; of copies such as ``data.lr`` and ``optim.lr`` one is listed."""
    known = [row for row in rows if row.settings.keys() - set(NAMES)]
    keys = {key for row in known for key in row.settings} - set(ASIDE)
    columns = {key: [_text(row.settings.get(key)) for row in known] for key in keys}
    varied = {key: values for key, values in columns.items() if len(set(values)) > 1}
    kept: list[str] = []
    for key in sorted(varied, key=lambda key: (key.startswith("data."), key not in FIRST, key)):
        last = key.rpartition(".")[2]
        if not any(varied[other] == varied[key] and (other.rpartition(".")[2] == last) for other in kept):
            kept.append(key)
    return kept


def _header(key: str) -> str:
    return key.removesuffix(".name") if key in NAMES else key


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
    """The runs in the given order, with their results and the settings that distinguish them."""
    monitors = {row.monitor for row in rows}
    one = f" {monitors.pop()}" if len(monitors) == 1 else ""
    keys = compared(rows)
    stated = any(row.state != "finished" for row in rows)
    found = PlainTable(
        Column("run", overflow="fold"), *(["state"] if stated else []), *([] if one else ["metric"]),
        f"val{one}", f"test{one}", "floor", *map(_header, keys),
        "seconds", "params", title=title,
    )  # fmt: skip
    for row in rows:
        found.add_row(
            str(row.path),
            *([row.state] if stated else []),
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
    keys = compared(rows)
    others = [key for key in keys if key != "seed"]
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(_text(row.settings.get(key)) for key in others), []).append(row)
    if "seed" not in keys or max(map(len, groups.values())) < 2:
        return None
    monitor, split = rows[0].monitor, deciding(rows)
    splits = [name for name in ("val", "test") if any(row.value(name) is not None for row in rows)]
    found = PlainTable(
        *map(_header, others), "seeds", *(f"{name} {monitor}" for name in splits), title="mean ± sample deviation"
    )

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
    middle = readable(statistics.fmean(values))
    if len(values) == 1:
        return middle
    deviation = statistics.stdev(values)
    return f"{middle} ± {deviation:.4f}" if re.search(r"\.\d{4}$", middle) else f"{middle} ± {readable(deviation)}"


def _number(value: float | None) -> str:
    return "" if value is None else readable(value)


def show_sweep(folders: Sequence[Path]) -> None:
    """Print the result of a sweep: its runs from best to worst, and the spread over seeds."""
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
    title = f"{len(rows)} run{'s' * (len(rows) > 1)}, {best} {split} {rows[0].monitor} first"
    table(sort(rows, split), title).print(width_in_file=200)
    if (over_seeds := spread(rows)) is not None:
        over_seeds.print(width_in_file=200)
