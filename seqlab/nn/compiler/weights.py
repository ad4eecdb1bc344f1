"""Where a program's weights stand in the cell's parameters: gathered before a run, and their gradients put back."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.nn.compiler.emit import emit
from seqlab.nn.compiler.program import Block, Program
from seqlab.nn.compiler.toolchain import NoCompiler, build
from seqlab.nn.compiler.torch_operations import Unsupported
from seqlab.nn.compiler.trace import trace
from seqlab.nn.plain import plain_only
from seqlab.types import InputError


@dataclass(frozen=True)
class Segment:
    """``count`` times ``H`` rows that follow one another in each of ``blocks``, whose sum is meant."""

    blocks: tuple[Block, ...]
    count: int


class Gather:
    """A matrix (or vector) put together from parts of parameters.

    Args:
        parts: for every ``H`` rows the blocks that are added up; none: zeros.
        H: rows of a part.
        width: columns; None of a vector.
    """

    def __init__(self, parts: Sequence[tuple[Block, ...]], H: int, width: int | None = None) -> None:
        self.H, self.width = H, width
        self.rows = len(parts) * H
        self.segments: list[Segment] = []
        for blocks in parts:
            if self.segments:
                last = self.segments[-1]
                if blocks == tuple(replace(block, row=block.row + last.count * H) for block in last.blocks):
                    self.segments[-1] = Segment(last.blocks, last.count + 1)
                    continue
            self.segments.append(Segment(blocks, 1))
        self.names = {block.name for blocks in parts for block in blocks}

    def _part(self, tensor: Tensor, block: Block, count: int) -> Tensor:
        part = tensor[block.row : block.row + count * self.H]
        if self.width is not None:
            part = part[:, block.column : block.column + self.width]
        if tuple(part.shape) != (count * self.H, *(() if self.width is None else (self.width,))):
            raise InputError(
                f"Parameter {block.name} has another shape than when the cell was compiled: compile it again."
            )
        return part

    def __call__(self, parameters: Mapping[str, Tensor], dtype: torch.dtype) -> Tensor:
        """``(rows, width)`` or ``(rows,)`` of ``dtype``; a view where the parameter already stands like this."""
        parts: list[Tensor] = []
        for segment in self.segments:
            found = [self._part(parameters[block.name], block, segment.count) for block in segment.blocks]
            if not found:
                part = torch.zeros(segment.count * self.H, *(() if self.width is None else (self.width,)))
            else:
                part = found[0]
                for other in found[1:]:
                    part = part + other
            parts.append(part if part.dtype == dtype else part.to(dtype))
        if not parts:
            return torch.empty(0, dtype=dtype)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def scatter(self, gradient: Tensor, parameters: Mapping[str, Tensor], into: dict[str, Tensor]) -> None:
        """Add the gradient of the gathered tensor to those of the parameters, ``into``.

        Args:
            gradient: like the gathered tensor.
            parameters: for their shapes and types.
            into: the gradients so far; those of other parameters than these are left out.
        """
        start = 0
        for segment in self.segments:
            part = gradient[start : start + segment.count * self.H]
            start += segment.count * self.H
            for block in segment.blocks:
                like = parameters.get(block.name)
                if like is None:
                    continue
                if block.name not in into:
                    if part.shape == like.shape:
                        into[block.name] = torch.empty_like(like).copy_(part)
                        continue
                    into[block.name] = torch.zeros_like(like)
                self._part(into[block.name], block, segment.count).add_(part)


@cache
def library(program: Program, storage: str) -> tuple[ctypes.CDLL, tuple[bool, ...]]:
    """A program's built code, and which states backward wants to have over time."""
    code = emit(program, storage)
    built = build(code.source, "cell")
    if not all(hasattr(built, name) for name in ("packed", "pack_weights", "workspace_size", "forward", "backward")):
        raise NoCompiler("what the compiler wrote lacks the functions of a cell")
    built.packed.restype = ctypes.c_long
    built.packed.argtypes = [ctypes.c_long] * 2
    built.pack_weights.argtypes = [ctypes.c_void_p, *[ctypes.c_long] * 4, ctypes.c_void_p]
    built.workspace_size.restype = ctypes.c_long
    built.workspace_size.argtypes = [ctypes.c_long] * 2
    built.fingerprint.restype = ctypes.c_ulong
    built.fingerprint.argtypes = [ctypes.c_void_p, *[ctypes.c_long] * 2]
    built.pack_weights.restype = built.forward.restype = built.backward.restype = None
    return built, code.kept_states


class Wiring:
    """A program, and where in one cell its numbers are."""

    def __init__(self, cell: nn.Module) -> None:
        self.cell = cell
        sizes: Any = cell
        self.I, self.H = int(sizes.input_size), int(sizes.hidden_size)
        self.program = trace(cell)
        self.names = self.program.parameters
        self._libraries: dict[str, tuple[ctypes.CDLL, tuple[bool, ...]]] = {}
        self._places = [attrgetter(name) for name in self.names]
        program, H = self.program, self.H
        self.x_weights = Gather([column.maps for column in program.columns if column.maps], H, self.I)
        self.bias = Gather([column.biases for column in program.columns], H)
        self.vectors = Gather([(block,) for block in program.vectors], H)
        self.runs = [
            (p, run, Gather(run.blocks, H, H)) for p, product in enumerate(program.products) for run in product.runs
        ]

    def library(self, storage: str) -> tuple[ctypes.CDLL, tuple[bool, ...]]:
        """The program's code; see ``library``."""
        if storage not in self._libraries:
            self._libraries[storage] = library(self.program, storage)
        return self._libraries[storage]

    def parameters(self) -> tuple[Tensor, ...]:
        """What they are now.

        Raises:
            Unsupported: one is no ordinary tensor any more, such as a quantised weight.
            InputError: one is not where the code can read it.
        """
        found = tuple(place(self.cell) for place in self._places)
        for name, tensor in zip(self.names, found, strict=True):
            if not isinstance(tensor, Tensor) or plain_only(tensor) or tensor.is_complex():
                raise Unsupported(f"{name} is no ordinary tensor of numbers any more")
            check_memory(name, tensor)
        return found


def check_memory(name: str, tensor: Tensor) -> None:
    """Refuse a tensor whose numbers the code would look for where there are none.

    Raises:
        InputError: it is not a dense one on the CPU, or its memory has been freed.
    """
    if tensor.device.type != "cpu" or tensor.layout is not torch.strided:
        raise InputError(
            f"{name} is a {str(tensor.layout).removeprefix('torch.')} tensor on {tensor.device.type}: move all weights "
            "and inputs to the CPU, as dense tensors."
        )
    size = tensor.untyped_storage().nbytes()
    least = tensor.numel() * tensor.element_size() if tensor.is_contiguous() else min(tensor.numel(), 1)
    if size < least:
        raise InputError(
            f"{name} of shape {tuple(tensor.shape)} holds no numbers: its memory was freed, load the weights again."
        )
