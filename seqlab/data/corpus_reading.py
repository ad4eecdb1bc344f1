"""Running text, read piece by piece: cut by position, encoded, never held in memory as a whole."""

from __future__ import annotations

import sys
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from seqlab.data import cache
from seqlab.text.pieces import groups, last_cut
from seqlab.text.pipeline import TextPipeline
from seqlab.types import InputError

_PIECE = 1 << 20  # characters that are held at a time
_LONGEST = 1 << 22  # likewise, where no white space lets them be cut
_SHORT = 100  # characters: no fraction makes parts of less
PARTS = {"train": "training", "val": "validation", "test": "test"}


class CorpusSource(Protocol):
    """Names running text; anything with these three is one."""

    name: str

    def digest(self) -> str:
        """A digest of the files and of the options they are read with; cheap, for it is asked at every start."""
        ...

    def read(self) -> Iterator[tuple[bool, str]]:
        """All text in order, in pieces of any size: whether a document begins with this piece, and the piece."""
        ...


class PartedSource(CorpusSource, Protocol):
    """A source some of whose parts are files of their own: ``read`` gives ``train``, then these.

    Attributes:
        own_parts: ``val``, ``test`` or both.
    """

    @property
    def own_parts(self) -> tuple[str, ...]:
        """Which parts those are."""
        ...

    def read_part(self, part: str) -> Iterator[tuple[bool, str]]:
        """One part, as ``read`` gives it."""
        ...


def own_parts(source: CorpusSource | PartedSource) -> tuple[str, ...]:
    """The parts of a source that are files of their own."""
    return tuple(getattr(source, "own_parts", ()))


def _ends(source: CorpusSource | PartedSource, shares: Sequence[float], show: Callable[..., None]) -> list[int]:
    """Where the parts end, counted in characters from the beginning of all text."""
    own = own_parts(source)
    sizes = {}
    for part in ("train", *own):
        sizes[part] = 0
        for _, text in source.read_part(part) if own else source.read():  # type: ignore[union-attr]
            sizes[part] += len(text)
            show("reading", sum(sizes.values()), None)
    if sizes["train"] == 0:
        raise InputError(f"{getattr(source, 'path', source.name)} holds no text: bring some.")
    if "val" not in own:
        ends = [int(sizes["train"] * share) for share in shares]
        return [*ends, ends[-1] + sizes["test"]] if own else ends
    ends = [sizes["train"], sizes["train"] + sizes["val"]]
    return [*ends, ends[-1] + sizes["test"]] if "test" in own else ends


def fractions(val_fraction: float, test_fraction: float) -> list[float]:
    """Where the parts end, as shares of the text."""
    if not 0 < val_fraction < 1:
        raise InputError(f"val_fraction must lie between 0 and 1, not {val_fraction}.")
    if not 0 <= test_fraction < 1:
        raise InputError(f"test_fraction must be at least 0 and below 1, not {test_fraction}.")
    # Rounded, for 1 - 0.05 - 0.05 is a little less than 0.9.
    train, val = round(1 - val_fraction - test_fraction, 12), round(1 - test_fraction, 12)
    if train <= 0:
        raise InputError(
            f"val_fraction={val_fraction} and test_fraction={test_fraction} leave nothing to train on: lower them."
        )
    return [train, val, 1.0] if test_fraction else [train, 1.0]


def build(
    source: CorpusSource, pipeline: TextPipeline, shares: Sequence[float], cache_dir: str | Path | None, key: str
) -> cache.Contents:
    """Count, learn the tokens, encode; into the cache if there is one, else into memory.

    Raises:
        InputError: no text, or a part with fewer than two tokens.
    """
    with _progress(source.name) as show:
        ends = _ends(source, shares, show)

        def train() -> Iterator[str]:
            done = 0
            for part, _, text in _pieces(source, ends):
                if part > 0:
                    return
                yield text
                done += len(text)
                show("learning the tokens of", done, ends[0])

        pipeline.fit(train())
        if cache_dir is not None:
            try:
                with cache.Draft(cache_dir, source.name, key) as draft:
                    return _encode(source, pipeline, ends, draft, show)
            except OSError as error:
                cache.warn_unwritable(cache_dir, error)
        return _encode(source, pipeline, ends, cache.Memory(), show)


