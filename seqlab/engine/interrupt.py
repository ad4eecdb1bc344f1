"""SIGTERM and SIGINT: the training loop asks for them, so that no step is cut; elsewhere they end the command."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interrupted(Exception):
    """A signal asked the run to end; the message is the signal's name."""


class Interrupt:
    """Within ``with``, SIGTERM and SIGINT are noted instead of obeyed; ``check`` then raises ``Interrupted``.

    A second SIGINT aborts at once with ``KeyboardInterrupt``. The earlier handlers come back at the end. Outside the
    main thread Python allows no handlers, and nothing is installed. A forked child that inherited the handler
    obeys the signal as it would have without it.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._pid = os.getpid()
        self._earlier: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupt:
        self.received = None
        if threading.current_thread() is threading.main_thread():
            self._pid = os.getpid()
            for number in (signal.SIGTERM, signal.SIGINT):
                self._earlier[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)
        self._earlier.clear()

    def check(self) -> None:
        """Raises ``Interrupted`` once a signal has arrived."""
        if self.received is not None:
            raise Interrupted(self.received)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            _obey(number)
            return
        if number == signal.SIGINT and self.received == "SIGINT":
            raise KeyboardInterrupt
        self.received = signal.Signals(number).name


class Ended(KeyboardInterrupt):
    """A signal ends the command. Like ``KeyboardInterrupt`` it passes ``except Exception``; it carries what is left."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def ends_command() -> Iterator[None]:
    """Within, SIGTERM and SIGINT end the command with one line, and status 143 or 130. The handlers come back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pid = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() != pid:
            _obey(number)
            return
        raise Ended(number)

    earlier = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    except KeyboardInterrupt as ended:
        number = ended.number if isinstance(ended, Ended) else signal.SIGINT
        left = ended.args[0] if ended.args else "before the training began; nothing was written"
        print(f"Stopped by {signal.Signals(number).name} {left}.", file=sys.stderr)
        raise SystemExit(128 + number) from None
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


@contextmanager
def leaving(what: str) -> Iterator[None]:
    """Say of a signal that ends what is within, what it leaves: "while training; continue with resume=RUN"."""
    try:
        yield
    except KeyboardInterrupt as ended:
        ended.args = ended.args or (what,)
        raise


def _obey(number: int) -> None:
    """In a forked child, which inherits the handler: do what the signal would have done without it."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
