"""What a run folder holds, described field by field, and held against the description before any of it is used.

A run folder may be damaged, of another program or made by an attacker. Each description is a plain table: a field's
dotted name -> what it must be. Fields that earlier versions did not write may be missing, and others may be there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from seqlab.errors import InputError, shorten

LARGEST_CONFIG = 1 << 20
"""Bytes of a stored config; the largest that seqlab writes has some 4,000."""
LARGEST_SUMMARY = 1 << 20
"""Bytes of a ``summary.json``; the largest that seqlab writes has some 10,000."""
DEEPEST, MOST_VALUES = 30, 20_000
"""How far stored plain data may nest, and how many values a config may hold."""
MOST_TOKENS = 10_000_000
"""How many values the vocabulary of a checkpoint may hold."""
MOST_COUNTED = 1 << 48
"""No whole number of a run folder is larger: beyond, products of two overflow."""

Test = tuple[Callable[[Any], bool], str]
"""What a value must satisfy, and that in words: ``must be ...``."""


def _whole(least: int = 0) -> Test:
    def test(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= MOST_COUNTED

    return test, f"a whole number of at least {least}"


def _or_null(test: Test) -> Test:
    return lambda value: value is None or test[0](value), f"{test[1]}, or null"


def _all(kind: type | tuple[type, ...]) -> Callable[[Any], bool]:
    return lambda value: all(isinstance(item, kind) for item in value)


TEXT: Test = (lambda value: isinstance(value, str), "text")
NAME: Test = (lambda value: isinstance(value, str) and 0 < len(value) <= 200, "a name")
FLAG: Test = (lambda value: isinstance(value, bool), "true or false")
NODE: Test = (lambda value: isinstance(value, Mapping) and _all(str)(value), "a mapping of names to values")
NUMBER: Test = (lambda value: isinstance(value, int | float) and not isinstance(value, bool), "a number")
FINITE: Test = (lambda value: NUMBER[0](value) and abs(value) < 1e300, "a finite number")
NUMBERS: Test = (lambda value: NODE[0](value) and _all((int, float))(value.values()), "a mapping of names to numbers")
TEXTS: Test = (lambda value: isinstance(value, list | tuple) and _all(str)(value), "a list of texts")
COUNTS: Test = (
    lambda value: isinstance(value, list | tuple) and all(map(_whole()[0], value)),
    "a list of whole numbers",
)
TASK: Test = (lambda value: isinstance(value, str) and 0 < len(value) <= 100, "the name of a task")

CONFIG: dict[str, Test] = {
    "seed": _whole(),
    "test": FLAG,
    "floor": FLAG,
    "runtime": NODE,
    "data": NODE,
    "data.name": NAME,
    "data._target_": NAME,
    "task": NODE,
    "task.name": TASK,
    "task._target_": NAME,
    "model": NODE,
    "model.name": NAME,
    "model._target_": NAME,
    "model.embedding": NODE,
    "model.embedding.vectors": _or_null(TEXT),
    "model.head": NODE,
    "optim": NODE,
    "optim._target_": NAME,
    "schedule": NODE,
    "schedule._target_": NAME,
    "trainer": NODE,
    "trainer.device": NAME,
    "trainer.precision": NAME,
}
CONFIG_OPTIONAL: dict[str, Test] = {"runs": TEXT, "run_dir": _or_null(TEXT), "data.tokenizer": NODE, "trust": FLAG}
"""The config of a run: the nodes that are read by name. The other options are held against signatures (``schema``)."""

CHECKPOINT: dict[str, Test] = {
    "version": _whole(1),
    "config": NODE,
    "pipeline": _or_null(NODE),
    "spec": NODE,
    "spec.task": TASK,
    "spec.num_outputs": _whole(1),
    "spec.labels": TEXTS,
    "digest": TEXT,
    "model": NODE,
}
"""What every checkpoint holds."""
OPTIONAL: dict[str, Test] = {
    "scaling": _or_null(NODE),
    "device": NAME,
    "precision": NAME,
    "spec.vocab_size": _whole(),
    "spec.num_features": _whole(),
    "spec.pad_id": _whole(),
    "spec.blank": _or_null(TEXT),
    "spec.horizon": _whole(),
    "spec.num_future": _whole(),
    "spec.start_id": _whole(),
    "spec.eos_id": _whole(),
    "spec.shared": FLAG,
    "spec.counts": COUNTS,
    "spec.mean": FINITE,
    "spec.deviation": (lambda value: FINITE[0](value) and value > 0, "a number above 0"),
    "metrics": NUMBERS,
    "step": _whole(),
    "epoch": _whole(),
    "carry": _or_null(NODE),
}
"""What may be missing: earlier versions did not write it, or not every run has it."""
CONTINUED: dict[str, Test] = {
    "optimizer": NODE,
    "schedule": _or_null(NODE),
    "scaler": _or_null(NODE),
    "ema": _or_null(NODE),
    "random": NODE,
    "threads": _whole(1),
    "trainer": NODE,
    "trainer.step": _whole(),
    "trainer.epoch": _whole(),
    "trainer.consumed": _whole(),
    "trainer.evaluated": _whole(),
    "trainer.best": _or_null(NUMBER),
    "trainer.best_step": _whole(),
    "trainer.best_epoch": _whole(),
    "trainer.best_metrics": NUMBERS,
    "trainer.metrics": NUMBERS,
    "trainer.stale": _whole(),
    "trainer.seconds": NUMBER,
    "trainer.eval_seconds": NUMBER,
    "trainer.tokens": _whole(),
    "trainer.positions": _whole(),
    "trainer.window": NUMBERS,
}
"""What a ``last.pt`` holds besides, so that training goes on from it."""
SUMMARY: dict[str, Test] = {"monitor": TEXT, "seconds": NUMBER, "params": NUMBER}
"""What every ``summary.json`` holds."""
SUMMARY_OPTIONAL: dict[str, Test] = dict.fromkeys(("val", "test", "floor"), _or_null(NODE))


def bytes_of(path: Path, most: int) -> bytes:
    """The bytes of a file that seqlab writes small; no more of a larger one is read than tells that it is one.

    Raises:
        InputError: it holds more than ``most``.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise InputError(f"{path} is larger than {most:,} bytes, so it is not a file that seqlab wrote.")
    return data


