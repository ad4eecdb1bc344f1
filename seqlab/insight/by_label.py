"""How well each class or label is told: precision, recall, F1 and how many examples it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from seqlab import durable
from seqlab.insight.classification import escape


def by_label(right: np.ndarray, said: np.ndarray, labels: Sequence[str]) -> pd.DataFrame:
    """A row a label: ``label``, ``precision``, ``recall``, ``f1``, ``support``; what is divided by nothing is 0.

    Args:
        right: ``(N,)`` class ids, or ``(N, K)`` bool.
        said: likewise.
        labels: ``K`` names.
    """
    if right.ndim == 1:
        right, said = (ids[:, None] == np.arange(len(labels)) for ids in (right, said))
    hits, given, support = (right & said).sum(axis=0), said.sum(axis=0), right.sum(axis=0)
    return pd.DataFrame(
        {
            "label": list(labels),
            "precision": hits / np.maximum(given, 1),
            "recall": hits / np.maximum(support, 1),
            "f1": 2 * hits / np.maximum(given + support, 1),
            "support": support,
        }
    )


def markdown(report: pd.DataFrame) -> str:
    """That as a table for TensorBoard."""
    lines = ["| label | precision | recall | F1 | examples |", "|---|---|---|---|---|"]
    for label, precision, recall, f1, support in report.itertuples(index=False):
        lines.append(f"| {escape(label)} | {precision:.3f} | {recall:.3f} | {f1:.3f} | {support:,} |")
    return "\n".join(lines)


def write_by_label(tracker: Any, split: str, report: pd.DataFrame, step: int) -> None:
    """Write it as ``SPLIT_by_class.csv`` and into TensorBoard's text tab."""
    durable.write_text(tracker.run_dir / f"{split}_by_class.csv", report.to_csv(index=False))
    tracker.text(f"{split}/by_class", markdown(report), step)
