"""Encoders and pooling: what reads ``(B, T, E)`` and what summarises the result. Knows nothing of data or tasks."""

from seqlab.nn.pooling import Pooling
from seqlab.nn.readers import BagOfWords, ConcatMLP, Convolution
from seqlab.nn.recurrent import Recurrent
from seqlab.nn.segments import SegmentRecurrent
from seqlab.nn.stream import Stream
from seqlab.nn.tcn import TCN
from seqlab.nn.transformer import TransformerEncoder

__all__ = [
    "TCN",
    "BagOfWords",
    "ConcatMLP",
    "Convolution",
    "Pooling",
    "Recurrent",
    "SegmentRecurrent",
    "Stream",
    "TransformerEncoder",
]
