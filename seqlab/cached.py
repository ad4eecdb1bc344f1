"""What lies in the cache folder, known by how seqlab names it. All of it can be made again; the rest is left alone."""

from __future__ import annotations

import re
import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FORMS = {
    r"\.?(?P<name>[\w-]+)-[0-9a-f]{20}(-[0-9a-f]{8})?": "token ids of {name}",  # with a dot: left by a killed process
    r"reviews-v\d+|\.reviews-v\d+-\w+": "texts of data=reviews",
    r"floors": "floors",
    r"kernels": "compiled cells",
}
"""How entries are named, and what they are: token caches by ``data/cache.py``, the others by their own rooms."""


@dataclass(frozen=True)
class Cached:
    """What belongs together.

    Attributes:
        what: in a person's words.
        paths: its entries of the cache folder.
        files: how many files those hold.
        size: bytes.
        newest: when a file was last written, in seconds since 1970.
    """

    what: str
    paths: Sequence[Path]
    files: int
    size: int
    newest: float

    def remove(self) -> None:
        """Delete it. A run that has it open keeps what it has."""
        for path in self.paths:
            shutil.rmtree(path)


def cached(folder: Path) -> list[Cached]:
    """What seqlab put into ``folder``, the largest first; whatever else lies there is left out."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        for form, what in FORMS.items():
            if (match := re.fullmatch(form, path.name)) and path.is_dir() and not path.is_symlink():
                found[what.format(**match.groupdict())].append(path)
                break
    return sorted((_measured(what, paths) for what, paths in found.items()), key=lambda one: -one.size)


def _measured(what: str, paths: list[Path]) -> Cached:
    facts = [file.stat() for path in paths for file in path.rglob("*") if file.is_file()]
    newest = max((fact.st_mtime for fact in facts), default=0.0)
    return Cached(what, paths, len(facts), sum(fact.st_size for fact in facts), newest)
