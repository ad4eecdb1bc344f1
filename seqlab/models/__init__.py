"""Embedding, encoder and head joined into one model, and its summary."""

from seqlab.models.embedding import Embedding, Features
from seqlab.models.heads import ClassificationHead, RegressionHead, StepHead
from seqlab.models.model import Model
from seqlab.models.ngrams import NgramReader
from seqlab.models.summary import Summary, summarize

__all__ = [
    "ClassificationHead",
    "Embedding",
    "Features",
    "Model",
    "NgramReader",
    "RegressionHead",
    "StepHead",
    "Summary",
    "summarize",
]
