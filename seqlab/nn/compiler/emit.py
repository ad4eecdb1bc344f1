"""From a program to C++: one function for each stretch of arithmetic; ``loop.h`` puts time and products around them.

Four functions work on one row of one step: ``forward_input`` (what a product multiplies), ``forward_cell`` (the new
states), and the same two backward. Each is a few loops over ``j < H``: one, and one more after each sum over ``H``.

Backward recomputes what it needs from the gate columns and the previous states. A column that is only ever seen through
its sigmoid or tanh is overwritten by that, so the dear part is not computed twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from seqlab.nn.compiler.graph import OPERATIONS, Graph, Value
from seqlab.nn.compiler.program import Program


@dataclass(frozen=True)
class Code:
    """C++ for a program.

    Attributes:
        source: the whole text.
        kept_states: for each state, whether backward needs it over time (the output state is there anyway).
    """

    source: str
    kept_states: tuple[bool, ...]


@cache
def emit(program: Program, storage: str) -> Code:
    """Write a program as C++ whose products read numbers of type ``storage``, ``float`` or ``bf16``."""
    return _Writer(program, storage).code()


class _Writer:
    def __init__(self, program: Program, storage: str) -> None:
        self.program, self.storage = program, storage
        self.graph = Graph(program.nodes)
        self.seen_through = self._seen_through()
        # What a gate column holds once it has been looked at: node -> column.
        self.columns = {
            self.seen_through.get(column, self.graph.leaf("gate", column)): column
            for column in range(len(program.columns))
        }
        self.used: set[tuple[str, int]] = set()  # leaves that backward reads
        self.late: set[int] = set()  # columns to whose gradient backward_input adds

    def code(self) -> Code:
        program = self.program
        computed = [product.input for product in program.products]
        back_inputs = [self._backward_input(at) if at is not None else "" for at in computed]
        back_cell = self._backward_cell()
        ready: set[int] = set()  # columns that hold their sigmoid or tanh
        inputs = [self._forward_input(at, ready) if at is not None else "" for at in computed]
        cell = self._forward_cell(ready)
        here = Path(__file__).parent
        parts = [
            (here / "kernels.h").read_text().replace("#pragma once\n", ""),
            self._constants(),
            # Not saving must not change a bit: nothing but stores depends on SAVE.
            "template <bool SAVE>\n" + _function("forward_cell(const ForwardRow& r)", [cell]),
            _function("forward_input(int product, const ForwardRow& r)", _cases(inputs)),
            _function("backward_cell(const BackwardRow& r)", [back_cell]),
            _function("backward_input(int product, const BackwardRow& r)", _cases(back_inputs)),
            *((here / name).read_text() for name in ("outer.h", "loop.h")),
        ]
        kept = tuple(state == 0 or ("state", state) in self.used for state in range(program.states))
        return Code("\n".join(parts), kept)

    def _constants(self) -> str:
        program = self.program
        runs = [run for product in program.products for run in product.runs]
        products = [f"{{{int(p.input is not None)}, {len(p.runs)}}}" for p in program.products]
        lengths = [f"{{{run.first}, {len(run.blocks)}}}" for run in runs]
        late = [str(int(column in self.late)) for column in range(len(program.columns))]
        return f"""
typedef {self.storage} S;
enum {{ GATES = {len(program.columns)}, X_GATES = {program.x_columns}, STATES = {program.states} }};
enum {{ VECTORS = {len(program.vectors)}, MASKS = {program.masks}, PRODUCTS = {len(products)}, RUNS = {len(runs)} }};
static const bool USES_X = {int(program.uses_x)};
struct Product {{ bool computed; int runs; }};
struct Run {{ int first, columns; }};
static const Product products[PRODUCTS + 1] = {{{", ".join(products)}}};
static const Run runs[RUNS + 1] = {{{", ".join(lengths)}}};
static const bool LATE[GATES + 1] = {{{", ".join(late)}}};  // whose gradient is complete only after backward_input

