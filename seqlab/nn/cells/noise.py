"""Noise inside the recurrence, for any cell: a module around it which draws masks once for a whole sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from seqlab.nn.initialize import state_shapes
from seqlab.nn.options import check_share
from seqlab.nn.plain import plain_only
from seqlab.nn.reference import State
from seqlab.types import InputError


class Around(nn.Module):
    """A cell around a cell: what it says of itself is what the inner ``cell`` says, missing where it is missing there.

    ``own`` masks of the outer cell come before the inner one's.
    """

    torch_kind = None
    cell: Any

    def __init__(self, cell: nn.Module, own: int) -> None:
        super().__init__()
        self.cell = cell
        self.num_masks = own + getattr(cell, "num_masks", 0)

    @property
    def input_size(self) -> int:
        """Width of ``x``."""
        return self.cell.input_size

    @property
    def hidden_size(self) -> int:
        """Units."""
        return self.cell.hidden_size

    @property
    def num_states(self) -> int:
        """How many states there are."""
        return self.cell.num_states

    @property
    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Their shapes, without the batch."""
        return self.cell.state_shapes

    @property
    def forget_bias_(self) -> Callable[[float | Tensor], None]:
        """Set the bias of the gate that keeps the old state."""
        return self.cell.forget_bias_

    @property
    def input_bias_(self) -> Callable[[float | Tensor], None]:
        """Set the bias of the input gate."""
        return self.cell.input_bias_

    def inner_masks(self, T: int, B: int, like: Tensor) -> State:
        """The inner cell's masks for a sequence."""
        return self.cell.masks(T, B, like) if getattr(self.cell, "num_masks", 0) else ()

    def inner_step(self, x: Tensor, state: State, masks: State) -> State:
        """The inner cell's step, with its masks if it has any."""
        return self.cell.step(x, state, masks) if masks else self.cell.step(x, state)


class Zoneout(Around):
    """Each unit keeps its old value now and then (Krueger et al. 2017), drawn anew at every step.

        s' = m * s + (1 - m) * step(x, s),   m ~ Bernoulli(rate) in training, m = rate in evaluation

    Shapes: those of ``cell``, whose states must be ``(B, units)``; one mask a state.

    Args:
        cell: any cell.
        rate: probability to keep, one for all states or one a state (the paper's LSTM on characters: 0.05 for h, 0.5
            for c).

    Raises:
        InputError: a probability outside ``[0, 1)``, a wrong number of them, or a cell on grids.
    """

    def __init__(self, cell: nn.Module, rate: float | Sequence[float]) -> None:
        widths = _widths(cell, "Zoneout")
        super().__init__(cell, own=len(widths))
        self.widths = widths
        self.rates = [float(rate)] * len(self.widths) if isinstance(rate, int | float) else [float(r) for r in rate]
        for value in self.rates:
            check_share("rate", value)
        if len(self.rates) != len(self.widths):
            raise InputError(
                f"rate={list(self.rates)} gives {len(self.rates)} probabilities for a cell with {len(self.widths)} "
                "states: give one number, or one a state"
            )

    def step(self, x: Tensor, state: State, masks: State) -> State:
        """One step in time."""
        own = len(state)
        new = self.inner_step(x, state, masks[own:])
        return tuple(m * s + (1 - m) * n for m, s, n in zip(masks[:own], state, new, strict=True))

    def masks(self, T: int, B: int, like: Tensor) -> State:
        """One for each state, ``(T, B, units)`` in training, ``(B, units)`` in evaluation; then the inner cell's."""
        if self.training:
            own = [like.new_empty(T, B, n).bernoulli_(r) for r, n in zip(self.rates, self.widths, strict=True)]
        else:
            own = [like.new_full((B, n), r) for r, n in zip(self.rates, self.widths, strict=True)]
        return (*own, *self.inner_masks(T, B, like))


class StateDropout(Around):
    """Dropout on what the recurrent products read, one mask for a whole sequence (Gal and Ghahramani 2016).

    Every ``nn.Linear`` of ``cell`` that is given something as wide as the output, but not ``x`` itself, gets it
    multiplied by the mask ``m``: ``h`` or ``r * h``, for instance. ``m = Bernoulli(1 - rate) / (1 - rate)`` in training
    and one in evaluation. The states themselves stay whole.

    Shapes: those of ``cell``, whose states must be ``(B, units)``; ``m`` is ``(B, width of the output)``.

    Args:
        cell: any cell; one without such a map is left as it is.
        rate: probability to drop a unit.

    Raises:
        InputError: a probability outside ``[0, 1)``, or a cell on grids.
    """

    def __init__(self, cell: nn.Module, rate: float) -> None:
        check_share("rate", rate)
        super().__init__(cell, own=1)
        self.rate, self.width = rate, _widths(cell, "StateDropout")[0]

    def step(self, x: Tensor, state: State, masks: State) -> State:
        """One step in time."""
        mask = masks[0]

        def drop(linear: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            (value,) = args
            return args if value is x or value.shape[-1] != mask.shape[-1] else (value * mask,)

        # Only for the length of this call: nothing stays on the modules that a copy or a checkpoint would carry away.
        hooks = [part.register_forward_pre_hook(drop) for part in self.cell.modules() if isinstance(part, nn.Linear)]
        try:
            return self.inner_step(x, state, masks[1:])
        finally:
            for hook in hooks:
                hook.remove()

    def masks(self, T: int, B: int, like: Tensor) -> State:
        """``(B, units)``, then the inner cell's."""
        keep = 1 - self.rate if self.training else 1.0
        if keep == 1.0 and plain_only(like):  # under vmap nothing may be drawn
            own = like.new_ones(B, self.width)
        else:
            own = like.new_empty(B, self.width).bernoulli_(keep).div_(keep)
        return (own, *self.inner_masks(T, B, like))


def _widths(cell: nn.Module, who: str) -> list[int]:
    """How wide each of a cell's states is."""
    shapes = state_shapes(cell)
    if any(len(shape) != 1 for shape in shapes):
        raise InputError(f"{who} takes cells whose states are (B, units): {type(cell).__name__} has states of {shapes}")
    return [shape[0] for shape in shapes]
