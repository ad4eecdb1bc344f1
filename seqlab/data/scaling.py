"""Scaling that learns from the training part and refuses anything else: a chain of steps, undone in the other order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from seqlab.data.forecast_parts import PART_NAMES, of_series
from seqlab.data.series import Series, Slice
from seqlab.schema import did_you_mean
from seqlab.types import InputError

_LEARNED = ("standard", "minmax", "robust")
_STEPS = (*_LEARNED, "log", "diff", "seasonal_diff")
_BLOCK = 1 << 20  # values that are held in float64 at a time
_FLAT = 1e-7  # of the largest value: a smaller spread is rounding, for float32 tells apart 6e-8
_COARSE = 30  # times the spacing of float32: differences that deviate less are in good part rounding

Step = str | Mapping[str, Any]


@dataclass(frozen=True)
class _Step:
    """A step's name, and how many rows it looks back (0: none)."""

    name: str
    lag: int = 0


class Scaling:
    """A chain of steps, applied in their order to each column of each series by itself.

    ================== ================================================================================
    ``standard``       less the mean, by the standard deviation (of the population, as scikit-learn's)
    ``minmax``         0 to 1 over the training rows
    ``robust``         less the median, by the distance between the quartiles
    ``log``            the natural logarithm; every value must be above 0
    ``diff``           the difference to the row before
    ``seasonal_diff``  ``{seasonal_diff: m}``: the difference to ``m`` rows before
    ================== ================================================================================

    Statistics are float64, ``(S, C)`` for ``S`` series of ``C = K + O`` columns, and come from the rows of the
    training part alone. What is known beforehand (``Series.known``) is standardised over the training rows of all
    series together, so that what differs only between series is told apart; a column that never changes there stays
    as it is. A past column that never changes in the training part is left on its own scale, about 0, and so is
    a target of one of several series.

    Args:
        steps: their names in order, such as ``["log", {"seasonal_diff": 12}, "standard"]``; none leaves values alone.

    Attributes:
        steps: as they were given.
        lost: rows at each series' beginning that differences cannot be had of.

    Raises:
        InputError: an unknown step, or a season that is none.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self._chain = [_parse(step) for step in steps]
        self.steps = [dict(step) if isinstance(step, Mapping) else step for step in steps]
        self.lost = sum(step.lag for step in self._chain)
        self._ids: tuple[str, ...] = ()
        self._columns: tuple[str, ...] = ()
        # Of each step: center and scale (S, C); of known columns (G,). Empty until something was learned.
        self._learned: list[tuple[np.ndarray, np.ndarray] | None] = []
        self._known = (np.zeros(0), np.ones(0))

    def monotone(self, horizon: int) -> bool:
        """Whether each forecast value follows from its own scaled value alone, as far ahead as ``horizon`` steps.

        Differences add up beyond their lag: the quantiles of a sum do not follow from those of its terms.
        """
        return all(step.lag == 0 or step.lag >= horizon for step in self._chain)

    def fit(self, part: Slice) -> Scaling:
        """Learn from the training part, and answer this very object.

        Raises:
            InputError: another part; a target without spread, or with differences that float32 has rounded away; fewer
                rows than differences take; ``log`` of 0 or less.
        """
        if part.part != "train":
            raise InputError(
                f"a scaler may learn from the training part only, this is the {PART_NAMES[part.part]} part."
            )
        series = part.series
        self._ids, self._columns = series.ids, (*series.targets, *series.past)
        shape = (len(self._ids), len(self._columns))
        self._learned = [(np.zeros(shape), np.ones(shape)) if step.name in _LEARNED else None for step in self._chain]
        for number, (start, stop) in enumerate(zip(part.starts.tolist(), part.stops.tolist(), strict=True)):
            if stop - start <= self.lost:
                raise InputError(
                    f"data.scaling: differences take the first {self.lost} rows, but the training part"
                    f"{of_series(self._ids[number])} has {stop - start}: lengthen it, or take differences out."
                )
            for columns in _blocks(stop - start, shape[1]):
                self._run(series, number, start, stop, columns, learn=True)
        self._known = _known_statistics(part)
        return self

    def transform(self, series: Series, out: np.ndarray | None = None) -> np.ndarray:
        """Scaled targets and past columns, ``(N, K + O)`` float32; NaN in the first ``lost`` rows of each series.

        Args:
            series: of the same names and columns as those that were learned from.
            out: where to write them, ``(N, K + O)``.

        Raises:
            InputError: other series or columns; ``log`` of 0 or less.
        """
        self._check(series)
        out = np.empty(series.values.shape, dtype=np.float32) if out is None else out
        for number, (start, stop) in enumerate(zip(series.starts.tolist(), series.stops.tolist(), strict=True)):
            first = min(start + self.lost, stop)
            out[start:first] = np.nan
            for columns in _blocks(stop - start, out.shape[1]) if first < stop else ():
                out[first:stop, columns] = self._run(series, number, start, stop, columns)
        return out

    def transform_known(self, known: np.ndarray, columns: slice = slice(None)) -> np.ndarray:
        """What is known beforehand ``(..., G)``, or some ``columns`` of it, standardised, float32."""
        known, (center, scale) = known[..., columns], (found[columns] for found in self._known)
        return ((known - center) / scale).astype(np.float32)

    def inverse(self, values: np.ndarray, history: np.ndarray, series: np.ndarray) -> np.ndarray:
        """Forecasts in the data's own units, float64.

        Differences start from the true rows before the origin; beyond their lag, from the forecasts themselves.

        Args:
            values: ``(B, H, K, ...)`` scaled; further axes hold ascending functions of the data, such as quantiles.
            history: ``(B, lost, K)`` the rows before each origin, unscaled.
            series: ``(B,)`` which series each row belongs to.

        Raises:
            InputError: further axes where differences add up (see ``monotone``).
        """
        values = np.array(values, dtype=np.float64)
        horizon, targets = values.shape[1:3]
        if values.ndim > 3 and not self.monotone(horizon):
            shortest = min(step.lag for step in self._chain if step.lag)
            raise InputError(
                f"data.scaling: the quantiles of a sum of differences do not follow from those of the differences "
                f"(lag {shortest}, data.horizon={horizon}): use normalize=last instead of diff, or a horizon of at "
                f"most {shortest}."
            )
        assert history.shape[1:] == (self.lost, targets), f"a history of {history.shape}, lost {self.lost}"

        history = np.asarray(history, dtype=np.float64)
        done = []  # of each step: its statistics of these series, and the rows that a difference starts from
        for step, found in zip(self._chain, self._learned, strict=True):
            statistics = None if found is None else [part[series, None, :targets] for part in found]
            done.append((step, statistics, history[:, -step.lag :]))
            history = _forward(step, history, statistics)

        more = (...,) + (None,) * (values.ndim - 3)
        for step, statistics, rows in reversed(done):
            if step.lag:
                values[:, : step.lag] += rows[:, :horizon][more]
                for first in range(step.lag, horizon, step.lag):
                    values[:, first : first + step.lag] += values[:, first - step.lag : first][:, : horizon - first]
            elif statistics is not None:
                values *= statistics[1][more]
                values += statistics[0][more]
            else:
                with np.errstate(over="ignore"):  # infinity says it well enough
                    np.exp(values, out=values)
        return values

    def state_dict(self) -> dict[str, Any]:
        """Plain data and tensors, for a checkpoint."""
        return {
            "steps": self.steps,
            "ids": list(self._ids),
            "columns": list(self._columns),
            "learned": [
                None if found is None else [torch.from_numpy(part) for part in found] for found in self._learned
            ],
            "known": [torch.from_numpy(part) for part in self._known],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state_dict`` gave.

        Raises:
            InputError: it is of other steps.
        """
        if list(state["steps"]) != self.steps:
            raise InputError(f"data.scaling is {self.steps}, but what was learned belongs to {list(state['steps'])}.")
        self._ids, self._columns = tuple(state["ids"]), tuple(state["columns"])
        self._learned = [None if found is None else (found[0].numpy(), found[1].numpy()) for found in state["learned"]]
        self._known = (state["known"][0].numpy(), state["known"][1].numpy())

    def _run(
        self, series: Series, number: int, start: int, stop: int, columns: slice, learn: bool = False
    ) -> np.ndarray:
        """Rows ``start + lost`` to ``stop`` of some columns of one series, scaled: ``(rows - lost, columns)``."""
        values = series.values[start:stop, columns].astype(np.float64)
        level = np.abs(values).max(axis=0)
        size = level  # of the numbers that rounding was relative to, in the units of each step
        names = [f"{name}{of_series(self._ids[number])}" for name in self._columns[columns]]
        target = np.arange(len(self._columns))[columns] < len(series.targets)
        # Numbers that were rounded end in any multiple of the spacing; whole numbers, say, were not.
        rounded = target & ((values % (2 * _spacing(size))) != 0).any(axis=0) if learn and self.lost else None
        for step, found in zip(self._chain, self._learned, strict=True):
            if step.name == "log" and (values <= 0).any():
                place, column = (int(index) for index in np.argwhere(values <= 0)[0])
                row = stop - len(values) + place
                raise InputError(
                    f"data.scaling: log takes values above 0 only, but {names[column]} is {values[place, column]:g} at "
                    f"{series.times[row]} (row {row}): take log out, or mend the value."
                )
            if found is not None and learn:
                center, scale = _statistics(step.name, values)
                # What never changes does no harm where it is not forecast, or is one of several series (``spread``).
                harmless = (values.std(axis=0) <= _FLAT * size) & (~target | (len(self._ids) > 1))
                flat = scale <= _FLAT * size
                scale[flat & harmless] = 1.0
                if (flat & ~harmless).any():
                    column = int((flat & ~harmless).argmax())
                    raise InputError(
                        f"data.scaling: {names[column]} never changes in "
                        f"{'the middle half of ' if step.name == 'robust' else ''}the training part "
                        f"({center[column]:g}), so {step.name} has nothing to scale by: leave the column out, or "
                        "choose other steps."
                    )
                found[0][number, columns], found[1][number, columns] = center, scale
            if found is not None:
                size = size / found[1][number, columns]
            elif not step.lag:  # log: rounding becomes relative to the values
                size = size / np.abs(values).max(axis=0)
            values = _forward(step, values, None if found is None else [part[number, columns] for part in found])
            if step.lag and rounded is not None:
                deviation = values.std(axis=0)
                if (lost := rounded & (deviation > 0) & (deviation < _COARSE * _spacing(size))).any():
                    column = int(lost.argmax())
                    raise InputError(
                        f"data.scaling: the differences of {names[column]} vary too little for the seven digits that "
                        f"are kept of its level {level[column]:.3g}: subtract a constant from the column first, or "
                        f"take {step.name} out."
                    )
        return values

    def _check(self, series: Series) -> None:
        assert self._ids, "a scaling that has learned nothing"
        columns = (*series.targets, *series.past)
        for what, found, learned in (("series", series.ids, self._ids), ("columns", columns, self._columns)):
            if found != learned:
                raise InputError(
                    f"the scaling has learned from the {what} {_few(learned)}, but these are {_few(found)}."
                )


