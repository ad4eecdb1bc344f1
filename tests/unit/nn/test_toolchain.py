import ctypes
import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from seqlab.nn.compiler import toolchain
from seqlab.nn.compiler.toolchain import NoCompiler, build


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
    with pytest.raises(RuntimeError, match="nonsense"):
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
