"""From C++ source to a loaded library: a compiler, its flags, and a cache on disk that is not trusted blindly.

A library's file is named after everything it depends on (source, compiler, flags, processor) and after its own digest,
``<cache>/kernels/<name>-<what it depends on>-<digest>.so``. So one atomic rename publishes it, processes that build the
same thing at once cannot disturb each other, and a damaged file is known by its name. The folder belongs to this user
alone (0700); a file that fails a check is not loaded but built again.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

from seqlab.errors import shorten
from seqlab.paths import cache_dir, is_mine, own_folder

log = logging.getLogger(__name__)

FLAGS = (
    "-std=c++17",
    "-O3",
    "-fPIC",
    # The source writes its fused multiply-adds out: were they the compiler's choice, a loop's remainder might round
    # unlike its body, and a row's bits depend on its neighbours. -ffast-math is out: it breaks NaN, and loading such
    # a library lets some versions of gcc flush denormals in the whole process.
    "-ffp-contract=off",
    # These change no result: they let sqrt, rounding and both sides of a condition become vector instructions.
    "-fno-math-errno",
    "-fno-trapping-math",
)
NATIVE = {
    "x86_64": ("-march=native", "-mprefer-vector-width=512"),
    "aarch64": ("-mcpu=native",),
    "arm64": ("-mcpu=native",),
}
COMPILERS = ("c++", "g++", "clang++")
LIMIT = "SEQLAB_COMPILE_SECONDS"
"""The environment variable that says how long one call of the compiler may take."""
LIMIT_SECONDS = 120.0
_loaded: dict[str, ctypes.CDLL] = {}
_failed: dict[str, str] = {}
"""Why a compiler, or one library, is not tried again in this process."""


class NoCompiler(Exception):
    """This machine cannot build kernels, or not this one; the message says why, in one line."""


def build(source: str, name: str) -> ctypes.CDLL:
    """The library of a C++17 source text: loaded before, from the cache on disk, or built now.

    ``_OPENMP`` is defined where there will be threads: the ones that torch started, for two pools would fight.

    Args:
        source: the whole text; what is to be called is ``extern "C"``.
        name: how the file's name begins, letters, digits and ``_``: for people who look into the folder.

    Raises:
        NoCompiler: there is none, it failed or took too long, what it wrote does not load, or there is no place for
            temporary files.
    """
    compiler = _compiler()
    if why := _failed.get(compiler[0]):
        raise NoCompiler(why)
    openmp = _openmp(compiler)
    flags = (*FLAGS, *NATIVE.get(platform.machine(), ()))
    # The file behind the compiler's name stands for its version: asking it would cost more than loading the library.
    found = os.stat(compiler[0])
    identity = (*compiler, str(found.st_size), str(found.st_mtime_ns), *flags, str(openmp), processor(), source)
    key = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:32]
    if why := _failed.get(key):
        raise NoCompiler(why)
    if key not in _loaded:
        try:
            _loaded[key] = _from_cache(f"{name}-{key}") or _compile(source, f"{name}-{key}", compiler, flags, openmp)
        except NoCompiler as error:
            _failed[key] = str(error)
            raise
        except OSError as error:
            raise NoCompiler(f"temporary files cannot be written ({error.strerror or error})") from None
    return _loaded[key]


@cache
def processor() -> str:
    """What ``-march=native`` depends on: the processor's name and abilities."""
    told = [platform.machine(), platform.processor()]
    try:
        with open("/proc/cpuinfo") as lines:  # only the first processor's block: a large machine has hundreds
            for line in lines:
                if not line.strip():
                    break
                if line.startswith(("vendor_id", "cpu family", "model", "flags", "Features", "CPU ")):
                    told.append(line.strip())
    except OSError:
        pass  # not Linux
    return "\n".join(told)


@cache
def has_bf16() -> bool:
    """Whether this processor has AVX512-BF16 and the compiler knows it: kernels can multiply bfloat16."""
    probe = """
#ifdef __AVX512BF16__
extern "C" int bf16() { return 1; }
#else
extern "C" int bf16() { return 0; }
#endif
"""
    if "avx512_bf16" not in processor():
        return False
    try:
        return bool(build(probe, "bf16").bf16())
    except (NoCompiler, AttributeError):
        return False


def _compiler() -> tuple[str, ...]:
    """The compiler's command, its first word a full path with links resolved."""
    if sys.platform not in ("linux", "darwin"):
        raise NoCompiler(f"kernels are not built on {sys.platform}")
    try:
        named = shlex.split(os.environ.get("CXX", ""))
    except ValueError:
        raise NoCompiler("the environment variable CXX has a quotation mark that is not closed") from None
    if named:
        path = shutil.which(named[0])
        if path is None:
            raise NoCompiler(f"there is no {named[0]}, which the environment variable CXX names")
        return path, *named[1:]
    for candidate in COMPILERS:
        if path := shutil.which(candidate):
            return (os.path.realpath(path),)
    raise NoCompiler(f"there is no C++ compiler (looked for CXX, {', '.join(COMPILERS)})")