def _parse(step: Step) -> _Step:
    name, value = step, None
    if isinstance(step, Mapping) and len(step) == 1:
        ((name, value),) = step.items()
    if not isinstance(name, str):
        raise InputError(f"data.scaling: {step!r} is no step: write its name, or {{seasonal_diff: 12}}.")
    if name not in _STEPS:
        raise InputError(f"data.scaling: there is no step '{name}'{did_you_mean(name, _STEPS)}")
    if name == "seasonal_diff":
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError("data.scaling: seasonal_diff needs its season in rows, such as {seasonal_diff: 12}.")
        return _Step(name, value)
    if isinstance(step, Mapping):
        raise InputError(f"data.scaling: {name} takes no value, so write '{name}' instead of {dict(step)}.")
    return _Step(name, 1 if name == "diff" else 0)


def _forward(step: _Step, values: np.ndarray, statistics: Any) -> np.ndarray:
    """One step over ``(..., rows, columns)``; a difference makes ``lag`` rows fewer."""
    if statistics is not None:
        return (values - statistics[0]) / statistics[1]
    if step.lag:
        return values[..., step.lag :, :] - values[..., : -step.lag, :]
    return np.log(values)


def _spacing(size: np.ndarray) -> np.ndarray:
    """Between neighbouring float32 numbers of that size, as float64."""
    return np.spacing(size.astype(np.float32)).astype(np.float64)


