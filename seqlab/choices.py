"""What can be named on a command line: the shipped configs of each group, with the comment each begins with."""

from __future__ import annotations

import textwrap
from itertools import takewhile
from pathlib import Path

from seqlab.errors import InputError, shorten
from seqlab.paths import CONFIGS

GROUPS = {
    "data": "data",
    "model": "model",
    "optim": "optim",
    "schedule": "schedule",
    "task": "task",
    "experiment": "experiment",
    "sweep": "sweep",
    "tokenizer": "data/tokenizer",
}
"""Groups by the name that ``seqlab list`` takes, with the name that a command line takes."""


def choices(group: str) -> dict[str, str]:
    """Names of a group's configs, each with its leading comment (empty where it has none).

    Raises:
        InputError: there is no such group.
    """
    if group not in GROUPS:
        raise InputError(f"There is no group {shorten(group)}: choose one of {', '.join(GROUPS)}.")
    return {path.stem: _comment(path) for path in sorted((CONFIGS / GROUPS[group]).glob("*.yaml"))}


def lines(group: str, width: int = 80) -> list[str]:
    """One line for each choice of a group, under the words that select one."""
    found = choices(group)
    column = max(map(len, found))
    said = [textwrap.shorten(text, width - column - 4, placeholder=" ...") for text in found.values()]
    rows = [f"  {name:<{column}}  {text}".rstrip() for name, text in zip(found, said, strict=True)]
    return [f"{GROUPS[group]}=", *rows]


def _comment(path: Path) -> str:
    written = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("# @package")]
    return " ".join(line[1:].strip() for line in takewhile(lambda line: line.startswith("#"), written))
