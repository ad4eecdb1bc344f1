"""Compiled cells against the reference loop in fp64."""

import copy
import pickle
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from seqlab.nn import reference
from seqlab.nn.compiler import NoCompiler, Unsupported, compile_cell, has_bf16, toolchain
from seqlab.nn.compiler.toolchain import build
from seqlab.types import InputError


def compiler_missing() -> str:
    try:
        build('extern "C" int one() { return 1; }', "probe")
    except NoCompiler as error:
        return str(error)
    return ""


pytestmark = [
    pytest.mark.skipif(bool(compiler_missing()), reason=f"no compiled cells: {compiler_missing()}"),
    pytest.mark.optimised,
]


@pytest.fixture(autouse=True, scope="module")
def _quick_builds(request):
    """Build with -O1, in half the time: the source is written so that no optimiser decides about a bit of a result.

    Built as for users, with -O3, under ``-m optimised --hypothesis-profile=thorough``; and in the tests of backends.
    """
    with pytest.MonkeyPatch.context() as patch:
        if request.config.getoption("--hypothesis-profile") != "thorough":
            quick = tuple("-O1" if flag == "-O3" else flag for flag in toolchain.FLAGS)
            assert quick != toolchain.FLAGS
            patch.setattr(toolchain, "FLAGS", quick)
        yield


class Cell(nn.Module):
    num_states = 1

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.build(input_size, hidden_size)

    def build(self, I, H):  # noqa: E741
        self.ih, self.hh = nn.Linear(I, self.gates * H), nn.Linear(H, self.gates * H)


class RNN(Cell):
    gates = 1

    def step(self, x, state):
        return (torch.tanh(self.ih(x) + self.hh(state[0])),)


class LSTM(Cell):
    gates, num_states = 4, 2

    def step(self, x, state):
        h, c = state
        i, f, g, o = (self.ih(x) + self.hh(h)).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class GRU(Cell):
    gates = 3

    def step(self, x, state):
        (h,) = state
        xr, xz, xn = self.ih(x).chunk(3, -1)
        hr, hz, hn = self.hh(h).chunk(3, -1)
        z = torch.sigmoid(xz + hz)
        n = torch.tanh(xn + torch.sigmoid(xr + hr) * hn)
        return (n + z * (h - n),)


class Peephole(LSTM):
    def build(self, I, H):  # noqa: E741
        super().build(I, H)
        self.p = nn.ParameterList([nn.Parameter(torch.randn(H) * 0.5) for _ in range(3)])

    def step(self, x, state):
        h, c = state
        i, f, g, o = (self.ih(x) + self.hh(h)).chunk(4, -1)
        c = torch.sigmoid(f + self.p[1] * c) * c + torch.sigmoid(i + self.p[0] * c) * g.tanh()
        return torch.sigmoid(o + self.p[2] * c) * c.tanh(), c


class LayerNormLSTM(LSTM):
    def build(self, I, H):  # noqa: E741
        super().build(I, H)
        self.norms = nn.ModuleList([nn.LayerNorm(H) for _ in range(5)])

    def step(self, x, state):
        h, c = state
        gates = (self.ih(x) + self.hh(h)).chunk(4, -1)
        i, f, g, o = (norm(gate) for norm, gate in zip(self.norms, gates, strict=False))
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * self.norms[4](c).tanh(), c


class Mutant(Cell):
    """Two-stage products, one weight used twice, a map of tanh(h), a bias as a plain parameter, cat, maps of x bent."""

    gates = 2

    def build(self, I, H):  # noqa: E741
        super().build(I, H)
        self.rh, self.joined = nn.Linear(H, H, bias=False), nn.Linear(I + H, H)
        self.b = nn.Parameter(torch.randn(2 * H))

    def step(self, x, state):
        (h,) = state
        r, z = torch.sigmoid(self.ih(x) + self.hh(torch.tanh(h)) + self.b).chunk(2, -1)
        n = torch.tanh(self.rh(r * h) + 0.5 * self.rh(h) + torch.tanh(self.joined(torch.cat([x, h * r], -1))))
        return (torch.lerp(h, n, z),)


class Gated(Cell):
    """No recurrent product; states that swap, stay, and are not used."""

    gates, num_states = 2, 4

    def build(self, I, H):  # noqa: E741
        self.ih = nn.Linear(I, 2 * H, bias=False)

    def step(self, x, state):
        h, a, b, fixed = state
        z, n = self.ih(x).chunk(2, -1)
        return h + z.sigmoid() * (n * fixed - h), b, a, fixed


