"""The embedded sample: product reviews made by our own grammar, there on every machine without a download."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from seqlab.data.grammar import SEED, write_reviews
from seqlab.data.labelled import Examples, LabelledText, RawText

log = logging.getLogger(__name__)

LABELS = ("neg", "pos")
COUNTS = {"train": 3200, "test": 1000}
FOLDER = "reviews-v1"
DIGEST = "fe09df5562f0ac78f78592e43a150c26f59c496cdf172b6dd7dc88589131f727"
"""Sha256 of every path and text; a change to the grammar changes it, and then ``FOLDER`` must change too."""


class Reviews:
    """3,200 training and 1,000 test reviews, half of them positive, no test review among the training ones.

    Most verdicts hang on negation, contrast, concession or order, which counting words and word pairs cannot read.
    They are written on first use, in the form of the IMDB archive:
    ``reviews-v1/{train,test}/{pos,neg}/ID_RATING.txt``. A folder that was changed is written anew, never believed.

    Args:
        cache_dir: where the folder goes; where nothing can be written, the sample stays in memory.
    """

    dataset = LabelledText

    name = "reviews"

    def __init__(self, cache_dir: str | Path):
        self.folder = Path(cache_dir) / FOLDER

    def digest(self) -> str:
        """A constant: ``read`` answers this very sample, whatever happened to the folder."""
        return DIGEST

    def read(self) -> RawText:
        """Both parts, negative reviews first, each class in the order of its ids."""
        files = self._load()
        if _digest(files) != DIGEST:
            if files:
                log.warning("the reviews in %s were changed: writing them again", self.folder)
            files = generate()
            assert _digest(files) == DIGEST, "the grammar no longer makes the sample that DIGEST names"
            self._store(files)
        return RawText(labels=LABELS, train=_examples(files, "train"), test=_examples(files, "test"))

    def _load(self) -> dict[str, bytes]:
        """Path within the folder -> content, for whatever files are there."""
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in paths}

    def _store(self, files: Mapping[str, bytes]) -> None:
        unfinished = None
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            unfinished = Path(tempfile.mkdtemp(prefix=f".{FOLDER}-", dir=self.folder.parent))
            for name, content in files.items():
                path = unfinished / "new" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            if self.folder.exists():
                os.replace(self.folder, unfinished / "old")
            os.replace(unfinished / "new", self.folder)
        except OSError as error:
            log.warning("keeping the sample reviews in memory, for %s cannot be written (%s)", self.folder, error)
        finally:
            if unfinished is not None:
                shutil.rmtree(unfinished, ignore_errors=True)


def generate() -> dict[str, bytes]:
    """The whole sample in memory: path within the folder -> content. The same on every platform and Python version."""
    files: dict[str, bytes] = {}
    known: set[str] = set()
    for seed, (part, count) in enumerate(COUNTS.items(), start=SEED):
        for number, (text, label) in enumerate(write_reviews(count, seed, known)):
            rating = 8 if label else 3
            files[f"{part}/{LABELS[label]}/{number // 2}_{rating}.txt"] = text.encode()
    return files


def _examples(files: Mapping[str, bytes], part: str) -> Examples:
    texts: list[str] = []
    targets: list[int] = []
    for label, name in enumerate(LABELS):
        prefix = f"{part}/{name}/"
        paths = [path for path in files if path.startswith(prefix)]
        paths.sort(key=lambda path: int(path[len(prefix) :].split("_")[0]))
        texts += [files[path].decode() for path in paths]
        targets += [label] * len(paths)
    return texts, targets


def _digest(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path}\0{len(files[path])}\0".encode() + files[path])
    return digest.hexdigest()
