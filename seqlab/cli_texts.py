"""The texts that ``seqlab predict`` is asked about: arguments, files, or standard input."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seqlab.data.asked import check_header, path_of, read_stdin_lines, read_texts
from seqlab.errors import InputError

if TYPE_CHECKING:
    from seqlab.run import Run


def gather(words: Sequence[str], opened: Run, run: Path, *, null: bool, jsonl: bool) -> tuple[list[str], bool]:
    """All texts, and whether they are rows of files.

    Raises:
        InputError: no text; a file that is not there or cannot be read; bytes that are no text; the header of a table
            on standard input; ``null`` or ``jsonl`` without standard input.
    """
    data, command = opened.config["data"], f"seqlab predict {shlex.quote(str(run))}"
    texts, from_files = [], False
    if list(words) == ["-"] or (not words and not sys.stdin.isatty()):
        column = data.get("text_column")
        name = column if isinstance(column, str) else "text"
        texts = read_stdin_lines(sys.stdin, null=null, jsonl=jsonl, text_column=name)
        if not (null or jsonl):
            check_header(texts, data, command)
    elif null or jsonl:
        raise InputError(f"{'--null' if null else '--jsonl'} is for standard input: remove it, or give - as the text.")
    else:
        paths = [path_of(word, command) for word in words]
        for word, path in zip(words, paths, strict=True):
            texts += [word] if path is None else read_texts(path, data)
        from_files = any(path is not None for path in paths)
    if not texts:
        verb = "translate" if opened.spec.task == "translation" else "label"
        raise InputError(f"There is no text to {verb}: give texts or a file as arguments, or - and one text a line.")
    for number, text in enumerate(texts, 1):  # bytes that are no text come as lone surrogates, which have no UTF-8
        try:
            text.encode()
        except UnicodeEncodeError as error:
            shown = ascii(text if len(text) <= 40 else f"{text[:39]}…")
            raise InputError(f"Text {number}, {shown}, holds bytes that are not UTF-8: write it in UTF-8.") from error
    return texts, from_files
