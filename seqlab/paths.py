"""Where the shipped configs are, and where things that can be made again are kept."""

from __future__ import annotations

import os
from pathlib import Path

_ROOM = Path(__file__).resolve().parent
CONFIGS = _ROOM / "configs" if (_ROOM / "configs").is_dir() else _ROOM.parent / "configs"
"""The configs inside an installed wheel, or those of the checkout."""


def cache_dir() -> Path:
    """Token caches, floors, compiled kernels: ``SEQLAB_CACHE``, else the user's cache folder; may be deleted."""
    if named := os.environ.get("SEQLAB_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seqlab"
