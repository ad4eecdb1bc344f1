"""seqlab: recurrent networks over sequences, trained, measured and explained."""

__version__ = "0.1.0"
