"""Hydra's side of things: where the configs are, plain Python out of them, and errors in a person's words."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from seqlab import durable, help, hints, resuming, run_folders, stored, suggestions
from seqlab.errors import InputError, shorten
from seqlab.paths import CONFIGS as CONFIGS

GROUPS = ("data", "data/tokenizer", "task", "model", "optim", "schedule", "trainer", "experiment", "sweep")
CONTINUABLE = (
    "resume", "overwrite", "trust", "test", "floor", "trainer.max_", "trainer.patience", "trainer.keep", "runtime.",
)  # fmt: skip
"""What may differ when a run is continued; anything else would make it another run."""
TOKENIZING = {
    "data.lowercase": "char, whitespace and bpe (basic_english always folds capitals)",
    "data.max_tokens": "basic_english and whitespace",
    "data.subwords": "bpe",
}
"""Options that only some tokenizers read, and which those are."""


def composed(*overrides: str) -> dict[str, Any]:
    """The config that a command line of ``train.py`` comes to, for ``seqlab.train.train``.

    Args:
        overrides: its words: ``composed("model=gru", "data=imdb", "optim.lr=3e-3")``, ``composed("resume=RUN")``.

    Raises:
        InputError: there is no such name or option, or one that must be given was not; several runs are asked for.
    """
    if any(_named(override) == "sweep" for override in overrides):
        raise InputError("sweep= is for the command line: train one config after the other instead.")
    overrides = tuple(hints.words(overrides, [CONFIGS]))
    try:
        return settled(_compose(overrides), overrides)
    except HydraException as error:
        sentence = explain(error, overrides)
    raise InputError(sentence)  # out here: Hydra's own traceback says nothing more


def help_text(overrides: Sequence[str], folders: Sequence[Path] = ()) -> str:
    """The page that ``--help`` shows for a command line.

    Args:
        overrides: its words, without flags.
        folders: what ``--config-dir`` names.

    Raises:
        InputError: there is no such name or option.
    """
    words_given = hints.words(overrides, [CONFIGS, *folders])
    own = ",".join(json.dumps(f"file://{folder.resolve()}", ensure_ascii=False) for folder in folders)
    try:
        config = OmegaConf.to_container(_compose([*words_given, f"hydra.searchpath=[{own}]"]), resolve=False)
        resolved = OmegaConf.create(config)
    except HydraException as error:
        raise InputError(explain(error, words_given)) from None
    assert isinstance(config, dict)
    values = {key: _value(resolved, key) for key, _ in flatten(config)}  # type: ignore[arg-type]
    return help.text(_unflatten(values), help.chosen(words_given, _unflatten(values)), folders)


def _value(config: DictConfig, key: str) -> Any:
    """A value with its interpolations resolved; ``???`` where it must be given."""
    try:
        found = OmegaConf.select(config, key, throw_on_missing=True)
    except OmegaConfBaseException:
        return "???"
    return OmegaConf.to_container(found) if OmegaConf.is_config(found) else found


def settled(config: DictConfig, overrides: Sequence[str]) -> dict[str, Any]:
    """What Hydra composed, ready to train: plain, its paths absolute; of a run to be continued, that run's own.

    Args:
        config: as Hydra composed it.
        overrides: the words that it was composed of.

    Raises:
        InputError: a value that must be given was not; there is no such run, or another one is asked for.
    """
    _check_effect(config, overrides)
    found = _anchored(plain(config))
    if found["resume"] == "latest":
        found["resume"] = str(run_folders.latest(Path(found["runs"])))
        start = "" if resuming.has_checkpoint(Path(found["resume"])) else " (nothing was saved: from its start)"
        print(f"resume={found['resume']}{start}", flush=True)
    if found["resume"] == "auto":  # the folder is the same, however it is written
        overrides = [override for override in overrides if _named(override) != "run_dir"]
    folder = resuming.folder(found)
    if folder is None:
        return {**found, "resume": None}
    found["resume"] = str(folder)
    stored = resuming.stored_config(folder, load)
    return found if stored is None else continued(found, stored, overrides)


def _anchored(node: Mapping[str, Any]) -> dict[str, Any]:
    """Paths of data made absolute: a run folder is then of use from anywhere, not from this folder alone."""
    data, embedding = dict(node["data"]), dict(node["model"]["embedding"])
    for part, key in [*((data, key) for key in data), (embedding, "vectors")]:
        if key in ("root", "path", "vectors") or key.endswith("_path"):
            if isinstance(part[key], str):
                part[key] = os.path.abspath(os.path.expanduser(part[key]))
            elif isinstance(part[key], list) and all(isinstance(path, str) for path in part[key]):
                part[key] = [os.path.abspath(os.path.expanduser(path)) for path in part[key]]
    return {**node, "data": data, "model": {**node["model"], "embedding": embedding}}


def _check_effect(config: DictConfig, overrides: Sequence[str]) -> None:
    """Refuse options of a tokenizer that the chosen one does not read: nothing refers to them."""
    asked = {_named(override) for override in overrides}
    for key, whose in TOKENIZING.items():
        if key in asked and OmegaConf.select(config, "data.tokenizer") is not None:
            node = OmegaConf.to_yaml(config.data.tokenizer, resolve=False)
            if key not in node:
                chosen = str(config.data.tokenizer.get("tokenizer", "bpe"))
                raise InputError(
                    f"{key} has no effect with data/tokenizer={chosen}: it is for data/tokenizer={whose}; remove it, "
                    "or choose one of these."
                )


def _compose(overrides: Sequence[str]) -> DictConfig:
    running = GlobalHydra.instance().hydra  # there is one at a time: a caller's own is put back
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            return compose("train", list(overrides))
    finally:
        GlobalHydra.instance().hydra = running


def plain(config: DictConfig) -> dict[str, Any]:
    """The config as plain Python, every interpolation resolved.

    Raises:
        InputError: a value that must be given was not, or an interpolation leads nowhere.
    """
    try:
        return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[return-value]
    except MissingMandatoryValue as error:
        key = error.full_key
        raise InputError(f"{key} has no value: give it on the command line, {key}=VALUE.") from None
    except OmegaConfBaseException as error:
        reason = shorten(str(error).splitlines()[0], 200).rstrip(".")
        where = f"{shorten(error.full_key)}: " if error.full_key else ""
        raise InputError(
            f"{where}${{...}} stands for the value of another key, which is not there ({reason}): name a key that is, "
            "or write \\${ where you mean the text."
        ) from None


def save(config: Mapping[str, Any], path: Path) -> None:
    """Write a config as YAML, whole or not at all."""
    durable.write_text(path, OmegaConf.to_yaml(OmegaConf.create(dict(config))))


def load(path: Path) -> dict[str, Any]:
    """Read a config that ``save`` wrote.

    Raises:
        InputError: missing or unreadable.
    """
    try:
        text = stored.text_of(path)
        if not isinstance(yaml.safe_load(text), dict | list | None):  # OmegaConf fails an assertion on a single value
            raise InputError(f"{path} is not the config of a run: it holds no keys.")
        return stored.config(OmegaConf.to_container(OmegaConf.create(text)), path)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: give one of the run folders that `seqlab runs` lists.") from error
    except InputError:
        raise
    except (OSError, ValueError, RecursionError, yaml.YAMLError, OmegaConfBaseException) as error:
        reason = shorten(" ".join(str(error).split()), 300).rstrip(".")
        raise InputError(f"{path} cannot be read as a run's configuration: {reason}.") from error


def flatten(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """``(dotted path, value)`` of every leaf; lists are leaves."""
    for key, value in node.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{path}.")
        else:
            yield path, value


def continued(composed: Mapping[str, Any], stored: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The config to continue a run with: the stored one, and what of the command line may change.

    Args:
        composed: what this command line comes to.
        stored: the run's own config.
        overrides: the command line's ``key=value`` words; what is not named there is the stored run's.

    Raises:
        InputError: the command line asks for another run; the message shows each difference.
    """
    old, new = dict(flatten(stored)), dict(flatten(composed))
    asked = [_named(override).replace("/", ".").rstrip(".") for override in overrides]
    result = {**old, "trust": new.get("trust", False)}  # a run folder does not say that it is trusted
    differences = []
    for key in sorted(old.keys() | new.keys()):
        named = "experiment" in asked or any(key == name or key.startswith(name + ".") for name in asked)
        if not named or old.get(key) == new.get(key) or (key not in old and key not in asked):
            continue  # a key that the run's group had not yet: a later version brought it
        if key.startswith(CONTINUABLE):
            result[key] = new.get(key)
        else:
            differences.append(f"{key} was {old.get(key)!r}, is {new.get(key)!r}")
    if differences:
        raise InputError(
            f"These options differ from the run that resume= continues: {'; '.join(differences)}. "
            "Remove them, or start a new run without resume=."
        )
    return _unflatten(result)


