"""Tokenizers and n-grams: ``torchtext.data.utils``."""

from __future__ import annotations

import difflib
import importlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import ModuleType
from typing import Any

from seqlab.types import InputError

Tokenizer = Callable[[str], list[str]]

TOKENIZERS = ("basic_english", "char", "whitespace", "spacy", "moses", "toktok", "revtok", "subword")
"""Names that ``get_tokenizer`` knows; ``char`` and ``whitespace`` are ours, the rest are torchtext's."""


def get_tokenizer(tokenizer: str | Tokenizer | None, language: str = "en") -> Callable[..., Any]:
    """A function from a string to its list of tokens.

    Args:
        tokenizer: None splits at white space; a callable is returned as it is; else one of ``TOKENIZERS``.
        language: read by ``spacy`` (a model's name, or ``en``) and ``basic_english`` (``en`` alone).

    Raises:
        InputError: (a ``ValueError``) an unknown name, or ``basic_english`` in another language.
        ImportError: the named tokenizer's package is not installed; the message says what to install.
        OSError: spaCy is there and its model is not.
    """
    if tokenizer is None or tokenizer == "whitespace":
        return _split_tokenizer
    if tokenizer == "basic_english":
        if language != "en":
            raise InputError(f"Tokenizer 'basic_english' reads English only: use language='en', not {language!r}.")
        return _basic_english_normalize
    if tokenizer == "char":
        return list
    if callable(tokenizer):
        return tokenizer
    if tokenizer == "spacy":
        return _spacy(language)
    if tokenizer == "moses":
        return _package("sacremoses", tokenizer, "sacremoses").MosesTokenizer().tokenize
    if tokenizer == "toktok":
        return _package("nltk.tokenize.toktok", tokenizer, "nltk").ToktokTokenizer().tokenize
    if tokenizer == "revtok":
        return _package("revtok", tokenizer, "revtok").tokenize
    if tokenizer == "subword":
        return partial(_package("revtok", tokenizer, "revtok").tokenize, decap=True)
    close = difflib.get_close_matches(str(tokenizer), TOKENIZERS, n=1)
    meant = f"did you mean {close[0]!r}?" if close else f"choose one of {', '.join(TOKENIZERS)}, or your own function."
    raise InputError(f"There is no tokenizer {tokenizer!r}: {meant}")


def ngrams_iterator(token_list: Sequence[str], ngrams: int) -> Iterator[str]:
    """The tokens, then all runs of 2, 3, ... ``ngrams`` neighbours joined by a space."""
    yield from token_list
    for n in range(2, ngrams + 1):
        for gram in zip(*(token_list[start:] for start in range(n)), strict=False):
            yield " ".join(gram)


def _split_tokenizer(x: str) -> list[str]:
    return x.split()


def _basic_english_normalize(line: str) -> list[str]:
    """Lower case; quotes go, brackets and stops stand alone, ``;`` and ``:`` and ``<br />`` become spaces.

    The order matters: a double quote goes before ``<br />`` is looked for, so ``<"br />`` is a break too.
    Chained ``str.replace`` beats a loop of regular expressions about three times, and beats ``str.translate``.
    """
    return (
        line.lower()
        .replace("'", " ' ")
        .replace('"', "")
        .replace(".", " . ")
        .replace("<br />", " ")
        .replace(",", " , ")
        .replace("(", " ( ")
        .replace(")", " ) ")
        .replace("!", " ! ")
        .replace("?", " ? ")
        .replace(";", " ")
        .replace(":", " ")
        .split()
    )


def _package(module: str, tokenizer: str, package: str) -> ModuleType:
    """Import what a tokenizer needs, or say what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        message = f"Tokenizer {tokenizer!r} needs the package {package} ({error}): run `pip install {package}`."
        raise ModuleNotFoundError(message, name=package) from error


def _spacy(language: str) -> Tokenizer:
    """spaCy's tokenizer; a bare language such as ``en`` means that language's small model."""
    spacy = _package("spacy", "spacy", "spacy")
    name = language
    try:
        model = spacy.load(name)
    except OSError as missing:
        name = getattr(spacy.errors, "OLD_MODEL_SHORTCUTS", {}).get(language, "")
        if not name:
            raise OSError(f"spaCy has no model {language!r}: run `python -m spacy download {language}`.") from missing
        warnings.warn(f"spaCy has no model {language!r}; trying {name!r}.", stacklevel=3)
        try:
            model = spacy.load(name)
        except OSError as error:
            raise OSError(f"spaCy has no model {name!r}: run `python -m spacy download {name}`.") from error
    return partial(_spacy_tokenize, spacy=model)


def _spacy_tokenize(x: str, spacy: Any) -> list[str]:
    return [token.text for token in spacy.tokenizer(x)]
