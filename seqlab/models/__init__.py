"""Embedding, encoder and head joined into one model, and its summary."""

from seqlab.models.embedding import Embedding
from seqlab.models.heads import ClassificationHead
from seqlab.models.model import Model
from seqlab.models.ngrams import NgramReader
from seqlab.models.summary import Summary, summarize

__all__ = ["ClassificationHead", "Embedding", "Model", "NgramReader", "Summary", "summarize"]
