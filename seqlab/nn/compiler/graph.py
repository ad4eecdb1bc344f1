"""Arithmetic on the rows of one time step as a graph: what a node computes, in C++, and its derivative.

A node is a vector ``(H,)`` of one batch row, or, below a sum over ``H``, one number of that row. Arguments are indices
of earlier nodes or constants (floats). Everything that a cell may do between its matrix products is made of these few
operations; ``trace.py`` takes torch's larger ones apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Value = int | float
"""A node's index, or a constant."""


@dataclass(frozen=True)
class Node:
    """One operation, or a leaf.

    Attributes:
        op: a key of ``OPERATIONS``, ``rowsum``, or a leaf's kind: ``x`` (the input, where it is ``H`` wide), ``gate``
            (a column), ``state``, ``vector`` (parameter), ``mask``, ``grad`` (of a new state, or of what a product
            multiplies), and while tracing ``map`` (a product).
        args: the operands.
        index: which gate, state, ...; 0 for operations.
    """

    op: str
    args: tuple[Value, ...] = ()
    index: int = 0


LEAVES = ("x", "gate", "state", "vector", "mask", "grad", "map")


class Graph:
    """Nodes in the order in which they can be computed; equal nodes are one."""

    def __init__(self, nodes: Iterable[Node] = ()) -> None:
        self.nodes: list[Node] = list(nodes)
        self._place = {node: at for at, node in enumerate(self.nodes)}
        self._scalar: list[bool] = []

    def leaf(self, kind: str, index: int) -> int:
        """The node that stands for a given vector."""
        return self._at(Node(kind, (), index))

    def __call__(self, op: str, *args: Value) -> Value:
        """The node (or constant) ``op(*args)``."""
        if args and op != "rowsum" and all(isinstance(arg, float) for arg in args):
            folded = _fold(op, *(float(arg) for arg in args))
            if folded is not None:
                return folded
        short = _shorten(op, args)
        return self._at(Node(op, args)) if short is None else short

    def _at(self, node: Node) -> int:
        if node not in self._place:
            self._place[node] = len(self.nodes)
            self.nodes.append(node)
        return self._place[node]

    def is_scalar(self, value: Value) -> bool:
        """Whether it is one number for the row, not a vector."""
        if isinstance(value, float):
            return True
        for node in self.nodes[len(self._scalar) :]:
            inner = (isinstance(arg, float) or self._scalar[arg] for arg in node.args)
            self._scalar.append(node.op == "rowsum" or (node.op not in LEAVES and all(inner)))
        return self._scalar[value]

    def above(self, values: Iterable[Value], stop: Iterable[int] = ()) -> list[int]:
        """All nodes that ``values`` need, in order; the search does not go beyond those of ``stop``."""
        found: set[int] = set()
        todo = [value for value in values if not isinstance(value, float)]
        ends = set(stop)
        while todo:
            at = todo.pop()
            if at not in found:
                found.add(at)
                if at not in ends:
                    todo.extend(arg for arg in self.nodes[at].args if not isinstance(arg, float))
        return sorted(found)

    def gradients(self, outputs: Iterable[tuple[Value, Value]]) -> dict[int, Value]:
        """Reverse differentiation: from (value, its gradient) pairs to the gradient of every leaf they depend on.

        New nodes are added to this graph.
        """
        total: dict[int, Value] = {}

        def give(value: Value, gradient: Value, to_vector: bool) -> None:
            if isinstance(value, float) or (isinstance(gradient, float) and gradient == 0):
                return
            if to_vector and self.is_scalar(value):  # one number has been used H times
                gradient = self("rowsum", gradient)
            total[value] = self("add", total[value], gradient) if value in total else gradient

        outputs = list(outputs)
        for value, gradient in outputs:
            give(value, gradient, True)
        for at in reversed(self.above(value for value, _ in outputs)):
            node = self.nodes[at]
            if at not in total or node.op in LEAVES or node.op not in DERIVATIVES:
                continue
            parts = DERIVATIVES[node.op](self, at, node.args, total[at])
            for arg, part in zip(node.args, parts, strict=True):
                if part is not None:
                    give(arg, part, node.op == "rowsum" or not self.is_scalar(at))
        return {at: gradient for at, gradient in total.items() if self.nodes[at].op in LEAVES}


