import os

import pytest
import torch

from seqlab.engine import runtime
from seqlab.types import InputError


def test_unknown_and_absent_devices() -> None:
    assert runtime.resolve_device("cpu").type == "cpu"
    assert runtime.resolve_device("auto").type in ("cpu", "cuda")
    with pytest.raises(InputError, match="choose one of auto, cpu, cuda, mps"):
        runtime.resolve_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match=r"trainer.device=cuda, but"):
            runtime.resolve_device("cuda")
    if not torch.backends.mps.is_available():
        with pytest.raises(InputError, match="Metal"):
            runtime.resolve_device("mps")


def test_precisions() -> None:
    cpu = torch.device("cpu")
    assert runtime.resolve_precision("fp32", cpu) == "fp32"
    assert runtime.resolve_precision("auto", cpu) in ("fp32", "bf16")
    with pytest.raises(InputError, match="fp16 needs a CUDA device"):
        runtime.resolve_precision("fp16", cpu)
    with pytest.raises(InputError, match=r"trainer.precision is 'half'"):
        runtime.resolve_precision("half", cpu)


def test_auto_is_fp32_where_the_lstm_does_not_run(monkeypatch) -> None:
    monkeypatch.setattr(runtime, "_lstm_runs", lambda *_: False)
    assert runtime.resolve_precision("auto", torch.device("cpu")) == "fp32"
    with pytest.raises(InputError, match="does not run in bf16"):
        runtime.resolve_precision("bf16", torch.device("cpu"))


def test_the_probe_leaves_random_states_alone() -> None:
    runtime._lstm_runs.cache_clear()
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    runtime.make_runtime()
    assert torch.equal(torch.rand(1), expected)


def test_autocast_computes_in_the_precision() -> None:
    weights = torch.randn(4, 4)
    with runtime.Runtime(precision="bf16").autocast():
        assert (weights @ weights).dtype == torch.bfloat16
    with runtime.Runtime().autocast():
        assert (weights @ weights).dtype == torch.float32
    assert runtime.Runtime().scaler() is None


def test_memory_versions_and_allocator() -> None:
    assert runtime.peak_memory() > 10 * 2**20
    assert {"seqlab", "torch", "threads"} <= runtime.versions().keys()
    assert runtime.tune_allocator(0) is False
    if os.name == "posix":
        before = runtime.peak_memory()
        block = torch.ones(2**26)
        assert runtime.peak_memory() >= max(before, block.nbytes)
