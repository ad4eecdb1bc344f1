"""What a training works with besides data and model, and the folder that it leaves."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from seqlab import schema
from seqlab.build.data import Data
from seqlab.build.keys import RUNTIME, Config, without
from seqlab.engine.lock import check_free
from seqlab.engine.runtime import Runtime, make_runtime, resolve_device, tune_allocator, tune_products
from seqlab.engine.settings import Settings
from seqlab.errors import shorten
from seqlab.types import InputError

logger = logging.getLogger(__name__)


def build_runtime(config: Config, saved: Mapping[str, Any] | None = None) -> Runtime:
    """Device and precision, with the process itself set up: threads, the C allocator, matrix products.

    Precision ``auto`` is found by timing, and may be found otherwise another day: with ``saved``, a checkpoint, it is
    what it was, on the same kind of device.
    """
    settings = config["runtime"]
    if settings["threads"] is not None:
        torch.set_num_threads(settings["threads"])
    runtime = remembered(saved, config["trainer"]["device"], config["trainer"]["precision"])
    if settings["tune"] == "auto":
        tune_allocator()
        if runtime == Runtime():  # float32 on the CPU: bfloat16 products are oneDNN's already
            tune_products()
    return runtime


def remembered(saved: Mapping[str, Any] | None, device: str, precision: str) -> Runtime:
    """Device and precision by name; ``auto`` precision as a checkpoint remembers it."""
    if saved is not None and precision == "auto" and resolve_device(device).type == saved.get("device"):
        precision = saved["precision"]
    return make_runtime(device, precision)


def build_schedule(config: Config) -> Any:
    """Progress in ``[0, 1]`` -> factor of the learning rate: a function with its options, or an object with a state."""
    node = config["schedule"]
    function = schema.locate(node["_target_"], "schedule")
    if "progress" not in schema.arguments(function):
        return schema.construct("schedule", node)
    return partial(function, **without(node, ("_target_",)))


def build_optimizer(config: Config, model: torch.nn.Module) -> Optimizer:
    """The optimiser; ``model`` stands on its device already, which decides whether there is a fused form."""
    return schema.construct("optim", config["optim"], model=model)


def build_settings(config: Config) -> Settings:
    """Limits, clipping, when to look and when to save."""
    return Settings(**without(config["trainer"], RUNTIME))


def identity(config: Config, data: Data, runtime: Runtime) -> dict[str, Any]:
    """What a checkpoint carries besides weights, so that it can be used and continued from its folder alone."""
    return {
        "config": dict(config),
        "pipeline": None if data.pipeline is None else data.pipeline.state_dict(),
        "scaling": None,
        **data.artifacts(),
        "spec": {**asdict(data.spec), "labels": list(data.spec.labels)},
        "digest": data.digest,
        "device": runtime.device.type,
        "precision": runtime.precision,
    }


def check_run_dir(config: Config) -> None:
    """Refuse a run folder that is there already, before the work that would go into it.

    Raises:
        InputError: it exists (``run_dir``); if a process is at work in it, the message says which.
    """
    if config["run_dir"] is not None and Path(config["run_dir"]).exists():
        check_free(config["run_dir"])
        if config.get("overwrite"):
            _check_deletable(Path(config["run_dir"]))
            return
        raise InputError(
            f"run_dir={config['run_dir']} exists already: name a new folder, continue it with "
            f"resume={config['run_dir']}, or delete it first with overwrite=true."
        )


def _check_deletable(folder: Path) -> None:
    """Refuse to delete what is no run folder.

    Raises:
        InputError: it holds no training, or is a link.
    """
    from seqlab import compose  # whose Hydra takes long to import

    try:
        config = compose.load(folder / "config.yaml")
    except InputError:
        config = {}
    wrote = any((folder / name).exists() for name in ("metrics.jsonl", "last.pt", "best.pt"))
    if folder.is_symlink() or not wrote or not {"data", "model", "trainer"} <= config.keys():
        raise InputError(
            f"run_dir={shorten(folder, 200)} exists and is not a run folder, so overwrite=true does not delete it: "
            "delete it yourself, or name another folder."
        )


def make_run_dir(config: Config) -> Path:
    """Make the run folder, atomically: two runs that start in one instant get two folders.

    Raises:
        InputError: it exists already (``run_dir``), or cannot be made.
    """
    check_run_dir(config)
    try:
        if config["run_dir"] is not None:
            chosen = Path(config["run_dir"])
            if chosen.exists():
                shutil.rmtree(chosen)
                logger.warning("Deleted the run folder %s (overwrite=true).", chosen)
            chosen.mkdir(parents=True)
            return chosen
        parent = Path(config["runs"]) / config["data"]["name"] / config["model"]["name"]
        parent.mkdir(parents=True, exist_ok=True)
        stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        for number in range(1, 10_000):
            run_dir = parent / f"{stamp}-{number}"
            try:
                run_dir.mkdir()
            except FileExistsError:
                continue
            return run_dir
        raise InputError(f"{parent} holds 9,999 runs of this second already.")
    except OSError as error:
        where = config["run_dir"] or config["runs"]
        raise InputError(
            f"No run folder can be made under {where}: {error.strerror}; choose another with runs=FOLDER "
            "or run_dir=FOLDER."
        ) from error
