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
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import torch

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
_loaded: dict[str, ctypes.CDLL] = {}


class NoCompiler(Exception):
    """This machine cannot build kernels; the message says why."""


def build(source: str, name: str) -> ctypes.CDLL:
    """The library of a C++17 source text: loaded before, from the cache on disk, or built now.

    ``_OPENMP`` is defined where there will be threads: the ones that torch started, for two pools would fight.

    Args:
        source: the whole text; what is to be called is ``extern "C"``.
        name: how the file's name begins, letters, digits and ``_``: for people who look into the folder.

    Raises:
        NoCompiler: there is none, or this is a system where kernels are not built.
        RuntimeError: the compiler refused the text, in the compiler's words.
    """
    compiler = _compiler()
    openmp = _openmp(compiler)
    flags = (*FLAGS, *NATIVE.get(platform.machine(), ()))
    # The file behind the compiler's name stands for its version: asking it would cost more than loading the library.
    found = os.stat(compiler[0])
    identity = (*compiler, str(found.st_size), str(found.st_mtime_ns), *flags, str(openmp), processor(), source)
    key = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:32]
    if key not in _loaded:
        _loaded[key] = _from_cache(f"{name}-{key}") or _compile(source, f"{name}-{key}", compiler, flags, openmp)
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
    except (NoCompiler, RuntimeError):
        return False


def _compiler() -> tuple[str, ...]:
    """The compiler's command, its first word a full path with links resolved."""
    if sys.platform not in ("linux", "darwin"):
        raise NoCompiler(f"kernels are not built on {sys.platform}")
    named = shlex.split(os.environ.get("CXX", ""))
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
    """Compile, publish in the cache, load; where the cache cannot be written, load and leave nothing behind."""
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
        try:
            published = _publish(library.read_bytes(), name)
        except OSError as error:
            log.warning("kernels are not kept for next time, for %s cannot be used (%s)", _folder(), error)
            return _load(library)
        return _load(published)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=os.environ | {"LC_ALL": "C"})
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stderr[:4000]}")


def _load(path: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise RuntimeError(f"the built kernel does not load: {error}") from None


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
    except (OSError, RuntimeError) as error:
        log.warning("%s is not used (%s)", folder, error)
    return None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
