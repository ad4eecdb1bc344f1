"""Parts of generated data that share no row, and what makes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from seqlab.data.arrays import Part
from seqlab.types import InputError

ROUNDS = 20
"""How often rows that stand in an earlier part are drawn anew before a task counts as too small."""

Seed = int | Sequence[int]


def apart(task: Any, draw: Callable[[int, Seed], Part]) -> dict[str, Part]:
    """Draw the three parts; whatever already stands in an earlier part is drawn anew."""
    at_least(1, train=task.train, val=task.val, test=task.test)
    at_least(0, seed=task.seed)
    parts: dict[str, Part] = {}
    known = np.empty(0, np.uint64)
    for stream, (name, count) in enumerate((("train", task.train), ("val", task.val), ("test", task.test))):
        part = draw(count, [task.seed, stream])
        for again in range(ROUNDS + 1):
            taken = np.flatnonzero(np.isin(_keys(part), known))
            if len(taken) == 0:
                break
            if again == ROUNDS:
                raise InputError(
                    f"{task.name} at steps={task.steps} has too few different sequences to keep {count:,} {name} "
                    "examples apart from those before them: ask for longer sequences or fewer examples"
                )
            fresh = draw(len(taken), [task.seed, stream, again + 1])
            part = replace(
                part,
                inputs=_put(part.inputs, taken, fresh.inputs),
                lengths=_put(part.lengths, taken, fresh.lengths),
                targets=_put(part.targets, taken, fresh.targets),
            )
        known = np.concatenate((known, _keys(part)))
        parts[name] = part
    return parts


def _keys(part: Part) -> np.ndarray:
    """``(count,)`` uint64: equal for equal rows, and for different ones different but for a rare accident."""
    rows = np.ascontiguousarray(part.inputs).reshape(len(part), -1)
    words = rows.view(np.uint32 if rows.itemsize == 4 else np.uint64)
    factors = np.random.default_rng(0).integers(0, 2**64, words.shape[1] + 1, dtype=np.uint64)
    keys = part.lengths.astype(np.uint64) * factors[-1]
    for start in range(0, len(words), 1024):  # in pieces that fit the processor's cache
        piece = slice(start, start + 1024)
        keys[piece] += words[piece] @ factors[:-1]
    return keys


def _put(values: np.ndarray, rows: np.ndarray, fresh: np.ndarray) -> np.ndarray:
    values = values.copy()
    values[rows] = fresh
    return values


def digest_of(task: Any, version: int) -> str:
    """Of the fields of a generated task, a dataclass with a ``name``, and of what ``version`` makes of them."""
    facts = {"name": task.name, "version": version, **asdict(task)}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def generator(count: int, seed: Seed) -> np.random.Generator:
    """What draws ``count`` rows.

    Raises:
        InputError: no row, or a negative seed.
    """
    at_least(1, count=count)
    for part in [seed] if isinstance(seed, int) else seed:
        at_least(0, seed=part)
    return np.random.default_rng(seed)


def at_least(least: int, **sizes: int) -> None:
    """Refuse numbers below ``least``.

    Raises:
        InputError: it names the option.
    """
    for name, size in sizes.items():
        if size < least:
            raise InputError(f"{name}={size} is too small: give a whole number of at least {least}")
