"""From a config (plain Python) to objects: the only room that joins the others, read from top to bottom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch.optim import Optimizer

from seqlab import schema
from seqlab.baselines.text import floor as text_floor
from seqlab.data.arrays import ArrayData, ArrayLoader, load_generated
from seqlab.data.batching import BucketLoader
from seqlab.data.labelled import LabelledText, load_labelled
from seqlab.data.synthetic import Part
from seqlab.engine.runtime import Runtime, make_runtime, seed_everything, tune_allocator, tune_products
from seqlab.engine.settings import Settings
from seqlab.models import ClassificationHead, Embedding, Features, Model, NgramReader, RegressionHead, StepHead
from seqlab.nn import ConcatMLP
from seqlab.paths import cache_dir
from seqlab.text.pipeline import TextPipeline, WordPipeline
from seqlab.types import DataSpec, InputError, Loader, Split, Task

Config = Mapping[str, Any]

BATCHING = ("batch_size", "max_batch_tokens", "max_length", "truncate", "round_to")
"""Keys of ``data`` that say how batches are made."""
SUITS = ("epochs", "pooling", "head_dropout", "embedding", "word_dropout", "max_lag", "lr")
"""Keys of ``data`` that say what suits it best; the model's and the trainer's options refer to them."""
PREPARING = ("name", "tokenizer", "max_tokens", "val_fraction", "eval_max_length", *BATCHING, *SUITS)
"""Keys of ``data`` that are not the source's own."""
HEADS = {"classification": ClassificationHead, "regression": RegressionHead, "tagging": StepHead}
"""What joins an encoder to each task."""
Data = LabelledText | ArrayData

PARTS = ("name", "embedding", "head", "ngrams", "tail", "vote")
"""Keys of ``model`` that are not the encoder's own."""
RUNTIME = ("device", "precision")
"""Keys of ``trainer`` that say where it computes."""


def _runtime_options(threads: int | None = None, tune: Literal["auto", "off"] = "auto") -> None:
    """The keys of ``runtime``, as a signature to check them against."""


def check_config(config: Config) -> None:
    """Hold every node against the signature it names, before any data is read.

    Raises:
        InputError: an unknown option or a value of the wrong type, named by its path.
    """
    data, model = config["data"], config["model"]
    if not schema.accepts(config["seed"], int) or config["seed"] < 0:
        raise InputError(f"seed must be a whole number from 0 up, not {config['seed']!r}.")
    for key in ("test", "floor"):
        if not schema.accepts(config[key], bool):
            raise InputError(f"{key} must be true or false, not {config[key]!r}.")
    _check_data(data)
    _check_node("model", _without(model, PARTS), ("input_size",))
    with torch.device("meta"):  # what the encoder itself refuses, at no cost: nothing is allocated
        schema.construct("model", _without(model, PARTS), input_size=2)
    schema.check("model.embedding", Embedding, model["embedding"], ("vocab_size", "pad_id", "tokens"))
    schema.check("model.head", ClassificationHead, model["head"], ("input_size", "num_outputs"))
    schema.check("model", Model, _only(model, ("tail", "vote")), ("embedding", "encoder", "head", "ngrams"))
    if model["ngrams"] is not None:
        schema.check("model.ngrams", NgramReader, model["ngrams"], ("num_classes",))
    _check_node("task", _without(config["task"], ("name",)), ("num_outputs", "labels", "blank"))
    _check_node("optim", config["optim"], ("model",))
    _check_node("schedule", config["schedule"], ("progress",))
    schema.check("trainer", Settings, _without(config["trainer"], RUNTIME))
    schema.check("trainer", make_runtime, _only(config["trainer"], RUNTIME))
    schema.check("runtime", _runtime_options, config["runtime"])
    build_settings(config)


def _check_data(data: Config) -> None:
    _check_node("data", _without(data, PREPARING), ("cache_dir",))
    if "tokenizer" not in data:
        schema.check("data", ArrayLoader, _only(data, BATCHING), ("part", "seed", "shuffle"))
        return
    if not schema.accepts(data["val_fraction"], float) or not 0 < data["val_fraction"] < 1:
        raise InputError(f"data.val_fraction must be a number between 0 and 1, not {data['val_fraction']!r}.")
    _check_node("data.tokenizer", data["tokenizer"])
    schema.check("data", BucketLoader, _only(data, BATCHING), ("split", "pad_id", "seed", "shuffle"))
    if not schema.accepts(data["eval_max_length"], int | None):
        raise InputError(f"data.eval_max_length must be a whole number or null, not {data['eval_max_length']!r}.")


