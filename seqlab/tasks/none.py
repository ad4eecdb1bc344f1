"""What questions share that need little: no options of their own, nothing to check, nothing to watch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NoOptions:
    """No options besides the objective's."""