struct ForwardRow {{
    long H;
    float* g;
    float* state[STATES];
    const float* vectors;
    const float* mask[MASKS + 1];
    const S* x;
    S *out, *y, *h, *gates;
    S* kept[STATES];
}};
struct BackwardRow {{
    long H;
    const S* g;
    const S* state[STATES];
    const float* vectors;
    const float* mask[MASKS + 1];
    const S* dy;
    const float* dinput;
    const S* x;
    S *dg, *dx;
    float *dg_float, *dvectors;
    float* dstate[STATES];
}};
"""

    def _seen_through(self) -> dict[int, int]:
        """Columns whose only use is one sigmoid or tanh: column -> that node."""
        nodes = self.graph.nodes
        ends = [*self.program.outputs, *(p.input for p in self.program.products)]
        found = {}
        for at, node in enumerate(nodes):
            if node.op == "gate" and at not in ends:
                users = [user for user, other in enumerate(nodes) if at in other.args]
                if len(users) == 1 and nodes[users[0]].op in ("sigmoid", "tanh"):
                    found[node.index] = users[0]
        return found

    def _forward_loads(self, ready: set[int]) -> dict[int, str]:
        loads = {}
        for at, node in enumerate(self.graph.nodes):
            if node.op == "gate":
                loads[at] = f"r.g[{node.index} * H + j]"
            elif node.op in ("state", "mask"):
                loads[at] = f"r.{node.op}[{node.index}][j]"
            elif node.op == "vector":
                loads[at] = f"r.vectors[{node.index} * H + j]"
            elif node.op == "x":
                loads[at] = "ld(r.x + j)"
        return loads | {self.seen_through[column]: f"r.g[{column} * H + j]" for column in ready}

    def _stash(self, values: Iterable[Value], loads: Mapping[int, str], ready: set[int]) -> dict[int, str]:
        """Columns to overwrite with their sigmoid or tanh, since it is now computed for the first time."""
        above = set(self.graph.above(values, stop=loads))
        fresh = {column for column, at in self.seen_through.items() if column not in ready and at in above}
        ready |= fresh
        return {self.seen_through[column]: f"r.g[{column} * H + j]" for column in fresh}

    def _forward_input(self, at: int, ready: set[int]) -> str:
        loads = self._forward_loads(ready)
        stash = self._stash([at], loads, ready)
        return _loops(self.graph, loads, [("st(r.out + j, {});", at)], stash)

    def _forward_cell(self, ready: set[int]) -> str:
        program = self.program
        loads = self._forward_loads(ready)
        stores: list[tuple[str, Value]] = []
        for k, value in enumerate(program.outputs):
            stores.append((f"r.state[{k}][j] = {{}};", value))
            if k == 0:
                stores.append(("st(r.y + j, {});", value))
                if self.storage != "float":
                    stores.append(("st(r.h + j, {});", value))
            elif ("state", k) in self.used:
                stores.append((f"if (SAVE) st(r.kept[{k}] + j, {{}});", value))
        if self.storage != "float":
            for at, column in self.columns.items():
                if ("gate", column) in self.used:
                    stores.append((f"if (SAVE) st(r.gates + {column} * H + j, {{}});", at))
        stash = self._stash([value for _, value in stores], loads, ready)
        return _loops(self.graph, loads, stores, stash, "if (SAVE) ")

    def _backward_loads(self, graph: Graph) -> dict[int, str]:
        loads = {at: f"ld(r.g + {column} * H + j)" for at, column in self.columns.items()}
        for at, node in enumerate(graph.nodes):
            if node.op == "state":
                loads[at] = f"ld(r.state[{node.index}] + j)"
            elif node.op == "mask":
                loads[at] = f"r.mask[{node.index}][j]"
            elif node.op == "vector":
                loads[at] = f"r.vectors[{node.index} * H + j]"
            elif node.op == "x":
                loads[at] = "ld(r.x + j)"
            elif node.op == "grad":
                loads[at] = f"r.dstate[{node.index}][j]"
        return loads

    def _backward(
        self, graph: Graph, loads: dict[int, str], gradients: dict[int, Value], writes: list[tuple[str, Value]]
    ) -> str:
        """The loops, with the gradients of vectors added to what is written."""
        for at, value in gradients.items():
            if graph.nodes[at].op == "vector":
                writes.append((f"r.dvectors[{graph.nodes[at].index} * H + j] += {{}};", value))
        for at in graph.above((value for _, value in writes), stop=loads):
            if at in loads:
                column = self.columns.get(at)
                self.used.add((graph.nodes[at].op, graph.nodes[at].index) if column is None else ("gate", column))
        return _loops(graph, loads, writes, {})

    def _backward_cell(self) -> str:
        program, graph = self.program, Graph(self.graph.nodes)
        grads = [graph.leaf("grad", k) for k in range(program.states)]
        gradients = graph.gradients(zip(program.outputs, grads, strict=True))
        loads = self._backward_loads(graph)
        loads[grads[0]] = "(r.dstate[0][j] + ld(r.dy + j))"
        writes: list[tuple[str, Value]] = []
        for column in range(len(program.columns)):
            place = f"{column} * H + j"
            whole = f"r.dg_float[{place}] = {{}};"
            rounded = f"st(r.dg + {place}, {{}});"
            direct = self.storage != "float" and column not in self.late
            writes.append((rounded if direct else whole, gradients.get(graph.leaf("gate", column), 0.0)))
        for k in range(program.states):
            writes.append((f"r.dstate[{k}][j] = {{}};", gradients.get(graph.leaf("state", k), 0.0)))
        if program.uses_x:
            writes.append(("st(r.dx + j, {});", gradients.get(graph.leaf("x", 0), 0.0)))
        return self._backward(graph, loads, gradients, writes)

    def _backward_input(self, at: int) -> str:
        graph = Graph(self.graph.nodes)
        given = graph.leaf("grad", self.program.states)
        gradients = graph.gradients([(at, given)])
        loads = self._backward_loads(graph)
        loads[given] = "r.dinput[j]"
        writes: list[tuple[str, Value]] = []
        for leaf, value in gradients.items():
            node = graph.nodes[leaf]
            if node.op == "gate":
                self.late.add(node.index)
                writes.append((f"r.dg_float[{node.index} * H + j] += {{}};", value))
            elif node.op == "state":
                writes.append((f"r.dstate[{node.index}][j] += {{}};", value))
            elif node.op == "x":
                writes.append(("st(r.dx + j, ld(r.dx + j) + {});", value))
        return self._backward(graph, loads, gradients, writes)


def _function(head: str, bodies: Iterable[str]) -> str:
    return f"static inline void {head} {{\n    const long H = r.H;\n{''.join(bodies)}}}\n"


def _cases(bodies: list[str]) -> list[str]:
    return [f"    if (product == {at}) {{\n{body}    }}\n" for at, body in enumerate(bodies) if body]


def _loops(
    graph: Graph,
    loads: Mapping[int, str],
    stores: list[tuple[str, Value]],
    stash: Mapping[int, str],
    unless_read: str = "",
) -> str:
    """Loops over ``j`` that compute values and store them.

    Args:
        graph: what the values are made of.
        loads: what stands in memory, with the C++ that reads its element ``j``.
        stores: statements, ``{}`` being the value; made in the last loop, so nothing is overwritten too early.
        stash: vectors to write down as soon as they are computed; they are read back from there.
        unless_read: what stands before writing those that are not read back here.
    """
    needed = graph.above((value for _, value in stores), stop=loads)
    # The loop in which a vector is computed, or before which a scalar is.
    loop: dict[int, int] = {}
    for at in needed:
        node = graph.nodes[at]
        if at in loads:
            loop[at] = 0
        else:
            after = max((loop[arg] for arg in node.args if not isinstance(arg, float)), default=0)
            loop[at] = after + 1 if node.op == "rowsum" else after
    last = max(loop.values(), default=0)
    vectors = {at for at in needed if not graph.is_scalar(at)}
    uses = _uses(graph, needed, loads, loop, vectors - stash.keys(), [(value, last) for _, value in stores])
    first = {at: min(loops) for at, loops in uses.items()}
    later = {at for at, loops in uses.items() if len(loops) > 1}  # vectors that a later loop reads back
    kept = {at: f"b{at}[j]" for at in later} | dict(stash)  # where vectors are in the meantime
    text = [f"    float b{at}[H];\n" for at in sorted(kept) if at not in stash]

    def name(value: Value) -> str:
        if isinstance(value, float):
            return _constant(value)
        return f"v{value}"

    for number in range(last + 1):
        for at in needed:
            if loop[at] == number and at not in vectors and graph.nodes[at].op != "rowsum":
                text.append(f"    const float v{at} = {_apply(graph, at, name)};\n")
        sums = [at for at in needed if graph.nodes[at].op == "rowsum" and loop[at] == number + 1]
        wanted: list[Value] = [graph.nodes[at].args[0] for at in sums]
        wanted += [at for at in kept if first[at] == number]
        if number == last:
            wanted += [value for _, value in stores]
        text += [f"    float v{at} = 0.f;\n" for at in sums]
        reduction = f" reduction(+ : {', '.join(f'v{at}' for at in sums)})" if sums else ""
        text.append(f"#pragma omp simd{reduction}\n    for (long j = 0; j < H; j++) {{\n")
        earlier = {at for at in kept if first[at] < number}
        known = {*loads, *earlier, *(at for at in needed if at not in vectors)}
        for at in graph.above(wanted, stop=known):
            if at not in vectors:
                continue
            if at in loads or at in earlier:
                text.append(f"        const float v{at} = {loads[at] if at in loads else kept[at]};\n")
            else:
                here = vectors - loads.keys() - earlier
                text.append(
                    f"        const float v{at} = {_fused(graph, at, name, here) or _apply(graph, at, name)};\n"
                )
                if at in kept:
                    text.append(f"        {'' if at in later else unless_read}{kept[at]} = v{at};\n")
        text += [f"        v{at} += {name(graph.nodes[at].args[0])};\n" for at in sums]
        if number == last:
            text += [f"        {statement.format(name(value))}\n" for statement, value in stores]
        text.append("    }\n")
    return "".join(text)


CHEAP = ("add", "sub", "mul", "neg")
RECOMPUTED = 4
"""A vector that so few cheap operations make anew is not kept from loop to loop: buffers would outgrow the cache."""


def _uses(
    graph: Graph,
    needed: list[int],
    loads: Mapping[int, str],
    loop: Mapping[int, int],
    vectors: set[int],
    stored: list[tuple[Value, int]],
) -> dict[int, set[int]]:
    """The loops that use each vector which is computed once; what is cheap is computed in every loop that uses it.

    Args:
        graph: what computes what.
        needed: all nodes in question, in order.
        loads: those that stand in memory.
        loop: before which loop a scalar is known.
        vectors: those that may be computed several times.
        stored: values, and the loops that use them.
    """
    cost: dict[int, int] = {}
    for at in needed:
        node = graph.nodes[at]
        made = 1 + sum(cost.get(arg, 0) for arg in node.args if not isinstance(arg, float))
        if at in vectors and at not in loads and node.op in CHEAP and made <= RECOMPUTED:
            cost[at] = made
    uses: dict[int, set[int]] = {at: set() for at in needed}
    for value, number in stored:
        if not isinstance(value, float):
            uses[value].add(number)
    for at in reversed(needed):
        node = graph.nodes[at]
        if at in loads or (node.op != "rowsum" and graph.is_scalar(at)):
            continue
        if node.op == "rowsum":
            where = {loop[at] - 1}
        else:
            where = uses[at] if at in cost else {min(uses[at])}
        for arg in node.args:
            if not isinstance(arg, float):
                uses[arg] |= where
    return {at: loops for at, loops in uses.items() if at not in cost and at not in loads and not graph.is_scalar(at)}


def _apply(graph: Graph, at: int, name: Callable[[Value], str]) -> str:
    node = graph.nodes[at]
    return OPERATIONS[node.op].format(*(name(arg) for arg in node.args))


def _fused(graph: Graph, at: int, name: Callable[[Value], str], here: set[int]) -> str | None:
    """A sum with a product in it as one operation, rounded once; ``here``: what is computed in the same loop."""
    node = graph.nodes[at]
    if node.op not in ("add", "sub"):
        return None
    for one, other in ((0, 1), (1, 0)):
        product, rest = node.args[one], node.args[other]
        if not isinstance(product, float) and product in here and graph.nodes[product].op == "mul":
            a, b = (name(arg) for arg in graph.nodes[product].args)
            minus = "-" if node.op == "sub" else ""
            return f"fma_({a}, {b}, {minus}{name(rest)})" if one == 0 else f"fma_({minus}{a}, {b}, {name(rest)})"
    return None


def _constant(value: float) -> str:
    if math.isnan(value):
        return "NOT_A_NUMBER"
    if math.isinf(value) or abs(value) > 3.4e38:
        return "INF" if value > 0 else "(-INF)"
    return f"{value!r}f" if value >= 0 else f"({value!r}f)"
