"""Multi30k, task 1: Elliott et al., "Multi30K: Multilingual English-German Image Descriptions", 2016."""

from __future__ import annotations

import hashlib
from pathlib import Path

from seqlab.data.fetch import fetch
from seqlab.data.files import file_digest
from seqlab.data.pairs import aligned
from seqlab.data.parallel import ParallelText, RawPairs, Sentences
from seqlab.types import InputError

PARTS = {"train": 29_000, "val": 1_014, "test_2016_flickr": 1_000}
URL = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/"
DIGESTS = {
    "train.de": "sha256:726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
    "train.en": "sha256:d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    "val.de": "sha256:f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
    "val.en": "sha256:14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
    "test_2016_flickr.de": "sha256:9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
    "test_2016_flickr.en": "sha256:611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
}
"""Of the files that are downloaded, as ``.gz``. Other languages are not, for want of digests that we have seen."""


class Multi30k:
    """Descriptions of pictures in several languages: 29,000 pairs to train on, 1,014 to validate, 1,000 to test.

    Args:
        root: holds ``train``, ``val`` and ``test_2016_flickr``, each with ``.de``, ``.en`` ... for its language, plain
            or with ``.gz``; or a folder ``multi30k`` of them.
        source: the language to translate from.
        target: the language to translate to.
        download: get German and English (1.3 MB) when they are not there.
    """

    dataset = ParallelText

    name = "multi30k"

    def __init__(self, root: str | Path, source: str = "de", target: str = "en", download: bool = True) -> None:
        if source == target:
            raise InputError(f"source and target are both '{source}': name two languages, for example de and en.")
        self.root, self.source, self.target, self.download = Path(root), source, target, download

    def digest(self) -> str:
        """Of the languages and of the files' bytes (1 ms).

        Raises:
            InputError: a file is not there and cannot be had.
        """
        found = hashlib.sha256(f"{self.source} {self.target}".encode())
        for part in PARTS:
            for path in self._paths(part):
                found.update(file_digest(path))
        return found.hexdigest()

    def read(self) -> RawPairs:
        """All parts, in the files' order: 0.1 s.

        Raises:
            InputError: a file is not there and cannot be had, lines do not pair up, not the official number of them.
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
        if self.download and name in DIGESTS:
            return fetch(f"{URL}{name}.gz", self.root / "multi30k" / f"{name}.gz", DIGESTS[name])
        raise InputError(
            f"there is no {name} or {name}.gz in {self.root} or {self.root / 'multi30k'}: put the raw sentences of "
            f"Multi30k's task 1 there ({', '.join(PARTS)}, each as .{self.source} and .{self.target}, from {URL})."
        )
