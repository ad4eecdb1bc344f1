"""From raw texts to token ids in one pass, and back: what a dataset needs of a tokenizer and a vocabulary."""

from __future__ import annotations

import re
from array import array
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable, Mapping
from itertools import count, repeat
from operator import itemgetter
from typing import Any, Literal, Protocol

import numpy as np

from seqlab.text.pieces import character_table, code_points, count_characters
from seqlab.text.tokenizer import named_tokenizer, source_digest, torchtext_tokenizer
from seqlab.types import InputError, Ragged

SPECIALS = ("<unk>", "<pad>")
_CHUNK = 1 << 17


class TextPipeline(Protocol):
    """A tokenizer with its vocabulary.

    Attributes:
        tokens: id to token, once ``fit`` or ``fit_encode`` has run.
        pad_id: what batches are filled with.
        unk_id: what unknown tokens become.
        characters: ``(V,)`` int64, how many characters of text each token stands for; None where tokens do not give
            the text back.
    """

    tokens: list[str]
    pad_id: int
    unk_id: int

    @property
    def characters(self) -> np.ndarray | None:
        """How many characters of text each token stands for."""
        ...

    def fit(self, texts: Iterable[str]) -> None:
        """Learn the vocabulary from texts, or from a long text in pieces, in memory that does not grow with them."""
        ...

    def fit_encode(self, texts: Iterable[str]) -> Ragged:
        """Learn the vocabulary from these texts and encode them."""
        ...

    def encode(self, texts: Iterable[str]) -> Ragged:
        """Ids of texts; unknown tokens become ``unk_id``."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """Readable text."""
        ...

    def config(self) -> dict[str, Any]:
        """The plain constructor arguments: what a cache key digests."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Plain data from which ``load_pipeline`` makes the same pipeline."""
        ...


