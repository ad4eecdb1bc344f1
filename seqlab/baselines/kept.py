"""Numbers of a floor, kept on disk under the digest of what they were computed from."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from seqlab.paths import is_mine, own_folder, private

log = logging.getLogger(__name__)


def kept(
    path: Path | None,
    compute: Callable[[], dict[str, float]],
    *,
    digest: str,
    version: int,
    methods: Sequence[str],
    at_most: float = sys.float_info.max,
) -> dict[str, float]:
    """What ``compute`` answers: a number between 0 and ``at_most`` for each of ``methods``; read from ``path`` if kept.

    The file is believed only if it says the same ``digest`` and ``version``; a damaged one is computed anew. A place
    that cannot be written costs a warning. Without ``path`` nothing is kept.
    """
    if path is None:
        return compute()
    known = _read(path, digest, version, methods, at_most)
    if known is None:
        known = compute()
        _write(path, {"format": version, "digest": digest, "floor": known})
    return known


def _read(path: Path, digest: str, version: int, methods: Sequence[str], at_most: float) -> dict[str, float] | None:
    try:
        if not path.exists():
            return None
        if not (is_mine(path.parent) and is_mine(path)):
            raise PermissionError("it belongs to another user, or others may write to it")
        content = json.loads(path.read_text(encoding="utf-8"))
        if (content["format"], content["digest"]) != (version, digest):
            return None
        result = {method: float(content["floor"][method]) for method in methods}
        if not all(0 <= number <= at_most for number in result.values()):
            raise ValueError(f"a number outside 0 to {at_most:g}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("the cached floor %s is damaged (%s): computing it again", path, error)
        return None
    return result


def _write(path: Path, content: dict[str, object]) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        own_folder(path.parent)
        with open(temporary, "w", encoding="utf-8", opener=private) as file:
            json.dump(content, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        log.warning("the floor is not kept for next time, for %s cannot be written (%s)", path, error)
