"""Embedding, encoder and head joined into one model, and its summary."""

from seqlab.models.embedding import Embedding, Features
from seqlab.models.forecaster import Forecaster
from seqlab.models.heads import ClassificationHead, RegressionHead, StepHead, TokenHead
from seqlab.models.language_model import LanguageModel, LanguageStream, Prediction, check_causal
from seqlab.models.model import Model
from seqlab.models.ngrams import NgramReader
from seqlab.models.summary import AnyModel, Summary, summarize

__all__ = [
    "AnyModel",
    "ClassificationHead",
    "Embedding",
    "Features",
    "Forecaster",
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
