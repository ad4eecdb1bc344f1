"""Checks of constructor arguments: a person's slip is answered with one sentence that names the option."""

from __future__ import annotations

import math
from collections.abc import Sequence
from difflib import get_close_matches

from seqlab.types import InputError


def check_choice(option: str, value: str, choices: Sequence[str]) -> None:
    """Refuse a ``value`` that is not among ``choices``, with the nearest one as a hint.

    Raises:
        InputError: the value is unknown.
    """
    if value in choices:
        return
    near = get_close_matches(str(value), choices, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise InputError(f"{option}={value!r} is unknown: {hint}choose one of {', '.join(choices)}")


def check_share(option: str, value: float) -> None:
    """Refuse a dropout probability outside ``[0, 1)``.

    Raises:
        InputError: the value lies outside.
    """
    if not 0.0 <= value < 1.0:
        raise InputError(f"{option}={value} is no dropout probability: give a number from 0 up to, not including, 1")


MOST_LAYERS = 1000
"""More layers than any recurrent network has; each is an object, so their number is bounded before they are made."""


def check_layers(count: int) -> None:
    """Refuse a number of layers outside ``1 .. MOST_LAYERS``.

    Raises:
        InputError: the number lies outside.
    """
    check_positive("num_layers", count)
    if count > MOST_LAYERS:
        raise InputError(f"num_layers={count:,} is too many: give at most {MOST_LAYERS:,}")


def check_finite(option: str, value: float, least: float = -math.inf) -> None:
    """Refuse a number that is NaN, infinite, beyond float32 or below ``least``.

    Raises:
        InputError: the value lies outside.
    """
    if not max(least, -LARGEST) <= value <= LARGEST:
        bound = "" if least < -LARGEST else f" of at least {least:g}"
        raise InputError(f"{option} must be a finite number{bound}, not {value}")


LARGEST = 3.4e38
"""What a float32 holds."""


def check_positive(option: str, value: int) -> None:
    """Refuse a size below one.

    Raises:
        InputError: the value is zero or negative.
    """
    if value < 1:
        raise InputError(f"{option}={value} is no size: give a whole number of at least 1")


def layer_widths(
    hidden_size: int | Sequence[int], num_layers: int | None, default: int = 1, layers: str = "layers"
) -> list[int]:
    """The width of each layer: one for all of ``num_layers``, or a list of widths.

    Args:
        hidden_size: the width of every layer, or of each.
        num_layers: how many; None for ``default``, or as many as the list has.
        default: see there.
        layers: what they are called in messages.

    Raises:
        InputError: numbers that contradict each other, or are out of range.
    """
    if isinstance(hidden_size, int):
        count = default if num_layers is None else num_layers
        check_layers(count)
        widths = [hidden_size] * count
    else:
        widths = list(hidden_size)
    if num_layers is not None and num_layers != len(widths):
        raise InputError(
            f"num_layers={num_layers} contradicts hidden_size={widths}, which lists {len(widths)} {layers}: "
            "leave num_layers out, or make the two agree"
        )
    check_layers(len(widths))
    for width in widths:
        check_positive("hidden_size", width)
    return widths
