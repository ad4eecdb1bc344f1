"""Forecasting as a question: its model, its baselines, its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from seqlab.models import Forecaster
from seqlab.models.decoders import DecoderKind
from seqlab.models.forecaster import Channels, Normalize
from seqlab.models.parts import ModelParts
from seqlab.protocols import BaselineContext, Baselines, Saved, View
from seqlab.tasks.forecasting.baselines import measured
from seqlab.tasks.forecasting.figures import draw
from seqlab.types import DataSpec, InputError

MOST_ROWS = 50_000
"""Training windows times targets that a highway is fitted to, evenly thinned beyond: more move nothing."""


@dataclass(frozen=True)
class Options:
    """How an encoder becomes a forecaster, see ``Forecaster``."""

    decoder: DecoderKind = "direct"
    segment: int = 24
    normalize: Normalize = "none"
    channels: Channels = "mixed"
    highway: int = 0
    ridge: float | None = None
    vote: float = 0.5


class ForecastingTask:
    """What are the next values of some series? A ``Task``."""

    Options: ClassVar[type] = Options
    name: ClassVar[str] = "forecasting"
    reads: ClassVar[tuple[str, ...]] = ("forecasting",)
    in_units: ClassVar[bool] = True
    """Errors are those in the units of the data, which know how."""

    def __init__(self, options: Any) -> None:
        self.options: Options = options

    def known(self, spec: DataSpec, final: bool) -> dict[str, Any]:
        """Nothing."""
        return {}

    def model(
        self, parts: ModelParts, spec: DataSpec, objective: Any, tokens: Sequence[str] = (), train: Any = None
    ) -> Forecaster:
        """An encoder of windows and a decoder of the horizon; a highway is fitted to ``train`` if it has a ridge."""
        parts.refuse_tied(spec)
        parts.refuse_readers_of_texts()
        encoder = parts.encoder(Forecaster.reads(spec.num_outputs, spec.num_features, self.options.channels))
        head = {name: parts.node["head"][name] for name in ("pooling", "dropout") if name in parts.node["head"]}
        forecaster = Forecaster(
            encoder, spec.num_outputs, spec.num_features, spec.num_future, spec.horizon, objective.roles,
            **asdict(self.options), **head,
        )  # fmt: skip
        if forecaster.ridge is not None and train is not None:
            thinned = train.origins[:: max(1, len(train) * spec.num_outputs // MOST_ROWS)]
            forecaster.fit_highway(train.batch(some) for some in np.array_split(thinned, len(thinned) // 64 + 1))
        return forecaster

    def check(self, data: Any, objective: Any) -> None:
        """Refuse a highway that is longer than a window.

        Raises:
            InputError: it is.
        """
        if not 0 <= self.options.highway <= data.train.lookback:
            raise InputError(
                f"task.highway={self.options.highway} must be a number of steps of the window, from 0 to "
                f"data.lookback={data.train.lookback}."
            )

    def baselines(self, data: Any, split: str, context: BaselineContext) -> Baselines:
        """Naive, seasonal, drift, linear and statistical forecasts."""
        return measured(data, split, context.objective)

    def show(self, view: View) -> dict[str, Any]:
        """Some forecasts, the error by step, residuals; metrics by step and by series as tables."""
        draw(view)
        return {}

    def watch(self, data: Any, tracker: Any) -> None:
        """Nothing."""
        return None

    def predictor(self, saved: Saved) -> Any:
        """Refused: series are forecast from a file, see ``Run.forecast``.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"{saved.where} was trained on data={saved.data}, which has no texts to label: forecast from a file, "
            "`seqlab predict RUN --path FILE`."
        )
