import ctypes
import errno
import logging
import os
import re
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from seqlab.nn import Recurrent, direction
from seqlab.nn.cells import RNN
from seqlab.nn.compiler import toolchain
from seqlab.nn.compiler.toolchain import NoCompiler, build
from seqlab.nn.compiler.weights import library


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """An empty cache; where its kernels will be."""
    monkeypatch.setenv("SEQLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kernels"


@pytest.fixture
def calls(folder: Path, tmp_path: Path, monkeypatch) -> Path:
    """A compiler that writes down, one line each, how often it is called."""
    try:
        real = toolchain._compiler()
    except NoCompiler as error:
        pytest.skip(str(error))
    script, written = tmp_path / "counting-c++", tmp_path / "calls"
    script.write_text(f'#!/bin/sh\necho called >> {written}\nexec {" ".join(real)} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("CXX", str(script))
    return written


@pytest.fixture(autouse=True)
def _as_a_new_process(monkeypatch) -> None:
    monkeypatch.setattr(toolchain, "_loaded", {})
    monkeypatch.setattr(toolchain, "_failed", {})


def forget() -> None:
    toolchain._loaded.clear()


def number(n: int) -> str:
    return f'extern "C" int number() {{ return {n}; }}'


def called(calls: Path) -> int:
    return len(calls.read_text().splitlines()) if calls.exists() else 0


def test_a_library_is_built_once_and_then_loaded(calls: Path, folder: Path) -> None:
    assert build(number(1), "one").number() == 1
    assert build(number(2), "two").number() == 2
    before = called(calls)
    forget()
    assert build(number(1), "one").number() == 1
    assert called(calls) == before > 0
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(path.name.split("-")[0] for path in folder.iterdir()) == ["one", "two"]


def test_a_library_in_use_is_not_loaded_again(calls: Path) -> None:
    assert build(number(3), "three") is build(number(3), "three")


@pytest.mark.parametrize("spoil", ["damage", "permissions"])
def test_an_unsound_library_is_built_again(calls: Path, folder: Path, caplog, spoil: str) -> None:
    build(number(4), "four")
    (library,) = folder.iterdir()
    if spoil == "damage":
        content = library.read_bytes()
        library.unlink()  # it is mapped: writing into it would reach the running process
        library.write_bytes(content[:-100])
    else:
        library.chmod(0o666)
    forget()
    before = called(calls)
    with caplog.at_level(logging.WARNING):
        assert build(number(4), "four").number() == 4
    assert called(calls) > before
    assert "building it again" in caplog.text
    (library,) = folder.iterdir()
    assert not library.stat().st_mode & 0o022


def test_a_folder_that_others_may_write_to_is_not_used(calls: Path, folder: Path, caplog) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    with caplog.at_level(logging.WARNING):
        assert build(number(5), "five").number() == 5
    assert "others may write to it" in caplog.text
    assert list(folder.iterdir()) == []


def test_without_a_place_for_the_cache_it_still_builds(calls: Path, tmp_path: Path, monkeypatch, caplog) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEQLAB_CACHE", str(tmp_path / "file" / "cache"))
    with caplog.at_level(logging.WARNING):
        assert build(number(6), "six").number() == 6
    assert "not kept for next time" in caplog.text


def test_what_the_compiler_says_is_reported(calls: Path, folder: Path) -> None:
    with pytest.raises(NoCompiler, match=r"ended with status 1: .*nonsense"):
        build('extern "C" int number() { return nonsense; }', "wrong")
    assert not folder.exists() or list(folder.iterdir()) == []


def test_no_compiler(folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoCompiler, match="no C\\+\\+ compiler"):
        build(number(7), "seven")
    monkeypatch.setenv("CXX", "no-such-compiler -O1")
    with pytest.raises(NoCompiler, match=r"no no-such-compiler, which the environment variable CXX"):
        build(number(7), "seven")
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(NoCompiler, match="win32"):
        build(number(7), "seven")


WRITES = 'for last; do :; done; printf "%s" "$TEXT" > "$last"\n'
"""A compiler that writes ``TEXT`` where it is to write: its last argument."""
BROKEN = {
    "exit 1": (
        "echo 'internal compiler error: out of ideas' >&2; exit 1",
        "ended with status 1: internal compiler error",
    ),
    "silent": ("exit 3", "ended with status 3: it does not say why"),
    "killed": ("kill -9 $$", "ended with status -9"),
    "writes nothing": ("exit 0", "what the compiler wrote does not load"),
    "writes garbage": (f"TEXT=garbage; {WRITES}", "what the compiler wrote does not load"),
    "hangs": ("sleep 60 & sleep 60", r"took longer than 0.3 seconds \(SEQLAB_COMPILE_SECONDS sets the limit\)"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_compiler_is_as_none(kind: str, folder: Path, tmp_path: Path, monkeypatch, caplog) -> None:
    does, why = BROKEN[kind]
    script = tmp_path / "broken-c++"
    script.write_text(f"#!/bin/sh\necho called >> {tmp_path / 'calls'}\n{does}\n")
    script.chmod(0o755)
    monkeypatch.setenv("CXX", str(script))
    monkeypatch.setenv("SEQLAB_COMPILE_SECONDS", "0.3" if kind == "hangs" else "60")
    encoder, reference = Recurrent(3, Odd, 4, bidirectional=True), Recurrent(3, Odd, 4, None, True, backend="reference")
    reference.load_state_dict(encoder.state_dict())
    x = torch.rand(2, 5, 3)
    direction._report.cache_clear()
    library.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert torch.equal(encoder(x).final, reference(x).final)
        before = called(tmp_path / "calls")
        encoder(x)
    assert called(tmp_path / "calls") == before <= 2  # nothing that failed is tried again
    (line,) = caplog.messages
    assert re.fullmatch(rf"Odd is not compiled: .*{why}.*; it runs by the Python loop, which is slow", line)
    assert not folder.exists() or list(folder.iterdir()) == []


class Odd(RNN):
    """A cell that torch does not have."""

    torch_kind = None  # type: ignore[assignment]

    def step(self, x: torch.Tensor, state: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (super().step(x, state)[0] * 0.4375,)


def test_a_full_temporary_folder_is_as_no_compiler(calls: Path, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(NoCompiler, match=r"temporary files cannot be written \(No space left on device\)"):
        build(number(8), "eight")
    monkeypatch.setattr(tempfile, "TemporaryDirectory", full)
    with pytest.raises(NoCompiler, match=r"temporary files cannot be written \(No space left on device\)"):
        build(number(8), "eight")


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("SEQLAB_COMPILE_SECONDS", "soon", "the environment variable SEQLAB_COMPILE_SECONDS is no number of seconds"),
        ("CXX", "c++ '", "the environment variable CXX has a quotation mark that is not closed"),
    ],
)
def test_wrong_environment_variables_are_said(
    calls: Path, monkeypatch, variable: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(NoCompiler, match=sentence):
        build(number(9), "nine")


TWO_THREADS = """
#ifdef _OPENMP
extern "C" int omp_get_thread_num();
extern "C" int team() {
    int last = 0;
    #pragma omp parallel num_threads(2)
    if (omp_get_thread_num() == 1) last = 1;
    return last + 1;
}
#else
extern "C" int team() { return 0; }
#endif
"""
IN_A_PROCESS = f"""
import os, torch
from seqlab.nn.compiler.toolchain import build
torch.set_num_threads(2)
torch.zeros(2_000_000).exp_()  # starts torch's threads
before = len(os.listdir("/proc/self/task"))
team = build('''{TWO_THREADS}''', "team").team()
print(team, len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_two_processes_at_once_and_threads_shared_with_torch(calls: Path, folder: Path) -> None:
    command = [sys.executable, "-c", IN_A_PROCESS]
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    answers = [process.communicate()[0].split() for process in processes]
    without_openmp = toolchain._openmp(toolchain._compiler()) is None
    assert answers == [["0" if without_openmp else "2", "0"]] * 2
    assert len(list(folder.iterdir())) >= 1
    before = called(calls)
    assert isinstance(build(TWO_THREADS, "team"), ctypes.CDLL)
    assert called(calls) == before
