"""Segments of a row, held against cutting by hand and torch's own GRU."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from seqlab.nn import SegmentRecurrent
from seqlab.types import InputError

E, D = 3, 5
KINDS = ("weight", "bias")


def make(segment: int = 4, **options) -> SegmentRecurrent:
    torch.manual_seed(0)
    return SegmentRecurrent(E, segment, hidden_size=D, **options)


def torch_gru(encoder: SegmentRecurrent) -> nn.GRU:
    """torch's GRU with the weights of the encoder's only layer."""
    gru = nn.GRU(D, D, batch_first=True)
    cell = encoder.recurrent.layers[0].directions[0].cell
    gru.load_state_dict({f"{kind}_{of}_l0": getattr(getattr(cell, of), kind) for kind in KINDS for of in ("ih", "hh")})
    return gru


def by_hand(encoder: SegmentRecurrent, row: torch.Tensor, gru: nn.GRU) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs ``(n, D)`` and final state ``(D,)`` of one row ``(T, E)`` without padding."""
    T, segment = len(row), encoder.segment
    first = T % segment or segment  # the first segment may be short, the others are whole
    pieces = [torch.cat((torch.zeros(segment - first, E), row[:first]))]
    pieces += [row[begin : begin + segment] for begin in range(first, T, segment)]
    vectors = torch.stack([torch.relu(encoder.project(piece.flatten())) for piece in pieces])
    outputs, state = gru(vectors.unsqueeze(0))
    return outputs[0], state[0, 0]


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 17), min_size=1, max_size=4),
    segment=st.integers(1, 7),
    extra=st.integers(0, 3),
)
def test_it_is_cutting_by_hand_and_a_gru(lengths, segment, extra):
    encoder = make(segment)
    gru = torch_gru(encoder)
    T = max(lengths) + extra
    x = torch.randn(len(lengths), T, E)
    encoded = encoder(x, torch.tensor(lengths))
    assert encoded.lengths.tolist() == [-(-length // segment) for length in lengths]
    for row, length in enumerate(lengths):
        n = int(encoded.lengths[row])
        assert not encoded.outputs[row, n:].any()
        if length == 0:
            assert not encoded.final[row].any()
            continue
        outputs, final = by_hand(encoder, x[row, :length], gru)
        torch.testing.assert_close(encoded.outputs[row, :n], outputs, atol=2e-6, rtol=1e-5)
        torch.testing.assert_close(encoded.final[row], final, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("T", [8, 9, 11, 3])
def test_whole_rows_are_read_as_ragged_ones_are(T):
    """Two ways through the code; a row more, which is shorter, takes the other."""
    encoder = make()
    x = torch.randn(3, T, E)
    whole = encoder(x[:2], torch.tensor([T, T]))
    ragged = encoder(x, torch.tensor([T, T, T - 1]))
    torch.testing.assert_close(ragged.outputs[:2], whole.outputs, atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(ragged.final[:2], whole.final, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("T", [8, 10])
def test_one_step_a_segment_has_zeros_before_the_row(T):
    """Segments end where the row ends: zeros put before it change nothing as long as they fill its first segment."""
    encoder = make()
    x = torch.randn(2, T, E)
    filled = torch.cat((torch.zeros(2, -T % 4, E), x), 1)
    one, other = encoder(x, torch.tensor([T, T])), encoder(filled, torch.full((2,), filled.shape[1]))
    torch.testing.assert_close(one.outputs, other.outputs)


@pytest.mark.parametrize("lengths", [[8, 8], [9, 9], [9, 4], [0, 9], [1, 2]])
def test_gradients_reach_every_step_that_counts_and_are_finite(lengths):
    encoder = make().double()
    x = torch.randn(2, 9, E, dtype=torch.float64, requires_grad=True)
    n = torch.tensor(lengths)
    encoded = encoder(x, n)
    (encoded.outputs.square().sum() + encoded.final.sum()).backward()
    for row, length in enumerate(lengths):
        assert not x.grad[row, length:].any()
        assert x.grad[row, :length].any(dim=1).all()
    for name, value in encoder.named_parameters():
        assert value.grad.isfinite().all(), name
        assert value.grad.any() or (name.endswith("hh.weight") and max(lengths) <= 4), f"{name}: one segment, no past"


def test_gradients_agree_with_differences():
    encoder = make(3).double()
    x = torch.randn(2, 7, E, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: encoder(x, torch.tensor([7, 5])).final, x)


@pytest.mark.parametrize("cell", ["lstm", "sru", "layernorm_lstm"])
def test_any_cell_and_several_layers(cell):
    encoder = make(cell=cell, num_layers=2, dropout=0.2).eval()
    encoded = encoder(torch.randn(2, 9, E), torch.tensor([9, 6]))
    assert encoded.outputs.shape == (2, 3, encoder.output_size)
    assert encoded.outputs.isfinite().all()
    assert encoded.lengths.tolist() == [3, 2]


def test_it_reads_ahead_and_does_not_hide_it():
    assert make().causal is False
    assert "segment=4" in repr(make())


@pytest.mark.parametrize(
    ("options", "says"),
    [({"segment": 0}, "segment=0"), ({"dropout": 1.0}, "dropout=1.0"), ({"cell": "grru"}, "did you mean 'gru'")],
)
def test_what_cannot_be_is_refused_in_one_sentence(options, says):
    with pytest.raises(InputError, match=says):
        make(**options)
    with pytest.raises(InputError, match="hidden_size=0"):
        SegmentRecurrent(E, hidden_size=0)
