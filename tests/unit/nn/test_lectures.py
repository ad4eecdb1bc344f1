"""Worked numbers of lectures on recurrent networks, and their equations written out in numpy."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seqlab.nn.cells import GRU, LSTM, MUT1, MUT2, MUT3, RNN, PeepholeLSTM, ResetBeforeGRU
from seqlab.nn.reference import scan

E, H = 3, 4


def sigm(a):
    return 1 / (1 + np.exp(-a))


def array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy()


def rows(linear: nn.Linear, count: int) -> list[np.ndarray]:
    return np.split(array(linear.weight), count)


def biases(linear: nn.Linear, count: int) -> list[np.ndarray]:
    return np.split(array(linear.bias), count)


def step(cell: nn.Module, x: np.ndarray, *state: np.ndarray) -> list[np.ndarray]:
    """One step of one row."""
    new = cell.step(torch.tensor(x)[None], tuple(torch.tensor(part)[None] for part in state))
    return [array(part[0]) for part in new]


@pytest.fixture
def drawn():
    """Inputs and states that are no special case."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    rng = np.random.default_rng(0)
    yield lambda width: rng.normal(size=width)
    torch.set_default_dtype(torch.float32)


def rnn(w_in, w_state, bias=0.0) -> RNN:
    cell = RNN(len(w_in[0]), len(w_in))
    with torch.no_grad():
        cell.ih.weight.copy_(torch.tensor(w_in))
        cell.hh.weight.copy_(torch.tensor(w_state))
        cell.ih.bias.fill_(bias)
        cell.hh.bias.zero_()
    return cell


def test_rnn_over_two_steps_and_a_second_layer_of_another_width():
    first = rnn(
        [[-0.2, -0.4, 0.3, -0.4], [-0.6, -0.8, 0.5, -0.3], [0.1, -0.1, 0.6, 0.1]],
        [[0.9, -0.1, 0.1], [-0.1, -0.9, 0.3], [0.1, -0.3, -0.9]],
    )
    second = rnn([[-1.1, 0.3, -0.1], [0.1, -0.2, 0.4]], [[0.1, 0.9], [0.9, -0.1]])
    x = torch.tensor([[[1.0, 3, 2, 1]], [[0, 4, 1, 2]]])
    h, _ = scan(first.step, x, (torch.zeros(1, 3),))
    k, (last,) = scan(second.step, h, (torch.zeros(1, 2),))
    expected = [[-0.83365461, -0.9800964, 0.80049902], [-0.99049631, -0.970124, -0.1093467]]
    np.testing.assert_allclose(array(h[:, 0]), expected, atol=1e-6)
    np.testing.assert_allclose(array(k[:, 0]), [[0.49521115, 0.4077032], [0.84138521, 0.42694624]], atol=1e-6)
    assert torch.equal(last, k[1])


def test_letters_h_and_e_with_a_scalar_times_the_previous_state():
    u = [
        [0.287027, 0.84606, 0.572392, 0.486813],
        [0.902874, 0.871522, 0.691079, 0.18998],
        [0.537524, 0.09224, 0.558159, 0.491528],
    ]
    v = [
        [0.37168, 0.974829459, 0.830034886],
        [0.39141, 0.282585823, 0.659835709],
        [0.64985, 0.09821557, 0.334287084],
        [0.91266, 0.32581642, 0.144630018],
    ]
    cell = rnn(u, (0.427043 * np.eye(3)).tolist(), bias=0.567001)
    letters = torch.eye(4)  # h, e, l, o
    states, _ = scan(cell.step, letters[:2, None], (torch.zeros(1, 3),))
    scores = torch.tensor(v) @ states[1, 0]
    np.testing.assert_allclose(array(states[0, 0]), [0.69316794, 0.89955361, 0.80211853], atol=1e-5)
    np.testing.assert_allclose(array(states[1, 0]), [0.93653377, 0.94910407, 0.76234074], atol=1e-5)
    np.testing.assert_allclose(array(scores), [1.90607489, 1.13779168, 0.95666393, 1.27422796], atol=1e-5)
    np.testing.assert_allclose(array(scores.softmax(0)), [0.41974716, 0.19468236, 0.16242909, 0.22314139], atol=1e-5)


def test_gru_with_the_reset_after_the_product(drawn):
    cell, x, h = GRU(E, H), drawn(E), drawn(H)
    (xr, xz, xn), (hr, hz, hn) = rows(cell.ih, 3), rows(cell.hh, 3)
    (br, bz, bn), (cr, cz, cn) = biases(cell.ih, 3), biases(cell.hh, 3)
    r, z = sigm(xr @ x + br + hr @ h + cr), sigm(xz @ x + bz + hz @ h + cz)
    n = np.tanh(xn @ x + bn + r * (hn @ h + cn))
    np.testing.assert_allclose(step(cell, x, h)[0], (1 - z) * n + z * h, rtol=1e-12)


