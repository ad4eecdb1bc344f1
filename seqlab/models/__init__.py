"""Embedding, encoder and head joined into one model, and its summary."""

from seqlab.models.embedding import Embedding, Features
from seqlab.models.heads import ClassificationHead, RegressionHead, StepHead, TokenHead
from seqlab.models.language_model import LanguageModel, LanguageStream, Prediction, check_causal
from seqlab.models.model import Model
from seqlab.models.ngrams import NgramReader
from seqlab.models.summary import Summary, summarize

__all__ = [
    "ClassificationHead",
    "Embedding",
    "Features",
    "LanguageModel",
    "LanguageStream",
    "Model",
    "NgramReader",
    "Prediction",
    "RegressionHead",
    "StepHead",
    "Summary",
    "TokenHead",
    "check_causal",
    "summarize",
]
