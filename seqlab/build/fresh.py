"""Files that a trained model is measured on: read in the form of its own data, with the vocabulary that it learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from seqlab.build.keys import Config, only
from seqlab.build.plan import make_plan
from seqlab.data.asked import read_examples
from seqlab.data.pairs import PairsFile
from seqlab.data.targets import KINDS, learned, stored
from seqlab.data.textfile import TextFile
from seqlab.errors import shorten
from seqlab.text.pairs import PairPipeline
from seqlab.text.pipeline import TextPipeline
from seqlab.types import DataSpec, InputError, Pairs, Split, Tokens


def read_part(config: Config, spec: DataSpec, pipeline: TextPipeline | PairPipeline | None, path: Path) -> Any:
    """A file of labelled texts, of pairs, of running text or of arrays, as a part to measure a run of that data on.

    Raises:
        InputError: the run reads no texts; the file cannot be read, is not of that form, or holds nothing.
    """
    data = config["data"]
    form = make_plan(config).form
    if hasattr(form, "read_file"):
        return form.read_file(path, spec, targets=True)
    if pipeline is None:
        advice = "use seqlab backtest, or seqlab predict --path" if spec.task == "forecasting" else "remove --data"
        raise InputError(
            f"--data measures runs that read texts, and this one was trained on data={data['name']}: {advice}."
        )
    if isinstance(pipeline, PairPipeline):
        columns = only(data, ("source_column", "target_column", "encoding"))
        sources, targets = PairsFile(path, **columns).sentences()
        return Pairs(pipeline.encode_sources(sources), pipeline.encode_targets(targets), (sources, targets))
    if spec.task == "language_modeling":
        return _tokens(TextFile(path, **only(data, ("encoding", "separator", "line_end"))), pipeline)
    kind = next(kind for kind in KINDS if kind == spec.task)
    texts, found = read_examples(path, data, spec.labels, kind)
    answers = learned(kind, stored(kind, found, spec.num_outputs), spec.num_outputs, (spec.mean, spec.deviation))
    return Split(pipeline.encode(texts), answers)


def _tokens(source: TextFile, pipeline: TextPipeline) -> Tokens:
    documents: list[list[str]] = []
    for begins, text in source.read():
        if begins or not documents:
            documents.append([])
        documents[-1].append(text)
    encoded = pipeline.encode("".join(pieces) for pieces in documents)
    if not len(encoded.values):
        raise InputError(f"{shorten(source.path)} holds no text.")
    return Tokens(encoded.values, np.unique(encoded.offsets[:-1][encoded.lengths > 0]))
