"""Byte-pair encoding, trained in this process by the ``tokenizers`` package."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import numpy as np

from seqlab.types import InputError, Ragged

_SPECIALS = ("<unk>", "<pad>")
_BYTES = 256
_ROWS = 1000


class BPEPipeline:
    """Byte-level BPE (Sennrich et al. 2016): no text is unknown, and ``decode`` gives the text back (NFC, folded).

    Args:
        vocab_size: the largest vocabulary: two specials, the 256 bytes and what is merged from them.
        lowercase: whether capitals are folded first.
        min_freq: rarer pairs are not merged.

    Raises:
        InputError: ``vocab_size`` has no room for the bytes.
    """

    pad_id = 1
    unk_id = 0

    def __init__(self, vocab_size: int = 8000, lowercase: bool = True, min_freq: int = 2) -> None:
        if vocab_size < _BYTES + len(_SPECIALS):
            raise InputError(f"vocab_size={vocab_size} is too small for BPE: give {_BYTES + len(_SPECIALS)} or more.")
        self.vocab_size = vocab_size
        self.lowercase = lowercase
        self.min_freq = min_freq
        self.tokens: list[str] = []
        self._tokenizer: Any = None

    def fit_encode(self, texts: Iterable[str]) -> Ragged:
        """Learn merges from these texts and encode them.

        Raises:
            InputError: no text has a token.
        """
        from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

        texts = list(texts)
        if not any(text.strip() for text in texts):
            raise InputError("The vocabulary is empty: no text has a token; check the texts.")
        tokenizer = Tokenizer(models.BPE())
        steps = [normalizers.NFC()] + ([normalizers.Lowercase()] if self.lowercase else [])
        tokenizer.normalizer = normalizers.Sequence(steps)
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab_size,
            min_frequency=self.min_freq,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=list(_SPECIALS),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        self._set_tokenizer(tokenizer)
        return self.encode(texts)

    def encode(self, texts: Iterable[str]) -> Ragged:
        """Ids of texts."""
        assert self._tokenizer is not None, "fit_encode comes first"
        values, offsets = array("i"), array("q", [0])
        rows = iter(texts)
        while chunk := list(islice(rows, _ROWS)):
            for encoding in self._tokenizer.encode_batch(chunk, add_special_tokens=False):
                values.extend(encoding.ids)
                offsets.append(len(values))
        return Ragged(np.frombuffer(values, dtype=np.int32), np.frombuffer(offsets, dtype=np.int64))

    def decode(self, ids: Iterable[int]) -> str:
        """The text, without padding."""
        return self._tokenizer.decode([int(id) for id in ids if int(id) != self.pad_id], skip_special_tokens=False)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"vocab_size": self.vocab_size, "lowercase": self.lowercase, "min_freq": self.min_freq}

    def state_dict(self) -> dict[str, Any]:
        """Constructor arguments and the tokenizer as JSON text."""
        return {"kind": "bpe", "arguments": self.config(), "tokenizer": self._tokenizer.to_str()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> BPEPipeline:
        """The pipeline that ``state_dict`` described."""
        from tokenizers import Tokenizer

        pipeline = cls(**state["arguments"])
        pipeline._set_tokenizer(Tokenizer.from_str(state["tokenizer"]))
        return pipeline

    def _set_tokenizer(self, tokenizer: Any) -> None:
        """Take a trained tokenizer; tokens are written as the text they stand for, not in the byte alphabet."""
        tokenizer.encode_special_tokens = True  # a text that says "<pad>" is text
        self._tokenizer = tokenizer
        self.tokens = [
            token if token in _SPECIALS else tokenizer.decoder.decode([token])
            for token in (tokenizer.id_to_token(id) for id in range(tokenizer.get_vocab_size()))
        ]
