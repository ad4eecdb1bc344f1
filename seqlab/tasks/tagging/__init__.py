"""Tagging: one label for every step."""

from seqlab.tasks.tagging.objective import Tagging as Tagging
from seqlab.tasks.tagging.objective import TaggingMeter as TaggingMeter
