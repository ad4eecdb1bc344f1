"""Where and how a run computes: device, precision, random states, threads, memory."""

from __future__ import annotations

import ctypes
import math
import os
import platform
import random
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from seqlab.types import InputError

DEVICES = ("auto", "cpu", "cuda", "mps")
CPU = torch.device("cpu")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
MOST_THREADS = 1024
"""More threads than any machine gains by; a stored config must not start a million."""


@dataclass(frozen=True)
class Runtime:
    """Device and precision of a run. ``precision`` is ``fp32``, ``bf16`` or ``fp16``: resolved, never ``auto``."""

    device: torch.device = CPU
    precision: str = "fp32"

    def autocast(self) -> AbstractContextManager[object]:
        """A context in which forward passes compute in this precision; it may be entered again and again."""
        if self.precision == "fp32":
            return nullcontext()
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float16
        return torch.autocast(self.device.type, dtype=dtype)

    def scaler(self) -> torch.amp.GradScaler | None:
        """The loss scaler that fp16 needs; none otherwise."""
        return torch.amp.GradScaler(self.device.type) if self.precision == "fp16" else None


def make_runtime(device: str = "auto", precision: str = "auto") -> Runtime:
    """Device and precision by name, checked against this machine."""
    resolved = resolve_device(device)
    return Runtime(resolved, resolve_precision(precision, resolved))


def resolve_device(name: str = "auto") -> torch.device:
    """``auto`` is CUDA where there is a GPU, else the CPU; MPS has to be asked for by name."""
    if name not in DEVICES:
        raise InputError(f"trainer.device is {name!r}; choose one of {', '.join(DEVICES)}.")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        why = "this PyTorch is built without CUDA" if torch.version.cuda is None else "PyTorch finds no usable GPU"
        raise InputError(f"trainer.device=cuda, but {why}; set trainer.device=cpu or install a CUDA build of PyTorch.")
    if name == "mps" and not torch.backends.mps.is_available():
        raise InputError("trainer.device=mps, but Metal is not available here; set trainer.device=cpu.")
    return torch.device(name)


def resolve_precision(name: str, device: torch.device) -> str:
    """``auto`` is bf16 where the processor computes in it natively, gains by it, and a small LSTM runs; else fp32.

    Autocast on CPUs differs by layer and by processor, so the question is put to the machine: a product is timed in
    both. fp16 is for CUDA.
    """
    if name not in PRECISIONS:
        raise InputError(f"trainer.precision is {name!r}; choose one of {', '.join(PRECISIONS)}.")
    if name == "auto":
        gains = device.type != "cpu" or _bf16_gains()
        return "bf16" if _native_bf16(device) and gains and _lstm_runs(device.type, torch.bfloat16) else "fp32"
    if name == "fp16" and device.type != "cuda":
        raise InputError(f"trainer.precision=fp16 needs a CUDA device, this is {device.type}; choose bf16 or fp32.")
    if name == "bf16" and not _lstm_runs(device.type, torch.bfloat16):
        raise InputError(
            f"trainer.precision=bf16, but an LSTM does not run in bf16 on this {device.type}; choose fp32."
        )
    return name


def check_threads(count: int | None) -> None:
    """Refuse numbers of threads that no machine can use; None is torch's own.

    Raises:
        InputError: fewer than 1 or more than ``MOST_THREADS``.
    """
    if count is not None and not 1 <= count <= MOST_THREADS:
        raise InputError(f"runtime.threads is {count}; give a whole number from 1 to {MOST_THREADS:,}, or null.")


def seed_everything(seed: int) -> None:
    """Seeds Python's, NumPy's and torch's global generators (every device's)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def physical_memory() -> int | None:
    """Bytes of memory that the machine has; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not on Windows
        return None


def random_state() -> dict[str, Any]:
    """All global random states as plain data that loads under ``weights_only=True``."""
    name, keys, position, has_gauss, gauss = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": random.getstate(),
        "numpy": [str(name), np.asarray(keys).tolist(), int(position), int(has_gauss), float(gauss)],
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Puts back what ``random_state`` gave; CUDA's only where as many GPUs are there."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, np.array(keys, np.uint32), position, has_gauss, cached))


def tune_allocator(megabytes: int = 64) -> bool:
    """Lets glibc keep freed blocks up to this size instead of handing each back to the kernel; says if it did.

    An LSTM's activations are a few MB each and are freed and taken again every step: unmapped, they cost page faults
    each time. The threshold is bounded because kept blocks of ragged shapes fragment and resident memory grows.
    Not glibc: nothing happens. 0 leaves the allocator alone.
    """
    if megabytes <= 0 or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
    size = megabytes * 2**20
    largest_everywhere = 32 * 2**20  # what older releases of glibc accept at most
    kept = mallopt(mmap_threshold, size) or mallopt(mmap_threshold, largest_everywhere)
    return bool(kept and mallopt(trim_threshold, 2 * size))


