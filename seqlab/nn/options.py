"""Checks of constructor arguments: a person's slip is answered with one sentence that names the option."""

from __future__ import annotations

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


def check_positive(option: str, value: int) -> None:
    """Refuse a size below one.

    Raises:
        InputError: the value is zero or negative.
    """
    if value < 1:
        raise InputError(f"{option}={value} is no size: give a whole number of at least 1")
