"""One training, from a config to a run folder. ``python train.py`` and ``seqlab train`` are this module's ``main``."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from seqlab import __version__, compose, hints, runs_table, stored, trust
from seqlab.errors import InputError, one_sentence, show_anything

if TYPE_CHECKING:
    from seqlab.engine.state import Result


HOW = "add trust=true to the command line"
"""How a run that is continued is trusted."""
_finished: list[Path] = []
"""Folders of the runs that this process has measured, for the table at the end of a sweep."""
_failed: list[str] = []
"""What the runs of a sweep that failed were asked for."""


def train(config: Mapping[str, Any]) -> Result:
    """Build, fit, test, report: the whole road.

    Raises:
        InputError: something of the config or the data is a person's to mend.
    """
    if config["resume"] is None:
        hints.check_files(config)  # before torch is imported
    from seqlab import build
    from seqlab.engine.progress import Progress
    from seqlab.engine.tracker import Tracker
    from seqlab.engine.trainer import Trainer
    from seqlab.models import summarize
    from seqlab.report import report

    trusted = config["resume"] is None or config.get("trust", False)
    trust.check(config, Path(config["resume"] or "") / "config.yaml", trusted=trusted, how=HOW)
    resumed = None
    if config["resume"] is not None:
        resumed = _resumed(Path(config["resume"]), trusted)
    build.check_config(config)
    if resumed is not None:
        compose.check_continued(config, resumed["config"])
        if (ended := _ended(config, resumed)) is not None:
            print(
                f"{config['resume']} has ended by trainer.{ended.stopped_by} and is measured: nothing is left to do. "
                f"Raise trainer.{ended.stopped_by} to train it further.\n{config['resume']}"
            )
            return ended
    runtime = build.build_runtime(config, resumed)
    data = build.build_data(trust.offline(config, trusted=trusted))
    build.check_samples(config, data)
    task = build.build_task(config, data.spec, data.pipeline, getattr(data, "units", None))
    tokens = () if data.pipeline is None else data.pipeline.tokens
    model = build.build_model(config, data.spec, tokens, data.train).to(runtime.device)
    optimizer = build.build_optimizer(config, model)
    schedule = build.build_schedule(config)
    train_loader = build.build_loader(config, data.train, data.spec.pad_id, shuffle=True)
    val_loader = None if data.val is None else build.build_loader(config, data.val, data.spec.pad_id, shuffle=False)
    if val_loader is None and not config["test"]:
        raise InputError(
            "There is neither a validation part nor, with test=false, a test part: nothing can be measured."
        )
    with runtime.autocast():  # as training will: cells are compiled here, and not on its clock
        print(summarize(model), flush=True)

    if resumed is None:
        run_dir = build.make_run_dir(config)
    else:
        run_dir = Path(config["resume"])
        build.check_same_data(resumed, data)
    tracker = Tracker(run_dir, resume_step=None if resumed is None else resumed["trainer"]["step"])
    try:
        trainer = Trainer(
            model, task, optimizer, schedule, train_loader, val_loader, build.build_settings(config),
            runtime=runtime, tracker=tracker, progress=Progress(), watch=build.build_samples(config, data, tracker),
            run_dir=run_dir, extra=build.identity(config, data, runtime),
        )  # fmt: skip
        if resumed is not None:
            trainer.load_state_dict(resumed)
        compose.save(config, run_dir / "config.yaml")
        result = trainer.fit()
        if result.interrupted:
            print(f"Stopped by {result.stopped_by} at step {result.steps}; continue with resume={run_dir}")
        else:
            report(config, data, model, runtime, tracker, result)
            _finished.append(run_dir)
    finally:
        tracker.close()
    print(run_dir, flush=True)
    return result


def _resumed(run_dir: Path, trusted: bool) -> dict[str, Any]:
    """The checkpoint to continue from, checked before anything that it names is built."""
    from seqlab import build
    from seqlab.engine import checkpoint

    where = run_dir / "last.pt"
    found = checkpoint.load(where)
    if "trainer" not in found:
        raise InputError(f"{where} holds weights alone, like a best.pt, and cannot be continued.")
    stored.checkpoint(found, where, continued=True)
    trust.check(found["config"], where, trusted=trusted, pipeline=found["pipeline"], how=HOW)
    trust.check_links(run_dir, trusted=trusted)
    checkpoint.check_weights(found["model"], where)
    if not trusted:
        with stored.reading(where):
            build.check_fits(found, where)
    return found


def _ended(config: Mapping[str, Any], saved: Mapping[str, Any]) -> Result | None:
    """What a run came to whose training is over, and of which nothing is asked that it did not measure."""
    from seqlab import build
    from seqlab.engine.state import Result, State

    state = State()
    state.load_state_dict(saved["trainer"])
    reason = build.build_settings(config).limit(state)
    measured = (Path(config["resume"]) / "summary.json").exists()
    if reason is None or not measured or any(config[key] != saved["config"][key] for key in ("test", "floor")):
        return None
    return Result.of(state, reason)


@hydra.main(version_base="1.3", config_path=str(compose.CONFIGS), config_name="train")
def _hydra_train(composed: DictConfig) -> float | None:
    """Hand the composed config over as plain Python; the monitored value goes back to whoever sweeps.

    A run of a sweep that fails, such as one that diverges, does not end the sweep.
    """
    overrides = list(HydraConfig.get().overrides.task)
    try:
        with one_sentence():  # here, not around Hydra: it announces whatever passes through it
            result = train(compose.settled(composed, overrides))
    except SystemExit as ended:
        if ended.code != 2 or HydraConfig.get().mode != RunMode.MULTIRUN:
            raise
        _failed.append(" ".join(overrides))
        return None
    if result.interrupted:
        raise SystemExit(128 + signal.Signals[result.stopped_by])
    return result.best


def main() -> None:
    """Run Hydra's command line; a person's mistake is one sentence on standard error and exit status 2."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let errors through, to be put in a person's words here
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic cuBLAS; must precede CUDA's start
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("tensorboard").setLevel(logging.WARNING)
    show_anything()
    _finished.clear()
    _failed.clear()
    with one_sentence():
        if "--version" in sys.argv[1:]:
            print(f"seqlab {__version__}")
            return
        sys.argv[1:] = hints.understood(sys.argv[1:], compose.CONFIGS)
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
