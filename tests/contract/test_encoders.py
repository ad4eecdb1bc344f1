"""What every encoder must hold, whatever its options. A new encoder is one more line in ``ENCODERS``."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from seqlab.nn import BagOfWords, ConcatMLP, Convolution, Pooling, Recurrent, SegmentRecurrent, TransformerEncoder
from seqlab.nn.cells import CELLS
from seqlab.nn.tcn import TCN
from seqlab.types import Encoded, InputError

E = 3

RECURRENT: list[dict[str, Any]] = [
    {},
    {"num_layers": 2, "dropout": 0.3},
    {"hidden_size": [5, 2]},
    {"bidirectional": True},
    {"bidirectional": True, "merge": "sum"},
    {"num_layers": 3, "residual": True},
    {"num_layers": 2, "bidirectional": True, "residual": True, "recurrent_dropout": 0.3},
]

ENCODERS: dict[str, Callable[[], nn.Module]] = {
    **{
        "-".join([cell, *map(str, options)]): lambda cell=cell, options=options: Recurrent(
            E, cell, **{"hidden_size": 4} | options
        )
        for cell, options in product(("rnn", "lstm", "gru"), RECURRENT)
    },
    "bow": lambda: BagOfWords(E),
    "mlp": lambda: ConcatMLP(E, length=4, hidden_size=5),
    "cnn": lambda: Convolution(E, channels=2, kernel_sizes=(1, 2, 3)),
    "cnn-wide": lambda: Convolution(E, channels=2, kernel_sizes=9),
    "segments": lambda: SegmentRecurrent(E, 2, hidden_size=4),
    "segments-lstm": lambda: SegmentRecurrent(E, 4, "lstm", hidden_size=5, num_layers=2, dropout=0.2),
    "tcn": lambda: TCN(E, hidden_size=12, num_layers=2, kernel_size=3),
    "tcn-dropout": lambda: TCN(E, hidden_size=[16, 16, 12], kernel_size=2, dropout=0.2, weight_norm=False),
    "transformer": lambda: TransformerEncoder(E, hidden_size=8, num_layers=2, num_heads=2),
    "transformer-post": lambda: TransformerEncoder(
        E, hidden_size=E, num_layers=2, num_heads=1, feedforward=9, dropout=0.2, norm_first=False
    ),
}

every_encoder = pytest.mark.parametrize("build", ENCODERS.values(), ids=ENCODERS.keys())


def autocast_works() -> bool:
    """Whether this processor runs an LSTM in bfloat16."""
    try:
        with torch.autocast("cpu", torch.bfloat16):
            nn.LSTM(2, 2, batch_first=True)(torch.zeros(1, 2, 2))
    except RuntimeError:
        return False
    return True


def make(build: Callable[[], nn.Module], train: bool = False) -> Any:
    torch.manual_seed(0)
    return build().train(train)


def draw(lengths: list[int], T: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(len(lengths), T, E), torch.tensor(lengths)


ROUNDING = {"atol": 2e-5, "rtol": 1e-4}
"""Products of another shape round otherwise, by how much is the processor's; normalising makes more of it."""


def assert_same(one: Encoded, other: Encoded, T: int) -> None:
    """Equal up to the first ``T`` steps; what follows is zero."""
    torch.testing.assert_close(one.outputs[:, :T], other.outputs[:, :T], **ROUNDING)
    torch.testing.assert_close(one.final, other.final, **ROUNDING)
    assert torch.equal(one.lengths, other.lengths)
    assert not other.outputs[:, T:].any()


@every_encoder
@pytest.mark.parametrize("lengths", [[5, 5, 5], [5, 2, 1], [0, 5, 3], [0, 0, 0]])
def test_shape_mask_dtype(build, lengths):
    encoder = make(build)
    x, n = draw(lengths, 5)
    encoded = encoder(x, n)
    steps = encoded.outputs.shape[1]
    assert encoded.outputs.shape == (3, steps, encoder.output_size)
    assert encoded.final.shape == (3, encoder.output_size)
    assert encoded.lengths.device.type == "cpu"
    assert encoded.lengths.dtype == torch.int64
    assert encoded.lengths.max() <= steps
    assert encoded.outputs.dtype == encoded.final.dtype == x.dtype
    for row, length in enumerate(encoded.lengths.tolist()):
        assert not encoded.outputs[row, length:].any()
        assert (length == 0) == (lengths[row] == 0)
        if length == 0:
            assert not encoded.final[row].any()


