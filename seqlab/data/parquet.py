"""Parquet files, batch by batch; they need pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from seqlab.errors import InputError


def column_names(path: Path) -> list[str]:
    """Of all columns.

    Raises:
        InputError: no pyarrow, or not a Parquet file.
    """
    return list(_opened(path).schema_arrow.names)


def batches(path: Path, names: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
    """Some columns, at most ``rows`` at a time.

    Raises:
        InputError: as ``column_names``.
    """
    for batch in _opened(path).iter_batches(rows, columns=list(names)):
        yield batch.to_pandas()[list(names)]


def _opened(path: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(f"{path} needs pyarrow: pip install 'seqlab[parquet]', or give a CSV file.") from error
    try:
        return pyarrow.parquet.ParquetFile(path, pre_buffer=False)  # which would hold the whole file
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"{path} is not a Parquet file ({str(error).splitlines()[0]}).") from error
