"""Datasets, their batches and their floors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqlab import schema
from seqlab.baselines.kneser_ney import floor as language_floor
from seqlab.baselines.series import History, forecasters
from seqlab.baselines.text import floor as text_floor
from seqlab.build.keys import (
    BATCHING,
    WINDOWS,
    Config,
    is_corpus,
    is_series,
    is_text,
    only,
    source,
)
from seqlab.data.arrays import ArrayData, ArrayLoader, load_generated
from seqlab.data.batching import BucketLoader
from seqlab.data.corpus import Corpus, load_corpus
from seqlab.data.forecast import ForecastData, ForecastLoader, Windows, load_forecast
from seqlab.data.labelled import LabelledText, load_labelled
from seqlab.data.synthetic import Part
from seqlab.data.windows import ChainLoader, LaneLoader, WindowLoader
from seqlab.paths import cache_dir
from seqlab.tasks.forecast_errors import ForecastErrors, blocks
from seqlab.text.pipeline import TextPipeline, WordPipeline
from seqlab.types import InputError, Loader, Split, Tokens

Data = LabelledText | ArrayData | Corpus | ForecastData


def build_pipeline(config: Config) -> TextPipeline:
    """The text pipeline that ``data.tokenizer`` describes, not yet fitted."""
    return schema.construct("data.tokenizer", config["data"]["tokenizer"])


def build_data(config: Config) -> Data:
    """Read the dataset (or its token cache) with its validation part and vocabulary, or generate it."""
    data: Data
    if is_series(config["data"]):
        data = load_forecast(_construct_source(config), **only(config["data"], WINDOWS))
    elif not is_text(config["data"]):
        data = load_generated(schema.construct("data", source(config["data"]), seed=config["seed"]))
    elif is_corpus(config["data"]):
        data = load_corpus(
            _construct_source(config),
            build_pipeline(config),
            val_fraction=config["data"]["val_fraction"],
            test_fraction=config["data"]["test_fraction"],
            cache_dir=cache_dir(),
        )
    else:
        data = _read(config, build_pipeline(config))
    if data.spec.task != config["task"]["name"]:
        raise InputError(
            f"data={data.name} is a {data.spec.task} dataset and task={config['task']['name']} does not fit it: "
            "leave task= away, the dataset brings its own."
        )
    return data


def _read(config: Config, pipeline: TextPipeline) -> LabelledText:
    return load_labelled(
        _construct_source(config),
        pipeline,
        val_fraction=config["data"]["val_fraction"],
        seed=config["seed"],
        cache_dir=cache_dir(),
    )


def _construct_source(config: Config) -> Any:
    node = source(config["data"])
    function = schema.locate(node["_target_"], "data")
    provided = {"cache_dir": cache_dir()} if "cache_dir" in schema.arguments(function) else {}
    return schema.construct("data", node, **provided)


def check_same_data(saved: Mapping[str, Any], data: Data) -> None:
    """Hold a checkpoint's data and vocabulary against those at hand.

    Raises:
        InputError: they differ; the message shows where.
    """
    if saved["digest"] == data.digest:
        return
    if isinstance(data, ForecastData):
        raise InputError(
            f"The data is not what the run was trained on: data={data.name} has other rows or was read with other "
            "options; put the run's data back, or train anew."
        )
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


def build_floor(config: Config, data: Data, split: str) -> dict[str, float]:
    """The honest baselines of the same data, from the same training part; in closed form for a generated task.

    Those of labelled texts always read words: characters or subwords would handicap methods that count.
    """
    if isinstance(data, ArrayData):
        return data.floor
    if isinstance(data, Corpus):
        part = getattr(data, split)
        single = data.pipeline.config().get("tokenizer") == "char"
        return language_floor(
            data.train, part, data.spec.vocab_size, order=10 if single else 5,
            cache_dir=cache_dir() / "floors", digest=f"{split}-{data.digest}",
        )  # fmt: skip
    if isinstance(data, ForecastData):
        metric = config["task"]["decides"]
        found = {name: errors.compute() for name, errors in floor_errors(config, data, split).items()}
        return {name: metrics[metric] for name, metrics in found.items() if metric in metrics}
    words = WordPipeline()
    if words.config() != data.pipeline.config():
        data = _read(config, words)
    return text_floor(
        data.train, data.test, data.spec.num_outputs, cache_dir=cache_dir() / "floors", digest=data.digest
    )


def floor_errors(config: Config, data: ForecastData, split: str) -> dict[str, ForecastErrors]:
    """Errors of the honest baselines of series on the very windows of a part, by name."""
    windows: Windows = getattr(data, split)
    K = len(data.series.targets)
    history = History(
        data.series.values[:, :K], data.series.starts, data.parts["train"].stops, windows.lookback, windows.horizon,
        data.season,
    )  # fmt: skip
    levels, nominal = config["task"]["levels"], config["task"]["nominal"]
    found = {}
    for name, forecast in forecasters(history, data.val.origins).items():
        found[name] = ForecastErrors(data.units, levels, nominal, data.series.targets)
        for some in blocks(len(windows), windows.horizon * K):
            found[name].add(windows.origins[some], forecast(windows.origins[some]))
    return found


def build_loader(config: Config, part: Split | Part | Tokens | Windows, pad_id: int, *, shuffle: bool) -> Loader:
    """Batches of one part: shuffled to learn from; otherwise to measure, in a fixed order and maybe at more length."""
    data, seed = config["data"], config["seed"]
    if isinstance(part, Tokens):
        return _learn(data, part, seed, pad_id) if shuffle else _measure(data, part, pad_id)
    batching = only(data, BATCHING)
    if isinstance(part, Windows):
        return ForecastLoader(part, seed=seed, shuffle=shuffle, **batching)
    if isinstance(part, Part):
        return ArrayLoader(part, seed=seed, shuffle=shuffle, **batching)
    if not shuffle and data["eval_max_length"] is not None:
        batching["max_length"] = data["eval_max_length"]
    return BucketLoader(part, pad_id=pad_id, seed=seed, shuffle=shuffle, **batching)


def _learn(data: Config, part: Tokens, seed: int, pad_id: int) -> Loader:
    size = only(data, ("batch_size", "length"))
    if data["sampling"] == "random":
        return WindowLoader(part, **size, seed=seed, pad_id=pad_id)
    return LaneLoader(part, **size, reset=data["reset"], seed=seed, pad_id=pad_id)


def _measure(data: Config, part: Tokens, pad_id: int) -> Loader:
    """Cold windows, then the whole part as one stream; no batch larger than one of training."""
    length, tokens = data["eval_length"], data["batch_size"] * data["length"]
    cold = WindowLoader(part, batch_size=max(1, tokens // length), length=length, shuffle=False, pad_id=pad_id)
    return ChainLoader([cold, LaneLoader(part, batch_size=1, length=tokens, pad_id=pad_id)])
