import os
from typing import Any

import pytest
import torch

from seqlab.build import check_config
from seqlab.compose import composed
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


@pytest.mark.parametrize("count", [-1, 0, 1025, 10**9])
def test_threads_are_as_many_as_a_machine_can_use(count) -> None:
    runtime.check_threads(None)
    runtime.check_threads(1024)
    with pytest.raises(InputError, match=rf"^runtime.threads is {count}; give a whole number from 1 to 1,024, or null"):
        runtime.check_threads(count)
    with pytest.raises(InputError, match=r"^runtime.threads is"):
        check_config(composed(f"runtime.threads={count}"))


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


@pytest.mark.parametrize("slow", [torch.bfloat16, torch.float32])
def test_auto_is_bf16_where_it_is_measured_to_gain(monkeypatch, slow) -> None:
    """A clock by which products of one kind take long; the decision is the clock's, not the processor's name."""
    matmul, now = torch.Tensor.__matmul__, [0.0]

    def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        now[0] += 2.0 if a.dtype is slow else 1.0
        return matmul(a, b)

    monkeypatch.setattr(torch.Tensor, "__matmul__", product)
    monkeypatch.setattr(runtime.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(runtime, "_native_bf16", lambda device: True)
    monkeypatch.setattr(runtime, "_lstm_runs", lambda *_: True)
    runtime._bf16_gains.cache_clear()
    try:
        expected = "fp32" if slow is torch.bfloat16 else "bf16"
        assert runtime.resolve_precision("auto", torch.device("cpu")) == expected
    finally:
        runtime._bf16_gains.cache_clear()


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


@pytest.fixture
def switch(monkeypatch) -> Any:
    found = runtime._product_switch()
    if found is None:
        pytest.skip("this torch has no switch for fp32 products")
    before = found.fp32_precision
    found.fp32_precision = "none"
    yield found
    found.fp32_precision = before


def test_products_go_to_onednn_and_back(switch, monkeypatch) -> None:
    monkeypatch.setattr(runtime, "_onednn_gains", lambda: True)
    assert "fp32_products" not in runtime.versions()
    undo = runtime.tune_products()
    assert undo is not None
    assert runtime.versions()["fp32_products"] == "oneDNN (bf16)"
    undo()
    assert switch.fp32_precision == "none"
    assert "fp32_products" not in runtime.versions()


def test_products_are_left_alone(switch, monkeypatch) -> None:
    monkeypatch.setattr(runtime, "_onednn_gains", lambda: False)
    assert runtime.tune_products() is None
    assert switch.fp32_precision == "none"
    monkeypatch.setattr(runtime, "_onednn_gains", lambda: True)
    switch.fp32_precision = "tf32"  # somebody's wish
    assert runtime.tune_products() is None
    assert switch.fp32_precision == "tf32"
    monkeypatch.setattr(runtime, "_product_switch", lambda: None)  # an older torch
    assert runtime.tune_products() is None
    assert "fp32_products" not in runtime.versions()


def test_products_stay_exact_where_they_are_tuned(switch) -> None:
    state = torch.get_rng_state()
    undo = runtime.tune_products()
    assert torch.equal(torch.get_rng_state(), state)
    assert switch.fp32_precision == ("none" if undo is None else "bf16")
    a, b = torch.randn(300, 500), torch.randn(500, 200)
    exact = a.double() @ b.double()
    assert float((a @ b - exact).norm() / exact.norm()) < 1e-5


@pytest.mark.parametrize("spoil", ["inexact", "slow"])
def test_the_probe_refuses(switch, monkeypatch, spoil: str) -> None:
    """A library that answers in bf16, or takes its time."""
    matmul, clock = torch.Tensor.__matmul__, iter(range(10**6))

    def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        found = matmul(a, b)
        if a.dtype == torch.float32 and switch.fp32_precision == "bf16":
            if spoil == "inexact":
                return found.bfloat16().float()
            next(clock)
        return found

    monkeypatch.setattr(torch.Tensor, "__matmul__", product)
    if spoil == "slow":
        monkeypatch.setattr(runtime.time, "perf_counter", lambda: next(clock))
    runtime._onednn_gains.cache_clear()
    try:
        assert runtime.tune_products() is None
        assert switch.fp32_precision == "none"
    finally:
        runtime._onednn_gains.cache_clear()


def test_memory_versions_and_allocator() -> None:
    assert runtime.peak_memory() > 10 * 2**20
    assert {"seqlab", "torch", "threads"} <= runtime.versions().keys()
    assert runtime.tune_allocator(0) is False
    if os.name == "posix":
        before = runtime.peak_memory()
        block = torch.ones(2**26)
        assert runtime.peak_memory() >= max(before, block.nbytes)
