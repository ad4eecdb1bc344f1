"""Gradients through time against closed forms, finite differences and plain autograd."""

import io
import sys

import numpy as np
import pytest
import torch
from torch import nn

from seqlab.insight.gradients import gradient_by_lag, gradient_figure, gradient_norms, jacobian_norms
from seqlab.nn import Convolution, Recurrent
from seqlab.types import InputError


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear(W):
    return lambda x, state: (state[0] @ W.T + x,)


def lstm(H):
    """A step of an LSTM whose weights are drawn, on a state of two parts."""
    U, V = 0.7 * draw(4 * H, 2, seed=1), 0.7 * draw(4 * H, H, seed=2)

    def step(x, state):
        i, f, g, o = (x @ U.T + state[0] @ V.T).chunk(4, -1)
        c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c

    return step


def run(step, x, state):
    for x_t in x:
        state = step(x_t, state)
    return state


@pytest.mark.parametrize("norm", ["spectral", "frobenius"])
def test_a_linear_network_multiplies_by_its_matrix(norm):
    W = 0.6 * draw(4, 4)
    norms = jacobian_norms(linear(W), draw(9, 3, 4), (draw(3, 4),), norm)
    ord = 2 if norm == "spectral" else "fro"
    expected = [torch.linalg.matrix_norm(torch.linalg.matrix_power(W, k), ord).item() for k in range(10)]
    np.testing.assert_allclose(norms, expected, rtol=1e-10)


def test_a_scalar_network_multiplies_its_slopes():
    w, x, h = 1.7, draw(6, 2, 1), draw(2, 1)
    slopes, state = [], h
    for x_t in x:
        state = torch.tanh(w * state + x_t)
        slopes.append(w * (1 - state**2))
    expected = [1.0] + [torch.stack(slopes[-k:]).prod(0).mean().item() for k in range(1, 7)]
    norms = jacobian_norms(lambda x, s: (torch.tanh(w * s[0] + x),), x, (h,))
    np.testing.assert_allclose(norms, expected, rtol=1e-10)


@pytest.mark.parametrize("output_only", [False, True])
def test_a_state_of_several_parts_is_taken_whole_or_its_output_alone(output_only):
    step, x, state = lstm(3), draw(5, 1, 2), (draw(1, 3, seed=3), draw(1, 3, seed=4))
    norms = jacobian_norms(step, x, state, output_only=output_only)
    frobenius = jacobian_norms(step, x, state, "frobenius", output_only)
    for k in range(6):
        before = run(step, x[: 5 - k], state)

        def final(s, k=k):
            return torch.cat(run(step, x[5 - k :], s.split(3, 1)), 1)

        J = torch.autograd.functional.jacobian(final, torch.cat(before, 1))[0, :, 0]
        J = J[:3, :3] if output_only else J
        assert norms[k] == pytest.approx(torch.linalg.matrix_norm(J, 2).item(), rel=1e-10)
        assert frobenius[k] == pytest.approx(J.norm().item(), rel=1e-10)


def test_finite_differences_agree():
    step, x, state = lstm(2), draw(4, 1, 2), (draw(1, 2, seed=3), draw(1, 2, seed=4))
    columns = []
    for part in range(2):
        for unit in range(2):
            ends = []
            for sign in (1, -1):
                moved = [piece.clone() for piece in state]
                moved[part][0, unit] += sign * 1e-5
                ends.append(torch.cat(run(step, x, tuple(moved)), 1)[0])
            columns.append((ends[0] - ends[1]) / 2e-5)
    expected = torch.linalg.matrix_norm(torch.stack(columns, 1), 2).item()
    assert jacobian_norms(step, x, state)[-1] == pytest.approx(expected, rel=1e-8)


def test_rows_are_averaged():
    step, x = lstm(3), draw(5, 4, 2)
    state = (draw(4, 3, seed=3), draw(4, 3, seed=4))
    each = [jacobian_norms(step, x[:, b : b + 1], (state[0][b : b + 1], state[1][b : b + 1])) for b in range(4)]
    np.testing.assert_allclose(jacobian_norms(step, x, state), np.mean(each, 0), rtol=1e-10)


@pytest.mark.parametrize("scale", [0.1, 3.0])
def test_norms_beyond_float32_come_out_right(scale):
    W = (scale * torch.eye(2)).float()
    norms = jacobian_norms(linear(W), torch.zeros(200, 1, 2), (torch.zeros(1, 2),))
    np.testing.assert_allclose(norms, float(W[0, 0]) ** np.arange(201), rtol=1e-4)


def test_a_dead_network_passes_nothing():
    norms = jacobian_norms(lambda x, s: (torch.relu(s[0] - 9),), draw(3, 2, 2), (draw(2, 2),))
    assert norms.tolist() == [1, 0, 0, 0]


