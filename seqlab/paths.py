"""Where the shipped configs are, and where things that can be made again are kept."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_ROOM = Path(__file__).resolve().parent
CONFIGS = _ROOM / "configs" if (_ROOM / "configs").is_dir() else _ROOM.parent / "configs"
"""The configs inside an installed wheel, or those of the checkout."""


def cache_dir() -> Path:
    """Token caches, floors, compiled kernels: ``SEQLAB_CACHE``, else the user's cache folder; may be deleted."""
    if named := os.environ.get("SEQLAB_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seqlab"


def own_folder(path: Path) -> Path:
    """Make a folder of the cache for this user alone (0700), with the folders above it.

    Raises:
        OSError: it cannot be made, or it is not this user's alone, so what lies there must not be believed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    if not is_mine(path):
        raise PermissionError(f"{path} belongs to another user, or others may write to it (chmod go-w makes it yours)")
    return path


def is_mine(path: Path) -> bool:
    """Whether a file or folder is this user's and nobody else may write to it; links are not followed."""
    found = path.lstat()
    sort = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
    if not hasattr(os, "getuid"):  # Windows: folders of a user are that user's
        return sort
    return sort and found.st_uid == os.getuid() and not found.st_mode & 0o022


def private(path: str, flags: int) -> int:
    """Opener of files that this user alone may read and write (0600): ``open(path, "w", opener=private)``."""
    return os.open(path, flags, 0o600)
