"""Running text in a file: anyone's, or the plays that character models are measured on."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from seqlab.data.fetch import fetch
from seqlab.types import InputError

URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
DIGEST = "sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"

_CHUNK = 1 << 20


class TextFile:
    """A text file, taken as it is: no line end is changed, nothing is stripped but a byte-order mark.

    Args:
        path: of any size; ``.gz`` is unpacked while it is read.
        encoding: what it was written in.
        separator: the text that ends a document, and is the last of its words; None for a single document.

    Raises:
        InputError: there is no such encoding; an empty separator.
    """

    def __init__(self, path: str | Path, encoding: str = "utf-8", separator: str | None = None) -> None:
        try:
            codecs.getincrementaldecoder(encoding)
            "".encode(encoding)  # some codecs are of bytes alone
        except (LookupError, UnicodeError) as error:
            raise InputError(f"there is no encoding '{encoding}': try utf-8, latin-1 or cp1252.") from error
        if separator == "":
            raise InputError("separator is empty: name the text that ends a document, or null for a single document.")
        self.path, self.encoding, self.separator = Path(path), encoding, separator
        self.name = self.path.name.split(".")[0] or "text"

    def digest(self) -> str:
        """Of the file's bytes and of all options: a second for a gigabyte or two."""
        options = [self.encoding, self.separator, self.path.suffix.lower() == ".gz"]
        found = hashlib.sha256(json.dumps(options).encode())
        try:
            with open(self.path, "rb") as file:
                while chunk := file.read(_CHUNK):
                    found.update(chunk)
        except OSError as error:
            raise self._unreadable(error) from error
        return found.hexdigest()

    def read(self) -> Iterator[tuple[bool, str]]:
        """All text in pieces of about a million characters; True with those that begin a document.

        Raises:
            InputError: no such file; bytes that are not of the encoding; a damaged archive; no separator in it.
        """
        begins, separator, separated = True, self.separator, False
        held = ""
        for text in self._decoded():
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
            if free >= _CHUNK:
                yield begins, held[:free]
                begins, held = False, held[free:]
        if separator is not None and not separated and (held or not begins):
            raise InputError(self._never(separator))
        if held:
            yield begins, held

    def _never(self, separator: str) -> str:
        """Said rather than read as one document: what a shell made of a line end is easily something else."""
        bash = " (bash writes a line end as data.separator=$'\"\\n\"')" if "\\n" in separator else ""
        return (
            f"separator {separator!r} does not occur in {self.path}: name the text that ends a document{bash}, "
            "or null for a single document."
        )

    def _decoded(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self.encoding)()
        end, position, first = 0, 0, True
        try:
            with self._open() as file:
                while True:
                    chunk = file.read(_CHUNK)
                    position = end - len(decoder.getstate()[0])  # of a character that was cut, bytes are kept
                    text = decoder.decode(chunk, final=not chunk)
                    end += len(chunk)
                    text, first = text.removeprefix("\ufeff") if first else text, first and not text
                    if text:
                        text.encode()  # a few codecs give half a surrogate pair, which is no text
                        yield text
                    if not chunk:
                        return
        except UnicodeError as error:
            where = f", byte {position + error.start:,}" if isinstance(error, UnicodeDecodeError) else ""
            reason = error.reason if isinstance(error, UnicodeDecodeError) else error
            raise InputError(f"{self.path}{where} is not {self.encoding} text ({reason}): {self._advice()}.") from error
        except (EOFError, zlib.error) as error:
            raise InputError(f"{self.path} is damaged or incomplete ({error}): get it again.") from error
        except OSError as error:
            raise self._unreadable(error) from error

    def _advice(self) -> str:
        """What to do with bytes that are of another encoding."""
        with self._open() as file:
            head = file.read(_CHUNK)
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "it begins as utf-16 does, so set encoding=utf-16"
        if b"\0" in head:
            return "it looks like a file of something else than text, so name another"
        return "set encoding to what it was written in, for example latin-1 or cp1252"

    def _open(self) -> BinaryIO | gzip.GzipFile:
        if self.path.suffix.lower() == ".gz":
            return gzip.open(self.path, "rb")
        return open(self.path, "rb")

    def _unreadable(self, error: OSError) -> InputError:
        return InputError(
            f"cannot read {self.path.absolute()} ({error.strerror or error}): give the path of a text file."
        )


class Shakespeare:
    """40,000 lines of Shakespeare's plays in one file of 1.1 MB, put together by Karpathy (char-rnn, 2015).

    Args:
        root: holds ``tinyshakespeare.txt`` or ``text/tinyshakespeare.txt``.
        download: get the file when it is not there.
    """

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
