"""The embedded corpus: rhymed verse made by our own grammar, there on every machine without a download."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

from seqlab.data.corpus import Corpus
from seqlab.data.verse_grammar import write_poem
from seqlab.types import InputError

SEED = 1


class Verses:
    """Poems of a title and two to four quatrains, which rhyme ABAB or AABB; each is a document.

    A model that looks back one or two lines knows what a line must end on, one that looks back to the title what the
    poem is about. They are made in memory, the same on every platform and Python version.

    Args:
        count: poems; 700 are 300,000 characters.

    Raises:
        InputError: ``count`` is below 1.
    """

    dataset = Corpus

    name = "verses"

    def __init__(self, count: int = 700) -> None:
        if count < 1:
            raise InputError(f"count must be at least 1 poem, not {count}.")
        self.count = count

    def digest(self) -> str:
        """Of the whole text."""
        found = hashlib.sha256()
        for _, poem in self.read():
            found.update(poem.encode() + b"\0")
        return found.hexdigest()

    def read(self) -> Iterator[tuple[bool, str]]:
        """One poem after the other, each a document."""
        generator = random.Random(SEED)
        for _ in range(self.count):
            yield True, write_poem(generator)
