"""The training loop. ``train_step`` is all that happens to the weights; ``_loop`` is all that happens around it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from seqlab.engine import checkpoint
from seqlab.engine.carry import Carry
from seqlab.engine.ema import EMA
from seqlab.engine.evaluate import evaluate
from seqlab.engine.gradients import NonFiniteError, describe_broken, gradients, rescale, total_norm
from seqlab.engine.interrupt import Interrupt, Interrupted
from seqlab.engine.progress import Progress
from seqlab.engine.report import Curves, Report
from seqlab.engine.runtime import Runtime, random_state, restore_random_state
from seqlab.engine.schedule import Plateau, Schedule
from seqlab.engine.settings import Settings
from seqlab.engine.state import Result, State
from seqlab.errors import shorten
from seqlab.types import Batch, InputError, Loader, Objective

log = logging.getLogger(__name__)


class Trainer:
    """Fits a model; everything it works with is handed in.

    Args:
        model: moved to the runtime's device. ``model(inputs, lengths) -> logits`` is the task's business.
        task: loss, metrics, and which metric decides.
        optimizer: over the model's parameters; its ``lr`` is what the schedule's factor multiplies.
        schedule: progress in [0, 1] -> factor.
        train: batches in an order that is a function of the epoch.
        val: what is evaluated; None trains blindly and keeps no best weights.
        settings: limits, clipping, when to look and save.
        runtime: device and precision.
        tracker: takes the curves.
        progress: shows how far the run is.
        watch: called with model and step after every step; it answers whether it did anything, whose time is then none
            of training. It must leave weights, mode and global random states as they are.
        run_dir: where ``last.pt`` and ``best.pt`` go; None writes no file.
        extra: plain data that every checkpoint carries, such as config, vocabulary and labels.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Objective,
        optimizer: Optimizer,
        schedule: Schedule,
        train: Loader,
        val: Loader | None,
        settings: Settings,
        *,
        runtime: Runtime | None = None,
        tracker: Curves | None = None,
        progress: Progress | None = None,
        watch: Callable[[nn.Module, int], bool] | None = None,
        run_dir: str | Path | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        if len(train) == 0:
            raise InputError(
                "There is no batch to train on; give the training split more rows or lower data.batch_size."
            )
        self.runtime = runtime or Runtime()
        self.model = model.to(self.runtime.device)
        self.task, self.optimizer, self.schedule, self.settings = task, optimizer, schedule, settings
        self.train, self.val = train, val
        self.tracker, self.progress, self.watch = tracker, progress, watch
        self.run_dir = None if run_dir is None else Path(run_dir)
        self.extra = dict(extra or {})
        self.state = State()
        self.carry = Carry()
        self.scaler = self.runtime.scaler()
        self.ema = EMA(model, settings.ema_decay) if settings.ema_decay is not None else None
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._parts: dict[str, checkpoint.Stateful | None] = {
            "optimizer": optimizer,
            "schedule": schedule if isinstance(schedule, Plateau) else None,
            "scaler": self.scaler,
            "ema": self.ema,
            "trainer": self.state,
        }
        self._autocast = self.runtime.autocast()
        self._batches = len(train)
        self._interrupt = Interrupt()
        self._random: dict[str, Any] | None = None
        self._report = Report(tracker, progress, self._batches, task.headline)
        self._since = self._next_save = math.inf
        self._save_due = False
        self._guess, self._share = 0, torch.empty(())
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])

    def fit(self) -> Result:
        """Trains until a limit, early stopping or a signal, and saves.

        Raises:
            InputError: loss or gradient is not finite; the weights are those before that update, and are saved.
        """
        if self._random is not None:
            restore_random_state(self._random)
        with self._interrupt, self.progress or nullcontext():
            try:
                stopped_by = self._loop()
            except Interrupted as signal:
                stopped_by = str(signal)
            except NonFiniteError:
                self.save()
                raise
            self.save()
            stopped_by = self._interrupt.received or stopped_by  # a signal that came after the last step
        return Result.of(self.state, stopped_by)

    def _loop(self) -> str:
        """Epochs and evaluations until something ends them; returns what did."""
        s, settings = self.state, self.settings
        self.model.train()
        self._plan_save()
        self._since = time.perf_counter()
        if settings.eval_every is not None and s.step % settings.eval_every == 0:
            self._evaluate()  # if a signal cut it off
        while (reason := settings.limit(s)) is None:
            if self._epoch():
                if settings.eval_every is None:
                    self._evaluate()
                s.epoch, s.consumed = s.epoch + 1, 0
                self._save_due = True
        self._evaluate()
        if self.val is None:
            with self.ema.applied() if self.ema is not None else nullcontext():
                self._keep({})  # nothing chooses: the last weights are the best there are
        return reason

    def _epoch(self) -> bool:
        """Steps through what is left of the pass; returns whether it came to its end rather than to a limit.

        A save stands right before a step, after all that the step before brought (its point in the curves, its
        evaluation, the epoch's end): a resumed run then repeats none of it.
        """
        s, settings = self.state, self.settings
        for batches in _chunks(self.train.epoch(s.epoch, s.consumed), settings.accumulate):
            self._interrupt.check()
            if settings.limit(s) is not None:
                return False
            if self._save_due:
                self.save()
            self.train_step(batches)
            now = time.perf_counter()
            s.seconds += now - self._since
            self._since = now
            if s.step % settings.log_every == 0:
                self._report.log(s, self.optimizer)
            if s.seconds >= self._report.next_show:
                self._report.show(s, settings.share_done(s, self._batches))
            if self.watch is not None and self.watch(self.model, s.step):
                self._since = time.perf_counter()
            if settings.eval_every is not None and s.step % settings.eval_every == 0:
                self._evaluate()
            if s.seconds >= self._next_save or (settings.checkpoint_steps and s.step % settings.checkpoint_steps == 0):
                self._save_due = True
        assert s.consumed, "the loader gave no batch"
        return True

    def train_step(self, batches: Sequence[Batch]) -> None:
        """One update from some micro-batches: accumulate, unscale, refuse non-finite, clip, step, average.

        What is descended is the sum of the loss over all micro-batches, divided by all that they counted. The count is
        known only at the end, so gradients are taken of ``total / guess``; what was counted over the guess is put
        right together with clipping, and for a single batch the guess is right.

        Reading loss and norm is the one place where a GPU is waited for: the check has to come before the update, and
        the report has to name this batch.
        """
        s, window, scaler = self.state, self.state.window, self.scaler
        progress = self.settings.share_done(s, self._batches, ahead=0.5)
        factor = self.schedule(progress)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor

        losses: list[Tensor] = []
        count = guess = 0
        for batch in batches:
            batch = replace(self.carry.give(batch.to(self.runtime.device)), progress=progress)
            with self._autocast:
                loss = self.task.loss(self.model, batch)
            self.carry.take(batch, loss)
            # Where nothing is asked (a gap in a series), nothing is counted, and there is nothing to learn.
            if guess == 0 and self._guess != (guess := max(loss.count, 1) * len(batches)):
                self._guess, self._share = guess, torch.full_like(loss.total, 1.0 / guess)
            (loss.total if scaler is None else scaler.scale(loss.total)).backward(self._share)
            losses.append(loss.total)
            count += loss.count
            window.tokens += batch.tokens
            window.positions += batch.positions

        if scaler is not None:
            scaler.unscale_(self.optimizer)
        grads = gradients(self._parameters)
        norm = total_norm(grads)
        total = sum(value.item() for value in losses)
        finite = math.isfinite(norm) and math.isfinite(total)
        put_right = guess / max(count, 1)
        if finite:
            window.norm = norm * put_right
            window.clipped = rescale(grads, norm, put_right, self.settings.clip_norm, self.settings.clip_value)
        elif scaler is None or not math.isfinite(total) or scaler.get_scale() <= 1.0:
            report = describe_broken(self.model, batches, s.step + 1, total / max(count, 1), norm)
            self._clear_gradients()
            raise NonFiniteError(report)

        if scaler is None:
            self.optimizer.step()
        else:  # skips the update by itself when the scaled gradient overflowed, and scales less next time
            scaler.step(self.optimizer)
            scaler.update()
        if self.ema is not None and finite:
            self.ema.update()
        self._clear_gradients()
        if s.step == 0:
            s.first_loss = total / max(count, 1)
        window.total += total
        window.count += count
        s.step += 1
        s.consumed += len(batches)

    def _evaluate(self) -> None:
        """Evaluates what would be kept (averaged weights if there are any), once a step, and keeps the best."""
        s = self.state
        if self.val is None or s.evaluated == s.step:
            return
        with self.ema.applied() if self.ema is not None else nullcontext():
            found = evaluate(
                self.model, self.val, self.task,
                device=self.runtime.device, autocast=self._autocast, check=self._interrupt.check,
            )  # fmt: skip
            improved = s.note(found.metrics, self.task.monitor, self.task.maximize)
            if improved:
                self._keep(found.metrics)
        if isinstance(self.schedule, Plateau):
            value = found.metrics[self.task.monitor]
            self.schedule.observe(value if self.task.maximize else -value)
        s.eval_seconds += found.seconds
        self._save_due = True
        self._report.evaluation(s, found, improved)
        self._since = time.perf_counter()  # the training clock stood still

    def _keep(self, metrics: Mapping[str, float]) -> None:
        """Writes ``best.pt``, if there is a run folder: the weights as they are."""
        if self.run_dir is not None:
            best = {"model": self.model.state_dict(), "metrics": metrics, "step": self.state.step}
            checkpoint.save(self.run_dir / "best.pt", {**self.extra, **best, "epoch": self.state.epoch + 1})

    def save(self) -> None:
        """Writes ``last.pt``, if there is a run folder."""
        if self.tracker is not None:
            self.tracker.flush()
        if self.run_dir is not None:
            checkpoint.save(self.run_dir / "last.pt", self.state_dict(), self.settings.keep)
        self._plan_save()

    def _plan_save(self) -> None:
        minutes = self.settings.checkpoint_minutes
        self._save_due = False
        self._next_save = math.inf if minutes is None else self.state.seconds + 60.0 * minutes

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on, with ``extra``, as plain data."""
        rest = {"carry": self.carry.state_dict(), "random": random_state(), "threads": torch.get_num_threads()}
        return {**self.extra, "model": self.model.state_dict(), **checkpoint.states(self._parts), **rest}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Puts back what a ``last.pt`` holds; random states take effect when ``fit`` begins.

        Raises:
            InputError: the checkpoint is of another model, optimiser, schedule or kind of run.
        """
        if "trainer" not in state:
            raise InputError("This checkpoint holds weights alone and cannot be continued; resume from last.pt.")
        checkpoint.load_weights(self.model, state["model"])
        checkpoint.load_states(self._parts, state)
        if "carry" in state:  # older checkpoints have none
            self.carry.load_state_dict(state["carry"])
            self.carry.to(self.runtime.device)
        try:
            restore_random_state(state["random"])  # tried here to refuse a damaged one; fit puts it back again
        except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
            raise InputError(f"Cannot resume: the random state does not fit ({shorten(error, 200)}).") from error
        self._random = state["random"]
        if state["threads"] != torch.get_num_threads():
            change = f"{state['threads']} threads before, {torch.get_num_threads()} now"
            log.warning("Resumed with %s: the numbers will differ in their last bits.", change)

    def _clear_gradients(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None


def _chunks(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """Lists of ``size`` batches; the last may be shorter."""
    batches = iter(batches)
    while chunk := list(islice(batches, size)):
        yield chunk
