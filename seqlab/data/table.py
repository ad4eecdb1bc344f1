"""Anyone's labelled texts: a CSV, TSV or JSON-lines file with a column of texts and a column of labels."""

from __future__ import annotations

import csv
import difflib
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from seqlab.data.files import file_digest
from seqlab.data.labelled import Examples, RawText
from seqlab.types import InputError

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_LINES = (".jsonl", ".ndjson")
_LONGEST = 1 << 24  # characters in a field; the csv module's own limit of 131,072 is below some documents

Rows = tuple[list[str], list[str]]
"""Texts and labels."""


class Table:
    """Texts and labels of any names, by the file's suffix: ``.csv``, ``.tsv``, ``.jsonl``, each also with ``.gz``.

    Labels are strings whatever they look like, sorted (as numbers where all are whole numbers) to give the class ids.
    Without ``test_path`` a test part is held out of ``path``, stratified by label. It is chosen by the texts alone, so
    it is the same for every seed and every order of the rows, and equal texts stay on one side.

    Args:
        path: the examples to learn from.
        text_column: name in the header (``.jsonl``: key of each object).
        label_column: likewise.
        test_path: the test part, of the same columns; None holds ``test_fraction`` of ``path`` out.
        val_path: the validation part; None leaves it to be held out of train.
        test_fraction: between 0 and 1; unused with ``test_path``.
        encoding: of all files.
        quoted: whether quotation marks enclose fields; false where they are plain characters, as in some TSV files.
    """

    def __init__(
        self,
        path: str | Path,
        text_column: str = "text",
        label_column: str = "label",
        test_path: str | Path | None = None,
        val_path: str | Path | None = None,
        test_fraction: float = 0.1,
        encoding: str = "utf-8",
        quoted: bool = True,
    ) -> None:
        if not 0 < test_fraction < 1:
            raise InputError(f"test_fraction must lie between 0 and 1, not {test_fraction}.")
        try:
            "".encode(encoding)  # some codecs are of bytes alone
        except LookupError as error:
            raise InputError(f"there is no encoding '{encoding}': try utf-8, latin-1 or cp1252.") from error
        self.path = Path(path)
        self.text_column, self.label_column = text_column, label_column
        self.test_path = None if test_path is None else Path(test_path)
        self.val_path = None if val_path is None else Path(val_path)
        self.test_fraction, self.encoding, self.quoted = test_fraction, encoding, quoted
        self.name = self.path.name.split(".")[0]

    def digest(self) -> str:
        """Of the files' bytes and of all options."""
        options = [self.text_column, self.label_column, self.test_fraction, self.encoding, self.quoted]
        found = hashlib.sha256(json.dumps(options).encode())
        for path in (self.path, self.val_path, self.test_path):
            found.update(b"\0none" if path is None else b"\0file" + _suffix(path).encode() + file_digest(path))
        return found.hexdigest()

    def read(self) -> RawText:
        """All parts, in the files' order.

        Raises:
            InputError: no such file; an unknown suffix; bytes that are not of ``encoding``; a broken line; a column
                that is not there; an empty label; a test or validation label that no training text has; texts that
                are all the same, so that none can be held out.
        """
        train = self._rows(self.path)
        val = None if self.val_path is None else self._rows(self.val_path)
        if self.test_path is not None:
            test = self._rows(self.test_path)
        else:
            train, test = self._hold_out(*train)
        labels = _sorted_labels(train[1])
        ids = {label: number for number, label in enumerate(labels)}
        return RawText(
            labels=labels,
            train=_numbered(train, ids, self.path),
            test=_numbered(test, ids, self.test_path or self.path),
            val=None if val is None or self.val_path is None else _numbered(val, ids, self.val_path),
        )

    def _hold_out(self, texts: list[str], labels: list[str]) -> tuple[Rows, Rows]:
        """``(kept, held)``: of each label, the texts whose hashes come first."""
        hashes = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
        of_label: dict[str, list[bytes]] = {}
        for text_hash, label in zip(hashes, labels, strict=True):
            of_label.setdefault(label, []).append(text_hash)
        chosen: set[bytes] = set()
        for found in of_label.values():
            found.sort()
            last = found[max(1, round(len(found) * self.test_fraction)) - 1]
            # The largest hash stays in any case: a label of one text is trained on, not tested.
            chosen.update(text_hash for text_hash in found if text_hash <= last and text_hash != found[-1])
        held = [text_hash in chosen for text_hash in hashes]
        if not any(held):
            raise InputError(
                f"{self.path} has too few different texts to hold some out for the test: add more, or set test_path."
            )
        kept_rows, held_rows = (
            (
                [text for text, is_held in zip(texts, held, strict=True) if is_held is wanted],
                [label for label, is_held in zip(labels, held, strict=True) if is_held is wanted],
            )
            for wanted in (False, True)
        )
        return kept_rows, held_rows

    def _rows(self, path: Path) -> Rows:
        suffix = _suffix(path)
        if suffix not in _DELIMITERS and suffix not in _LINES:
            raise InputError(
                f"cannot tell the format of {path} by its name: it must end in .csv, .tsv or .jsonl (or that and .gz)."
            )
        texts: list[str] = []
        labels: list[str] = []
        try:
            with _open(path, self.encoding) as file:
                for number, text, label in self._lines(file, path) if suffix in _LINES else self._cells(file, path):
                    if not label:
                        raise InputError(
                            f"{path}, line {number}: the label (column '{self.label_column}') is empty: fill it in or "
                            "delete the row."
                        )
                    texts.append(text)
                    labels.append(label)
        except OSError as error:
            raise InputError(f"cannot read {path} ({error.strerror or error}).") from error
        except (EOFError, zlib.error) as error:
            raise InputError(f"{path} is damaged or incomplete ({error}): get it again.") from error
        except UnicodeError as error:
            raise InputError(
                f"{path} is not {self.encoding} text ({error}): set encoding to what it was written in, for example "
                "latin-1 or cp1252."
            ) from error
        if not texts:
            raise InputError(f"{path} holds no examples.")
        if not any(text.strip() for text in texts):
            raise InputError(f"every text of {path} (column '{self.text_column}') is empty: is it another column?")
        return texts, labels

    def _cells(self, file: IO[str], path: Path) -> Iterator[tuple[int, str, str]]:
        """Line number, text and label, row by row of a CSV or TSV file; blank lines are passed over."""
        usual = csv.field_size_limit(_LONGEST)
        try:
            reader = csv.reader(
                file,
                delimiter=_DELIMITERS[_suffix(path)],
                quoting=csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
                strict=True,
            )
            header = [name.strip() for name in next(reader, [])]
            text_at, label_at = (
                self._column(name, header, path, "the first line has") for name in (self.text_column, self.label_column)
            )
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    raise InputError(
                        f"{path}, line {reader.line_num}: {len(row)} fields where the first line has {len(header)}: "
                        "enclose fields that hold the delimiter in quotation marks."
                    )
                yield reader.line_num, row[text_at], row[label_at].strip()
        except csv.Error as error:
            raise InputError(
                f"{path}, line {reader.line_num}: {error}: mend the quotation marks, or set quoted=false where they "
                "are plain characters."
            ) from error
        finally:
            csv.field_size_limit(usual)

    def _lines(self, file: IO[str], path: Path) -> Iterator[tuple[int, str, str]]:
        """Line number, text and label, object by object of a JSON-lines file; blank lines are passed over."""
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InputError(
                    f"{path}, line {number} is not JSON ({error}): each line must hold one object."
                ) from error
            if not isinstance(row, dict):
                raise InputError(f'{path}, line {number} is not a JSON object: write {{"text": ..., "label": ...}}.')
            text, label = (
                row[self._column(name, row, path, f"line {number} has")]
                for name in (self.text_column, self.label_column)
            )
            if not isinstance(text, str):
                raise InputError(f"{path}, line {number}: '{self.text_column}' must be a string, not {_brief(text)}.")
            if isinstance(label, (dict, list)):
                raise InputError(f"{path}, line {number}: '{self.label_column}' must be a label, not {_brief(label)}.")
            yield number, text, label.strip() if isinstance(label, str) else "" if label is None else json.dumps(label)

    def _column(self, name: str, columns: Any, path: Path, where: str) -> Any:
        """The key of a column: its position in a list, its name in a dict."""
        known = [str(column) for column in columns]
        if name in known:
            return known.index(name) if isinstance(columns, list) else name
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else "set text_column and label_column."
        listed = ", ".join(f"'{column}'" for column in known) or "none"
        raise InputError(f"{path} has no column '{name}' ({where} {listed}): {hint}")


def _suffix(path: Path) -> str:
    path = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return path.suffix.lower()


def _open(path: Path, encoding: str) -> IO[str]:
    # A byte-order mark, as spreadsheets write it, is no part of the first column's name.
    encoding = "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding=encoding, newline="")
    return open(path, encoding=encoding, newline="")


def _sorted_labels(labels: list[str]) -> tuple[str, ...]:
    distinct = sorted(set(labels))
    if all(label.removeprefix("-").isdecimal() for label in distinct):
        distinct.sort(key=int)
    return tuple(distinct)


def _numbered(rows: Rows, ids: dict[str, int], path: Path) -> Examples:
    texts, labels = rows
    unknown = sorted(set(labels) - set(ids))
    if unknown:
        raise InputError(f"{path} has the label '{unknown[0]}', which no training text has.")
    return texts, [ids[label] for label in labels]


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:40] + "..."
