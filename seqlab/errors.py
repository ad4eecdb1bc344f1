"""The one kind of error that is a person's to mend, and how commands say it. Light, so that `--help` is quick."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath

LONGEST_MESSAGE = 1500
"""Characters of a message; a safety net, for values are cut by ``shorten`` where they are quoted."""


class InputError(ValueError):
    """The user's input is wrong. The message is the whole report: what, where, and what to do, in one sentence.

    Commands print it without a traceback and exit with status 2. Anything else that is raised is a bug in seqlab.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(shorten(message, LONGEST_MESSAGE))


def shorten(value: object, most: int | None = None) -> str:
    """``str(value)``, its middle replaced by an ellipsis where it is longer than ``most`` characters.

    By default 80, and 400 of a path, which one may want to copy.
    """
    text = str(value)
    if most is None:
        most = 400 if isinstance(value, PurePath) else 80
    if len(text) <= most:
        return text
    tail = most // 4
    return f"{text[: most - tail - 1]}…{text[len(text) - tail :]}"


def show_anything() -> None:
    """Let no character end a command: what a terminal cannot show is ``?``, what is typed is judged by who reads it.

    What no font can draw is an empty box in a picture, and not a warning for each such character.
    """
    warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from font", UserWarning)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn a person's mistake, or the system's refusal of a file, into one line on standard error and exit status 2."""
    try:
        yield
    except InputError as error:
        sentence = str(error)
    except BrokenPipeError:  # whoever read our output, `head` say, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
    except OSError as error:
        if error.errno is None:
            raise
        sentence = f"{error.filename or 'A file'}: {error.strerror}."
    else:
        return
    print(f"error: {sentence}", file=sys.stderr)
    raise SystemExit(2)
