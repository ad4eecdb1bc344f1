"""Texts that a trained model is asked about: on standard input, or in a file of the form of the run's own data."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from seqlab.data.files import bounded_lines, lines_of, parse_json
from seqlab.data.labelled import Examples
from seqlab.data.table import Table
from seqlab.data.targets import Kind
from seqlab.data.textrows import DELIMITERS, LINES
from seqlab.errors import InputError, shorten

_OPTIONS = (
    "text_column",
    "label_column",
    "encoding",
    "quoted",
    "delimiter",
    "header",
    "missing",
    "na",
    "label_separator",
)


_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".txt", ".xlsx")


def read_texts(path: str | Path, data: Mapping[str, Any]) -> list[str]:
    """The texts of a file in the form of a run's own data: its columns of texts, or else its lines.

    Args:
        path: a file (or, of labelled texts, a folder of classes); labels need not be in it.
        data: the run's ``data`` node; keys that earlier versions had not are the defaults.

    Raises:
        InputError: the file cannot be read, is not of that form, or holds no text.
    """
    path = Path(path)
    encoding = data.get("encoding", "utf-8")
    if "shared" in data:  # pairs
        return _sources(list(lines_of(path, encoding)), data, path)
    if not _is_plain(path) or ("text_column" in data and data.get("delimiter") is not None):
        return _table(path, data).rows.texts(path)
    return list(lines_of(path, encoding))


def path_of(word: str, command: str) -> Path | None:
    """The file that an argument names; None where it is a text.

    Args:
        word: an argument: a file that exists, or one word that ends as the name of a file does.
        command: what labels a text that is given on standard input.

    Raises:
        InputError: it ends as the name of a file does, and there is no such file.
    """
    path = Path(word)
    with suppress(OSError, ValueError):  # a text may be too long for a name, or hold a zero byte
        if path.is_file() or (path.is_dir() and "/" in word):
            return path
    if word.split() != [word] or not word.lower().removesuffix(".gz").endswith(_SUFFIXES):
        return None
    raise InputError(
        f"There is no file {shorten(word)}: check the path. To ask about the text itself, give it on standard input: "
        f"echo {shlex.quote(shorten(word))} | {command} -"
    )


def check_header(lines: Sequence[str], data: Mapping[str, Any], command: str) -> None:
    """Refuse lines of standard input whose first is the header of a table as the run's own data had.

    Raises:
        InputError: it is.
    """
    if not lines or "text_column" not in data or not data.get("header", True):
        return
    columns = data["text_column"]
    wanted = {str(column) for column in ([columns] if isinstance(columns, (str, int)) else columns)}
    for delimiter in (data.get("delimiter") or ",", ",", ";", "\t", "|"):
        cells = {cell.strip().strip('"') for cell in lines[0].split(delimiter)}
        if wanted <= cells and (len(cells) > 1 or len(lines) > 1):
            raise InputError(
                f"The first line of standard input, '{shorten(lines[0])}', is the header of a table, and each line is "
                f"read as a text: give the file itself, {command} FILE, or remove the header if each line is a text."
            )


def _sources(lines: Sequence[str], data: Mapping[str, Any], path: Path) -> list[str]:
    """Sentences to translate, a line each; of lines with tabs those of the run's own column."""
    if not lines or "\t" not in lines[0]:
        return list(lines)
    column = data.get("source_column", 1)
    rows = [line.split("\t") for line in lines]
    if isinstance(column, str):
        names = [name.strip() for name in rows.pop(0)]
        if column not in names:
            raise InputError(f"{shorten(path)} has no column '{shorten(column)}' in its first line.")
        place = names.index(column)
    else:
        place = column - 1
    for number, cells in enumerate(rows, 1 + isinstance(column, str)):
        if len(cells) <= place:
            raise InputError(f"{shorten(path)}, line {number}: there is no column {place + 1}.")
    return [cells[place] for cells in rows]


def read_examples(
    path: str | Path, data: Mapping[str, Any], labels: Sequence[str], kind: Kind = "classification"
) -> Examples:
    """The texts of such a file and their targets, for outputs that are called ``labels``.

    Raises:
        InputError: as ``read_texts``; a label is missing, or none of ``labels``.
    """
    table = _table(Path(path), data, kind)
    return table.encoded(table.rows.examples(Path(path), kind), labels, Path(path))


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


def _table(path: Path, data: Mapping[str, Any], kind: Kind | None = None) -> Table:
    kind = kind or ("classification" if data.get("label_separator") is None else "multilabel")
    return Table(path, **{key: data[key] for key in _OPTIONS if key in data}, kind=kind)
