"""Embedding, encoder and head joined into one model, and its summary."""

from seqlab.models.attention_decoder import AttentionDecoder, Bridge
from seqlab.models.embedding import Embedding, Features
from seqlab.models.forecaster import Forecaster
from seqlab.models.heads import ClassificationHead, RegressionHead, StepHead, TokenHead
from seqlab.models.language_model import LanguageModel, LanguageStream, Prediction, check_causal
from seqlab.models.model import Model
from seqlab.models.ngrams import NgramReader
from seqlab.models.seq2seq import Seq2Seq
from seqlab.models.summary import AnyModel, AnyTranslator, Summary, summarize
from seqlab.models.transformer import TransformerTranslator

__all__ = [
    "AnyModel",
    "AnyTranslator",
    "AttentionDecoder",
    "Bridge",
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
    "Seq2Seq",
    "StepHead",
    "Summary",
    "TokenHead",
    "TransformerTranslator",
    "check_causal",
    "summarize",
]
