"""Texts and labels row by row, from CSV, TSV, JSON lines, JSON, Excel or a folder of classes."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from seqlab.data.blank import without_blank_end
from seqlab.data.classfolder import class_rows
from seqlab.data.dialect import detect, is_spaced
from seqlab.data.files import (
    bounded_lines,
    csv_rows,
    open_text,
    parse_json,
    readable,
    sample_of,
    suffix_of,
)
from seqlab.data.sheet import sheet_rows
from seqlab.data.targets import Kind, mark_of, parsed
from seqlab.data.textcolumns import Column, field, named, numbered
from seqlab.errors import InputError, shorten

log = logging.getLogger(__name__)

DELIMITERS = {".csv": ",", ".tsv": "\t"}
LINES = (".jsonl", ".ndjson")
FORMATS = (*DELIMITERS, *LINES, ".json", ".xlsx")

Rows = tuple[list[str], list[str]]
"""Texts and labels."""


@dataclass(frozen=True)
class TextRows:
    """How texts and labels are read out of a file, whatever its format.

    Attributes:
        text_columns: columns that are joined by a space; in JSON also paths such as ``review.text``.
        label_column: the column of labels.
        encoding: of text files.
        quoted: whether quotation marks enclose cells.
        delimiter: what separates cells; None detects it.
        header: whether the first row holds names; without it, columns are numbers from 1 on.
        missing: rows without a label or text are refused (``refuse``) or left out (``drop``); rows of a set of labels
            may be without any (``keep``). But for ``drop`` a text may be empty, as long as not all are.
        na: labels that stand for no label.
        label_separator: what separates several labels of a text; in JSON they may be a list, too.
    """

    text_columns: tuple[Column, ...]
    label_column: Column
    encoding: str = "utf-8"
    quoted: bool = True
    delimiter: str | None = None
    header: bool = True
    missing: Literal["refuse", "drop", "keep"] = "refuse"
    na: tuple[str, ...] = ()
    label_separator: str | None = None

    def examples(self, path: Path, kind: Kind = "classification") -> Rows:
        """All texts with their labels, in the file's order.

        Raises:
            InputError: the file cannot be read; a column that is not there or twice; a broken row; a label that is
                empty, or not of that ``kind``; no text at all.
        """
        texts: list[str] = []
        labels: list[str] = []
        dropped, mark = 0, None
        for place, text, label in self._rows(path, True):
            if label in self.na or (kind == "multilabel" and not parsed(kind, label, self.label_separator)):
                label = ""
            if self.missing == "drop" and not (label and text.strip()):
                dropped += 1
                continue
            if not label and self.missing == "refuse":
                keep = ", or read them as rows that no label applies to with data.missing=keep" * (kind == "multilabel")
                raise InputError(
                    f"{shorten(path)}, {place}: the label (column '{self.label_column}') is empty: fill it in, delete "
                    f"the row, or leave such rows out with data.missing=drop{keep}."
                )
            try:
                parsed(kind, label, self.label_separator)
                mark = mark_of(kind, label, mark)
            except ValueError as error:
                where = f"{shorten(path)}, {place}: the label (column '{self.label_column}')"
                raise InputError(f"{where} '{shorten(label)}' {error}.") from error
            texts.append(text)
            labels.append(label)
        if dropped:
            log.info("%s: %s rows without a label or text are left out", shorten(path), f"{dropped:,}")
        if not texts:
            raise InputError(f"{shorten(path)} holds no examples.")
        if not any(text.strip() for text in texts):
            raise InputError(
                f"every text of {shorten(path)} (column '{self._text_name}') is empty: is it another column?"
            )
        return texts, labels

    def texts(self, path: Path) -> list[str]:
        """All texts, in the file's order; labels need not be there.

        Raises:
            InputError: as ``examples``, but for labels.
        """
        found = [text for _, text, _ in self._rows(path, False)]
        if not found:
            raise InputError(f"{shorten(path)} holds no texts.")
        return found

    @property
    def _text_name(self) -> str:
        return ", ".join(str(column) for column in self.text_columns)

    def _rows(self, path: Path, labelled: bool) -> Iterator[tuple[str, str, str]]:
        """Place, text and label (``""`` where none is asked for); blank rows are passed over."""
        if path.is_dir():
            yield from class_rows(path, self.encoding)
            return
        suffix = suffix_of(path)
        if suffix in LINES:
            rows = self._lines(path, labelled)
        elif suffix == ".json":
            rows = self._objects(path, labelled)
        elif suffix == ".xlsx":
            rows = self._cells(path, ((f"row {number}", row) for number, row in sheet_rows(path)), labelled)
        elif suffix in DELIMITERS or self.delimiter is not None:
            rows = self._cells(path, self._separated(path), labelled)
        else:
            raise InputError(
                f"cannot tell the format of {shorten(path)} by its name: it must end in {', '.join(FORMATS[:-1])} or "
                ".xlsx (text files also with .gz), or set data.delimiter."
            )
        yield from rows

    def _separated(self, path: Path) -> Iterator[tuple[str, list[str]]]:
        """Rows of cells of a CSV, each with its place."""
        dialect = detect(
            sample_of(path, self.encoding),
            usual=DELIMITERS.get(suffix_of(path), ","),
            delimiter=self.delimiter,
            decimal=".",
            header=self.header,
            quoted=self.quoted,
        )
        if sentence := dialect.said(path):
            log.info(sentence)
        with readable(path, self.encoding), open_text(path, self.encoding) as file:
            rows = (row for row in csv_rows(file, path, dialect, quoted=self.quoted) if row[1])
            first = next(rows, None)
            width = 0 if first is None else len(first[1])
            rest = (
                rows if width == 1 else without_blank_end(rows, lambda row: not any(map(str.strip, row)), [""] * width)
            )
            for number, row in chain([] if first is None else [first], rest):
                if len(row) != width:
                    raise InputError(
                        f"{shorten(path)}: line {number} and the first line have {len(row)} and {width} cells: enclose "
                        "cells that hold the delimiter in quotation marks, or set data.delimiter."
                    )
                if self.quoted and any(is_spaced(cell) and cell.rstrip()[-1] == '"' for cell in row):
                    raise InputError(
                        f"{shorten(path)}, line {number}: a quotation mark stands behind a space: remove the space, or "
                        "set data.quoted=false where quotation marks are plain characters."
                    )
                yield f"line {number}", row

    def _cells(
        self, path: Path, rows: Iterator[tuple[str, list[str]]], labelled: bool
    ) -> Iterator[tuple[str, str, str]]:
        names = [name.strip().removeprefix("\ufeff") for name in next(rows, ("", []))[1]] if self.header else None
        found: tuple[list[int], int] | None = None if names is None else self._places(path, names, labelled)
        for place, row in rows:
            if found is None:
                found = self._places(path, row, labelled)
            texts, label = found
            yield place, _joined([row[at] for at in texts]), row[label].strip() if labelled else ""

    def _places(self, path: Path, first: Sequence[str], labelled: bool) -> tuple[list[int], int]:
        """Where in a row the texts and the label stand."""
        columns = [*self.text_columns, self.label_column] if labelled else list(self.text_columns)
        find = named if self.header else numbered
        found = [find(path, column, first) for column in columns]
        return (found[:-1], found[-1]) if labelled else (found, -1)

    def _lines(self, path: Path, labelled: bool) -> Iterator[tuple[str, str, str]]:
        with readable(path, self.encoding), open_text(path, self.encoding) as file:
            for number, line in enumerate(bounded_lines(file, path), 1):
                line = line.removeprefix("\ufeff") if number == 1 else line
                if line.strip():
                    row = parse_json(line, f"{shorten(path)}, line {number}")
                    yield self._of_object(path, row, f"line {number}", labelled)

    def _objects(self, path: Path, labelled: bool) -> Iterator[tuple[str, str, str]]:
        """Of a list of objects; the whole file is held."""
        with readable(path, self.encoding), open_text(path, self.encoding) as file:
            text = "".join(bounded_lines(file, path)).removeprefix("\ufeff")
        rows = parse_json(text, shorten(path))
        if not isinstance(rows, list):
            raise InputError(
                f'{shorten(path)} must hold a list of objects, [{{"text": ..., "label": ...}}, ...]: '
                "name a file with an object a line .jsonl."
            )
        for number, row in enumerate(rows, 1):
            yield self._of_object(path, row, f"object {number}", labelled)

    def _of_object(self, path: Path, row: Any, place: str, labelled: bool) -> tuple[str, str, str]:
        where = f"{shorten(path)}, {place}"
        if not isinstance(row, dict):
            raise InputError(f'{where} is not a JSON object: write {{"text": ..., "label": ...}}.')
        texts = []
        for column in self.text_columns:
            text = field(path, row, str(column), place)
            if text is None and self.missing == "drop":
                text = ""
            if not isinstance(text, str):
                raise InputError(f"{where}: '{column}' must be a string, not {_brief(text)}.")
            texts.append(text)
        if not labelled:
            return place, _joined(texts), ""
        label = field(path, row, str(self.label_column), place)
        if isinstance(label, list) and self.label_separator and all(isinstance(each, str) for each in label):
            label = self.label_separator.join(label)
        if isinstance(label, (dict, list)):
            raise InputError(f"{where}: '{self.label_column}' must be a label, not {_brief(label)}.")
        said = label.strip() if isinstance(label, str) else "" if label is None else json.dumps(label)
        return place, _joined(texts), said


def _joined(texts: Sequence[str]) -> str:
    """One text as it is; of several, those that are not empty, with a space between them."""
    return texts[0] if len(texts) == 1 else " ".join(text for text in texts if text.strip())


def _brief(value: Any) -> str:
    return shorten(json.dumps(value), 40)
