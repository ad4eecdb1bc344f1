"""Steps from tokens to a padded tensor, as modules: ``torchtext.transforms``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.text import functional as F
from seqlab.text.functional import _is_list, _is_nested, _unsupported
from seqlab.text.vocab import Table, Vocab

__all__ = [
    "AddToken",
    "LabelToIndex",
    "PadTransform",
    "Sequential",
    "StrToIntTransform",
    "ToTensor",
    "Truncate",
    "VocabTransform",
]


class VocabTransform(nn.Module):
    """Tokens to ids.

    Raises:
        AssertionError: ``vocab`` is no ``Vocab``.
    """

    def __init__(self, vocab: Vocab) -> None:
        super().__init__()
        if not isinstance(vocab, Vocab):
            raise AssertionError(f"VocabTransform takes a Vocab, not {type(vocab).__name__}")
        self.vocab = vocab

    def forward(self, input: Any) -> Any:
        """Ids of a list of tokens, or of each list in a list."""
        if _is_list(input, str):
            return self.vocab.lookup_indices(input)
        if _is_nested(input, str):
            return [self.vocab.lookup_indices(row) for row in input]
        raise _unsupported(input)


class ToTensor(nn.Module):
    """Ids to a tensor; see ``functional.to_tensor``."""

    def __init__(self, padding_value: int | None = None, dtype: torch.dtype = torch.long) -> None:
        super().__init__()
        self.padding_value = padding_value
        self.dtype = dtype

    def forward(self, input: Any) -> Tensor:
        """``(T,)`` of a list, ``(B, T)`` of a list of lists."""
        return F.to_tensor(input, padding_value=self.padding_value, dtype=self.dtype)


class LabelToIndex(nn.Module):
    """Class names to class ids.

    Args:
        label_names: the names in order of id.
        label_path: or a text file of them, one a line.
        sort_names: whether to sort them first.

    Raises:
        AssertionError: neither, or both, are given.
        RuntimeError: a name occurs twice or is no string; when called: an unknown name.
    """

    def __init__(
        self, label_names: Iterable[str] | None = None, label_path: str | None = None, sort_names: bool = False
    ) -> None:
        super().__init__()
        if not label_names and not label_path:
            raise AssertionError("LabelToIndex needs label_names or label_path")
        if label_names and label_path:
            raise AssertionError("LabelToIndex takes label_names or label_path, not both")
        if label_path:
            with open(label_path, encoding="utf-8") as file:
                label_names = [line.strip() for line in file if line.strip()]
        names = label_names or []
        if sort_names:
            names = sorted(names)
        try:
            table = Table(names)
        except TypeError as error:
            raise RuntimeError(f"label_names must be strings: {error}") from error
        self._label_vocab = Vocab(table)
        self._label_names = table.get_itos()

    @property
    def label_names(self) -> list[str]:
        """The names in order of id."""
        return self._label_names

    def forward(self, input: Any) -> Any:
        """The id of a name, or the ids of a list of names."""
        if isinstance(input, str):
            return self._label_vocab[input]
        if _is_list(input, str):
            return self._label_vocab.lookup_indices(input)
        raise _unsupported(input)


class Truncate(nn.Module):
    """Cut rows to ``max_seq_len`` elements."""

    def __init__(self, max_seq_len: int) -> None:
        super().__init__()
        self.max_seq_len = max_seq_len

    def forward(self, input: Any) -> Any:
        """The first elements of each row."""
        return F.truncate(input, self.max_seq_len)


class AddToken(nn.Module):
    """Put a token (an id or a string) before each row, or after it."""

    def __init__(self, token: int | str, begin: bool = True) -> None:
        super().__init__()
        self.token = token
        self.begin = begin

    def forward(self, input: Any) -> Any:
        """The longer rows."""
        return F.add_token(input, self.token, self.begin)


class PadTransform(nn.Module):
    """Pad a tensor's last dimension to ``max_length``; a longer one stays as it is."""

    def __init__(self, max_length: int, pad_value: int) -> None:
        super().__init__()
        self.max_length = max_length
        self.pad_value = float(pad_value)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., T)`` to ``(..., max(T, max_length))``."""
        missing = self.max_length - x.size(-1)
        return nn.functional.pad(x, (0, missing), value=self.pad_value) if missing > 0 else x


class StrToIntTransform(nn.Module):
    """Strings to the integers they spell."""

    def forward(self, input: Any) -> Any:
        """Integers in the shape of the input."""
        return F.str_to_int(input)


class Sequential(nn.Sequential):
    """One step after another."""

    def forward(self, input: Any) -> Any:
        """The last step's answer."""
        for module in self:
            input = module(input)
        return input
