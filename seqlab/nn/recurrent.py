"""Recurrent encoders: stacks of any cell, in one or both directions, over padded batches of any lengths."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqlab.nn.cellcheck import make_cell
from seqlab.nn.cells import CELLS, ProjectedLSTM, StateDropout, Zoneout
from seqlab.nn.direction import Backend, Direction, recurrent_weights
from seqlab.nn.dropout import dropout as dropout_steps
from seqlab.nn.fused import torch_names
from seqlab.nn.initialize import Init, initialize, linear_maps, state_shapes
from seqlab.nn.options import check_choice, check_positive, check_share, layer_widths
from seqlab.nn.plain import no_script
from seqlab.nn.reference import State
from seqlab.nn.rows import Lengths, Rows, as_lengths
from seqlab.nn.stream import Stream
from seqlab.types import Encoded, InputError

MakeCell = Callable[[int, int], nn.Module]
Merge = Literal["concat", "sum"]


class Recurrent(nn.Module):
    """A stack of recurrent layers: ``(B, T, input_size)`` and lengths to ``Encoded`` of width ``output_size``.

    Equals ``nn.RNN``, ``nn.LSTM`` or ``nn.GRU`` on packed sequences where those can do the same. Rows of length zero
    are allowed: their outputs are zero and their state stays what it was. The answer has the inputs' dtype, under
    autocast too.

    Args:
        input_size: width ``E`` of the inputs (channels, for a cell on grids).
        cell: a name of ``seqlab.nn.cells.CELLS``, or anything that makes a cell of ``(input_size, hidden_size)``: a
            class of your own, or ``partial(LSTM, output_tanh=False)``.
        hidden_size: units of each layer, or a list with one width a layer.
        num_layers: how many layers; None is 1, or as many as ``hidden_size`` lists.
        bidirectional: read each row backwards as well (Schuster and Paliwal 1997).
        merge: how two directions become one: ``concat`` doubles the width, ``sum`` keeps it.
        dropout: on what each layer but the first reads.
        variational: draw that mask once a row for all its steps, see ``seqlab.nn.dropout``.
        recurrent_dropout: on the weights from state to state, one mask for a whole forward call (DropConnect, as in
            AWD-LSTM: Merity et al. 2018).
        state_dropout: on the state as the linear maps read it, one mask a row, the same at every step (Gal and
            Ghahramani 2016).
        zoneout: probability with which a unit keeps its old value for a step (Krueger et al. 2017).
        residual: add to each layer but the first what it reads (He et al. 2016; before dropout).
        init: ``uniform`` as torch draws, all from ``U(-1, 1) / sqrt(hidden_size)``: a short memory first, which suits
            pooled text; ``orthogonal`` or ``identity`` for long lags, see ``initialize``.
        forget_bias: initial bias of the gate that keeps the memory (Jozefowicz et al. 2015: 1); None: as drawn.
        max_lag: instead, the longest lag expected, in steps, for cells with such a gate (chrono initialisation: Tallec
            and Ollivier 2018).
        backend: what runs the cells, see ``Direction``.

    Raises:
        InputError: an unknown choice, a size below one, a probability outside ``[0, 1)``, a ``num_layers`` that
            contradicts ``hidden_size``, or a residual connection between different widths.
    """

    __prepare_scriptable__ = no_script

    def __init__(
        self,
        input_size: int,
        cell: str | MakeCell = "lstm",
        hidden_size: int | Sequence[int] = 128,
        num_layers: int | None = None,
        bidirectional: bool = False,
        merge: Merge = "concat",
        dropout: float = 0.0,
        variational: bool = False,
        recurrent_dropout: float = 0.0,
        state_dropout: float = 0.0,
        zoneout: float = 0.0,
        residual: bool = False,
        init: Init = "uniform",
        forget_bias: float | None = None,
        max_lag: int | None = None,
        backend: Backend = "auto",
    ) -> None:
        super().__init__()
        if isinstance(cell, str):
            check_choice("cell", cell, tuple(CELLS))
            cell = CELLS[cell]
        check_choice("merge", merge, get_args(Merge))
        check_choice("init", init, get_args(Init))
        check_choice("backend", backend, get_args(Backend))
        for option, share in (
            ("dropout", dropout),
            ("recurrent_dropout", recurrent_dropout),
            ("state_dropout", state_dropout),
            ("zoneout", zoneout),
        ):
            check_share(option, share)
        check_positive("input_size", input_size)
        self.input_size, self.dropout, self.residual = input_size, dropout, residual
        self.bidirectional, self.variational = bidirectional, variational
        self.causal = not bidirectional

        def make(reads: int, units: int) -> nn.Module:
            made = make_cell(cell, reads, units)
            initialize(made, init, forget_bias, max_lag)
            for option, share in (("recurrent_dropout", recurrent_dropout), ("state_dropout", state_dropout)):
                if share and not linear_maps(made)[1]:
                    raise InputError(
                        f"{option}={share} has nothing to drop: {type(made).__name__} has no linear map of its state, "
                        "use dropout or zoneout"
                    )
            if state_dropout:
                made = StateDropout(made, state_dropout)
            return Zoneout(made, zoneout) if zoneout else made

        layers: list[RecurrentLayer] = []
        width = input_size
        for k, units in enumerate(layer_widths(hidden_size, num_layers)):
            cells = [make(width, units) for _ in range(2 if bidirectional else 1)]
            layer = RecurrentLayer(cells, merge, recurrent_dropout, backend)
            if residual and k > 0 and layer.output_size != width:
                raise InputError(
                    f"residual=true cannot join layer {k + 1}, which reads width {width} and answers width "
                    f"{layer.output_size}: give all layers one hidden_size, or set residual=false"
                )
            layers.append(layer)
            width = layer.output_size
        self.layers = nn.ModuleList(layers)
        self.output_size = width
        # The same once more as plain lists: a short sequence takes less time than many look-ups in torch's containers.
        self._layers = layers
        self._directions = [direction for layer in layers for direction in layer.each]

    def forward(self, inputs: Tensor, lengths: Lengths = None, state: Sequence[State] | None = None) -> Encoded:
        """Read ``inputs`` ``(B, T, E)`` up to ``lengths`` ``(B,)``, from ``state`` on.

        Args:
            inputs: ``(B, T, E)``, with a grid's dimensions after ``E`` for a cell on grids.
            lengths: ``(B,)`` whole numbers, a tensor on the CPU, a list or an array; None: all rows have ``T`` steps.
            state: one tuple for each layer and direction, as ``Encoded.state`` gives it; None is all zeros.

        Raises:
            InputError: wrong width, lengths that do not fit ``inputs``, or a state of another stack or batch.
        """
        lengths = as_lengths(lengths, inputs)
        B, T, E = inputs.shape[:3]
        if self.input_size != E:
            raise InputError(
                f"the encoder reads vectors of width {self.input_size} but was given width {E}: make the two equal"
            )
        rows = Rows(lengths, B, T, inputs.device)
        start = self.initial_state(B, inputs) if state is None else list(self._check_state(state, B))
        if B == 0 or T == 0:
            zeros = inputs.new_zeros(B, T, self.output_size)
            return Encoded(zeros, inputs.new_zeros(B, self.output_size), lengths, tuple(start))
        if state is not None:
            start = [tuple(rows.sort(part) for part in each) for each in start]
        x, final, ends = rows.enter(inputs), inputs, []
        for k, layer in enumerate(self._layers):
            share = self.dropout if k > 0 and self.training else 0.0
            dropped = dropout_steps(x, share, time=0, variational=self.variational)
            count = len(layer.each)
            outputs, last, end = layer(dropped, start[k * count : (k + 1) * count], rows)
            ends += end
            if self.residual and k > 0:
                outputs, last = outputs + x, last + final
            x, final = outputs, last
        # autocast answers bfloat16 for some cells, float32 for others
        state = tuple(tuple(rows.unsort(part) for part in each) for each in ends)
        return Encoded(rows.leave(x).to(inputs.dtype), rows.unsort(final).to(inputs.dtype), lengths, state)

    def extra_repr(self) -> str:
        """Sizes, for ``print(model)``."""
        return f"{self.input_size} -> {self.output_size}, {len(self._layers)} layer{'s' * (len(self._layers) > 1)}"

    def initial_state(self, B: int, like: Tensor) -> list[State]:
        """Zeros, one tuple for each layer and direction; in the weights' dtype (that of ``like`` without weights)."""
        return [direction.initial_state(B, like) for direction in self._directions]

    def stream(self, batch_size: int = 1) -> Stream:
        """Read step by step: ``stream.push(x)`` with ``x`` ``(B, E)`` answers ``(B, D)``, as ``forward`` would.

        Raises:
            InputError: the encoder also reads backwards, which needs the end before the beginning.
        """
        if self.bidirectional:
            raise InputError("a bidirectional encoder cannot stream: it needs the end of a row before its beginning")
        return Stream(self, batch_size)

    @classmethod
    def from_torch(cls, module: nn.RNNBase, backend: Backend = "auto") -> Recurrent:
        """The same network as a ``nn.RNN``, ``nn.LSTM`` or ``nn.GRU``, with a copy of its weights."""
        if not module.bias:
            raise InputError("a torch module without biases has no counterpart here: make it with bias=True")
        cell: str | MakeCell = {"RNN_TANH": "rnn", "RNN_RELU": "rnn_relu"}.get(module.mode, module.mode.lower())
        if module.proj_size:
            cell = partial(ProjectedLSTM, projection=module.proj_size)
        layers, size = module.num_layers, module.hidden_size
        ours = cls(module.input_size, cell, size, layers, module.bidirectional, dropout=module.dropout, backend=backend)
        ours.to(next(module.parameters()))
        with torch.no_grad():
            for weights, names in zip(ours._torch_weights(), torch_names(module), strict=True):
                for mine, name in zip(weights, names, strict=True):
                    mine.copy_(getattr(module, name))
        return ours.train(module.training)

    def to_torch(self) -> nn.RNNBase:
        """The same network as torch's own module, batch first, with a copy of the weights.

        Raises:
            InputError: torch has no such module: another cell, widths that differ, residual or summed directions,
                dropout inside the recurrence.
        """
        first = self._layers[0]
        kinds = {direction.torch_kind for direction in self._directions}
        widths = {layer.hidden_size for layer in self._layers}
        kind = kinds.pop()
        if kinds or len(widths) > 1 or kind is None or self.residual or first.recurrent_dropout:
            raise InputError("torch has no module like this: it takes one width, plain rnn, lstm or gru layers alone")
        if self.bidirectional and first.merge == "sum":
            raise InputError("torch has no module that sums two directions: use merge=concat")
        options: dict[str, Any] = {"nonlinearity": kind[4:]} if kind.startswith("rnn") else {}
        if first.width != first.hidden_size:
            options["proj_size"] = first.width
        make = {"lstm": nn.LSTM, "gru": nn.GRU}.get(kind, nn.RNN)
        module = make(
            self.input_size,
            first.hidden_size,
            len(self.layers),
            batch_first=True,
            dropout=self.dropout,
            bidirectional=self.bidirectional,
            **options,
        )
        module.to(next(self.parameters()))
        with torch.no_grad():
            for weights, names in zip(self._torch_weights(), torch_names(module), strict=True):
                for mine, name in zip(weights, names, strict=True):
                    getattr(module, name).copy_(mine)
        return module.train(self.training)

    def _torch_weights(self) -> Iterator[list[Tensor]]:
        return (direction.cell.torch_weights() for direction in self._directions)

    def _check_state(self, state: Sequence[State], B: int) -> Sequence[State]:
        wanted = [tuple((B, *shape) for shape in state_shapes(direction.cell)) for direction in self._directions]
        found = [tuple(tuple(part.shape) for part in each) for each in state]
        if found != wanted:
            raise InputError(
                f"the state has shapes {found} but this encoder and batch need {wanted}: "
                "give what the same encoder answered for as many rows"
            )
        return state


