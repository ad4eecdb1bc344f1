"""Anyone's translations: one file with two columns set apart by a tab, or two files whose lines belong together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from seqlab.data.blank import without_blank_end
from seqlab.data.files import check_columns, check_encoding, file_digest, lines_of, read_lines
from seqlab.data.parallel import ParallelText, RawPairs, Sentences
from seqlab.errors import InputError, shorten

Part = tuple[Path, Path | None]
"""A file of two columns, or a file of sources and one of targets."""


class PairsFile:
    """Sentences and their translations, a pair a line, plain or ``.gz``.

    Nothing is quoted, and blanks around a sentence do not count. Every part is either one file of columns or, with its
    ``*target_path``, two files. Without ``test_path`` a test part is held out of ``path``: chosen by the sources alone,
    so it is the same for every seed and every order of the lines, and equal sources stay on one side.

    Args:
        path: the pairs to learn from; with ``target_path`` their sources alone.
        target_path: the targets, line by line.
        val_path: the validation part; None leaves it to be held out of train.
        val_target_path: its targets.
        test_path: the test part; None holds ``test_fraction`` of ``path`` out.
        test_target_path: its targets.
        test_fraction: between 0 and 1; unused with ``test_path``.
        source_column: which column is translated: its number, from 1 on, or its name where the first line has names.
        target_column: the translation's, likewise.
        encoding: of all files.
    """

    dataset = ParallelText

    def __init__(
        self,
        path: str | Path,
        target_path: str | Path | None = None,
        val_path: str | Path | None = None,
        val_target_path: str | Path | None = None,
        test_path: str | Path | None = None,
        test_target_path: str | Path | None = None,
        test_fraction: float = 0.1,
        source_column: int | str = 1,
        target_column: int | str = 2,
        encoding: str = "utf-8",
    ) -> None:
        if not 0 < test_fraction < 1:
            raise InputError(f"data.test_fraction must lie between 0 and 1, not {test_fraction}.")
        if isinstance(source_column, int) is not isinstance(target_column, int):
            raise InputError(
                f"data.source_column={shorten(source_column)} and data.target_column={shorten(target_column)} must "
                "both be numbers, or both names."
            )
        if source_column == target_column:
            raise InputError(
                f"data.source_column and data.target_column are both {shorten(source_column)}: name two columns."
            )
        for name, column in (("source_column", source_column), ("target_column", target_column)):
            if isinstance(column, int) and column < 1:
                raise InputError(f"data.{name} must be at least 1 (columns are counted from 1 on), not {column}.")
        check_encoding(encoding)
        self.source_column, self.target_column = source_column, target_column
        self.test_fraction, self.encoding = test_fraction, encoding
        self._train: Part = (Path(path), None if target_path is None else Path(target_path))
        self._val = _part("val", val_path, val_target_path)
        self._test = _part("test", test_path, test_target_path)
        self.name = self._train[0].name.split(".")[0]

    def digest(self) -> str:
        """Of the files' bytes and of all options."""
        options = [self.source_column, self.target_column, self.test_fraction, self.encoding]
        found = hashlib.sha256(json.dumps(options).encode())
        for part in (self._train, self._val, self._test):
            for path in part or (None, None):
                found.update(b"\0none" if path is None else b"\0file" + file_digest(path))
        return found.hexdigest()

    def read(self) -> RawPairs:
        """All parts, in the files' order.

        Raises:
            InputError: no such file; bytes that are not of ``encoding``; a column that is not there; a line with more
                or fewer columns than the first, or with an empty sentence; files of unequal length; sources that are
                all the same, so that none can be held out.
        """
        train = self._sentences(self._train)
        val = None if self._val is None else self._sentences(self._val)
        if self._test is not None:
            return RawPairs(train=train, test=self._sentences(self._test), val=val)
        train, test = self._hold_out(train)
        return RawPairs(train=train, test=test, val=val)

    def sentences(self) -> Sentences:
        """The pairs of ``path`` alone, none held out.

        Raises:
            InputError: as ``read``.
        """
        return self._sentences(self._train)

    def _sentences(self, part: Part) -> Sentences:
        path, target_path = part
        return self._columns(path) if target_path is None else aligned(path, target_path, self.encoding)

    def _columns(self, path: Path) -> Sentences:
        numbered = _without_blank_end(lines_of(path, self.encoding))
        _, line = next(numbered, (1, ""))
        header = [name.strip() for name in line.split("\t")]
        check_columns(header, path)
        if not line.strip():
            raise InputError(f"{path}, line 1 is empty: delete it.")
        if len(header) == 1:
            raise InputError(
                f"{path}, line 1 has no tab: each line must hold a sentence, a tab and its translation; for two files "
                "whose lines belong together set data.target_path."
            )
        source_at, target_at = (
            self._place(column, header, path) for column in (self.source_column, self.target_column)
        )
        found: Sentences = ([], [])
        if not isinstance(self.source_column, str):
            numbered = _without_blank_end(lines_of(path, self.encoding))
        for number, line in numbered:
            cells = line.split("\t")
            if len(cells) != len(header):
                if not line.strip():
                    raise InputError(f"{path}, line {number} is empty: delete it.")
                raise InputError(
                    f"{path}, line {number}: {_columns(len(cells))} where line 1 has {_columns(len(header))}: set the "
                    "sentence and its translation apart by a tab, and write no other tab."
                )
            for side, at, column in (
                (found[0], source_at, self.source_column),
                (found[1], target_at, self.target_column),
            ):
                text = cells[at].strip()
                if not text:
                    raise InputError(
                        f"{path}, line {number}: column {column!r} is empty: fill it in or delete the line."
                    )
                side.append(text)
        if not found[0]:
            raise InputError(f"{path} holds no pairs but only a line of names.")
        return found

    def _place(self, column: int | str, header: list[str], path: Path) -> int:
        if isinstance(column, str):
            if header.count(column) > 1:
                raise InputError(f"{path} has two columns '{shorten(column)}': rename one.")
            if column in header:
                return header.index(column)
            listed = shorten(", ".join(f"'{name}'" for name in header), 300)
            raise InputError(
                f"{path} has no column '{shorten(column)}' (line 1 has {listed}): set data.source_column and "
                "data.target_column to two of these, or to 1 and 2 where line 1 is a pair like the others."
            )
        if column > len(header):
            raise InputError(
                f"{path} has no column {column}: line 1 has {_columns(len(header))}; set data.source_column "
                "and data.target_column."
            )
        return column - 1

    def _hold_out(self, sentences: Sentences) -> tuple[Sentences, Sentences]:
        """``(kept, held)``: the sources whose hashes come first are held."""
        hashes = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in sentences[0]]
        distinct = sorted(set(hashes))
        if len(distinct) == 1:
            raise InputError(
                f"{self._train[0]} has one source alone, so none can be held out for the test: add more, or set "
                "data.test_path."
            )
        count = min(max(1, round(len(distinct) * self.test_fraction)), len(distinct) - 1)
        last = distinct[count - 1]
        kept: Sentences = ([], [])
        held: Sentences = ([], [])
        for text_hash, source, target in zip(hashes, *sentences, strict=True):
            sources, targets = held if text_hash <= last else kept
            sources.append(source)
            targets.append(target)
        return kept, held


