"""Generated tasks with known answers: how far back can a network remember, and what is there to gain by it?

Everything is a function of its arguments and the seed (and of numpy's generator, which keeps its streams in practice
though it does not promise to); nothing is written to disk.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from seqlab.data.arrays import ArrayData
from seqlab.data.arrays import Part as Part
from seqlab.types import DataSpec, InputError

VERSION = 1
"""Goes into every digest; a change to what a seed gives must change it."""

ROUNDS = 20
"""How often rows that stand in an earlier part are drawn anew before a task counts as too small."""

Seed = int | Sequence[int]


class Floor(NamedTuple):
    """What the best answer without memory gets."""

    loss: float
    accuracy: float


def adding(steps: int, count: int, seed: Seed) -> tuple[np.ndarray, np.ndarray]:
    """The adding problem: the sum of the two marked values out of ``steps``.

    Channel 0 holds values uniform in ``[0, 1)``; channel 1 is one at two steps, else zero. The first mark is uniform
    over the first half (``steps // 2`` steps), the second over the rest, as in Arjovsky et al. 2016: a lag of at
    least ``steps / 2`` must be bridged in every row. (Bai et al. 2018 place both anywhere; Hochreiter and Schmidhuber
    1997, the source, place the first among the first ten and draw values from ``[-1, 1]``.)

    Returns:
        Inputs ``(count, steps, 2)`` and targets ``(count, 1)``, both float32.

    Raises:
        InputError: fewer than two steps, no example, or a negative seed.
    """
    _at_least(2, steps=steps)
    random = _generator(count, seed)
    inputs = np.zeros((count, steps, 2), np.float32)
    inputs[:, :, 0] = random.random((count, steps), dtype=np.float32)
    rows, half = np.arange(count), steps // 2
    first, second = random.integers(0, half, count), random.integers(half, steps, count)
    inputs[rows, first, 1] = inputs[rows, second, 1] = 1.0
    return inputs, (inputs[rows, first, 0] + inputs[rows, second, 0])[:, None]


def adding_floor() -> float:
    """Mean squared error of always answering 1: the variance of a sum of two uniform values, 1/6."""
    return 1 / 6


def copy_memory(
    steps: int, count: int, seed: Seed, symbols: int = 8, length: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """The copy memory task: see ``length`` symbols, wait, say them again in order.

    A row has ``length`` symbols drawn evenly from ``1 .. symbols``, then ``steps - 1`` blanks (0), one mark
    (``symbols + 1``), and ``length`` blanks, during which the symbols are to be answered; everywhere else the target
    is blank. Each symbol is answered ``steps + length`` steps after it was seen. This is the definition of Hochreiter
    and Schmidhuber 1997 as Arjovsky et al. 2016 put it; Bai et al. 2018 repeat the mark to the end of the row.

    Returns:
        Inputs and targets, both ``(count, steps + 2 * length)`` int64, in ``0 .. symbols + 1``.

    Raises:
        InputError: a size below one, one symbol alone, or a negative seed.
    """
    _at_least(1, steps=steps, length=length)
    _at_least(2, symbols=symbols)
    words = _generator(count, seed).integers(1, symbols + 1, (count, length))
    inputs = np.zeros((count, steps + 2 * length), np.int64)
    targets = np.zeros_like(inputs)
    inputs[:, :length] = targets[:, -length:] = words
    inputs[:, length + steps - 1] = symbols + 1
    return inputs, targets


def copy_floor(steps: int, symbols: int = 8, length: int = 10) -> Floor:
    """What knowing the time alone gets: blanks for certain, then any symbol as likely as the other.

    The loss is ``length * ln(symbols) / (steps + 2 * length)`` nats a step, over all steps; the accuracy, over the
    last ``length`` steps alone, is ``1 / symbols``.
    """
    return Floor(length * math.log(symbols) / (steps + 2 * length), 1 / symbols)


def parity(
    steps: int, count: int, seed: Seed, shortest: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Parity of random bits: is the number of ones odd? One state of one bit, which every single step can turn.

    Source: Bengio, Simard and Frasconi 1994, who let the lengths vary.

    Args:
        steps: bits in a row, or in the longest.
        count: rows.
        seed: what decides all bits.
        shortest: where given, lengths are uniform in ``shortest .. steps``; otherwise all rows are full.

    Returns:
        Bits ``(count, steps)``; lengths ``(count,)``; at each step the parity of the bits up to it ``(count, steps)``;
        the parity of the whole row ``(count,)``. All int64, bits and parities 0 or 1, both zero past the length.

    Raises:
        InputError: a size below one, ``shortest`` above ``steps``, or a negative seed.
    """
    shortest = steps if shortest is None else shortest
    _at_least(1, steps=steps, shortest=shortest)
    if shortest > steps:
        raise InputError(f"shortest={shortest} is more than steps={steps}: give a number from 1 to {steps}")
    random = _generator(count, seed)
    bits = random.integers(0, 2, (count, steps), dtype=np.int8)
    lengths = random.integers(shortest, steps + 1, count)
    valid = np.arange(steps) < lengths[:, None]
    bits *= valid
    prefixes = np.bitwise_xor.accumulate(bits, axis=1)
    whole = prefixes[:, -1].astype(np.int64)  # zeros after the end change no parity
    return bits.astype(np.int64), lengths, (prefixes * valid).astype(np.int64), whole


def parity_floor() -> float:
    """Accuracy of guessing: one half, at every step and for the whole row, whatever else but all bits is known."""
    return 0.5


@dataclass(frozen=True)
class Adding:
    """The adding problem in three parts: targets ``(count, 1)`` float32; see ``adding``.

    Args:
        steps: ``T``.
        train: examples to learn from; 50,000 and 1,000 for the test are those of Bai et al. 2018.
        val: examples to validate on.
        test: examples for the end.
        seed: what decides all parts; each has a stream of its own.

    Raises:
        InputError: an impossible size or a negative seed, when the parts are made.
    """

    dataset = ArrayData

    steps: int = 600
    train: int = 50_000
    val: int = 1_000
    test: int = 1_000
    seed: int = 0
    name = "adding"

    @property
    def spec(self) -> DataSpec:
        """One number for a row of pairs."""
        return DataSpec(task="regression", num_outputs=1, labels=("sum",), num_features=2)

    @property
    def floor(self) -> dict[str, float]:
        """Mean squared error of always answering 1."""
        return {"always_1": adding_floor()}

    def digest(self) -> str:
        """Of the parameters and ``VERSION``: equal digests mean equal parts."""
        return digest_of(self, VERSION)

    def splits(self) -> dict[str, Part]:
        """``train``, ``val`` and ``test``; no example stands in two of them."""

        def draw(count: int, seed: Seed) -> Part:
            inputs, targets = adding(self.steps, count, seed)
            return Part(inputs, np.full(count, self.steps), targets)

        return _apart(self, draw)


@dataclass(frozen=True)
class CopyMemory:
    """The copy memory task in three parts: targets ``(count, steps + 2 * length)`` int64; see ``copy_memory``.

    Args:
        steps: how long the wait is.
        symbols: size of the alphabet, without blank and mark.
        length: symbols to remember.
        train: examples to learn from.
        val: examples to validate on.
        test: examples for the end.
        seed: what decides all parts; each has a stream of its own.

    Raises:
        InputError: an impossible size, a negative seed, or too few different sequences to keep the parts apart, when
            the parts are made.
    """

    dataset = ArrayData

    steps: int = 200
    symbols: int = 8
    length: int = 10
    train: int = 50_000
    val: int = 1_000
    test: int = 1_000
    seed: int = 0
    name = "copy"

    @property
    def spec(self) -> DataSpec:
        """A symbol for every step; blank is id 0, and reads as nothing."""
        labels = ("blank", *(str(symbol) for symbol in range(1, self.symbols + 1)), "mark")
        return DataSpec("tagging", len(labels), labels, vocab_size=len(labels), blank="blank")

    @property
    def floor(self) -> dict[str, float]:
        """Accuracy, on the symbols to repeat, of guessing them."""
        return {"without_memory": copy_floor(self.steps, self.symbols, self.length).accuracy}

    def digest(self) -> str:
        """Of the parameters and ``VERSION``: equal digests mean equal parts."""
        return digest_of(self, VERSION)

    def splits(self) -> dict[str, Part]:
        """``train``, ``val`` and ``test``; no example stands in two of them."""

        def draw(count: int, seed: Seed) -> Part:
            inputs, targets = copy_memory(self.steps, count, seed, self.symbols, self.length)
            return Part(inputs, np.full(count, inputs.shape[1]), targets)

        return _apart(self, draw)


@dataclass(frozen=True)
class Parity:
    """Parity of random bits in three parts: int64 targets, ``(count,)`` or ``(count, steps)``; see ``parity``.

    Args:
        steps: bits in a row, or in the longest.
        shortest: bits in the shortest, where lengths are to vary.
        asked: ``whole``, the parity of the row, or ``prefixes``, the parity so far at every step.
        train: examples to learn from.
        val: examples to validate on.
        test: examples for the end.
        seed: what decides all parts; each has a stream of its own.

    Raises:
        InputError: an impossible size, a negative seed, or too few different sequences to keep the parts apart, when
            the parts are made.
    """

    dataset = ArrayData

    steps: int = 100
    shortest: int | None = None
    asked: Literal["whole", "prefixes"] = "whole"
    train: int = 50_000
    val: int = 1_000
    test: int = 1_000
    seed: int = 0
    name = "parity"

    @property
    def spec(self) -> DataSpec:
        """Even or odd, for a row of bits or at each of them; a zero reads as nothing."""
        task = "classification" if self.asked == "whole" else "tagging"
        return DataSpec(task=task, num_outputs=2, labels=("even", "odd"), vocab_size=2)

    @property
    def floor(self) -> dict[str, float]:
        """Accuracy of guessing."""
        return {"guessing": parity_floor()}

    def digest(self) -> str:
        """Of the parameters and ``VERSION``: equal digests mean equal parts."""
        return digest_of(self, VERSION)

    def splits(self) -> dict[str, Part]:
        """``train``, ``val`` and ``test``; no example stands in two of them."""
        if self.asked not in ("whole", "prefixes"):
            raise InputError(f"asked={self.asked!r} is unknown: choose one of whole, prefixes")

        def draw(count: int, seed: Seed) -> Part:
            bits, lengths, prefixes, whole = parity(self.steps, count, seed, self.shortest)
            return Part(bits, lengths, whole if self.asked == "whole" else prefixes)

        return _apart(self, draw)


Generated = Adding | CopyMemory | Parity


def _apart(task: Generated, draw: Callable[[int, Seed], Part]) -> dict[str, Part]:
    """Draw the three parts; whatever already stands in an earlier part is drawn anew."""
    _at_least(1, train=task.train, val=task.val, test=task.test)
    _at_least(0, seed=task.seed)
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


def _generator(count: int, seed: Seed) -> np.random.Generator:
    _at_least(1, count=count)
    for part in [seed] if isinstance(seed, int) else seed:
        _at_least(0, seed=part)
    return np.random.default_rng(seed)


def _at_least(least: int, **sizes: int) -> None:
    for name, size in sizes.items():
        if size < least:
            raise InputError(f"{name}={size} is too small: give a whole number of at least {least}")