class RecurrentLayer(nn.Module):
    """One layer of ``Recurrent``: a cell for each direction, and how their answers are merged.

    Args:
        cells: one, or two of which the second reads backwards.
        merge: ``concat`` or ``sum``.
        recurrent_dropout: on the weights from state to state.
        backend: what runs the cells.
    """

    def __init__(self, cells: Sequence[Any], merge: Merge, recurrent_dropout: float, backend: Backend) -> None:
        super().__init__()
        self.merge, self.recurrent_dropout = merge, recurrent_dropout
        self.each = [Direction(cell, k == 1, backend) for k, cell in enumerate(cells)]
        self.directions = nn.ModuleList(self.each)
        self.hidden_size: int = cells[0].hidden_size
        self.width = state_shapes(cells[0])[0][0]
        self.output_size = self.width * (len(cells) if merge == "concat" else 1)
        self._dropped = recurrent_weights(cells[0]) if recurrent_dropout else []
        self._repr = f"{type(cells[0]).__name__}, {cells[0].input_size}, {cells[0].hidden_size}"

    def forward(self, x: Tensor, state: Sequence[State], rows: Rows) -> tuple[Tensor, Tensor, list[State]]:
        """Outputs ``(T, B, D)``, the last ones ``(B, D)`` and the last states, for ``x`` ``(T, B, E)``."""
        outputs, ends = [], []
        for direction, start in zip(self.each, state, strict=True):
            if self._dropped and self.training:
                weights = {
                    f"cell.{name}": F.dropout(direction.get_parameter(f"cell.{name}"), self.recurrent_dropout)
                    for name in self._dropped
                }
                y, end = torch.func.functional_call(direction, weights, (x, start, rows))
            else:
                y, end = direction(x, start, rows)
            outputs.append(y)
            ends.append(end)
        if len(outputs) == 1:
            return outputs[0], ends[0][0], ends
        if self.merge == "sum":
            return outputs[0] + outputs[1], ends[0][0] + ends[1][0], ends
        return torch.cat(outputs, 2), torch.cat([end[0] for end in ends], 1), ends

    def extra_repr(self) -> str:
        """What the layer is, for ``print(model)`` and the summary."""
        return self._repr + (f", bidirectional, {self.merge}" if len(self.each) == 2 else "")
