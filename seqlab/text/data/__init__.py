"""Tokenizers, n-grams and BLEU under torchtext's module paths."""

from seqlab.text.data.metrics import bleu_score
from seqlab.text.data.utils import get_tokenizer, ngrams_iterator

__all__ = ["bleu_score", "get_tokenizer", "ngrams_iterator"]
