"""A compiled cell: whole sequences through the generated code, with gradients.

Sequences of unequal length are stored without padding in between (``Layout``), so nothing is computed from padding.
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.nn import reference
from seqlab.nn.compiler.layout import Layout, dense, ragged
from seqlab.nn.compiler.program import Program
from seqlab.nn.compiler.toolchain import has_bf16
from seqlab.nn.compiler.torch_operations import Unsupported
from seqlab.nn.compiler.weights import Wiring, check_memory
from seqlab.nn.plain import plain_only
from seqlab.types import InputError

logger = logging.getLogger(__name__)

State = reference.State

CHUNK_ROWS = 256
"""At most so many rows (or one step's, if those are more) are projected at once: ``SHARED_ROWS`` of loop.h."""
STREAM_ROWS = 32
"""Up to so many rows, packing weights costs more than using them: packed ones are kept for the next call."""

SCRATCH_BYTES = 2**28
"""No larger block is kept from one backward call to the next."""


# OpenMP's threads do not outlive a fork, and a child that waits for them hangs: torch's own operations as well as ours.
os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def compile_cell(cell: nn.Module) -> CompiledCell:
    """Trace a cell. C++ is built at the first call.

    Raises:
        Unsupported: why this cell cannot be compiled, in one phrase.
    """
    return CompiledCell(cell)


class CompiledCell:
    """A cell's code for whole sequences; see ``reference.scan`` for the meaning of every argument.

    It reads the cell's parameters at every call. Everything else about the cell, numbers in attributes say, is what it
    was when the cell was traced: at the start, and at the first call in the other of training and evaluation.
    """

    def __init__(self, cell: nn.Module) -> None:
        self.cell = cell
        self._wirings = {cell.training: Wiring(cell)}
        self._packed: tuple[Any, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return compile_cell, (self.cell,)

    def __call__(
        self,
        x: Tensor,
        state: State,
        active: Sequence[int] | None = None,
        reverse: bool = False,
        masks: Sequence[Tensor] = (),
        dtype: torch.dtype = torch.float32,
    ) -> tuple[Tensor, State]:
        """Run over time.

        Args:
            x: ``(T, B, I)``.
            state: each ``(B, H)``.
            active: how many rows are alive at each step, never increasing; None: all.
            reverse: from the last step to the first.
            masks: each ``(B, H)`` or ``(T, B, H)``.
            dtype: what products are made of, float32 or bfloat16; states and sums are float32 always.

        Returns:
            The outputs ``(T, B, H)`` of ``dtype`` and the last states, float32.

        Raises:
            Unsupported: bfloat16 on a processor without it.
            NoCompiler: there is no C++ compiler.
            InputError: a tensor has another shape than that; the code would read beyond its end.
        """
        wiring = self._wiring()
        if dtype not in (torch.float32, torch.bfloat16):
            raise Unsupported(f"products are made of float32 or bfloat16, not of {dtype}")
        _check(wiring, x, state, active, masks)
        parameters = wiring.parameters()
        x = _packed(x, dtype)
        state = tuple(part.to(torch.float32).contiguous() for part in state)
        masks = tuple(mask.detach().to(torch.float32).contiguous() for mask in masks)
        if active is not None and all(alive == x.shape[1] for alive in active):
            active = None
        layout = dense(x.shape[0], x.shape[1]) if active is None else ragged(tuple(active), x.shape[1])
        run = Run(wiring, layout, reverse, dtype)
        tensors = (x, *state, *masks, *parameters)
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
            y, *last = _Function.apply(run, *tensors)
            return y, tuple(last)
        y, last, _ = run.forward(x, state, masks, self._packs(run, x, parameters))
        return y, tuple(last)

    def steps(self, state: State, masks: Sequence[Tensor] = (), dtype: torch.dtype = torch.float32) -> Steps:
        """One step at a time from ``state`` on, with the weights as they are now.

        Raises:
            Unsupported: bfloat16 on a processor without it.
            NoCompiler: there is no C++ compiler.
        """
        wiring = self._wiring()
        return Steps(Run(wiring, dense(1, state[0].shape[0]), False, dtype), wiring.parameters(), state, masks)

    def _wiring(self) -> Wiring:
        wiring = self._wirings.get(self.cell.training)
        if wiring is None:
            wiring = self._wirings[self.cell.training] = Wiring(self.cell)
        return wiring

    def _packs(self, run: Run, x: Tensor, parameters: Sequence[Tensor]) -> Packs:
        """Packed weights, kept while the parameters stay what they are where packing would cost more than the run."""
        if x.shape[0] * x.shape[1] > STREAM_ROWS or any(tensor.is_inference() for tensor in parameters):
            return run.pack(parameters)
        key = (run.dtype, run.wiring, *(run.fingerprint(tensor) for tensor in parameters))
        kept = self._packed  # another thread may put others there
        if not kept or kept[0] != key:
            kept = self._packed = (key, run.pack(parameters), tuple(parameters))  # holding them, their ids stay theirs
        return kept[1]


@dataclass(frozen=True)
class Packs:
    """Weights as the kernels want them."""

    x: Tensor
    runs: list[Tensor]
    bias: Tensor
    vectors: Tensor


class Run:
    """One call: the sizes, and how to get from tensors to the C functions and back."""

    def __init__(self, wiring: Wiring, layout: Layout, reverse: bool, dtype: torch.dtype) -> None:
        if dtype == torch.bfloat16 and not has_bf16():
            raise Unsupported("this processor or compiler has no bfloat16 products")
        self.wiring, self.layout, self.reverse, self.dtype = wiring, layout, reverse, dtype
        self.code, self.kept_states = wiring.library("float" if dtype == torch.float32 else "bf16")
        self.threads = torch.get_num_threads()

    def fingerprint(self, parameter: Tensor) -> tuple[int, ...]:
        """What changes when a parameter does.

        The version alone is not enough: it does not know of writes through ``.data`` and of fused optimisers. So some
        numbers are looked at too, one of every row; a change that misses all those is not seen.
        """
        rows = parameter.shape[0]
        columns = parameter.numel() // max(1, rows)
        parameter = parameter if parameter.is_contiguous() else parameter.contiguous()
        looked = self.code.fingerprint(parameter.data_ptr(), rows, columns * parameter.element_size() // 2)
        return id(parameter), parameter._version, parameter.data_ptr(), looked

    def pack(self, parameters: Sequence[Tensor]) -> Packs:
        """For forward."""
        wiring, named = self.wiring, dict(zip(self.wiring.names, parameters, strict=True))
        with torch.no_grad():
            return Packs(
                self._pack(wiring.x_weights(named, self.dtype), False),
                [self._pack(gather(named, self.dtype), False) for _, _, gather in wiring.runs],
                wiring.bias(named, torch.float32).contiguous(),
                wiring.vectors(named, torch.float32).contiguous(),
            )

    def _pack(self, weight: Tensor, backward: bool) -> Tensor:
        """``(N, K)``: forward multiplies rows of ``K`` numbers by it, backward rows of ``N``."""
        if weight.ndim == 1:
            return weight  # there is none
        (N, K), (n, k) = weight.shape, weight.stride()
        if backward:
            N, K, n, k = K, N, k, n
        out = torch.empty(self.code.packed(K, N), dtype=weight.dtype)
        self.code.pack_weights(weight.data_ptr(), K, N, k, n, out.data_ptr())
        return out

    def forward(
        self,
        x: Tensor,
        state: State,
        masks: Sequence[Tensor],
        packs: Packs,
        save: bool = False,
    ) -> tuple[Tensor, State, tuple[Tensor, ...]]:
        """Outputs, last states, and (with ``save``) what backward needs: outputs, gates, other states, inputs."""
        laid = self.lay_out(x, state, masks, packs, save)
        self._call(self.code.forward, *laid.groups)
        return laid.y if self.layout.index is None else self.layout.pad(laid.y), laid.last, laid.saved

    def lay_out(self, x: Tensor, state: State, masks: Sequence[Tensor], packs: Packs, save: bool = False) -> Forward:
        """Everything that the forward function reads and writes."""
        program, layout, H, dtype = self.wiring.program, self.layout, self.wiring.H, self.dtype
        T, B, rows, G = layout.T, layout.B, layout.rows, len(program.columns)
        in_rows = layout.pack(x)
        last = tuple(part.detach().clone() for part in state)
        h = last[0] if dtype == torch.float32 else last[0].to(dtype)
        # The caller's tensor itself where there is no padding: a view could not be written to.
        y = torch.empty((T, B, H) if layout.index is None else (rows, H), dtype=dtype)
        nothing = y.new_empty(0)
        in_place = save and dtype == torch.float32
        gates = y.new_empty(rows, G * H) if save else nothing
        scratch = nothing if in_place else torch.empty(max(B, min(rows, CHUNK_ROWS)) * G * H)
        kept = [y.new_empty(rows, H) if save and k and wanted else nothing for k, wanted in enumerate(self.kept_states)]
        inputs = [nothing if p.input is None else y.new_empty(rows if save else B, H) for p in program.products]
        groups: tuple[Sequence[Any], ...] = (
            [T, B, x.shape[2], H, self.threads, layout.index is not None, self.reverse, save],
            [layout.offset, in_rows, packs.x, packs.bias, packs.vectors, scratch, gates, y, h],
            last,
            kept,
            [*packs.runs, nothing],
            [*inputs, nothing],
            masks,
        )
        return Forward(groups, in_rows, y, last, h, (y, gates, *kept, *inputs) if save else ())

    def backward(
        self,
        needs: Sequence[bool],
        x: Tensor,
        state: State,
        masks: Sequence[Tensor],
        parameters: Sequence[Tensor],
        saved: Sequence[Tensor],
        dy: Tensor | None,
        dlast: Sequence[Tensor | None],
    ) -> tuple[Tensor | None, list[Tensor], dict[str, Tensor]]:
        """Gradients of x, of the initial states, and of parameters by name (of those that ``needs`` wants)."""
        wiring, layout, H, dtype = self.wiring, self.layout, self.wiring.H, self.dtype
        program = wiring.program
        T, B, rows, G, V, I = layout.T, layout.B, layout.rows, len(program.columns), len(program.vectors), x.shape[2]  # noqa: E741
        y, gates, *rest = saved
        kept, inputs = [y, *rest[1 : program.states]], rest[program.states :]
        named = dict(zip(wiring.names, parameters, strict=True))
        nothing = y.new_empty(0)
        initial = [part.to(dtype) for part in state]
        given = torch.zeros(T, B, H, dtype=dtype) if dy is None else _packed(dy, dtype)
        dstate = [torch.zeros(B, H) if part is None else part.float().contiguous().clone() for part in dlast]
        dgates = _scratch.take(rows * G * H, dtype).view(rows, G * H)
        narrow = dtype != torch.float32
        dx = y.new_empty(rows, I) if program.uses_x or (needs[0] and program.x_columns) else nothing
        in_rows = layout.pack(x)
        sums = torch.zeros(self.threads, (G + V) * H)
        wanted = {
            name: t for (name, t), need in zip(named.items(), needs[1 + len(state) + len(masks) :], strict=True) if need
        }
        weights = [wiring.x_weights, *(gather for _, _, gather in wiring.runs)]
        weight_shapes = [(I, program.x_columns * H), *((H, gather.rows) for gather in weights[1:])]
        weight_sums = torch.empty(self.threads, sum(a * b for a, b in weight_shapes))
        workspace = y.new_empty(self.threads, self.code.workspace_size(I, H))
        x_weights = self._pack(wiring.x_weights(named, dtype), True) if dx.numel() and program.x_columns else nothing
        runs = [self._pack(gather(named, dtype), True) for _, _, gather in wiring.runs]
        self._call(
            self.code.backward,
            [T, B, I, H, self.threads, layout.index is not None, self.reverse],
            [
                layout.offset,
                in_rows,
                layout.pack(given),
                gates,
                dgates,
                torch.empty(B * G * H if narrow else 0),
                torch.empty(B, H),
            ],
            [x_weights, dx, torch.empty(self.threads * 64 * I if narrow else 0), sums],
            [wiring.vectors(named, torch.float32).contiguous()],
            dstate,
            kept,
            initial,
            [*runs, nothing, *inputs, nothing, *(bool(gather.names & wanted.keys()) for gather in weights)],
            [workspace, weight_sums, workspace.shape[1], weight_sums.shape[1]],
            masks,
        )
        gradients: dict[str, Tensor] = {}
        start = 0
        for shape, gather in zip(weight_shapes, weights, strict=True):
            part = weight_sums[0, start : start + shape[0] * shape[1]].view(shape).t()
            start += part.numel()
            gather.scatter(part, wanted, gradients)
        if (wiring.bias.names | wiring.vectors.names) & wanted.keys():
            total = sums.sum(0)
            wiring.bias.scatter(total[: G * H], wanted, gradients)
            wiring.vectors.scatter(total[G * H :], wanted, gradients)
        if not needs[0]:
            return None, dstate, gradients
        return layout.pad(dx) if dx.numel() else torch.zeros_like(x), dstate, gradients

    def _call(self, function: Any, *groups: Sequence[Any]) -> None:
        function(self.arguments(*groups))  # the groups hold the tensors until it is done

    def arguments(self, *groups: Sequence[Any]) -> Any:
        """The one structure that a C function takes; the last of the groups are the masks."""
        *others, masks = groups
        H, B = self.wiring.H, self.layout.B
        steps = [B * H if mask.ndim == 3 else 0 for mask in masks]
        flat = [*(value for group in others for value in group), *masks, 0, *steps, 0]
        values = [_address(value) if isinstance(value, Tensor) else int(value) for value in flat]
        return (ctypes.c_long * len(values))(*values)


@dataclass(frozen=True)
class Forward:
    """What one call of the forward function works on; ``groups`` are the members of its structure."""

    groups: tuple[Sequence[Any], ...]
    x: Tensor
    y: Tensor
    last: State
    h: Tensor
    saved: tuple[Tensor, ...]


class Steps:
    """A cell's code one step at a time: weights packed and everything laid out once, so that a step is one call.

    Args:
        run: of one step.
        parameters: the weights, as they are now.
        state: where to start, each ``(B, H)``.
        masks: each ``(B, H)``.
    """

    def __init__(self, run: Run, parameters: Sequence[Tensor], state: State, masks: Sequence[Tensor]) -> None:
        x = torch.zeros(1, run.layout.B, run.wiring.I, dtype=run.dtype)
        self._packs = run.pack(parameters)
        self._laid = run.lay_out(x, state, masks, self._packs)
        self._function, self._arguments = run.code.forward, run.arguments(*self._laid.groups)

    def push(self, x: Tensor) -> Tensor:
        """The output ``(B, H)`` after reading ``x`` ``(B, I)``.

        Raises:
            InputError: torch traces or transforms, which this code cannot be part of.
        """
        if plain_only(x):
            raise InputError("A stream cannot be traced, compiled or transformed: trace the encoder itself instead.")
        self._laid.x.copy_(x)
        self._function(self._arguments)  # leaves the new state where the next call reads it
        return self._laid.y[0].clone()

    @property
    def state(self) -> State:
        """The state now, each part ``(B, H)``."""
        return tuple(part.clone() for part in self._laid.last)

    @state.setter
    def state(self, state: State) -> None:
        for mine, given in zip(self._laid.last, state, strict=True):
            mine.copy_(given)
        self._laid.h.copy_(state[0])


class _Scratch(threading.local):
    """Memory of one backward call that the next one uses again: taken anew, a large block costs more than it holds."""

    def __init__(self) -> None:
        self._blocks: dict[torch.dtype, Tensor] = {}

    def take(self, count: int, dtype: torch.dtype) -> Tensor:
        """``(count,)`` numbers, whatever they are; good until the next call in the same thread."""
        block = self._blocks.get(dtype)
        if block is None or block.numel() < count:
            block = torch.empty(count, dtype=dtype)
            if block.nbytes <= SCRATCH_BYTES:
                self._blocks[dtype] = block
        return block[:count]


_scratch = _Scratch()


def _address(tensor: Tensor) -> int:
    place = tensor.data_ptr()
    if not place and tensor.numel():
        raise InputError(f"A tensor of shape {tuple(tensor.shape)} has no memory: it is a symbol, or was freed.")
    return place


def _packed(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Contiguous and of ``dtype``, in one pass over its numbers."""
    if tensor.dtype == dtype:
        return tensor.contiguous()
    return tensor.to(dtype, memory_format=torch.contiguous_format)


def _check(
    wiring: Wiring, x: Tensor, state: Sequence[Tensor], active: Sequence[int] | None, masks: Sequence[Tensor]
) -> None:
    program = wiring.program
    T, B, I = x.shape if x.ndim == 3 else (0, 0, 0)  # noqa: E741
    if T < 1 or I != wiring.I:
        raise InputError(f"x has shape {(*x.shape,)}: give (T, B, {wiring.I}) with T at least 1.")
    shapes = [tuple(part.shape) for part in state]
    if shapes != [(B, wiring.H)] * program.states:
        raise InputError(f"The states have shapes {shapes}: give {program.states} of shape {(B, wiring.H)}.")
    shapes = [tuple(mask.shape) for mask in masks]
    if len(masks) != program.masks or any(shape not in ((B, wiring.H), (T, B, wiring.H)) for shape in shapes):
        raise InputError(
            f"The masks have shapes {shapes}: give {program.masks} of shape {(B, wiring.H)} or {(T, B, wiring.H)}."
        )
    for name, tensors in (("x", (x,)), ("The state", state), ("A mask", masks)):
        for tensor in tensors:
            check_memory(name, tensor)
    if active is not None and (
        len(active) != T or any(not 0 <= now <= before for before, now in zip((B, *active), active, strict=False))
    ):
        raise InputError(f"active must be {T} numbers from {B} down to 0 that never increase.")


class _Function(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, run: Run, x: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        program = run.wiring.program
        state, masks, parameters = _split(program, tensors)
        y, last, saved = run.forward(x, state, masks, run.pack(parameters), save=True)
        ctx.run = run
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, *tensors, y if run.layout.index is None else saved[0], *saved[1:])
        return y, *last

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, *dlast: Tensor | None) -> tuple[Tensor | None, ...]:
        run: Run = ctx.run
        program = run.wiring.program
        count = 1 + program.states + program.masks + len(run.wiring.names)
        x, *tensors = ctx.saved_tensors[:count]
        state, masks, parameters = _split(program, tensors)
        needs = ctx.needs_input_grad[1:]
        if torch.is_grad_enabled():  # create_graph: the gradient itself shall be differentiable
            return None, *_through_reference(run, needs, x, state, masks, parameters, (dy, *dlast))
        y, *saved = ctx.saved_tensors[count:]
        flat = y.reshape(-1, run.wiring.H)
        dx, dstate, found = run.backward(needs, x, state, masks, parameters, [flat, *saved], dy, dlast)
        return None, dx, *dstate, *[None] * len(masks), *(found.get(name) for name in run.wiring.names)


def _split(program: Program, tensors: Sequence[Tensor]) -> tuple[State, tuple[Tensor, ...], tuple[Tensor, ...]]:
    first, second = program.states, program.states + program.masks
    return tuple(tensors[:first]), tuple(tensors[first:second]), tuple(tensors[second:])


class _Scan(nn.Module):
    """``reference.scan`` as a module, so that parameters can be put into the cell for one call."""

    def __init__(self, cell: Any) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, *args: Any) -> tuple[Tensor, State]:
        return reference.scan(self.cell.step, *args)


@cache
def _say_once(name: str) -> None:
    logger.warning("%s: gradients of gradients are worked out by the Python loop, which is slow", name)


def _through_reference(
    run: Run,
    needs: Sequence[bool],
    x: Tensor,
    state: State,
    masks: Sequence[Tensor],
    parameters: Sequence[Tensor],
    given: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """The same gradients, by torch alone and with a graph."""
    _say_once(type(run.wiring.cell).__name__)
    layout = run.layout
    active = None if layout.index is None else layout.offset.diff().tolist()
    named = {f"cell.{name}": tensor for name, tensor in zip(run.wiring.names, parameters, strict=True)}
    arguments = (x.float(), state, active, run.reverse, masks)
    y, last = torch.func.functional_call(_Scan(run.wiring.cell), named, arguments)
    wanted = [tensor for tensor, need in zip((x, *state, *masks, *parameters), needs, strict=True) if need]
    pairs = [(out, grad) for out, grad in zip((y, *last), given, strict=True) if grad is not None and out.requires_grad]
    found = iter(
        torch.autograd.grad(
            [out for out, _ in pairs],
            wanted,
            [grad.to(out.dtype) for out, grad in pairs],
            create_graph=True,
            allow_unused=True,
        )
    )
    return [next(found) if need else None for need in needs]
