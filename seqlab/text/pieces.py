"""Long texts in pieces, cut where no tokenizer of ours reads across; characters as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

_CODE_POINTS = 0x110000


def last_cut(text: str, start: int = 0, end: int | None = None) -> int:
    """The last place in ``text[start:end]`` before a line end, or else a space, that follows no white space.

    There words end for every tokenizer of ours, and so do the pre-tokens of byte-level BPE (a white space that opens
    the second piece is read as it would be in the middle of a text; one that closes the first would not be).
    Normal forms compose nothing across such a place either.

    Returns:
        Where the second piece begins: above ``start``, or ``start`` when there is no such place.
    """
    for white in "\n ":
        place = text.rfind(white, start + 1, end)
        while place > start and text[place - 1].isspace():
            place = text.rfind(white, start + 1, place)
        if place > start:
            return place
    return start


def pieces(text: str, size: int) -> Iterator[str]:
    """``text`` in pieces of at most ``size`` characters, at least one; longer where there is no place to cut."""
    start = 0
    while len(text) - start > size:
        reach = size
        while (cut := last_cut(text, start, start + reach + 1)) == start and start + reach < len(text):
            reach *= 2
        if cut == start:
            break
        yield text[start:cut]
        start = cut
    yield text[start:]


def groups(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """``texts`` in lists of about ``size`` characters, so that few calls do for many short ones."""
    group: list[str] = []
    held = 0
    for text in texts:
        group.append(text)
        held += len(text) + 1  # empty ones take place too
        if held >= size:
            yield group
            group, held = [], 0
    if group:
        yield group


def code_points(text: str) -> np.ndarray:
    """``(characters,)`` of uint8 or uint32: a number for each; lone surrogates are characters too."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def count_characters(texts: Iterable[str]) -> tuple[list[str], np.ndarray]:
    """The different characters of all texts by code point, and how often each occurs: ``(characters,)`` int64."""
    counts = np.zeros(_CODE_POINTS, dtype=np.int64)
    for group in groups(texts, 1 << 17):
        found = np.bincount(code_points("".join(group)))
        counts[: len(found)] += found
    occurring = np.flatnonzero(counts)
    return [chr(code) for code in occurring.tolist()], counts[occurring]


def character_table(tokens: list[str], first: int, unknown: int) -> np.ndarray:
    """``table`` with ``table.take(code_points(text), mode="clip")`` the ids of a text, int32.

    Args:
        tokens: id to character.
        first: the id of the first token that is a character.
        unknown: the id of all others.
    """
    codes = np.array([ord(token) for token in tokens[first:]], dtype=np.int64)
    # The last place is that of whatever lies beyond.
    table = np.full(codes.max(initial=-1) + 2, unknown, dtype=np.int32)
    table[codes] = np.arange(first, len(tokens))
    return table
