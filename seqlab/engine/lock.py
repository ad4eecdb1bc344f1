"""A run folder is written by one process at a time; a second one learns who holds it. A lock ends with its process."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from seqlab.errors import InputError, shorten

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"
"""The file in a run folder that is locked; there only while a process holds it or after one was killed."""


_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
"""A link in a stranger's folder must not lead the lock to another file."""
TRIES, PAUSE = 5, 0.02
"""A lock that is taken is tried again for a moment: it may be somebody who only looks whether it is."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a run folder.

    Attributes:
        pid: its number.
        host: its machine.
        since: local time, to the second.
        command: its command line.
    """

    pid: str
    host: str
    since: str
    command: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since} ({self.command})"


class RunLock:
    """``with RunLock() as lock: lock.take(folder)``: holds ``folder`` until the end of the block or of the process.

    The operating system's lock (``flock``) is used, which no kill leaves behind. Where the file system has none, the
    file itself is the lock: it counts while the process that it names is alive, or if it names another computer.
    """

    def __init__(self) -> None:
        self._held: list[tuple[Path, int]] = []

    def __enter__(self) -> RunLock:
        _open_locks.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _open_locks.remove(self)
        for path, descriptor in self._held:
            with suppress(OSError):
                path.unlink()  # before it is closed: from then on it may be another's
            os.close(descriptor)
        self._held.clear()

    def take(self, folder: str | Path) -> None:
        """Lock ``folder``, which exists.

        Raises:
            InputError: another process holds it; the message says which. Nothing was changed.
        """
        path = Path(folder) / NAME
        while True:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o644)
            except OSError as error:
                raise InputError(
                    f"Cannot write the run folder {shorten(folder, 200)} ({error.strerror}); make it writable or "
                    "choose another run_dir."
                ) from error
            if not _lock(descriptor, patient=True):
                holder = _holder(descriptor)
                os.close(descriptor)
                raise InputError(_in_use(folder, holder))
            if _is_still(path, descriptor):
                break
            os.close(descriptor)  # whoever held it removed it in between
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, json.dumps(_myself()).encode())
        self._held.append((path, descriptor))

    def _forget(self) -> None:
        """In a forked child: the lock is the parent's, and must not outlive it."""
        for _, descriptor in self._held:
            with suppress(OSError):
                os.close(descriptor)
        self._held.clear()


_open_locks: list[RunLock] = []


def _leave_to_parent() -> None:
    for lock in _open_locks:
        lock._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


def check_free(folder: str | Path) -> None:
    """Refuse a folder that another process holds; nothing is changed.

    Raises:
        InputError: who holds it.
    """
    if (found := holder(folder)) is not None:
        raise InputError(_in_use(folder, found))


def holder(folder: str | Path) -> Holder | None:
    """Who trains in ``folder`` now; None if nobody does. Nothing is changed."""
    try:
        descriptor = os.open(Path(folder) / NAME, os.O_RDONLY | _NO_LINK)
    except OSError:
        return None
    try:
        return None if _lock(descriptor, shared=True) else _holder(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, shared: bool = False, patient: bool = False) -> bool:
    """Whether the file is now locked by this process.

    Args:
        descriptor: of the open file.
        shared: with others that only look.
        patient: try for a moment.
    """
    for attempt in range(TRIES if patient else 1):
        if attempt:
            time.sleep(PAUSE)
        if fcntl is None:
            break
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        except OSError:  # a file system without locks
            break
        return True
    else:
        return False
    return not _alive(_read(descriptor))


def _alive(holder: dict[str, Any]) -> bool:
    """Whether the process that a lock file names may still be at work."""
    if holder.get("host") != socket.gethostname():
        return bool(holder)
    try:
        pid = int(holder["pid"])
        if os.name == "nt":  # where kill ends the process, whatever the signal
            return _alive_on_windows(pid)
        os.kill(pid, 0)
    except PermissionError:  # it is another user's
        return True
    except (OSError, KeyError, TypeError, ValueError, OverflowError):
        return False
    return True


def _alive_on_windows(pid: int) -> bool:
    import ctypes

    query, active, status = 0x1000, 259, ctypes.c_ulong()
    kernel: Any = ctypes.windll.kernel32  # type: ignore[attr-defined,unused-ignore]
    if not (process := kernel.OpenProcess(query, False, pid)):
        return False
    kernel.GetExitCodeProcess(process, ctypes.byref(status))
    kernel.CloseHandle(process)
    return status.value == active


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether ``path`` is the file that was opened."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except OSError:
        return False


def _myself() -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "command": shorten(" ".join([Path(sys.argv[0]).name, *sys.argv[1:]]), 300),
        "since": datetime.now().strftime("%Y-%m-%d %H:%M:%S"),
    }


def _read(descriptor: int) -> dict[str, Any]:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        found = json.loads(os.read(descriptor, 4096))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _holder(descriptor: int) -> Holder:
    found = _read(descriptor)
    return Holder(*(shorten(found.get(key, "?"), 300) for key in ("pid", "host", "since", "command")))


def _in_use(folder: str | Path, holder: Holder) -> str:
    return (
        f"{shorten(folder, 200)} is in use by {holder}: wait until it ends, stop it, or choose another run_dir. "
        f"If that process is gone, delete {shorten(Path(folder) / NAME, 200)}."
    )
