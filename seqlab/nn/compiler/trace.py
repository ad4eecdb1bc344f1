"""From a cell's ``step`` to a program, by running it.

The step runs once, at its true sizes, on a few rows of random numbers, while every torch operation is written down. So
a constant is what it is, nothing is guessed from the cell's source, and a cell around a cell, hooks and functional
calls need no care. What is written down is a graph of rows (``graph.py``): a tensor ``(B, n H)`` is ``n`` vectors, a
map by ``n H`` rows of weights is ``n`` maps to ``H``. ``columns.py`` puts it in order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from seqlab.nn.compiler.columns import arrange
from seqlab.nn.compiler.graph import Graph, Value
from seqlab.nn.compiler.program import Block, Program
from seqlab.nn.compiler.torch_operations import SHAPING, TRANSLATIONS, Unsupported


def trace(cell: nn.Module) -> Program:
    """Write down one step of ``cell``, in the mode (training or not) in which it is.

    Raises:
        Unsupported: the step does something the compiler does not know.
    """
    names: Any = cell
    I, H, states = int(names.input_size), int(names.hidden_size), int(getattr(cell, "num_states", 1))  # noqa: E741
    if any(tuple(shape) != (H,) for shape in getattr(cell, "state_shapes", ())):
        raise Unsupported("a state is not as wide as hidden_size")
    own = {id(t): n for n, t in cell.named_parameters()} | {id(t): n for n, t in cell.named_buffers()}
    like = next(cell.parameters(), torch.empty(0))
    if like.device.type != "cpu" or not like.is_floating_point():
        raise Unsupported(f"the parameters are {like.dtype} on {like.device.type}, not floats on the CPU")
    B = next(size for size in (3, 5, 7) if size not in (H, I))
    with torch.random.fork_rng(devices=[]), torch.no_grad(), torch.inference_mode(False):
        x = torch.rand(B, I, dtype=like.dtype)
        state = tuple(torch.rand(B, H, dtype=like.dtype) for _ in range(states))
        masks = tuple(torch.rand(B, H, dtype=like.dtype) for _ in range(int(getattr(cell, "num_masks", 0))))
        recorder = Recorder(own, B, H)
        recorder.know(x, Known((recorder.graph.leaf("x", 0),) if I == H else (), x=True))
        for kind, tensors in (("state", state), ("mask", masks)):
            for at, tensor in enumerate(tensors):
                recorder.know(tensor, Known((recorder.graph.leaf(kind, at),)))
        with torch.autocast("cpu", enabled=False), recorder:
            new = names.step(x, state, masks) if masks else names.step(x, state)
    if len(new) != states:
        raise Unsupported(f"step returns {len(new)} states, not {states}")
    outputs = []
    for tensor in new:
        pieces = recorder.pieces(tensor)
        if tuple(tensor.shape) != (B, H) or len(pieces) != 1:
            raise Unsupported(f"a new state has shape {(*tensor.shape,)}")
        outputs.append(pieces[0])
    return arrange(recorder.graph, recorder.maps, recorder.vectors, outputs, len(masks))


@dataclass(frozen=True)
class Known:
    """What the compiler knows of a tensor.

    Attributes:
        pieces: its columns in ``H`` wide pieces; or one constant or one number for each row.
        x: the step's input.
        matrix: the weights it is a part of, first row and column; its own shape says how large a part.
        transposed: of a matrix, whether it is turned round.
        joined: it is these beside each other, ``x`` among them.
    """

    pieces: tuple[Value, ...]
    x: bool = False
    matrix: Block | None = None
    transposed: bool = False
    joined: tuple[Tensor, ...] = ()


class Recorder(TorchDispatchMode):
    """Writes down what torch computes while it is entered."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else the first operation imports torch's compiler, which takes seconds

    def __init__(self, names: dict[int, str], B: int, H: int) -> None:
        super().__init__()
        self.graph = Graph()
        self.B, self.H = B, H
        self.maps: list[tuple[Value | None, Block]] = []  # of the graph's "map" nodes: what is multiplied (None: x)
        self.vectors: list[Block] = []
        self._names = names
        self._known: dict[int, Known] = {}
        self._alive: list[Tensor] = []  # an id counts only as long as its tensor lives

    def know(self, tensor: Tensor, known: Known) -> None:
        """Remember what a tensor is."""
        self._known[id(tensor)] = known
        self._alive.append(tensor)

    def look(self, tensor: Tensor) -> Known:
        """What a tensor is: seen before, a parameter, or a plain constant."""
        if id(tensor) in self._known:
            return self._known[id(tensor)]
        name = self._names.get(id(tensor))
        if name is None:
            if tensor.numel() != 1 or tensor.ndim > 0:
                raise Unsupported(f"step uses a tensor of shape {(*tensor.shape,)} which is no parameter")
            known = Known((float(tensor),))
        elif tensor.ndim == 2:
            known = Known((), matrix=Block(name, 0, 0))
        elif tensor.ndim == 1 and tensor.shape[0] % self.H == 0:
            known = Known(tuple(self._vector(Block(name, at)) for at in range(0, tensor.shape[0], self.H)))
        else:
            raise Unsupported(f"parameter {name} has shape {(*tensor.shape,)}")
        self.know(tensor, known)
        return known

    def _vector(self, piece: Block) -> int:
        if piece not in self.vectors:
            self.vectors.append(piece)
        return self.graph.leaf("vector", self.vectors.index(piece))

    def pieces(self, tensor: Tensor) -> tuple[Value, ...]:
        """The pieces of a tensor that takes part in arithmetic."""
        known = self.look(tensor)
        if known.joined or (known.x and not known.pieces):
            raise Unsupported("step computes with x, which is not hidden_size wide, other than in an nn.Linear")
        if known.matrix:
            raise Unsupported(f"step computes with parameter {known.matrix.name} other than in a linear map")
        return known.pieces

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Run an operation and write it down."""
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if name in ("_local_scalar_dense", "is_nonzero", "equal"):
            raise Unsupported("step decides by the numbers it sees")
        if name in ("addmm", "mm", "linear"):
            known = self._linear(name, args, kwargs)
            out = args[-1].new_empty(self.B, len(known.pieces) * self.H)  # what is in it does not matter
            self.know(out, known)
            return out
        out = func(*args, **kwargs)
        if name in SHAPING:
            self._shape(name, args, kwargs, out)
        else:
            self._compute(name, args, kwargs, out)
        return out

    def _linear(self, name: str, args: tuple, kwargs: dict) -> Known:
        if name == "linear":
            bias = args[2] if len(args) > 2 else kwargs.get("bias")
            source, weight, upright = args[0], args[1], True
        else:
            bias = args[0] if name == "addmm" else None
            source, weight = args[-2:]
            upright = False
            if any(value != 1 for value in kwargs.values()):
                raise Unsupported("step scales a linear map inside torch.addmm")
        matrix = self.look(weight)
        rows, columns = weight.shape if upright else reversed(weight.shape)
        if matrix.matrix is None or matrix.transposed == upright:
            raise Unsupported("step multiplies matrices, and the second is not the weight of an nn.Linear")
        if rows % self.H:
            raise Unsupported(f"{matrix.matrix.name} has {rows} rows, not a multiple of hidden_size {self.H}")
        pieces: list[Value] = [0.0] * (rows // self.H)
        column = matrix.matrix.column
        for part in self.look(source).joined or (source,):
            known = self.look(part)
            for value in (None,) if known.x else self.pieces(part):
                for at in range(len(pieces)):
                    block = replace(matrix.matrix, row=matrix.matrix.row + at * self.H, column=column)
                    pieces[at] = self.graph("add", pieces[at], self._map(value, block))
                column += part.shape[1] if value is None else self.H
        if column != matrix.matrix.column + columns:
            raise Unsupported(f"{matrix.matrix.name} is applied to what is neither x nor a multiple of hidden_size")
        if bias is not None:
            pieces = [self.graph("add", a, b) for a, b in zip(pieces, self.pieces(bias), strict=True)]
        return Known(tuple(pieces))

    def _map(self, value: Value | None, block: Block) -> int:
        if isinstance(value, float) or (value is not None and self.graph.is_scalar(value)):
            raise Unsupported("step multiplies a constant with weights")
        if (value, block) not in self.maps:
            self.maps.append((value, block))
        return self.graph.leaf("map", self.maps.index((value, block)))

    def _shape(self, name: str, args: tuple, kwargs: dict, out: Any) -> None:
        """Operations that compute nothing: parts of tensors, tensors joined, other shapes of the same numbers."""
        if name == "cat":
            dim = args[1] if len(args) > 1 else kwargs.get("dim", 0)
            if out.ndim != 2 or dim not in (1, -1):
                raise Unsupported("step joins tensors along another dimension than the last")
            parts = [self.look(tensor) for tensor in args[0]]
            if any(part.x or part.joined for part in parts):
                flat = [t for t, part in zip(args[0], parts, strict=True) for t in part.joined or (t,)]
                self.know(out, Known((), joined=tuple(flat)))
            else:
                self.know(out, Known(tuple(piece for tensor in args[0] for piece in self.pieces(tensor))))
            return
        source, known = args[0], self.look(args[0])
        if name in ("split", "split_with_sizes", "slice") and out is not None:
            dim = (args[2] if len(args) > 2 else kwargs.get("dim", 0)) if name != "slice" else (*args, 0)[1]
            dim %= source.ndim
            start = 0
            if name == "slice":
                start = (args[2] if len(args) > 2 else 0) or 0
                start = start + source.shape[dim] if start < 0 else start
                if len(args) > 4 and args[4] != 1:
                    raise Unsupported("step takes every other column")
            for part in out if isinstance(out, (tuple, list)) else (out,):
                self.know(part, self._part(known, source, part, dim, start))
                start += part.shape[dim]
            return
        if known.matrix:
            if name == "t":
                self.know(out, replace(known, transposed=not known.transposed))
            elif name in ("detach", "alias"):
                self.know(out, known)
            else:
                raise Unsupported(f"step uses aten.{name} on parameter {known.matrix.name}")
            return
        if known.x or known.joined:
            if out.shape != source.shape:
                raise Unsupported("step changes the shape of x")
            self.know(out, known)
        elif name in ("t", "transpose", "permute"):
            raise Unsupported(f"step uses aten.{name}")
        elif len(known.pieces) == 1 and isinstance(known.pieces[0], int) and self._vectors(out):
            self.know(out, known)
        elif tuple(out.shape) == tuple(source.shape):
            self.know(out, self._checked(out, known.pieces, name))
        elif len(known.pieces) == 1:
            self.know(out, self._checked(out, known.pieces * max(1, out.shape[-1] // self.H if out.ndim else 1), name))
        else:
            raise Unsupported(f"step uses aten.{name} to shape {(*out.shape,)}")

    def _part(self, known: Known, source: Tensor, part: Tensor, dim: int, start: int) -> Known:
        if part.shape == source.shape:
            return known
        if known.matrix:
            along_rows = (dim == 0) != known.transposed
            block = known.matrix
            moved = replace(block, row=block.row + start) if along_rows else replace(block, column=block.column + start)
            return replace(known, matrix=moved)
        pieces = self.pieces(source)
        if (
            dim != source.ndim - 1
            or start % self.H
            or part.shape[dim] % self.H
            or len(pieces) * self.H != source.shape[dim]
        ):
            raise Unsupported("step cuts a tensor other than into pieces of hidden_size columns")
        return Known(pieces[start // self.H : (start + part.shape[dim]) // self.H])

    def _vectors(self, tensor: Tensor) -> bool:
        return tuple(tensor.shape) in ((self.B, self.H), (self.H,), (1, self.H))

    def _checked(self, out: Tensor, pieces: tuple[Value, ...], name: str) -> Known:
        """``pieces`` if they are what a tensor of this shape consists of."""
        B, H, shape = self.B, self.H, tuple(out.shape)
        if not out.is_floating_point() and out.dtype != torch.bool:
            raise Unsupported(f"step computes in {out.dtype}")
        if all(self.graph.is_scalar(piece) for piece in pieces[:1]) and shape in ((), (1,), (B,), (B, 1)):
            return Known(pieces[:1])
        if len(shape) in (1, 2) and shape[-1] == H * len(pieces) and shape[:-1] in ((), (1,), (B,)):
            return Known(pieces)
        raise Unsupported(f"step uses aten.{name} to make a tensor of shape {shape}")

    def _compute(self, name: str, args: tuple, kwargs: dict, out: Any) -> None:
        if name.endswith("_") and out is args[0]:
            place = out.untyped_storage().data_ptr()
            if id(out) in self._names or {id(t) for t in self._alive if t.untyped_storage().data_ptr() == place} - {
                id(out)
            }:
                raise Unsupported(f"step uses aten.{name} on numbers that have another name too")
            name = name[:-1]
        translation = TRANSLATIONS.get(name)
        if translation is None:
            raise Unsupported(f"step uses aten.{name}, which the compiler does not know")
        first = out[0] if isinstance(out, (tuple, list)) else out
        operands = [self.pieces(arg) if isinstance(arg, Tensor) else arg for arg in args]
        width = max((len(arg) for arg in operands if isinstance(arg, tuple)), default=1)
        if translation.whole:  # over all of a row, however many pieces
            pieces = translation.make(self.graph, self.H, *operands, **kwargs)
        else:
            pieces = tuple(
                translation.make(
                    self.graph,
                    *(arg[at if len(arg) > 1 else 0] if isinstance(arg, tuple) else _number(arg) for arg in operands),
                    **{key: _number(value) for key, value in kwargs.items() if key in translation.keywords},
                )
                for at in range(width)
            )
            if not any(isinstance(arg, tuple) for arg in operands) or name.endswith("_like") or name.startswith("new_"):
                pieces = pieces[:1] * max(1, first.shape[-1] // self.H if first.ndim else 1)
        unknown = set(kwargs) - set(translation.keywords) - IGNORED
        if unknown:
            raise Unsupported(f"step uses aten.{name} with {', '.join(sorted(unknown))}")
        self.know(first, self._checked(first, pieces, name))


IGNORED = {"dtype", "layout", "device", "pin_memory", "memory_format", "non_blocking", "copy"}


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, (bool, int, float)) else value
