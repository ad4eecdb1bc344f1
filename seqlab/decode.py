"""Writing with a language model: draw a token, let the model read it, and give the text out as it gets certain."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from seqlab.text.pipeline import TextPipeline, WordPipeline
from seqlab.types import InputError

_CPU = torch.device("cpu")
_CHUNK = 4096
"""Tokens of a prompt that are read at once, so that a long one takes no more memory than that."""
_NAMED = 20
"""Unknown tokens of a prompt that are named."""


class TokenStream(Protocol):
    """One text read token by token, such as ``models.LanguageStream`` of one row."""

    def push(self, ids: Tensor) -> Tensor:
        """Read ``ids`` ``(1,)`` and answer the logits ``(1, V)`` of the next token."""
        ...

    def read(self, ids: Tensor) -> Tensor:
        """Read ``ids`` ``(1, T)`` and answer the logits ``(1, V)`` after the last."""
        ...

    def reset(self) -> None:
        """Forget what was read."""
        ...


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn.

    The logits are divided by ``temperature``. Of the probabilities the ``top_k`` largest stay, and of those, scaled to
    a sum of 1, the fewest that reach ``top_p`` together (nucleus sampling, Holtzman et al. 2020); where some are equal,
    the smaller ids stay. One token is drawn by what is left.

    Args:
        temperature: below 1 the likely gets likelier, above 1 all gets more alike.
        top_k: how many tokens may be drawn; None: all.
        top_p: which share of the probability may be drawn, in ``(0, 1]``; None: all of it.
        greedy: always the most probable token instead.

    Raises:
        InputError: a number out of its range, or ``greedy`` together with others.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    greedy: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise InputError(
                f"temperature={self.temperature} must be above 0 and finite: for the most probable token take greedy."
            )
        if self.top_k is not None and self.top_k < 1:
            raise InputError(f"top_k={self.top_k} leaves no token to draw: give 1 or more.")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise InputError(f"top_p={self.top_p} is no share of the probability: give more than 0 and at most 1.")
        if self.greedy and (self.temperature, self.top_k, self.top_p) != (1, None, None):
            raise InputError("greedy takes the most probable token: remove temperature, top_k and top_p.")

    def probabilities(self, logits: Tensor) -> Tensor:
        """``(B, V)`` logits to ``(B, V)`` float64, by which each row's token is drawn; -inf is never drawn.

        Raises:
            InputError: a model whose training diverged says nothing.
        """
        logits = logits.double()
        best = logits.amax(-1, keepdim=True)
        if not best.isfinite().all():
            raise InputError("The model's answers are not finite, so there is nothing to draw: its training diverged.")
        if self.greedy:
            return torch.zeros_like(logits).scatter_(-1, logits.argmax(-1, keepdim=True), 1)
        # The best is moved to zero first, so that no temperature is too low: the others go to -inf, not to nan.
        probabilities = ((logits - best) / self.temperature).softmax(-1)
        if self.top_k is None and self.top_p is None:
            return probabilities
        ranked, order = probabilities.sort(dim=-1, descending=True, stable=True)
        if self.top_k is not None:
            ranked[:, self.top_k :] = 0
        if self.top_p is not None and self.top_p < 1:
            ranked /= ranked.sum(-1, keepdim=True)
            before = ranked.cumsum(-1) - ranked
            ranked[before >= self.top_p] = 0
        kept = torch.zeros_like(ranked).scatter_(-1, order, ranked)
        return kept / kept.sum(-1, keepdim=True)

    def draw(self, logits: Tensor, generator: torch.Generator) -> Tensor:
        """One token of each row of ``logits`` ``(B, V)``: ``(B,)`` int64, both on the CPU."""
        probabilities = self.probabilities(logits)
        return probabilities.argmax(-1) if self.greedy else probabilities.multinomial(1, generator=generator).squeeze(1)


def generate(
    stream: TokenStream,
    prompt_ids: Sequence[int],
    length: int,
    sampling: Sampling,
    generator: torch.Generator,
    forbidden: Sequence[int] = (),
    device: torch.device = _CPU,
) -> Iterator[int]:
    """Read ``prompt_ids`` on from where ``stream`` is, then draw ``length`` tokens, each read before the next is drawn.

    The stream has not read the token that was given last: whoever goes on reads it first.

    Args:
        stream: of one row.
        prompt_ids: at least one.
        length: how many tokens to draw.
        sampling: how.
        generator: where the chance comes from, on the CPU.
        forbidden: ids that are never drawn.
        device: where the stream reads.
    """
    for start in range(0, len(prompt_ids), _CHUNK):
        logits = stream.read(torch.tensor([prompt_ids[start : start + _CHUNK]], device=device))
    never = torch.tensor(forbidden, dtype=torch.int64)
    ids = torch.empty(1, dtype=torch.int64)
    for step in range(length):
        if step:
            logits = stream.push(ids.to(device))
        ids = sampling.draw(logits.to("cpu", torch.float64).index_fill(-1, never, -math.inf), generator)
        yield int(ids)


class Decoder:
    """Ids to text, one id at a time: what is given out is certain, and joined it is what ``decode`` says of all ids.

    A character is given at once, bytes of one character when they are complete, and a word without the space behind
    it, which depends on what follows.

    Args:
        pipeline: whose ids they are.
        context: ids before the first, whose text is out already.
    """

    def __init__(self, pipeline: TextPipeline, context: Sequence[int] = ()) -> None:
        self._pipeline = pipeline
        self._ids = [id for id in context if id != pipeline.pad_id][-2:]  # the last that bear on what follows
        self._given = 0  # characters of their text that are out
        self.flush()

    def push(self, id: int) -> str:
        """The text that is certain now and was not before, maybe none."""
        if id == self._pipeline.pad_id:
            return ""
        self._ids.append(id)
        text = self._pipeline.decode(self._ids)
        certain = self._certain(text)
        piece = text[self._given : certain]
        self._given = max(self._given, certain)
        if certain == len(text):
            self._ids = self._ids[-2:]
            self._given = len(self._pipeline.decode(self._ids))
        elif len(self._ids) > 8:
            self._forget()
        return piece

    def flush(self) -> str:
        """What is held back, as it stands, maybe the sign for a broken character; further ids begin behind it."""
        text = self._pipeline.decode(self._ids)
        piece = text[self._given :]
        if self._certain(text) < len(text):
            self._ids = self._ids[-1:]  # alone, for what stood before must not join it any more
        self._given = len(self._pipeline.decode(self._ids))
        return piece

    def _certain(self, text: str) -> int:
        """How many characters of ``text`` no further id can change."""
        if not isinstance(self._pipeline, WordPipeline):
            return len(text) - text.endswith("\ufffd")  # the beginning of a character shows as one such sign
        if self._pipeline.tokenizer == "basic_english" and re.search(r"\w '$", text):
            return len(text) - 2  # joins both its neighbours if a word follows, as in "don't"
        return len(text)

    def _forget(self) -> None:
        """Of a long run of bytes that make no character keep the last; a character has four, a token at least one."""
        old, new = (self._pipeline.decode(ids) for ids in (self._ids[:-4], self._ids[-4:]))
        if old + new == self._pipeline.decode(self._ids):  # else this would cut a character in two
            self._ids, self._given = self._ids[-4:], self._given - len(old)


def until(pieces: Iterable[str], stop: str) -> Iterator[str]:
    """The text of ``pieces`` up to right before ``stop`` first occurs; what may be its beginning is held back."""
    held = ""
    for piece in pieces:
        held += piece
        found = held.find(stop)
        if found >= 0:
            yield held[:found]
            return
        most = min(len(held), len(stop) - 1)
        kept = next(size for size in range(most, -1, -1) if held.endswith(stop[:size]))
        yield held[: len(held) - kept]
        held = held[len(held) - kept :]
    yield held


class Writer:
    """A language model that writes on: it remembers what it has read and written from one call to the next.

    Args:
        stream: of one row, ``model.stream()``.
        pipeline: the model's text pipeline. Its unknown and padding tokens are never written.
        sampling: how tokens are drawn.
        seed: of the writer's own chance, so that the same calls write the same text; no global generator is touched.
        device: where the stream reads.

    Raises:
        InputError: ``seed`` is out of range.
    """

    def __init__(
        self,
        stream: TokenStream,
        pipeline: TextPipeline,
        sampling: Sampling | None = None,
        seed: int = 0,
        device: torch.device = _CPU,
    ) -> None:
        if not 0 <= seed < 2**63:
            raise InputError(f"seed={seed} must be a whole number from 0 up, and below 2 to the 63rd.")
        self._stream, self._pipeline, self._device = stream, pipeline, device
        self._sampling = sampling or Sampling()
        self._generator = torch.Generator().manual_seed(seed)
        self._unread: list[int] = []  # ids that the stream is still to read: a prompt, or the last id written

    def write(self, prompt: str, length: int, stop: str | None = None) -> Iterator[str]:
        """Read ``prompt`` and write on behind it, given out in pieces as they get certain.

        Args:
            prompt: text of any length, read on from where the writer is; empty goes on from there.
            length: how many tokens to write at most.
            stop: end right before this text, once it is written (it counts as read by whoever goes on).

        Raises:
            InputError: there is nothing to go on from, the prompt is no text, or an argument is out of range.
        """
        if length < 1:
            raise InputError(f"length={length} writes nothing: give 1 token or more.")
        if stop == "":
            raise InputError("stop is empty, which would end the text before it begins: give some text, or leave it.")
        self._unread += self._encode(prompt)
        if not self._unread:
            raise InputError("The prompt has no token to go on from: give it some text.")
        pieces = self._pieces(length)
        return filter(None, pieces if stop is None else until(pieces, stop))

    def reset(self) -> None:
        """Forget what was read and written; the chance goes on."""
        self._stream.reset()
        self._unread = []

    def _encode(self, prompt: str) -> list[int]:
        try:
            prompt.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"The prompt is no text: {prompt!r} holds bytes that are not UTF-8.") from error
        ids: list[int] = self._pipeline.encode([prompt])[0].tolist()
        return ids

    def _pieces(self, length: int) -> Iterator[str]:
        ids, pipeline = self._unread, self._pipeline
        decoder = Decoder(pipeline, ids)
        never = (pipeline.unk_id, pipeline.pad_id)
        for id in generate(self._stream, ids, length, self._sampling, self._generator, never, self._device):
            self._unread = [id]
            yield decoder.push(id)
        yield decoder.flush()


def unknown(pipeline: TextPipeline, text: str) -> str:
    """A sentence that names the tokens of ``text`` that ``pipeline`` does not know; empty where it knows them all."""
    if not isinstance(pipeline, WordPipeline):
        return ""
    tokens = pipeline.split(text)
    ids = pipeline.encode([text])[0].tolist()
    found = list(dict.fromkeys(repr(token) for token, id in zip(tokens, ids, strict=True) if id == pipeline.unk_id))
    more = f" and {len(found) - _NAMED} others" if len(found) > _NAMED else ""
    return f"The model has never seen {', '.join(found[:_NAMED])}{more}, which it reads as <unk>." if found else ""
