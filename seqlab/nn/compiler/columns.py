"""Sums of maps become gate columns, and those are put in order.

A column is ``bias + sum_k W_k x + sum_k U_k a_k``, where each ``a_k`` is the output state or some arithmetic on states
and other columns. The part in ``x`` needs no state and is made for many steps at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from seqlab.nn.compiler.graph import Graph, Node, Value
from seqlab.nn.compiler.program import Block, Column, Product, Program, Run

Map = tuple[Value | None, Block]
"""A value (None: x) and the weights it is multiplied with."""


def arrange(
    graph: Graph, maps: Sequence[Map], vectors: Sequence[Block], outputs: Sequence[Value], masks: int
) -> Program:
    """Find the columns, put them in order and write the rest of the arithmetic in terms of them.

    Args:
        graph: everything the step does; ``map`` leaves are entries of ``maps``, ``vector`` leaves of ``vectors``.
        maps: what is multiplied.
        vectors: parts of parameters used otherwise.
        outputs: the new states.
        masks: how many masks the step takes.
    """
    ends = [*outputs, *(value for value, _ in maps if value is not None)]
    sums = _sums(graph, _users(graph, ends))

    def members(at: int) -> list[Map]:
        """The maps that a column adds up."""
        return [maps[graph.nodes[m].index] for m in sums[at] if graph.nodes[m].op == "map"]

    def inputs(at: int) -> list[int]:
        """What a column multiplies besides x, in the order in which it becomes known."""
        return sorted({int(value) for value, _ in members(at) if value is not None})

    def has_x(at: int) -> bool:
        return any(value is None for value, _ in members(at))

    # What is really needed: from the outputs down to columns, and on from what those multiply.
    needed: set[int] = set()
    todo: list[Value] = list(outputs)
    while todo:
        fresh = set(graph.above(todo, stop=sums)) - needed
        needed |= fresh
        todo = [value for at in fresh & sums.keys() for value in inputs(at)]

    # Columns of x alone, of both, of the state alone: so x fills one stretch, and each product few.
    chosen = sorted(needed & sums.keys(), key=lambda at: min(m for m in sums[at] if graph.nodes[m].op == "map"))
    only_x = [at for at in chosen if not inputs(at)]
    both = sorted((at for at in chosen if inputs(at) and has_x(at)), key=inputs, reverse=True)
    only_state = sorted((at for at in chosen if not has_x(at)), key=inputs)
    order = {at: column for column, at in enumerate([*only_x, *both, *only_state])}

    columns = [
        Column(
            tuple(block for value, block in members(at) if value is None),
            tuple(vectors[graph.nodes[m].index] for m in sums[at] if graph.nodes[m].op == "vector"),
        )
        for at in order
    ]
    stretches = {
        value: _runs({column: tuple(b for other, b in members(at) if other == value) for at, column in order.items()})
        for value in sorted({value for at in order for value in inputs(at)})
    }

    # The graph once more, with columns for leaves and without what is not needed.
    final, place = Graph(), dict[int, int]()
    used: list[Block] = []
    for at in sorted(needed):
        node = graph.nodes[at]
        if at in order:
            place[at] = final.leaf("gate", order[at])
        elif node.op == "vector":
            used.append(vectors[node.index])
            place[at] = final.leaf("vector", len(used) - 1)
        else:
            args = tuple(arg if isinstance(arg, float) else place[arg] for arg in node.args)
            final.nodes.append(replace(node, args=args))
            place[at] = len(final.nodes) - 1
    return Program(
        nodes=tuple(final.nodes),
        outputs=tuple(value if isinstance(value, float) else place[value] for value in outputs),
        columns=tuple(columns),
        products=tuple(
            Product(None if graph.nodes[value] == Node("state") else place[value], runs)
            for value, runs in stretches.items()
        ),
        vectors=tuple(used),
        masks=masks,
    )


def _users(graph: Graph, ends: Iterable[Value]) -> dict[int, int]:
    """How often each node is used by others, by outputs and by products."""
    count = dict.fromkeys(range(len(graph.nodes)), 0)
    for value in [*ends, *(arg for node in graph.nodes for arg in node.args)]:
        if not isinstance(value, float):
            count[value] += 1
    return count


def _sums(graph: Graph, users: dict[int, int]) -> dict[int, list[int]]:
    """Nodes that are sums of maps and biases, with what they add up; a partial sum used elsewhere stays on its own."""
    found: dict[int, list[int]] = {}
    for at, node in enumerate(graph.nodes):
        if node.op == "map":
            found[at] = [at]
        elif node.op == "add" and not any(isinstance(arg, float) for arg in node.args):
            parts = []
            for arg in node.args:
                inner = graph.nodes[int(arg)]
                if int(arg) in found and users[int(arg)] == 1:
                    parts.append(found[int(arg)])
                elif inner.op == "vector":
                    parts.append([int(arg)])
            if len(parts) == 2 and any(graph.nodes[m].op == "map" for part in parts for m in part):
                found[at] = parts[0] + parts[1]
    return found


def _runs(blocks: dict[int, tuple[Block, ...]]) -> tuple[Run, ...]:
    """Columns that stand side by side, together."""
    runs: list[Run] = []
    for column in sorted(column for column, found in blocks.items() if found):
        if runs and runs[-1].first + len(runs[-1].blocks) == column:
            runs[-1] = replace(runs[-1], blocks=(*runs[-1].blocks, blocks[column]))
        else:
            runs.append(Run(column, (blocks[column],)))
    return tuple(runs)
