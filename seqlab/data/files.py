"""A person's files: their lines, and what they are known by."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path

from seqlab.types import InputError


def read_lines(path: Path, encoding: str = "utf-8") -> list[str]:
    r"""All lines of a file, plain or ``.gz``, without their ends (``\n`` or ``\r\n``) and without a byte-order mark.

    Raises:
        InputError: it cannot be read, is damaged, is of another encoding, or holds nothing.
    """
    try:
        data = path.read_bytes()
        if path.suffix.lower() == ".gz":
            data = gzip.decompress(data)
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror or error}).") from error
    except (EOFError, zlib.error) as error:
        raise InputError(f"{path} is damaged or incomplete ({error}): get it again.") from error
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}, line {number} is not {encoding} text ({error.reason}): set encoding to what it was written in, "
            "for example latin-1 or cp1252."
        ) from error
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise InputError(f"{path} holds no text.")
    # Other marks that Unicode knows as line ends may stand inside a sentence.
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def file_digest(path: Path) -> bytes:
    """sha256 of a file's bytes.

    Raises:
        InputError: it cannot be read.
    """
    found = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while chunk := file.read(1 << 20):
                found.update(chunk)
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror}).") from error
    return found.digest()