def check_continued(config: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    """Refuse to continue a run with a config that is not its own, wherever it came from.

    Args:
        config: the whole config.
        saved: that of the run's checkpoint.

    Raises:
        InputError: they differ in what may not change; the message shows each difference.
    """
    keys = {path for node in (config, saved) for path, _ in flatten(node)}
    continued(config, saved, [f"{key}=" for key in keys if key not in ("run_dir", "runs")])


def _named(override: str) -> str:
    """The option or group that a word of the command line is about."""
    return override.lstrip("+").partition("=")[0]


def _unflatten(leaves: Mapping[str, Any]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for path, value in leaves.items():
        *folders, name = path.split(".")
        node = root
        for folder in folders:
            node = node.setdefault(folder, {})
        node[name] = value
    return root


def explain(error: HydraException, overrides: Sequence[str]) -> str:
    """One sentence for what Hydra refused, with the nearest right name."""
    text = str(error)
    if isinstance(error, MissingConfigException):
        found = re.search(r"Could not find '([^']+)'", text)
        group, _, name = (found.group(1) if found else "").rpartition("/")
        options = sorted({*map(str, error.options or ()), *_options(group)})
        return f"{group}={name}: there is no such {group or 'config'}{suggestions.choice(name, options)}"
    if isinstance(error, OverrideParseException):
        return suggestions.unreadable(str(error.override))
    if unknown := re.search(r"Could not override '([^']+)'", text):
        key = unknown.group(1)
        if any(override.startswith("resume=") for override in overrides) and not key.startswith(CONTINUABLE):
            may = ", ".join(name + "*" * name.endswith((".", "_")) for name in CONTINUABLE if name != "resume")
            return f"{key} cannot change when a run is continued; with resume= you can set {may}."
        return f"{key}: there is no such option{suggestions.option(key, _known(key, overrides))}"
    if text.startswith("Ambiguous value"):
        word = next((override for override in overrides if override in text), "KEY=A,B")
        key, _, values = word.partition("=")
        instead = f"; to pass a list write {key}=[{values}]" if key not in GROUPS else ""
        return f"{word}: to try several values add -m (--multirun) on the command line{instead}."
    if text.startswith("Multiple values for"):
        return f"{text.split('.')[0]}: write group=name without the +."
    if merged := re.search(r"Error merging override (.*)", text):
        key, _, value = merged.group(1).partition("=")
        return f"{key}: {shorten(value)!r} does not fit this option: `seqlab train --help` shows its values."
    return " ".join(text.split())


def _options(group: str) -> list[str]:
    return [path.stem for path in (CONFIGS / group).glob("*.yaml")] if group else []


def _known(key: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Every group, and every key with its value of the config that the other overrides come to."""
    others = [override for override in overrides if not override.lstrip("+~").startswith(key)]
    try:
        config = OmegaConf.to_container(_compose(others))
    except ConfigCompositionException:  # a second mistake: the defaults' keys are hint enough
        config = OmegaConf.to_container(_compose([]))
    assert isinstance(config, dict)
    return dict.fromkeys(GROUPS) | dict(flatten(config))  # type: ignore[arg-type]
