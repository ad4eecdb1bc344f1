"""The token cache: encoded splits on disk, memory-mapped at the next start, never believed when damaged.

One folder for each key::

    imdb-1f0c.../meta.json           key, labels, pipeline, and size and checksum of every array
                 train.values.npy    flat int32 token ids
                 train.offsets.npy   int64, where each row starts
                 train.targets.npy   int64 class ids
                 val.*.npy, test.*.npy

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
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import seqlab
from seqlab.types import Ragged, Split

log = logging.getLogger(__name__)

FORMAT = 1
PARTS = ("train", "val", "test")
_DTYPES: dict[str, type] = {"values": np.int32, "offsets": np.int64, "targets": np.int64}


@dataclass(frozen=True)
class Contents:
    """What one cache folder holds.

    Attributes:
        splits: by part: ``train``, ``val``, ``test``.
        facts: plain JSON data that belongs to them: ``labels`` and the ``pipeline``'s state.
    """

    splits: Mapping[str, Split]
    facts: Mapping[str, Any]

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """File name -> array, contiguous."""
        fields = {
            f"{part}.{field}.npy": array
            for part, split in self.splits.items()
            for field, array in (
                ("values", split.tokens.values),
                ("offsets", split.tokens.offsets),
                ("targets", split.targets),
            )
        }
        return {name: np.ascontiguousarray(array, _DTYPES[name.split(".")[1]]) for name, array in fields.items()}

    @cached_property
    def description(self) -> dict[str, Any]:
        """The facts, and size and checksum of every array: 10 ms for 50 MB."""
        arrays = {name: [len(array), zlib.crc32(array.data)] for name, array in self.arrays.items()}
        return {"facts": dict(self.facts), "arrays": arrays}

    @cached_property
    def digest(self) -> str:
        """Sha256 of the description: the same contents, the same digest, wherever they came from."""
        return _sha256(self.description)


def key_of(source_digest: str, pipeline_config: Mapping[str, Any], val_fraction: float, seed: int) -> str:
    """What decides the contents: the files, how they are read, how they are split, and which code did it."""
    return _sha256([FORMAT, seqlab.__version__, source_digest, dict(pipeline_config), val_fraction, seed])


def load(cache_dir: str | Path, name: str, key: str) -> Contents | None:
    """The contents stored under ``key``, memory-mapped and checked; None when absent, stale or damaged."""
    folder = _folder(cache_dir, name, key)
    try:
        return _read(folder, key) if folder.is_dir() else None
    except (OSError, ValueError) as error:
        log.warning("the token cache %s cannot be trusted (%s): building it again", folder, error)
        return None


def store(cache_dir: str | Path, name: str, key: str, contents: Contents) -> Contents:
    """Write ``contents`` and answer them memory-mapped; where that fails, log it and answer them as they came."""
    folder = _folder(cache_dir, name, key)
    unfinished = folder.with_name(f".{folder.name}-{uuid.uuid4().hex[:8]}")
    try:
        unfinished.mkdir(parents=True)
        for file, array in contents.arrays.items():
            np.save(unfinished / file, array, allow_pickle=False)
        with open(unfinished / "meta.json", "w", encoding="utf-8") as handle:
            json.dump({"key": key, "digest": contents.digest, **contents.description}, handle)
            handle.flush()
            # The meta alone is synced: its checksums tell when an array was lost by a power cut.
            os.fsync(handle.fileno())
        _put(unfinished, folder)
        return _read(folder, key)
    except (OSError, ValueError) as error:
        log.warning("going on without a token cache, for %s cannot be written (%s)", folder, error)
        return contents
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


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


def _read(folder: Path, key: str) -> Contents:
    """Read and check one folder; ValueError or OSError when it is not what was written."""
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    if not isinstance(meta, dict) or meta.get("key") != key:
        raise ValueError("meta.json names another key")
    if meta.get("digest") != _sha256({"facts": meta.get("facts"), "arrays": meta.get("arrays")}):
        raise ValueError("meta.json was changed")
    splits = {}
    for part in PARTS:
        values, offsets, targets = (_open(folder / f"{part}.{field}.npy", dtype) for field, dtype in _DTYPES.items())
        splits[part] = Split(Ragged(values, offsets), targets)
    contents = Contents(splits, meta["facts"])
    for name, described in contents.description["arrays"].items():
        if described != meta["arrays"][name]:
            raise ValueError(f"{name} was changed")
    return contents


def _open(path: Path, dtype: type) -> np.ndarray:
    # A plain array over the map, for slicing np.memmap itself costs microseconds a time.
    array = np.asarray(np.lib.format.open_memmap(path, mode="r"))
    if array.dtype != dtype or array.ndim != 1:
        raise ValueError(f"{path.name} holds another kind of array")
    return array


def _folder(cache_dir: str | Path, name: str, key: str) -> Path:
    return Path(cache_dir) / f"{re.sub(r'[^A-Za-z0-9_-]+', '-', name)[:40]}-{key[:20]}"


def _sha256(plain: Any) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
