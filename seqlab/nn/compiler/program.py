"""What a step is, once it is written down: the products there are, on which columns, and the arithmetic in between."""

from __future__ import annotations

from dataclasses import dataclass

from seqlab.nn.compiler.graph import Node, Value


@dataclass(frozen=True)
class Block:
    """``H`` rows of a parameter or buffer from ``row`` on; of a matrix, the columns from ``column`` on."""

    name: str
    row: int
    column: int = 0


@dataclass(frozen=True)
class Column:
    """A gate column's part that does not depend on the state: the sum of maps of ``x`` and of biases."""

    maps: tuple[Block, ...]
    biases: tuple[Block, ...]


@dataclass(frozen=True)
class Run:
    """Neighbouring columns, ``first`` and on, that one product fills; for each the weights (added up if several)."""

    first: int
    blocks: tuple[tuple[Block, ...], ...]


@dataclass(frozen=True)
class Product:
    """What is multiplied with recurrent weights, and the columns it goes to.

    Attributes:
        input: a node of the graph; None is the output state as it stands in memory.
        runs: where it goes.
    """

    input: int | None
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Program:
    """One step of a cell.

    Attributes:
        nodes: the arithmetic, see ``graph.py``; leaves are gate columns, states, vectors and masks.
        outputs: the new states.
        columns: the gate columns; those with maps of ``x`` come first.
        products: in the order in which they can be made.
        vectors: parameters and buffers used outside products.
        masks: how many masks the step takes.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[Value, ...]
    columns: tuple[Column, ...]
    products: tuple[Product, ...]
    vectors: tuple[Block, ...]
    masks: int

    @property
    def uses_x(self) -> bool:
        """Whether x itself takes part in the arithmetic."""
        return any(node.op == "x" for node in self.nodes)

    @property
    def x_columns(self) -> int:
        """How many columns have a part in ``x``."""
        return sum(bool(column.maps) for column in self.columns)

    @property
    def states(self) -> int:
        """How many states there are."""
        return len(self.outputs)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of all parameters and buffers it reads, each once."""
        blocks = [block for column in self.columns for block in (*column.maps, *column.biases)]
        blocks += [b for product in self.products for run in product.runs for several in run.blocks for b in several]
        return tuple(dict.fromkeys(block.name for block in (*blocks, *self.vectors)))