def aligned(source: Path, target: Path, encoding: str = "utf-8") -> Sentences:
    """Two files whose lines belong together, without the blanks around each line.

    Raises:
        InputError: a file cannot be read or is empty; a line has no partner or nothing in it.
    """
    found = (
        [line.strip() for line in read_lines(source, encoding)],
        [line.strip() for line in read_lines(target, encoding)],
    )
    last = max(number for lines in found for number, line in enumerate(lines, 1) if line)
    for lines in found:
        del lines[last:]  # blank on both sides
    for path, lines in zip((source, target), found, strict=True):
        if "" in lines:
            raise InputError(
                f"{path}, line {lines.index('') + 1} is empty: write the sentence there, or delete that line here and "
                f"in {target if path == source else source}."
            )
    counts = len(found[0]), len(found[1])
    if counts[0] != counts[1]:
        (longer, _), (shorter, end) = sorted(zip((source, target), counts, strict=True), key=lambda file: -file[1])
        raise InputError(
            f"{longer}, line {end + 1} has no partner: {shorter} ends after {end:,} lines, {longer} has "
            f"{max(counts):,}; the lines of both must belong together one by one."
        )
    return found


def _without_blank_end(lines: Iterator[str]) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, without blank ones at the end."""
    return without_blank_end(enumerate(lines, 1), lambda line: not line.strip(), "")


def _part(name: str, path: str | Path | None, target_path: str | Path | None) -> Part | None:
    if path is not None:
        return Path(path), None if target_path is None else Path(target_path)
    if target_path is not None:
        raise InputError(f"data.{name}_target_path={shorten(target_path)} lacks its sources: set data.{name}_path too.")
    return None


def _columns(count: int) -> str:
    return f"{count} columns" if count > 1 else "1 column"
