"""The decoding half of an encoder-decoder: a recurrent stack that looks back at the source."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from seqlab.nn import Recurrent
from seqlab.nn.attention import Attention, AttentionKind
from seqlab.nn.cells import CELLS
from seqlab.nn.dropout import dropout as dropout_steps
from seqlab.nn.initialize import num_masks, state_shapes
from seqlab.nn.options import check_choice
from seqlab.types import Encoded, Encoder, InputError, States, mask

BridgeKind = Literal["dense", "copy", "zero"]


class Bridge(nn.Module):
    """From what an encoder ends with to the state in which a decoder begins.

    * ``dense``: ``tanh(W final + b)`` for each tensor of the state, as in Bahdanau et al. 2015 (appendix A.2.2): for
      any cells, depths and directions.
    * ``copy``: the encoder's own state, as in Sutskever et al. 2014: for two stacks of the same cells and sizes, read
      left to right.
    * ``zero``: nothing; all is left to the attention.

    Args:
        encoder: any.
        decoder: a stack that reads left to right.
        kind: which.

    Raises:
        InputError: an unknown kind, or a state that does not fit.
    """

    def __init__(self, encoder: Encoder, decoder: Recurrent, kind: BridgeKind = "dense") -> None:
        super().__init__()
        check_choice("bridge", kind, get_args(BridgeKind))
        self.kind = kind
        self.shapes = _shapes(decoder)
        if kind == "dense":
            self.sizes = [shape[0] for layer in self.shapes for shape in layer]
            self.map = nn.Linear(encoder.output_size, sum(self.sizes))
        elif kind == "copy":
            same = isinstance(encoder, Recurrent) and not encoder.bidirectional and _shapes(encoder) == self.shapes
            if not same:
                raise InputError(
                    "bridge=copy hands the encoder's state on, and this encoder's state is not the decoder's: give "
                    "both the same cell, hidden_size and num_layers and bidirectional=false, or take bridge=dense."
                )

    def forward(self, encoded: Encoded) -> States:
        """One tuple of ``(B, ...)`` for each of the decoder's layers."""
        if self.kind == "copy":
            return encoded.state
        final = encoded.final
        if self.kind == "zero":
            return tuple(tuple(final.new_zeros(len(final), *shape) for shape in layer) for layer in self.shapes)
        parts = iter(torch.tanh(self.map(final)).to(final.dtype).split(self.sizes, 1))
        return tuple(tuple(next(parts) for _ in layer) for layer in self.shapes)


