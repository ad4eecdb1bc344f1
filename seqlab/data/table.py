"""A user's labelled texts: a file with a column of texts and a column of labels, or a folder of classes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Literal

from seqlab.data import targets
from seqlab.data.classfolder import class_digest
from seqlab.data.dialect import checked_delimiter
from seqlab.data.files import check_encoding, file_digest, suffix_of
from seqlab.data.labelled import Examples, LabelledText, RawText
from seqlab.data.splitting import by_hash
from seqlab.data.textrows import Rows, TextRows
from seqlab.errors import InputError, shorten


class Table:
    """Texts and labels, by the file's suffix: ``.csv``, ``.tsv``, ``.jsonl``, ``.json`` (each also with ``.gz``),
    ``.xlsx``; or a folder that holds ``CLASS/*.txt`` or ``CLASS.txt``.

    Labels are strings whatever they look like, sorted (as numbers where all are whole numbers) to give the class ids.
    Without ``test_path`` a test part is held out of ``path``, stratified by label. It is chosen by the texts alone, so
    it is the same for every seed and every order of the rows, and equal texts stay on one side.

    Args:
        path: the examples to learn from.
        text_column: name in the header, or a list of names, whose texts are joined by a space; of JSON a key, or a
            path of keys such as ``review.text``; with ``header=False`` a number, from 1 on.
        label_column: likewise, one.
        test_path: the test part, of the same columns; None holds ``test_fraction`` of ``path`` out.
        val_path: the validation part; None leaves it to be held out of train.
        test_fraction: between 0 and 1; unused with ``test_path``.
        encoding: of all files.
        quoted: whether quotation marks enclose fields; false where they are plain characters, as in some TSV files.
        delimiter: what separates the cells of a CSV, one character, or comma, semicolon, tab
            or pipe; None detects it.
        header: whether the first row of a CSV or of a sheet holds names.
        missing: what to do with rows without a label or text: ``refuse`` them (an empty text is accepted), or ``drop``
            them.
        na: labels that stand for a missing one, such as ``?``.
        label_separator: what separates several labels of one text; None where each has one.
        kind: what labels are read for: classes, numbers or sets.

    Raises:
        InputError: an option that cannot be.
    """

    dataset = LabelledText

    def __init__(
        self,
        path: str | Path,
        text_column: str | int | Sequence[str | int] = "text",
        label_column: str | int = "label",
        test_path: str | Path | None = None,
        val_path: str | Path | None = None,
        test_fraction: float = 0.1,
        encoding: str = "utf-8",
        quoted: bool = True,
        delimiter: str | None = None,
        header: bool = True,
        missing: Literal["refuse", "drop", "keep"] = "refuse",
        na: Sequence[str | int | float] = (),
        label_separator: str | None = None,
        kind: targets.Kind = "classification",
    ) -> None:
        if kind not in targets.KINDS:
            raise InputError(f"labelled texts are for task={', '.join(targets.KINDS)}, not task={shorten(kind)}.")
        separator = targets.checked_separator(kind, label_separator)
        if missing == "keep" and kind != "multilabel":
            raise InputError(
                f"data.missing=keep reads a row without a label as one that none applies to, and task={kind} needs a "
                "label: set task=multilabel, or data.missing=drop to leave such rows out."
            )
        if not 0 < test_fraction < 1:
            raise InputError(f"test_fraction must lie between 0 and 1, not {test_fraction}.")
        check_encoding(encoding)
        columns = (text_column,) if isinstance(text_column, (str, int)) else tuple(text_column)
        if not columns:
            raise InputError("data.text_column is empty: name the column of texts.")
        if label_column in columns:
            raise InputError(f"data.text_column and data.label_column are both '{shorten(label_column)}': name two.")
        if not header and isinstance(label_column, str):
            raise InputError(
                f"data.header=false: columns are named by their numbers, from 1 on, not '{shorten(label_column)}': set "
                "data.text_column=1 data.label_column=2."
            )
        self.path = Path(path)
        self.test_path = None if test_path is None else Path(test_path)
        self.val_path = None if val_path is None else Path(val_path)
        self.test_fraction, self.label_column, self.kind = test_fraction, label_column, kind
        self.rows = TextRows(
            columns,
            label_column,
            encoding,
            quoted,
            None if delimiter is None else checked_delimiter(delimiter),
            header,
            missing,
            tuple(str(mark) for mark in na),
            separator,
        )
        self.name = self.path.name.split(".")[0]

    def digest(self) -> str:
        """Of the files' bytes and of all options."""
        found = hashlib.sha256(json.dumps([self.test_fraction, self.kind, astuple(self.rows)]).encode())
        for path in (self.path, self.val_path, self.test_path):
            if path is None:
                found.update(b"\0none")
            elif path.is_dir():
                found.update(b"\0folder" + class_digest(path))
            else:
                found.update(b"\0file" + suffix_of(path).encode() + file_digest(path))
        return found.hexdigest()

    def read(self) -> RawText:
        """All parts, in the files' order.

        Raises:
            InputError: no such file; an unknown suffix; bytes that are not of ``encoding``; a broken line; a column
                that is not there, or twice; an empty label; a test or validation label that no training text has;
                texts that are all the same, so that none can be held out.
        """
        train = self.rows.examples(self.path, self.kind)
        val = None if self.val_path is None else self._like(train, self.val_path)
        if self.test_path is not None:
            test = self._like(train, self.test_path)
        else:
            train, test = self._hold_out(*train)
        names = targets.names(self.kind, train[1], self.rows.label_separator, self.label_column)
        return RawText(
            labels=names,
            train=self.encoded(train, names, self.path),
            test=self.encoded(test, names, self.test_path or self.path),
            val=None if val is None or self.val_path is None else self.encoded(val, names, self.val_path),
            kind=self.kind,
        )

    def encoded(self, rows: Rows, names: Sequence[str], path: Path) -> Examples:
        """Texts, and their labels as targets of outputs that are called ``names``.

        Raises:
            InputError: a label that is none of them.
        """
        texts, labels = rows
        return texts, targets.encoded(self.kind, labels, names, self.rows.label_separator, path)

    def _like(self, train: Rows, path: Path) -> Rows:
        """The rows of another part, whose numbers have the same mark as those to learn from."""
        found = self.rows.examples(path, self.kind)
        try:
            targets.mark_of(self.kind, found[1][0], targets.mark_of(self.kind, train[1][0], None))
        except ValueError as error:
            raise InputError(
                f"{shorten(path)}: the label (column '{self.label_column}') '{shorten(found[1][0])}' {error} (see "
                f"{shorten(self.path)})."
            ) from error
        return found

    def _hold_out(self, texts: list[str], labels: list[str]) -> tuple[Rows, Rows]:
        """``(kept, held)``."""
        held = by_hash(texts, targets.strata(self.kind, labels), self.test_fraction)
        if not any(held):
            raise InputError(
                f"{shorten(self.path)} has too few different texts to hold some out for the test: add more, or set "
                "data.test_path."
            )
        kept_rows, held_rows = (
            (
                [text for text, is_held in zip(texts, held, strict=True) if is_held is wanted],
                [label for label, is_held in zip(labels, held, strict=True) if is_held is wanted],
            )
            for wanted in (False, True)
        )
        return kept_rows, held_rows
