"""SIGTERM and SIGINT as a question the loop asks, so that nothing is lost in the middle of a step."""

from __future__ import annotations

import os
import signal
import threading
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
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        if number == signal.SIGINT and self.received == "SIGINT":
            raise KeyboardInterrupt
        self.received = signal.Signals(number).name