@pytest.mark.parametrize("update_is_new", [False, True])
def test_gru_with_the_reset_before_the_product(drawn, update_is_new):
    cell, x, h = ResetBeforeGRU(E, H, update_is_new), drawn(E), drawn(H)
    (xr, xz, xn), (hr, hz), (br, bz, bn) = rows(cell.ih, 3), rows(cell.hh, 2), biases(cell.ih, 3)
    r, z = sigm(xr @ x + hr @ h + br), sigm(xz @ x + hz @ h + bz)
    n = np.tanh(xn @ x + array(cell.rh.weight) @ (r * h) + bn)
    expected = (1 - z) * h + z * n if update_is_new else z * h + (1 - z) * n
    np.testing.assert_allclose(step(cell, x, h)[0], expected, rtol=1e-12)


@pytest.mark.parametrize("width", [E, H])
def test_mut1(drawn, width):
    cell, x, h = MUT1(width, H), drawn(width), drawn(H)
    (xz, xr), (bz, br) = rows(cell.ih, 2), biases(cell.ih, 2)
    added = x if width == H else array(cell.project.weight) @ x
    z, r = sigm(xz @ x + bz), sigm(xr @ x + array(cell.hh.weight) @ h + br)
    new = np.tanh(array(cell.rh.weight) @ (r * h) + np.tanh(added) + array(cell.rh.bias)) * z + h * (1 - z)
    np.testing.assert_allclose(step(cell, x, h)[0], new, rtol=1e-12)


@pytest.mark.parametrize("width", [E, H])
def test_mut2(drawn, width):
    cell, x, h = MUT2(width, H), drawn(width), drawn(H)
    (xz, xh), (hz, hr), (bz, br) = rows(cell.ih, 2), rows(cell.hh, 2), biases(cell.hh, 2)
    added = x if width == H else array(cell.project.weight) @ x
    z, r = sigm(xz @ x + hz @ h + bz), sigm(added + hr @ h + br)
    new = np.tanh(array(cell.rh.weight) @ (r * h) + xh @ x + array(cell.rh.bias)) * z + h * (1 - z)
    np.testing.assert_allclose(step(cell, x, h)[0], new, rtol=1e-12)


def test_mut3(drawn):
    cell, x, h = MUT3(E, H), drawn(E), drawn(H)
    (xz, xr, xh), (bz, br, bh) = rows(cell.ih, 3), biases(cell.ih, 3)
    z = sigm(xz @ x + array(cell.th.weight) @ np.tanh(h) + bz)
    r = sigm(xr @ x + array(cell.hh.weight) @ h + br)
    new = np.tanh(array(cell.rh.weight) @ (r * h) + xh @ x + bh) * z + h * (1 - z)
    np.testing.assert_allclose(step(cell, x, h)[0], new, rtol=1e-12)


@pytest.mark.parametrize("output_tanh", [True, False])
def test_memory_cell_with_and_without_a_tanh_on_its_output(drawn, output_tanh):
    cell, x, h, c = LSTM(E, H, output_tanh), drawn(E), drawn(H), drawn(H)
    i, f, g, o = (
        wx @ x + bx + wh @ h + bh
        for wx, bx, wh, bh in zip(
            rows(cell.ih, 4), biases(cell.ih, 4), rows(cell.hh, 4), biases(cell.hh, 4), strict=True
        )
    )
    new = sigm(f) * c + sigm(i) * np.tanh(g)
    a, kept = step(cell, x, h, c)
    np.testing.assert_allclose(kept, new, rtol=1e-12)
    np.testing.assert_allclose(a, sigm(o) * (np.tanh(new) if output_tanh else new), rtol=1e-12)


@pytest.mark.parametrize("output_peephole", ["new", "old"])
def test_peepholes(drawn, output_peephole):
    cell, x, h, c = PeepholeLSTM(E, H, output_peephole), drawn(E), drawn(H), drawn(H)
    i, f, g, o = (
        wx @ x + b + wh @ h for wx, b, wh in zip(rows(cell.ih, 4), biases(cell.ih, 4), rows(cell.hh, 4), strict=True)
    )
    p_i, p_f, p_o = array(cell.p_i), array(cell.p_f), array(cell.p_o)
    new = sigm(f + p_f * c) * c + sigm(i + p_i * c) * np.tanh(g)
    seen = new if output_peephole == "new" else c
    a, kept = step(cell, x, h, c)
    np.testing.assert_allclose(kept, new, rtol=1e-12)
    np.testing.assert_allclose(a, sigm(o + p_o * seen) * np.tanh(new), rtol=1e-12)
