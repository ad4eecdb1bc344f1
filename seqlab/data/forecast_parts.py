"""Where training, validation and test begin in series: by fractions, by rows or by dates; always in that order."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np

from seqlab.data.moments import date_of
from seqlab.data.series import PartName, Series, Slice
from seqlab.types import InputError

log = logging.getLogger(__name__)

_PARTS: tuple[PartName, ...] = ("train", "val", "test")
PART_NAMES: dict[PartName, str] = {"train": "training", "val": "validation", "test": "test"}
_FORMS = "three fractions ([0.7, 0.1, 0.2]), three numbers of rows, or the two dates where validation and test begin"


def parts(series: Series, split: Sequence[float | int | str]) -> dict[PartName, Slice]:
    """Cut each series in training, validation and test, one after the other.

    Args:
        series: one or several.
        split: ``[0.7, 0.1, 0.2]``: fractions of each series' rows; ``[8640, 2880, 2880]``: rows of each series, those
            behind are unused; ``["1957-01", "1958-01"]``: dates on which validation and test begin. A second number
            of 0 means that there is no validation part, a third of 0 that there is no test part.

    Raises:
        InputError: a split of another form, more than there is, a date outside of the data, or a part without rows.
    """
    split = list(split)
    if len(split) == 2 and all(isinstance(entry, str) for entry in split):
        bounds, names = _by_date(series, split), _PARTS
    elif len(split) == 3 and all(isinstance(entry, (int, float)) and not isinstance(entry, bool) for entry in split):
        bounds = _by_number(series, split)
        names = ("train", *(name for name, size in zip(_PARTS[1:], split[1:], strict=True) if size))
        if names == ("train",):
            raise InputError(f"data.split={split} leaves nothing to measure on: give validation or test some rows.")
    else:
        raise InputError(f"data.split must be {_FORMS}, not {split}.")
    places = {name: _PARTS.index(name) for name in names}
    found = {name: Slice(series, name, bounds[i], bounds[i + 1]) for name, i in places.items()}
    for name, part in found.items():
        empty = part.stops <= part.starts
        if empty.any() if name == "train" else empty.all():  # each series is scaled by its own training rows
            number = int(empty.argmax())
            times = [series.times[series.starts[number]], series.times[series.stops[number] - 1]]
            raise InputError(
                f"data.split={split} leaves the {PART_NAMES[name]} part{of_series(series.ids[number])} without rows "
                f"(there are {_rows(series, number)}, from {series.moment(times[0])} to {series.moment(times[1])}): "
                "move its bounds."
            )
    unused = int((series.stops - np.max([part.stops for part in found.values()], axis=0)).sum())
    if unused:
        log.warning(
            "data.split=%s uses %s of %s rows: the last %s of %s are not used (fractions that add up to 1 use all)",
            split,
            f"{len(series) - unused:,}",
            f"{len(series):,}",
            f"{unused:,}" if len(series.ids) == 1 else f"{unused:,} in all",
            "them" if len(series.ids) == 1 else "each series",
        )
    return found


def _by_number(series: Series, split: list) -> np.ndarray:
    """``(4, S)``: where the parts begin, and the last ends."""
    if not all(0 <= entry < math.inf for entry in split):
        raise InputError(f"data.split={split} must not be negative, infinite or nan anywhere.")
    sizes = series.stops - series.starts
    if any(isinstance(entry, float) for entry in split):
        if (total := math.fsum(split)) > 1 + 1e-9:
            raise InputError(
                f"data.split={split} adds up to {total:g}: fractions of training, validation and test may add up to 1 "
                "at most (rows are whole numbers)."
                + (f" Write {[round(entry / 100, 4) for entry in split]}." if abs(total - 100) < 1e-6 else "")
            )
        shares = np.minimum(np.cumsum([0.0, *split]), 1.0)
        return series.starts + np.rint(shares[:, None] * sizes).astype(np.int64)
    if sum(split) == 100 and (sizes != 100).all():
        raise InputError(
            f"data.split={split}: whole numbers are rows, but these look like percent of the {_rows(series, 0)} rows"
            f"{of_series(series.ids[0])}: write {[entry / 100 for entry in split]}, or rows that add up to what "
            "there is."
        )
    if (short := sizes < sum(split)).any():
        number = int(short.argmax())
        raise InputError(
            f"data.split={split} asks for {sum(split):,} rows, but there are {_rows(series, number)}"
            f"{of_series(series.ids[number])}: ask for fewer, or give fractions."
        )
    return series.starts + np.cumsum([0, *split])[:, None]


def _by_date(series: Series, split: list) -> np.ndarray:
    """``(4, S)``: where the parts begin, and the last ends."""
    dates = [date_of(entry, series.zone, "data.split", series.times) for entry in split]
    first, last = series.times[series.starts].min(), series.times[series.stops - 1].max()
    for name, entry, date in zip(("validation", "test"), split, dates, strict=True):
        if not first < date <= last:
            raise InputError(
                f"data.split={split}: the {name} part cannot begin at {entry}, since the data go from "
                f"{series.moment(first)} to {series.moment(last)}: choose a date between them."
            )
    if dates[1] <= dates[0]:
        raise InputError(f"data.split={split}: the test part must begin later than the validation part.")
    spans = list(zip(series.starts.tolist(), series.stops.tolist(), strict=True))
    found = [[start + int(series.times[start:stop].searchsorted(date)) for start, stop in spans] for date in dates]
    return np.stack([series.starts, *np.array(found, dtype=np.int64), series.stops])


def _rows(series: Series, number: int) -> str:
    return f"{int(series.stops[number] - series.starts[number]):,}"


def of_series(series_id: str) -> str:
    """``of series 'x'``, where series have names: to say where something is the matter."""
    return f" of series '{series_id}'" if series_id else ""
