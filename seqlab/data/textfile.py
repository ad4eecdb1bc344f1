"""Running text in files: anyone's, or the plays that character models are measured on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from seqlab.data.corpus import Corpus
from seqlab.data.decoded import CHUNK, check_decoder, decoded
from seqlab.data.fetch import fetch
from seqlab.data.files import file_digest, is_packed, suffix_of
from seqlab.errors import InputError, shorten

URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
DIGEST = "sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


class TextFile:
    """Running text, taken as it is: no line end is changed, nothing is stripped but a byte-order mark.

    Args:
        path: a file of any size (``.gz`` is unpacked while it is read), several files, or a folder of ``.txt`` files;
            each file begins a document.
        encoding: what the files were written in.
        separator: the text that ends a document, and is the last of its words; None: a file is one document.
        val_path: likewise the validation part; None leaves it to be held out of ``path``.
        test_path: likewise the test part.
        line_end: a word that is put at the end of every line, such as ``<eos>``, for models of words; None: none.

    Raises:
        InputError: there is no such encoding; an empty separator or list; a word with a space in it.
    """

    dataset = Corpus

    def __init__(
        self,
        path: str | Path | Sequence[str | Path],
        encoding: str = "utf-8",
        separator: str | None = None,
        val_path: str | Path | Sequence[str | Path] | None = None,
        test_path: str | Path | Sequence[str | Path] | None = None,
        line_end: str | None = None,
    ) -> None:
        check_decoder(encoding)
        if separator == "":
            raise InputError("separator is empty: name the text that ends a document, or null for a single document.")
        if line_end is not None and (not line_end or line_end.split() != [line_end]):
            raise InputError(f"data.line_end must be one word, such as <eos>, not {shorten(line_end)!r}.")
        self.encoding, self.separator, self.line_end = encoding, separator, line_end
        self._parts = {"train": _paths(path, "path")}
        if val_path is not None:
            self._parts["val"] = _paths(val_path, "val_path")
        if test_path is not None:
            self._parts["test"] = _paths(test_path, "test_path")
        self.path = self._parts["train"][0]
        self.name = self.path.name.split(".")[0] or "text"

    @property
    def own_parts(self) -> tuple[str, ...]:
        """Which of ``val`` and ``test`` are files of their own."""
        return tuple(part for part in self._parts if part != "train")

    def digest(self) -> str:
        """Of the files' bytes and of all options: a second for a gigabyte or two."""
        found = hashlib.sha256(json.dumps([self.encoding, self.separator, self.line_end]).encode())
        for part in self._parts:
            found.update(f"\0{part}".encode())
            for path in self._files(part):
                found.update(b"\1packed" if is_packed(path) else b"\1plain")
                found.update(file_digest(path))
        return found.hexdigest()

    def read(self) -> Iterator[tuple[bool, str]]:
        """All text in pieces of about a million characters, part after part; True with those that begin a document.

        Raises:
            InputError: no such file; bytes that are not of the encoding; a damaged archive; no separator in it.
        """
        for part in self._parts:
            yield from self.read_part(part)

    def read_part(self, part: str) -> Iterator[tuple[bool, str]]:
        """The same of ``train``, ``val`` or ``test``."""
        for path in self._files(part):
            end, last = self.line_end, "\n"
            for begins, text in self._documents(path):
                yield begins, text if end is None else text.replace("\n", f" {end}\n")
                last = text[-1:] or last
            if end is not None and last != "\n":
                yield False, f" {end}\n"

    def _files(self, part: str) -> Iterator[Path]:
        for path in self._parts[part]:
            if not path.is_dir():
                yield path
                continue
            found = sorted(file for file in path.iterdir() if suffix_of(file) == ".txt" and file.is_file())
            if not found:
                raise InputError(f"{shorten(path)} holds no .txt files: name the files of the text.")
            yield from found

    def _documents(self, path: Path) -> Iterator[tuple[bool, str]]:
        begins, separator, separated = True, self.separator, False
        held = ""
        for text in decoded(path, self.encoding):
            if separator is None:
                yield begins, text
                begins = False
                continue
            *documents, held = (held + text).split(separator)
            for document in documents:
                yield begins, document + separator
                begins = separated = True
            # All of it may go but an end that could be the beginning of a separator.
            free = len(held) - len(separator) + 1
            if free >= CHUNK:
                yield begins, held[:free]
                begins, held = False, held[free:]
        if separator is not None and not separated and (held or not begins):
            raise InputError(_never(path, separator))
        if held:
            yield begins, held


def _paths(path: str | Path | Sequence[str | Path], key: str) -> list[Path]:
    found = [Path(path)] if isinstance(path, (str, Path)) else [Path(each) for each in path]
    if not found:
        raise InputError(f"data.{key} is an empty list: name the files of the text.")
    return found


def _never(path: Path, separator: str) -> str:
    """Said rather than read as one document: what a shell made of a line end is easily something else."""
    bash = " (bash writes a line end as data.separator=$'\"\\n\"')" if "\\n" in separator else ""
    return (
        f"separator {separator!r} does not occur in {shorten(path)}: name the text that ends a document{bash}, "
        "or null for a single document."
    )


class Shakespeare:
    """40,000 lines of Shakespeare's plays in one file of 1.1 MB, put together by Karpathy (char-rnn, 2015).

    Args:
        root: holds ``tinyshakespeare.txt`` or ``text/tinyshakespeare.txt``.
        download: get the file when it is not there.
    """

    dataset = Corpus

    name = "shakespeare"

    def __init__(self, root: str | Path, download: bool = True) -> None:
        self.root = Path(root)
        self.download = download

    def digest(self) -> str:
        """Of the file's bytes."""
        return self._file().digest()

    def read(self) -> Iterator[tuple[bool, str]]:
        """All text, one document.

        Raises:
            InputError: it is not there and cannot be had.
        """
        return self._file().read()

    def _file(self) -> TextFile:
        path, other = self.root / "tinyshakespeare.txt", self.root / "text" / "tinyshakespeare.txt"
        for found in (path, other):
            if found.is_file():
                return TextFile(found)
        if not self.download:
            raise InputError(f"there is neither {path} nor {other}: download {URL} and put it at {path}.")
        return TextFile(fetch(URL, path, DIGEST))
