"""What the config of a run folder may name without trust: seqlab's own parts, each in its own place.

A config names code: ``_target_`` is imported and called, and so is a tokenizer whose name has a dot. A run folder may
come from a stranger. So every such name is held against an allow list before anything is imported: a node may be what
the shipped configs of its group name, and nothing else. What goes beyond that needs ``--trust`` (``trust=true`` for
``resume=``), and only then the current folder is searched for code.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from seqlab.errors import InputError, shorten
from seqlab.paths import CONFIGS

PLACES = {
    "data": "data",
    "data.tokenizer": "data/tokenizer",
    "task": "task",
    "model": "model",
    "optim": "optim",
    "schedule": "schedule",
}
"""The nodes that name what is called, and the group of configs whose names each may have."""
CELLS = ("model.cell", "task.decoder.cell")
"""The nodes that may be a cell of seqlab's own with its options."""
CELL_ROOM = "seqlab.nn.cells"
OPTION = "add --trust (in Python, trust=True)"
"""How commands and Python are told to trust a run folder."""
DEEPEST, MOST_NODES = 30, 20_000
"""How far a stored config may nest, and how many values it may hold. The largest shipped config has some 150."""


def check(config: Any, where: str | Path, *, trusted: bool, pipeline: Any = None, how: str = OPTION) -> None:
    """Refuse a config that names code outside seqlab, unless it is trusted. Nothing is imported here.

    Args:
        config: the whole config, as it was read.
        where: the file that it comes from, for the message.
        trusted: whether the user trusts it; the current folder may then be searched for the code that it names.
        pipeline: the state of a text pipeline that belongs to it; its tokenizer is a name, too.
        how: what to do about it, for the message.

    Raises:
        InputError: it names code outside seqlab and is not trusted.
    """
    found = next(foreign(config, pipeline), None)
    if found is None:
        return
    if not trusted:
        key, value = found
        raise InputError(
            f"{where} names code beyond seqlab's own choices ({shorten(key, 120)} is {shorten(value)}). "
            f"Such code can do anything to your files: if you trust this run folder, {how}."
        )
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)  # last, so that the user's own modules hide nothing


def foreign(config: Any, pipeline: Any = None) -> Iterator[tuple[str, Any]]:
    """Key and value of everything in a config that is not on the allow lists."""
    yield from _foreign(config, "")
    tokenizer = config.get("data", {}) if isinstance(config, Mapping) else {}
    tokenizer = tokenizer.get("tokenizer") if isinstance(tokenizer, Mapping) else None
    if isinstance(tokenizer, Mapping):
        yield from _foreign_tokenizer(tokenizer, "data.tokenizer")
    yield from _foreign_pipeline(pipeline, "pipeline")


def offline(config: Mapping[str, Any], *, trusted: bool) -> Mapping[str, Any]:
    """``config`` with downloads switched off, unless it is trusted."""
    if trusted or not config["data"].get("download"):
        return config
    return {**config, "data": {**config["data"], "download": False}}


def check_links(folder: Path, *, trusted: bool, how: str = "set trust=true") -> None:
    """Refuse to write into a run folder that holds symbolic links: they lead a write out of it.

    Raises:
        InputError: there is one, and the folder is not trusted.
    """
    if trusted:
        return
    link = next((path for path in sorted(folder.rglob("*")) if path.is_symlink()), None)
    if link is not None:
        raise InputError(
            f"{link} is a symbolic link, and what is written there would leave the run folder: replace it by a copy; "
            f"or if you trust this run folder, {how}."
        )


@cache
def allowed(place: str) -> frozenset[str]:
    """The names that a node may have as its ``_target_``: those of the shipped configs of its group."""
    if place in CELLS:
        return _cells()
    return _named(PLACES[place], "_target_") if place in PLACES else frozenset()


@cache
def tokenizers() -> frozenset[str]:
    """The tokenizers that the shipped configs name."""
    return _named("data/tokenizer", "tokenizer")


def _named(group: str, key: str) -> frozenset[str]:
    texts = (path.read_text(encoding="utf-8") for path in (CONFIGS / group).glob("*.yaml"))
    return frozenset(name for text in texts for name in re.findall(rf"^{key}:\s*([\w.]+)", text, re.MULTILINE))


def _cells() -> frozenset[str]:
    """Classes of seqlab's cells, by the name of their package and of their module."""
    from seqlab.nn import cells  # ours; here, for it takes torch along

    found = {name: getattr(cells, name) for name in cells.__all__}
    classes = {name: made for name, made in found.items() if hasattr(made, "step") and isinstance(made, type)}
    return frozenset(f"{room}.{name}" for name, made in classes.items() for room in (CELL_ROOM, made.__module__))


def _foreign(node: Any, key: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every ``_target_`` out of place, and every other word that some libraries give a meaning: ``_partial_``."""
    if depth > DEEPEST:
        yield key, "nested too deeply"
        return
    if isinstance(node, Mapping):
        for name, value in node.items():
            path = f"{key}.{name}" if key else str(name)
            if name == "_target_":
                if not isinstance(value, str) or value not in allowed(key):
                    yield path, value
            elif isinstance(name, str) and name.startswith("_") and name.endswith("_"):
                yield path, value
            else:
                yield from _foreign(value, path, depth + 1)
    elif isinstance(node, list | tuple):
        for number, value in enumerate(node):
            yield from _foreign(value, f"{key}[{number}]", depth + 1)


def _foreign_tokenizer(node: Mapping[str, Any], key: str) -> Iterator[tuple[str, Any]]:
    if "tokenizer" in node and (not isinstance(node["tokenizer"], str) or node["tokenizer"] not in tokenizers()):
        yield f"{key}.tokenizer", node["tokenizer"]


def _foreign_pipeline(state: Any, key: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The tokenizers that a stored text pipeline names: of pairs one for each side."""
    if not isinstance(state, Mapping):
        return
    if depth > 1:
        yield key, "nested too deeply"
        return
    if isinstance(state.get("arguments"), Mapping) and state.get("kind") != "bpe":
        yield from _foreign_tokenizer(state["arguments"], f"{key}.arguments")
    for side in ("source", "target"):
        yield from _foreign_pipeline(state.get(side), f"{key}.{side}", depth + 1)
