"""What a model that labels texts answers: a class, a number or several labels; as records, rows of a table, files."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqlab.durable import write_text
from seqlab.engine.progress import readable
from seqlab.errors import InputError, shorten
from seqlab.terminal import PlainTable, json_text
from seqlab.types import DataSpec

FORMATS = (".csv", ".jsonl")
"""Files that answers are written to."""


def table(found: Sequence[Mapping[str, Any]], spec: DataSpec) -> PlainTable:
    """Answers for a terminal; those of a file with their row."""
    first = found[0] if found else {}
    numbered = ["row"] if "row" in first else []
    texts = ["text"] if "text" in first or not first else []
    kinds = [name for name in ("peaks", "labels", "values") if name in first]
    said = [spec.labels[0]] if "value" in first else kinds
    shown = PlainTable(*numbered, *(said or ["label", "probability"]), *texts)
    for one in found:
        text = one.get("text", "")
        text = text if len(text) <= 100 else text[:99] + "…"
        shown.add_row(*(str(one["row"]) for _ in numbered), *_cells(one), *(text for _ in texts))
    return shown


def _cells(one: Mapping[str, Any]) -> list[str]:
    if "value" in one:
        return [readable(one["value"])]
    if "values" in one:
        return [", ".join(f"{name} {readable(value)}" for name, value in one["values"].items())]
    if "peaks" in one:
        return [", ".join(map(str, one["peaks"])) or "none"]
    if "labels" in one and "probabilities" not in one:
        return [shorten(" ".join(one["labels"]), 120)]
    if "labels" in one:
        return [", ".join(f"{label} {one['probabilities'][label]:.3f}" for label in one["labels"]) or "none"]
    return [one["label"], f"{one['probabilities'][one['label']]:.3f}"]


def check_out(out: Path | None) -> None:
    """Refuse a file that cannot be written before the work that it is to hold.

    Raises:
        InputError: another kind of file; no such folder.
    """
    if out is None:
        return
    if out.suffix.lower() not in FORMATS:
        raise InputError(f"--out {shorten(out)}: the name must end in .csv or .jsonl.")
    if not out.resolve().parent.is_dir():
        raise InputError(f"--out {shorten(out)}: there is no folder {shorten(out.resolve().parent)}: make it first.")


def write(out: Path, found: Sequence[Mapping[str, Any]]) -> None:
    """Answers as JSON lines, or as a CSV with a column for each probability; whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    if out.suffix.lower() == ".jsonl":
        content = "".join(f"{json_text(one)}\n" for one in found)
    else:
        rows = [_flat(one) for one in found]
        file = io.StringIO(newline="")
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        content = file.getvalue()
    try:
        write_text(out, content)
    except OSError as error:
        raise InputError(f"--out {shorten(out)} cannot be written: {error.strerror}.") from error


def _flat(one: Mapping[str, Any]) -> dict[str, Any]:
    row = {key: value for key, value in one.items() if key not in ("probabilities", "values")}
    for key in ("labels", "peaks"):
        if key in row:
            row[key] = ";".join(map(str, row[key]))
    shares = one.get("probabilities", {})
    if isinstance(shares, Mapping):  # of labels; of signals one a step, which JSON has room for
        row |= {f"probability of {label}": share for label, share in shares.items()}
    return row | one.get("values", {})