def _statistics(name: str, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Center and scale ``(C,)`` of rows ``(R, C)``."""
    if name == "standard":
        return values.mean(axis=0), values.std(axis=0)
    if name == "minmax":
        return values.min(axis=0), np.ptp(values, axis=0)
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75), axis=0)
    return middle, high - low


def _known_statistics(part: Slice) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation ``(G,)`` over the training rows of all series; 0 and 1 of what never changes."""
    known = part.series.known
    center, scale = np.zeros(known.shape[1]), np.ones(known.shape[1])
    for number in range(known.shape[1]):
        spans = zip(part.starts, part.stops, strict=True)
        column = np.concatenate([known[start:stop, number] for start, stop in spans]).astype(np.float64)
        if column.std() > _FLAT * np.abs(column).max():
            center[number], scale[number] = column.mean(), column.std()
    return center, scale


def _blocks(rows: int, columns: int) -> list[slice]:
    """Columns in groups, so that few values are held in float64 at a time."""
    width = max(1, _BLOCK // rows)
    return [slice(first, min(first + width, columns)) for first in range(0, columns, width)]


def _few(names: Sequence[str]) -> str:
    first = ", ".join(f"'{name}'" if name else "one without a name" for name in names[:5])
    return first + (f" and {len(names) - 5} more" if len(names) > 5 else "")
