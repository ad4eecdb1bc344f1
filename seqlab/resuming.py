"""What a run folder holds to continue from, wherever its last process was killed. Torch loads only where it must."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqlab import stored, trust
from seqlab.errors import DivergedError, InputError, shorten

if TYPE_CHECKING:
    from seqlab.engine.state import Result

HOW = "add trust=true to the command line"
"""How ``resume=`` is told to trust a run folder."""
OWN = {"config.yaml", "metrics.jsonl", "best.pt", "figures", ".lock"}
"""What a run that was killed before its first checkpoint may have left, besides event and unfinished files."""


def folder(config: Mapping[str, Any]) -> Path | None:
    """The run folder to continue: what ``resume`` names; with ``auto`` what ``run_dir`` names, None if it is not there.

    Raises:
        InputError: ``resume=auto`` without ``run_dir=``, or that folder is no run folder.
    """
    if config["resume"] != "auto":
        return None if config["resume"] is None else Path(config["resume"])
    if config["run_dir"] is None:
        raise InputError("resume=auto needs run_dir=FOLDER: the run folder to start, or to continue if it is there.")
    path = Path(config["run_dir"])
    if not path.exists():
        return None
    if not path.is_dir() or not _is_run(path):
        raise InputError(f"run_dir={shorten(path, 200)} exists and is not a run folder: choose another run_dir.")
    return path


def _is_run(path: Path) -> bool:
    """Whether a run may be started or continued in it: seqlab's files, or nothing at all."""
    if (path / "config.yaml").exists() or _checkpoints(path):
        return True
    return all(one.name in OWN or "tfevents" in one.name or one.name.endswith(".unfinished") for one in path.iterdir())


def stored_config(path: Path, load: Callable[[Path], dict[str, Any]]) -> dict[str, Any] | None:
    """A run's own config: its ``config.yaml``, else what its checkpoint says; None in a folder that holds neither.

    Args:
        path: the run folder.
        load: reads a ``config.yaml``.

    Raises:
        InputError: there is no such folder, or the config cannot be read and no checkpoint has it.
    """
    file = path / "config.yaml"
    try:
        found = load(file)
        if isinstance(found, dict) and {"data", "model", "trainer", "seed"} <= found.keys():
            return found
        reason = "holds no configuration of a run"
    except InputError as error:
        if not path.is_dir() or (file.exists() and not _checkpoints(path)):
            raise
        reason = "does not exist" if not file.exists() else "cannot be read"
        cause = error
    else:
        cause = InputError(f"{file} {reason}: start again with a new run_dir.")
    if (state := _load_any(path)) is not None:
        print(f"{file} {reason}: the configuration is taken from the checkpoint.", file=sys.stderr)
        return dict(state["config"])
    if file.exists():
        raise cause
    return None


def load_checkpoint(config: Mapping[str, Any], *, trusted: bool) -> dict[str, Any] | None:
    """The newest whole checkpoint to continue from; None if nothing was saved yet. Call it with the folder locked.

    A ``last.pt`` that is damaged or missing is replaced by the checkpoint before it, and a line says so.

    Args:
        config: of the run.
        trusted: whether it may name code outside seqlab.

    Raises:
        InputError: all are damaged or foreign, or they hold weights alone; it is another run; it is finished and they
            are gone.
    """
    from seqlab import build, compose
    from seqlab.engine import checkpoint

    path = Path(config["resume"])
    last = path / "last.pt"
    state = _load_any(path)
    if state is None:
        if (path / "summary.json").exists():
            raise InputError(f"{last} is gone, and the run is finished: it cannot be continued. Start a new run.")
        return None
    if "trainer" not in state:
        raise InputError(f"{last} holds weights alone, like a best.pt, and cannot be continued.")
    found = state.pop("from")
    trust.check(state["config"], found, trusted=trusted, pipeline=state["pipeline"], how=HOW)
    compose.check_continued(config, state["config"])
    checkpoint.check_weights(state["model"], found)
    if not trusted:
        with stored.reading(found):
            build.check_fits(state, found)
    if found != last:
        checkpoint.promote(last, found)
    return state


def _load_any(path: Path) -> dict[str, Any] | None:
    """The newest whole checkpoint, with its file as ``from``; None if there is none at all."""
    from seqlab.engine import checkpoint

    problem: InputError | None = None
    for one in _checkpoints(path):
        try:
            state = checkpoint.load(one)
        except checkpoint.DamagedError as error:
            problem = problem or error
            continue
        stored.checkpoint(state, one, continued="trainer" in state)
        if one.name != "last.pt":
            wrong = "is missing" if problem is None else "is damaged"
            step = state["trainer"]["step"]
            print(f"{path / 'last.pt'} {wrong}: continuing from {one.name}, saved at step {step:,}.", file=sys.stderr)
        return {**state, "from": one}
    if problem is not None:
        raise problem
    return None


def has_checkpoint(path: Path) -> bool:
    """Whether a run folder holds something to continue from; otherwise its run starts again."""
    return bool(_checkpoints(path))


def _checkpoints(path: Path) -> list[Path]:
    """``last.pt`` and those before it, the newest first."""
    earlier = sorted(path.glob("last.*.pt"), key=lambda one: (len(one.name), one.name))
    return [one for one in (path / "last.pt", *earlier) if one.exists()]


def ended(config: Mapping[str, Any], saved: Mapping[str, Any]) -> Result | None:
    """The result of a run that is trained and measured, with nothing new asked of it; None if there is work left.

    Raises:
        DivergedError: it is finished, and it diverged.
    """
    from seqlab import build
    from seqlab.engine.state import Result, State

    path = Path(config["resume"])
    state = State()
    state.load_state_dict(saved["trainer"])
    reason = build.build_settings(config).limit(state)
    if reason is None or any(config[key] != saved["config"][key] for key in ("test", "floor")):
        return None
    if (summary := _reported(path, state.step)) is None:
        return None
    print(
        f"{path} is already finished (trainer.{reason} reached) and evaluated. "
        f"Raise trainer.{reason} to train it further.\n{path}"
    )
    result = replace(Result.of(state, reason), diverged=state.diverged if summary.get("diverged") else "")
    if result.diverged:
        raise DivergedError(result.diverged)
    return result


def _reported(path: Path, step: int) -> dict[str, Any] | None:
    """The summary, if it is of this step and its report was finished; older ones do not say, and were written last."""
    try:
        summary = json.loads(stored.bytes_of(path / "summary.json", stored.LARGEST_SUMMARY))
    except (OSError, ValueError, RecursionError):
        return None
    whole = isinstance(summary, dict) and summary.get("steps") == step and summary.get("complete", True) is True
    return summary if whole else None
