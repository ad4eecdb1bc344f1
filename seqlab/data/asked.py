"""Texts that a trained model is asked about: on standard input, or in a file of the form of the run's own data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from seqlab.data.files import bounded_lines, lines_of, parse_json
from seqlab.data.table import Table
from seqlab.data.textrows import DELIMITERS, LINES, Rows
from seqlab.errors import InputError

_OPTIONS = ("text_column", "label_column", "encoding", "quoted", "delimiter", "header", "missing", "na")


def read_texts(path: str | Path, data: Mapping[str, Any]) -> list[str]:
    """The texts of a file in the form of a run's own data: its columns of texts, or else its lines.

    Args:
        path: a file (or, of labelled texts, a folder of classes); labels need not be in it.
        data: the run's ``data`` node; keys that earlier versions had not are the defaults.

    Raises:
        InputError: the file cannot be read, is not of that form, or holds no text.
    """
    path = Path(path)
    if "text_column" in data and (data.get("delimiter") is not None or not _is_plain(path)):
        return _table(path, data).rows.texts(path)
    return list(lines_of(path, data.get("encoding", "utf-8")))


def read_examples(path: str | Path, data: Mapping[str, Any]) -> Rows:
    """The texts of such a file and their labels.

    Raises:
        InputError: as ``read_texts``; the run's data are not labelled texts; a label is missing.
    """
    if "text_column" not in data:
        raise InputError(f"{path}: data={data.get('name')} has no column of labels to read.")
    return _table(Path(path), data).rows.examples(Path(path))


def read_stdin_lines(
    stream: TextIO, *, null: bool = False, jsonl: bool = False, text_column: str = "text"
) -> list[str]:
    r"""Texts on standard input, a line each, without line ends (``\n``, ``\r\n``) and without a byte-order mark.

    Args:
        stream: standard input.
        null: texts end with a zero byte instead, so that they may hold line breaks.
        jsonl: each line is a JSON string, or an object whose ``text_column`` is the text.
        text_column: the key of the text.

    Raises:
        InputError: both ways at once, a text too long, or a line that is not JSON.
    """
    if null and jsonl:
        raise InputError("--null and --jsonl are two ways to separate texts: give one of them.")
    if null:
        texts = _without_mark(stream.read()).split("\0")
        return texts if texts[-1].strip("\n") else texts[:-1]
    lines = [
        line.removesuffix("\n").removesuffix("\r") for line in bounded_lines(stream, "standard input", escaped=True)
    ]
    if lines:
        lines[0] = _without_mark(lines[0])
    if not jsonl:
        return lines
    return [
        _text_of(line, f"standard input, line {number}", text_column)
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]


def _text_of(line: str, where: str, text_column: str) -> str:
    found = parse_json(line, where)
    if isinstance(found, dict):
        found = found.get(text_column)
    if not isinstance(found, str):
        raise InputError(f'{where}: write a JSON string, or an object with a string, {{"{text_column}": "..."}}.')
    return found


def _without_mark(text: str) -> str:
    """Of a stream in UTF-8 a mark is one character; where bytes are not decoded, it is three."""
    return text.removeprefix("\ufeff").removeprefix("\udcef\udcbb\udcbf")


def _is_plain(path: Path) -> bool:
    """Whether a file of labelled texts is asked about as lines: a name that promises no columns."""
    name = path.name.lower().removesuffix(".gz")
    return not path.is_dir() and not name.endswith((*DELIMITERS, *LINES, ".json", ".xlsx"))


def _table(path: Path, data: Mapping[str, Any]) -> Table:
    return Table(path, **{key: data[key] for key in _OPTIONS if key in data})
