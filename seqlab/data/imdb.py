"""The Large Movie Review Dataset: Maas et al., "Learning Word Vectors for Sentiment Analysis", ACL 2011."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from seqlab.data.archive import matching_files
from seqlab.data.fetch import fetch
from seqlab.data.labelled import Examples, LabelledText, RawText
from seqlab.types import InputError

URL = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
DIGEST = "md5:7c2ac02c03563afcf9b574c7e56c153a"  # the one that torchtext and others check against
LABELS = ("neg", "pos")
COUNTS = {
    ("train", "neg"): 12_500,
    ("train", "pos"): 12_500,
    ("test", "neg"): 12_500,
    ("test", "pos"): 12_500,
}
UNLABELLED = {("train", "unsup"): 50_000}

_FILE = re.compile(rb"(\d{1,9})_(\d{1,2})\.txt")
_MEMBER = re.compile(rb"(?:\./)?aclImdb/(train|test)/(neg|pos|unsup)/" + _FILE.pattern)

Folder = tuple[str, str]
"""``(part, label)``, as in ``aclImdb/train/neg``."""


class _Review(NamedTuple):
    number: int
    rating: int
    text: str


class IMDB:
    """Film reviews with the verdict they end on: 25,000 to train, 25,000 to test, 50,000 without a label.

    Args:
        root: holds ``aclImdb_v1.tar.gz``, or the folder ``aclImdb`` that is in it; the archive is preferred and read in
            place.
        download: get the archive when neither is there.
    """

    dataset = LabelledText

    name = "imdb"

    def __init__(self, root: str | Path, download: bool = True) -> None:
        self.root = Path(root)
        self.download = download

    def digest(self) -> str:
        """Of the archive's bytes (50 ms), or of the names, sizes and times of the folder's files."""
        path = self._find()
        found = hashlib.sha256()
        if path.is_dir():
            for part, label in COUNTS:
                for entry in sorted(_entries(path / part / label), key=lambda entry: entry.name):
                    facts = entry.stat()
                    found.update(f"{part}/{label}/{entry.name} {facts.st_size} {facts.st_mtime_ns}\n".encode())
        else:
            with open(path, "rb") as file:
                while chunk := file.read(1 << 20):
                    found.update(chunk)
        return found.hexdigest()

    def read(self) -> RawText:
        """Both labelled parts, by label and by the number in the file's name: 0.8 s from the archive.

        Raises:
            InputError: nothing there, a damaged archive, not the official number of reviews.
        """
        reviews = self._read(COUNTS)
        return RawText(labels=LABELS, train=_examples(reviews, "train"), test=_examples(reviews, "test"))

    def unlabelled(self) -> Iterator[str]:
        """The 50,000 reviews without a label, by number.

        Raises:
            InputError: as ``read``.
        """
        for reviews in self._read(UNLABELLED).values():
            yield from (review.text for review in reviews)

    def _find(self) -> Path:
        archive, folder = self.root / "aclImdb_v1.tar.gz", self.root / "aclImdb"
        if archive.is_file():
            return archive
        if folder.is_dir():
            return folder
        if not self.download:
            raise InputError(f"there is neither {archive} nor {folder}: download {URL} and put it at {archive}.")
        return fetch(URL, archive, DIGEST)

    def _read(self, expected: dict[Folder, int]) -> dict[Folder, list[_Review]]:
        path = self._find()
        reviews: dict[Folder, list[_Review]] = {folder: [] for folder in expected}
        files = _files_of_folder(path, expected) if path.is_dir() else _files_of_archive(path)
        for folder, number, rating, data in files:
            if folder in reviews:
                try:
                    reviews[folder].append(_Review(number, rating, data.decode("utf-8")))
                except UnicodeDecodeError as error:
                    file = f"{'/'.join(folder)}/{number}_{rating}.txt"
                    raise InputError(f"{file} of {path} is not UTF-8 text ({error}): get the data again.") from error
        found = Counter({folder: len(rows) for folder, rows in reviews.items()})
        if found != expected:
            listed = ", ".join(
                f"{'/'.join(folder)} {found[folder]:,} (not {expected[folder]:,})"
                for folder in expected
                if found[folder] != expected[folder]
            )
            raise InputError(f"{path} does not hold the official reviews but {listed}: get {URL} again.")
        for rows in reviews.values():
            rows.sort()
        return reviews


def _examples(reviews: dict[Folder, list[_Review]], part: str) -> Examples:
    texts = [review.text for label in LABELS for review in reviews[part, label]]
    targets = [LABELS.index(label) for label in LABELS for _ in reviews[part, label]]
    return texts, targets


def _files_of_archive(path: Path) -> Iterator[tuple[Folder, int, int, bytes]]:
    for match, data in matching_files(path, _MEMBER):
        part, label, number, rating = match.groups()
        yield (part.decode(), label.decode()), int(number), int(rating), data


def _files_of_folder(path: Path, folders: dict[Folder, int]) -> Iterator[tuple[Folder, int, int, bytes]]:
    for folder in folders:
        for entry in _entries(path.joinpath(*folder)):
            match = _FILE.fullmatch(os.fsencode(entry.name))
            if match and entry.is_file():
                with open(entry.path, "rb") as file:
                    yield folder, int(match[1]), int(match[2]), file.read()


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder; nothing when it is not there, for the counts will tell."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