class WordPipeline:
    """Tokens of a word or character tokenizer, ids by falling frequency behind ``<unk>`` (0) and ``<pad>`` (1).

    Ids are those of ``build_vocab_from_iterator(tokens, min_freq, ["<unk>", "<pad>"], max_tokens=max_tokens)``.

    Args:
        tokenizer: a name that ``get_tokenizer`` knows, or the dotted name of one's own function.
        max_tokens: the largest vocabulary, the two specials counted; None: no limit.
        min_freq: rarer tokens are unknown.
        library: ``torchtext`` runs the real one instead (same ids; it needs an environment of its own).
        lowercase: whether capitals are folded before the tokenizer reads a text.

    Raises:
        InputError: an argument is wrong, or what it needs cannot be imported.
    """

    pad_id = 1
    unk_id = 0

    def __init__(
        self,
        tokenizer: str = "basic_english",
        max_tokens: int | None = 20000,
        min_freq: int = 1,
        library: Literal["seqlab", "torchtext"] = "seqlab",
        lowercase: bool = False,
    ) -> None:
        if max_tokens is not None and max_tokens <= len(SPECIALS):
            raise InputError(
                f"max_tokens={max_tokens} leaves no place beside <unk> and <pad>: give 3 or more, or null."
            )
        if library not in ("seqlab", "torchtext"):
            raise InputError(f"There is no text library {library!r}: choose 'seqlab' or 'torchtext'.")
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.min_freq = min_freq
        self.library = library
        self.lowercase = lowercase
        self.tokens: list[str] = []
        self._tokenize = named_tokenizer(tokenizer)
        if library == "torchtext":
            self._torchtext_tokenize = torchtext_tokenizer(tokenizer, self._tokenize)

    def fit_encode(self, texts: Iterable[str]) -> Ragged:
        """Learn the vocabulary from these texts and encode them.

        Raises:
            InputError: no token is left for the vocabulary.
        """
        texts = self._folded(texts)
        if self.library == "torchtext":
            tokens = [self._torchtext_tokenize(text) for text in texts]
            self._fit_torchtext(tokens)
            encoded = _ragged(self._vocab(row) for row in tokens)
        elif self.tokenizer == "char":  # twice through them, each time fifty times as fast as one by one
            texts = list(texts)
            self.fit(texts)
            return self.encode(texts)  # folding twice is folding once
        else:
            encoded = self._fit_words(texts)
        self._check_found(encoded.values.size > 0)
        return encoded

    def fit(self, texts: Iterable[str]) -> None:
        """Learn the same vocabulary from texts that are too many to hold, one after the other.

        Raises:
            InputError: no token is left for the vocabulary.
        """
        texts = self._folded(texts)
        if self.library == "torchtext":
            self._fit_torchtext(map(self._torchtext_tokenize, texts))
            self._check_found(self.min_freq > 1)
            return
        if self.tokenizer == "char":
            types, counts = count_characters(texts)
        else:
            counter: Counter[str] = Counter()
            for text in texts:
                counter.update(self._tokenize(text))
            types, counts = list(counter), np.fromiter(counter.values(), np.int64, len(counter))
        self._set_tokens([*SPECIALS, *self._most_frequent(types, counts)])
        self._check_found(len(types) > 0)

    @property
    def characters(self) -> np.ndarray | None:
        """One for each token of ``char`` (an unknown character is one too), none for padding; None for words."""
        if self.tokenizer != "char":
            return None
        return np.array([0 if id == self.pad_id else 1 for id in range(len(self.tokens))], dtype=np.int64)

    def encode(self, texts: Iterable[str]) -> Ragged:
        """Ids of texts; tokens that the fit did not keep become ``unk_id``."""
        assert self.tokens, "fit comes first"
        texts = self._folded(texts)
        if self.library == "torchtext":
            return _ragged(self._vocab(self._torchtext_tokenize(text)) for text in texts)
        if self.tokenizer == "char":
            table = self._table
            return _ragged_arrays(table.take(code_points(text), mode="clip") for text in texts)
        ids = self._ids
        return _ragged(map(ids.get, self._tokenize(text), repeat(self.unk_id)) for text in texts)

    def split(self, text: str) -> list[str]:
        """The tokens of a text, known or not."""
        return list(self._tokenize(next(iter(self._folded([text])))))

    def decode(self, ids: Iterable[int]) -> str:
        """Readable text without padding; characters are joined as they are, words by spaces."""
        words = [self.tokens[int(id)] for id in ids if int(id) != self.pad_id]
        if self.tokenizer == "char":
            return "".join(words)
        text = " ".join(words)
        if self.tokenizer == "basic_english":
            text = re.sub(r" (?=[.,!?)])|(?<=\() ", "", text)  # the tokenizer set these apart
            text = re.sub(r"(?<=\w) ' (?=\w)", "'", text)
        return text

    def config(self) -> dict[str, Any]:
        """The constructor's arguments; for one's own tokenizer also a digest of the file that defines it."""
        digest = source_digest(self._tokenize) if "." in self.tokenizer else None
        return self._arguments() | ({"tokenizer_source": digest} if digest else {})

    def state_dict(self) -> dict[str, Any]:
        """Constructor arguments and tokens, as plain data."""
        return {"kind": "word", "arguments": self._arguments(), "tokens": list(self.tokens)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> WordPipeline:
        """The pipeline that ``state_dict`` described."""
        pipeline = cls(**state["arguments"])
        pipeline._set_tokens(list(state["tokens"]))
        return pipeline

    def _arguments(self) -> dict[str, Any]:
        return {
            "tokenizer": self.tokenizer,
            "max_tokens": self.max_tokens,
            "min_freq": self.min_freq,
            "library": self.library,
        } | ({"lowercase": True} if self.lowercase else {})  # without it, as states of earlier versions

    def _folded(self, texts: Iterable[str]) -> Iterable[str]:
        return (text.lower() for text in texts) if self.lowercase else texts

    def _set_tokens(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self._ids = {token: id for id, token in enumerate(tokens)}
        if self.tokenizer == "char":
            self._table = character_table(tokens, len(SPECIALS), self.unk_id)
        if self.library == "torchtext":
            from torchtext.vocab import vocab

            self._vocab = vocab(OrderedDict.fromkeys(tokens, 1))
            self._vocab.set_default_index(self.unk_id)

    def _check_found(self, any_token: bool) -> None:
        if len(self.tokens) == len(SPECIALS):
            seen = f"no token occurs {self.min_freq} times" if any_token else "no text has a token"
            raise InputError(f"The vocabulary is empty: {seen}; check the texts and the tokenizer {self.tokenizer!r}.")

    def _fit_words(self, texts: Iterable[str]) -> Ragged:
        """Number tokens in order of first sight, count the numbers, then renumber them in place.

        The strings of a text live only while it is read: what stays is 4 bytes a token and one string a type.
        """
        seen: defaultdict[str, int] = defaultdict(count().__next__)
        tokenize = self._tokenize
        encoded = _ragged(_look_up(seen, tokenize(text)) for text in texts)
        chunks = range(0, encoded.values.size, _CHUNK)
        counts = np.zeros(len(seen), dtype=np.int64)
        for start in chunks:  # in pieces, for bincount copies what it reads to int64
            counts += np.bincount(encoded.values[start : start + _CHUNK], minlength=len(seen))
        self._set_tokens([*SPECIALS, *self._most_frequent(list(seen), counts)])
        renumber = np.fromiter((self._ids.get(token, self.unk_id) for token in seen), np.int32, len(seen))
        for start in chunks:
            encoded.values[start : start + _CHUNK] = renumber[encoded.values[start : start + _CHUNK]]
        return encoded

    def _most_frequent(self, types: list[str], counts: np.ndarray) -> list[str]:
        """The kept tokens, most frequent first, equal ones by code point.

        As in torchtext, a special that is itself among the most frequent uses up a place.
        """
        limit = None if self.max_tokens is None else self.max_tokens - len(SPECIALS)
        least = self.min_freq
        if limit is not None and limit < len(types):  # only what may be kept is sorted
            least = max(least, int(np.partition(counts, -limit)[-limit]))
        frequent = np.flatnonzero(counts >= least).tolist()
        ranked = sorted((-int(counts[row]), types[row]) for row in frequent)
        return [token for _, token in ranked[:limit] if token not in SPECIALS]

    def _fit_torchtext(self, tokens: Iterable[list[str]]) -> None:
        from torchtext.vocab import build_vocab_from_iterator

        built = build_vocab_from_iterator(
            tokens, min_freq=self.min_freq, specials=list(SPECIALS), max_tokens=self.max_tokens
        )
        self._set_tokens(built.get_itos())


def load_pipeline(state: Mapping[str, Any]) -> Any:
    """The pipeline that a ``state_dict`` describes, without network or pickle: a ``TextPipeline``, or of pairs of texts
    a ``PairPipeline``.

    Raises:
        InputError: the state is of an unknown kind, or what its tokenizer needs is not installed.
    """
    try:
        if state.get("kind") == "word":
            return WordPipeline.from_state(state)
        if state.get("kind") == "bpe":
            from seqlab.text.bpe import BPEPipeline

            return BPEPipeline.from_state(state)
        if state.get("kind") == "pair":
            from seqlab.text.pairs import PairPipeline

            return PairPipeline.from_state(state)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"The saved text pipeline is damaged ({error!r}): was it written by seqlab?") from error
    raise InputError(f"The saved text pipeline is of an unknown kind {state.get('kind')!r}: was it written by seqlab?")


def _look_up(ids: Mapping[str, int], tokens: Iterable[str]) -> Iterable[int]:
    """``[ids[token] for token in tokens]``, in one call: over a whole corpus this saves a fifth of the fit."""
    tokens = list(tokens)
    return itemgetter(*tokens)(ids) if len(tokens) > 1 else [ids[token] for token in tokens]


def _ragged(rows: Iterable[Iterable[int]]) -> Ragged:
    values, offsets = array("i"), array("q", [0])
    for row in rows:
        values.extend(array("i", row))  # faster than extending by the row itself
        offsets.append(len(values))
    return Ragged(np.frombuffer(values, dtype=np.int32), np.frombuffer(offsets, dtype=np.int64))


def _ragged_arrays(rows: Iterable[np.ndarray]) -> Ragged:
    values, offsets = array("i"), array("q", [0])
    for row in rows:
        values.frombytes(row.view(np.uint8).data)
        offsets.append(len(values))
    return Ragged(np.frombuffer(values, dtype=np.int32), np.frombuffer(offsets, dtype=np.int64))
