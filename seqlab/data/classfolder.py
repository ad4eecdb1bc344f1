"""A folder of classes: ``CLASS/*.txt``, a text a file, or ``CLASS.txt``, a text a line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from seqlab.data.files import LONGEST_LINE, file_digest, lines_of, open_text, readable
from seqlab.errors import InputError, shorten


def class_rows(folder: Path, encoding: str = "utf-8") -> Iterator[tuple[str, str, str]]:
    """Place, text and label of every text; labels are the names of folders or files, texts come by their names.

    Raises:
        InputError: no such texts in the folder, both kinds of them, or a file that cannot be read.
    """
    files, folders = _contents(folder)
    for path in files:
        for number, line in enumerate(lines_of(path, encoding), 1):
            if line.strip():
                yield f"{path.name}, line {number}", line, path.stem
    for within in folders:
        for path in _texts(within):
            yield f"{within.name}/{path.name}", _whole(path, encoding), within.name


def class_digest(folder: Path) -> bytes:
    """sha256 of the names and bytes of all texts."""
    files, folders = _contents(folder)
    found = hashlib.sha256()
    for path in [*files, *(path for within in folders for path in _texts(within))]:
        found.update(path.relative_to(folder).as_posix().encode("utf-8", "surrogateescape") + b"\0" + file_digest(path))
    return found.digest()


def _contents(folder: Path) -> tuple[list[Path], list[Path]]:
    """The files ``CLASS.txt`` and the folders ``CLASS``, of which one kind is there."""
    with readable(folder):
        there = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        files = [path for path in there if path.suffix.lower() == ".txt" and path.is_file()]
        folders = [path for path in there if path.is_dir() and _texts(path)]
        deeper = [path.name for path in there if path.is_dir() and any(map(Path.is_dir, path.iterdir()))]
    if folders and files:
        raise InputError(
            f"{shorten(folder)} holds {files[0].name} beside the folder {folders[0].name}: give either CLASS/*.txt (a "
            "text a file) or CLASS.txt (a text a line)."
        )
    if not folders and not files:
        hint = f"; name one of its folders, such as {shorten(folder / deeper[0])}" if deeper else ""
        raise InputError(f"{shorten(folder)} holds neither CLASS/*.txt nor CLASS.txt{hint}.")
    return files, folders


def _texts(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() == ".txt" and path.is_file())


def _whole(path: Path, encoding: str) -> str:
    with readable(path, encoding), open_text(path, encoding) as file:
        text = file.read(LONGEST_LINE + 1)
    if len(text) > LONGEST_LINE:
        raise InputError(f"{shorten(path)} is longer than {LONGEST_LINE:,} characters: one text a file is read.")
    return text.removeprefix("\ufeff").removesuffix("\n").removesuffix("\r")
