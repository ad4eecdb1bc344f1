"""``key=value`` words of a command line: written so that Hydra and a shell read them, and mended where they do not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from shlex import quote

_BARE = re.compile(r"[\w./:+-]+", re.ASCII)
"""What neither Hydra nor a shell reads as anything but text."""
_NUMBER_OR_KEYWORD = re.compile(r"[+-]?([\d._]+([eE][+-]?\d+)?|nan|inf(inity)?)|true|false|null|none", re.IGNORECASE)


def word(key: str, value: str | Sequence[str]) -> str:
    """``key=value`` for a command line of seqlab, quoted for Hydra and for the shell where that is needed.

    ``word("resume", "runs/a b")`` is ``"resume='runs/a b'"``; a list gives ``'data.targets=["CO(GT)"]'``.
    """
    if not isinstance(value, str):
        inside = ",".join(item if _is_plain(item) else _hydra(item, '"') for item in value)
        return quote(f"{key}=[{inside}]")
    if _BARE.fullmatch(value):
        return text_word(key, value) if _NUMBER_OR_KEYWORD.fullmatch(value) else f"{key}={value}"
    if "'" not in value and not set(value) & set('"$`\\!'):
        return f"\"{key}='{value}'\""
    return quote(f"{key}={_hydra(value, chr(39))}")


def text_word(key: str, value: str | Sequence[str]) -> str:
    """As ``word``, for values that must stay text although they look like a number: ``'data.targets=["2015"]'``."""
    if isinstance(value, str):
        return quote(f"{key}={_hydra(value, chr(34))}")
    return word(key, value)


def mended(override: str) -> tuple[str, str] | None:
    """What is in the way of reading ``key=value``, and the word to write instead; None where that cannot be said."""
    key, separator, value = override.partition("=")
    if not separator or not key:
        return None
    is_list = value.startswith("[") and value.endswith("]")
    content = value[1:-1] if is_list else value
    in_the_way = re.search(r"[^A-Za-z0-9_./\\+$%*@?|: -]" if not is_list else r"[^A-Za-z0-9_./\\+$%*@?|:, -]", content)
    if in_the_way is None:
        return None
    items = [item.strip().strip("\"'") for item in _split(content)]
    return in_the_way.group(), word(key, items) if is_list else word(key, value.strip("\"'"))


def _split(content: str) -> list[str]:
    """Items of a list, at commas that stand outside of brackets."""
    items, depth, item = [], 0, ""
    for character in content:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth <= 0:
            items.append(item)
            item = ""
        else:
            item += character
    return [*items, item]


def _is_plain(item: str) -> bool:
    return bool(_BARE.fullmatch(item)) and not _NUMBER_OR_KEYWORD.fullmatch(item) and ":" not in item


def _hydra(value: str, mark: str) -> str:
    """Between quotation marks, as Hydra's grammar escapes them."""
    escaped = re.sub(r"(\\*)" + mark, lambda found: found.group(1) * 2 + "\\" + mark, value)
    trailing = len(escaped) - len(escaped.rstrip("\\"))
    return f"{mark}{escaped}{chr(92) * trailing}{mark}"
