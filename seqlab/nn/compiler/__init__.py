"""The recurrent compiler: a cell's ``step`` becomes one C++ function for the whole sequence."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class Unsupported(Exception):
    """Why a cell cannot be compiled, in one phrase."""


class NoCompiler(Exception):
    """There is no C++ compiler."""


class CompiledCell:
    """A cell's code for whole sequences."""

    def __call__(self, *args: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run."""
        raise Unsupported("the compiler is being written")


def compile_cell(cell: nn.Module) -> CompiledCell:
    """Trace a cell."""
    raise Unsupported("the compiler is being written")


def has_bf16() -> bool:
    """Whether products can be made of bfloat16."""
    return False