class _SymbolInfo(ctypes.Structure):  # Dl_info of dlfcn.h
    _fields_ = [
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    ]


def _openmp(compiler: tuple[str, ...]) -> Path | None:
    """The OpenMP runtime that torch runs on, if code of this compiler can use it; else kernels have one thread.

    Wheels bring a copy under a name of their own (``libgomp-a34b3233.so.1``), so plain ``-fopenmp`` would load the
    system's beside it. Asked through torch's own module, the loader answers with the copy that torch resolved.
    """
    if sys.platform != "linux":
        return None
    torchs = ctypes.CDLL(torch._C.__file__)
    entry = "__kmpc_fork_call" if any("clang" in Path(word).name for word in compiler) else "GOMP_parallel"
    try:
        function = ctypes.cast(getattr(torchs, entry), ctypes.c_void_p)
    except AttributeError:
        return None
    info = _SymbolInfo()
    dladdr = ctypes.CDLL(None).dladdr
    dladdr.argtypes = [ctypes.c_void_p, ctypes.POINTER(_SymbolInfo)]
    if not dladdr(function, ctypes.byref(info)) or not info.file:
        return None
    return Path(os.fsdecode(info.file))


def _compile(
    source: str, name: str, compiler: tuple[str, ...], flags: tuple[str, ...], openmp: Path | None
) -> ctypes.CDLL:
    """Compile, load, and keep in the cache where that can be written."""
    with tempfile.TemporaryDirectory(prefix="seqlab-kernels-") as scratch:
        text, binary, library = (Path(scratch, f"kernels.{suffix}") for suffix in ("cpp", "o", "so"))
        text.write_text(source)
        # In two steps, for gcc itself would add its own libgomp to the link.
        _run(*compiler, *flags, *(("-fopenmp",) if openmp else ()), "-c", str(text), "-o", str(binary))
        if sys.platform == "linux":
            linking = ["-Wl,--as-needed", "-Wl,-z,defs", *([str(openmp)] if openmp else [])]
        else:
            linking = []
        _run(*compiler, "-shared", str(binary), *linking, "-o", str(library))
        loaded = _load(library)  # before it is kept: what does not load is of no use to anybody
        try:
            _publish(library.read_bytes(), name)
        except OSError as error:
            log.warning("kernels are not kept for next time: %s cannot be used (%s)", _folder(), error)
        return loaded


def _run(*command: str) -> None:
    """Run a compiler, and end it with all its children when it takes too long.

    Raises:
        NoCompiler: it cannot be started, failed, or took longer than ``SEQLAB_COMPILE_SECONDS``.
    """
    seconds = _limit()
    try:
        running = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=os.environ | {"LC_ALL": "C"},
            start_new_session=True,
        )
    except OSError as error:
        raise NoCompiler(f"{command[0]} cannot be started ({error.strerror})") from None
    try:
        said, _ = running.communicate(timeout=seconds)
    except BaseException as error:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        _failed[command[0]] = f"{command[0]} took longer than {seconds:g} seconds ({LIMIT} sets the limit)"
        raise NoCompiler(_failed[command[0]]) from None
    if running.returncode:
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        reason = next((line for line in lines if "error" in line), lines[0] if lines else "it does not say why")
        raise NoCompiler(f"{command[0]} ended with status {running.returncode}: {shorten(reason, 200)}")


def _limit() -> float:
    try:
        seconds = float(os.environ.get(LIMIT, LIMIT_SECONDS))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise NoCompiler(f"the environment variable {LIMIT} is no number of seconds")
    return seconds


def _load(path: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise NoCompiler(f"what the compiler wrote does not load ({shorten(error, 200)})") from None


def _folder() -> Path:
    return cache_dir() / "kernels"


def _publish(content: bytes, name: str) -> Path:
    """Put a library into the cache in one step; OSError if there is no place that is safe to load from."""
    folder = own_folder(_folder())
    path = folder / f"{name}-{_digest(content)}.so"
    descriptor, temporary = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def _from_cache(name: str) -> ctypes.CDLL | None:
    """The first sound library of this name; those that are not are removed."""
    folder = _folder()
    try:
        if not folder.is_dir() or not is_mine(folder):
            return None
        for path in sorted(folder.glob(f"{name}-*.so")):
            if is_mine(path) and path.stem.endswith(f"-{_digest(path.read_bytes())}"):
                return _load(path)
            log.warning("%s is damaged or not this user's: building it again", path)
            path.unlink()
    except (OSError, NoCompiler) as error:
        log.warning("%s is not used (%s)", folder, error)
    return None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
