"""The one kind of error that is a person's to mend, and how commands say it. Light, so that `--help` is quick."""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath

log = logging.getLogger(__name__)

LONGEST_MESSAGE = 1500
"""Characters of a message; a safety net, for values are cut by ``shorten`` where they are quoted."""


class InputError(ValueError):
    """The user's input is wrong. The message is the whole report: what, where, and what to do, in one sentence.

    Commands print it without a traceback and exit with status 2. Anything else that is raised is a bug in seqlab.
    """

    status = 2
    """The exit status of a command that it ends."""

    def __init__(self, message: str = "") -> None:
        super().__init__(shorten(message, LONGEST_MESSAGE))


class DivergedError(InputError):
    """The training diverged: what it has learned is worth nothing. What could be measured is written all the same."""

    status = 3


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
    """Turn wrong input, or a file that the system refuses, into one line on standard error and an exit status."""
    try:
        yield
    except InputError as error:
        sentence, status = str(error), error.status
    except BrokenPipeError:  # whoever read our output, `head` say, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
    except OSError as error:
        if error.errno is None:
            raise
        sentence, status = f"{error.filename or 'A file'}: {error.strerror}.", 2
    else:
        return
    print(f"error: {sentence}", file=sys.stderr)
    raise SystemExit(status)


@contextmanager
def warned(what: str) -> Iterator[None]:
    """Turn a failure of something that a result can do without into one warning line."""
    try:
        yield
    except Exception as error:  # of whatever kind: the training that is done must not be lost to it
        reason = " ".join(str(error).split())
        text = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
        if isinstance(error, InputError | OSError):
            text = reason
        log.warning("warning: %s failed, and is left out (%s)", what, shorten(text, 300).rstrip("."))
        log.debug("%s failed", what, exc_info=True)
