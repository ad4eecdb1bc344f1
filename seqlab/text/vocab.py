"""Vocabularies: ``torchtext.vocab``."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from torch import nn


class Vocab(nn.Module):
    """Tokens to ids and back. Unknown tokens raise until a default index is set.

    Args:
        vocab: the table behind it, as ``vocab`` and ``build_vocab_from_iterator`` make it.
    """

    def __init__(self, vocab: Table) -> None:
        super().__init__()
        self.vocab = vocab

    @property
    def is_jitable(self) -> bool:
        """Always False: the table is plain Python."""
        return False

    def forward(self, tokens: list[str]) -> list[int]:
        """Ids of a list of tokens."""
        return self.vocab.lookup_indices(tokens)

    def __len__(self) -> int:
        return len(self.vocab)

    def __contains__(self, token: str) -> bool:
        return token in self.vocab

    def __getitem__(self, token: str) -> int:
        return self.vocab[token]

    def set_default_index(self, index: int | None) -> None:
        """The id that unknown tokens get from now on, whether it is in range or not; None: they raise."""
        self.vocab.set_default_index(index)

    def get_default_index(self) -> int | None:
        """The id that unknown tokens get, None when they raise."""
        return self.vocab.get_default_index()

    def insert_token(self, token: str, index: int) -> None:
        """Give ``token`` the id ``index`` and move the later ones up; RuntimeError if known or out of range."""
        self.vocab.insert_token(token, index)

    def append_token(self, token: str) -> None:
        """Give ``token`` the next id; RuntimeError if it is known."""
        self.vocab.append_token(token)

    def lookup_token(self, index: int) -> str:
        """The token of an id; RuntimeError if out of range."""
        return self.vocab.lookup_token(index)

    def lookup_tokens(self, indices: Sequence[int]) -> list[str]:
        """The tokens of a sequence of ids; RuntimeError if one is out of range."""
        return self.vocab.lookup_tokens(indices)

    def lookup_indices(self, tokens: list[str]) -> list[int]:
        """Ids of a list of tokens."""
        return self.vocab.lookup_indices(tokens)

    def get_stoi(self) -> dict[str, int]:
        """A new dictionary from token to id."""
        return self.vocab.get_stoi()

    def get_itos(self) -> list[str]:
        """A new list of the tokens in order of id."""
        return self.vocab.get_itos()


def vocab(
    ordered_dict: dict[str, int], min_freq: int = 1, specials: list[str] | None = None, special_first: bool = True
) -> Vocab:
    """A ``Vocab`` of a dictionary's keys in their order.

    Args:
        ordered_dict: token to frequency; specials are popped from it.
        min_freq: rarer tokens are left out.
        specials: tokens that stand together, before the others or after them.
        special_first: whether before.

    Raises:
        RuntimeError: a special occurs twice.
    """
    specials = specials or []
    for token in specials:
        ordered_dict.pop(token, None)
    tokens = [token for token, frequency in ordered_dict.items() if frequency >= min_freq]
    return Vocab(Table([*specials, *tokens] if special_first else [*tokens, *specials]))


def build_vocab_from_iterator(
    iterator: Iterable[Iterable[str]],
    min_freq: int = 1,
    specials: list[str] | None = None,
    special_first: bool = True,
    max_tokens: int | None = None,
) -> Vocab:
    """A ``Vocab`` of the tokens in an iterator of token lists: most frequent first, equal ones by code point.

    Args:
        iterator: lists of tokens.
        min_freq: rarer tokens are left out.
        specials: as in ``vocab``.
        special_first: as in ``vocab``.
        max_tokens: the largest size, specials counted. A special that is also one of the most frequent tokens uses
            up two of its places, as in torchtext.

    Raises:
        AssertionError: ``max_tokens`` leaves no place beside the specials.
        RuntimeError: a special occurs twice.
    """
    counter: Counter[str] = Counter()
    for tokens in iterator:
        counter.update(tokens)
    specials = specials or []
    ranked = sorted(counter.items(), key=lambda pair: (-pair[1], pair[0]))
    if max_tokens is not None:
        if not len(specials) < max_tokens:
            raise AssertionError(f"max_tokens={max_tokens} leaves no place beside {len(specials)} specials.")
        ranked = ranked[: max_tokens - len(specials)]
    return vocab(OrderedDict(ranked), min_freq=min_freq, specials=specials, special_first=special_first)


class Table:
    """What a ``Vocab`` holds: the part that is compiled in torchtext, with the same checks of its arguments.

    Args:
        tokens: distinct strings; their positions are their ids.
        default_index: id of unknown tokens, None: they raise.
    """

    def __init__(self, tokens: Iterable[str], default_index: int | None = None) -> None:
        self._tokens: list[str] = []
        self._ids = _Ids()
        for token in tokens:
            if _checked(token) in self._ids:
                raise RuntimeError(f"Duplicate token found in tokens list: {token}")
            self._ids[token] = len(self._tokens)
            self._tokens.append(token)
        self.set_default_index(default_index)

    @property
    def itos_(self) -> list[str]:
        """A new list of the tokens in order of id."""
        return list(self._tokens)

    @property
    def default_index_(self) -> int | None:
        """The id of unknown tokens."""
        return self._ids.default

    def __len__(self) -> int:
        return len(self._tokens)

    def __contains__(self, token: str) -> bool:
        return _checked(token) in self._ids

    def __getitem__(self, token: str) -> int:
        return self._ids[token]

    def set_default_index(self, index: int | None) -> None:
        """The id of unknown tokens from now on; None: they raise."""
        self._ids.default = None if index is None else _int64(index)

    def get_default_index(self) -> int | None:
        """The id of unknown tokens."""
        return self._ids.default

    def insert_token(self, token: str, index: int) -> None:
        """Give ``token`` the id ``index`` and move the later ones up."""
        index = _int64(index)
        _checked(token)
        if not 0 <= index <= len(self):
            raise RuntimeError(f"Specified index {index} is out of bounds for vocab of size {len(self)}")
        if token in self._ids:
            raise RuntimeError(f"Token {token} already exists in the Vocab with index: {self._ids[token]}")
        self._tokens.insert(index, token)
        for position in range(index, len(self._tokens)):
            self._ids[self._tokens[position]] = position

    def append_token(self, token: str) -> None:
        """Give ``token`` the next id."""
        self.insert_token(token, len(self))

    def lookup_token(self, index: int) -> str:
        """The token of an id."""
        index = _int64(index)
        if not 0 <= index < len(self):
            raise RuntimeError(f"Specified index {index} is out of bounds for vocab of size {len(self)}")
        return self._tokens[index]

    def lookup_tokens(self, indices: Sequence[int]) -> list[str]:
        """The tokens of a sequence of ids."""
        if isinstance(indices, (str, bytes)) or not isinstance(indices, (Sequence, np.ndarray)):
            raise TypeError(f"lookup_tokens() takes a sequence of integers, not {type(indices).__name__}")
        return [self.lookup_token(index) for index in indices]

    def lookup_indices(self, tokens: list[str]) -> list[int]:
        """Ids of a list of tokens."""
        if not isinstance(tokens, list):
            raise TypeError(f"lookup_indices() takes a list of strings, not {type(tokens).__name__}")
        return list(map(self._ids.__getitem__, tokens))

    def get_stoi(self) -> dict[str, int]:
        """A new dictionary from token to id."""
        return dict(self._ids)

    def get_itos(self) -> list[str]:
        """A new list of the tokens in order of id."""
        return list(self._tokens)


class _Ids(dict[str, int]):
    """Token to id, where a token that is not there costs a call and the others nothing."""

    default: int | None = None

    def __missing__(self, token: str) -> int:
        _checked(token)
        if self.default is None:
            raise RuntimeError(f"Token {token} not found and default index is not set")
        return self.default


def _checked(token: Any) -> str:
    """The token, if it is text that UTF-8 can hold (a lone surrogate is not)."""
    if not isinstance(token, str):
        raise TypeError(f"a token must be a string, not {type(token).__name__}")
    try:
        token.encode()
    except UnicodeEncodeError as error:
        raise TypeError(f"the token {token!r} cannot be written as UTF-8") from error
    return token


def _int64(value: Any) -> int:
    """``value`` as a 64-bit integer; as in torchtext, whatever converts to one will do, but for a float."""
    if isinstance(value, float) or not (hasattr(value, "__index__") or hasattr(value, "__int__")):
        raise TypeError(f"an index must be an integer, not {type(value).__name__}")
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise TypeError(f"the index {number} does not fit in 64 bits")
    return number
