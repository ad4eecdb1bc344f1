"""Other tools of torch on our modules, and calls that must not end the process: each in one child process."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seqlab.engine import checkpoint
from seqlab.nn import TCN, Recurrent, TransformerEncoder
from seqlab.types import InputError

CHILD = Path(__file__).with_name("tools_child.py")

QUICK, SLOW = ("trace", "quantize", "vmap", "grad", "fake", "copies"), ("export", "compile")
ENCODERS = ("lstm", "bidirectional", "mingru", "noisy", "tcn", "segments", "transformer")
GOOD = [f"{tool} {encoder}" for tool in QUICK for encoder in ENCODERS]
GOOD += [f"{tool} {encoder}" for tool in SLOW for encoder in ("lstm", "tcn")]
GOOD += [
    "jvp",
    "language model",
    "threads",
    "fork",
    "strides",
    "negative",
    "mixed gradients",
    "empty",
    "float64",
]
REFUSED = {
    "script model": "torch.jit.script cannot read Model, whose Python it does not know: use torch.jit.trace or",
    "script encoder": "torch.jit.script cannot read Recurrent, whose Python it does not know: use torch.jit.trace or",
    "freed weights": "hh.weight of shape (64, 16) holds no numbers: its memory was freed, load the weights again.",
    "sparse inputs": "x is a sparse_coo tensor on cpu: move all weights and inputs to the CPU, as dense tensors.",
    "sparse direct": "x is a sparse_coo tensor on cpu: move all weights and inputs to the CPU, as dense tensors.",
    "whole numbers": "the encoder reads real numbers of shape (B, T, E), not torch.int64 of shape (2, 3, 8)",
    "two dimensions": "the encoder reads real numbers of shape (B, T, E), not torch.float32 of shape (3, 8)",
    "traced stream": "A stream cannot be traced, compiled or transformed: trace the encoder itself instead.",
}


@pytest.fixture(scope="module")
def answers() -> dict[str, str]:
    done = subprocess.run([sys.executable, "-W", "ignore", str(CHILD)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (
        f"the process ended with {done.returncode} after:\n{done.stdout[-300:]}{done.stderr[-3000:]}"
    )
    return dict(map(json.loads, done.stdout.splitlines()))


@pytest.mark.parametrize("name", GOOD)
def test_a_tool_of_torch_gets_the_right_answer(answers: dict[str, str], name: str) -> None:
    assert answers[name] == "right"


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_one_sentence(answers: dict[str, str], name: str) -> None:
    assert answers[name].startswith(f"InputError: {REFUSED[name]}")


def test_onnx_export_never_ends_the_process(answers: dict[str, str]) -> None:
    if answers["onnx"].startswith(("ModuleNotFoundError", "OnnxExporterError")):
        pytest.skip("onnx is not installed")
    assert answers["onnx"] == "right"


def test_other_errors_are_exceptions_of_python(answers: dict[str, str]) -> None:
    assert answers["deleted weights"].startswith("AttributeError")
    assert answers["freed inputs"].startswith(("InputError", "RuntimeError"))
    assert answers["weights on meta"].startswith(("InputError", "RuntimeError", "NotImplementedError"))
    assert answers["inputs on meta"].startswith(("InputError", "RuntimeError", "NotImplementedError"))


def test_a_functional_call_leaves_the_weights_as_they_were() -> None:
    encoder = Recurrent(3, StateFirst, 4, recurrent_dropout=0.5)
    weights = {name: id(weight) for name, weight in encoder.named_parameters()}
    assert {name.rpartition("cell.")[2] for name in encoder.state_dict()} == {"hh.weight", "ih.weight", "ih.bias"}
    encoder(torch.rand(2, 3, 3)).final.sum().backward()
    assert {name: id(weight) for name, weight in encoder.named_parameters()} == weights


class StateFirst(nn.Module):
    """A cell whose first map reads the state."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.hh = nn.Linear(hidden_size, hidden_size, bias=False)
        self.ih = nn.Linear(input_size, hidden_size)

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (torch.tanh(self.ih(x) + self.hh(state[0])),)


def test_weights_stored_twice_by_earlier_versions_load() -> None:
    encoder, other = Recurrent(3, "lstm", 4), Recurrent(3, "lstm", 4)
    stored = encoder.state_dict()
    for name in ("weight", "bias"):
        stored[f"layers.0.directions.0._owner.{name}"] = stored[f"layers.0.directions.0.cell.ih.{name}"]
    other.load_state_dict(stored)
    checkpoint.load_weights(other, stored)
    x = torch.rand(2, 5, 3)
    assert torch.equal(other(x).final, encoder(x).final)


@pytest.mark.parametrize("lengths", [[3, 1], (3, 1), np.array([3, 1]), torch.tensor([3, 1], dtype=torch.int32)])
@pytest.mark.parametrize(
    "make", [lambda: Recurrent(4, "gru", 5), lambda: TCN(4, 5, 2), lambda: TransformerEncoder(4, 4, 1, 2)]
)
def test_lengths_may_be_lists_arrays_or_left_out(make: Callable[[], Any], lengths: Any) -> None:
    encoder, x = make().eval(), torch.rand(2, 3, 4)
    assert torch.equal(encoder(x, lengths).final, encoder(x, torch.tensor([3, 1])).final)
    assert torch.equal(encoder(x).final, encoder(x, torch.tensor([3, 3])).final)
    assert encoder(x).lengths.tolist() == [3, 3]


@pytest.mark.parametrize(
    ("lengths", "sentence"),
    [
        ([3.0, 1.5], "lengths are torch.float32 of shape (2,): give one whole number for each row, (B,)"),
        ([[3], [1]], "lengths are torch.int64 of shape (2, 1): give one whole number for each row, (B,)"),
        (["a", "b"], "lengths=['a', 'b'] cannot be read: give one whole number a row"),
        ([3], "there are 1 lengths for a batch of 2: give one length for each row"),
    ],
)
def test_lengths_that_are_none_are_one_sentence(lengths: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)):
        Recurrent(4, "gru", 5)(torch.rand(2, 3, 4), lengths)