def test_gradient_norms_are_autograds():
    step, x, state = lstm(3), draw(6, 2, 2), (draw(2, 3, seed=3), draw(2, 3, seed=4))

    def loss(outputs, last):
        return outputs[2].square().sum() + last[1].sum()

    norms = gradient_norms(step, x, state, loss)
    output_norms = gradient_norms(step, x, state, loss, output_only=True)
    assert norms.shape == (7,)
    for t in range(7):
        before = run(step, x[:t], state)
        leaves = tuple(part.clone().requires_grad_() for part in before)
        s, total = leaves, 0.0
        if t == 3:  # the outputs' third row is h_3
            total = leaves[0].square().sum()
        for later in range(t, 6):
            s = step(x[later], s)
            total = total + (s[0].square().sum() if later == 2 else 0.0)
        h, c = torch.autograd.grad(total + s[1].sum(), leaves, materialize_grads=True, allow_unused=True)
        assert norms[t] == pytest.approx(torch.cat((h, c), 1).norm(dim=1).mean().item(), rel=1e-10)
        assert output_norms[t] == pytest.approx(h.norm(dim=1).mean().item(), rel=1e-10)


def test_gradient_norms_never_exceed_the_jacobians():
    step, x, state = lstm(3), draw(8, 1, 2), (draw(1, 3, seed=3), draw(1, 3, seed=4))
    most = jacobian_norms(step, x, state)
    direction = draw(6, seed=5)
    direction /= direction.norm()
    norms = gradient_norms(step, x, state, lambda _, last: (torch.cat(last, 1) @ direction).sum())
    assert (norms[::-1] <= most * (1 + 1e-10)).all()


@pytest.mark.parametrize("norm", ["spectral", "frobenius"])
def test_a_cell_in_float32_with_parameters_works_under_no_grad(norm):
    cell = nn.GRUCell(2, 3)
    with torch.no_grad():
        norms = jacobian_norms(lambda x, s: (cell(x, s[0]),), torch.randn(4, 2, 2), (torch.zeros(2, 3),), norm)
        cheap = gradient_norms(
            lambda x, s: (cell(x, s[0]),), torch.randn(4, 2, 2), (torch.zeros(2, 3),), lambda y, _: y[-1].sum()
        )
    assert norms.shape == cheap.shape == (5,)
    assert norms.dtype == cheap.dtype == np.float64
    assert (cheap > 0).all()
    assert all(parameter.grad is None for parameter in cell.parameters())


def test_an_encoder_is_measured_at_its_inputs_from_each_rows_own_end():
    torch.manual_seed(0)
    encoder = Recurrent(2, "gru", 3, dropout=0.5).double().train()
    x, lengths = draw(3, 5, 2), torch.tensor([5, 2, 0])
    norms = gradient_by_lag(encoder, x, lengths)
    assert encoder.training
    J = torch.autograd.functional.jacobian(lambda x: encoder.eval()(x, lengths).final, x)
    first = [J[0, :, 0, 4 - k].norm().item() for k in range(5)]
    second = [J[1, :, 1, 1 - k].norm().item() for k in range(2)]
    expected = [(first[k] + second[k]) / 2 if k < 2 else first[k] for k in range(5)]
    np.testing.assert_allclose(norms, expected, rtol=1e-8)


def test_probes_estimate_what_is_exact():
    torch.manual_seed(0)
    encoder = Recurrent(2, "lstm", 16)
    x, lengths = torch.randn(8, 6, 2), torch.full((8,), 6)
    exact = gradient_by_lag(encoder, x, lengths)
    np.testing.assert_allclose(gradient_by_lag(encoder, x, lengths, probes=200), exact, rtol=0.1)
    np.testing.assert_array_equal(
        gradient_by_lag(encoder, x, lengths, probes=3), gradient_by_lag(encoder, x, lengths, probes=3)
    )


def test_an_encoder_without_memory_forgets_at_once():
    norms = gradient_by_lag(Convolution(2, 4, 1), torch.ones(1, 4, 2), torch.tensor([4]))
    assert norms[0] > 0
    assert not norms[1:].any()


def test_bad_options_are_refused():
    with pytest.raises(InputError, match="norm='max' is unknown"):
        jacobian_norms(linear(draw(2, 2)), draw(2, 1, 2), (draw(1, 2),), "max")
    with pytest.raises(InputError, match="probes=0"):
        gradient_by_lag(Convolution(2, 4, 1), torch.zeros(1, 4, 2), torch.tensor([4]), probes=0)


@pytest.mark.parametrize("count", [0, 1, 12])
def test_the_figure_draws_one_line_a_network_without_pyplot(count):
    lines = {f"cell ${i}_^": 0.9 ** (i * np.arange(50)) for i in range(count)}
    lines["dead"] = np.array([1.0, 0.0, 0.0])
    figure = gradient_figure(lines)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    assert file.getvalue().startswith(b"\x89PNG")
    (axes,) = figure.axes
    assert axes.get_yscale() == "log"
    assert len(axes.get_lines()) == count + 2  # and the line at 1
    assert len(axes.get_legend().get_texts()) == count + 1
    styles = {(line.get_color(), line.get_linestyle()) for line in axes.get_lines()[1:]}
    assert len(styles) == count + 1
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def test_the_figure_of_nothing_draws():
    drawn = io.BytesIO()
    gradient_figure({}).savefig(drawn, format="png")
    assert drawn.getvalue().startswith(b"\x89PNG")
