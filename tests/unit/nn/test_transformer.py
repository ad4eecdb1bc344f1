"""Transformers against torch's own stacks, their equations, padding, the future, and themselves step by step."""

import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from seqlab.nn.transformer import Entrance, TransformerDecoder, TransformerEncoder, positions
from seqlab.types import InputError, mask

both_norms = pytest.mark.parametrize("norm_first", [True, False], ids=["pre", "post"])


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def encoder(*args, **options):
    torch.manual_seed(0)
    return TransformerEncoder(*args, **options).eval()


def decoder(*args, **options):
    torch.manual_seed(0)
    return TransformerDecoder(*args, **options).eval()


def same(found, wanted, atol=2e-6):
    torch.testing.assert_close(found, wanted, atol=atol, rtol=1e-5)


@pytest.mark.parametrize("D", [1, 2, 7, 16])
def test_positions_are_their_equation(D):
    table = positions(40, D)
    assert table.shape == (40, D)
    for t in (0, 1, 17, 39):
        for i in range(D):
            angle = t / 10_000 ** ((i - i % 2) / D)
            assert table[t, i] == pytest.approx(math.cos(angle) if i % 2 else math.sin(angle), abs=1e-6)


@pytest.mark.parametrize("T", [3, 256, 257, 1000])
def test_the_entrance_scales_maps_and_places_rows_of_any_length(T):
    torch.manual_seed(0)
    plain, mapped = Entrance(4, 4), Entrance(4, 6)
    x = draw(2, T, 4)
    same(plain(x), 2 * x + positions(T, 4))
    same(mapped(x), mapped.map(2 * x) + positions(T, 6))
    same(plain(x[:, 2:], start=2), plain(x)[:, 2:])
    assert not list(plain.parameters())
    assert not plain.state_dict()  # what can be computed is no part of a checkpoint


@both_norms
@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("lengths", [[6, 6, 6], [6, 2, 4], [3, 2, 1]])
def test_the_encoder_is_torchs(norm_first, heads, lengths):
    ours = encoder(4, 8, 3, heads, 12, norm_first=norm_first)
    layer = nn.TransformerEncoderLayer(8, heads, 12, batch_first=True, norm_first=norm_first)
    norm = nn.LayerNorm(8) if norm_first else None
    torchs = nn.TransformerEncoder(layer, 3, norm, enable_nested_tensor=False).eval()
    torchs.load_state_dict({k: v for k, v in ours.state_dict().items() if not k.startswith("entrance")})
    x, n = draw(3, 6, 4), torch.tensor(lengths)
    valid = mask(n, 6)
    wanted = torchs(ours.entrance(x), src_key_padding_mask=~valid)
    encoded = ours(x, n)
    same(encoded.outputs[valid], wanted[valid])
    same(encoded.final, wanted[torch.arange(3), n - 1])


@both_norms
@pytest.mark.parametrize("lengths", [[5, 5, 5], [5, 2, 0], [3, 2, 1], [0, 0, 0]])
def test_gradients_or_none_the_answer_is_the_same_and_torch_has_nothing_to_warn_of(norm_first, lengths):
    ours, x, n = encoder(3, 8, 2, 2, norm_first=norm_first), draw(3, 5, 3), torch.tensor(lengths)
    wanted = ours(x, n)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("error")
        found = ours(x, n)
        with torch.autocast("cpu", torch.bfloat16):
            rough = ours(x, n)
    assert found.outputs.shape == (3, 5, 8)
    same(found.outputs, wanted.outputs)
    assert rough.outputs.dtype == torch.float32
    assert (rough.outputs - wanted.outputs).abs().max() < 0.05


def test_every_step_sees_every_other_and_knows_their_order():
    ours, x, n = encoder(3, 8, 1, 2), draw(1, 5, 3).requires_grad_(), torch.tensor([5])
    for t in range(5):
        (seen,) = torch.autograd.grad(ours(x, n).outputs[0, t].square().sum(), x)
        assert seen.abs().sum(2).all()
    turned = ours(x.flip(1), n).outputs.flip(1)
    assert not torch.allclose(turned, ours(x, n).outputs, atol=1e-3)


def test_layers_begin_unlike_each_other():
    one, other = encoder(4, 8, 2, 2).layers
    assert not torch.equal(one.linear1.weight, other.linear1.weight)
    assert not torch.equal(one.self_attn.in_proj_weight, other.self_attn.in_proj_weight)


def test_dropout_blurs_training_alone():
    ours, x, n = encoder(4, 8, 2, 2, dropout=0.5), draw(1, 5, 4), torch.tensor([5])
    clear = encoder(4, 8, 2, 2, dropout=0.0)
    same(ours(x, n).outputs, clear(x, n).outputs)
    ours.train(), clear.train()
    assert not torch.allclose(ours(x, n).outputs, ours(x, n).outputs)
    assert torch.equal(clear(x, n).outputs, clear(x, n).outputs)
    layer = ours.layers[0]
    torch.manual_seed(0)
    for part in (layer.dropout, layer.dropout1, layer.dropout2):
        assert 0.4 < (part(torch.ones(1, 50, 50)) == 0).float().mean() < 0.6


