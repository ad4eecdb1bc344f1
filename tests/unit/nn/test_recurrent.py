"""Recurrent against worked numbers, torch's own modules on packed sequences, and finite differences."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqlab.nn.cells import ConvLSTM
from seqlab.nn.compiler.toolchain import NoCompiler, build
from seqlab.nn.recurrent import Recurrent
from seqlab.types import InputError

TORCH = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
WEIGHTS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
BACKENDS = ("auto", "reference", "torch", "compiled")


def compiles() -> bool:
    try:
        build('extern "C" int one() { return 1; }', "one")
    except NoCompiler:
        return False
    return True


def weights(direction: nn.Module) -> list[torch.Tensor]:
    return direction.cell.torch_weights()


def test_worked_rnn_over_two_steps_and_a_second_layer_of_another_width():
    w_xh = [[-0.2, -0.4, 0.3, -0.4], [-0.6, -0.8, 0.5, -0.3], [0.1, -0.1, 0.6, 0.1]]
    w_hh = [[0.9, -0.1, 0.1], [-0.1, -0.9, 0.3], [0.1, -0.3, -0.9]]
    w_hk, w_kk = [[-1.1, 0.3, -0.1], [0.1, -0.2, 0.4]], [[0.1, 0.9], [0.9, -0.1]]
    x = torch.tensor([[[1.0, 3, 2, 1], [0, 4, 1, 2]]])
    h = [[-0.83365461, -0.9800964, 0.80049902], [-0.99049631, -0.970124, -0.1093467]]
    k = [[0.49521115, 0.4077032], [0.84138521, 0.42694624]]

    encoder = Recurrent(4, "rnn", [3, 2])
    for layer, w_in, w_state in zip(encoder.layers, (w_xh, w_hk), (w_hh, w_kk), strict=True):
        w_ih, w, b_ih, b_hh = weights(layer.directions[0])
        with torch.no_grad():
            w_ih.copy_(torch.tensor(w_in))
            w.copy_(torch.tensor(w_state))
            b_ih.zero_()
            b_hh.zero_()
    below = Recurrent(4, "rnn", 3)
    below.layers[0].load_state_dict(encoder.layers[0].state_dict())
    encoded = encoder(x, torch.tensor([2]))
    np.testing.assert_allclose(below(x, torch.tensor([2])).outputs[0].detach(), h, atol=1e-5)
    np.testing.assert_allclose(encoded.outputs[0].detach(), k, atol=1e-5)
    np.testing.assert_allclose(encoded.final[0].detach(), k[1], atol=1e-5)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("backend", ["torch", "reference"])
def test_equals_torch_on_packed_sequences_with_gradients(cell, bidirectional, num_layers, backend):
    torch.manual_seed(0)
    theirs = TORCH[cell](4, 5, num_layers, batch_first=True, bidirectional=bidirectional).double()
    ours = Recurrent.from_torch(theirs, backend)
    lengths = torch.tensor([6, 2, 7, 1])
    x1 = torch.randn(4, 7, 4, dtype=torch.double, requires_grad=True)
    x2 = x1.detach().clone().requires_grad_()

    packed, state = theirs(pack_padded_sequence(x1, lengths, batch_first=True, enforce_sorted=False))
    outputs, _ = pad_packed_sequence(packed, batch_first=True)
    h_n = state[0] if cell == "lstm" else state
    final = torch.cat((h_n[-2], h_n[-1]), 1) if bidirectional else h_n[-1]
    encoded = ours(x2, lengths)
    torch.testing.assert_close(encoded.outputs, outputs)
    torch.testing.assert_close(encoded.final, final)
    parts = state if cell == "lstm" else (state,)
    for k, each in enumerate(encoded.state):
        for mine, theirs_ in zip(each, parts, strict=True):
            torch.testing.assert_close(mine, theirs_[k])

    weight = torch.randn_like(outputs)
    ends, our_ends = parts[-1].square().sum(), sum(each[-1].square().sum() for each in encoded.state)
    ((outputs * weight).sum() + final.square().sum() + ends).backward()
    ((encoded.outputs * weight).sum() + encoded.final.square().sum() + our_ends).backward()
    torch.testing.assert_close(x2.grad, x1.grad)
    names = [name.replace("_l0", f"_l{k}{d}") for k in range(num_layers) for d in ("", "_reverse") for name in WEIGHTS]
    expected = [getattr(theirs, name).grad for name in names if hasattr(theirs, name)]
    got = [weight for layer in ours.layers for direction in layer.directions for weight in weights(direction)]
    for mine, want in zip(got, expected, strict=True):
        torch.testing.assert_close(mine.grad, want)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_full_and_ragged_paths_agree(cell):
    torch.manual_seed(0)
    encoder = Recurrent(3, cell, 4, 2, bidirectional=True, merge="sum", residual=True)
    x = torch.randn(2, 5, 3)
    full = encoder(x, torch.tensor([5, 5]))
    ragged = encoder(torch.cat((x, torch.randn(1, 5, 3))), torch.tensor([5, 5, 2]))
    torch.testing.assert_close(ragged.outputs[:2], full.outputs)
    torch.testing.assert_close(ragged.final[:2], full.final)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize(
    "options",
    [
        {"bidirectional": True},
        {"bidirectional": True, "merge": "sum", "num_layers": 2, "residual": True},
        {"num_layers": 2, "residual": True, "recurrent_dropout": 0.4, "dropout": 0.3},
    ],
)
@pytest.mark.parametrize("lengths", [[4, 4], [4, 2], [0, 3]])
def test_gradients_by_finite_differences(cell, options, lengths):
    torch.manual_seed(1)
    encoder = Recurrent(2, cell, 3, **options).double()
    x = torch.randn(2, 4, 2, dtype=torch.double, requires_grad=True)
    names = [name for name, _ in encoder.named_parameters()]

    def run(x: torch.Tensor, *parameters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        torch.manual_seed(7)  # the same dropout masks every time
        state = dict(zip(names, parameters, strict=True))
        encoded = torch.func.functional_call(encoder, state, (x, torch.tensor(lengths)))
        return encoded.outputs, encoded.final

    assert torch.autograd.gradcheck(run, (x, *encoder.parameters()), fast_mode=True)


def test_second_derivatives_pass_the_reversal():
    encoder = Recurrent(2, "rnn", 2, bidirectional=True).double()
    x = torch.randn(2, 3, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: encoder(x, torch.tensor([3, 1])).outputs, (x,))


def test_residual_adds_what_the_layer_read():
    torch.manual_seed(0)
    with_residual = Recurrent(3, "gru", 4, 2, bidirectional=True, residual=True)
    x, lengths = torch.randn(3, 5, 3), torch.tensor([5, 2, 0])
    first = Recurrent(3, "gru", 4, 1, bidirectional=True)
    first.layers[0].load_state_dict(with_residual.layers[0].state_dict())
    second = Recurrent(8, "gru", 4, 1, bidirectional=True)
    second.layers[0].load_state_dict(with_residual.layers[1].state_dict())
    below = first(x, lengths)
    above = second(below.outputs, lengths)
    encoded = with_residual(x, lengths)
    torch.testing.assert_close(encoded.outputs, below.outputs + above.outputs)
    torch.testing.assert_close(encoded.final, below.final + above.final)


def test_final_is_each_directions_own_last_step():
    encoder = Recurrent(3, "lstm", 4, bidirectional=True)
    encoded = encoder(torch.randn(3, 6, 3), torch.tensor([6, 3, 1]))
    for row, length in enumerate([6, 3, 1]):
        torch.testing.assert_close(encoded.final[row, :4], encoded.outputs[row, length - 1, :4])
        torch.testing.assert_close(encoded.final[row, 4:], encoded.outputs[row, 0, 4:])


@settings(max_examples=25, deadline=None)
@given(
    cell=st.sampled_from(["rnn", "lstm", "gru"]),
    bidirectional=st.booleans(),
    merge=st.sampled_from(["concat", "sum"]),
    widths=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    extra=st.integers(1, 3),
)
def test_padding_changes_neither_outputs_nor_gradients(cell, bidirectional, merge, widths, lengths, extra):
    torch.manual_seed(0)
    encoder = Recurrent(3, cell, widths, bidirectional=bidirectional, merge=merge)
    T = max(1, *lengths)
    x = torch.randn(len(lengths), T, 3)
    padded = torch.cat((x, torch.randn(len(lengths), extra, 3)), 1)
    answers = []
    for inputs in (x, padded):
        encoder.zero_grad()
        encoded = encoder(inputs, torch.tensor(lengths))
        (encoded.outputs.square().sum() + encoded.final.sum()).backward()
        answers.append([encoded.outputs[:, :T], encoded.final, *(p.grad for p in encoder.parameters())])
        assert not encoded.outputs[:, T:].any()
    for plain, other in zip(*answers, strict=True):
        torch.testing.assert_close(plain, other, atol=2e-6, rtol=1e-5)


def test_recurrent_dropout_draws_one_mask_a_call_and_is_off_in_evaluation():
    torch.manual_seed(0)
    encoder = Recurrent(3, "lstm", 8, recurrent_dropout=0.5)
    plain = Recurrent(3, "lstm", 8)
    plain.load_state_dict(encoder.state_dict())
    x, lengths = torch.randn(1, 6, 3).expand(2, 6, 3), torch.tensor([6, 6])
    first, second = encoder(x, lengths).outputs, encoder(x, lengths).outputs
    assert not torch.equal(first, second)  # another call, another mask
    assert torch.equal(first[0], first[1])  # rows share it
    assert torch.equal(encoder.eval()(x, lengths).outputs, plain.eval()(x, lengths).outputs)


def test_recurrent_dropout_is_dropconnect_on_the_state_weights():
    torch.manual_seed(0)
    encoder = Recurrent(3, "rnn", 4, recurrent_dropout=0.5)
    w_ih, w_hh, b_ih, b_hh = weights(encoder.layers[0].directions[0])
    x = torch.randn(1, 3, 3)
    torch.manual_seed(5)
    outputs = encoder(x, torch.tensor([3])).outputs[0]
    torch.manual_seed(5)
    dropped = nn.functional.dropout(w_hh, 0.5)
    h = torch.zeros(4)
    for t in range(3):
        h = torch.tanh(w_ih @ x[0, t] + dropped @ h + b_ih + b_hh)
        torch.testing.assert_close(outputs[t], h)


def test_initial_weights():
    torch.manual_seed(0)
    lstm = Recurrent(5, "lstm", 4, init="orthogonal", forget_bias=1.5).layers[0].directions[0]
    w_ih, w_hh, b_ih, b_hh = weights(lstm)
    assert (b_ih + b_hh).tolist() == [0.0] * 4 + [1.5] * 4 + [0.0] * 8  # once, not twice
    for gate in w_hh.split(4):
        torch.testing.assert_close(gate @ gate.T, torch.eye(4), atol=1e-5, rtol=0)
    assert w_ih.abs().max() <= (6 / (5 + 4)) ** 0.5
    assert not weights(Recurrent(5, "gru", 4, init="orthogonal").layers[0].directions[0])[2].any()


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_uniform_weights_are_drawn_as_torch_draws(cell):
    for weight in weights(Recurrent(50, cell, 100).layers[0].directions[0]):
        assert 0.09 < weight.abs().max() <= 0.1  # 1 / sqrt(hidden_size)
        assert weight.mean().abs() < 0.02


def test_same_seed_same_bits():
    def run() -> torch.Tensor:
        torch.manual_seed(3)
        encoder = Recurrent(3, "lstm", 4, 2, bidirectional=True, dropout=0.5, recurrent_dropout=0.5)
        return encoder(torch.randn(2, 5, 3), torch.tensor([5, 3])).outputs

    assert torch.equal(run(), run())


def test_no_steps_and_no_rows():
    encoder = Recurrent(3, "gru", 4)
    empty = encoder(torch.zeros(2, 0, 3), torch.tensor([0, 0]))
    assert empty.outputs.shape == (2, 0, 4)
    assert empty.final.tolist() == [[0.0] * 4] * 2
    assert encoder(torch.zeros(0, 5, 3), torch.zeros(0, dtype=torch.long)).outputs.shape == (0, 5, 4)


def autocast_works() -> bool:
    try:
        with torch.autocast("cpu", torch.bfloat16):
            nn.LSTM(2, 2, batch_first=True)(torch.zeros(1, 2, 2))[0].sum().backward()
    except RuntimeError:
        return False
    return True


@pytest.mark.skipif(not autocast_works(), reason="this processor runs no LSTM in bfloat16")
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("lengths", [[6, 6], [6, 3], [0, 6]])
def test_bfloat16_autocast_stays_close_and_answers_float32(cell, lengths):
    torch.manual_seed(0)
    encoder = Recurrent(8, cell, 8, 2, bidirectional=True, residual=True, recurrent_dropout=0.1).eval()
    x = torch.randn(2, 6, 8, requires_grad=True)
    exact = encoder(x, torch.tensor(lengths))
    with torch.autocast("cpu", torch.bfloat16):
        rough = encoder(x, torch.tensor(lengths))
        training = encoder.train()(x, torch.tensor(lengths))
    assert rough.outputs.dtype == rough.final.dtype == training.outputs.dtype == torch.float32
    torch.testing.assert_close(rough.outputs, exact.outputs, atol=3e-2, rtol=0)
    torch.testing.assert_close(rough.final, exact.final, atol=3e-2, rtol=0)
    (training.outputs.sum() + training.final.sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"forget_bias": 1.0, "cell": "rnn"}, "RNN has none"),
        ({"cell": "mingru", "state_dropout": 0.2}, "state_dropout=0.2 has nothing to drop: MinGRU"),
        ({"cell": "indrnn", "recurrent_dropout": 0.2}, "recurrent_dropout=0.2 has nothing to drop: IndRNN"),
        ({"max_lag": 1}, "max_lag=1"),
        ({"backend": "torch", "cell": "indrnn"}, "IndRNN is none of them"),
        ({"cell": "lsmt"}, "did you mean 'lstm'"),
        ({"merge": "add"}, "merge='add'"),
        ({"backend": "torhc"}, "did you mean 'torch'"),
        ({"zoneout": 1.5}, "zoneout=1.5"),
        ({"state_dropout": 1.0}, "state_dropout=1.0"),
        ({"hidden_size": [3, 2], "num_layers": 3}, "num_layers=3 contradicts hidden_size"),
        ({"hidden_size": []}, "num_layers=0"),
        ({"hidden_size": [3, 0]}, "hidden_size=0"),
        ({"num_layers": 0}, "num_layers=0"),
        ({"hidden_size": [3, 3, 2], "residual": True}, "layer 3, which reads width 3 and answers width 2"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"recurrent_dropout": -0.1}, "recurrent_dropout=-0.1"),
    ],
)
def test_bad_options_are_refused_in_one_sentence(options, message):
    with pytest.raises(InputError, match=message):
        Recurrent(4, **options)


@pytest.mark.parametrize(
    ("width", "lengths", "message"),
    [
        (4, [3, 3], "width 3 but was given width 4"),
        (3, [3, 6], "length 6 of row 1 does not fit inputs of 5 steps"),
        (3, [-1, 2], "length -1 of row 0"),
        (3, [1, 2, 3], "3 lengths for a batch of 2"),
    ],
)
def test_bad_inputs_are_refused_in_one_sentence(width, lengths, message):
    with pytest.raises(InputError, match=message):
        Recurrent(3, "gru", 2)(torch.zeros(2, 5, width), torch.tensor(lengths))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_row_read_in_two_halves_is_the_row_read_at_once(cell, backend, bidirectional):
    torch.manual_seed(0)
    encoder = Recurrent(3, cell, 4, 2, backend=backend)
    x = torch.randn(3, 6, 3)
    whole = encoder(x, torch.tensor([6, 6, 4]))
    first = encoder(x[:, :4], torch.tensor([4, 4, 4]))
    second = encoder(x[:, 4:], torch.tensor([2, 2, 0]), first.state)
    both = torch.cat((first.outputs, second.outputs), 1)
    torch.testing.assert_close(both, whole.outputs)
    torch.testing.assert_close(second.final, whole.final)
    for mine, wanted in zip(second.state, whole.state, strict=True):
        for part, want in zip(mine, wanted, strict=True):
            torch.testing.assert_close(part, want)


def test_a_foreign_state_is_refused():
    encoder = Recurrent(3, "lstm", 4, 2)
    with pytest.raises(InputError, match=r"the state has shapes .* but this encoder and batch need"):
        encoder(torch.zeros(2, 5, 3), torch.tensor([5, 5]), Recurrent(3, "lstm", 5, 2).initial_state(2, torch.zeros(1)))


@pytest.mark.parametrize("module", [
    nn.LSTM(3, 4, 2, bidirectional=True, dropout=0.1), nn.GRU(3, 4, batch_first=True),
    nn.RNN(3, 4, nonlinearity="relu"), nn.LSTM(3, 4, 2, proj_size=2), nn.RNN(3, 4, 3).double(),
])  # fmt: skip
def test_weights_go_to_torch_and_back_bit_for_bit(module):
    ours = Recurrent.from_torch(module)
    back = ours.to_torch()
    assert type(back) is type(module)
    assert back.state_dict().keys() == module.state_dict().keys()
    for name, value in module.state_dict().items():
        assert torch.equal(back.state_dict()[name], value)
    again = Recurrent.from_torch(back)
    for mine, other in zip(ours.parameters(), again.parameters(), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("options", [{"cell": "peephole"}, {"residual": True, "num_layers": 2}, {"hidden_size": [3, 2]},
                                     {"bidirectional": True, "merge": "sum"}, {"zoneout": 0.1}])  # fmt: skip
def test_what_torch_does_not_have_is_not_given_to_it(options):
    with pytest.raises(InputError, match="torch has no module"):
        Recurrent(3, **options).to_torch()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_stream_answers_what_the_whole_row_answers(cell, backend):
    torch.manual_seed(0)
    encoder = Recurrent(3, cell, 4, 2, residual=True, backend=backend)
    x = torch.randn(2, 5, 3)
    whole = encoder(x, torch.tensor([5, 5]))
    stream = encoder.stream(2)
    kept = None
    for t in range(5):
        torch.testing.assert_close(stream.push(x[:, t]), whole.outputs[:, t], atol=1e-6, rtol=1e-6)
        kept = stream.state if t == 2 else kept
    stream.state = kept
    torch.testing.assert_close(stream.push(x[:, 3]), whole.outputs[:, 3], atol=1e-6, rtol=1e-6)
    stream.reset(row=1)
    fresh = encoder.stream(2)
    assert torch.equal(stream.push(x[:, 0])[1], fresh.push(x[:, 0])[1])
    stream.reset()
    assert torch.equal(stream.push(x[:, 0]), encoder.stream(2).push(x[:, 0]))


@pytest.mark.skipif(not compiles(), reason="there is no C++ compiler here")
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("rough", [False, True])
@pytest.mark.parametrize("lengths", [[30, 30], [30, 11]])
def test_what_was_learned_is_what_is_evaluated(cell, rough, lengths):
    torch.manual_seed(0)
    encoder = Recurrent(6, cell, 16)
    x, n = torch.randn(2, 30, 6), torch.tensor(lengths)
    with torch.autocast("cpu", torch.bfloat16, enabled=rough):
        learning = encoder(x, n)
        with torch.inference_mode():
            evaluated = encoder(x, n)
    assert torch.equal(learning.outputs, evaluated.outputs)
    assert torch.equal(learning.final, evaluated.final)


@pytest.mark.skipif(not compiles(), reason="there is no C++ compiler here")
@pytest.mark.parametrize("cell", ["lstm", pytest.param("mut1", marks=pytest.mark.slow), "layernorm_lstm"])
def test_a_compiled_stream_answers_the_same_bits(cell):
    torch.manual_seed(0)
    encoder = Recurrent(9, cell, 70, 2, backend="compiled", zoneout=0.2).eval()
    x = torch.randn(3, 20, 9)
    whole = encoder(x, torch.tensor([20, 20, 20])).outputs
    stream = encoder.stream(3)
    assert all(steps is not None for steps in stream._steps)
    assert torch.equal(torch.stack([stream.push(x[:, t]) for t in range(20)], 1), whole)


def test_a_stream_keeps_the_weights_it_was_made_with():
    encoder = Recurrent(3, "gru", 4)
    stream, x = encoder.stream(), torch.randn(1, 3)
    before = encoder(x.unsqueeze(1), torch.tensor([1])).outputs[:, 0]
    with torch.no_grad():
        encoder.layers[0].directions[0].cell.ih.weight.mul_(2)
    if compiles():
        torch.testing.assert_close(stream.push(x), before)
    after = encoder(x.unsqueeze(1), torch.tensor([1])).outputs[:, 0]
    torch.testing.assert_close(encoder.stream().push(x), after)


def test_a_stream_refuses_what_it_cannot_read():
    with pytest.raises(InputError, match="bidirectional encoder cannot stream"):
        Recurrent(3, "gru", 4, bidirectional=True).stream()
    with pytest.raises(InputError, match=r"one step of shape \(1, 3\), not \(1, 4\)"):
        Recurrent(3, "gru", 4).stream().push(torch.zeros(1, 4))
    with pytest.raises(InputError, match="batch_size=0"):
        Recurrent(3, "gru", 4).stream(0)


@pytest.mark.parametrize("options", [{"zoneout": 0.3}, {"state_dropout": 0.3}, {"zoneout": 0.2, "state_dropout": 0.2}])
def test_noise_in_the_recurrence_is_drawn_in_training_alone(options):
    torch.manual_seed(0)
    encoder = Recurrent(3, "lstm", 8, **options)
    x, lengths = torch.randn(2, 6, 3), torch.tensor([6, 4])
    assert not torch.equal(encoder(x, lengths).outputs, encoder(x, lengths).outputs)
    encoder.eval()
    assert torch.equal(encoder(x, lengths).outputs, encoder(x, lengths).outputs)


def test_chrono_biases_cover_the_lags():
    torch.manual_seed(0)
    cell = Recurrent(3, "lstm", 500, max_lag=100).layers[0].directions[0].cell
    i, f, _, _ = (cell.ih.bias + cell.hh.bias).chunk(4)
    torch.testing.assert_close(i, -f)
    assert 0 <= f.min() < 0.5
    assert 4.4 < f.max() <= np.log(99)


def test_a_copy_runs_by_itself():
    from copy import deepcopy

    torch.manual_seed(0)
    encoder = Recurrent(3, "gru", 4)
    x, lengths = torch.randn(2, 5, 3), torch.tensor([5, 2])
    expected = encoder(x, lengths).outputs
    other = deepcopy(encoder)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.zero_()
    assert torch.equal(other(x, lengths).outputs, expected)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_cell_on_grids(bidirectional):
    torch.manual_seed(0)
    make = partial(ConvLSTM, kernel_size=3, grid=(4, 5))
    encoder = Recurrent(2, make, 3, 2, bidirectional=bidirectional)
    width = 6 if bidirectional else 3
    x, lengths = torch.randn(3, 6, 2, 4, 5), torch.tensor([6, 3, 0])
    encoded = encoder(x, lengths)
    assert encoded.outputs.shape == (3, 6, width, 4, 5)
    assert encoded.final.shape == (3, width, 4, 5)
    assert not encoded.outputs[1, 3:].any()
    alone = encoder(x[1:2, :3], lengths[1:2])
    torch.testing.assert_close(encoded.outputs[1, :3], alone.outputs[0])
