"""How far back gradients reach: the product of Jacobians through time, exactly, and what it does to a loss.

Between two steps ``k`` apart lies the product of ``k`` Jacobians ``ds_t / ds_(t-1)``; where its norm falls to nothing
as ``k`` grows, no loss can teach the earlier step anything (Hochreiter 1991; Bengio et al. 1994), and where it grows,
training blows up (Pascanu et al. 2013).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor, nn

from seqlab.insight.classification import COLOURS, GREY
from seqlab.types import Encoder, InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

State = tuple[Tensor, ...]
Step = Callable[[Tensor, State], State]
Norm = Literal["spectral", "frobenius"]

DASHES = ("-", "--", ":", "-.")


def jacobian_norms(
    step: Step, x: Tensor, state: State, norm: Norm = "spectral", output_only: bool = False
) -> np.ndarray:
    """Norm of ``d s_T / d s_(T-k)`` for ``k = 0 .. T``, the mean over rows. Exact: no sampling, no finite steps.

    A ``(B, D, D)`` product is carried back from the last step, multiplied by one step's Jacobian at a time. It is kept
    near 1 and its size apart, so that norms far below float32's smallest number come out right. Costs ``D`` backward
    passes of a step, ``D`` the sum of the states' widths, and ``D**2`` numbers a row.

    Args:
        step: ``(x_t, state)`` to the new state; rows do not mix.
        x: ``(T, B, I)``, time first.
        state: the initial state; ``s`` is all of it, side by side, as wide as its parts together.
        norm: ``spectral``, the most that a vector can grow (the largest singular value), or ``frobenius``, the root of
            the sum of squares, ``sqrt(D)`` times what a random vector grows in the root mean square.
        output_only: of ``d h_T / d h_(T-k)``, ``h`` being ``state[0]``, with the other parts of ``s_(T-k)`` held.

    Returns:
        ``(T + 1,)`` float64, by lag.

    Raises:
        InputError: an unknown norm.
    """
    _check_norm(norm)
    with torch.no_grad():
        before = [state]
        for x_t in x.unbind(0):
            before.append(step(x_t, before[-1]))
    identity = torch.eye(sum(part[0].numel() for part in state), dtype=state[0].dtype, device=state[0].device)
    width = state[0][0].numel()
    rows = identity[:width] if output_only else identity
    B = state[0].shape[0]
    product = rows.unsqueeze(0).expand(B, -1, -1)
    logs = torch.zeros(B, dtype=torch.float64, device=product.device)
    norms = [_norms(product[:, :, :width] if output_only else product, norm)]
    for x_t, old in zip(reversed(x.unbind(0)), reversed(before[:-1]), strict=True):
        product = _pull(step, x_t, old, product)
        size = product.abs().amax((1, 2))
        size = torch.where(size > 0, size, 1.0)
        product = product / size[:, None, None]
        logs = logs + size.double().log()
        norms.append(logs.exp() * _norms(product[:, :, :width] if output_only else product, norm))
    return torch.stack([row.mean() for row in norms]).cpu().numpy()


def gradient_norms(
    step: Step, x: Tensor, state: State, loss: Callable[[Tensor, State], Tensor], output_only: bool = False
) -> np.ndarray:
    """Norm of ``d loss / d s_t`` for ``t = 0 .. T`` (0 is the initial state), the mean over rows.

    The cheap view, by one backward pass: of one direction what ``jacobian_norms`` knows of all.

    Args:
        step: ``(x_t, state)`` to the new state.
        x: ``(T, B, I)``, time first.
        state: the initial state.
        loss: from the outputs ``(T, B, H)`` and the last state to a scalar; a sum over rows, for in a mean each row's
            gradient is a ``B``-th.
        output_only: with regard to ``h_t = state[0]`` alone.

    Returns:
        ``(T + 1,)`` float64, by time.
    """
    with torch.enable_grad():
        states = [tuple(part.detach().clone().requires_grad_() for part in state)]
        for x_t in x.detach().unbind(0):
            # Copies: an LSTM makes h from c, and what its c tensor gets through that h belongs to the step, not to c.
            states.append(tuple(part.clone() for part in step(x_t, states[-1])))
        value = loss(torch.stack([new[0] for new in states[1:]]), states[-1])
        kept = [s[:1] if output_only else s for s in states]
        wanted = [part for s in kept for part in s]
        found = iter(torch.autograd.grad(value, wanted, allow_unused=True, materialize_grads=True))
    norms = []
    for s in kept:
        squares = [next(found).double().flatten(1).square().sum(1) for _ in s]
        norms.append(torch.stack(squares).sum(0).sqrt().mean())
    return torch.stack(norms).cpu().numpy()


def gradient_by_lag(encoder: Encoder, inputs: Tensor, lengths: Tensor, probes: int | None = None) -> np.ndarray:
    """Frobenius norm of ``d final / d inputs`` at each lag: lag 0 is a row's last valid step. The mean over rows.

    For any encoder, recurrent or not, in evaluation. A row counts at the lags that it has.

    Args:
        encoder: a module; it is put back into training if it was.
        inputs: ``(B, T, E)``.
        lengths: ``(B,)``.
        probes: random directions to estimate the squares from (Hutchinson 1990; the error falls as
            ``1 / sqrt(probes)``); None is exact, at a backward pass for each of ``D`` units.

    Returns:
        ``(longest,)`` float64, the longest of ``lengths``.

    Raises:
        InputError: fewer than one probe.
    """
    if probes is not None and probes < 1:
        raise InputError(f"probes={probes} is too few: give at least 1, or null to take every unit")
    assert isinstance(encoder, nn.Module)
    training = encoder.training
    try:
        with torch.enable_grad():
            x = inputs.detach().clone().requires_grad_()
            final = encoder.eval()(x, lengths).final
        B, D = final.shape
        if probes is None:
            directions = torch.eye(D, dtype=final.dtype)
        else:
            directions = torch.randn(probes, D, generator=torch.Generator().manual_seed(0), dtype=final.dtype)
        squares = torch.zeros(x.shape[:2], dtype=torch.float64, device=x.device)
        for direction in directions.to(final.device):
            (gradient,) = torch.autograd.grad(final, x, direction.expand(B, D), retain_graph=True)
            squares += gradient.double().square().sum(2)
    finally:
        encoder.train(training)
    norms = (squares / (probes or 1)).sqrt().cpu().numpy()
    ends = lengths.numpy()
    longest = int(ends.max(initial=0))
    steps = ends[:, None] - 1 - np.arange(longest)
    valid = steps >= 0
    by_lag = np.take_along_axis(norms, np.maximum(steps, 0), axis=1) * valid
    return np.asarray(by_lag.sum(0) / valid.sum(0))


def gradient_figure(by_name: Mapping[str, np.ndarray]) -> Figure:
    """One line a network: norm by lag, on a logarithmic axis. The dashed line is 1, where nothing is lost.

    Zeros, which such an axis cannot show, end a line. A plain ``Figure`` without pyplot.

    Args:
        by_name: from a network's name to its norms ``(lags,)``, lag 0 first.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(1.0, color=GREY, linestyle="--", linewidth=1, zorder=0)
    for order, (name, norms) in enumerate(by_name.items()):
        shown = np.where((norms > 0) & np.isfinite(norms), norms, np.nan)
        axes.plot(
            np.arange(len(shown)),
            shown,
            color=COLOURS[order % len(COLOURS)],
            linestyle=DASHES[order // len(COLOURS) % len(DASHES)],
            linewidth=1.8,
            label=name.replace("$", r"\$"),  # a dollar sign would start a formula
        )
    axes.set_yscale("log")
    axes.set(xlabel="lag (steps back from the last)", ylabel="norm of the gradient")
    axes.margins(x=0.01)
    if by_name:
        # Beside the lines, never upon them: there is no telling where they run.
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    axes.grid(axis="y", color="#DDE1E6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _pull(step: Step, x_t: Tensor, old: State, product: Tensor) -> Tensor:
    """``(B, R, D)``: ``product`` ``(B, R, D)`` times the step's Jacobian at ``old``, all ``R`` rows at once."""
    backward = torch.func.vjp(lambda *parts: step(x_t, parts), *old)[1]

    def one(row: State) -> State:
        pulled: State = backward(row)
        return pulled

    sizes = [part[0].numel() for part in old]
    rows = tuple(
        piece.transpose(0, 1).reshape(-1, *part.shape) for piece, part in zip(product.split(sizes, 2), old, strict=True)
    )
    pulled = torch.func.vmap(one)(rows)
    return torch.cat([piece.flatten(2) for piece in pulled], 2).transpose(0, 1).detach()


def _norms(product: Tensor, norm: Norm) -> Tensor:
    """``(B,)`` float64, of matrices whose entries are about 1 at most."""
    product = product.double()
    if norm == "frobenius":
        return product.square().sum((1, 2)).sqrt()
    return torch.linalg.matrix_norm(product, ord=2)


def _check_norm(norm: str) -> None:
    if norm not in ("spectral", "frobenius"):
        raise InputError(f"norm={norm!r} is unknown: choose one of spectral, frobenius")
