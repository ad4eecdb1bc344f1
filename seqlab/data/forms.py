"""Which form of data a source has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from seqlab.data.arrays import ArrayData
from seqlab.data.corpus import Corpus
from seqlab.data.forecast import ForecastData
from seqlab.data.labelled import LabelledText
from seqlab.data.parallel import ParallelText


def form_of(source: Callable[..., Any], node: Mapping[str, Any]) -> Any:
    """The form that a source names by its attribute ``dataset``; of one that names none, guessed from its config.

    Args:
        source: the class or function that ``data._target_`` names.
        node: ``data``, whose keys tell sources without that attribute apart, as all were in earlier versions.
    """
    if (named := getattr(source, "dataset", None)) is not None:
        return named
    for key, form in (("sampling", Corpus), ("horizon", ForecastData), ("shared", ParallelText)):
        if key in node:
            return form
    return LabelledText if "tokenizer" in node else ArrayData
