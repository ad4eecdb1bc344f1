"""What to write instead of a name or an option that does not exist, and of a word that Hydra cannot read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from seqlab import words
from seqlab.errors import shorten
from seqlab.paths import CONFIGS
from seqlab.schema import did_you_mean, nearest

_RECOMMENDED = re.compile(r"^# recommended settings", re.MULTILINE)
"""From this comment on, a dataset's file holds defaults for options of other groups."""
_ALIKE, _SAME = 0.7, 0.85
"""How alike names of options must be to be suggested, and to be taken for one name with a slip in it."""


def option(key: str, known: Mapping[str, Any]) -> str:
    """The end of a sentence about an option that does not exist, from behind "no such option" to its end.

    An option that takes its default from ``key``, as ``${oc.select:data.subwords,8000}`` does, is what ``key`` means.
    Otherwise it is the option of nearly the same name, or ``key`` is an option of another config of its group.

    Args:
        key: as it was typed, such as ``data.subwords``.
        known: dotted key -> value of the whole config, interpolations unresolved; groups are keys, too.
    """
    refers = re.compile(r"(?m)^(\w+): *\$\{oc\.select:" + re.escape(key) + r"[,}]")
    values = [(name, f"_: {value}") for name, value in known.items() if isinstance(value, str)]
    if instead := next((name for name, value in values if refers.match(value)), None):
        return f"; set {instead} instead."
    texts = {path.stem: path.read_text("utf-8") for path in sorted((CONFIGS / "data/tokenizer").glob("*.yaml"))}
    reading = {stem: found[1] for stem, text in texts.items() if (found := refers.search(text))}
    if reading and "data.tokenizer._target_" in known:
        return f"; with data/tokenizer={' or '.join(reading)} set data.tokenizer.{next(iter(reading.values()))}."
    public = [name for name in known if not re.search(r"(^|\.)_", name) and name != key]  # no one sets _target_
    if slip := nearest(key, public, _SAME):
        return f"; did you mean '{slip}'?"
    if elsewhere := _elsewhere(key, known):
        return elsewhere
    near = nearest(key, public, _ALIKE)
    return f"; did you mean '{near}'?" if near else "; `seqlab train --help` lists all."


def _elsewhere(key: str, known: Mapping[str, Any]) -> str:
    """Which other configs of its group have an option; empty where none has."""
    group, _, name = key.partition(".")
    having = re.compile(rf"^{re.escape(name)}:", re.MULTILINE)
    paths = sorted((CONFIGS / group).glob("*.yaml"))
    others = [path.stem for path in paths if having.search(_RECOMMENDED.split(path.read_text("utf-8"))[0])]
    if not name or not others:
        return ""
    chosen = known.get(f"{group}.name")
    here = f" with {group}={chosen}" if chosen in {path.stem for path in paths} else ""
    listed = ", ".join(f"{group}={other}" for other in others[:4]) + " and others" * (len(others) > 4)
    return f"{here}; it is an option of {listed}."


def choice(name: str, options: Sequence[str]) -> str:
    """The end of a sentence about a name that does not exist: the nearest one, if one is near, and all there are."""
    nearest = did_you_mean(name, options) if options else ""
    near = f"{nearest} " if nearest.startswith("; did") else "; "
    return f"{near}{'Choose' if near != '; ' else 'choose'} one of {', '.join(options)}." if options else "."


def unreadable(override: str) -> str:
    """Why Hydra cannot read a word, and the word to write instead."""
    shown = shorten(override, 300)
    if "=" not in override:
        return f"'{shown}' cannot be read: options look like key=value, such as optim.lr=1e-3."
    if (found := words.mended(override)) is not None:
        return f"'{shown}' cannot be read because of the {found[0]!r} in it: quote the value, {found[1]}"
    return f"'{shown}' cannot be read: options look like key=value, lists like key=[1,2]."
