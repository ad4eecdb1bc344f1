"""The direction of the arrows between the rooms, read from the imports themselves."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "seqlab"

# room -> rooms it may import (besides itself and those that are open to all).
OPEN = {"words", "errors", "bounded", "paths", "durable", "terminal", "types", "schema", "protocols"}
MAY_IMPORT = {
    "errors": set(),
    "bounded": {"errors"},
    "paths": set(),
    "durable": set(),
    "terminal": set(),
    "types": {"errors"},
    "protocols": set(),
    "schema": {"errors"},
    "text": set(),
    "nn": set(),
    "data": {"text"},
    "models": {"nn"},
    "tasks": {"nn", "models", "data", "text", "baselines", "insight", "decode", "search", "translations", "samples"},
    "baselines": set(),
    "engine": set(),
    "decode": {"text"},
    "search": {"decode", "models"},
    "translations": {"models", "search", "text"},
    "insight": set(),
}
HYDRA_ROOMS = {"compose", "train"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            raise AssertionError(f"{path}: write imports of the project in full")
    return found


def test_there_is_something_to_read():
    assert len(MODULES) > 20


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_what_it_may_know(path):
    room = room_of(path)
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] in {"hydra", "omegaconf"}:
            assert room in HYDRA_ROOMS, f"{path}: {name} belongs in {HYDRA_ROOMS}"
        if parts[0] == "seqlab" and len(parts) > 1 and room in MAY_IMPORT:
            target = parts[1]
            allowed = {room, "__version__", *OPEN, *MAY_IMPORT[room]}
            assert target in allowed, f"{path}: {room} may not import {target}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_constructor_swallows_a_typo_and_nothing_is_unpickled(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            assert node.args.kwarg is None, f"{path}:{node.lineno}: **{node.args.kwarg.arg}"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert not re.fullmatch(r"(pickle|dill|cloudpickle|joblib)\.loads?", called), f"{path}:{node.lineno}"
            if called == "np.load":
                assert not any(k.arg == "allow_pickle" and ast.unparse(k.value) == "True" for k in node.keywords)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            assert any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_is_markup_and_what_is_printed_as_json_is_strict(path):
    """Tables are ``terminal.PlainTable``, JSON on standard output is ``terminal.json_text``, bars read no markup."""
    if room_of(path) == "terminal":
        return
    assert "rich.table.Table" not in imports_of(path)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called == "TextColumn":
            assert any(k.arg == "markup" and ast.unparse(k.value) == "False" for k in node.keywords), node.lineno
        if called == "print":
            assert not any("json.dumps" in ast.unparse(argument) for argument in node.args), node.lineno
