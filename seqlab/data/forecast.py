"""Series, ready to train on: read a source, cut it in parts, scale by the training part alone, lay windows over it."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np

from seqlab.data.forecast_parts import PART_NAMES
from seqlab.data.forecast_parts import parts as parts
from seqlab.data.forecast_units import ForecastUnits as ForecastUnits
from seqlab.data.forecast_units import spread
from seqlab.data.forecast_windows import ForecastLoader as ForecastLoader
from seqlab.data.forecast_windows import Windows as Windows
from seqlab.data.forecast_windows import windows_over
from seqlab.data.options import check_counts
from seqlab.data.scaling import Scaling as Scaling
from seqlab.data.series import PartName, Series, Slice
from seqlab.protocols import LoadContext
from seqlab.types import DataSpec, InputError, Loader

log = logging.getLogger(__name__)


class Source(Protocol):
    """Names series; anything with these three is one."""

    name: str

    def digest(self) -> str:
        """A digest of the files and of the options they are read with; cheap, for it is asked at every start."""
        ...

    def read(self) -> Series:
        """All rows, the same at every reading."""
        ...


@dataclass(frozen=True)
class SeriesOptions:
    """How series are split, scaled and cut into windows, see ``prepare``.

    Attributes:
        horizon: rows that a window asks for.
        lookback: rows that a window reads.
        split: fractions, rows, or the two dates where validation and test begin.
        scaling: steps to learn from the training part.
        season: rows after which the data repeat; 1 where they do not.
        stride: use every n-th training window.
        batch_size: windows in a batch.
    """

    horizon: int = 24
    lookback: int = 96
    split: Sequence[float | str] = (0.7, 0.1, 0.2)
    scaling: Sequence[str | Mapping[str, Any]] = ("standard",)
    season: int = 1
    stride: int = 1
    batch_size: int = 64

    def __post_init__(self) -> None:
        check_counts(
            lookback=self.lookback,
            horizon=self.horizon,
            stride=self.stride,
            season=self.season,
            batch_size=self.batch_size,
        )


@dataclass(frozen=True)
class ForecastData:
    """Three parts as windows over the same rows, and what is known of them: a ``Dataset``.

    Attributes:
        name: of the source.
        train: windows that lie in the training part with look-back and horizon.
        val: windows whose horizon lies in the validation part; their look-back may reach back into training. None where
            there is no such part.
        test: the same of the test part.
        spec: the sizes that the model takes from the data.
        digest: of the source and of all options.
        series: as it was read.
        scaling: that has learned from the training part.
        units: lead forecasts back to those of the data.
        season: rows after which the data repeat, more or less.
        parts: which rows belong to which part.
    """

    Options: ClassVar[type[SeriesOptions]] = SeriesOptions
    known_baselines: ClassVar[Mapping[str, float]] = {}
    gives: ClassVar[tuple[str, ...]] = ("forecasting",)

    name: str
    train: Windows
    val: Windows | None
    test: Windows | None
    spec: DataSpec
    digest: str
    series: Series
    scaling: Scaling
    units: ForecastUnits
    season: int
    parts: dict[PartName, Slice]
    pipeline: None = None

    @classmethod
    def placeholder(cls, options: SeriesOptions, task: str, make_source: Callable[[], Any]) -> DataSpec:
        """Two targets."""
        return DataSpec(task, 2, ("a", "b"), num_features=2, horizon=options.horizon)

    @classmethod
    def load(cls, source: Source, options: SeriesOptions, context: LoadContext) -> ForecastData:
        """Read and cut into windows, see ``load_forecast``."""
        return load_forecast(
            source,
            lookback=options.lookback,
            horizon=options.horizon,
            split=options.split,
            scaling=options.scaling,
            season=options.season,
            stride=options.stride,
        )

    def part(self, split: str) -> Windows | None:
        """``train``, ``val`` or ``test``; None where there is no such part."""
        return {"train": self.train, "val": self.val, "test": self.test}[split]

    @staticmethod
    def batches(part: Windows, options: SeriesOptions, spec: DataSpec, *, train: bool, seed: int) -> Loader:
        """Windows in a new order each epoch; in their own order to measure."""
        return ForecastLoader(part, batch_size=options.batch_size, seed=seed, shuffle=train)

    @staticmethod
    def encode(inputs: Sequence[Any], spec: DataSpec, pipeline: Any) -> Windows:
        """Refused: series are read from a file, see ``Run.forecast``."""
        raise InputError("Series are forecast from a file: seqlab predict RUN --path FILE.")

    def artifacts(self) -> dict[str, Any]:
        """What the scaling has learned from the training part."""
        return {"scaling": self.scaling.state_dict()}

    def difference(self, saved: Mapping[str, Any]) -> str:
        """In the rows, or in the options that they were read with."""
        if saved["digest"] == self.digest:
            return ""
        return f"data={self.name} has other rows or was read with other options"

    @property
    def last(self) -> tuple[Windows, Slice]:
        """The windows and the rows of the test part, or where there is none of the validation part."""
        windows = self.val if self.test is None else self.test
        assert windows is not None
        return windows, self.parts["val" if self.test is None else "test"]


def unparted(series: Series, scaling: Scaling, lookback: int, horizon: int) -> ForecastData:
    """Series to forecast beyond the end of, by a scaling that has learned elsewhere: no parts, and no windows in them.

    Nothing is measured on them, so that they may be as short as one look-back; ``units`` know no spread.
    """
    windows = windows_over(series, scaling, np.empty(0, dtype=np.int64), lookback, horizon)
    none = np.ones((len(series.ids), len(series.targets)))
    units = ForecastUnits(series, scaling, horizon, none, none)
    return ForecastData(
        "series", windows, None, None, _spec(series, windows), "", series, scaling, units, season=1, parts={}
    )


def _spec(series: Series, windows: Windows) -> DataSpec:
    """The sizes that a model takes from windows of series."""
    return DataSpec(
        "forecasting",
        num_outputs=len(series.targets),
        labels=series.targets,
        num_features=windows.inputs.shape[1],
        horizon=windows.horizon,
        num_future=windows.num_future,
    )


def load_forecast(
    source: Source,
    *,
    lookback: int,
    horizon: int,
    split: Sequence[float | int | str],
    scaling: Sequence[str | Mapping[str, Any]],
    season: int,
    stride: int = 1,
) -> ForecastData:
    """Read a source and make windows of it, see ``prepare``."""
    options = [lookback, horizon, list(split), Scaling(scaling).steps, season, stride]
    started = time.perf_counter()
    data = prepare(
        source.read(),
        lookback=lookback,
        horizon=horizon,
        split=split,
        scaling=scaling,
        season=season,
        stride=stride,
        name=source.name,
        digest=hashlib.sha256(json.dumps([source.digest(), *options]).encode()).hexdigest(),
    )
    log.info(
        "%s: %s rows, %s training, %s validation, %s test windows (%.1f s)",
        data.name,
        f"{len(data.series):,}",
        *(f"{0 if windows is None else len(windows):,}" for windows in (data.train, data.val, data.test)),
        time.perf_counter() - started,
    )
    return data


def prepare(
    series: Series,
    *,
    lookback: int,
    horizon: int,
    split: Sequence[float | int | str],
    scaling: Sequence[str | Mapping[str, Any]] | Scaling,
    season: int,
    stride: int = 1,
    name: str = "series",
    digest: str = "",
) -> ForecastData:
    """Cut series in parts, scale them by the training part, lay windows over them; a pure function of its arguments.

    Args:
        series: as they were read; left as they are.
        lookback: rows that a window reads.
        horizon: rows that it is asked for.
        split: see ``parts``.
        scaling: steps to learn from the training part; or a ``Scaling`` that has learned, to be used as it is.
        season: rows after which the data repeat, for MASE; 1 where they do not.
        stride: only every so-manieth training window is used.
        name: of the data.
        digest: of what the series came from, and of these options.

    Raises:
        InputError: a part that is too short for one window, a training part not longer than the season, a target that
            never changes there; what ``parts`` and ``Scaling`` refuse.
    """
    for option, value in (("lookback", lookback), ("horizon", horizon), ("season", season), ("stride", stride)):
        if value < 1:
            raise InputError(f"data.{option} must be at least 1, not {value}.")
    cut = parts(series, split)
    fitted = scaling if isinstance(scaling, Scaling) else Scaling(scaling).fit(cut["train"])
    origins = {part: _origins(cut[part], lookback, horizon, fitted.lost) for part in cut}
    if stride > 1:
        origins["train"] = [found[::stride] for found in origins["train"]]
    shared = windows_over(series, fitted, np.concatenate(origins["train"]), lookback, horizon)
    windows = {part: replace(shared, origins=np.concatenate(found)) for part, found in origins.items()}
    return ForecastData(
        name=name,
        train=windows["train"],
        val=windows.get("val"),
        test=windows.get("test"),
        spec=_spec(series, shared),
        digest=digest,
        series=series,
        scaling=fitted,
        units=ForecastUnits(series, fitted, horizon, *spread(cut["train"], season)),
        season=season,
        parts=cut,
    )


def _origins(part: Slice, lookback: int, horizon: int, lost: int) -> list[np.ndarray]:
    """Origins of all windows of a part, series by series."""
    starts = part.series.starts
    first = starts + lost + lookback  # validation and test may look back as far as the series goes
    if part.part != "train":
        first = np.maximum(first, part.starts)
    last = part.stops - horizon
    found = [np.arange(one, other + 1) for one, other in zip(first.tolist(), last.tolist(), strict=True)]
    empty = sum(len(origins) == 0 for origins in found)
    if empty < len(found):
        if empty:
            name = part.series.ids[next(number for number, origins in enumerate(found) if not len(origins))]
            which = f"'{name}'" if empty == 1 else f"the first is '{name}'"
            log.warning(
                "%d of %d series are too short for a %s window: %s", empty, len(found), PART_NAMES[part.part], which
            )
        return found
    rows = int((part.stops - part.starts).max())
    has = f"the {PART_NAMES[part.part]} part has {rows}" + (" at most" if len(found) > 1 else "")
    if part.part == "train" or horizon <= rows:
        taken = f" + {lost} rows that differences take" if lost else ""
        raise InputError(
            f"data.lookback={lookback} + data.horizon={horizon}{taken} needs {lookback + horizon + lost} rows, {has}: "
            "shorten them, or give the part more rows."
        )
    raise InputError(f"data.horizon={horizon} needs {horizon} rows, {has}: shorten it, or give the part more rows.")
