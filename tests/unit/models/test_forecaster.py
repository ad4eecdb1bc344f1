"""A forecaster: what is taken off a window is put back, channels are told apart, and steps feed on steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seqlab.models import Forecaster
from seqlab.models.forecaster import FLOOR
from seqlab.nn import Recurrent, SegmentRecurrent
from seqlab.nn.tcn import TCN
from seqlab.types import Batch, Encoded, InputError

B, T, H, K, D = 3, 12, 5, 2, 6
DECODERS = ("direct", "recurrent", "segments", "recursive")
ROLES = {"point": ("location",), "quantiles": ("location",) * 3, "student_t": ("location", "scale", "shape")}
every_decoder = pytest.mark.parametrize("decoder", DECODERS)
every_normalize = pytest.mark.parametrize("normalize", ["none", "last", "revin"])
every_channels = pytest.mark.parametrize("channels", ["mixed", "separate"])


def make(past: int = 0, num_future: int = 0, channels: str = "mixed", encoder: Any = None, **options) -> Forecaster:
    """A forecaster of ``K`` targets, ``past`` columns of the past and ``num_future`` known ones; in evaluation mode."""
    torch.manual_seed(0)
    features = K + past + num_future
    if encoder is None:
        encoder = Recurrent(Forecaster.reads(K, features, channels), "gru", D)
    return Forecaster(encoder, K, features, num_future, H, channels=channels, **options).eval()


def draw(width: int = K, rows: int = B, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return 3 + 2 * torch.randn(rows, T, width, generator=generator), torch.full((rows,), T)


def ahead(num_future: int, seed: int = 2) -> Tensor | None:
    return torch.randn(B, H, num_future, generator=torch.Generator().manual_seed(seed)) if num_future else None


class Nothing(nn.Module):
    """An encoder that answers zeros, and so, with a decoder of zeros, forecasts what was taken off."""

    causal = True
    output_size = D

    def forward(self, inputs: Tensor, lengths: Tensor, state: Any = ()) -> Encoded:
        rows, steps = inputs.shape[:2]
        return Encoded(torch.zeros(rows, steps, D), torch.zeros(rows, D), lengths)


def silent(**options) -> Forecaster:
    model = make(encoder=Nothing(), **options)
    for parameter in model.decoder.parameters():
        nn.init.zeros_(parameter)
    return model


# What is asked ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decoder", "past", "num_future"),
    [(d, past, known) for d in DECODERS for past, known in ((0, 0), (0, 2), (1, 2)) if d != "recursive" or not past],
)
@every_normalize
@every_channels
def test_numbers_of_every_target_at_every_step(decoder, normalize, channels, past, num_future):
    roles = ROLES["point" if decoder == "recursive" else "student_t"]
    model = make(past, num_future, channels, decoder=decoder, normalize=normalize, roles=roles, segment=2)
    x, n = draw(K + past + num_future)
    said = model(x, n, ahead(num_future))
    assert said.shape == (B, H, K, len(roles))
    assert said.dtype == torch.float32
    assert said.isfinite().all()
    learnt = model.train()(x, n, ahead(num_future), torch.randn(B, H, K))
    learnt.square().sum().backward()
    for name, value in model.named_parameters():
        assert value.grad is not None, name
        assert value.grad.isfinite().all(), name


@every_decoder
@every_channels
def test_a_row_does_not_depend_on_its_neighbours(decoder, channels):
    model = make(0, 2, channels, decoder=decoder, normalize="revin")
    x, n = draw(K + 2)
    together = model(x, n, ahead(2))
    for row in range(B):
        alone = model(x[row : row + 1], n[:1], ahead(2)[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], atol=2e-6, rtol=1e-5)


@every_normalize
@pytest.mark.parametrize("highway", [0, 3])
def test_scales_are_positive_and_shapes_above_two(normalize, highway):
    model = make(roles=ROLES["student_t"], normalize=normalize, highway=highway)
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.mul_(50)  # far out on both sides
    x, n = draw(rows=40)
    said = model(x, n)
    assert said.isfinite().all()
    assert (said[..., 1] >= FLOOR).all()
    assert (said[..., 2] >= 2).all()
    assert said[..., 1].max() > 1
    still = model(torch.ones(1, T, K), n[:1])  # a window that never changes has no spread of its own
    assert still.isfinite().all()
    assert (still[..., 1] >= FLOOR).all()


@every_decoder
def test_targets_change_nothing_but_of_what_is_learned_recursively(decoder):
    model = make(decoder=decoder)
    x, n = draw()
    said, shown = model(x, n), model(x, n, None, torch.randn(B, H, K))
    assert said.equal(shown) == (decoder != "recursive")


# A window's own scale -----------------------------------------------------------------------------------------------


@every_decoder
@every_channels
def test_who_says_nothing_forecasts_what_was_taken_off(decoder, channels):
    x, n = draw()
    for normalize, wanted in (("none", 0 * x[:, -1]), ("last", x[:, -1]), ("revin", x.mean(1))):
        said = silent(decoder=decoder, normalize=normalize, channels=channels)(x, n)
        torch.testing.assert_close(said[..., 0], wanted.unsqueeze(1).expand(-1, H, -1), atol=2e-6, rtol=1e-5)


@every_decoder
@every_channels
@settings(max_examples=10, deadline=None)
@given(constant=st.floats(-50, 50), factor=st.floats(0.1, 20))
def test_forecasts_move_and_grow_with_the_window(decoder, channels, constant, factor):
    x, n = draw()
    roles = ROLES["point" if decoder == "recursive" else "student_t"]
    moved = make(channels=channels, decoder=decoder, normalize="last", roles=roles)
    close = {"atol": 1e-3, "rtol": 1e-3}
    said, other = moved(x, n), moved(x + constant, n)
    torch.testing.assert_close(other[..., 0], said[..., 0] + constant, **close)
    torch.testing.assert_close(other[..., 1:], said[..., 1:], **close)
    grown = make(channels=channels, decoder=decoder, normalize="revin", roles=roles)
    said, other = grown(x, n), grown(factor * x + constant, n)
    torch.testing.assert_close(other[..., 0], factor * said[..., 0] + constant, **close)
    if len(roles) > 1:
        torch.testing.assert_close(other[..., 1] - FLOOR, factor * (said[..., 1] - FLOOR), **close)
        torch.testing.assert_close(other[..., 2], said[..., 2], **close)


@pytest.mark.parametrize("roles", ROLES)
def test_the_learned_gain_and_bias_are_undone(roles):
    """What enters as ``gain x + bias`` leaves as it came: with an answer of what was read, forecasts are the window."""

    class Last(nn.Module):
        output_size = K

        def forward(self, inputs: Tensor, lengths: Tensor) -> Encoded:
            return Encoded(inputs, inputs[:, -1], lengths)

    model = make(encoder=Last(), normalize="revin", roles=ROLES[roles])
    P = len(model.roles)
    with torch.no_grad():
        model.gain.copy_(torch.tensor([0.5, -3.0]))
        model.bias.copy_(torch.tensor([2.0, -1.0]))
        model.decoder.output.bias.zero_()
        read = torch.zeros(H, K, P, K)
        for k in range(K):
            read[:, k, :, k] = 1
        model.decoder.output.weight.copy_(read.view(-1, K))
    x, n = draw()
    said = model(x, n)
    for p, role in enumerate(model.roles):
        if role == "location":
            torch.testing.assert_close(said[:, 0, :, p], x[:, -1], atol=1e-4, rtol=1e-4)


def test_only_columns_with_values_have_a_scale_of_their_own():
    """What is known beforehand enters as it is, columns of the past are normalised like the targets."""
    seen = []

    class Spy(Nothing):
        def forward(self, inputs: Tensor, lengths: Tensor, state: Any = ()) -> Encoded:
            seen.append(inputs)
            return super().forward(inputs, lengths)

    x, n = draw(K + 3)
    make(1, 2, encoder=Spy(), normalize="revin")(x, n, ahead(2))
    assert seen[0][..., -2:].equal(x[..., -2:])
    values = x[..., : K + 1]
    wanted = (values - values.mean(1, keepdim=True)) / values.std(1, keepdim=True, correction=0)
    torch.testing.assert_close(seen[0][..., : K + 1], wanted, atol=1e-4, rtol=1e-4)
    make(1, 2, encoder=Spy(), normalize="last", channels="separate")(x, n, ahead(2))
    assert seen[1].shape == (B * K, T, 4)
    for k in range(K):
        torch.testing.assert_close(seen[1][k::K, :, 0], x[..., k] - x[:, -1:, k])
        torch.testing.assert_close(seen[1][k::K, :, 1], x[..., K] - x[:, -1:, K])
        assert seen[1][k::K, :, 2:].equal(x[..., -2:])


# Channels -----------------------------------------------------------------------------------------------------------


@every_normalize
@pytest.mark.parametrize("decoder", ["direct", "recurrent", "recursive"])
def test_separate_channels_know_nothing_of_each_other_nor_of_their_order(decoder, normalize):
    model = make(0, 2, "separate", decoder=decoder, normalize=normalize, highway=3)
    nn.init.normal_(model.highway.weight)
    x, n = draw(K + 2)
    said = model(x, n, ahead(2))
    turned = torch.cat((x[..., :K].flip(2), x[..., K:]), 2)
    torch.testing.assert_close(model(turned, n, ahead(2)), said.flip(2), atol=2e-6, rtol=1e-5)
    other = x.clone()
    other[..., 1] += torch.randn(B, T)
    assert model(other, n, ahead(2))[:, :, 0].equal(said[:, :, 0])


def test_segments_tell_separate_channels_apart():
    model = make(channels="separate", decoder="segments")
    x, n = draw()
    same = model(x[..., :1].expand(-1, -1, K), n)
    assert (same[:, :, 0] != same[:, :, 1]).any()
    other = x.clone()
    other[..., 1] += 1
    torch.testing.assert_close(model(other, n)[:, :, 0], model(x, n)[:, :, 0])


def test_mixed_channels_read_each_other():
    model, (x, n) = make(), draw()
    other = x.clone()
    other[..., 1] += 1
    assert (model(other, n)[:, :, 0] != model(x, n)[:, :, 0]).any()


@pytest.mark.parametrize(("decoder", "reads"), [("direct", "own"), ("segments", "own"), ("recurrent", "on")])
@every_channels
def test_of_what_is_known_beforehand_a_step_reads_its_own(decoder, reads, channels):
    model = make(0, 2, channels, decoder=decoder)
    x, n = draw(K + 2)
    known = ahead(2).requires_grad_()
    said = model(x, n, known)
    for h in range(H):
        found = torch.autograd.grad(said[:, h].sum(), known, retain_graph=True)[0].any(dim=(0, 2))
        assert found.tolist() == [step == h if reads == "own" else step <= h for step in range(H)]


# One step after the other -------------------------------------------------------------------------------------------


@every_normalize
@every_channels
@pytest.mark.parametrize("num_future", [0, 2])
@pytest.mark.parametrize("highway", [0, 3])
@pytest.mark.parametrize("make_encoder", [lambda E: Recurrent(E, "lstm", D, 2), lambda E: TCN(E, D, 2, 3)])
def test_what_learns_from_the_truth_forecasts_from_its_forecasts(
    normalize, channels, num_future, highway, make_encoder
):
    features = K + num_future
    torch.manual_seed(0)
    encoder = make_encoder(Forecaster.reads(K, features, channels))
    options = {"decoder": "recursive", "normalize": normalize, "highway": highway}
    model = make(0, num_future, channels, encoder, **options)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in ("gain", "bias") or name.startswith("highway"):
                parameter.add_(0.3 * torch.randn_like(parameter))
    x, n = draw(features)
    free = model(x, n, ahead(num_future))
    # Shown the truth, the first step knows what a forecast knows, and no step knows what comes at it or later.
    truth = torch.randn(B, H, K)
    forced = model(x, n, ahead(num_future), truth)
    torch.testing.assert_close(forced[:, 0], free[:, 0], atol=2e-6, rtol=1e-5)
    for h in range(H):
        other = truth.clone()
        other[:, h:] += 1
        torch.testing.assert_close(model(x, n, ahead(num_future), other)[:, : h + 1], forced[:, : h + 1])
    # Shown its own forecasts as the truth, it says what it says alone: it reads them as they would be read.
    torch.testing.assert_close(model(x, n, ahead(num_future), free[..., 0]), free, atol=2e-5, rtol=1e-4)


def test_free_running_is_feeding_by_hand():
    model = make(0, 2, decoder="recursive", normalize="none")
    x, n = draw(K + 2)
    known, window = ahead(2), x
    said = model(x, n, known)
    for h in range(H):
        outputs = model.encoder(window, torch.full((B,), window.shape[1])).outputs
        step = model.decoder(outputs[:, -1])
        torch.testing.assert_close(said[:, h, :, 0], step, atol=2e-6, rtol=1e-5)
        window = torch.cat((window, torch.cat((step, known[:, h]), 1).unsqueeze(1)), 1)


@every_normalize
def test_what_was_not_measured_is_read_as_unchanged(normalize):
    model = make(decoder="recursive", normalize=normalize)
    if normalize == "revin":
        with torch.no_grad():
            model.gain.fill_(1.7)
            model.bias.fill_(-0.4)
    x, n = draw()
    truth = torch.randn(B, H, K)
    torn, filled = truth.clone(), truth.clone()
    torn[:, 1, 0], filled[:, 1, 0] = torch.nan, x[:, -1, 0]
    torch.testing.assert_close(model(x, n, None, torn), model(x, n, None, filled), atol=1e-5, rtol=1e-5)


# The highway --------------------------------------------------------------------------------------------------------


@every_decoder
@every_channels
def test_the_highway_is_nothing_at_first_and_then_one_linear_map(decoder, channels):
    x, n = draw()
    plain = make(channels=channels, decoder=decoder)
    model = make(channels=channels, decoder=decoder, highway=4)
    plain.load_state_dict({name: value for name, value in model.state_dict().items() if "highway" not in name})
    before = model(x, n)
    assert before.equal(plain(x, n))
    if decoder == "recursive":
        return  # steps feed on it, see above
    with torch.no_grad():
        model.highway.weight.normal_()
    wanted = torch.stack([x[:, -4:, k] @ model.highway.weight.T for k in range(K)], 2)
    torch.testing.assert_close((model(x, n) - before)[..., 0], wanted, atol=1e-5, rtol=1e-5)


def test_the_highway_moves_locations_alone():
    model, (x, n) = make(roles=ROLES["student_t"], highway=T), draw()
    before = model(x, n)
    nn.init.ones_(model.highway.weight)
    moved = model(x, n) - before
    assert moved[..., 0].all()
    assert not moved[..., 1:].any()


@every_normalize
def test_it_learns_a_line(normalize):
    """A slope of one step: a linear highway alone, with nothing else, finds it."""
    torch.manual_seed(0)
    model = make(normalize=normalize, encoder=Nothing(), highway=4)
    optimizer = torch.optim.Adam(model.parameters(), 0.1)
    start = torch.randn(64, 1, K)
    slope = torch.randn(64, 1, K) / 4
    steps = torch.arange(T + H).view(1, -1, 1)
    line = start + slope * (steps - T)
    for _ in range(100):
        loss = (model(line[:, :T], torch.full((64,), T))[..., 0] - line[:, T:]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.2 * float((line[:, T:] - line[:, T - 1 : T]).square().mean())


def windows(rows: int = 200) -> Batch:
    """Windows over a noisy sum of two waves; of a few horizons something was not measured."""
    torch.manual_seed(3)
    hours = torch.arange(rows + T + H)
    walk = torch.stack((torch.sin(hours / 3), torch.cos(hours / 5)), 1) + 0.2 * torch.randn(len(hours), K)
    targets = torch.stack([walk[row + T : row + T + H] for row in range(rows)])
    targets[::9, 2, 0] = torch.nan
    inputs = torch.stack([walk[row : row + T] for row in range(rows)])
    return Batch(inputs, torch.full((rows,), T), targets, torch.arange(rows))


@pytest.mark.parametrize("normalize", ["none", "last"])
def test_a_highway_in_closed_form_is_ridge_regression(normalize):
    steps, penalty, data = 6, 0.3, windows()
    model = make(highway=steps, ridge=penalty, normalize=normalize)
    model.fit_highway([Batch(*(part[rows] for part in (data.inputs, data.lengths, data.targets, data.index)))
                       for rows in (slice(0, 50), slice(50, None))])  # fmt: skip
    shift = data.inputs[:, -1:] if normalize == "last" else torch.zeros(200, 1, K)
    x = (data.inputs - shift)[:, -steps:].transpose(1, 2).reshape(-1, steps).double()
    y = (data.targets - shift).transpose(1, 2).reshape(-1, H).double()
    x, y = x[~y.isnan().any(1)], y[~y.isnan().any(1)]
    centred, asked = x - x.mean(0), y - y.mean(0)
    wanted = torch.linalg.pinv(centred.T @ centred + penalty * len(x) * torch.eye(steps, dtype=torch.float64))
    wanted = (wanted @ centred.T @ asked).T
    torch.testing.assert_close(model.highway.weight.double(), wanted, atol=1e-5, rtol=1e-4)
    bias = y.mean(0) - wanted @ x.mean(0)
    torch.testing.assert_close(model.highway.bias.double(), bias, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("decoder", ["direct", "recurrent", "segments"])
@every_channels
@pytest.mark.parametrize("vote", [0.0, 0.3, 0.9])
def test_a_highway_in_closed_form_has_its_vote_and_the_network_learns_without_it(decoder, channels, vote):
    data = windows()
    model = make(channels=channels, decoder=decoder, highway=6, ridge=0.1, vote=vote)
    alone = make(channels=channels, decoder=decoder)
    alone.load_state_dict({name: value for name, value in model.state_dict().items() if "highway" not in name})
    model.fit_highway([data])
    x, n = data.inputs, data.lengths
    line = torch.stack([model.highway(x[:, -6:, k]) for k in range(K)], 2)
    said = vote * alone(x, n)[..., 0] + (1 - vote) * line
    torch.testing.assert_close(model(x, n)[..., 0], said, atol=1e-5, rtol=1e-5)
    learnt = model.train()(x, n)
    torch.testing.assert_close(learnt, alone(x, n), atol=1e-6, rtol=1e-6)
    learnt.sum().backward()
    assert all(value.grad is None for value in model.highway.parameters())


@pytest.mark.parametrize("roles", ["quantiles", "student_t"])
def test_a_vote_moves_the_point_and_leaves_the_spread(roles):
    data = windows()
    model = make(highway=6, ridge=0.1, vote=0.25, roles=ROLES[roles])
    alone = make(roles=ROLES[roles])
    alone.load_state_dict({name: value for name, value in model.state_dict().items() if "highway" not in name})
    model.fit_highway([data])
    both, own = model(data.inputs, data.lengths), alone(data.inputs, data.lengths)
    if roles == "student_t":
        assert both[..., 1:].equal(own[..., 1:])
    else:
        close = {"atol": 1e-5, "rtol": 1e-4}
        torch.testing.assert_close(both[..., 1:] - both[..., :1], own[..., 1:] - own[..., :1], **close)
    assert (both[..., 0] != own[..., 0]).any()


# What cannot be -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"decoder": "direkt"}, "did you mean 'direct'"),
        ({"normalize": "revinn"}, "did you mean 'revin'"),
        ({"channels": "seperate"}, "did you mean 'separate'"),
        ({"dropout": 1.0}, r"head dropout=1\.0"),
        ({"decoder": "recursive", "encoder": SegmentRecurrent(K, 4, hidden_size=D)}, "reads ahead: choose"),
        ({"decoder": "recursive", "encoder": Recurrent(K, "gru", D, bidirectional=True)}, "reads ahead: choose"),
        ({"ridge": -0.1, "highway": 3}, r"task\.ridge=-0\.1 is no penalty: give 0 or more"),
        ({"ridge": 0.1}, "task.ridge is the penalty of a highway: set task.highway"),
        ({"ridge": 0.1, "highway": 3, "decoder": "recursive"}, "task.ridge is the penalty of a highway: .* decoder="),
        ({"decoder": "recursive", "past": 1}, "columns of the past alone have none: make them targets"),
        ({"decoder": "recursive", "roles": ROLES["quantiles"]}, "cannot tell how its uncertainty grows: choose"),
        ({"decoder": "recursive", "roles": ROLES["student_t"]}, "cannot tell how its uncertainty grows: choose"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(options, says):
    with pytest.raises(InputError, match=says) as raised:
        make(**options)
    assert "\n" not in str(raised.value)


def test_one_step_ahead_may_be_recursive_and_uncertain():
    torch.manual_seed(0)
    model = Forecaster(Recurrent(K, "gru", D), K, K, 0, 1, ROLES["student_t"], decoder="recursive").eval()
    x, n = draw()
    assert model(x, n).equal(model(x, n, None, torch.randn(B, 1, K)))
