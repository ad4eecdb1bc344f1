"""What pandas says of the text of a CSV, in one sentence."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from seqlab.data.files import readable
from seqlab.errors import InputError, shorten


@contextmanager
def mended(path: Path, encoding: str) -> Iterator[None]:
    """Say in one sentence why pandas cannot read a CSV.

    Raises:
        InputError: instead of the errors of pandas, and of those that ``readable`` knows.
    """
    try:
        with readable(path, encoding):
            yield
    except pd.errors.EmptyDataError:
        raise InputError(f"{path} is empty: give a file with a header and rows under it.") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
        if found:
            what = f", line {found[2]}: {found[3]} cells where the header has {found[1]}"
        elif isinstance(error, pd.errors.ParserWarning):
            what = ": its lines have more cells than the header"
        else:
            what = f" cannot be read ({str(error).strip().splitlines()[0]})"
        raise InputError(
            f"{shorten(path)}{what}: separate cells by commas (.csv) or tabs (.tsv) alone, or set data.delimiter."
        ) from error


@contextmanager
def strict() -> Iterator[None]:
    """Cells beyond the header are an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        yield
