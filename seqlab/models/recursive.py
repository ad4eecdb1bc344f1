"""What forecasts that feed on forecasts need."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from seqlab.types import InputError, Role


def check_recursive(encoder: nn.Module, has_past: bool, roles: Sequence[Role], horizon: int) -> None:
    """Refuse what a recursive decoder cannot carry on.

    Args:
        encoder: of the windows.
        has_past: whether it reads columns whose future nobody knows.
        roles: what each number of a forecast stands for.
        horizon: steps ahead.

    Raises:
        InputError: an encoder that reads ahead, columns of the past alone, or a likelihood over several steps.
    """
    if not getattr(encoder, "causal", False):
        raise InputError(
            "decoder=recursive goes on from the state in which a window ends, and this encoder reads ahead: choose "
            "one that reads left to right, or decoder=direct."
        )
    if has_past:
        raise InputError(
            "decoder=recursive needs the future of every column that it reads, and columns of the past alone have "
            "none: make them targets, or choose decoder=direct."
        )
    if tuple(roles) != ("location",) and horizon > 1:
        raise InputError(
            "decoder=recursive feeds one number back and cannot tell how its uncertainty grows: choose "
            "decoder=direct for intervals, or a loss of one number."
        )
