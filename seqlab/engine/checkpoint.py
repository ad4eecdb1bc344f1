"""Checkpoints: one file of plain data, written whole or not at all, read without running any code."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn.modules.module import register_module_module_registration_hook

from seqlab.durable import sync_folder
from seqlab.errors import shorten
from seqlab.types import InputError

FORMAT = "seqlab checkpoint"
VERSION = 1


class DamagedError(InputError):
    """The file is there, and is not whole."""


class Stateful(Protocol):
    """Anything that gives its state as plain data and takes it back."""

    def state_dict(self) -> dict[str, Any]:
        """Plain data."""
        ...

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Puts back what ``state_dict`` gave."""
        ...


def save(path: str | Path, state: Mapping[str, Any], keep: int = 1) -> None:
    """Writes ``state`` beside ``path``, syncs it to disk, then renames: a crash leaves the earlier file or the new one.

    Args:
        path: where to; its folder is made if it is not there.
        state: numbers, strings, lists, dicts and tensors only, or it would not load again.
        keep: how many checkpoints stay: of ``last.pt`` the one before becomes ``last.1.pt``, that one ``last.2.pt``.

    Raises:
        InputError: the disk is full or the folder cannot be written; the earlier file stays as it was.
    """
    path = Path(path)
    # One name, not a random one: what a killed run leaves behind is overwritten by the next.
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(unfinished, "wb") as file:
            torch.save({"format": FORMAT, "version": VERSION, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        _rotate(path, keep)
        os.replace(unfinished, path)
        sync_folder(path.parent)
    except (OSError, RuntimeError) as error:  # torch's zip writer turns a failed write into a RuntimeError
        cause = _os_error(error)
        if cause is None:
            raise
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        kept = "the earlier checkpoint is unharmed" if path.exists() else "there is no earlier one"
        raise InputError(
            f"Cannot write the checkpoint {path} ({cause.strerror or cause}); {kept}; "
            "free space or choose another run_dir."
        ) from error


def load(path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint onto the CPU, under ``weights_only=True``.

    Raises:
        InputError: the file is missing, damaged, not ours, or of a later format.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no checkpoint {path}; name a run folder that has trained up to its first save.")
    if not zipfile.is_zipfile(path):
        raise DamagedError(f"{path} is damaged or no checkpoint at all; use the run's other checkpoint or train again.")
    try:
        with zipfile.ZipFile(path) as archive:  # torch.load believes weights whose checksum is wrong
            if (broken := archive.testzip()) is not None:
                raise ValueError(f"the checksum of {broken} is wrong")
            if any(item.compress_type != zipfile.ZIP_STORED for item in archive.infolist()):
                raise ValueError("it is compressed, and seqlab compresses none")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} holds more than plain data, so seqlab did not write it and will not load it."
        ) from error
    except Exception as error:  # a damaged pickle can raise anything
        raise DamagedError(
            f"{path} is damaged ({_first_line(error)}); use the run's other checkpoint or train again."
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT or not isinstance(state.get("version"), int):
        raise InputError(f"{path} was not written by seqlab; name a run folder or a checkpoint of this project.")
    if state["version"] > VERSION:
        raise InputError(
            f"{path} has checkpoint format {state['version']}, this seqlab reads up to {VERSION}; "
            "install a newer seqlab."
        )
    return state


def check_shapes(model: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Hold a checkpoint's ``model`` against a model, which may stand on the meta device, by names and shapes.

    Raises:
        InputError: they are not the same model; the first difference is named.
    """
    own = model.state_dict()
    weights = {
        name: part for name, part in weights.items() if "._owner." not in name
    }  # stored twice by earlier versions
    for name in sorted(own.keys() | weights.keys()):
        if name not in weights or name not in own:
            who = "model" if name in own else "checkpoint"
            raise InputError(
                f"The checkpoint is of another model: only the {who} has '{shorten(name)}'; use the run's own config."
            )
        if own[name].shape != weights[name].shape:
            theirs, ours = tuple(weights[name].shape), tuple(own[name].shape)
            raise InputError(
                f"The checkpoint is of another model: {name!r} is {theirs} there and {ours} here; "
                "use the run's own config."
            )


def check_weights(weights: Mapping[str, Any], where: str | Path) -> None:
    """Hold a checkpoint's ``model`` against what weights are: tensors of finite numbers, each with its own storage.

    Raises:
        InputError: one is something else, or holds NaN or infinite numbers.
    """
    for name, weight in weights.items():
        shown = f"'model.{shorten(name)}'"
        if not isinstance(weight, torch.Tensor) or weight.layout != torch.strided or weight.is_quantized:
            raise InputError(f"{where} is damaged or foreign: field {shown} must be a dense tensor.")
        if weight.numel() * weight.element_size() > weight.untyped_storage().nbytes():
            raise InputError(
                f"{where} is damaged or foreign: field {shown} claims {weight.numel():,} numbers and brings fewer."
            )
        if not (weight.is_floating_point() or weight.is_complex()):
            continue
        finite = weight.isfinite()
        if not finite.all():
            first = ", ".join(map(str, (~finite).nonzero()[0].tolist()))
            raise InputError(
                f"{where}: {int((~finite).sum()):,} numbers of weight '{shorten(name)}' are NaN or infinite (the first "
                f"at [{first}]), so no answer of this model means anything: its training diverged, or the file was "
                "changed; train again, for example with a lower optim.lr."
            )


@contextmanager
def no_more_than(weights: Mapping[str, Any], config: Mapping[str, Any], where: str | Path) -> Iterator[None]:
    """End the building of a model that would have far more parts than the checkpoint has weights.

    Raises:
        InputError: it would.
    """
    most, count = 10 * len(weights) + 1000, 0
    refused = InputError(
        f"{where} is damaged or foreign: its config asks for far more layers than it has weights ({len(weights):,})."
    )
    for node in (config["model"], config["task"].get("decoder")):
        for key, value in node.items() if isinstance(node, Mapping) else ():
            if key.endswith("layers") and isinstance(value, int) and value > most:
                raise refused

    def registered(*_: Any) -> None:
        nonlocal count
        count += 1
        if count > most:
            raise refused

    hook = register_module_module_registration_hook(registered)
    try:
        yield
    finally:
        hook.remove()


def load_weights(model: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Copies a checkpoint's ``model`` into ``model``, name by name, shape by shape.

    Raises:
        InputError: they are not the same model; the first difference is named, and the model is unchanged.
    """
    check_shapes(model, weights)
    model.load_state_dict(weights)


def states(parts: Mapping[str, Stateful | None]) -> dict[str, dict[str, Any] | None]:
    """Each part's state under its name, None for a part that the run does without."""
    return {name: None if part is None else part.state_dict() for name, part in parts.items()}


def load_states(parts: Mapping[str, Stateful | None], state: Mapping[str, Any]) -> None:
    """Gives each part its state back.

    Raises:
        InputError: a part is there only now or was there only then, or is of another kind.
    """
    for name, part in parts.items():
        if (part is None) != (state[name] is None):
            who = "this run" if state[name] is None else "the checkpoint"
            raise InputError(f"Cannot resume: only {who} has state of {name!r}; resume with the run's own settings.")
        try:
            if part is not None:
                part.load_state_dict(state[name])
        except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
            raise InputError(
                f"Cannot resume: the state of {name!r} does not fit ({_first_line(error)}); "
                "resume with the run's own settings."
            ) from error


def earlier(path: Path, number: int) -> Path:
    """Where the checkpoint that came ``number`` saves before ``path`` is kept; 0 is ``path`` itself."""
    return path.with_name(f"{path.stem}.{number}{path.suffix}") if number else path


def kept(path: Path) -> list[Path]:
    """The checkpoints that are there: ``path``, then the earlier ones, the newest first."""
    number = 0
    found = [path] if path.exists() else []
    while (one := earlier(path, number := number + 1)).exists():
        found.append(one)
    return found


def promote(path: Path, found: Path) -> None:
    """Put an earlier checkpoint ``found`` in the place of ``path``, which is damaged or gone, and those before it."""
    older = kept(path)
    for number, one in enumerate(older[older.index(found) :]):
        os.replace(one, earlier(path, number))
    sync_folder(path.parent)


def _rotate(path: Path, keep: int) -> None:
    """Give ``path`` its earlier name too, and move those before it; there is a whole ``path`` at every moment."""
    if not path.exists():
        return
    for one in kept(path)[max(keep, 1) :]:
        one.unlink()
    for number in range(keep - 2, 0, -1):
        if earlier(path, number).exists():
            os.replace(earlier(path, number), earlier(path, number + 1))
    if keep > 1:
        linked = path.with_name(f".{path.name}.linked")
        linked.unlink(missing_ok=True)
        try:
            os.link(path, linked)
        except OSError:  # a file system without links
            os.replace(path, earlier(path, 1))
        else:
            os.replace(linked, earlier(path, 1))
            linked.unlink(missing_ok=True)  # it stays where both names are of one file already


def _os_error(error: BaseException | None) -> OSError | None:
    """The operating system's complaint behind an error, if there is one."""
    while error is not None:
        if isinstance(error, OSError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