class Elementwise(Cell):
    """Everything that is no product."""

    gates = 3

    def build(self, I, H):  # noqa: E741
        self.ih, self.u = nn.Linear(I, 3 * H), nn.Parameter(torch.rand(H))
        self.norm = nn.RMSNorm(H, eps=1e-5) if hasattr(nn, "RMSNorm") else nn.LayerNorm(H, elementwise_affine=False)

    def step(self, x, state):
        (h,) = state
        a, b, c = self.ih(x).chunk(3, -1)
        y = torch.relu(a + self.u * h) + F.softplus(b) * c.clamp(-0.5, 1.0) - F.gelu(c) + F.gelu(b, approximate="tanh")
        y = y + torch.where(a > b, torch.exp(-a * a), F.elu(c)) + F.silu(a).abs() + torch.maximum(a, b)
        y = y + F.leaky_relu(c, 0.1) + torch.log1p(b * b) - torch.rsqrt(1 + a**2) + F.hardtanh(b) + torch.sin(c)
        y = y / (1 + y.square().mean(-1, keepdim=True)) + y.sum(-1, keepdim=True) * 1e-2 + torch.expm1(a * 0.1)
        y = y + self.norm(a)
        return (y - F.normalize(c, dim=-1) + torch.minimum(a, c).mul_(0.5),)


class Skip(RNN):
    """x itself, where it is as wide as h."""

    def step(self, x, state):
        return (torch.tanh(self.ih(x) + self.hh(state[0] * torch.sigmoid(x))) + x * state[0],)


class Zoneout(nn.Module):
    """A cell in a cell, masks, one of them on what the recurrent map reads."""

    num_masks, num_states = 2, 2

    def __init__(self, cell):
        super().__init__()
        self.cell, self.input_size, self.hidden_size = cell, cell.input_size, cell.hidden_size

    def step(self, x, state, masks):
        new = self.cell.step(x, (state[0] * masks[1], state[1]))
        return tuple(old + masks[0] * (now - old) for now, old in zip(new, state, strict=True))


class Chained(RNN):
    """A map of a gate's sigmoid, which is a map of a bent map of x; the output is a gate's sigmoid itself."""

    def build(self, I, H):  # noqa: E741
        super().build(I, H)
        self.between = nn.Linear(H, H)

    def step(self, x, state):
        inner = torch.sigmoid(self.between(torch.tanh(self.ih(x))))
        return (torch.sigmoid(self.ih(x) + self.hh(inner) + self.hh(state[0])),)


class Sliced(LSTM):
    """Products of another state than the output, a part of a weight, states that are constant."""

    num_states = 3

    def step(self, x, state):
        h, c, _ = state
        i, f, g, o = (self.ih(x) + self.hh(c)).chunk(4, -1)
        g = g + F.linear(h, self.hh.weight[: self.hidden_size])
        c = f.sigmoid() * c + g.tanh() * i
        return o.sigmoid() * c, torch.zeros_like(c) + 0.5 * c, torch.ones_like(c)


class Statistics(RNN):
    """One normalisation over three gates, numbers of a row spread over it again."""

    gates = 3

    def build(self, I, H):  # noqa: E741
        super().build(I, H)
        self.norm = nn.LayerNorm(3 * H)

    def step(self, x, state):
        i, f, g = self.norm(self.ih(x) + self.hh(state[0])).chunk(3, -1)
        spread = state[0].mean(-1, keepdim=True).expand_as(i) * state[0].std(-1, keepdim=True)
        return (torch.sigmoid(i) * state[0] + f.tanh() * g + spread,)


KINDS = (RNN, LSTM, GRU, Peephole, LayerNormLSTM, Mutant, Gated, Elementwise)


