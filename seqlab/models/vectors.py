"""Read pre-trained word vectors from a text file, in the format of word2vec and GloVe."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from seqlab.bounded import bounded_lines, open_bytes
from seqlab.errors import shorten
from seqlab.types import InputError

MOST_NUMBERS = 10_000
"""The largest width of a vector: a matrix of the whole vocabulary is made of it before the second line is read."""


def read_vectors(path: str | Path, tokens: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of ``tokens`` from a text file; only the lines of known tokens are parsed.

    A line is a token and its numbers, separated by single spaces; a first line of two whole numbers (count and width,
    as word2vec writes) and a byte-order mark are skipped. Tokens may hold spaces, as some of GloVe's do. The first of
    several lines for one token counts. A name that ends in ``.gz`` is decompressed, within the limits of other data.

    Returns:
        ``(len(tokens), E)`` float32, zeros where missing, and ``(len(tokens),)`` bool: which were found.

    Raises:
        InputError: no such file, an unreadable one, a line of another width, too long or without numbers, a
            ``.gz`` that unpacks to far more than its size, or none of the tokens.
    """
    rows = {token: i for i, token in enumerate(tokens)}
    matrix = np.zeros((len(tokens), 0), dtype=np.float32)
    found = np.zeros(len(tokens), dtype=bool)
    width = 0
    for number, line in _lines(path):
        fields = line.split(" ")
        if not width:
            width = len(fields) - 1
            if width > MOST_NUMBERS:
                raise InputError(
                    f"{path}, line {number}: {width:,} numbers after the token, and at most {MOST_NUMBERS:,} are read; "
                    "give word vectors in text format"
                )
            matrix = np.zeros((len(tokens), width), dtype=np.float32)
            if width < 1:
                raise InputError(f"{path}, line {number}: no numbers after the token; give word vectors in text format")
        extra = len(fields) - 1 - width  # the token's own spaces
        if extra < 0 or (extra > 0 and _is_number(fields[1])):
            raise InputError(
                f"{path}, line {number}: {len(fields) - 1} numbers where the first line has {width}; "
                "repair or remove that line"
            )
        row = rows.get(" ".join(fields[: extra + 1]))
        if row is None or found[row]:
            continue
        try:
            with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused below
                matrix[row] = fields[extra + 1 :]
        except ValueError as error:
            raise InputError(f"{path}, line {number}: {shorten(error)}; repair or remove that line") from None
        if not np.isfinite(matrix[row]).all():
            raise InputError(
                f"{path}, line {number}: the vector of '{shorten(' '.join(fields[: extra + 1]), 40)}' holds NaN, an "
                "infinite number or one too large for a float (32 bits); repair or remove that line"
            )
        found[row] = True
    if not found.any():
        raise InputError(
            f"{path} holds none of the {len(tokens)} tokens of the vocabulary: give a text file of word vectors "
            "for this language and tokenizer"
        )
    return matrix, found


def _lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Numbered lines without header and empty lines."""
    if not Path(path).is_file():
        raise InputError(f"there is no file of word vectors at {path}: check the path given as vectors")
    try:
        with io.TextIOWrapper(open_bytes(Path(path)), "utf-8", errors="replace", newline="\n") as file:  # type: ignore[type-var]
            for number, line in enumerate(bounded_lines(file, path), 1):
                line = line.rstrip(" \r\n")
                line = line.removeprefix("\ufeff") if number == 1 else line
                header = number == 1 and line.count(" ") == 1 and line.replace(" ", "").isdecimal()
                if line and not header:
                    yield number, line
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read ({error}): give an intact text file, or its .gz") from None


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