class AttentionDecoder(nn.Module):
    """Embedded target tokens to what says the next ones.

    The stack reads the token before (and, with input feeding, what was made of the step before); its output ``h`` asks
    the attention, and ``tanh(W [context; h])`` is the answer: Luong et al. 2015, sections 3 and 3.3. Without attention
    the answer is ``h`` alone, as in Sutskever et al. 2014.

    Without input feeding all steps of a known target run at once; with it, one after the other.

    Args:
        input_size: ``E``, of the embedded tokens.
        memory_size: ``D`` of the encoder's outputs.
        cell: see ``Recurrent``.
        hidden_size: of each layer.
        num_layers: of the stack.
        dropout: between layers.
        variational: draw that mask once a row for all its steps, see ``seqlab.nn.dropout``.
        recurrent_dropout: see ``Recurrent``; this and the next two only without input feeding.
        state_dropout: see there.
        zoneout: see there.
        attention: see ``Attention``; ``none`` for none.
        num_heads: of ``attention=multihead``.
        input_feeding: read the last step's answer, too.

    Raises:
        InputError: an option out of range, or input feeding without attention.
    """

    def __init__(
        self,
        input_size: int,
        memory_size: int,
        cell: str = "gru",
        hidden_size: int = 256,
        num_layers: int = 1,
        dropout: float = 0.0,
        variational: bool = False,
        recurrent_dropout: float = 0.0,
        state_dropout: float = 0.0,
        zoneout: float = 0.0,
        attention: AttentionKind | Literal["none"] = "general",
        num_heads: int = 4,
        input_feeding: bool = True,
    ) -> None:
        super().__init__()
        check_choice("task.decoder.cell", cell, tuple(CELLS))
        check_choice("attention", attention, ("none", *get_args(AttentionKind)))
        if attention == "none" and input_feeding:
            raise InputError(
                "input_feeding=true feeds the attended answer back, and with attention=none there is none: set "
                "input_feeding=false."
            )
        within = {"recurrent_dropout": recurrent_dropout, "state_dropout": state_dropout, "zoneout": zoneout}
        for option, share in within.items():
            if share and input_feeding:
                raise InputError(
                    f"{option}={share} works inside a pass over the whole target, and input_feeding=true goes step by "
                    f"step: set input_feeding=false, or {option}=0."
                )
        reads = input_size + (hidden_size if input_feeding else 0)
        self.recurrent = Recurrent(
            reads, cell, hidden_size, num_layers, dropout=dropout, variational=variational,
            recurrent_dropout=recurrent_dropout, state_dropout=state_dropout, zoneout=zoneout,
        )  # fmt: skip
        self.output_size = self.recurrent.output_size
        if input_feeding and self.output_size != hidden_size:
            raise InputError(
                f"input_feeding=true needs a cell that answers hidden_size numbers, and cell={cell} answers "
                f"{self.output_size}: take another, or set input_feeding=false."
            )
        self.attention = None
        if attention != "none":
            self.attention = Attention(self.output_size, memory_size, attention, num_heads)
            self.combine = nn.Linear(memory_size + self.output_size, self.output_size)
        self.input_feeding = input_feeding

    def prepare(self, encoded: Encoded) -> tuple[Tensor, ...]:
        """What every step needs of the source: keys, values and what to ignore, each ``(B, T, ...)``."""
        if self.attention is None:
            return ()
        outputs = encoded.outputs
        ignored = ~mask(encoded.lengths, outputs.shape[1], outputs.device)
        return (*self.attention.prepare(outputs), ignored)

    def forward(
        self, words: Tensor, lengths: Tensor, source: tuple[Tensor, ...], states: States
    ) -> tuple[Tensor, Tensor | None]:
        """All steps of known targets.

        Args:
            words: ``(B, U, E)``, the embedded token before each step.
            lengths: ``(B,)`` int64 on the CPU: how many steps count; what is answered beyond them means nothing.
            source: from ``prepare``.
            states: to begin in, a tuple of ``(B, ...)`` for each layer.

        Returns:
            ``(B, U, D)``, and the weights ``(B, U, T)`` of the attention, or None.
        """
        if not self.input_feeding:
            return self._attend(self.recurrent(words, lengths, states).outputs, source)
        said, masks = words.new_zeros(len(words), self.output_size), self._masks(words)
        answers, looked = [], []
        for word in words.unbind(1):
            said, states, weights = self.step(word, said, source, states, masks)
            answers.append(said)
            looked.append(weights)
        return torch.stack(answers, 1), torch.stack(looked, 1)  # type: ignore[arg-type]

    def step(
        self,
        word: Tensor,
        said: Tensor | None,
        source: tuple[Tensor, ...],
        states: States,
        masks: tuple[Tensor, ...] = (),
    ) -> tuple[Tensor, States, Tensor | None]:
        """One step.

        Args:
            word: ``(B, E)``.
            said: ``(B, D)``, the answer of the step before, for input feeding; zeros at first.
            source: from ``prepare``.
            states: after the step before.
            masks: of dropout between layers, where they stay the same for all steps.

        Returns:
            The answer ``(B, D)``, the states after it, and the weights ``(B, T)``, or None.
        """
        x = word
        if self.input_feeding:
            assert said is not None
            x = torch.cat((word, said.to(word.dtype)), 1)
        after: list[tuple[Tensor, ...]] = []
        for k, layer in enumerate(self.recurrent.layers):
            if k > 0 and masks:
                x = x * masks[k - 1]
            elif k > 0 and self.training:
                x = dropout_steps(x, self.recurrent.dropout, time=0, variational=False)
            # The cell itself: a compiled scan would pack its weights anew at every step.
            cell: Any = layer.each[0].cell  # type: ignore[index, union-attr]
            noise = (cell.masks(1, len(x), states[k][0]),) if num_masks(cell) else ()
            state = cell.step(x, states[k], *noise)
            after.append(tuple(new.to(old.dtype) for new, old in zip(state, states[k], strict=True)))
            x = after[-1][0]
        answer, weights = self._attend(x.unsqueeze(1), source)
        return answer.squeeze(1), tuple(after), None if weights is None else weights.squeeze(1)

    def _attend(self, decoded: Tensor, source: tuple[Tensor, ...]) -> tuple[Tensor, Tensor | None]:
        if self.attention is None:
            return decoded, None
        context, weights = self.attention(decoded, *source)
        return torch.tanh(self.combine(torch.cat((context, decoded), 2))).to(decoded.dtype), weights

    def _masks(self, like: Tensor) -> tuple[Tensor, ...]:
        """Dropout between layers, ``(B, D)`` each, for all steps of a row; empty where each step draws its own."""
        recurrent = self.recurrent
        if not (self.training and recurrent.dropout and recurrent.variational):
            return ()
        ones = like.new_ones(len(like), self.output_size)
        return tuple(
            dropout_steps(ones, recurrent.dropout, time=0, variational=False) for _ in range(len(recurrent.layers) - 1)
        )


def _shapes(stack: Recurrent) -> list[tuple[tuple[int, ...], ...]]:
    """Shapes of a stack's state, without ``B``: of each layer a tuple."""
    return [tuple(state_shapes(direction.cell)) for direction in stack._directions]
