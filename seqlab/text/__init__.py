"""Text to token ids: torchtext 0.18's public surface in pure Python, and the pipelines built on it.

Module paths mirror torchtext's, so ``import torchtext.X`` becomes ``import seqlab.text.X`` and nothing else changes.
"""

from seqlab.text.bpe import BPEPipeline
from seqlab.text.data.metrics import bleu_score
from seqlab.text.data.utils import get_tokenizer, ngrams_iterator
from seqlab.text.pipeline import TextPipeline, WordPipeline, load_pipeline
from seqlab.text.vectorize import vectorize
from seqlab.text.vocab import Vocab, build_vocab_from_iterator, vocab

__all__ = [
    "BPEPipeline",
    "TextPipeline",
    "Vocab",
    "WordPipeline",
    "bleu_score",
    "build_vocab_from_iterator",
    "get_tokenizer",
    "load_pipeline",
    "ngrams_iterator",
    "vectorize",
    "vocab",
]
