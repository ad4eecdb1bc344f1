"""Files that are read with limits: how much a ``.gz`` may unpack to, and how long a line may be."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from seqlab.errors import InputError, shorten

LONGEST_LINE = 1 << 24
"""Characters of a line, and of a cell."""
LARGEST_METRICS = 1 << 28
"""Bytes of a ``metrics.jsonl``: some million points of the curves."""

_MOST_UNPACKED = 1 << 36  # bytes of a .gz file; what is plain may have any size
_FREE = 1 << 25  # bytes that a .gz file of any size may hold
_RATIO = 50  # beyond that, bytes unpacked for each byte of the file; text has 3 to 20


class _Unpacked(io.RawIOBase):
    """The contents of a ``.gz`` file, with a limit on how many there are for its size."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._most = min(max(_FREE, _RATIO * path.stat().st_size), _MOST_UNPACKED)
        self._file = gzip.GzipFile(path, "rb")
        self._done = 0
        if _stated(path) > self._most:  # or it is damaged: unpacking alone takes a second, and tells
            while self.readinto(bytearray(1 << 20)):
                pass
            self._file.seek(0)
            self._done = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        self._done += len(data)
        if self._done > self._most:
            raise InputError(
                f"{shorten(self._path)} unpacks to more than {self._most / 1e6:,.0f} MB, {_RATIO} times its size or "
                "more: if you trust it, unpack it (gunzip) and name the plain file."
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def _stated(path: Path) -> int:
    """The last four bytes of a ``.gz`` file: how many bytes it unpacks to, modulo 4 GiB."""
    with open(path, "rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return 0
        file.seek(max(0, path.stat().st_size - 4))
        return int.from_bytes(file.read(4), "little")


def lines_within(path: Path, most: int) -> Iterator[str]:
    """The lines of a file of UTF-8 that seqlab wrote, one after the other; bytes that are no text are replaced.

    Raises:
        InputError: it holds more than ``most`` bytes, or a line is too long.
        OSError: it cannot be read.
    """
    if path.stat().st_size > most:
        raise InputError(
            f"{path} is larger than {most / 1e6:,.0f} MB, so it is not read: move it out of the run folder."
        )
    with open(path, encoding="utf-8", errors="replace") as file:
        yield from bounded_lines(file, path)


def is_packed(path: Path) -> bool:
    """Whether the name ends in ``.gz``."""
    return path.suffix.lower() == ".gz"


def open_bytes(path: Path) -> io.BufferedIOBase:
    """A file, plain or ``.gz``; reading a ``.gz`` that unpacks to far more than its size raises ``InputError``."""
    return io.BufferedReader(_Unpacked(path), 1 << 16) if is_packed(path) else open(path, "rb")


def bounded_lines(file: TextIO, path: object, *, escaped: bool = False) -> Iterator[str]:
    """The lines of an open file with their ends, none of which may be longer than ``LONGEST_LINE``.

    Args:
        file: open as text.
        path: what messages call it.
        escaped: whether lone surrogates may stand for bytes that are no text, as on standard input.

    Raises:
        InputError: a line that is longer.
        UnicodeError: bytes of another encoding, or half a surrogate pair; ``readable`` says in which line.
    """
    number = 0
    while True:
        try:
            line = file.readline(LONGEST_LINE + 1)
        except UnicodeDecodeError as error:
            error.line = number + 1 + error.object.count(b"\n", 0, error.start)  # type: ignore[attr-defined]
            raise
        if not line:
            return
        number += 1
        if len(line) > LONGEST_LINE:
            raise InputError(
                f"{shorten(path)}, line {number:,} is longer than {LONGEST_LINE:,} characters: break it into lines."
            )
        if not (escaped or line.isascii()):
            line.encode()  # a few codecs give half a surrogate pair, which is no text
        yield line
