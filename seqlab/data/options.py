"""Checks that the options of several forms of data share."""

from __future__ import annotations

from seqlab.types import InputError


def check_counts(**counts: int | None) -> None:
    """Refuse a count below 1.

    Raises:
        InputError: it names the key of ``data``.
    """
    for name, count in counts.items():
        if count is not None and count < 1:
            raise InputError(f"data.{name} must be at least 1, not {count}.")


def check_fraction(**fractions: float) -> None:
    """Refuse what is no part of a whole.

    Raises:
        InputError: it names the key of ``data``.
    """
    for name, fraction in fractions.items():
        if not 0 < fraction < 1:
            raise InputError(f"data.{name} must be a number between 0 and 1, not {fraction}.")
