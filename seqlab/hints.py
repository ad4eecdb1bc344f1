"""Words of a command line before Hydra reads them: known slips are answered with the word to write instead.

Hydra and torch are not imported here, so that the answer is there at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from seqlab.errors import InputError, shorten
from seqlab.words import word

SYNONYMS = {
    "data": ("dataset", "datasets", "data.dataset"),
    "model": ("network", "net", "arch", "architecture"),
    "optim": ("optimizer", "optimiser", "opt", "optim.name", "optim.optimizer", "trainer.optimizer"),
    "schedule": ("scheduler", "lr_scheduler", "lr_schedule", "optim.schedule", "trainer.schedule"),
    "experiment": ("recipe", "exp"),
    "data/tokenizer": ("tokenizer", "tokeniser", "tokenizer.name", "model.tokenizer", "data.tokeniser"),
    "optim.lr": (
        "lr", "learning_rate", "learningrate", "model.lr", "model.learning_rate", "trainer.lr",
        "trainer.learning_rate", "optim.learning_rate", "optimizer.lr", "optimizer.learning_rate", "schedule.lr",
    ),
    "optim.weight_decay": ("weight_decay", "wd", "l2", "optim.wd", "model.weight_decay", "trainer.weight_decay"),
    "optim.momentum": ("momentum",),
    "trainer.max_epochs": (
        "epochs", "epoch", "num_epochs", "n_epochs", "max_epochs", "trainer.epochs", "trainer.num_epochs",
        "train.epochs", "optim.epochs", "model.epochs",
    ),
    "trainer.max_steps": ("steps", "max_steps", "num_steps", "trainer.steps", "trainer.num_steps", "iterations"),
    "trainer.max_minutes": ("minutes", "max_minutes", "trainer.minutes", "max_time", "trainer.max_time"),
    "trainer.device": ("device", "gpu", "cuda", "accelerator", "runtime.device", "model.device"),
    "trainer.precision": ("precision", "dtype", "amp", "runtime.precision", "model.precision", "trainer.dtype"),
    "trainer.clip_norm": (
        "clip", "clip_norm", "grad_clip", "gradient_clip", "gradient_clip_val", "max_grad_norm", "trainer.clip",
        "trainer.grad_clip", "trainer.gradient_clip_val", "trainer.max_grad_norm", "optim.clip_norm",
    ),
    "trainer.patience": ("patience", "early_stopping", "trainer.early_stopping"),
    "trainer.accumulate": ("accumulate", "accumulate_grad_batches", "trainer.accumulate_grad_batches"),
    "data.batch_size": ("batch_size", "batch", "bs", "batchsize", "trainer.batch_size", "model.batch_size"),
    "data.max_length": ("max_length", "max_len", "seq_len", "sequence_length", "data.max_len", "data.seq_len"),
    "data.max_tokens": ("max_tokens", "vocab_size", "max_vocab", "data.vocab_size", "data.max_vocab", "data.max_words"),
    "data.path": ("path", "file", "data_path", "filename", "data.file", "data.filename", "data.train_path"),
    "data.root": ("root", "data_root", "data_dir", "data.dir", "data.folder"),
    "data.text_column": ("text_column", "text"),
    "data.label_column": ("label_column", "label", "target_column", "data.label"),
    "data.time_column": ("time_column", "date_column", "data.date_column"),
    "data.targets": ("targets", "data.target_columns"),
    "data.horizon": ("horizon", "data.prediction_length", "data.forecast_horizon"),
    "data.lookback": ("lookback", "window", "window_size", "data.window", "data.window_size", "data.context_length"),
    "model.hidden_size": (
        "hidden_size", "hidden", "hidden_dim", "units", "hidden_units", "n_hidden", "model.hidden", "model.hidden_dim",
        "model.units", "model.num_units", "model.hidden_units", "model.n_hidden", "model.width",
    ),
    "model.num_layers": ("num_layers", "layers", "n_layers", "depth", "model.layers", "model.n_layers", "model.depth"),
    "model.dropout": ("dropout", "model.drop", "model.dropout_rate"),
    "model.bidirectional": ("bidirectional", "model.bidir"),
    "model.cell": ("cell", "rnn_type", "cell_type", "model.cell_type", "model.rnn_type"),
    "model.backend": ("backend",),
    "model.embedding.dim": (
        "embedding_dim", "embed_dim", "emb_dim", "embedding_size", "model.embedding_dim", "model.embed_dim",
        "model.embedding_size", "model.emb_dim", "model.embedding.size",
    ),
    "model.embedding.vectors": ("vectors", "embeddings", "glove", "model.vectors", "model.pretrained"),
    "task.loss": ("loss", "criterion", "loss_fn", "model.loss", "trainer.loss"),
    "runtime.threads": ("threads", "num_threads", "cpus", "n_threads", "trainer.threads"),
    "seed": ("random_seed", "random_state", "manual_seed", "trainer.seed", "model.seed"),
    "run_dir": ("out", "output", "output_dir", "out_dir", "save_dir", "log_dir", "logdir", "trainer.run_dir"),
    "resume": ("checkpoint", "ckpt", "restore", "continue", "resume_from", "trainer.resume", "trainer.checkpoint"),
}  # fmt: skip
"""Key -> what other programs call it. None of these is a key here (a test holds that)."""

_MEANT = {synonym: key for key, synonyms in SYNONYMS.items() for synonym in synonyms}
_WITH_VALUE = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp", "--cfg", "-c", "--package", "-p")
_FLAGS = (
    *_WITH_VALUE, "--help", "-h", "--hydra-help", "--version", "--resolve", "-r", "--run", "--multirun", "-m",
    "--shell-completion", "-sc", "--info", "-i", "--experimental-rerun",
)  # fmt: skip
_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


def understood(arguments: Sequence[str], configs: Path) -> list[str]:
    """The arguments of a command line as Hydra takes them: flags first, group names in their own spelling.

    Args:
        arguments: without the program's name.
        configs: the folder of config groups.

    Raises:
        InputError: an unknown flag, or a key of another program; the message names the word to write.
    """
    flags, overrides = parted(arguments)
    return [*flags, *words(overrides, [configs, *own_folders(flags)])]


def own_folders(flags: Sequence[str]) -> list[Path]:
    """The folders of configs that flags name.

    Raises:
        InputError: there is no such folder.
    """
    found = [Path(value) for flag, value in pairwise(flags) if flag in ("--config-dir", "-cd")]
    for folder in found:
        if not folder.is_dir():
            raise InputError(f"--config-dir {shorten(folder)}: there is no such folder of configs.")
    return found


def words(overrides: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """Overrides with group names in their own spelling: ``model=LSTM`` is ``model=lstm``.

    Args:
        overrides: ``key=value``.
        folders: where config groups are.

    Raises:
        InputError: a key of another program; the message names the word to write.
    """
    for override in overrides:
        _refuse_synonym(override)
    return [_spelled(override, folders) for override in overrides]


def parted(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Flags with their values, and overrides, each in their order."""
    flags: list[str] = []
    overrides: list[str] = []
    left = list(arguments)
    while left:
        argument = left.pop(0)
        name, separator, value = argument.partition("=")
        if not argument.startswith("-"):
            overrides.append(argument)
        elif name in _FLAGS:
            flags += [name, value] if separator and name in _WITH_VALUE else [argument]
            if left and (
                (argument in _WITH_VALUE and not separator) or (name in ("--info", "-i") and left[0] in _INFO)
            ):
                flags.append(left.pop(0))
        else:
            key = name.lstrip("-").replace("-", "_")
            if not separator:
                value = left.pop(0) if left and not left[0].startswith("-") and "=" not in left[0] else "true"
            key = _MEANT.get(key, key)
            raise InputError(f"{name}: options are written without dashes: write {_again(key, value)}")
    return flags, overrides