def errors(cell, T, B, lengths=None, reverse=False, masks=(), dtype=torch.float32, compiled=None):
    """Error of outputs, last states and all gradients, by name, against fp64: norms, relative to sizes above one."""
    I, H, N = cell.input_size, cell.hidden_size, cell.num_states  # noqa: E741
    exact, compiled = copy.deepcopy(cell).double(), compiled or compile_cell(cell)
    active = None if lengths is None else [sum(length > t for length in lengths) for t in range(T)]
    x, state = torch.randn(T, B, I), [torch.randn(B, H) for _ in range(N)]
    for t in range(T):
        x[t, (B if active is None else active[t]) :] = float("nan")  # padding may hold anything
    weight = [torch.randn(T, B, H), *(torch.randn(B, H) for _ in range(N))]

    def answers(run, cell, of):
        inputs = [x.to(of).requires_grad_(), *(part.to(of).requires_grad_() for part in state)]
        y, last = run(inputs[0], tuple(inputs[1:]))
        total = sum((out.to(of) * w.to(of)).sum() for out, w in zip((y, *last), weight, strict=True))
        inputs += cell.parameters()
        found = torch.autograd.grad(total, inputs, allow_unused=True)
        filled = [torch.zeros_like(a) if g is None else g for a, g in zip(inputs, found, strict=True)]
        return [y, *last, *filled]

    extra = [mask.double() for mask in masks]
    want = answers(lambda x, s: reference.scan(exact.step, x, s, active, reverse, extra), exact, torch.float64)
    got = answers(lambda x, s: compiled(x, s, active, reverse, masks, dtype), cell, torch.float32)
    names = ["y", *(f"last {k}" for k in range(N)), "dx", *(f"d state {k}" for k in range(N))]
    names += [name for name, _ in cell.named_parameters()]
    assert all(bool(a.isfinite().all()) for a in got)
    return {
        n: float((a - b).detach().norm() / (1 + b.detach().norm())) for n, a, b in zip(names, got, want, strict=True)
    }


sizes = st.integers(1, 9)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12, deadline=None)
@given(data=st.data(), T=st.integers(1, 7), I=sizes, H=sizes, reverse=st.booleans(), seed=st.integers(0, 99))
def test_agrees_with_the_reference(kind, data, T, I, H, reverse, seed):  # noqa: E741
    lengths = sorted(data.draw(st.lists(st.integers(0, T), min_size=1, max_size=20)), reverse=True)
    torch.manual_seed(seed)
    if kind in (LayerNormLSTM, Elementwise):
        H += 8  # of few numbers, normalising makes errors large in any arithmetic
    found = errors(kind(I, H), T, len(lengths), lengths if data.draw(st.booleans()) else None, reverse)
    bound = 1e-4 if kind in (LayerNormLSTM, Elementwise) else 3e-6
    assert max(found.values()) < bound, found


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU, Mutant])
@pytest.mark.parametrize("size", [(33, 65), (128, 48)])
def test_agrees_with_the_reference_at_sizes_beyond_a_vector(kind, size):
    torch.manual_seed(0)
    lengths = sorted(torch.randint(0, 20, (23,)).tolist(), reverse=True)
    for given_lengths in (None, lengths):
        found = errors(kind(*size), 19, 23, given_lengths, reverse=given_lengths is not None)
        assert max(found.values()) < 2e-6, found


@pytest.mark.parametrize("kind", [Chained, Sliced, Statistics])
def test_unusual_wiring(kind):
    torch.manual_seed(0)
    for lengths in (None, [6, 6, 4, 1, 0]):
        for reverse in (False, True):
            found = errors(kind(5, 12), 6, 5, lengths, reverse)
            assert max(found.values()) < 3e-6, found


def test_x_itself_may_take_part():
    torch.manual_seed(0)
    assert max(errors(Skip(5, 5), 4, 3, [4, 2, 0], reverse=True).values()) < 2e-6
    with pytest.raises(Unsupported, match="computes with x"):
        compile_cell(Skip(4, 5))


@pytest.mark.parametrize("fresh", [False, True])
def test_masks(fresh):
    torch.manual_seed(0)
    masks = [torch.rand(6, 3, 5).round() if fresh else torch.rand(3, 5).round() for _ in range(2)]
    assert max(errors(Zoneout(LSTM(4, 5)), 6, 3, [6, 5, 1], masks=masks).values()) < 2e-6


@pytest.mark.skipif(not has_bf16(), reason="no bfloat16 products here")
@pytest.mark.parametrize("kind", [LSTM, *(pytest.param(kind, marks=pytest.mark.slow) for kind in (GRU, Mutant))])
def test_bf16_products(kind):
    torch.manual_seed(0)
    for reverse in (False, True):
        found = errors(kind(15, 33), 9, 18, [9] * 9 + [4] * 8 + [0], reverse, dtype=torch.bfloat16)
        assert max(found.values()) < 1e-2, found
    found = errors(Zoneout(LSTM(8, 32)), 6, 3, masks=[torch.ones(3, 32)] * 2, dtype=torch.bfloat16)
    assert max(found.values()) < 1e-2, found
    y, (h, *_) = compile_cell(kind(4, 6))(
        torch.randn(2, 3, 4), (torch.zeros(3, 6),) * kind.num_states, dtype=torch.bfloat16
    )
    assert (y.dtype, h.dtype) == (torch.bfloat16, torch.float32)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("B", [1, 33])
