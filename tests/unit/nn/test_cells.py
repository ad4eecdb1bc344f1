"""Every cell: its equations in numpy or torch's own module, its derivatives, its parallel form, what all share."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seqlab.nn.cells import (
    CELLS,
    GRU,
    LSTM,
    RNN,
    ConvLSTM,
    IndRNN,
    PeepholeLSTM,
    ProjectedLSTM,
)
from seqlab.nn.reference import scan
from seqlab.types import InputError

E, H = 3, 4
PARALLEL = ["mingru", "minlstm", "qrnn"]


def make(name: str, input_size: int = E, hidden_size: int = H) -> nn.Module:
    torch.manual_seed(0)
    return CELLS[name](input_size, hidden_size).double()


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def state_of(cell: nn.Module, B: int) -> tuple[Tensor, ...]:
    shapes = getattr(cell, "state_shapes", ((cell.hidden_size,),) * getattr(cell, "num_states", 1))
    return tuple(draw(B, *shape) for shape in shapes)


# ---------------------------------------------------------------------------------------------- torch's own modules


@pytest.mark.parametrize(
    ("cell", "theirs"),
    [
        (RNN, nn.RNN),
        (lambda *sizes: RNN(*sizes, "relu"), lambda *sizes: nn.RNN(*sizes, nonlinearity="relu")),
        (LSTM, nn.LSTM),
        (GRU, nn.GRU),
        (lambda *sizes: ProjectedLSTM(*sizes, 2), lambda *sizes: nn.LSTM(*sizes, proj_size=2)),
    ],
    ids=["rnn", "rnn_relu", "lstm", "gru", "lstm_projected"],
)
def test_equals_torch_with_gradients(cell, theirs):
    torch.manual_seed(0)
    cell, theirs = cell(E, H).double(), theirs(E, H).double()
    for ours, other in zip(cell.torch_weights(), theirs.all_weights[0], strict=True):
        assert ours.shape == other.shape
        other.data.copy_(ours.detach())
    x, state = draw(5, 2, E), state_of(cell, 2)
    leaves = [[part.clone().requires_grad_() for part in (x, *state)] for _ in range(2)]
    y, final = scan(cell.step, leaves[0][0], tuple(leaves[0][1:]))
    start = [part.unsqueeze(0) for part in leaves[1][1:]]
    y2, final2 = theirs(leaves[1][0], tuple(start) if len(start) > 1 else start[0])
    final2 = final2 if isinstance(final2, tuple) else (final2,)
    torch.testing.assert_close(y, y2, rtol=1e-12, atol=1e-14)
    for one, other in zip(final, final2, strict=True):
        torch.testing.assert_close(one, other[0], rtol=1e-12, atol=1e-14)
    (y.square().sum() + sum(part.sum() for part in final)).backward()
    (y2.square().sum() + sum(part.sum() for part in final2)).backward()
    pairs = [*zip(*leaves, strict=True), *zip(cell.torch_weights(), theirs.all_weights[0], strict=True)]
    for one, other in pairs:
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-11, atol=1e-13)


def test_only_torchs_equations_claim_to_be_torchs():
    kinds = {name: getattr(make(name), "torch_kind", None) for name in CELLS}
    assert {name: kind for name, kind in kinds.items() if kind} == {
        "rnn": "rnn_tanh",
        "rnn_relu": "rnn_relu",
        "lstm": "lstm",
        "lstm_projected": "lstm",
        "gru": "gru",
    }
    assert LSTM(2, 2, candidate_dropout=0.5).torch_kind is None
    assert ProjectedLSTM(2, 3, 3).torch_kind is None  # torch sees a projection only where the widths differ


# ------------------------------------------------------------------------------------------------ equations in numpy


def sigm(a):
    return 1 / (1 + np.exp(-a))


def norm(a, gain, bias):
    return (a - a.mean()) / np.sqrt(a.var() + 1e-5) * gain + bias


def indrnn(p, x, h):
    return [np.maximum(p["ih.weight"] @ x + p["ih.bias"] + p["u"] * h, 0)]


def cifg(p, x, h, c):
    f, g, o = np.split(p["ih.weight"] @ x + p["ih.bias"] + p["hh.weight"] @ h, 3)
    c = sigm(f) * c + (1 - sigm(f)) * np.tanh(g)
    return [sigm(o) * np.tanh(c), c]


def layernorm_lstm(p, x, h, c):
    from_x, from_h = np.split(p["ih.weight"] @ x, 4), np.split(p["hh.weight"] @ h, 4)
    i, f, g, o = (
        norm(from_x[k], p[f"norm_x.{k}.weight"], p[f"norm_x.{k}.bias"])
        + norm(from_h[k], p[f"norm_h.{k}.weight"], p[f"norm_h.{k}.bias"])
        for k in range(4)
    )
    c = sigm(f) * c + sigm(i) * np.tanh(g)
    return [sigm(o) * np.tanh(norm(c, p["norm_c.weight"], p["norm_c.bias"])), c]


def mgu(p, x, h):
    f, n = np.split(p["ih.weight"] @ x + p["ih.bias"], 2)
    f = sigm(f + p["hh.weight"] @ h)
    return [(1 - f) * h + f * np.tanh(n + p["fh.weight"] @ (f * h))]


def ugrnn(p, x, h):
    z, n = np.split(p["ih.weight"] @ x + p["ih.bias"] + p["hh.weight"] @ h, 2)
    return [sigm(z) * h + (1 - sigm(z)) * np.tanh(n)]


def mingru(p, x, h):
    z, n = np.split(p["ih.weight"] @ x + p["ih.bias"], 2)
    return [(1 - sigm(z)) * h + sigm(z) * n]


def minlstm(p, x, h):
    f, i, n = np.split(p["ih.weight"] @ x + p["ih.bias"], 3)
    return [(sigm(f) * h + sigm(i) * n) / (sigm(f) + sigm(i))]


def qrnn(p, x, h, c):
    f, n, o = np.split(p["ih.weight"] @ x + p["ih.bias"], 3)
    c = sigm(f) * c + (1 - sigm(f)) * np.tanh(n)
    return [sigm(o) * c, c]


def sru(p, x, h, c):
    f, r = np.split(p["ih.weight"] @ x + p["ih.bias"], 2)
    f, r = sigm(f + p["v_f"] * c), sigm(r + p["v_r"] * c)
    c = f * c + (1 - f) * (p["candidate.weight"] @ x)
    skip = p["project.weight"] @ x if "project.weight" in p else x
    return [r * c + (1 - r) * skip, c]


@pytest.mark.parametrize("input_size", [E, H])
@pytest.mark.parametrize("equations", [indrnn, cifg, layernorm_lstm, mgu, ugrnn, mingru, minlstm, qrnn, sru])
def test_one_step_against_the_equations_in_numpy(equations: Callable[..., list[np.ndarray]], input_size: int):
    cell = make(equations.__name__, input_size)
    for parameter in cell.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)  # no gain of one, no bias of zero
    x, state = draw(1, input_size), state_of(cell, 1)
    parameters = {name: value.detach().numpy() for name, value in cell.named_parameters()}
    expected = equations(parameters, x[0].numpy(), *(part[0].numpy() for part in state))
    for ours, theirs in zip(cell.step(x, state), expected, strict=True):
        np.testing.assert_allclose(ours[0].detach(), theirs, rtol=1e-11)


@pytest.mark.parametrize("peephole", [False, True])
def test_convlstm_with_a_window_of_one_is_an_lstm_at_every_place(peephole):
    torch.manual_seed(0)
    grid, flat = ConvLSTM(E, H, 1, (2, 3), peephole).double(), PeepholeLSTM(E, H).double()
    flat.ih.weight.data, flat.hh.weight.data = grid.ih.weight.data[..., 0, 0], grid.hh.weight.data[..., 0, 0]
    flat.ih.bias.data = grid.ih.bias.data
    vectors = [draw(H) if peephole else torch.zeros(H, dtype=torch.float64) for _ in range(3)]
    flat.p_i.data, flat.p_f.data, flat.p_o.data = vectors
    if peephole:
        grid.peephole.data = torch.stack(vectors)[:, :, None, None].expand(3, H, 2, 3).clone()
    x, state = draw(5, 2, E, 2, 3), state_of(grid, 2)
    y, final = scan(grid.step, x, state, [2, 2, 2, 1, 1])

    def places(part: Tensor) -> Tensor:  # channels last, every place of the grid a row
        return part.movedim(-3, -1).flatten(-4, -2)

    y2, final2 = scan(flat.step, places(x), tuple(map(places, state)), [12, 12, 12, 6, 6])
    torch.testing.assert_close(places(y), y2)
    for one, other in zip(final, final2, strict=True):
        torch.testing.assert_close(places(one), other)


def test_convlstm_sees_its_neighbours():
    torch.manual_seed(0)
    cell, x, state = ConvLSTM(1, 1, 3, (4, 4)), torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    corner = state.clone()
    corner[0, 0, 0, 0] = 1.0
    before = cell.step(x, (state, state))[0]
    for after in (cell.step(corner, (state, state))[0], cell.step(x, (corner, state))[0]):
        assert (after != before)[0, 0].tolist() == [[True, True, False, False]] * 2 + [[False] * 4] * 2


def test_convlstm_gates_start_at_their_biases():
    cell = ConvLSTM(1, 2, 3, (2, 2))
    cell.ih.weight.data.zero_()
    cell.hh.weight.data.zero_()
    cell.forget_bias_(2.0)
    cell.input_bias_(-1.0)
    c = torch.randn(1, 2, 2, 2)
    _, new = cell.step(torch.randn(1, 1, 2, 2), (torch.randn(1, 2, 2, 2), c))
    gates = torch.sigmoid(torch.tensor([2.0, -1.0]))
    torch.testing.assert_close(new, gates[0] * c + gates[1] * torch.tanh(cell.ih.bias[4:6, None, None]))


# ------------------------------------------------------------------------------------------------------- derivatives


@pytest.mark.parametrize("name", [*CELLS, "convlstm"])
def test_first_and_second_derivatives_by_finite_differences(name):
    torch.manual_seed(0)
    cell = ConvLSTM(2, 3, 3, (2, 1), peephole=True).double() if name == "convlstm" else make(name, 2, 3)
    x = draw(2, 2, 2, 2, 1) if name == "convlstm" else draw(2, 2, 2)
    names, state = [key for key, _ in cell.named_parameters()], state_of(cell, 2)

    class Run(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = cell

        def forward(self, x, state):
            return scan(self.cell.step, x, state)

    run = Run()

    def function(x, *rest):
        parameters = {f"cell.{key}": value for key, value in zip(names, rest[len(state) :], strict=True)}
        y, final = torch.func.functional_call(run, parameters, (x, rest[: len(state)]))
        return (y, *final)

    parameters = [value.detach().clone().requires_grad_() for value in cell.parameters()]
    inputs = (x.requires_grad_(), *(part.requires_grad_() for part in state), *parameters)
    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)


# ----------------------------------------------------------------------------------------------------- parallel form


@pytest.mark.parametrize("name", PARALLEL)
@pytest.mark.parametrize("T", [1, 2, 7])
def test_the_form_without_a_loop_equals_the_loop(name, T):
    answers = []
    for parallel in (False, True):
        cell = make(name)
        x, state = draw(T, 2, E).requires_grad_(), tuple(part.requires_grad_() for part in state_of(cell, 2))
        y, final = cell.parallel(x, state) if parallel else scan(cell.step, x, state)
        (y.square().sum() + sum(part.sum() for part in final)).backward()
        gradients = [leaf.grad for leaf in (x, state[-1], *cell.parameters())]
        answers.append([y, *final, *gradients])
    for one, other in zip(*answers, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", PARALLEL)
def test_the_form_without_a_loop_keeps_a_long_memory_under_autocast(name):
    cell = make(name).float()
    cell.forget_bias_(7.0)  # keeps 0.999 a step, which bfloat16 would call 1
    x, state = torch.randn(200, 2, E), tuple(torch.ones_like(part).float() for part in state_of(cell, 2))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        y, final = scan(cell.step, x, state)
        y2, final2 = cell.parallel(x, state)
    assert y2.dtype is torch.float32
    torch.testing.assert_close(y, y2, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(final[-1], final2[-1], rtol=1e-2, atol=1e-2)


def test_the_scaled_gates_of_minlstm_stay_finite_where_both_are_closed():
    cell = make("minlstm").float()
    cell.forget_bias_(-500.0)
    cell.input_bias_(-500.0)
    (h,) = cell.step(torch.zeros(1, E), (torch.ones(1, H),))
    expected = 0.5 + 0.5 * cell.ih.bias[2 * H :]
    torch.testing.assert_close(h[0], expected)


# ----------------------------------------------------------------------------------------------- what all cells share


@pytest.mark.parametrize("name", CELLS)
def test_shapes_dtypes_copies_and_independent_rows(name):
    for input_size, hidden_size in ((3, 4), (4, 4), (1, 1)):
        cell = make(name, input_size, hidden_size)
        x, state = draw(2, 3, input_size), state_of(cell, 3)
        y, final = scan(cell.step, x, state)
        assert y.shape == (2, 3, state[0].shape[1])
        assert y.dtype is torch.float64
        assert [part.shape for part in final] == [part.shape for part in state]
        assert torch.equal(y[-1], final[0])

        copied, loaded = copy.deepcopy(cell), CELLS[name](input_size, hidden_size).double()
        loaded.load_state_dict(cell.state_dict())
        for other in (copied, loaded):
            assert torch.equal(scan(other.step, x, state)[0], y)

        changed = x.clone()
        changed[:, 1] += 1
        again = scan(cell.step, changed, state)[0]
        assert torch.equal(again[:, [0, 2]], y[:, [0, 2]])


@pytest.mark.parametrize("name", CELLS)
def test_maps_are_drawn_as_torch_draws_them(name):
    cell = make(name, 7, 64)
    for part in cell.modules():
        if isinstance(part, nn.Linear):
            for parameter in part.parameters():
                assert 0.1 < parameter.abs().max() <= 0.125


@pytest.mark.parametrize("bias", [1.5, torch.tensor([-2.0, 0.0, 1.0, 3.0])], ids=["number", "vector"])
@pytest.mark.parametrize("name", [name for name in CELLS if hasattr(make(name), "forget_bias_")])
def test_forget_bias_is_where_the_gate_that_keeps_starts(name, bias):
    cell = make(name)
    for key, parameter in cell.named_parameters():
        if not key.endswith("bias") and "norm" not in key:
            parameter.data.zero_()
        elif key.endswith("bias"):
            parameter.data.normal_()  # whatever stands in any of the gate's biases must not add to it
    cell.forget_bias_(bias)
    state = [part.requires_grad_() for part in state_of(cell, 1)]
    new = cell.step(draw(1, E), tuple(state))
    (kept,) = torch.autograd.grad(new[-1].sum(), state[-1])
    keep = torch.sigmoid(torch.as_tensor(bias, dtype=torch.float64)).expand(H)
    if name == "minlstm":
        keep = keep / (keep + torch.sigmoid(cell.ih.bias[H : 2 * H]))
    torch.testing.assert_close(kept[0], keep)


@pytest.mark.parametrize("name", ["lstm", "lstm_plain", "lstm_projected", "peephole", "layernorm_lstm"])
def test_input_bias_is_where_the_input_gate_starts(name):
    cell = make(name)
    for key, parameter in cell.named_parameters():
        if not key.endswith("bias") and "norm" not in key:
            parameter.data.zero_()
    x, state = draw(1, E), tuple(torch.zeros_like(part) for part in state_of(cell, 1))
    cell.input_bias_(0.0)
    half = cell.step(x, state)[1]
    cell.input_bias_(torch.arange(4.0))
    torch.testing.assert_close(cell.step(x, state)[1], 2 * half * torch.sigmoid(torch.arange(4.0).double()))
    assert name == "layernorm_lstm" or half.any()


def test_cells_without_a_gate_that_keeps_have_no_forget_bias():
    without = {name for name in CELLS if not hasattr(make(name), "forget_bias_")}
    assert without == {"rnn", "rnn_relu", "indrnn"}


def test_indrnn_keeps_its_weights_within_the_bound():
    assert IndRNN(2, 50).u.min() >= 0
    cell = IndRNN(2, 3, max_steps=10)
    cell.u.data = torch.tensor([5.0, -5.0, 0.5])
    cell.ih.weight.data.zero_()
    cell.ih.bias.data.fill_(3.0)
    (h,) = cell.step(torch.zeros(1, 2), (torch.ones(1, 3),))
    torch.testing.assert_close(h[0], 3 + torch.tensor([2**0.1, -(2**0.1), 0.5]))


def test_candidate_dropout_spares_what_the_cell_holds():
    cell = LSTM(2, 500, candidate_dropout=0.25)
    torch.manual_seed(0)
    x, state = torch.randn(3, 2, 2), (torch.randn(2, 500), torch.randn(2, 500))
    masks = cell.masks(3, 2, x)
    assert masks[0].shape == (3, 2, 500)
    assert abs((masks[0] == 0).float().mean() - 0.25) < 0.04
    assert abs(masks[0].mean() - 1) < 0.05
    plain = LSTM(2, 500)
    plain.load_state_dict(cell.state_dict())
    _, c = cell.step(x[0], state, (torch.zeros(2, 500),))
    forget = torch.sigmoid((cell.ih(x[0]) + cell.hh(state[0])).chunk(4, -1)[1])
    torch.testing.assert_close(c, forget * state[1])
    cell.eval()
    assert torch.equal(scan(cell.step, x, state, masks=cell.masks(3, 2, x))[0], scan(plain.step, x, state)[0])


@pytest.mark.parametrize(
    ("slip", "words"),
    [
        (lambda: RNN(2, 3, "tan"), "nonlinearity='tan' .* did you mean 'tanh'"),
        (lambda: LSTM(0, 3), "input_size=0"),
        (lambda: GRU(2, 0), "hidden_size=0"),
        (lambda: LSTM(2, 3, candidate_dropout=1.0), "candidate_dropout=1.0"),
        (lambda: PeepholeLSTM(2, 3, "newer"), "output_peephole='newer'"),
        (lambda: ProjectedLSTM(2, 3, 0), "projection=0"),
        (lambda: IndRNN(2, 3, max_steps=0), "max_steps=0"),
        (lambda: ConvLSTM(2, 3, 2, (4, 4)), "kernel_size=2 has no middle"),
        (lambda: ConvLSTM(2, 3, 3, (4, 0)), "grid width=0"),
    ],
)
def test_slips_are_named(slip, words):
    with pytest.raises(InputError, match=words):
        slip()


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_refuses_sizes_below_one(name):
    with pytest.raises(InputError, match="input_size=0"):
        CELLS[name](0, 2)
    with pytest.raises(InputError, match="hidden_size=-1"):
        CELLS[name](2, -1)
