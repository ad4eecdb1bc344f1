"""What is true of columns of numbers before they are kept as float32."""

from __future__ import annotations

import numpy as np


class Facts:
    """What is true of columns as the file has them, in float64: learned piece by piece.

    Attributes:
        low: ``(C,)`` the least number, NaN where there is none.
        high: ``(C,)`` the greatest.
        exact: ``(C,)`` bool: float32 holds them as they are.
    """

    def __init__(self, columns: int) -> None:
        self.low, self.high = np.full((2, columns), np.nan)
        self.exact = np.ones(columns, bool)

    def add(self, found: np.ndarray, kept: np.ndarray) -> None:
        """Rows ``(R, C)``, and the same as float32."""
        # fmin and fmax pass over what is missing.
        self.low = np.fmin(self.low, np.fmin.reduce(found, axis=0, initial=np.nan))
        self.high = np.fmax(self.high, np.fmax.reduce(found, axis=0, initial=np.nan))
        self.exact &= ((kept == found) | np.isnan(found)).all(axis=0)
