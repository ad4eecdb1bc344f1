"""Units of a small made-up panel, for what measures forecasts."""

import numpy as np
import pytest


class Panel:
    """Series of given lengths, one after the other; scaled by mean and deviation of each series."""

    monotone = True

    def __init__(self, values: np.ndarray, starts: list[int], H: int, ids: tuple[str, ...] = ("",)) -> None:
        self.values, self.starts, self.H, self.ids = values, np.array(starts), H, ids
        parts = np.split(values, self.starts[1:])
        self.mean = np.stack([np.nanmean(part, axis=0) for part in parts])
        self.deviation = np.stack([np.nanstd(part, axis=0) for part in parts])
        self.seasonal = np.stack([np.nanmean(np.abs(np.diff(part, axis=0)), axis=0) for part in parts])

    def series(self, origins: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.starts, origins, side="right") - 1

    def actual(self, origins: np.ndarray) -> np.ndarray:
        return self.values[origins[:, None] + np.arange(self.H)]

    def original(self, values: np.ndarray, origins: np.ndarray) -> np.ndarray:
        series = self.series(origins)
        mean, deviation = (
            part[series].reshape(len(origins), 1, -1, *[1] * (values.ndim - 3)) for part in (self.mean, self.deviation)
        )
        return values.astype(np.float64) * deviation + mean

    def scaled(self, origins: np.ndarray) -> np.ndarray:
        """``(B, H, K)`` what came to pass, as a model is asked it."""
        series = self.series(origins)
        return (self.actual(origins) - self.mean[series][:, None]) / self.deviation[series][:, None]


@pytest.fixture
def panel() -> Panel:
    """Two series of 20 and 15 rows with two targets of different size, some not measured, some zero; ``H`` is 3."""
    rng = np.random.default_rng(3)
    values = rng.normal([1.0, 50.0], [2.0, 30.0], (35, 2))
    values[rng.random(values.shape) < 0.15] = np.nan
    values[[2, 9, 30], 0] = 0.0
    return Panel(values, [0, 20], 3, ("north", "south"))


@pytest.fixture
def make_panel() -> type[Panel]:
    return Panel