@every_encoder
@settings(max_examples=10, deadline=None)
@given(lengths=st.lists(st.integers(0, 6), min_size=1, max_size=4), extra=st.integers(1, 4))
def test_padding_changes_nothing(build, lengths, extra):
    encoder = make(build)
    T = max(1, *lengths)
    x, n = draw(lengths, T)
    padded = torch.cat((x, 100 * torch.randn(len(lengths), extra, E)), 1)  # whatever stands there
    assert_same(encoder(x, n), encoder(padded, n), min(T, encoder(x, n).outputs.shape[1]))


@every_encoder
@settings(max_examples=10, deadline=None)
@given(lengths=st.lists(st.integers(1, 6), min_size=2, max_size=4))
def test_a_row_does_not_depend_on_its_neighbours(build, lengths):
    encoder = make(build)
    x, n = draw(lengths, max(lengths))
    together = encoder(x, n)
    for row, length in enumerate(lengths):
        alone = encoder(x[row : row + 1, :length], n[row : row + 1])
        steps = alone.outputs.shape[1]
        torch.testing.assert_close(together.outputs[row, :steps], alone.outputs[0], **ROUNDING)
        torch.testing.assert_close(together.final[row], alone.final[0], **ROUNDING)


@every_encoder
def test_padding_gets_no_gradient(build):
    encoder = make(build, train=True)
    x, n = draw([5, 2, 0], 5)
    x.requires_grad_()
    encoded = encoder(x, n)
    (encoded.outputs.square().sum() + encoded.final.sum()).backward()
    assert not x.grad[1, 2:].any()
    assert not x.grad[2].any()
    assert x.grad[0, :2].any()


@every_encoder
@pytest.mark.parametrize("lengths", [[5, 5], [5, 3]])
def test_every_parameter_gets_a_gradient(build, lengths):
    encoder = make(build, train=True)
    pooling = Pooling(encoder.output_size, ["last", "mean", "max", "attention"])
    encoded = encoder(*draw(lengths, 5))
    pooling(encoded).square().sum().backward()
    parameters = list(encoder.named_parameters())
    if encoded.outputs.shape[1] > 1:  # attention has nothing to choose from among one step
        parameters += pooling.named_parameters()
    for name, parameter in parameters:
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@every_encoder
@pytest.mark.parametrize("kind", ["last", "mean", "max", "attention"])
def test_pooling_is_blind_to_padding(build, kind):
    encoder = make(build)
    pooling = Pooling(encoder.output_size, kind)
    x, n = draw([4, 2, 0], 4)
    padded = torch.cat((x, torch.randn(3, 3, E)), 1)
    pooled = pooling(encoder(x, n))
    torch.testing.assert_close(pooled, pooling(encoder(padded, n)), atol=2e-6, rtol=1e-5)
    assert not pooled[2].any()


@every_encoder
def test_state_dict_round_trip(build, tmp_path):
    encoder = make(build)
    torch.save(encoder.state_dict(), tmp_path / "state.pt")
    torch.manual_seed(9)
    other = build().eval()
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    x, n = draw([5, 3], 5)
    assert torch.equal(encoder(x, n).outputs, other(x, n).outputs)


@every_encoder
def test_evaluation_is_deterministic_and_draws_no_random_number(build):
    encoder = make(build)
    x, n = draw([5, 3], 5)
    before = torch.get_rng_state()
    first, second = encoder(x, n), encoder(x, n)
    assert torch.equal(first.outputs, second.outputs)
    assert torch.equal(first.final, second.final)
    assert torch.equal(torch.get_rng_state(), before)


@every_encoder
def test_double_precision_comes_back_as_such(build):
    encoder = make(build).double()
    x, n = draw([5, 3], 5)
    assert encoder(x.double(), n).outputs.dtype == torch.float64
    assert encoder(x.double(), n).final.dtype == torch.float64


@every_encoder
@pytest.mark.skipif(not autocast_works(), reason="this processor runs no LSTM in bfloat16")
@pytest.mark.parametrize("lengths", [[5, 5], [5, 0]])
def test_autocast_answers_float32_close_to_the_exact(build, lengths):
    encoder = make(build)
    x, n = draw(lengths, 5)
    exact = encoder(x, n)
    with torch.autocast("cpu", torch.bfloat16):
        rough = encoder(x, n)
    assert rough.outputs.dtype == rough.final.dtype == torch.float32
    torch.testing.assert_close(rough.outputs, exact.outputs, atol=3e-2, rtol=0)
    torch.testing.assert_close(rough.final, exact.final, atol=3e-2, rtol=0)