def tune_products() -> Callable[[], None] | None:
    """Gives this process's fp32 matrix products to oneDNN where that is as exact as torch's choice and clearly faster.

    On AMD processors torch's choice is MKL, which uses half the vector width there. torch's switch says "bf16", which
    oneDNN takes as a permission: without hardware for it (AMX) it computes in fp32. So both libraries are asked once
    for the same products: oneDNN's must agree with fp64 to 1e-5 and take less than three quarters of the time.

    Measured on Zen 5, one thread, training step without and with: MLP 256x784-512-512-10 7.8 and 3.6 ms, cross-entropy
    of 2048 rows over 10,000 words 352 and 263, Transformer layer 105 and 78; LSTM and compiled GRU classifiers the
    same within 2 %. It costs some 10 us in each tiny product: an MLP 32x64-64-64-10 0.12 and 0.22 ms, nn.GRU of size
    64 8.5 and 11.5, nn.RNN 3.2 and 5.7. So it is for processes whose recurrent loops are compiled.

    Returns:
        What takes it back, or None where nothing was changed: torch before 2.9 has no such switch, somebody else has
        used it, or there is nothing to gain. While it is on, torch.get_float32_matmul_precision() raises.
    """
    switch = _product_switch()
    if switch is None or switch.fp32_precision != "none" or not _onednn_gains():
        return None
    switch.fp32_precision = "bf16"
    return partial(setattr, switch, "fp32_precision", "none")


def peak_memory() -> int:
    """The largest resident size of this process so far, in bytes; 0 where the system does not tell (Windows)."""
    if sys.platform == "win32":
        return 0
    status = Path("/proc/self/status")
    if status.exists():  # getrusage's maximum survives exec, so a child would report its parent's
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource  # POSIX only

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def versions() -> dict[str, str]:
    """What the numbers of a run depend on, by name."""
    from seqlab import __version__

    found = {
        "seqlab": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "threads": str(torch.get_num_threads()),
        "platform": platform.platform(),
    }
    switch = _product_switch()
    if switch is not None and switch.fp32_precision != "none":
        found["fp32_products"] = f"oneDNN ({switch.fp32_precision})"
    if torch.cuda.is_available():
        found |= {"cuda": str(torch.version.cuda), "gpu": torch.cuda.get_device_name()}
    return found


def _product_switch() -> Any | None:
    """torch's switch for fp32 products of oneDNN; None where this torch has none."""
    switch = getattr(torch.backends.mkldnn, "matmul", None)
    return switch if hasattr(switch, "fp32_precision") and torch.backends.mkldnn.is_available() else None


@cache
def _onednn_gains() -> bool:
    """Whether oneDNN's fp32 products are exact and fast; leaves the switch and random states as they were."""
    switch = _product_switch()
    if switch is None:
        return False
    generator = torch.Generator().manual_seed(0)
    a, b, wide = (torch.randn(shape, generator=generator) for shape in ((256, 256), (256, 256), (8, 256)))
    pairs = ((a, b), (a.t(), b), (wide, b.t()))
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        exact = [x.double() @ y.double() for x, y in pairs]
        seconds: dict[str, list[float]] = {"none": [], "bf16": []}
        try:
            for precision in ("none", "bf16") * 5:
                switch.fp32_precision = precision
                start = time.perf_counter()
                products = [x @ y for x, y in pairs]
                seconds[precision].append(time.perf_counter() - start)
        finally:
            switch.fp32_precision = "none"
    errors = [float((found - true).norm() / true.norm()) for found, true in zip(products, exact, strict=True)]
    return max(errors) < 1e-5 and min(seconds["bf16"]) < 0.75 * min(seconds["none"])


def _native_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False) if _torch_at_least(2, 5) else _ampere()
    if device.type == "cpu":
        # Private names, absent from some releases: then there is no evidence, and fp32 is always right.
        probes = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
        return any(probe() for probe in probes if probe is not None)
    return False


@cache
def _bf16_gains() -> bool:
    """Whether a product of bfloat16 takes less than nine tenths of one of float32 on this CPU.

    Where there is hardware for it, it takes half or less, so that the answer does not hang on a busy moment: of each
    the shortest of several turns counts.
    """
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(256, 512, generator=generator), torch.randn(512, 1024, generator=generator))
    pairs = {torch.float32: (a, b), torch.bfloat16: (a.bfloat16(), b.bfloat16())}
    shortest = dict.fromkeys(pairs, math.inf)
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        for _ in range(7):
            for dtype, (x, y) in pairs.items():
                start = time.perf_counter()
                _ = x @ y
                shortest[dtype] = min(shortest[dtype], time.perf_counter() - start)
    return shortest[torch.bfloat16] < 0.9 * shortest[torch.float32]


def _torch_at_least(major: int, minor: int) -> bool:
    return tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (major, minor)


def _ampere() -> bool:
    return torch.cuda.get_device_capability() >= (8, 0)


@cache
def _lstm_runs(device: str, dtype: torch.dtype) -> bool:
    """Whether a small LSTM goes forward and backward under autocast with finite answers; leaves random states alone."""
    with torch.random.fork_rng():
        lstm = nn.LSTM(8, 8, batch_first=True).to(device)
        inputs = torch.randn(2, 3, 8, device=device)
        try:
            with torch.autocast(device, dtype=dtype):
                outputs, _ = lstm(inputs)
            outputs.float().sum().backward()
        except RuntimeError:
            return False
    return bool(outputs.isfinite().all())
