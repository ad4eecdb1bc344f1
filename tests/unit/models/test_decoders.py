"""From an encoder's answer to every step of a horizon: each decoder, held against the plain way to write it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seqlab.models.decoders import DirectDecoder, RecurrentDecoder, SegmentDecoder
from seqlab.types import Encoded, InputError

B, T, D, M, H, G = 4, 6, 8, 3, 7, 2
DECODERS = {"direct": DirectDecoder, "recurrent": RecurrentDecoder, "segments": SegmentDecoder}
every_decoder = pytest.mark.parametrize("name", DECODERS)


def encoded(seed: int = 1, dtype: torch.dtype = torch.float32) -> Encoded:
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(B, T, D, generator=generator).to(dtype)
    return Encoded(outputs, outputs[:, -1], torch.full((B,), T))


def future(seed: int = 2) -> Tensor:
    return torch.randn(B, H, G, generator=torch.Generator().manual_seed(seed))


def make(name: str, num_future: int = 0, **options) -> nn.Module:
    torch.manual_seed(0)
    return DECODERS[name](D, M, H, num_future, **options).eval()


ALONE = torch.zeros(B, dtype=torch.long)


@every_decoder
@pytest.mark.parametrize("num_future", [0, G])
def test_numbers_for_every_step_and_gradients_to_every_parameter(name, num_future):
    decoder = make(name, num_future)
    answer = decoder(encoded(), future() if num_future else None, ALONE)
    assert answer.shape == (B, H, M)
    answer.square().sum().backward()
    for parameter, value in decoder.named_parameters():
        assert value.grad.isfinite().all(), parameter
        assert value.grad.any(), parameter


@every_decoder
def test_a_row_does_not_depend_on_its_neighbours(name):
    decoder, whole = make(name, G), encoded()
    together = decoder(whole, future(), ALONE)
    for row in range(B):
        one = Encoded(*(part[row : row + 1] for part in (whole.outputs, whole.final, whole.lengths)))
        torch.testing.assert_close(decoder(one, future()[row : row + 1], ALONE[:1])[0], together[row])


def touched(decoder: nn.Module, step: int) -> Tensor:
    """``(H,)`` bool: which steps of the answer what is known of ``step`` has a part in."""
    known = future().requires_grad_()
    answer = decoder(encoded(), known, ALONE)
    return torch.stack([torch.autograd.grad(answer[:, h].sum(), known, retain_graph=True)[0][:, step].any()
                        for h in range(H)])  # fmt: skip


@pytest.mark.parametrize("step", [0, 3, H - 1])
def test_what_is_known_beforehand_is_read_for_its_own_step_alone(step):
    for name in ("direct", "segments"):
        assert touched(make(name, G), step).nonzero().flatten().tolist() == [step]


@pytest.mark.parametrize("step", [0, 3, H - 1])
def test_the_recurrent_decoder_reads_what_is_known_from_left_to_right(step):
    assert touched(make("recurrent", G), step).nonzero().flatten().tolist() == list(range(step, H))


@pytest.mark.parametrize("pooling", ["last", ["mean", "max"]])
def test_direct_is_one_linear_map_of_the_pooled_outputs(pooling):
    decoder, read = make("direct", pooling=pooling), encoded()
    pooled = read.final if pooling == "last" else torch.cat((read.outputs.mean(1), read.outputs.amax(1)), 1)
    wanted = nn.functional.linear(pooled, decoder.output.weight, decoder.output.bias).view(B, H, M)
    torch.testing.assert_close(decoder(read, None, ALONE), wanted)


def test_recurrent_is_a_gru_over_the_horizon():
    decoder, read, known = make("recurrent", G), encoded(), future()
    cell = nn.GRUCell(decoder.place.shape[1] + G, D)
    own = decoder.recurrent.layers[0].directions[0].cell
    kinds = {f"{kind}_{of}": getattr(getattr(own, of), kind) for kind in ("weight", "bias") for of in ("ih", "hh")}
    cell.load_state_dict(kinds)
    state = torch.tanh(decoder.begin(read.final))
    for h in range(H):
        state = cell(torch.cat((decoder.place[h].expand(B, -1), known[:, h]), 1), state)
        torch.testing.assert_close(decoder(read, known, ALONE)[:, h], decoder.output(state), atol=2e-6, rtol=1e-5)


def by_cell(decoder: SegmentDecoder, read: Encoded, channel: Tensor) -> Tensor:
    """``(B, H, M)``: each segment one step of torch's own cell."""
    steps = []
    for place in decoder.place:
        vector = place.expand(len(read.final), -1)
        if decoder.channel is not None:
            vector = torch.cat((vector, decoder.channel[channel]), 1)
        state = decoder.cell(vector, read.final)
        steps.append(decoder.output(state).view(len(state), decoder.segment, M))
    return torch.cat(steps, 1)[:, : decoder.horizon]


@settings(max_examples=40, deadline=None)
@given(horizon=st.integers(1, 12), segment=st.integers(1, 14), channels=st.integers(1, 3), width=st.integers(2, 9))
def test_segments_are_steps_of_a_gru_cell(horizon, segment, channels, width):
    torch.manual_seed(horizon)
    decoder = SegmentDecoder(width, M, horizon, channels=channels, segment=segment).double()
    final = torch.randn(6, width, dtype=torch.float64, requires_grad=True)
    read = Encoded(final.unsqueeze(1), final, torch.ones(6, dtype=torch.long))
    channel = torch.arange(6) % channels
    found, wanted = decoder(read, None, channel), by_cell(decoder, read, channel)
    assert found.shape == (6, horizon, M)
    torch.testing.assert_close(found, wanted)
    leaves = [final, *decoder.parameters()]
    weights = torch.randn_like(found)
    for one, other in zip(
        *(torch.autograd.grad((answer * weights).sum(), leaves) for answer in (found, wanted)), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_channels_have_names_of_their_own():
    decoder, read = make("segments", channels=2), encoded()
    one, other = (decoder(read, None, ALONE + channel) for channel in (0, 1))
    assert (one != other).any(dim=(1, 2)).all()
    assert make("segments").channel is None


def test_the_last_segment_is_cut_where_the_horizon_ends():
    decoder = make("segments", segment=4)
    assert (decoder.place.shape, decoder.output.out_features) == ((2, D), 4 * M)
    short = make("segments", segment=100)
    assert (short.segment, len(short.place)) == (H, 1)


@every_decoder
def test_dropout_is_for_training_alone(name):
    decoder, read = make(name, dropout=0.5), encoded()
    assert decoder(read, None, ALONE).equal(decoder(read, None, ALONE))
    decoder.train()
    assert not decoder(read, None, ALONE).equal(decoder(read, None, ALONE))


@every_decoder
def test_what_the_encoder_says_in_half_precision_is_taken(name):
    with torch.autocast("cpu", torch.bfloat16):
        answer = make(name, G)(encoded(dtype=torch.bfloat16), future(), ALONE)
    assert answer.isfinite().all()
    exact = make(name, G)(encoded(), future(), ALONE)
    torch.testing.assert_close(answer.float(), exact, atol=0.05, rtol=0.05)


@every_decoder
def test_a_share_that_is_none_is_refused(name):
    with pytest.raises(InputError, match=r"dropout=1\.5"):
        make(name, dropout=1.5)


def test_sizes_that_are_none_are_refused():
    with pytest.raises(InputError, match="segment=0"):
        make("segments", segment=0)
    with pytest.raises(InputError, match="place=0"):
        make("recurrent", place=0)