OPERATIONS = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "abs": "fabsf({0})",
    "sqrt": "sqrtf({0})",
    "exp": "exp_({0})",
    "expm1": "expm1_({0})",
    "log": "log_({0})",
    "log1p": "log1p_({0})",
    "sigmoid": "sigmoid_({0})",
    "tanh": "tanh_({0})",
    "softplus": "softplus_({0})",
    "erf": "erf_({0})",
    "sin": "sinf({0})",
    "cos": "cosf({0})",
    "floor": "floorf({0})",
    "ceil": "ceilf({0})",
    "round": "nearbyintf({0})",
    # Truth is 1 or 0, so that it can be counted with.
    "gt": "({0} > {1} ? 1.f : 0.f)",
    "ge": "({0} >= {1} ? 1.f : 0.f)",
    "lt": "({0} < {1} ? 1.f : 0.f)",
    "le": "({0} <= {1} ? 1.f : 0.f)",
    "eq": "({0} == {1} ? 1.f : 0.f)",
    "ne": "({0} != {1} ? 1.f : 0.f)",
    "where": "({0} != 0.f ? {1} : {2})",
    "width": "(float)H",
    # rowsum, the sum over H, is a loop of its own: see emit.py
}

Parts = tuple[Value | None, ...]
Derivative = Callable[[Graph, int, tuple[Value, ...], Value], Parts]


def _unary(derivative: Callable[[Graph, Value, Value], Value]) -> Derivative:
    """From ``(graph, argument, result) -> d result / d argument``."""

    def parts(g: Graph, out: int, args: tuple[Value, ...], grad: Value) -> Parts:
        return (g("mul", grad, derivative(g, args[0], out)),)

    return parts


def _divide(g: Graph, out: int, args: tuple[Value, ...], grad: Value) -> Parts:
    part = g("div", grad, args[1])
    return part, g("neg", g("mul", part, out))


# What is missing here (comparisons, rounding) has the derivative zero.
DERIVATIVES: dict[str, Derivative] = {
    "add": lambda g, out, args, grad: (grad, grad),
    "sub": lambda g, out, args, grad: (grad, g("neg", grad)),
    "mul": lambda g, out, args, grad: (g("mul", grad, args[1]), g("mul", grad, args[0])),
    "div": _divide,
    "neg": lambda g, out, args, grad: (g("neg", grad),),
    "rowsum": lambda g, out, args, grad: (grad,),
    "where": lambda g, out, args, grad: (None, g("where", args[0], grad, 0.0), g("where", args[0], 0.0, grad)),
    "abs": _unary(lambda g, x, y: g("where", g("gt", x, 0.0), 1.0, g("where", g("lt", x, 0.0), -1.0, x))),
    "sqrt": _unary(lambda g, x, y: g("div", 0.5, y)),
    "exp": _unary(lambda g, x, y: y),
    "expm1": _unary(lambda g, x, y: g("add", y, 1.0)),
    "log": _unary(lambda g, x, y: g("div", 1.0, x)),
    "log1p": _unary(lambda g, x, y: g("div", 1.0, g("add", x, 1.0))),
    "sigmoid": _unary(lambda g, x, y: g("mul", y, g("sub", 1.0, y))),
    "tanh": _unary(lambda g, x, y: g("sub", 1.0, g("mul", y, y))),
    "softplus": _unary(lambda g, x, y: g("sigmoid", x)),
    "erf": _unary(lambda g, x, y: g("mul", 2.0 / math.sqrt(math.pi), g("exp", g("neg", g("mul", x, x))))),
    "sin": _unary(lambda g, x, y: g("cos", x)),
    "cos": _unary(lambda g, x, y: g("neg", g("sin", x))),
}


def _fold(op: str, *args: float) -> float | None:
    """The value of simple arithmetic on constants, None for the rest."""
    if op == "div" and args[1] == 0:
        return None
    simple = {"add": float.__add__, "sub": float.__sub__, "mul": float.__mul__, "div": float.__truediv__}
    if op in simple:
        return float(simple[op](*args))
    return -args[0] if op == "neg" else None


def _shorten(op: str, args: tuple[Value, ...]) -> Value | None:
    """What needs no operation: ``x + 0``, ``x * 1``, ``0 * x`` where it is a gradient's zero, ``where(c, x, x)``."""
    if op == "add" and 0.0 in args and any(isinstance(arg, float) and arg == 0 for arg in args):
        return args[1] if isinstance(args[0], float) and args[0] == 0 else args[0]
    if op == "sub" and isinstance(args[1], float) and args[1] == 0:
        return args[0]
    if op == "mul" and any(isinstance(arg, float) and arg == 1 for arg in args):
        return args[1] if isinstance(args[0], float) and args[0] == 1 else args[0]
    if op == "div" and isinstance(args[1], float) and args[1] == 1:
        return args[0]
    if op == "where" and args[1] == args[2] and type(args[1]) is type(args[2]):
        return args[1]
    return None
