"""Small files that are written whole or not at all, whatever happens to the process or the power."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def write_text(path: str | Path, text: str) -> None:
    """Replace ``path`` by ``text`` (UTF-8): written beside it, synced, renamed. A crash leaves the old file or the new.

    Raises:
        OSError: the folder cannot be written or the disk is full; the old file stays.
    """
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: str | Path, data: bytes) -> None:
    """As ``write_text``, for bytes."""
    path = Path(path)
    # One name, not a random one: what a killed process leaves behind is overwritten by the next.
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with open(unfinished, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` durable, where folders can be opened (not on Windows)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