def test_no_steps_and_no_rows():
    ours = encoder(2, 4, 1, 2)
    assert ours(torch.zeros(2, 0, 2), torch.tensor([0, 0])).outputs.shape == (2, 0, 4)
    assert not ours(torch.zeros(2, 0, 2), torch.tensor([0, 0])).final.any()
    assert ours(torch.zeros(0, 3, 2), torch.empty(0, dtype=torch.int64)).outputs.shape == (0, 3, 4)


# The decoder --------------------------------------------------------------------------------------------------------


def whole(ours, x, source, seen):
    """Outputs, past and weights of reading all of ``x`` at once."""
    return ours.read(x, ours.keys(source), seen, ours.start(len(x), x))


@both_norms
@pytest.mark.parametrize("heads", [1, 4])
@settings(max_examples=8, deadline=None)
@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=3), U=st.integers(1, 6))
def test_both_ways_through_the_decoder_are_torchs(norm_first, heads, lengths, U):
    ours = decoder(8, 2, heads, 12, norm_first=norm_first)
    layer = nn.TransformerDecoderLayer(8, heads, 12, batch_first=True, norm_first=norm_first)
    torchs = nn.TransformerDecoder(layer, 2, nn.LayerNorm(8) if norm_first else None).eval()
    torchs.load_state_dict(ours.state_dict())
    x, source, seen = draw(len(lengths), U, 8), draw(len(lengths), 5, 8, seed=1), mask(torch.tensor(lengths), 5)
    future = torch.ones(U, U, dtype=torch.bool).triu(1)
    wanted = torchs(x, source, tgt_mask=future, memory_key_padding_mask=~seen)
    same(ours(x, source, seen), wanted)
    same(whole(ours, x, source, seen)[0], wanted)


@pytest.mark.parametrize("cuts", [[1] * 7, [3, 4], [1, 5, 1]])
def test_reading_on_is_reading_at_once(cuts):
    ours = decoder(8, 3, 2)
    x, source, seen = draw(2, 7, 8), draw(2, 4, 8, seed=1), mask(torch.tensor([4, 2]), 4)
    wanted, kept, looked = whole(ours, x, source, seen)
    past, outputs, weights = ours.start(2, x), [], []
    for part in x.split(cuts, 1):
        found, past, where = ours.read(part, ours.keys(source), seen, past)
        outputs.append(found)
        weights.append(where)
    same(torch.cat(outputs, 1), wanted)
    same(torch.cat(weights, 1), looked)
    for mine, other in zip(past, kept, strict=True):
        assert mine.shape == (2, 2, 7, 4)
        same(mine, other)


@pytest.mark.parametrize("way", ["train", "read"])
def test_the_decoder_never_sees_ahead_nor_what_is_hidden(way):
    ours = decoder(8, 2, 2, dropout=0.0)
    x, source = draw(2, 6, 8).requires_grad_(), draw(2, 4, 8, seed=1).requires_grad_()
    seen = mask(torch.tensor([4, 2]), 4)
    outputs = ours.train()(x, source, seen) if way == "train" else whole(ours, x, source, seen)[0]
    for u in range(6):
        to_x, to_source = torch.autograd.grad(outputs[:, u].square().sum(), (x, source), retain_graph=True)
        assert to_x[:, : u + 1].abs().sum(2).all()
        assert not to_x[:, u + 1 :].any()
        assert torch.equal(to_source.abs().sum(2) > 0, seen)


def test_where_it_looked_sums_to_one_over_what_is_seen():
    ours, seen = decoder(8, 2, 4), mask(torch.tensor([4, 1]), 4)
    weights = whole(ours, draw(2, 6, 8), draw(2, 4, 8, seed=1), seen)[2]
    assert weights.shape == (2, 6, 4)
    same(weights.sum(2), torch.ones(2, 6))
    assert not weights[1, :, 1:].any()


@pytest.mark.parametrize("make", [lambda **o: TransformerEncoder(3, **o), lambda **o: TransformerDecoder(8, **o)])
def test_bad_options_are_refused(make):
    for option, value in [("num_layers", 0), ("num_heads", 0), ("feedforward", 0), ("dropout", 1.0)]:
        with pytest.raises(InputError, match=f"{option}={value}"):
            make(**{option: value})
    with pytest.raises(InputError, match="num_heads=3 cannot share hidden_size"):
        make(num_heads=3)
    with pytest.raises(InputError, match="hidden_size=0"):
        TransformerEncoder(3, 0)
    with pytest.raises(InputError, match="input_size=0"):
        TransformerEncoder(0)
