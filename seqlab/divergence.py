"""Whether a training diverged: a suspicion, raised by its losses, is held against the model as it was untrained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from seqlab import build
from seqlab.build import Data
from seqlab.engine.evaluate import evaluate
from seqlab.engine.runtime import Runtime
from seqlab.engine.state import FAR_WORSE, NON_FINITE, Result
from seqlab.types import Objective


def confirmed(result: Result, config: Mapping[str, Any], data: Data, task: Objective, runtime: Runtime) -> str:
    """``result.diverged``, or nothing if the last evaluation is not far worse than that of the untrained model.

    The loss of the first step is that of one batch: where few rows have most of the loss, it may be small by chance.
    """
    last = _loss(result.metrics, task)
    if (
        result.stopped_by == NON_FINITE
        or not result.diverged
        or data.val is None
        or last is None
        or not math.isfinite(last)
    ):
        return result.diverged
    tokens = () if data.pipeline is None else data.pipeline.tokens
    untrained = build.build_model(config, data.spec, tokens, data.train).to(runtime.device)
    loader = build.build_loader(config, data.val, data.spec, shuffle=False)
    found = evaluate(untrained, loader, task, device=runtime.device, autocast=runtime.autocast())
    first = _loss(found.metrics, task)
    return result.diverged if first is None or last > FAR_WORSE * first else ""


def _loss(metrics: Mapping[str, float], task: Objective) -> float | None:
    """The loss of an evaluation, or the deciding metric where that is one to make small."""
    return metrics.get("loss", None if task.maximize else metrics.get(task.monitor))
