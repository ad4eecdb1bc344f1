"""Downloads: resumed where they stopped, judged by their digest, in place all at once or not at all."""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from seqlab.types import InputError

_CHUNK = 1 << 18
_TIMEOUT = 30  # seconds without a byte


def fetch(url: str, path: str | Path, digest: str) -> Path:
    """Download ``url`` to ``path`` unless it is there.

    The bytes gather in ``path`` + ``.part``. An interrupted download keeps that file and the next one continues it
    (HTTP Range); a server that cannot continue sends all of it again.

    Args:
        url: http or https.
        path: where the file shall be; its folder is made.
        digest: ``algorithm:hexadecimal``, for example ``md5:...`` or ``sha256:...``.

    Raises:
        InputError: no connection, an error of the server, a download that stopped, another digest, an unwritable
            folder.
    """
    path = Path(path)
    if path.exists():
        return path
    part = path.with_name(path.name + ".part")
    by_hand = f"or put that file at {path} by hand"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
    except OSError as error:
        raise InputError(f"cannot write {part} ({error.strerror}): choose a folder that can be written.") from error
    try:
        complete = _download(url, part)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(f"cannot download {url} ({reason}): try again with a connection, {by_hand}.") from error
    if not complete:
        raise InputError(
            f"the download of {url} stopped after {part.stat().st_size:,} bytes: run again to continue, {by_hand}."
        )
    found = _digest_of(part, digest.partition(":")[0])
    if found != digest:
        part.unlink()
        raise InputError(
            f"what {url} sent has the digest {found}, not {digest}, so it was deleted: try again later, {by_hand}."
        )
    os.replace(part, path)
    return path


def _download(url: str, part: Path) -> bool:
    """Bring ``part`` forward as far as the connection lasts; True when the server has sent all of it."""
    have = part.stat().st_size
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if not (have and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
            raise
        # Nothing comes after what is here: either that is the whole file, or the digest will say that it is not.
        return True
    with response:
        continued = response.status == http.HTTPStatus.PARTIAL_CONTENT
        length = response.headers.get("Content-Length")
        done = have if continued else 0
        total = None if length is None else done + int(length)
        with open(part, "ab" if continued else "wb") as file, _progress(part.stem, total) as show:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                show(done)
            file.flush()
            os.fsync(file.fileno())
    return total is None or done == total


def _digest_of(path: Path, algorithm: str) -> str:
    # MD5 is what some publishers state; it guards against accidents here, not against an attacker.
    found = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return f"{algorithm}:{found.hexdigest()}"


@contextmanager
def _progress(name: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, or a line every five seconds where that is not a terminal."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(name, total=total)
            yield lambda done: bar.update(task, completed=done)
        return
    last = time.monotonic()
    print(f"downloading {name}: {_megabytes(total)}", file=sys.stderr, flush=True)

    def line(done: int) -> None:
        nonlocal last
        if time.monotonic() - last >= 5:
            last = time.monotonic()
            print(f"downloading {name}: {_megabytes(done)} of {_megabytes(total)}", file=sys.stderr, flush=True)

    yield line


def _megabytes(size: int | None) -> str:
    return "unknown size" if size is None else f"{size / 1e6:.1f} MB"
