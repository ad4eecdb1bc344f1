"""Multi30k, task 1: Elliott et al., "Multi30K: Multilingual English-German Image Descriptions", 2016."""

from __future__ import annotations

import hashlib
from pathlib import Path

from seqlab.data.files import file_digest
from seqlab.data.pairs import aligned
from seqlab.data.parallel import RawPairs, Sentences
from seqlab.types import InputError

PARTS = {"train": 29_000, "val": 1_014, "test_2016_flickr": 1_000}


class Multi30k:
    """Descriptions of pictures in several languages: 29,000 pairs to train on, 1,014 to validate, 1,000 to test.

    Args:
        root: holds ``train``, ``val`` and ``test_2016_flickr``, each with ``.de``, ``.en`` ... for its language, plain
            or with ``.gz``; or a folder ``multi30k`` of them.
        source: the language to translate from.
        target: the language to translate to.
    """

    name = "multi30k"

    def __init__(self, root: str | Path, source: str = "de", target: str = "en") -> None:
        if source == target:
            raise InputError(f"source and target are both '{source}': name two languages, for example de and en.")
        self.root, self.source, self.target = Path(root), source, target

    def digest(self) -> str:
        """Of the languages and of the files' bytes (1 ms)."""
        found = hashlib.sha256(f"{self.source} {self.target}".encode())
        for part in PARTS:
            for path in self._paths(part):
                found.update(file_digest(path))
        return found.hexdigest()

    def read(self) -> RawPairs:
        """All parts, in the files' order: 0.1 s.

        Raises:
            InputError: no such file, lines that do not pair up, not the official number of them.
        """
        train, val, test = (self._read(part) for part in PARTS)
        return RawPairs(train=train, test=test, val=val)

    def _read(self, part: str) -> Sentences:
        source, target = self._paths(part)
        sentences = aligned(source, target)
        if len(sentences[0]) != PARTS[part]:
            raise InputError(
                f"{source} has {len(sentences[0]):,} lines, but Multi30k has {PARTS[part]:,} there: get the raw "
                "sentences of task 1 again."
            )
        return sentences

    def _paths(self, part: str) -> tuple[Path, Path]:
        source, target = (self._path(f"{part}.{language}") for language in (self.source, self.target))
        return source, target

    def _path(self, name: str) -> Path:
        for folder in (self.root, self.root / "multi30k"):
            for path in (folder / name, folder / f"{name}.gz"):
                if path.is_file():
                    return path
        raise InputError(
            f"there is no {name} or {name}.gz in {self.root} or {self.root / 'multi30k'}: put the raw sentences of "
            f"Multi30k's task 1 there ({', '.join(PARTS)}, each as .{self.source} and .{self.target}; "
            "github.com/multi30k/dataset has them)."
        )
