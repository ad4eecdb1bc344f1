"""One training, from a config to a run folder. ``python train.py`` and ``seqlab train`` are this module's ``main``."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from seqlab import __version__, compose, hints, resuming, runs_table, stored, trust
from seqlab.engine.interrupt import ends_command, leaving
from seqlab.errors import DivergedError, InputError, one_sentence, shorten, show_anything
from seqlab.words import word

if TYPE_CHECKING:
    from seqlab.build import Data
    from seqlab.engine.runtime import Runtime
    from seqlab.engine.state import Result


_finished: list[Path] = []
"""Folders of the runs that this process has measured, for the table at the end of a sweep."""
_failed: list[str] = []
"""What the runs of a sweep that failed were asked for."""


def train(config: Mapping[str, Any]) -> Result:
    """Build, fit, test, report: the whole training.

    Raises:
        DivergedError: the training diverged; what could be measured is in the run folder.
        InputError: something of the config or the data is wrong.
    """
    _check_alone()
    if config["resume"] is None:
        hints.check_files(config)  # before torch is imported
    from seqlab import build
    from seqlab.engine.lock import RunLock
    from seqlab.models import summarize

    trusted = config["resume"] is None or config.get("trust", False)
    trust.check(config, Path(config["resume"] or "") / "config.yaml", trusted=trusted, how=resuming.HOW)
    if config["resume"] is not None:
        trust.check_links(Path(config["resume"]), trusted=trusted)
    build.check_config(config)
    config = build.completed(config)
    with RunLock() as lock:
        resumed = None
        if config["resume"] is not None:
            lock.take(config["resume"])
            resumed = resuming.load_checkpoint(config, trusted=trusted)
            if resumed is not None and (ended := resuming.ended(config, resumed)) is not None:
                return replace(ended, run_dir=Path(config["resume"]), opens=_open)
        runtime = build.build_runtime(config, resumed)
        data = build.build_data(trust.offline(config, trusted=trusted))
        tokens = () if data.pipeline is None else data.pipeline.tokens
        task = build.objective_for(config, data)
        build.make_task(config).check(data, task)
        build.check_memory(config, data.spec)
        model = build.build_model(config, data.spec, tokens, data.train).to(runtime.device)
        optimizer, schedule = build.build_optimizer(config, model), build.build_schedule(config)
        train = build.build_loader(config, data.train, data.spec, shuffle=True)
        val = None if data.val is None else build.build_loader(config, data.val, data.spec, shuffle=False)
        if data.val is None and not config["test"]:
            raise InputError("There is no validation part, and test=false: nothing can be measured. Remove test=false.")
        with runtime.autocast():  # as training will: cells are compiled here, and not on its clock
            print(summarize(model), flush=True)

        if config["resume"] is None:
            run_dir = build.make_run_dir(config)
            lock.take(run_dir)
        else:
            run_dir = Path(config["resume"])
        if resumed is not None:
            build.check_same_data(resumed, data)
        with leaving(f"while training; continue with {word('resume', str(run_dir))}"):
            compose.save(config, run_dir / "config.yaml")  # first: a run killed from here on can be continued
            parts = (model, task, optimizer, schedule, train, val, build.build_settings(config))
            result = _fit_and_report(config, data, parts, runtime, run_dir, resumed)
        print(run_dir, flush=True)
        result = replace(result, run_dir=run_dir, opens=_open)
    if result.diverged and not result.interrupted:
        raise DivergedError(result.diverged)
    return result


def _open(run_dir: Path) -> Any:
    from seqlab.run import Run

    return Run(run_dir, trust=True)  # what has just been trained here is the caller's own


def _check_alone() -> None:
    """Refuse to be one of several processes: each would train the same run."""
    count = os.environ.get("WORLD_SIZE", "1")
    if count not in ("", "0", "1"):
        raise InputError(
            f"WORLD_SIZE={shorten(count)}: torchrun or a like of it started several processes, and seqlab trains in "
            "one: start it without torchrun, or with --nproc-per-node=1."
        )


def _fit_and_report(
    config: Mapping[str, Any],
    data: Data,
    parts: tuple[Any, ...],
    runtime: Runtime,
    run_dir: Path,
    resumed: Mapping[str, Any] | None,
) -> Result:
    """Train in a run folder, from its start or from a checkpoint; then measure, unless a signal came.

    Args:
        config, data, runtime, run_dir: of the run.
        parts: what a ``Trainer`` works with, from the model to its settings.
        resumed: the checkpoint.
    """
    from seqlab import build
    from seqlab.divergence import confirmed
    from seqlab.engine.gradients import NonFiniteError
    from seqlab.engine.progress import Progress
    from seqlab.engine.state import NON_FINITE, Result
    from seqlab.engine.tracker import Tracker
    from seqlab.engine.trainer import Trainer
    from seqlab.report import report

    step = None if config["resume"] is None else 0 if resumed is None else resumed["trainer"]["step"]
    with closing(Tracker(run_dir, resume_step=step)) as tracker:
        trainer = Trainer(
            *parts,
            runtime=runtime, tracker=tracker, progress=Progress(), watch=build.make_task(config).watch(data, tracker),
            run_dir=run_dir, extra=build.identity(config, data, runtime),
        )  # fmt: skip
        if resumed is not None:
            with stored.reading(run_dir / "last.pt"):
                trainer.load_state_dict(resumed)
        try:
            result = trainer.fit()
        except NonFiniteError as error:
            result = replace(Result.of(trainer.state, NON_FINITE), diverged=str(error))
        if result.interrupted:
            print(f"Stopped by {result.stopped_by} at step {result.steps}; continue with resume={run_dir}")
            return result
        result = replace(result, diverged=confirmed(result, config, data, trainer.task, runtime))
        with leaving(f"after the training, which is saved; measure it with {word('resume', str(run_dir))}"):
            report(config, data, parts[0], runtime, tracker, result)
        _finished.append(run_dir)
    return result


@hydra.main(version_base="1.3", config_path=str(compose.CONFIGS), config_name="train")
def _hydra_train(composed: DictConfig) -> float | None:
    """Hand the composed config over as plain Python; the monitored value goes back to whoever sweeps.

    A run of a sweep that fails, such as one that diverges, does not end the sweep.
    """
    words: Any = OmegaConf.to_container(HydraConfig.get().overrides, resolve=False)
    overrides = list(words["task"])
    try:
        with one_sentence():  # here, not around Hydra: it announces whatever passes through it
            result = train(compose.settled(composed, overrides))
    except SystemExit as ended:
        if ended.code not in (2, 3) or HydraConfig.get().mode != RunMode.MULTIRUN:
            raise
        _failed.append(" ".join(overrides))
        return None
    if result.interrupted:
        raise SystemExit(128 + signal.Signals[result.stopped_by])
    return result.best


def main() -> None:
    """Run Hydra's command line; wrong input is one sentence on standard error and status 2, divergence status 3."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let errors through, to be put in a person's words here
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic cuBLAS; must precede CUDA's start
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("tensorboard").setLevel(logging.WARNING)
    show_anything()
    _finished.clear()
    _failed.clear()
    with one_sentence(), ends_command():
        if "--version" in sys.argv[1:]:
            print(f"seqlab {__version__}")
            return
        sys.argv[1:] = hints.understood(sys.argv[1:], compose.CONFIGS)
        flags, overrides = hints.parted(sys.argv[1:])
        if {"--help", "-h"} & set(flags):
            print(compose.help_text(overrides, hints.own_folders(flags)))
            return
        try:
            _hydra_train()
        except HydraException as error:
            raise InputError(compose.explain(error, [word for word in sys.argv[1:] if "=" in word])) from error
        finally:
            if len(_finished) + len(_failed) > 1:
                runs_table.show_sweep(_finished)
    if _failed:
        print(f"error: of the sweep's runs {len(_failed)} failed: {'; '.join(_failed)}.", file=sys.stderr)
        raise SystemExit(2)
