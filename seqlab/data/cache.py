"""The token cache: encoded data on disk, memory-mapped at the next start, never believed when damaged.

One folder for each key::

    imdb-1f0c.../meta.json           key, labels, pipeline, and size, type and checksum of every array
                 train.values.npy    one dimension, whole numbers
                 ...

The folder is written beside its place and renamed, so that a reader meets all of it or nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

import seqlab
from seqlab.paths import is_mine, own_folder, private

log = logging.getLogger(__name__)

FORMAT = 2
_CHUNK = 1 << 20
_HEADER = 128  # bytes of an .npy file before a one-dimensional array


@dataclass(frozen=True)
class Contents:
    """What one cache folder holds.

    Attributes:
        arrays: one-dimensional ones by name.
        facts: plain JSON data that belongs to them: the ``pipeline``'s state, ``labels``.
        digest: sha256 of both: the same contents, the same digest, wherever they came from.
    """

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]
    digest: str

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Contents:
        """The contents that these arrays and facts are: 10 ms for 50 MB."""
        arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        sums = {name: (len(array), zlib.crc32(array.data)) for name, array in arrays.items()}
        return cls(arrays, facts, _sha256(_description(sums, facts)))


def key_of(source_digest: str, pipeline_config: Mapping[str, Any], *split: float | str) -> str:
    """What decides the contents: the files, how they are read, how they are split, and which code did it."""
    return _sha256([FORMAT, seqlab.__version__, source_digest, dict(pipeline_config), *split])


def load(cache_dir: str | Path, name: str, key: str) -> Contents | None:
    """The contents stored under ``key``, memory-mapped and checked; None when absent, stale or damaged."""
    folder = _folder(cache_dir, name, key)
    try:
        if not folder.is_dir():
            return None
        _check_mine(folder)
        return _read(folder, key)
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        log.warning("the token cache %s cannot be trusted (%s): building it again", folder, error)
        return None


def store(cache_dir: str | Path, name: str, key: str, contents: Contents) -> Contents:
    """Write ``contents`` and answer them memory-mapped; where that fails, log it and answer them as they came."""
    try:
        with Draft(cache_dir, name, key) as draft:
            for array, values in contents.arrays.items():
                draft.append(array, values)
            return draft.finish(contents.facts)
    except (OSError, ValueError) as error:
        warn_unwritable(cache_dir, error)
        return contents


def warn_unwritable(cache_dir: str | Path, error: Exception) -> None:
    """Say that it goes on without a cache."""
    log.warning("going on without a token cache, for %s cannot be written (%s)", cache_dir, error)


class Draft:
    """A cache folder being written, array by array and each piece by piece; gone again unless it is finished.

    Every method raises OSError where the folder cannot be written.
    """

    def __init__(self, cache_dir: str | Path, name: str, key: str) -> None:
        self._key, self._folder = key, _folder(cache_dir, name, key)
        self._unfinished = self._folder.with_name(f".{self._folder.name}-{uuid.uuid4().hex[:8]}")
        self._files: dict[str, BinaryIO] = {}
        self._dtypes: dict[str, np.dtype[Any]] = {}
        self._sums: dict[str, tuple[int, int]] = {}

    def __enter__(self) -> Draft:
        own_folder(self._unfinished)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()
        shutil.rmtree(self._unfinished, ignore_errors=True)

    def append(self, name: str, values: np.ndarray) -> None:
        """Put ``values`` at the end of the array ``name``; all pieces of one are of one type."""
        values = np.ascontiguousarray(values)
        if name not in self._files:
            self._files[name] = open(self._unfinished / f"{name}.npy", "wb", opener=private)  # noqa: SIM115
            self._files[name].write(bytes(_HEADER))
            self._dtypes[name] = values.dtype
        assert values.dtype == self._dtypes[name], f"{name} was {self._dtypes[name]}, then {values.dtype}"
        self._files[name].write(values.data)
        length, checksum = self._sums.get(name, (0, 0))
        self._sums[name] = length + len(values), zlib.crc32(values.data, checksum)

    def finish(self, facts: Mapping[str, Any]) -> Contents:
        """Put the folder in its place and answer what it holds, memory-mapped."""
        for name, file in self._files.items():
            file.seek(0)
            shape, descr = (self._sums[name][0],), np.lib.format.dtype_to_descr(self._dtypes[name])
            np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
            assert file.tell() == _HEADER
            file.close()
        description = _description(self._sums, facts)
        dtypes = {name: dtype.str for name, dtype in self._dtypes.items()}
        with open(self._unfinished / "meta.json", "w", encoding="utf-8", opener=private) as handle:
            json.dump({"key": self._key, "digest": _sha256(description), "dtypes": dtypes, **description}, handle)
            handle.flush()
            # The meta alone is synced: its checksums tell when an array was lost by a power cut.
            os.fsync(handle.fileno())
        _put(self._unfinished, self._folder)
        return _read(self._folder, self._key)


class Memory:
    """What ``Draft`` is, for those who have no folder: all is kept in memory."""

    def __init__(self) -> None:
        self._bytes: dict[str, bytearray] = {}
        self._dtypes: dict[str, np.dtype[Any]] = {}

    def append(self, name: str, values: np.ndarray) -> None:
        """Put ``values`` at the end of the array ``name``."""
        self._dtypes.setdefault(name, values.dtype)
        self._bytes.setdefault(name, bytearray()).extend(np.ascontiguousarray(values).data.cast("B"))

    def finish(self, facts: Mapping[str, Any]) -> Contents:
        """All that was appended."""
        return Contents.of({name: np.frombuffer(self._bytes[name], self._dtypes[name]) for name in self._bytes}, facts)


def _put(unfinished: Path, folder: Path) -> None:
    """Rename into place, over a damaged cache or one that another process finished meanwhile."""
    try:
        os.replace(unfinished, folder)
    except OSError:
        if not folder.is_dir():
            raise
        # A folder with files in it cannot be renamed over: aside with the old one first.
        aside = unfinished.with_name(unfinished.name + "-old")
        os.replace(folder, aside)
        os.replace(unfinished, folder)
        shutil.rmtree(aside, ignore_errors=True)


def _check_mine(folder: Path) -> None:
    """Believe only what this user wrote: another user's checksums prove nothing.

    Raises:
        PermissionError: it is another user's, or others may write to it, or a link.
    """
    for path in (folder, *folder.iterdir()):
        if not is_mine(path):
            raise PermissionError(f"{path.name} belongs to another user, or others may write to it")


def _read(folder: Path, key: str) -> Contents:
    """Read and check one folder; ValueError or OSError when it is not what was written."""
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    if not isinstance(meta, dict) or meta.get("key") != key:
        raise ValueError("meta.json names another key")
    if meta.get("digest") != _sha256({"facts": meta.get("facts"), "arrays": meta.get("arrays")}):
        raise ValueError("meta.json was changed")
    dtypes = dict(meta.get("dtypes") or {})
    arrays = {}
    for file, (length, checksum) in meta["arrays"].items():
        name = file.removesuffix(".npy")
        array = np.lib.format.open_memmap(folder / file, mode="r")
        if array.shape != (length,) or array.dtype.str != dtypes.get(name):
            raise ValueError(f"{file} holds another kind of array")
        if _checksum(folder / file, array.offset) != checksum:
            raise ValueError(f"{file} was changed")
        # A plain array over the map, for slicing np.memmap itself costs microseconds a time.
        arrays[name] = np.asarray(array)
    return Contents(arrays, meta["facts"], meta["digest"])


def _checksum(path: Path, offset: int) -> int:
    """Of the file's bytes from ``offset`` on; read, not mapped, for what is touched in a map counts as memory."""
    checksum = 0
    with open(path, "rb") as file:
        file.seek(offset)
        while chunk := file.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return checksum


def _description(sums: Mapping[str, tuple[int, int]], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts, and size and checksum of every array."""
    return {"facts": dict(facts), "arrays": {f"{name}.npy": list(found) for name, found in sums.items()}}


def _folder(cache_dir: str | Path, name: str, key: str) -> Path:
    return Path(cache_dir) / f"{re.sub(r'[^A-Za-z0-9_-]+', '-', name)[:40]}-{key[:20]}"


def _sha256(plain: Any) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