def build_pipeline(config: Config) -> TextPipeline:
    """The text pipeline that ``data.tokenizer`` describes, not yet fitted."""
    return schema.construct("data.tokenizer", config["data"]["tokenizer"])


def build_data(config: Config) -> Data:
    """Read the dataset (or its token cache) with its validation part and vocabulary, or generate it."""
    data: Data
    if "tokenizer" in config["data"]:
        data = _read(config, build_pipeline(config))
    else:
        source = schema.construct("data", _without(config["data"], PREPARING), seed=config["seed"])
        data = load_generated(source)
    if data.spec.task != config["task"]["name"]:
        raise InputError(
            f"data={data.name} is a {data.spec.task} dataset and task={config['task']['name']} does not fit it: "
            "leave task= away, the dataset brings its own."
        )
    return data


def _read(config: Config, pipeline: TextPipeline) -> LabelledText:
    node = _without(config["data"], PREPARING)
    function = schema.locate(node["_target_"], "data")
    provided = {"cache_dir": cache_dir()} if "cache_dir" in schema.arguments(function) else {}
    return load_labelled(
        schema.construct("data", node, **provided),
        pipeline,
        val_fraction=config["data"]["val_fraction"],
        seed=config["seed"],
        cache_dir=cache_dir(),
    )


def check_same_data(saved: Mapping[str, Any], data: Data) -> None:
    """Hold a checkpoint's data and vocabulary against those at hand.

    Raises:
        InputError: they differ; the message shows where.
    """
    if saved["digest"] == data.digest:
        return
    if data.pipeline is None or saved["pipeline"] is None:
        raise InputError(f"The data is not what the run was trained on: data={data.name} was made with other options.")
    old, new = saved["pipeline"].get("tokens", []), data.pipeline.state_dict().get("tokens", [])
    if old != new:
        first = next(
            (i for i, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), min(len(old), len(new))
        )
        was, now = (repr(tokens[first]) if first < len(tokens) else "nothing" for tokens in (old, new))
        how = f"its vocabulary has {len(old):,} tokens, this one {len(new):,}, and token {first} was {was}, is {now}"
    else:
        how = "its vocabulary is the same, its texts or labels are not"
    raise InputError(f"The data is not what the run was trained on: {how}; put the run's data back, or train anew.")


def build_floor(config: Config, data: Data) -> dict[str, float]:
    """The honest baselines of the same data, from the same training part; in closed form for a generated task.

    Those of texts always read words: characters or subwords would handicap methods that count.
    """
    if isinstance(data, ArrayData):
        return data.floor
    words = WordPipeline()
    if words.config() != data.pipeline.config():
        data = _read(config, words)
    return text_floor(
        data.train, data.test, data.spec.num_outputs, cache_dir=cache_dir() / "floors", digest=data.digest
    )


def build_loader(config: Config, part: Split | Part, pad_id: int, *, shuffle: bool) -> Loader:
    """Batches of one part: shuffled to learn from; otherwise to measure, in a fixed order and maybe at more length."""
    batching = _only(config["data"], BATCHING)
    if isinstance(part, Part):
        return ArrayLoader(part, seed=config["seed"], shuffle=shuffle, **batching)
    if not shuffle and config["data"]["eval_max_length"] is not None:
        batching["max_length"] = config["data"]["eval_max_length"]
    return BucketLoader(part, pad_id=pad_id, seed=config["seed"], shuffle=shuffle, **batching)


def build_task(config: Config, spec: DataSpec) -> Task:
    """Loss and metrics."""
    node = _without(config["task"], ("name",))
    known = {"num_outputs": spec.num_outputs, "labels": spec.labels, "blank": spec.blank}
    taken = schema.arguments(schema.locate(node.get("_target_"), "task"))
    return schema.construct("task", node, **{name: value for name, value in known.items() if name in taken})


