"""A language model says what comes next, after each token of a text, and can be fed a text token by token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.models.heads import TokenHead
from seqlab.models.layers import encoder_layers, example_ids
from seqlab.nn.plain import no_script
from seqlab.types import Encoded, InputError, States


@dataclass(frozen=True)
class Prediction:
    """What a language model answers.

    Attributes:
        logits: ``(B, T, V)`` of the token after each step.
        encoded: what the encoder made of the text, with the state in which each row ended.
        dropped: ``(B, T, D)``: its outputs as the output layer read them, after dropout.
    """

    logits: Tensor
    encoded: Encoded
    dropped: Tensor


def check_causal(encoder: nn.Module) -> None:
    """Refuse an encoder to which the next token would be no secret.

    Raises:
        InputError: it reads ahead.
    """
    if not getattr(encoder, "causal", False):
        what = "a bidirectional encoder" if getattr(encoder, "bidirectional", False) else type(encoder).__name__
        raise InputError(
            f"A language model must not see the token that it is to predict, and {what} does: choose one that reads "
            "left to right, such as model=lstm (bidirectional=false)."
        )


class LanguageModel(nn.Module):
    """``p(token t + 1 | tokens 0 .. t)`` for every ``t`` at once (Mikolov et al. 2010).

    Args:
        embedding: ``(B, T)`` ids to ``(B, T, E)``.
        encoder: one that never reads ahead: ``causal``, see ``seqlab.types.Encoder``.
        head: the encoder's outputs to logits.

    Raises:
        InputError: the encoder reads ahead.
    """

    __prepare_scriptable__ = no_script

    def __init__(self, embedding: nn.Module, encoder: nn.Module, head: TokenHead) -> None:
        super().__init__()
        check_causal(encoder)
        self.embedding, self.encoder, self.head = embedding, encoder, head

    def example_inputs(self) -> tuple[Tensor, ...]:
        """Two rows of ids and their lengths."""
        return example_ids(self)

    def layers(self) -> dict[str, nn.Module]:
        """By name, in order."""
        return {"embedding": self.embedding, **encoder_layers(self.encoder), "head": self.head}

    def forward(self, inputs: Tensor, lengths: Tensor, state: States | None = None) -> Prediction:
        """Read ``inputs`` ``(B, T)`` int64 up to ``lengths`` ``(B,)``, from ``state`` on (None: zeros)."""
        encoded: Encoded = self.encoder(self.embedding(inputs), lengths, state)
        dropped = self.head.drop(encoded.outputs)
        return Prediction(self.head(dropped), encoded, dropped)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.head.output.weight.device

    def stream(self, batch_size: int = 1) -> LanguageStream:
        """Read ``batch_size`` texts token by token, with the weights as they are now.

        Raises:
            InputError: the model is in training mode, where dropout would blur what it says.
        """
        if self.training:
            raise InputError("Call model.eval() before model.stream(): in training mode dropout blurs what it says.")
        return LanguageStream(self, batch_size)


class LanguageStream:
    """Texts read in step, ``B`` of them: push a token, hear what may come next.

    On the CPU in float32 every answer has the bits that ``LanguageModel.forward`` over the whole text would have there
    (where the cells are compiled; a TCN's are equal up to rounding). Many streams may be made of one model; each has
    its own state. Made by ``LanguageModel.stream``.
    """

    def __init__(self, model: LanguageModel, batch_size: int) -> None:
        self.batch_size = batch_size
        self._model = model
        self._encoder: Any = model.encoder.stream(batch_size)  # type: ignore[operator]
        self._head = model.head.steps(batch_size)

    @torch.no_grad()
    def push(self, ids: Tensor) -> Tensor:
        """Read one token of each text, ``ids`` ``(B,)`` int64, and answer the logits ``(B, V)`` of the next.

        Raises:
            InputError: another number of tokens.
        """
        if not isinstance(ids, Tensor) or ids.shape != (self.batch_size,):
            raise InputError(
                f"push takes one token of each of {self.batch_size} texts, a tensor of ids of shape "
                f"({self.batch_size},), not {_shown(ids)}."
            )
        return self._head(self._encoder.push(self._embed(ids.unsqueeze(1)).squeeze(1)))

    @torch.no_grad()
    def read(self, ids: Tensor) -> Tensor:
        """Read some tokens of each text at once, ``ids`` ``(B, T)`` int64; logits ``(B, V)`` after the last.

        Raises:
            InputError: another number of texts, or no token.
        """
        if not isinstance(ids, Tensor) or ids.dim() != 2 or len(ids) != self.batch_size or ids.shape[1] == 0:
            raise InputError(
                f"read takes one row of at least one token for each of {self.batch_size} texts, a tensor of ids, not "
                f"{_shown(ids)}."
            )
        model = self._model
        lengths = torch.full((self.batch_size,), ids.shape[1])
        encoded: Encoded = model.encoder(self._embed(ids), lengths, self.state)
        self.state = encoded.state
        logits: Tensor = model.head(encoded.outputs[:, -1:])
        return logits.squeeze(1)

    def _embed(self, ids: Tensor) -> Tensor:
        try:
            embedded: Tensor = self._model.embedding(ids)
        except (IndexError, RuntimeError) as error:
            most = self._model.head.output.out_features - 1
            if not ids.is_floating_point() and ids.min() >= 0 and ids.max() <= most:
                raise
            raise InputError(f"ids must be whole numbers from 0 to {most}, not {ids.tolist()}.") from error
        return embedded

    @property
    def state(self) -> States:
        """The memory of what was read, one tuple of ``(B, ...)`` for each layer; may be kept, saved and put back."""
        state: States = self._encoder.state
        return state

    @state.setter
    def state(self, state: States) -> None:
        self._encoder.state = state

    def reset(self, row: int | None = None) -> None:
        """Forget everything, or what one text said."""
        self._encoder.reset(row)


def _shown(ids: Any) -> str:
    return f"one of shape {tuple(ids.shape)}" if isinstance(ids, Tensor) else repr(ids)
