"""What every way of running a cell must answer: the same as the plain loop over time in double precision.

A new cell of ``CELLS`` is held to it without another line here. Compiled kernels are shared through the user's cache
(``SEQLAB_CACHE``): their names are digests of source, compiler and processor, so what an earlier run has built is what
this one would build, and only the first run pays for it.
"""

from __future__ import annotations

import copy
import logging
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seqlab.nn import Recurrent
from seqlab.nn.cells import CELLS
from seqlab.nn.compiler import NoCompiler, compile_cell
from seqlab.nn.initialize import initial_state
from seqlab.nn.reference import scan

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")

STANDARD = [name for name, make in CELLS.items() if getattr(make(1, 1), "torch_kind", None)]
FP32, BF16 = 1e-6, 1e-2
HALF = [(name, "compiled") for name in ("rnn", "gru", "lstm", "layernorm_lstm", "mut1")] + [("lstm", "torch")]
UNCOMPILED = ("lstm_projected",)
"""Cells that the compiler refuses: their states differ in width."""
NORMALISING = ("layernorm_lstm",)


def backends(name: str) -> list[str]:
    return ["torch", "compiled"] if name in STANDARD else ["compiled"]


def autocast_works() -> bool:
    """Whether this processor runs an LSTM in bfloat16."""
    try:
        with torch.autocast("cpu", torch.bfloat16):
            nn.LSTM(2, 2, batch_first=True)(torch.zeros(1, 2, 2))
    except RuntimeError:
        return False
    return True


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Problems as small as these gain nothing from a second, and lose where the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def compiler() -> None:
    """Leaves out a test where there is no C++ compiler."""
    x = torch.zeros(1, 1, 1)
    try:
        compile_cell(CELLS["rnn"](1, 1))(x, (x[0],))
    except NoCompiler as error:
        pytest.skip(str(error))


needs_bf16 = pytest.mark.skipif(not autocast_works(), reason="this processor runs no LSTM in bfloat16")
every_cell = pytest.mark.parametrize("cell", CELLS)
every_pair = pytest.mark.parametrize(("cell", "backend"), [(name, other) for name in CELLS for other in backends(name)])


@dataclass(frozen=True)
class Problem:
    """Sizes of one comparison; everything else is drawn from ``seed``."""

    lengths: tuple[int, ...]
    T: int
    I: int  # noqa: E741
    H: int
    bidirectional: bool = False
    given: bool = False  # whether there is an initial state
    seed: int = 0


EXAMPLES = settings(max_examples=25, deadline=None, derandomize=True)  # the same ones every time; slow tests draw anew


@st.composite
def problems(draw: Any, least: int = 1, most: int = 9) -> Problem:
    """Odd sizes from ``least`` up; rows that are full, empty, of one step, of any length."""
    T = draw(st.integers(1, 7))
    length = st.one_of(st.integers(0, T), st.sampled_from([0, 1, T]))
    lengths = draw(st.one_of(st.lists(length, min_size=1, max_size=6), st.integers(1, 6).map(lambda B: [T] * B)))
    sizes = st.integers(least, most)
    return Problem(
        tuple(lengths), T, draw(sizes), draw(sizes), draw(st.booleans()), draw(st.booleans()), draw(st.integers(0, 99))
    )


WIDE = [
    Problem((11, 7, 3, 11, 1, 0, 9, 5, 2), 11, 37, 71, True, True),
    Problem((40,) * 8, 40, 65, 70, True, True),
    Problem(tuple(k % 4 for k in range(270)), 3, 16, 24, True, True),
]
"""Beyond one tile and one chunk of every kernel."""


def build(cell: Any, problem: Problem, backend: str) -> Recurrent:
    torch.manual_seed(problem.seed)
    return Recurrent(problem.I, cell, problem.H, bidirectional=problem.bidirectional, backend=backend)


