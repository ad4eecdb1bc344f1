"""A run folder has one writer, and a second one learns who that is."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from seqlab.engine import lock as locks
from seqlab.engine.lock import RunLock, check_free
from seqlab.errors import InputError

ROOT = Path(__file__).parents[3]
HOLD = """
import sys, time
from seqlab.engine.lock import RunLock
with RunLock() as lock:
    lock.take(sys.argv[1])
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_names_its_holder_and_leaves_nothing(tmp_path):
    with RunLock() as lock:
        lock.take(tmp_path)
        for refused in (RunLock().take, check_free):
            with pytest.raises(InputError) as error:
                refused(tmp_path)
            assert f"{tmp_path} is in use by process {os.getpid()} on {socket.gethostname()} since " in str(error.value)
    assert os.listdir(tmp_path) == []
    check_free(tmp_path)
    with RunLock() as lock:
        lock.take(tmp_path)


def test_a_killed_process_frees_its_lock(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    with pytest.raises(InputError, match=f"in use by process {process.pid} on "):
        check_free(tmp_path)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    assert (tmp_path / ".lock").exists()
    check_free(tmp_path)
    with RunLock() as lock:
        lock.take(tmp_path)
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()


def test_a_forked_child_does_not_keep_the_lock(tmp_path):
    ends = os.pipe()
    with RunLock() as lock:
        lock.take(tmp_path)
        if (child := os.fork()) == 0:
            os.read(ends[0], 1)
            os._exit(0)
    try:
        with RunLock() as again:
            again.take(tmp_path)
    finally:
        os.write(ends[1], b"x")
        os.waitpid(child, 0)
        for end in ends:
            os.close(end)


@pytest.mark.parametrize("without", ["module", "support"])
def test_where_there_are_no_locks_the_process_in_the_file_counts(tmp_path, monkeypatch, without):
    def unsupported(*_):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    if without == "module":
        monkeypatch.setattr(locks, "fcntl", None)
    else:
        monkeypatch.setattr(locks.fcntl, "flock", unsupported)
    with RunLock() as lock:
        lock.take(tmp_path)
        with pytest.raises(InputError, match="in use by process"):
            RunLock().take(tmp_path)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for holder, free in (
        ({"pid": ended.pid, "host": socket.gethostname()}, True),
        ({"pid": 1, "host": "another.example"}, False),
        ({"pid": "?", "host": socket.gethostname()}, True),
        ([], True),
    ):
        (tmp_path / ".lock").write_text(json.dumps(holder))
        if free:
            with RunLock() as lock:
                lock.take(tmp_path)
        else:
            with pytest.raises(InputError, match="If that process is gone, delete "):
                RunLock().take(tmp_path)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"Cannot write the run folder .* \(No such file or directory\)"):
        RunLock().take(tmp_path / "none")


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("kept")
    (tmp_path / ".lock").symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match="Cannot write the run folder"):
        RunLock().take(tmp_path)
    assert (tmp_path / "mine").read_text() == "kept"
