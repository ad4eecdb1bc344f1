"""Series that forecasters are measured on, as named files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from seqlab.data.fetch import fetch
from seqlab.data.forecast import ForecastData
from seqlab.data.series import Series
from seqlab.data.tabular import SeriesFile
from seqlab.types import InputError

_BROWNLEE = "https://raw.githubusercontent.com/jbrownlee/Datasets/master/"
_ETT = "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/"

DIGESTS = {
    "monthly-sunspots.csv": "sha256:c4ec8cc57d9f6fb6ecdb3e1f37f25b6f4badd5124c55931052b0cd2fc3bc71f3",
    "airline-passengers.csv": "sha256:8cb51be753a718d9be5d76d7e238cc224792754676adc21faa59e954b0201621",
    "ETTh1.csv": "sha256:f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
}
"""Of the files that are downloaded. The other variants of ETT are not, for want of a digest that we have seen."""


class _Monthly:
    """One series by months, in a file of its own.

    Args:
        root: holds the file, or ``series`` with it.
        download: get the file when it is not there.
    """

    dataset = ForecastData

    file = column = ""

    def __init__(self, root: str | Path, download: bool = True) -> None:
        self.root = Path(root)
        self.download = download

    def digest(self) -> str:
        """Of the file's bytes."""
        return self._file().digest()

    def read(self) -> Series:
        """All months.

        Raises:
            InputError: the file is not there and cannot be had, or is not as it should be.
        """
        return self._file().read()

    def _file(self) -> SeriesFile:
        path = _found(self.root, self.file, _BROWNLEE, self.download)
        return SeriesFile(path, time_column="Month", targets=(self.column,), freq="MS")


class Sunspots(_Monthly):
    """Monthly means of sunspot numbers, 1749 to 1983: 2,820 rows (Andrews and Herzberg, "Data", 1985).

    Args:
        root: holds ``monthly-sunspots.csv`` or ``series/monthly-sunspots.csv``.
        download: get the file when it is not there.
    """

    name, file, column = "sunspots", "monthly-sunspots.csv", "Sunspots"


class Airline(_Monthly):
    """Thousands of passengers of airlines by month, 1949 to 1960: 144 rows (Box and Jenkins 1970, series G).

    Args:
        root: holds ``airline-passengers.csv`` or ``series/airline-passengers.csv``.
        download: get the file when it is not there.
    """

    name, file, column = "airline", "airline-passengers.csv", "Passengers"


class ETT:
    """Electricity Transformer Temperature: two years of a transformer's six loads and oil temperature ``OT``.

    ``ETTh1`` and ``ETTh2`` are hourly (17,420 rows), ``ETTm1`` and ``ETTm2`` the same two by quarters of an hour
    (69,680 rows). Source: Zhou et al., "Informer", AAAI 2021.

    Args:
        root: holds ``ETTh1.csv`` or ``series/ETTh1.csv``, and so on.
        variant: which of the four.
        targets: columns to forecast, of ``HUFL``, ``HULL``, ``MUFL``, ``MULL``, ``LUFL``, ``LULL`` and ``OT``; None
            takes all but ``past``.
        past: columns to read, but not to forecast.
        calendar: features of the calendar, known beforehand (see ``calendar.features``).
        download: get ``ETTh1.csv`` when it is not there.
    """

    dataset = ForecastData

    name = "ett"

    def __init__(
        self,
        root: str | Path,
        variant: Literal["ETTh1", "ETTh2", "ETTm1", "ETTm2"] = "ETTh1",
        targets: Sequence[str] | None = None,
        past: Sequence[str] = (),
        calendar: Sequence[str] = (),
        download: bool = True,
    ) -> None:
        self.root = Path(root)
        self.variant, self.download = variant, download
        self.targets, self.past, self.calendar = targets, past, calendar
        self._series_file(self.root)  # refuses columns in two roles before anything is downloaded

    def digest(self) -> str:
        """Of the file's bytes and of the options."""
        return self._file().digest()

    def read(self) -> Series:
        """All rows.

        Raises:
            InputError: the file is not there and cannot be had, or is not as it should be; no such column.
        """
        return self._file().read()

    def _file(self) -> SeriesFile:
        return self._series_file(_found(self.root, f"{self.variant}.csv", _ETT, self.download))

    def _series_file(self, path: Path) -> SeriesFile:
        return SeriesFile(
            path,
            time_column="date",
            targets=self.targets,
            past=self.past,
            calendar=self.calendar,
            freq="h" if self.variant.startswith("ETTh") else "15min",
        )


def _found(root: Path, file: str, folder: str, download: bool) -> Path:
    """Where the file lies, downloaded if need be.

    Raises:
        InputError: it lies nowhere, and cannot or must not be downloaded.
    """
    path, other = root / "series" / file, root / file
    for found in (path, other):
        if found.is_file():
            return found
    if not download or file not in DIGESTS:
        raise InputError(f"there is neither {path} nor {other}: download {folder}{file} and put it at {path}.")
    return fetch(folder + file, path, DIGESTS[file])