def test_threads(threads, B):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for lengths in (None, list(range(300 // B + 1, 300 // B + 1 - B, -1)) if B == 1 else [9] * 20 + [3] * 13):
            T = 300 if B == 1 and lengths is None else (lengths or [9])[0]
            found = []
            for _ in range(2):
                torch.manual_seed(0)
                found.append(errors(GRU(6, 17), T, B, lengths, reverse=True))
            assert max(found[0].values()) < 5e-6, found
            assert found[0] == found[1]
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("kind", [LSTM, GRU, LayerNormLSTM])
def test_a_row_depends_neither_on_its_neighbours_nor_on_how_it_is_cut_in_time(kind):
    torch.manual_seed(0)
    compiled, x = compile_cell(kind(7, 37)), torch.randn(11, 13, 7)
    start = tuple(torch.randn(13, 37) for _ in range(kind.num_states))
    with torch.no_grad():
        y, last = compiled(x, start)
        for row in (0, 5, 12):
            state, seen = tuple(part[row : row + 1] for part in start), []
            for t in range(11):
                out, state = compiled(x[t : t + 1, row : row + 1], state)
                seen.append(out)
            assert torch.equal(torch.cat(seen)[:, 0], y[:, row])
            assert all(torch.equal(a[0], b[row]) for a, b in zip(state, last, strict=True))
    with_grad, _ = compiled(x.requires_grad_(), start)
    assert torch.equal(with_grad, y)


def test_nan_stays_in_its_row():
    x = torch.randn(6, 4, 3)
    x[2, 1] = float("nan")
    for kind in (LSTM, LayerNormLSTM):
        y, _ = compile_cell(kind(3, 5))(x, (torch.zeros(4, 5),) * 2)
        assert y[2:, 1].isnan().all()
        y[2:, 1] = 0
        assert y.isfinite().all()


def test_double_backward_and_graph_kept():
    torch.manual_seed(0)
    cell = GRU(3, 4)
    x, h = torch.randn(5, 2, 3), torch.randn(2, 4)

    def penalty(run, cell, of):
        leaf = x.to(of).requires_grad_()
        y, _ = run(leaf, (h.to(of),))
        (slope,) = torch.autograd.grad((y**2).sum(), leaf, create_graph=True)
        return torch.autograd.grad((slope**2).sum(), [leaf, *cell.parameters()])

    exact = copy.deepcopy(cell).double()
    want = penalty(lambda x, s: reference.scan(exact.step, x, s), exact, torch.float64)
    for a, b in zip(penalty(compile_cell(cell), cell, torch.float32), want, strict=True):
        assert (a - b).norm() < 1e-5 * b.norm()
    y, _ = compile_cell(cell)(x, (h,))
    first = torch.autograd.grad(y.sum(), list(cell.parameters()), retain_graph=True)
    again = torch.autograd.grad(y.sum(), list(cell.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_gradients_of_parameters_share_no_memory():
    cell = LSTM(3, 4)
    compile_cell(cell)(torch.randn(5, 2, 3), (torch.zeros(2, 4),) * 2)[0].sum().backward()
    places = [p.grad.untyped_storage().data_ptr() for p in cell.parameters()]
    assert len(set(places)) == len(places)
    for p in cell.parameters():
        p.requires_grad_(p is cell.hh.bias)
        p.grad = None
    compile_cell(cell)(torch.randn(5, 2, 3), (torch.zeros(2, 4),) * 2)[0].sum().backward()
    assert [name for name, p in cell.named_parameters() if p.grad is not None] == ["hh.bias"]


def test_changed_parameters_are_seen():
    torch.manual_seed(0)
    cell = GRU(3, 20)
    compiled, x, state = compile_cell(cell), torch.randn(1, 1, 3), (torch.randn(1, 20),)

    def check():
        with torch.no_grad():
            torch.testing.assert_close(compiled(x, state)[0], reference.scan(cell.step, x, state)[0])

    check()
    with torch.no_grad():
        cell.hh.weight[3, 4] += 1
    check()
    cell.ih.weight.data.normal_()
    check()
    cell.hh.weight.data[20:40] = 0.1
    check()
    cell.ih.bias.data[7] = 3
    check()
    cell.ih = nn.Linear(3, 60)
    state = (torch.randn(1, 20),)
    holder = nn.ModuleList([cell])
    other = {f"0.{name}": torch.randn_like(p) for name, p in cell.named_parameters()}
    holder.forward = lambda: (compile_cell(cell)(x, state)[0], reference.scan(cell.step, x, state)[0])
    torch.testing.assert_close(*torch.func.functional_call(holder, other, ()))


def test_training_and_evaluation_may_differ():
    class Moody(RNN):
        def step(self, x, state):
            (h,) = super().step(x, state)
            return (h if self.training else 2 * h,)

    cell = Moody(3, 4)
    compiled, x, state = compile_cell(cell), torch.randn(4, 2, 3), (torch.zeros(2, 4),)
    for mode in (True, False, True):
        cell.train(mode)
        torch.testing.assert_close(compiled(x, state)[0], reference.scan(cell.step, x, state)[0])


def test_copies_are_cells_of_their_own():
    compiled, x, state = compile_cell(RNN(3, 4)), torch.randn(4, 2, 3), (torch.zeros(2, 4),)
    y = compiled(x, state)[0]
    for other in (copy.deepcopy(compiled), pickle.loads(pickle.dumps(compiled))):
        assert torch.equal(other(x, state)[0], y)
        assert other.cell is not compiled.cell


def test_many_python_threads_at_once():
    torch.manual_seed(0)
    compiled = compile_cell(GRU(6, 17))
    jobs = [torch.randn(20, 9, 6) for _ in range(6)]
    want = [compiled(x, (torch.zeros(9, 17),))[0] for x in jobs]
    got = [None] * len(jobs)

    def work(k):
        for _ in range(5):
            got[k] = compiled(jobs[k], (torch.zeros(9, 17),))[0]

    workers = [threading.Thread(target=work, args=(k,)) for k in range(len(jobs))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


def test_a_literal_as_large_as_the_hidden_size_is_a_literal():
    class Literal(RNN):
        def step(self, x, state):
            (h,) = super().step(x, state)
            return (h * 8 + h.mean(-1, keepdim=True) * 7 + h.sum(-1, keepdim=True) / h.shape[-1],)

    for H in (7, 8):
        assert max(errors(Literal(3, H), 2, 2).values()) < 5e-6


def sorts(self, x, state):
    return (torch.sort(state[0], -1).values,)


def decides(self, x, state):
    return (state[0] if state[0].sum() > 0 else -state[0],)


def reads_rows(self, x, state):
    return (state[0] - state[0].mean(0),)


def multiplies(self, x, state):
    return (state[0] @ self.hh.weight,)


def cuts(self, x, state):
    return (torch.cat([state[0][:, 1:], state[0][:, :1]], -1),)


def draws(self, x, state):
    return (F.dropout(state[0]),)


def adds_a_stranger(self, x, state):
    return (state[0] + torch.arange(4.0),)


def writes_into_the_state(self, x, state):
    return (state[0].view(-1, 4).mul_(2) + state[0],)


@pytest.mark.parametrize(
    "step", [sorts, decides, reads_rows, multiplies, cuts, draws, adds_a_stranger, writes_into_the_state]
)
def test_what_is_not_supported_is_refused_in_one_phrase(step):
    kind = type("Odd", (RNN,), {"step": step})
    with pytest.raises(Unsupported) as caught:
        compile_cell(kind(3, 4))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 120


def test_shapes_are_checked_before_the_code_reads_them():
    compiled, x, state = compile_cell(Zoneout(LSTM(3, 4))), torch.zeros(5, 2, 3), (torch.zeros(2, 4),) * 2
    masks = (torch.ones(2, 4),) * 2
    for wrong in (
        {"x": torch.zeros(5, 2, 4)},
        {"x": torch.zeros(0, 2, 3)},
        {"state": state[:1]},
        {"state": (torch.zeros(2, 5),) * 2},
        {"masks": masks[:1]},
        {"masks": (torch.ones(5, 4),) * 2},
        {"active": [2, 2, 2, 2]},
        {"active": [1, 2, 2, 2, 2]},
        {"active": [3, 2, 2, 2, 2]},
    ):
        with pytest.raises(InputError):
            compiled(**({"x": x, "state": state, "masks": masks} | wrong))
    plain = compile_cell(RNN(3, 4))
    plain.cell.hh = nn.Linear(4, 2)
    with pytest.raises(InputError, match="another shape"):
        plain(x, state[:1])


def test_an_empty_batch():
    y, (h,) = compile_cell(RNN(3, 4))(torch.zeros(5, 0, 3), (torch.zeros(0, 4),))
    assert (y.shape, h.shape) == ((5, 0, 4), (0, 4))


def test_other_refusals():
    wide = LSTM(3, 4)
    wide.state_shapes = ((2,), (4,))
    with pytest.raises(Unsupported, match="not as wide"):
        compile_cell(wide)
    with pytest.raises(Unsupported, match="float64"):
        compile_cell(RNN(3, 4))(torch.zeros(1, 1, 3), (torch.zeros(1, 4),), dtype=torch.float64)