def _refuse_synonym(override: str) -> None:
    key, separator, value = override.lstrip("+~").partition("=")
    if not separator:
        return
    if key == "data.tokenizer" and not value.startswith(("{", "$")):
        raise InputError(f"data.tokenizer names a group of configs: write {_again('data/tokenizer', value)}")
    if (meant := _MEANT.get(key)) is not None:
        raise InputError(f"{shorten(key)} is not the name of the option: write {_again(meant, value)}")


def _again(key: str, value: str) -> str:
    """The value as it was typed, under another key."""
    if key == "trainer.device" and value not in ("auto", "cpu", "mps"):
        value = "cuda"  # gpu=1, gpus=0, cuda=true
    value = shorten(value, 200)
    return f"{key}={value}" if value and not set(value) & set(" '\"$`\\()[]{}&;<>|*?!~") else word(key, value)


def _spelled(override: str, folders: Sequence[Path]) -> str:
    group, separator, value = override.partition("=")
    if not separator or not value:
        return override
    options = {path.stem for folder in folders for path in (folder / group).glob("*.yaml")}
    if group == "resume":
        options = {"auto", "latest"}
    if not options:
        return override
    lower = {option.lower(): option for option in options}
    names = [name if name in options else lower.get(name.lower().replace("-", "_"), name) for name in value.split(",")]
    return f"{group}={','.join(names)}"


def check_files(config: Mapping[str, Any]) -> None:
    """Refuse files that are not there before anything heavy is imported.

    Args:
        config: the whole config, its paths absolute.

    Raises:
        InputError: a file or folder that the config names does not exist.
    """
    data, embedding = config["data"], config["model"].get("embedding") or {}
    named: list[tuple[str, Any]] = [("model.embedding.vectors", embedding.get("vectors"))]
    if str(data.get("_target_", "")).startswith("seqlab."):  # what the keys of another's source mean, they know
        named += [(f"data.{key}", value) for key, value in data.items() if key == "path" or key.endswith("_path")]
    for key, value in named:
        for path in value if isinstance(value, list) else [value]:
            if isinstance(path, str) and not os.path.exists(path):
                raise InputError(f"{key}={shorten(path, 300)} does not exist{_nearby(path)}")


def _nearby(path: str) -> str:
    """The end of the sentence: what a wrong path may have meant."""
    import difflib

    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        return f": there is no folder {shorten(folder, 300)}."
    near = difflib.get_close_matches(name, os.listdir(folder), n=1, cutoff=0.6)
    return f"; did you mean {os.path.join(folder, near[0])}?" if near else f": {folder} holds no such file."
