"""A run folder is written by one process at a time; a second one learns who holds it. A lock ends with its process."""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import suppress
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


class RunLock:
    """``with RunLock() as lock: lock.take(folder)``: holds ``folder`` until the end of the block or of the process.

    The operating system's lock (``flock``) is used, which no kill leaves behind. Where the file system has none, the
    file itself is the lock: it counts while the process that it names is alive, or if it names another computer. On
    Windows nothing is locked.
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
            if (held := _lock(descriptor, path)) is not None:
                os.close(descriptor)
                raise InputError(held)
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
    try:
        descriptor = os.open(path := Path(folder) / NAME, os.O_RDWR | _NO_LINK)
    except OSError:
        return
    try:
        if (held := _lock(descriptor, path)) is not None:
            raise InputError(held)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> str | None:
    """None if the file is now locked by this process; else a sentence on who holds it."""
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _in_use(path, _read(descriptor))
        except OSError:  # a file system without locks
            pass
        else:
            return None
    holder = _read(descriptor)
    if not _alive(holder):
        return None
    return f"{_in_use(path, holder)} If that process is gone, delete {shorten(path, 200)}."


def _alive(holder: dict[str, Any]) -> bool:
    """Whether the process that a lock file names may still be running."""
    if os.name != "posix":  # nothing here asks without sending a signal
        return False
    if holder.get("host") != socket.gethostname():
        return bool(holder)
    try:
        os.kill(int(holder["pid"]), 0)
    except PermissionError:  # it is another user's
        return True
    except (OSError, KeyError, TypeError, ValueError, OverflowError):
        return False
    return True


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


def _in_use(path: Path, holder: dict[str, Any]) -> str:
    who = "another process"
    if holder:
        pid, host, since, command = (shorten(holder.get(key, "?"), 300) for key in ("pid", "host", "since", "command"))
        who = f"process {pid} on {host} since {since} ({command})"
    return f"{shorten(path.parent, 200)} is in use by {who}: wait until it ends, stop it, or choose another run_dir."
