"""One cell scanned in one direction, by the backend that was asked for or that suits."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor, nn

from seqlab.nn import compiler, fused, reference
from seqlab.nn.initialize import linear_maps, num_masks, state_shapes
from seqlab.nn.plain import plain_only, transformed
from seqlab.nn.reference import State
from seqlab.nn.rows import Rows
from seqlab.types import InputError

logger = logging.getLogger(__name__)

Backend = Literal["auto", "reference", "torch", "compiled"]


class Direction(nn.Module):
    """A cell and how it is run over time.

    * ``reference``: a Python loop over ``cell.step``; any device, any dtype, slow.
    * ``torch``: torch's own loops, for the cells whose equations are torch's (``torch_kind``).
    * ``compiled``: C++ generated from ``cell.step``; CPU, float32, and bfloat16 products under autocast.
    * ``auto``: compiled where that is possible, else torch's loop where there is one, else the cell's form without a
      loop where it has one and a GPU is used, else the reference. Of all sizes measured with two threads, none trained
      at less than 0.98 of torch's speed. In inference of a plain LSTM over full rows oneDNN can be faster (by up to an
      eighth from 12 rows on, a quarter at 4 to 8); it is compiled all the same: oneDNN carries a bfloat16 state under
      autocast, which forgets over hundreds of steps, and training, evaluation and streams are to give the same answers.

    What cannot be compiled (no C++ compiler, an operation that the compiler does not know) falls back as in ``auto``,
    with one line in the log.

    Args:
        cell: any cell (see ``seqlab.nn.cells``).
        reverse: read each row from its last step to its first.
        backend: how to run it.

    Raises:
        InputError: ``backend=torch`` for a cell that torch does not have.
    """

    def __init__(self, cell: nn.Module, reverse: bool = False, backend: Backend = "auto") -> None:
        super().__init__()
        self.cell: Any = cell
        self.reverse, self.backend = reverse, backend
        self.torch_kind: str | None = getattr(cell, "torch_kind", None)
        if backend == "torch" and self.torch_kind is None:
            raise InputError(
                f"backend=torch runs torch's own rnn, lstm and gru, and {type(cell).__name__} is none of them "
                "(or has other equations): choose backend=auto"
            )
        self._compiled: compiler.CompiledCell | None = None
        self._refused = False
        self._shapes, self._masks = state_shapes(cell), num_masks(cell)
        # In a list: torch would store a module's weights twice, and swap them twice in ``functional_call``.
        self._owners = [module for module in cell.modules() if module._parameters][:1]

    def forward(self, x: Tensor, state: State, rows: Rows) -> tuple[Tensor, State]:
        """Outputs ``(T, B, D)``, zero at padding, and each row's last state, for ``x`` ``(T, B, ...)``."""
        T, B = x.shape[:2]
        masks = self.cell.masks(T, B, state[0]) if self._masks else ()
        if self.backend in ("auto", "compiled") and self._compilable(state[0], x):
            kernel = self._kernel()
            if kernel is not None:
                try:
                    return kernel(x, state, rows.active, self.reverse, masks, _products())
                except (compiler.NoCompiler, compiler.Unsupported) as error:
                    self._fall_back(error)
        if self.backend != "reference":
            if self.torch_kind is not None and not transformed() and _has_torch_weights(self.cell):
                return fused.scan(self.cell, x, state, rows, self.reverse)
            if self.backend == "auto" and x.is_cuda and rows.full and not self.reverse and not masks:
                parallel = getattr(self.cell, "parallel", None)
                if parallel is not None:
                    outputs: tuple[Tensor, State] = parallel(x, state)
                    return outputs
        return reference.scan(self.cell.step, x, state, rows.active, self.reverse, masks, rows.alive)

    def steps(self, B: int) -> compiler.Steps | None:
        """The compiled code one step at a time, with the weights as they are now; None where there is none."""
        state = self.initial_state(B, torch.empty(0))
        fresh = self._masks and self.training  # masks that have to be drawn at each step
        if self.backend not in ("auto", "compiled") or fresh or not self._compilable(state[0]):
            return None
        kernel = self._kernel()
        try:
            masks = self.cell.masks(1, B, state[0]) if self._masks else ()
            return None if kernel is None else kernel.steps(state, masks, _products())
        except (compiler.NoCompiler, compiler.Unsupported) as error:
            self._fall_back(error)
            return None

    def initial_state(self, B: int, like: Tensor) -> State:
        """Zeros, each ``(B, ...)``, in the dtype and on the device of the cell's weights (of ``like`` without any)."""
        for owner in self._owners:
            like = next((own for own in owner._parameters.values() if own is not None), like)
        return tuple(like.new_zeros(B, *shape) for shape in self._shapes)

    def extra_repr(self) -> str:
        """Direction and backend, for ``print(model)``."""
        return f"backend={self.backend}" + (", reverse" if self.reverse else "")

    def _compilable(self, *tensors: Tensor) -> bool:
        first = tensors[0]
        if self._refused or first.device.type != "cpu" or first.dtype is not torch.float32:
            return False
        return not plain_only(*tensors) and all(tensor.device.type == "cpu" for tensor in tensors)

    def _kernel(self) -> compiler.CompiledCell | None:
        if self._compiled is None:
            try:
                self._compiled = compiler.compile_cell(self.cell)
            except compiler.Unsupported as error:
                self._fall_back(error)
        return self._compiled

    def _fall_back(self, error: Exception) -> None:
        self._refused = True
        has_loop = self.torch_kind is not None and _has_torch_weights(self.cell)
        instead = "torch's own loop" if has_loop else "the Python loop, which is slow"
        _report(type(self.cell).__name__, str(error), instead)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name in [name for name in state_dict if name.startswith(f"{prefix}_owner.")]:
            del state_dict[name]  # the same weights once more, in what earlier versions stored
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def __deepcopy__(self, memo: dict[int, Any]) -> Direction:
        from copy import deepcopy

        copied = Direction(deepcopy(self.cell, memo), self.reverse, self.backend)
        return copied.train(self.training)


@cache
def _report(kind: str, why: str, instead: str) -> None:
    """Say it once, however many layers and directions there are."""
    logger.warning("%s is not compiled: %s; it runs by %s", kind, why, instead)


def _has_torch_weights(cell: Any) -> bool:
    """Whether the cell's maps still hold weights that torch's loops can read: quantised ones do not."""
    return all(isinstance(part.weight, Tensor) for part in cell.children() if hasattr(part, "weight"))


def _products() -> torch.dtype:
    """What matrix products are made of: bfloat16 under autocast where the processor has it, else float32."""
    return torch.bfloat16 if autocast_bf16() and compiler.has_bf16() else torch.float32


def recurrent_weights(cell: Any) -> list[str]:
    """Names of the weights from state to state: of every linear map that does not read the input itself."""
    return [f"{name}.weight" for name in linear_maps(cell)[1]]


def autocast_bf16() -> bool:
    """Whether autocast computes in bfloat16 on the CPU now."""
    try:
        enabled = torch.is_autocast_enabled("cpu")
    except TypeError:  # torch 2.3 asks otherwise
        return bool(torch.is_autocast_cpu_enabled()) and torch.get_autocast_cpu_dtype() is torch.bfloat16
    return enabled and torch.get_autocast_dtype("cpu") is torch.bfloat16
