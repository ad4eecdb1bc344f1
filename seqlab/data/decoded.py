"""A text file of any size, decoded piece by piece as it is: no line end is changed."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from seqlab.data.files import check_encoding, one_line, open_bytes, readable
from seqlab.errors import InputError, shorten

CHUNK = 1 << 20
"""Bytes that are read at a time."""


def check_decoder(encoding: str) -> None:
    """Refuse what cannot be decoded piece by piece.

    Raises:
        InputError: there is no such encoding.
    """
    check_encoding(encoding)
    try:
        codecs.getincrementaldecoder(encoding)
    except LookupError as error:
        raise InputError(f"there is no encoding '{shorten(encoding)}': try utf-8, latin-1 or cp1252.") from error


def decoded(path: Path, encoding: str) -> Iterator[str]:
    """The text, plain or ``.gz``, in pieces of about a million characters, without a byte-order mark.

    Raises:
        InputError: no such file; bytes that are not of the encoding; a damaged archive, or one that unpacks to far
            more than its size.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    end, position, first = 0, 0, True
    with readable(path, encoding):
        try:
            with open_bytes(path) as file:
                while True:
                    chunk = file.read(CHUNK)
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
            reason = one_line(getattr(error, "reason", error))
            raise InputError(f"{shorten(path)}{where} is not {encoding} text ({reason}): {_advice(path)}.") from error


def _advice(path: Path) -> str:
    """What to do with bytes that are of another encoding."""
    with open_bytes(path) as file:
        head = file.read(CHUNK)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "it begins as utf-16 does, so set data.encoding=utf-16"
    if b"\0" in head:
        return "it looks like a file of something else than text, so name another"
    return "set data.encoding to what it was written in, for example latin-1 or cp1252"
