"""The reference: a plain loop over time. What it answers is what every other way to run a cell must answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

State = tuple[Tensor, ...]
"""A cell's memory between two steps: ``state[0]`` is its output, each tensor starts with ``B``."""


def scan(
    step: Callable[..., State],
    x: Tensor,
    state: State,
    active: Sequence[int] | None = None,
    reverse: bool = False,
    masks: Sequence[Tensor] = (),
    rows: Tensor | None = None,
) -> tuple[Tensor, State]:
    """Run ``step`` over time: any device, any dtype, differentiable as often as the step itself is.

    Rows are sorted by length, longest first, so those still alive at a step are the first ones and nothing is ever
    computed from padding.

    Args:
        step: ``(x_t, state)``, or ``(x_t, state, masks_t)`` where there are masks, to the new state.
        x: ``(T, B, ...)``, time first, ``T`` at least 1.
        state: the initial state.
        active: how many rows are alive at each of the ``T`` steps (never increasing); None when all rows are full.
        reverse: from the last step to the first. A row starts at its own last step and ends at step 0.
        rows: instead of ``active``, ``(T, B)`` bool: which rows are alive, in any order. Every row is then computed at
            every step, so that nothing depends on which they are.
        masks: each ``(B, D)``, the same at every step, or ``(T, B, D)``, one for each step.

    Returns:
        The outputs ``(T, B, ...)``, zero where a row is not alive, and each row's own last state; a row that is never
        alive keeps its initial state.
    """
    T, B = x.shape[0], x.shape[1]
    inputs = x.unbind(0)  # indexing x[t] would make a full-size gradient for every step
    fresh = [mask.unbind(0) if mask.ndim == 3 else (mask,) * T for mask in masks]
    outputs: list[Tensor] = [x] * T
    for t in reversed(range(T)) if reverse else range(T):
        alive = B if active is None else active[t]
        noise = (tuple(mask[t][:alive] for mask in fresh),) if masks else ()
        new = step(inputs[t][:alive], tuple(part[:alive] for part in state), *noise)
        if rows is not None:
            now = rows[t].view(B, *[1] * (x.ndim - 2))
            state = tuple(torch.where(now, part, old) for part, old in zip(new, state, strict=True))
            outputs[t] = new[0].masked_fill(~now, 0.0)
        elif alive < B:
            state = tuple(torch.cat((now, old[alive:])) for now, old in zip(new, state, strict=True))
            rest = new[0].new_zeros(B - alive, *new[0].shape[1:])
            outputs[t] = torch.cat((new[0], rest))
        else:
            state = new
            outputs[t] = new[0]
    return torch.stack(outputs), state
