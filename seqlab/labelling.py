"""What a model that labels texts answers: a class, a number or several labels; as records, rows of a table, files."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from seqlab.durable import write_text
from seqlab.engine.progress import readable
from seqlab.errors import InputError, shorten
from seqlab.terminal import PlainTable, json_text
from seqlab.types import DataSpec

FORMATS = (".csv", ".jsonl")
"""Files that answers are written to."""
LIKELY = 0.5
"""Probability above which one of several labels is given."""


def answers(spec: DataSpec, logits: Tensor) -> list[dict[str, Any]]:
    """For each row of logits ``(B, K)`` what it says: ``label`` and ``probabilities``, ``labels`` and
    ``probabilities``, or ``value`` in the units of the data."""
    if spec.task == "regression":
        values = logits.double()[:, 0] * spec.deviation + spec.mean
        return [{"value": value} for value in values.tolist()]
    shares = logits.float().sigmoid() if spec.task == "multilabel" else logits.float().softmax(-1)
    found: list[dict[str, Any]] = []
    for row in shares.tolist():
        probabilities = dict(zip(spec.labels, row, strict=True))
        if spec.task == "multilabel":
            said = [label for label, share in probabilities.items() if share > LIKELY]
            found.append({"labels": said, "probabilities": probabilities})
        else:
            found.append({"label": max(probabilities, key=probabilities.__getitem__), "probabilities": probabilities})
    return found


def table(found: Sequence[Mapping[str, Any]], spec: DataSpec) -> PlainTable:
    """Answers for a terminal; those of a file with their row."""
    numbered = ["row"] if found and "row" in found[0] else []
    said = {"regression": [spec.labels[0]], "multilabel": ["labels"]}.get(spec.task, ["label", "probability"])
    shown = PlainTable(*numbered, *said, "text")
    for one in found:
        text = one["text"] if len(one["text"]) <= 100 else one["text"][:99] + "…"
        shown.add_row(*(str(one["row"]) for _ in numbered), *_cells(one), text)
    return shown


def _cells(one: Mapping[str, Any]) -> list[str]:
    if "value" in one:
        return [readable(one["value"])]
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
    row = {key: value for key, value in one.items() if key != "probabilities"}
    if "labels" in row:
        row["labels"] = ";".join(row["labels"])
    return row | {f"probability of {label}": share for label, share in one.get("probabilities", {}).items()}
