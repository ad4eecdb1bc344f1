"""One pass over a split without learning."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from seqlab.engine.carry import Carry
from seqlab.types import Loader, Meter, Objective


@dataclass(frozen=True)
class Evaluation:
    """What one pass found.

    Attributes:
        metrics: the meter's numbers, named without the split.
        meter: the meter itself, with what it kept for figures.
        seconds: how long the pass took.
    """

    metrics: dict[str, float]
    meter: Meter
    seconds: float


def evaluate(
    model: nn.Module,
    loader: Loader,
    task: Objective,
    *,
    device: torch.device,
    autocast: AbstractContextManager[object] | None = None,
    epoch: int = 0,
    check: Callable[[], None] | None = None,
) -> Evaluation:
    """Runs ``model`` in evaluation mode over one epoch of ``loader``; its mode is restored at the end.

    Rows that go on from batch to batch carry their state as in training, beginning with none.

    Args:
        model: on ``device`` already.
        loader: one epoch of it is read.
        task: gives loss and meter.
        device: where batches are sent.
        autocast: the context of the model's arithmetic; none is plain float32.
        epoch: which epoch's order to read; metrics do not depend on it.
        check: called before each batch; what it raises ends the pass (a signal, say).
    """
    started = time.perf_counter()
    meter, carry = task.meter(), Carry()
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for batch in loader.epoch(epoch):
                if check is not None:
                    check()
                batch = carry.give(batch.to(device))
                with autocast or nullcontext():
                    loss = task.loss(model, batch)
                carry.take(batch, loss)
                meter.update(loss, batch)
    finally:
        model.train(training)
    return Evaluation(meter.compute(), meter, time.perf_counter() - started)