@every_encoder
def test_wrong_inputs_are_refused(build):
    encoder = make(build)
    x, n = draw([5, 3], 5)
    with pytest.raises(InputError, match="width"):
        encoder(torch.cat((x, x), 2), n)
    with pytest.raises(InputError, match="length 9 of row 0"):
        encoder(x, torch.tensor([9, 3]))


# Reading on: what a causal encoder owes besides --------------------------------------------------------------------

WINDOWS = [[4, 4, 4, 4], [3, 0, 1, 3], [0, 0, 2, 0], [1, 0, 1, 1], [5, 5, 0, 2]]
"""Lengths of four rows in windows read one after the other."""

CAUSAL: dict[str, Callable[[], nn.Module]] = {
    **{cell: lambda cell=cell: Recurrent(E, cell, 6, 2) for cell in CELLS},
    "residual": lambda: Recurrent(E, "lstm", 6, 3, residual=True),
    "many units": lambda: Recurrent(E, "lstm", 70),
    "noise": lambda: Recurrent(E, "gru", 6, 2, dropout=0.2, state_dropout=0.2, zoneout=0.2),
    "tcn": lambda: TCN(E, hidden_size=8, num_layers=3, kernel_size=3),
}

every_causal = pytest.mark.parametrize("name", CAUSAL)
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")


def assert_equal(found: torch.Tensor, wanted: torch.Tensor, exact: bool) -> None:
    """To the bit where one loop reads step by step, whoever calls it; else up to rounding."""
    torch.testing.assert_close(found, wanted, atol=0 if exact else 1e-5, rtol=0)


def is_exact(encoder: nn.Module) -> bool:
    """Whether compiled code runs every layer, which a stream has in its own form."""
    return isinstance(encoder, Recurrent) and all(steps is not None for steps in encoder.stream()._steps)


def join(windows: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """What the rows read in all windows together ``(B, T, E)``, and how many steps."""
    rows = [
        torch.cat([x[row, : lengths[row]] for x, lengths in zip(windows, WINDOWS, strict=True)]) for row in range(4)
    ]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.tensor([len(row) for row in rows])


def assert_same_state(found: Any, wanted: Any, exact: bool) -> None:
    for mine, other in zip(found, wanted, strict=True):
        for part, want in zip(mine, other, strict=True):
            assert_equal(part, want, exact)


@every_causal
@pytest.mark.parametrize("graph", [True, False], ids=["graph", "no graph"])
def test_reading_in_windows_is_reading_at_once(name, graph):
    encoder = make(CAUSAL[name])
    exact = is_exact(encoder)
    windows = list(draw([5] * 20, 5)[0].view(5, 4, 5, E))
    x, n = join(windows)
    with torch.set_grad_enabled(graph):
        whole = encoder(x, n)
        state, outputs = None, []
        for window, lengths in zip(windows, WINDOWS, strict=True):
            encoded = encoder(window, torch.tensor(lengths), state)
            before, state = state, tuple(tuple(part.detach() for part in each) for each in encoded.state)
            for row in (row for row in range(4) if before is not None and lengths[row] == 0):
                for mine, kept in zip(state, before, strict=True):
                    assert all(torch.equal(part[row], old[row]) for part, old in zip(mine, kept, strict=True))
            outputs.append(encoded.outputs)
    both, _ = join(outputs)
    assert encoder.causal
    assert_equal(both, whole.outputs, exact)
    assert_same_state(state, whole.state, exact)


@every_causal
def test_a_stream_is_reading_at_once(name):
    encoder = make(CAUSAL[name])
    exact = is_exact(encoder)
    x, n = draw([9, 9, 9], 9)
    whole, half = encoder(x, n), encoder(x[:, :5], n - 4)
    cold, warm = encoder.stream(3), encoder.stream(3)
    warm.state = half.state
    steps = [cold.push(step) for step in x.unbind(1)]
    assert_equal(torch.stack(steps, 1), whole.outputs, exact)
    assert_equal(torch.stack([warm.push(step) for step in x[:, 5:].unbind(1)], 1), whole.outputs[:, 5:], exact)
    for stream in (cold, warm):
        assert_same_state(stream.state, whole.state, exact)
    on, _ = draw([2, 2, 2], 2)
    after = encoder(on, torch.tensor([2, 2, 2]), cold.state).outputs
    assert_equal(torch.stack([cold.push(step) for step in on.unbind(1)], 1), after, exact)


def test_what_reads_ahead_does_not_call_itself_causal():
    ahead = [ENCODERS[name] for name in ("bow", "mlp", "cnn", "segments", "transformer")]
    for build in (*ahead, lambda: Recurrent(E, bidirectional=True)):
        assert not getattr(build(), "causal", False)
