"""Numbers that are written with a currency mark or a percent sign: ``$10``, ``€ 4,000``, ``-3 %``."""

from __future__ import annotations

import re

import pandas as pd

_MARKS = "$¢£¤¥؋৳฿₠-⃀﷼＄￠￡￥￦%"
_MARKED = re.compile(rf"([+-]?)\s*([{_MARKS}]?)\s*([^{_MARKS}]*?)\s*([{_MARKS}]?)")
_MARK = re.compile(rf"\s*[{_MARKS}]\s*")


def split_mark(word: str) -> tuple[str, str]:
    """A number without its mark, and the mark; ``""`` where it has none, or more than one."""
    found = _MARKED.fullmatch(word.strip())
    if found is None or bool(found[2]) == bool(found[4]):
        return word, ""
    return found[1] + found[3], found[2] + found[4]


def without_marks(word: str) -> str:
    """A word without any currency mark or percent sign."""
    return _MARK.sub("", word)


def common_mark(words: pd.Series) -> str:
    """The mark that every word has, or ``""``."""
    first = "" if words.empty else split_mark(str(words.iloc[0]))[1]
    return first if first and all(split_mark(str(word))[1] == first for word in words) else ""


def stripped(words: pd.Series, mark: str) -> pd.Series:
    """Words without ``mark``; missing where a word does not have it."""
    split = [split_mark(word) if isinstance(word, str) else ("", "") for word in words]
    return pd.Series([number if found == mark else None for number, found in split], index=words.index, dtype="str")