def text_of(path: Path) -> str:
    """The text of a YAML file that is worth parsing: not large, not nested deeply, without aliases.

    Aliases can make a small file as large as memory once it is parsed, and seqlab writes none.

    Raises:
        InputError: it is none of that.
        OSError, ValueError, yaml.YAMLError: it cannot be read.
    """
    text = bytes_of(path, LARGEST_CONFIG).decode("utf-8")
    depth = values = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1
            raise InputError(f"{path}, line {line}: aliases (*name) are not read: repeat the value.")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        values += isinstance(event, yaml.ScalarEvent)
        if depth > DEEPEST or values > MOST_VALUES:
            raise InputError(
                f"{path} nests deeper than {DEEPEST} levels or holds more than {MOST_VALUES:,} values, so it is not "
                "the config of a run."
            )
    return text


def config(found: Any, where: str | Path, prefix: str = "") -> dict[str, Any]:
    """A stored config, held against its description.

    Args:
        found: what was read.
        where: its file, for messages.
        prefix: how its fields are called there, such as ``config.``.

    Raises:
        InputError: something is missing or of another kind.
    """
    bound(found, where, prefix.rstrip("."), MOST_VALUES)
    _hold(found, CONFIG, where, prefix)
    _hold(found, CONFIG_OPTIONAL, where, prefix, optional=True)
    return found


def checkpoint(found: Mapping[str, Any], where: str | Path, *, continued: bool = False) -> None:
    """Hold a checkpoint against its description.

    Args:
        found: what was read.
        where: its file, for messages.
        continued: whether training is to go on from it, which needs more than its weights.

    Raises:
        InputError: something is missing or of another kind.
    """
    _hold(found, CHECKPOINT, where)
    _hold(found, OPTIONAL, where, optional=True)
    if continued:
        _hold(found, CONTINUED, where)
    config(found["config"], where, "config.")
    for name in ("pipeline", "scaling"):
        bound(found.get(name), where, name, MOST_TOKENS)


def summary(found: Any, where: str | Path) -> dict[str, Any]:
    """A ``summary.json``, held against its description.

    Raises:
        InputError: something is missing or of another kind.
    """
    _hold(found, SUMMARY, where)
    _hold(found, SUMMARY_OPTIONAL, where, optional=True)
    return found


def bound(found: Any, where: str | Path, name: str, most: int) -> None:
    """Refuse plain data that is nested deeply, or cyclic, or larger than ``most`` values (a value counts each time).

    Raises:
        InputError: it is.
    """
    count, waiting = 0, [(found, 0)]
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if depth > DEEPEST:
            raise _damaged(where, name, f"nests deeper than {DEEPEST} levels")
        if count > most:
            raise _damaged(where, name, f"holds more than {most:,} values")
        if isinstance(value, Mapping):
            for key in value:
                if not isinstance(key, str) or "." in key:
                    raise _damaged(where, name, f"has the key {shorten(repr(key))}, and keys are words without a dot")
            waiting += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list | tuple):
            waiting += [(item, depth + 1) for item in value]


@contextmanager
def reading(where: str | Path) -> Iterator[None]:
    """Say of what goes wrong inside that the file is damaged: it is built from what no description can foresee."""
    try:
        yield
    except InputError:
        raise
    except KeyError as error:
        raise _damaged(where, str(error.args[0]) if error.args else "", "is missing") from error
    except (ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError,
            ValueError) as error:  # fmt: skip
        reason = (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__
        raise InputError(f"{where} is damaged or foreign: {shorten(reason, 200)}.") from error


def _hold(
    found: Any, description: Mapping[str, Test], where: str | Path, prefix: str = "", optional: bool = False
) -> None:
    for field, (test, words) in description.items():
        node: Any = {"": found}
        for part in ["", *field.split(".")]:
            if not isinstance(node, Mapping):
                raise _damaged(where, f"{prefix}{field}".rpartition(".")[0], f"must be {NODE[1]}, not {_shown(node)}")
            if part not in node:
                if optional:
                    break
                raise _damaged(where, f"{prefix}{field}", "is missing")
            node = node[part]
        else:
            if not test(node):
                raise _damaged(where, f"{prefix}{field}", f"must be {words}, not {_shown(node)}")


def _shown(value: Any) -> str:
    """A value for a message; containers by their kind alone, for they may be cyclic or enormous."""
    if value is None or isinstance(value, str | int | float):
        return shorten("null" if value is None else repr(value))
    return "a list" if isinstance(value, list | tuple) else f"a {type(value).__name__}"


def _damaged(where: str | Path, field: str, what: str) -> InputError:
    name = f"field '{shorten(field)}'" if field else "its content"
    return InputError(f"{where} is damaged or foreign: {name} {what}.")