def answers(
    encoder: Recurrent, problem: Problem, dtype: torch.dtype = torch.float32, bf16: bool = False, twice: bool = False
) -> dict[str, Tensor]:
    """Outputs, final state and the gradients of a random functional of all of them, by name; in double precision."""
    encoder = encoder.to(dtype)
    torch.manual_seed(problem.seed + 1)
    B = len(problem.lengths)
    x = torch.randn(B, problem.T, problem.I).to(dtype).requires_grad_()
    parts = [
        tuple(
            (torch.randn(part.shape) if problem.given else torch.zeros(part.shape)).to(dtype).requires_grad_()
            for part in each
        )
        for each in encoder.initial_state(B, x)
    ]
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        encoded = encoder(x, torch.tensor(problem.lengths), parts if problem.given else None)
    found = {"outputs": encoded.outputs, "final": encoded.final}
    found |= {f"state {k}.{n}": part for k, each in enumerate(encoded.state) for n, part in enumerate(each)}
    total = sum((value * torch.randn(value.shape).to(value.dtype)).sum() for value in found.values())
    leaves = {"x": x} | dict(encoder.named_parameters())
    if problem.given:
        leaves |= {f"initial {k}.{n}": part for k, each in enumerate(parts) for n, part in enumerate(each)}
    grads = gradients(total, leaves, create_graph=twice)
    if twice:
        total = sum((value * torch.randn(value.shape).to(value.dtype)).sum() for value in grads.values())
        grads |= {f"second {name}": value for name, value in gradients(total, leaves).items()}
    found |= {f"gradient of {name}": value for name, value in grads.items()}
    return {name: value.detach().double() for name, value in found.items()}


