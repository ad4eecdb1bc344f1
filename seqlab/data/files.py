"""A user's files: opened with limits on what they may cost, read line by line, known by their digests."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from seqlab.bounded import LONGEST_LINE as LONGEST_LINE
from seqlab.bounded import bounded_lines, is_packed, open_bytes
from seqlab.data.dialect import Dialect
from seqlab.errors import InputError, shorten

MOST_COLUMNS = 10_000
"""Cells of a row."""
DEEPEST = 100
"""Objects and lists within one another in JSON."""
MOST_DIGITS = 1_000
"""Digits of a whole number."""


def one_line(reason: object) -> str:
    """What a library says of an error, in one short line."""
    return shorten(" ".join(str(reason).split()))


def suffix_of(path: Path) -> str:
    """The suffix in lower case, that before ``.gz`` where there is one."""
    return (path.with_suffix("") if is_packed(path) else path).suffix.lower()


def check_encoding(encoding: str) -> None:
    """Refuse what is no encoding of text.

    Raises:
        InputError: there is no such encoding.
    """
    try:
        "".encode(encoding)  # some codecs are of bytes alone
    except (LookupError, UnicodeError) as error:
        raise InputError(f"there is no encoding '{shorten(encoding)}': try utf-8, latin-1 or cp1252.") from error


def codec_of(encoding: str) -> str:
    """An encoding, of UTF-8 that without a byte-order mark."""
    return "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding


def open_text(path: Path, encoding: str = "utf-8", newline: str = "") -> TextIO:
    """The same as text, without a byte-order mark; line ends stay as they are.

    Read it by ``bounded_lines`` or ``csv_rows``, within ``readable``.
    """
    return io.TextIOWrapper(open_bytes(path), encoding=codec_of(encoding), newline=newline)  # type: ignore[type-var]


@contextmanager
def readable(path: Path, encoding: str = "utf-8") -> Iterator[None]:
    """Say in one sentence why a file cannot be read.

    Raises:
        InputError: instead of the errors of the system, of gzip and of decoding.
    """
    try:
        yield
    except UnicodeError as error:
        reason = one_line(getattr(error, "reason", error))
        place = f", line {line:,}" if (line := getattr(error, "line", 0)) else ""
        raise InputError(
            f"{shorten(path)}{place} is not {encoding} text ({reason}): set data.encoding to what it was written in, "
            "for example latin-1 or cp1252."
        ) from error
    except (EOFError, zlib.error) as error:
        raise InputError(f"{shorten(path)} is damaged or incomplete ({error}): get it again.") from error
    except OSError as error:
        raise InputError(
            f"cannot read {shorten(path.absolute(), 200)} ({error.strerror or shorten(error)})."
        ) from error


def lines_of(path: Path, encoding: str = "utf-8") -> Iterator[str]:
    r"""The lines of a file, plain or ``.gz``, without their ends (``\n`` or ``\r\n``) and without a byte-order mark.

    Raises:
        InputError: it cannot be read, is damaged, is of another encoding, holds nothing, or has a line too long.
    """
    some = False
    with readable(path, encoding), open_text(path, encoding, newline="\n") as file:
        # Other marks that Unicode knows as line ends may stand inside a sentence.
        for number, line in enumerate(bounded_lines(file, path)):
            line = line.removesuffix("\n").removesuffix("\r")
            line = line if number else line.removeprefix("\ufeff")
            some = some or bool(line.strip())
            yield line
    if not some:
        raise InputError(f"{shorten(path)} holds no text.")


def read_lines(path: Path, encoding: str = "utf-8") -> list[str]:
    """All of ``lines_of``."""
    return list(lines_of(path, encoding))


def sample_of(path: Path, encoding: str = "utf-8", size: int = 1 << 18) -> str:
    """The first lines of a file, of about ``size`` characters together: what ``detect`` looks at.

    Raises:
        InputError: as ``lines_of``, but for what holds nothing.
    """
    found: list[str] = []
    with readable(path, encoding), open_text(path, encoding) as file:
        for line in bounded_lines(file, path):
            found.append(line)
            size -= len(line)
            if size <= 0:
                break
    return "".join(found).removeprefix("\ufeff")


def csv_rows(
    file: TextIO, path: object, dialect: Dialect, *, quoted: bool = True, strict: bool = True
) -> Iterator[tuple[int, list[str]]]:
    """The rows of an open CSV, each with the number of its last line; blank lines are ``[]``.

    Raises:
        InputError: quotation marks that do not match (``strict``), a line or cell too long, too many cells.
    """
    lines = bounded_lines(file, path)
    reader = csv.reader(
        lines,
        delimiter=dialect.delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        skipinitialspace=dialect.spaced,
        strict=strict,
    )
    while True:
        # The limit is of the whole process; the module's own, 131,072, is below some documents.
        usual = csv.field_size_limit(LONGEST_LINE)
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(
                f"{shorten(path)}, line {reader.line_num:,}: {error}: mend the quotation marks, or set "
                "data.quoted=false where they are plain characters."
            ) from error
        finally:
            csv.field_size_limit(usual)
        check_columns(row, path, reader.line_num)
        yield reader.line_num, row


def check_columns(row: Sequence[object], path: object, line: int = 1) -> None:
    """Refuse a row of more than ``MOST_COLUMNS`` cells.

    Raises:
        InputError: it has more.
    """
    if len(row) > MOST_COLUMNS:
        raise InputError(
            f"{shorten(path)}, line {line:,} has {len(row):,} cells; at most {MOST_COLUMNS:,} are read: leave columns "
            "out, or check data.delimiter."
        )


def parse_json(text: str, where: str) -> Any:
    """What a JSON text says; lone surrogates, deep nesting and endless numbers are refused.

    Args:
        where: file and line, to begin the message with.

    Raises:
        InputError: it is not JSON, or more than a program should take.
    """
    try:
        found = json.loads(text, parse_int=_whole)
        if text.count("[") + text.count("{") > DEEPEST and _depth(found) > DEEPEST:
            raise RecursionError
        if "\\ud" in text.lower():
            json.dumps(found, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise InputError(f"{where} is not JSON ({error.msg} at character {error.pos + 1:,}).") from error
    except RecursionError:
        raise InputError(f"{where} nests more than {DEEPEST} lists or objects: flatten it.") from None
    except UnicodeEncodeError as error:
        half = ascii(error.object[error.start]).strip("'")
        raise InputError(f"{where} holds half of a surrogate pair ({half}), which is no text: mend it.") from None
    except _TooLongError as error:
        raise InputError(f"{where} {error}: write it as text, in quotation marks.") from None
    return found


class _TooLongError(ValueError):
    """A number of too many digits."""


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise _TooLongError(f"holds a whole number of {len(digits):,} digits, more than {MOST_DIGITS:,}")
    return int(digits)


def _depth(value: Any) -> int:
    """How many lists and objects lie within one another; one more than ``DEEPEST`` where there are more."""
    depth, layer = 0, [value]
    while layer and depth <= DEEPEST:
        layer = [part for part in layer if isinstance(part, (dict, list))]
        depth += bool(layer)
        layer = [inner for part in layer for inner in (part.values() if isinstance(part, dict) else part)]
    return depth


def file_digest(path: Path) -> bytes:
    """sha256 of a file's bytes.

    Raises:
        InputError: it cannot be read.
    """
    found = hashlib.sha256()
    with readable(path), open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            found.update(chunk)
    return found.digest()
