"""``--help``: every option of the chosen data and model with its value and the comment of its YAML file."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from seqlab.paths import CONFIGS

USAGE = """\
Train a recurrent network (or a baseline) on a dataset, measure it, and keep everything in one run folder.

  python train.py model=lstm data=imdb optim.lr=3e-3 model.num_layers=2
  python train.py data=csv --help               the options of another choice
  python train.py experiment=imdb_best          a named recipe
  python train.py sweep=lr data=reviews         several runs, one command
  python train.py resume=runs/reviews/lstm/...  continue exactly where a run stopped

What can be named (group=name; `seqlab list GROUP` describes each):
"""
FLAGS = """\
Flags:
  --multirun, -m    run every combination of comma-separated values: -m optim.lr=1e-3,3e-3 seed=0,1
  --cfg job         print the configuration and stop
  --config-dir DIR  add a folder of your own configs (docs/extending.md)
  --version         print the version
"""
RECOMMENDED = re.compile(r"#.*(recommended settings|what suits it)")
"""The comment in a dataset's file from which on keys only feed options of other groups."""
_KEY = re.compile(r"( *)([\w]+):(?:\s+((?:\"[^\"]*\"|'[^']*'|[^#])*?))?(?:\s+#\s*(.*))?$")
SECTIONS = ("data", "model", "task", "optim", "schedule", "trainer", "runtime")


def text(
    config: Mapping[str, Any], chosen: Mapping[str, str], folders: Sequence[Path] = (), width: int | None = None
) -> str:
    """The whole page.

    Args:
        config: the composed config, interpolations resolved where they can be.
        chosen: the name of the config in each group: ``{"data": "reviews", "model": "lstm", ...}``.
        folders: where config groups are besides the package's own (``--config-dir``).
        width: characters in a line; by default the terminal's, at most 110.
    """
    width = min(width or shutil.get_terminal_size((100, 24)).columns, 110)
    parts = [USAGE + "\n".join(_groups(folders, width)), ""]
    comments, _ = _comments("train", folders)
    own = {key: value for key, value in config.items() if not isinstance(value, Mapping)}
    parts += _section("General", own, comments, "", set(), width)
    for section in SECTIONS:
        node = config.get(section)
        if not isinstance(node, Mapping):
            continue
        name = chosen.get(section)
        if name is None:
            found = {key.partition(".")[2]: said for key, said in comments.items()}
            hidden: set[str] = set()
        else:
            found, hidden = _comments(f"{section}/{name}", folders)
        title = f"{section}={name}" if name and section != "trainer" else section
        parts += _section(title, node, found, f"{section}.", hidden if section == "data" else set(), width)
    return "\n".join([*parts, FLAGS])


def _groups(folders: Sequence[Path], width: int) -> Iterator[str]:
    for group in ("data", "data/tokenizer", "model", "task", "optim", "schedule", "experiment", "sweep"):
        found = {path.stem for folder in (CONFIGS, *folders) for path in (folder / group).glob("*.yaml")}
        names = ", ".join(sorted(found))
        yield from textwrap.wrap(f"{group}= {names}", width, initial_indent="  ", subsequent_indent="      ")


def _section(
    title: str, node: Mapping[str, Any], comments: Mapping[str, str], prefix: str, hidden: set[str], width: int
) -> list[str]:
    rows = [(key, value) for key, value in _leaves(node) if key not in hidden and not key.endswith("_target_")]
    lines = [f"{title}:"]
    for key, value in rows:
        if key == "name" and prefix:
            continue
        head = f"  {prefix}{key}={_shown(value)}"
        said = comments.get(key) or ""
        wrapped = textwrap.wrap(said, width - 36) or [""]
        if len(head) < 36:
            head = f"{head:<36}{wrapped.pop(0)}".rstrip()
        lines += [head, *(" " * 36 + line for line in wrapped if line)]
    if hidden:
        said = (
            "This dataset also recommends values for options of other groups, shown there: set optim.lr, "
            "model.hidden_size, trainer.max_epochs and so on."
        )
        lines += textwrap.wrap(said, width, initial_indent="  ", subsequent_indent="  ")
    return [*lines, ""]


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return "[" + ",".join(map(_shown, value)) + "]"
    return str(value)


def _leaves(node: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _comments(file: str, folders: Sequence[Path]) -> tuple[dict[str, str], set[str]]:
    """``dotted key -> comment`` of a config file and of those it is based on; and the keys that only recommend."""
    path = next((path for folder in (CONFIGS, *folders) if (path := folder / f"{file}.yaml").is_file()), None)
    if path is None:
        return {}, set()
    found: dict[str, str] = {}
    hidden: set[str] = set()
    lines = path.read_text(encoding="utf-8").splitlines()
    for base in re.findall(r"^defaults: \[(\w+), _self_", "\n".join(lines), re.MULTILINE):
        found, hidden = _comments(f"{file.rpartition('/')[0]}/{base}", folders)
    stack: list[tuple[int, str]] = []
    last, recommends = "", False
    for line in lines:
        recommends = recommends or RECOMMENDED.match(line) is not None
        if (match := _KEY.match(line)) is None:
            if last in found and re.match(r" +#", line):  # a comment that goes on
                found[last] += " " + line.strip().lstrip("# ")
            continue
        indent, key, _, said = match.groups()
        while stack and stack[-1][0] >= len(indent):
            stack.pop()
        stack.append((len(indent), key))
        last = ".".join(name for _, name in stack)
        if said:
            found[last] = said
        if recommends:
            hidden.add(last)
    return found, hidden


def chosen(words: Sequence[str], config: Mapping[str, Any]) -> dict[str, str]:
    """Which config each group has: as the command line says, or as the composed config is named."""
    found = {section: str((config.get(section) or {}).get("name", "")) for section in ("data", "model", "task")}
    found |= {"data": "reviews", "model": "lstm", "optim": "adamw", "schedule": "cosine", "trainer": "default"}
    named = dict(word.lstrip("+").split("=", 1) for word in words if "=" in word)
    found |= {group: name for group, name in named.items() if group in found}
    return {group: name for group, name in found.items() if name}
