"""Generated tasks with known answers: how far back can a network remember, and what is there to gain by it?

Everything is a function of its arguments and the seed (and of numpy's generator, which keeps its streams in practice
though it does not promise to); nothing is written to disk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from seqlab.data.apart import Seed as Seed
from seqlab.data.apart import apart, at_least, generator
from seqlab.data.apart import digest_of as digest_of
from seqlab.data.arrays import ArrayData
from seqlab.data.arrays import Part as Part
from seqlab.types import DataSpec, InputError

VERSION = 1
"""Goes into every digest; a change to what a seed gives must change it."""


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
    at_least(2, steps=steps)
    random = generator(count, seed)
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
    at_least(1, steps=steps, length=length)
    at_least(2, symbols=symbols)
    words = generator(count, seed).integers(1, symbols + 1, (count, length))
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
    at_least(1, steps=steps, shortest=shortest)
    if shortest > steps:
        raise InputError(f"shortest={shortest} is more than steps={steps}: give a number from 1 to {steps}")
    random = generator(count, seed)
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

        return apart(self, draw)


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

        return apart(self, draw)


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

        return apart(self, draw)
