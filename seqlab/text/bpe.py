"""Byte-pair encoding, trained in this process by the ``tokenizers`` package."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from seqlab.text.pieces import groups, pieces
from seqlab.types import InputError, Ragged

_SPECIALS = ("<unk>", "<pad>")
_BYTES = 256
# For each token the library holds a hundred bytes while it encodes, and it reads 256 texts ahead while it learns.
_PIECE = 1 << 14  # characters
_GROUP = 1 << 19


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
        texts = list(texts)
        self.fit(texts)
        return self.encode(texts)

    def fit(self, texts: Iterable[str]) -> None:
        """Learn merges from these texts; what is held are the different words, not the texts.

        Raises:
            InputError: no text has a token.
        """
        from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

        any_token = False

        def read() -> Iterator[str]:
            nonlocal any_token
            for text in texts:
                any_token = any_token or not (text.isspace() or text == "")
                for piece in pieces(text, _PIECE):
                    # To merge in one word takes the square of its length; one so long teaches as much cut.
                    yield from (piece[start : start + _PIECE] for start in range(0, len(piece), _PIECE))

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
        tokenizer.train_from_iterator(read(), trainer)
        if not any_token:
            raise InputError("The vocabulary is empty: no text has a token; check the texts.")
        self._set_tokenizer(tokenizer)

    def encode(self, texts: Iterable[str]) -> Ragged:
        """Ids of texts."""
        assert self._tokenizer is not None, "fit comes first"
        counts = array("q", [0])  # of the pieces of each text

        def read() -> Iterator[str]:
            for text in texts:
                parts = list(pieces(text, _PIECE))
                counts.append(len(parts))
                yield from parts

        values, ends = array("i"), array("q", [0])
        for group in groups(read(), _GROUP):
            for encoding in self._tokenizer.encode_batch(group, add_special_tokens=False):
                values.extend(encoding.ids)
                ends.append(len(values))
        offsets = np.frombuffer(ends, dtype=np.int64)[np.cumsum(counts)]
        return Ragged(np.frombuffer(values, dtype=np.int32), offsets)

    @property
    def characters(self) -> np.ndarray | None:
        """How many characters begin in each token: of the text as ``decode`` gives it back, normalised and folded."""
        byte_of = _byte_alphabet()
        names = (self._tokenizer.id_to_token(id) for id in range(len(self.tokens)))
        # In UTF-8 all bytes of a character but the first are 10xxxxxx.
        begins = [0 if name in _SPECIALS else sum(byte_of[letter] & 0xC0 != 0x80 for letter in name) for name in names]
        return np.array(begins, dtype=np.int64)

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


def _byte_alphabet() -> dict[str, int]:
    """The letter that byte-level BPE writes for each byte -> the byte (Radford et al. 2019, ``bytes_to_unicode``)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(_BYTES) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(_BYTES + n): byte for n, byte in enumerate(others)}