def build_model(config: Config, spec: DataSpec, tokens: Sequence[str] = (), train: Split | Part | None = None) -> Model:
    """Embedding, encoder and head joined, initial weights drawn from ``seed``.

    Args:
        config: the whole config.
        spec: sizes that the data knows.
        tokens: names of the ids, for pre-trained vectors.
        train: the part that a reader of n-grams counts; None where a checkpoint brings its counts.
    """
    node = config["model"]
    seed_everything(config["seed"])
    embedding: Embedding | Features
    if spec.num_features:
        embedding = Features(spec.num_features)
    else:
        embedding = Embedding(vocab_size=spec.vocab_size, pad_id=spec.pad_id, tokens=tokens, **node["embedding"])
    encoder = schema.construct("model", _without(node, PARTS), input_size=embedding.output_size)
    if spec.task == "tagging" and isinstance(encoder, ConcatMLP):
        raise InputError(
            f"model={node['name']} answers one vector for a whole row, data of task=tagging asks at each step."
        )
    head_class = HEADS[spec.task]
    options = _only(node["head"], tuple(schema.arguments(head_class)))  # a label for every step needs no pooling
    head = head_class(input_size=encoder.output_size, num_outputs=spec.num_outputs, **options)
    ngrams = None
    if node["ngrams"] is not None:
        if spec.task != "classification" or isinstance(train, Part):
            raise InputError(f"model={node['name']} counts words and classifies texts: choose another for this data.")
        ngrams = NgramReader(num_classes=spec.num_outputs, **node["ngrams"])
        if train is not None:
            ngrams.fit(train)
    return Model(embedding, encoder, head, ngrams, node["tail"], node["vote"])


def build_runtime(config: Config) -> Runtime:
    """Device and precision, with the process itself set up: threads, the C allocator, matrix products."""
    settings = config["runtime"]
    if settings["threads"] is not None:
        torch.set_num_threads(settings["threads"])
    runtime = make_runtime(config["trainer"]["device"], config["trainer"]["precision"])
    if settings["tune"] == "auto":
        tune_allocator()
        if runtime == Runtime():  # float32 on the CPU: bfloat16 products are oneDNN's already
            tune_products()
    return runtime


def build_schedule(config: Config) -> Any:
    """Progress in ``[0, 1]`` -> factor of the learning rate: a function with its options, or an object with a state."""
    node = config["schedule"]
    function = schema.locate(node["_target_"], "schedule")
    if "progress" not in schema.arguments(function):
        return schema.construct("schedule", node)
    return partial(function, **_without(node, ("_target_",)))


def build_optimizer(config: Config, model: Model) -> Optimizer:
    """The optimiser; ``model`` stands on its device already, which decides whether there is a fused form."""
    return schema.construct("optim", config["optim"], model=model)


def build_settings(config: Config) -> Settings:
    """Limits, clipping, when to look and when to save."""
    return Settings(**_without(config["trainer"], RUNTIME))


def identity(config: Config, data: Data) -> dict[str, Any]:
    """What a checkpoint carries besides weights, so that it can be used and continued from its folder alone."""
    return {
        "config": dict(config),
        "pipeline": None if data.pipeline is None else data.pipeline.state_dict(),
        "spec": {**asdict(data.spec), "labels": list(data.spec.labels)},
        "digest": data.digest,
    }


def make_run_dir(config: Config) -> Path:
    """Make the run folder, atomically: two runs that start in one instant get two folders.

    Raises:
        InputError: it exists already (``run_dir``), or cannot be made.
    """
    try:
        if config["run_dir"] is not None:
            chosen = Path(config["run_dir"])
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
    except FileExistsError as error:
        raise InputError(
            f"run_dir={config['run_dir']} exists already: name a new folder, or continue it with "
            f"resume={config['run_dir']}."
        ) from error
    except OSError as error:
        where = config["run_dir"] or config["runs"]
        raise InputError(
            f"No run folder can be made under {where}: {error.strerror}; choose another with runs=FOLDER "
            "or run_dir=FOLDER."
        ) from error


def _check_node(where: str, node: Config, provided: tuple[str, ...] = ()) -> None:
    function = schema.locate(node.get("_target_"), where)
    known = tuple(name for name in provided if name in schema.arguments(function))
    schema.check(where, function, node, known)


def _without(node: Config, keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key not in keys}


def _only(node: Config, keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: node[key] for key in keys if key in node}