def gradients(total: Any, leaves: dict[str, Tensor], create_graph: bool = False) -> dict[str, Tensor]:
    if not total.requires_grad:
        return {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
    found = torch.autograd.grad(total, list(leaves.values()), create_graph=create_graph, materialize_grads=True)
    return dict(zip(leaves, found, strict=True))


def worst(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> tuple[float, str]:
    """The largest error and whose it is: norm of the difference over the norm of what is wanted.

    To that, a tenth of the norm of everything together is added, for gradients that nearly cancel, as where one unit
    has read one step.
    """
    assert found.keys() == wanted.keys()
    everything = torch.stack([value.norm() for value in wanted.values()]).norm().clamp(min=1e-30)
    errors = {
        name: float((found[name] - value).norm() / (value.norm() + 0.1 * everything)) for name, value in wanted.items()
    }
    assert all(map(math.isfinite, errors.values())), errors
    return max((error, name) for name, error in errors.items())


def assert_near(found: dict[str, Tensor], wanted: dict[str, Tensor], relative: float) -> None:
    error, name = worst(found, wanted)
    assert error <= relative, f"{name} is off by {error:.2e}:\n{found[name]}\ninstead of\n{wanted[name]}"


def assert_agrees(
    cell: Any, backend: str, problem: Problem, relative: float, bf16: bool = False, twice: bool = False
) -> None:
    """Hold a backend's answers to those of the reference in double precision.

    A cell that normalises divides by a spread that may be next to nothing, which no arithmetic survives: it may lose
    eight times as much again as the reference does at the same precision.
    """
    wanted = answers(build(cell, problem, "reference"), problem, torch.float64, twice=twice)
    if cell in NORMALISING:
        rough = answers(build(cell, problem, "reference"), problem, bf16=bf16, twice=twice)
        relative += 8 * worst(rough, wanted)[0]
    assert_near(answers(build(cell, problem, backend), problem, bf16=bf16, twice=twice), wanted, relative)


# The reference itself ----------------------------------------------------------------------------------------------


@every_cell
@settings(EXAMPLES, max_examples=10)
@given(problem=problems())
def test_the_reference_is_a_loop_over_each_row_alone(cell, problem):
    encoder = build(cell, problem, "reference").double().eval()
    B = len(problem.lengths)
    x = torch.randn(B, problem.T, problem.I).double()
    start = [tuple(torch.randn(part.shape).double() for part in each) for each in encoder.initial_state(B, x)]
    encoded = encoder(x, torch.tensor(problem.lengths), start)
    count = 1 + problem.bidirectional
    outputs, finals = encoded.outputs.chunk(count, -1), encoded.final.chunk(count, -1)
    for k, direction in enumerate(encoder.layers[0].directions):
        part = outputs[k]
        for row, length in enumerate(problem.lengths):
            state = tuple(part[row : row + 1] for part in start[k])
            for t in range(length) if k == 0 else reversed(range(length)):
                state = direction.cell.step(x[row : row + 1, t], state)
                torch.testing.assert_close(part[row, t], state[0][0])
            assert not part[row, length:].any()
            for found, wanted in zip(encoded.state[k], state, strict=True):
                torch.testing.assert_close(found[row], wanted[0])
            torch.testing.assert_close(finals[k][row], state[0][0])


# Every backend against the reference -------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", [name for name in CELLS if name not in UNCOMPILED])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_every_cell_compiles(cell, reverse, compiler):
    """By the compiler itself, for an encoder would fall back and still be right."""
    torch.manual_seed(0)
    made = CELLS[cell](3, 4)
    x, active = torch.randn(6, 5, 3), [4, 4, 3, 1, 1, 0]
    state = tuple(map(torch.randn_like, initial_state(made, 5, x)))
    y, ends = compile_cell(made)(x, state, active, reverse)
    wanted, last = scan(made.step, x, state, active, reverse)
    for one, other in zip((y, *ends), (wanted, *last), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6 if cell not in NORMALISING else 1e-4)


@every_pair
@EXAMPLES
@given(problem=problems())
def test_single_precision_agrees(cell, backend, problem):
    assert_agrees(cell, backend, problem, FP32)


@every_pair
@pytest.mark.parametrize("problem", WIDE, ids=["ragged", "full", "many rows"])
def test_single_precision_agrees_on_wide_layers(cell, backend, problem):
    assert_agrees(cell, backend, problem, FP32)


@needs_bf16
@pytest.mark.parametrize(("cell", "backend"), HALF)
@settings(EXAMPLES, max_examples=15)
@given(problem=problems(8, 20))
def test_half_precision_agrees(cell, backend, problem):
    """With fewer units than eight, roundings of 0.4 % have nothing to average over."""
    assert_agrees(cell, backend, problem, BF16, bf16=True)


@needs_bf16
@pytest.mark.parametrize(("cell", "backend"), HALF)
@pytest.mark.parametrize("problem", WIDE, ids=["ragged", "full", "many rows"])
def test_half_precision_agrees_on_wide_layers(cell, backend, problem):
    assert_agrees(cell, backend, problem, BF16, bf16=True)


@every_pair
@settings(EXAMPLES, max_examples=3)
@given(problem=problems(most=4))
def test_gradients_of_gradients_agree(cell, backend, problem):
    assert_agrees(cell, backend, problem, 10 * FP32, twice=True)


def test_gradients_of_gradients_say_once_that_a_loop_works_them_out(compiler, caplog):
    class Once(CELLS["gru"]):
        """A name that no other test has used."""

    compiled = compile_cell(Once(3, 4))
    x, state = torch.randn(5, 2, 3, requires_grad=True), (torch.zeros(2, 4),)
    for _ in range(2):
        (gradient,) = torch.autograd.grad(compiled(x, state)[0].sum(), x, create_graph=True)
        gradient.square().sum().backward()
    assert [line.getMessage() for line in caplog.records if "Once" in line.getMessage()] == [
        "Once: gradients of gradients are worked out by the Python loop, which is slow"
    ]


@pytest.mark.slow
@every_pair
@settings(max_examples=300, deadline=None)
@given(problem=problems())
def test_single_precision_agrees_whatever_is_drawn(cell, backend, problem):
    assert_agrees(cell, backend, problem, 4 * FP32 if cell not in NORMALISING else 1000 * FP32)


NOISE = [{"recurrent_dropout": 0.5}, {"state_dropout": 0.5}, {"zoneout": 0.3}, {"state_dropout": 0.5, "zoneout": 0.3}]


@pytest.mark.parametrize("noise", NOISE, ids=lambda noise: "-".join(noise))
@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("cell", ["lstm", pytest.param("mut1", marks=pytest.mark.slow)])
def test_noise_is_the_same_for_the_same_seed(cell, noise, train):
    found = []
    for backend in ("reference", "compiled"):
        torch.manual_seed(0)
        encoder = Recurrent(3, cell, 5, 2, bidirectional=True, backend=backend, **noise).train(train)
        found.append(answers(encoder, Problem((6, 4, 1, 0), 6, 3, 5, True)))
    assert_near(found[1], found[0], 2 * FP32)


# One row and its neighbours ----------------------------------------------------------------------------------------


@every_pair
def test_not_a_number_stays_in_its_row(cell, backend):
    problem = Problem((5, 5, 4, 2, 0), 5, 3, 6, bidirectional=True)
    encoder = build(cell, problem, backend)
    clean = torch.randn(5, 5, 3)
    dirty = clean.clone()
    dirty[1, 2] = torch.nan
    found = []
    for x in (clean, dirty):
        x.requires_grad_()
        encoded = encoder(x, torch.tensor(problem.lengths))
        (gradient,) = torch.autograd.grad(encoded.outputs.square().sum() + encoded.final.sum(), x)
        found.append((encoded.outputs, encoded.final, gradient))
    others = [0, 2, 3, 4]
    for one, other in zip(*found, strict=True):
        assert torch.equal(one[others], other[others])
    outputs, final, gradient = found[1]
    ahead, back = outputs[1].chunk(2, -1)
    assert ahead[2:].isnan().all()
    assert ahead[:2].isfinite().all()
    assert back[:3].isnan().all()
    assert back[3:].isfinite().all()
    assert final[1].isnan().all()
    assert gradient[1].isnan().any()


@pytest.mark.parametrize("cell", [name for name in CELLS if name not in UNCOMPILED])
def test_a_compiled_row_is_the_same_bits_alone(cell, compiler):
    """Which makes reading step by step equal to reading the whole."""
    problem = Problem((7,) * 6, 7, 5, 9)
    encoder = build(cell, problem, "compiled").eval()
    x = torch.randn(6, 7, 5)
    with torch.no_grad():
        together = encoder(x, torch.full((6,), 7)).outputs
        alone = encoder(x[4:5], torch.tensor([7])).outputs
        stream = encoder.stream(2)
        steps = [stream.push(x[3:5, t]) for t in range(7)]
    assert torch.equal(together[4:5], alone)
    assert torch.equal(together[3:5], torch.stack(steps, 1))


# Threads -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("bf16", [False, pytest.param(True, marks=needs_bf16)], ids=["fp32", "bf16"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "layernorm_lstm"])
def test_the_number_of_threads_decides_no_more_than_rounding(cell, bf16, ragged):
    T = 13
    lengths = tuple(k * 5 % (T + 1) for k in range(33)) if ragged else (T,) * 33
    problem = Problem(lengths, T, 20, 34, bidirectional=True, given=True)
    found: dict[int, list[dict[str, Tensor]]] = {}
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        found[count] = [answers(build(cell, problem, "compiled"), problem, bf16=bf16) for _ in range(2)]
        for name, value in found[count][0].items():
            assert torch.equal(value, found[count][1][name]), f"{name} differs between two runs with {count} threads"
    for count in (2, 3):
        assert_near(found[count][0], found[1][0], BF16 if bf16 else FP32)


# Falling back ------------------------------------------------------------------------------------------------------


class Ranked(nn.Module):
    """A cell that no compiler here knows: it sorts its units."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.ih = nn.Linear(input_size, hidden_size)
        self.hh = nn.Linear(hidden_size, hidden_size)

    def step(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (h,) = state
        return (torch.tanh(self.ih(x) + self.hh(h)).sort(-1).values,)


@pytest.mark.parametrize("backend", ["auto", "compiled"])
def test_an_unknown_operation_falls_back_and_says_so_once(backend, caplog):
    fresh = type(f"Ranked{backend.title()}", (Ranked,), {})
    with caplog.at_level(logging.INFO, logger="seqlab"):
        for seed in range(2):
            assert_agrees(fresh, backend, Problem((5, 3, 0), 5, 3, 4, bidirectional=True, seed=seed), FP32)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1, said
    assert fresh.__name__ in said[0]
    assert "sort" in said[0]


NOWHERE = """
import logging, torch
from seqlab.nn import Recurrent
logging.basicConfig(format="LOG %(message)s")
torch.manual_seed(0)
for backend in ("auto", "compiled"):
    encoder = Recurrent(3, "mut1", 4, 2, bidirectional=True, backend=backend)
    other = Recurrent(3, "mut1", 4, 2, bidirectional=True, backend="reference")
    other.load_state_dict(encoder.state_dict())
    x, lengths = torch.randn(3, 5, 3), torch.tensor([5, 2, 0])
    assert torch.equal(encoder(x, lengths).outputs, other(x, lengths).outputs)
    encoder(x, lengths).outputs.sum().backward()
"""


def test_without_a_compiler_it_falls_back_and_says_so_once(tmp_path):
    environment = os.environ | {"PATH": "", "CXX": str(tmp_path / "c++"), "SEQLAB_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", NOWHERE], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("LOG")]
    assert len(said) == 1, done.stderr
    assert "MUT1" in said[0]


# Weights -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["reference", "torch", "compiled"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("kind", ["RNN_TANH", "RNN_RELU", "GRU", "LSTM"])
def test_weights_come_from_torch_and_go_back_to_the_bit(kind, bidirectional, backend):
    torch.manual_seed(0)
    make = {"GRU": nn.GRU, "LSTM": nn.LSTM}.get(kind, nn.RNN)
    options = {"nonlinearity": kind[4:].lower()} if make is nn.RNN else {}
    theirs = make(3, 5, 2, batch_first=True, bidirectional=bidirectional, **options)
    ours = Recurrent.from_torch(theirs, backend=backend)
    back = ours.to_torch()
    assert back.state_dict().keys() == theirs.state_dict().keys()
    for name, value in theirs.state_dict().items():
        assert torch.equal(value, back.state_dict()[name]), name
    x = torch.randn(4, 6, 3)
    torch.testing.assert_close(ours(x, torch.full((4,), 6)).outputs, theirs(x)[0], atol=1e-6, rtol=1e-5)


@every_cell
def test_weights_move_between_backends(cell):
    problem = Problem((5, 3), 5, 3, 4, bidirectional=True)
    first = build(cell, problem, "compiled")
    for backend in ("reference", "auto", *backends(cell)):
        other = build(cell, Problem((1,), 1, 3, 4, True, seed=9), backend)
        other.load_state_dict(first.state_dict())
        assert_near(answers(other, problem), answers(first, problem), 10 * FP32)


def test_changed_weights_are_seen():
    """Whatever a backend keeps of the weights in another form must follow them."""
    problem = Problem((4,), 4, 3, 5)
    encoder = build("gru", problem, "compiled")
    x, lengths = torch.randn(2, 4, 3), torch.tensor([4, 2])
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=0.1, fused=True)

    def reads_as_the_reference() -> None:
        other = build("gru", problem, "reference")
        other.load_state_dict(encoder.state_dict())
        with torch.no_grad():
            wanted = other(x, lengths).outputs
            torch.testing.assert_close(encoder(x, lengths).outputs, wanted)
            stream = encoder.stream(1)
            torch.testing.assert_close(torch.stack([stream.push(x[:1, t]) for t in range(4)], 1), wanted[:1])

    reads_as_the_reference()
    encoder(x, lengths).outputs.sum().backward()
    optimizer.step()
    reads_as_the_reference()
    for parameter in encoder.parameters():
        parameter.data = torch.randn_like(parameter)
    reads_as_the_reference()
    for parameter in encoder.parameters():
        parameter.data.copy_(torch.randn_like(parameter))
    reads_as_the_reference()
    other = copy.deepcopy(encoder)
    with torch.no_grad():
        next(encoder.parameters()).zero_()
        assert not torch.equal(encoder(x, lengths).outputs, other(x, lengths).outputs)
    reads_as_the_reference()
