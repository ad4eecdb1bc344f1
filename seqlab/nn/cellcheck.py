"""What a cell must be, held against a cell of the user's own before it is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.errors import shorten
from seqlab.nn.initialize import initial_state, num_masks, state_shapes
from seqlab.types import InputError


def make_cell(make: Callable[[int, int], nn.Module], input_size: int, hidden_size: int) -> Any:
    """``make(input_size, hidden_size)``, which must answer a cell: see ``docs/cells.md``.

    Raises:
        InputError: it cannot be called so, or what it makes is no cell; the sentence says what to add.
    """
    name = getattr(make, "__name__", type(make).__name__)
    try:
        cell: Any = make(input_size, hidden_size)
    except TypeError as error:
        if not any(f"{name}{call}" in str(error) for call in (".__init__()", "()")):
            raise
        raise InputError(f"The cell {name} is made by {name}(input_size, hidden_size), but {error}.") from error
    name = type(cell).__name__
    if not isinstance(cell, nn.Module):
        raise InputError(f"{name} is no cell: derive its class from torch.nn.Module.")
    if not callable(getattr(cell, "step", None)):
        raise InputError(f"The cell {name} has no step: add a method step(self, x, state) that returns the new state.")
    for size, value in (("input_size", input_size), ("hidden_size", hidden_size)):
        if not isinstance(getattr(cell, size, None), int):
            raise InputError(f"The cell {name} has no {size}: add self.{size} = {size} to its __init__ (here {value}).")
    if all(len(shape) == 1 for shape in state_shapes(cell)):
        _try_step(cell, name)
    return cell


def _try_step(cell: Any, name: str) -> None:
    """One step of two rows of zeros; nothing of it stays."""
    like = next((part for part in cell.parameters() if part.is_floating_point()), torch.empty(0))
    x = torch.zeros(2, cell.input_size, dtype=like.dtype, device=like.device)
    state = initial_state(cell, 2, x)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            drawn = cell.masks(1, 2, x) if num_masks(cell) else ()
            masks = tuple(mask[0] if mask.ndim == 3 else mask for mask in drawn)
            new = cell.step(x, state, masks) if masks else cell.step(x, state)
        except Exception as error:
            if like.is_meta and not isinstance(error, ValueError | TypeError | AttributeError):
                return  # it may look at numbers, which are not there yet
            raise InputError(
                f"The step of the cell {name} fails: {shorten(' '.join(str(error).split()), 200)}; it is given x of "
                f"shape (B, {cell.input_size}) and a tuple of {_count(state)}"
                + _hint(name, len(state) + 1 if "unpack" in str(error) else 0)
            ) from error
    _check_answer(cell, name, state, new)


def _check_answer(cell: Any, name: str, state: tuple[Tensor, ...], new: Any) -> None:
    returns = f"{name}.step must return a tuple of {_count(state)}"
    if isinstance(new, Tensor):
        raise InputError(f"{returns}, and returns a tensor: write return (h,), with the comma.")
    if not isinstance(new, tuple | list) or not all(isinstance(part, Tensor) for part in new):
        raise InputError(f"{returns}, and returns {type(new).__name__}.")
    if len(new) != len(state):
        raise InputError(f"{returns}, and returns {len(new)}" + _hint(name, len(new)))
    for k, (part, old) in enumerate(zip(new, state, strict=True)):
        if part.shape[1:] != old.shape[1:] or len(part) != len(old):
            found, wanted = (("B", *shape[1:]) for shape in (part.shape, old.shape))
            raise InputError(
                f"{returns}, and part {k} has shape {_shape(found)} instead of {_shape(wanted)}: return states as wide "
                "as hidden_size, or declare state_shapes."
            )


def _hint(name: str, states: int) -> str:
    return f": if the cell {name} has {states} states, add num_states = {states} to its class." if states > 1 else "."


def _count(state: tuple[Tensor, ...]) -> str:
    shapes = {_shape(("B", *part.shape[1:])) for part in state}
    return f"{len(state)} tensor{'s' * (len(state) != 1)} of shape {' and '.join(sorted(shapes))}"


def _shape(sizes: Any) -> str:
    return f"({', '.join(map(str, sizes))})"
