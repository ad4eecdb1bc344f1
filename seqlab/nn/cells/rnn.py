"""Recurrent networks without gates."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from seqlab.nn.cells.parameters import check_sizes, draw_, draw_vector
from seqlab.nn.options import check_choice, check_positive
from seqlab.nn.reference import State

Nonlinearity = Literal["tanh", "relu"]


class RNN(nn.Module):
    """The simple recurrent network (Elman 1990), as ``nn.RNN`` computes it.

        h' = tanh(W_ih x + b_ih + W_hh h + b_hh)

    Shapes: ``x`` ``(B, input_size)``, state ``h`` ``(B, hidden_size)``.

    Args:
        input_size: width of ``x``.
        hidden_size: units.
        nonlinearity: ``tanh``, or ``relu`` (Le et al. 2015).

    Raises:
        InputError: an unknown nonlinearity or a size below one.
    """

    def __init__(self, input_size: int, hidden_size: int, nonlinearity: Nonlinearity = "tanh") -> None:
        super().__init__()
        check_sizes(input_size, hidden_size)
        check_choice("nonlinearity", nonlinearity, get_args(Nonlinearity))
        self.input_size, self.hidden_size, self.nonlinearity = input_size, hidden_size, nonlinearity
        self.ih = nn.Linear(input_size, hidden_size)
        self.hh = nn.Linear(hidden_size, hidden_size)
        draw_(self, hidden_size)

    def step(self, x: Tensor, state: State) -> State:
        """One step in time."""
        (h,) = state
        total = self.ih(x) + self.hh(h)
        return (torch.tanh(total) if self.nonlinearity == "tanh" else torch.relu(total),)

    @property
    def torch_kind(self) -> str | None:
        """Which of torch's modules computes the same."""
        return f"rnn_{self.nonlinearity}"

    def torch_weights(self) -> list[Tensor]:
        """The parameters in the order of ``torch.rnn_tanh`` and ``torch.rnn_relu``."""
        return [self.ih.weight, self.hh.weight, self.ih.bias, self.hh.bias]


class IndRNN(nn.Module):
    """The independently recurrent network (Li et al. 2018): each unit remembers itself alone.

        h' = relu(W x + b + u * h)

    ``u`` is drawn from ``U(0, 1)``, or from ``U(0, bound)`` where ``max_steps`` is given. A unit's gradient after ``T``
    steps carries ``u^T``: the bound ``2^(1/T)`` lets it at most double.

    Shapes: ``x`` ``(B, input_size)``, state ``h`` ``(B, hidden_size)``, ``u`` ``(hidden_size,)``.

    Args:
        input_size: width of ``x``.
        hidden_size: units.
        max_steps: the longest sequence, ``T`` of the bound; the cell then computes with ``u`` clipped to
            ``[-bound, bound]``, and what lies beyond gets no gradient. None sets no bound.

    Raises:
        InputError: a size below one.
    """

    def __init__(self, input_size: int, hidden_size: int, max_steps: int | None = None) -> None:
        super().__init__()
        check_sizes(input_size, hidden_size)
        if max_steps is not None:
            check_positive("max_steps", max_steps)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.bound = None if max_steps is None else 2.0 ** (1.0 / max_steps)
        self.ih = nn.Linear(input_size, hidden_size)
        self.u = draw_vector(hidden_size, 0.0, self.bound or 1.0)
        draw_(self, hidden_size)

    def step(self, x: Tensor, state: State) -> State:
        """One step in time."""
        (h,) = state
        u = self.u if self.bound is None else self.u.clamp(-self.bound, self.bound)
        return (torch.relu(self.ih(x) + u * h),)