def _encode(
    source: CorpusSource,
    pipeline: TextPipeline,
    ends: Sequence[int],
    target: cache.Draft | cache.Memory,
    show: Callable[[str, int, int | None], None],
) -> cache.Contents:
    size = len(pipeline.tokens)
    dtype = np.dtype(np.uint8 if size <= 1 << 8 else np.uint16 if size <= 1 << 16 else np.int32)
    writers = [_Writer(part, dtype, target) for part in list(PARTS)[: len(ends)]]
    done = 0
    # Of each piece of a group, as it is made: its part, and whether a document begins.
    parts, begins = array("b"), array("b")

    def texts() -> Iterator[str]:
        for part, begin, text in _pieces(source, ends):
            parts.append(part)
            begins.append(begin)
            yield text

    for group in groups(texts(), _PIECE):
        encoded = pipeline.encode(group)
        for part, writer in enumerate(writers):
            rows = np.flatnonzero(np.array(parts) == part)  # contiguous, for the parts follow one another
            if len(rows):
                offsets = encoded.offsets[rows[0] : rows[-1] + 2]
                opening = np.array(begins, dtype=bool)[rows]
                writer.append(encoded.values[offsets[0] : offsets[-1]], (offsets[:-1] - offsets[0])[opening])
        del parts[:], begins[:]
        done += sum(map(len, group))
        show("encoding", done, ends[-1])
    for writer, first, end in zip(writers, (0, *ends), ends, strict=False):
        writer.check(source.name, end - first, ends[-1])
    return target.finish({"pipeline": pipeline.state_dict()})


class _Writer:
    """The ids of one part and where its documents begin, written as they come; documents without a token are none."""

    def __init__(self, part: str, dtype: np.dtype[np.generic], target: cache.Draft | cache.Memory) -> None:
        self._part, self._dtype, self._target = part, dtype, target
        self._length = 0
        self._open = True  # whether the next token begins a document

    def append(self, ids: np.ndarray, begins: np.ndarray) -> None:
        """Add ``ids``, of which those at ``begins`` are the first of a document (if any token follows)."""
        end = self._length + len(ids)
        starts = self._length + begins
        if self._open:
            starts = np.append(self._length, starts)
        self._open = bool((starts == end).any())
        self._target.append(f"{self._part}.ids", ids.astype(self._dtype))
        self._target.append(f"{self._part}.starts", np.unique(starts[starts < end]).astype(np.int64))
        self._length = end

    def check(self, name: str, characters: int, total: int) -> None:
        """Refuse a part too short to ask anything of."""
        if self._length < 2:
            more = "" if self._part == "train" or total < _SHORT else f" or raise {self._part}_fraction"
            raise InputError(
                f"the {PARTS[self._part]} part of {name} has {self._length} token{'s' * (self._length != 1)} "
                f"({characters} character{'s' * (characters != 1)}), but 2 are needed: bring a longer text{more}."
            )


def _pieces(source: CorpusSource, ends: Sequence[int]) -> Iterator[tuple[int, bool, str]]:
    """Part, whether a document begins (or goes on from another part), and text: cut so that no token lies across."""
    part = at = 0
    held, opens = "", True
    for begins, text in source.read():
        if begins:
            if held:
                yield part, opens, held
            held, opens = "", True
        while text:
            if part == len(ends):
                raise InputError(f"{source.name} was changed while it was read: run again.")
            room = ends[part] - at
            now, text = text[:room], text[room:]
            at += len(now)
            held += now
            if at == ends[part]:
                if held:
                    yield part, opens, held
                held, opens, part = "", True, part + 1
            elif len(held) >= _PIECE:
                cut = last_cut(held) or (len(held) if len(held) >= _LONGEST else 0)
                if cut:
                    yield part, opens, held[:cut]
                    held, opens = held[cut:], False
    if held:
        yield part, opens, held


@contextmanager
def _progress(name: str) -> Iterator[Callable[[str, int, int | None], None]]:
    """A bar on standard error that goes when it is through, or a line every five seconds without a terminal."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(name, total=None)
            yield lambda what, done, total: bar.update(task, description=f"{what} {name}", completed=done, total=total)
        return
    last = time.monotonic()

    def line(what: str, done: int, total: int | None) -> None:
        nonlocal last
        if time.monotonic() - last >= 5:
            last = time.monotonic()
            of_total = "" if total is None else f" of {total / 1e6:.0f}"
            print(f"{what} {name}: {done / 1e6:.0f}{of_total} million characters", file=sys.stderr, flush=True)

    yield line
