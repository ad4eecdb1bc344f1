"""Datasets, their batches and their floors."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from seqlab import schema
from seqlab.baselines.kneser_ney import floor as language_floor
from seqlab.baselines.peaks import Signals
from seqlab.baselines.peaks import floor as peak_floor
from seqlab.baselines.series import Forecaster, History, forecasters
from seqlab.baselines.text import floor as text_floor
from seqlab.baselines.text_targets import label_floor, number_floor
from seqlab.baselines.translation import floor as translation_floor
from seqlab.build import said
from seqlab.build.keys import (
    BATCHING,
    WINDOWS,
    Config,
    is_corpus,
    is_pairs,
    is_series,
    is_text,
    only,
    source,
)
from seqlab.data.arrays import ArrayData, ArrayLoader, load_generated
from seqlab.data.batching import BucketLoader
from seqlab.data.corpus import Corpus, load_corpus
from seqlab.data.forecast import ForecastData, ForecastLoader, Windows, load_forecast, unparted
from seqlab.data.labelled import LabelledText, load_labelled
from seqlab.data.pair_batching import PairLoader
from seqlab.data.parallel import ParallelText, load_pairs
from seqlab.data.scaling import Scaling
from seqlab.data.synthetic import Part
from seqlab.data.windows import ChainLoader, LaneLoader, WindowLoader
from seqlab.paths import cache_dir
from seqlab.tasks.forecast_errors import ForecastErrors, blocks
from seqlab.tasks.peaks import match, scores
from seqlab.tasks.translation_scores import score
from seqlab.text.pairs import PairPipeline
from seqlab.text.pipeline import TextPipeline, WordPipeline, load_pipeline
from seqlab.types import InputError, Loader, Pairs, Split, Tokens

log = logging.getLogger(__name__)

Data = LabelledText | ArrayData | Corpus | ForecastData | ParallelText


def build_pipeline(config: Config) -> TextPipeline:
    """The text pipeline that ``data.tokenizer`` describes, not yet fitted."""
    return schema.construct("data.tokenizer", config["data"]["tokenizer"])


def build_pair_pipeline(config: Config) -> PairPipeline:
    """The text pipelines of both sides, or the one that they share; not yet fitted."""
    return PairPipeline(build_pipeline(config), None if config["data"]["shared"] else build_pipeline(config))


def build_data(config: Config) -> Data:
    """Read the dataset (or its token cache) with its validation part and vocabulary, or generate it."""
    data: Data
    if is_series(config["data"]):
        data = build_forecast(config)
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
    elif is_pairs(config["data"]):
        data = load_pairs(
            _construct_source(config),
            build_pair_pipeline(config),
            val_fraction=config["data"]["val_fraction"],
            seed=config["seed"],
            cache_dir=cache_dir(),
        )
    else:
        data = _read(config, build_pipeline(config))
    if data.spec.task != config["task"]["name"]:
        raise InputError(
            f"data={data.name} is a {data.spec.task} dataset and task={config['task']['name']} does not fit it: "
            "remove task=, the dataset brings its own."
        )
    for sentence in said.cut(config["data"], data):
        log.info(sentence)
    for sentence in (said.unknown(data), said.unspaced(config["task"], data)):
        if sentence:
            log.warning(sentence)
    return data


def build_forecast(config: Config, scaling: Mapping[str, Any] | None = None) -> ForecastData:
    """Series and their windows; with ``scaling``, the state of one that has learned: without parts, to go on from."""
    if scaling is None:
        return load_forecast(_construct_source(config), **window_options(config))
    learned = Scaling(config["data"]["scaling"])
    learned.load_state_dict(scaling)
    node = config["data"]
    return unparted(_construct_source(config).read(), learned, node["lookback"], node["horizon"])


def window_options(config: Config) -> dict[str, Any]:
    """How series are parted, scaled and cut into windows: the arguments of ``data.forecast.prepare``."""
    return only(config["data"], WINDOWS)


def _read(config: Config, pipeline: TextPipeline) -> LabelledText:
    return load_labelled(
        _construct_source(config),
        pipeline,
        val_fraction=config["data"]["val_fraction"],
        seed=config["seed"],
        cache_dir=cache_dir(),
        group_texts=config["data"].get("group_texts", False),  # runs of earlier versions held rows out
    )


def _construct_source(config: Config) -> Any:
    node = source(config["data"])
    function = schema.locate(node["_target_"], "data")
    known = {"cache_dir": cache_dir(), "kind": config["task"]["name"]}
    provided = {name: value for name, value in known.items() if name in schema.arguments(function)}
    return schema.construct("data", node, **provided)


def check_same_data(saved: Mapping[str, Any], data: Data, go_on: str = "") -> None:
    """Compare a checkpoint's data and vocabulary with those at hand; ``go_on`` is a command for new rows of series.

    Raises:
        InputError: they differ; the message shows where.
    """
    if saved["digest"] == data.digest:
        return
    if isinstance(data, ForecastData):
        raise InputError(
            f"The data is not what the run was trained on: data={data.name} has other rows or was read with other "
            "options. "
            + (f"To forecast what comes after the new rows: {go_on}. Otherwise put" if go_on else "Put")
            + " the run's data back, or train again."
        )
    if data.pipeline is None or saved["pipeline"] is None:
        raise InputError(f"The data is not what the run was trained on: data={data.name} was made with other options.")
    old, new = (_vocabulary(pipeline) for pipeline in (load_pipeline(saved["pipeline"]), data.pipeline))
    if old != new:
        first = next(
            (i for i, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), min(len(old), len(new))
        )
        was, now = (repr(tokens[first]) if first < len(tokens) else "nothing" for tokens in (old, new))
        how = f"its vocabulary has {len(old):,} tokens, this one {len(new):,}, and token {first} was {was}, is {now}"
    else:
        how = "its vocabulary is the same, its texts or labels are not"
    raise InputError(f"The data is not what the run was trained on: {how}; restore the run's data, or train a new run.")


def _vocabulary(pipeline: TextPipeline | PairPipeline) -> list[str]:
    """All tokens: of pairs, the source's and then, where they are others, the target's."""
    other = isinstance(pipeline, PairPipeline) and not pipeline.shared
    return [*pipeline.tokens, *pipeline.target_tokens] if other else pipeline.tokens  # type: ignore[union-attr]


def build_floor(config: Config, data: LabelledText | ArrayData | Corpus | ParallelText, split: str) -> dict[str, float]:
    """The honest baselines of the same data, from the same training part; in closed form for a generated task.
    Those of series are ``floor_errors``, which tell more than one number.

    Those of labelled texts read characters where the model does, and words otherwise: subwords would handicap methods
    that count, and so would characters where words are written apart.
    """
    if isinstance(data, ArrayData):
        return _peak_floor(config, data, split) if data.spec.task == "detection" else data.floor
    if isinstance(data, Corpus):
        part = getattr(data, split)
        single = data.pipeline.config().get("tokenizer") == "char"
        return language_floor(
            data.train, part, data.spec.vocab_size, order=10 if single else 5,
            cache_dir=cache_dir() / "floors", digest=f"{split}-{data.digest}",
        )  # fmt: skip
    if isinstance(data, ParallelText):
        name = config["task"]["decides"].replace("loss", "bleu_lower")
        tokens = config["task"].get("bleu_tokenize", "13a")  # runs of earlier versions do not say
        return translation_floor(
            data.train_texts, getattr(data, split).texts, partial(score, name, tokenize=tokens),
            name=name if tokens == "13a" else f"{name}-{tokens}",
            cache_dir=cache_dir() / "floors", digest=f"{split}-{data.digest}",
        )  # fmt: skip
    words = WordPipeline()
    if data.pipeline.config().get("tokenizer") != "char" and words.config() != data.pipeline.config():
        data = _read(config, words)
    train, part, digest = data.train, getattr(data, split), f"{split}-{data.digest}"
    if data.kind == "regression":
        return number_floor(train, part, data.scale, cache_dir=cache_dir() / "floors", digest=digest)
    if data.kind == "multilabel":
        return label_floor(train, part, cache_dir=cache_dir() / "floors", digest=digest)
    return text_floor(train, part, data.spec.num_outputs, cache_dir=cache_dir() / "floors", digest=digest)


def _peak_floor(config: Config, data: ArrayData, split: str) -> dict[str, float]:
    """F1 of what finds peaks without learning, by the task's own rules for reports."""
    tolerance, distance = config["task"]["tolerance"], config["task"]["distance"]

    def score(found: Sequence[np.ndarray], peaks: np.ndarray) -> float:
        return scores(match(f, np.flatnonzero(p), tolerance) for f, p in zip(found, peaks, strict=True))["f1"]

    train, part = (Signals(each.inputs[:, :, 0], each.targets) for each in (data.train, getattr(data, split)))
    return peak_floor(
        train, part, rate=config["data"]["rate"], distance=distance, score=score,
        cache_dir=cache_dir() / "floors", digest=f"{split}-{tolerance}-{distance}-{data.digest}",
    )  # fmt: skip


def floor_errors(config: Config, data: ForecastData, split: str) -> dict[str, ForecastErrors]:
    """Errors of the honest baselines of series on the very windows of a part, by name."""
    windows: Windows = getattr(data, split)
    found = {}
    for name, forecast in floor_forecasters(data).items():
        found[name] = errors = build_errors(config, data)
        for some in blocks(len(windows), windows.horizon * len(data.series.targets)):
            errors.add(windows.origins[some], forecast(windows.origins[some]))
    return found


def told(config: Config, floors: Mapping[str, ForecastErrors]) -> dict[str, float]:
    """Of the errors of floors the one that decides."""
    found = {name: errors.compute() for name, errors in floors.items()}
    metric = config["task"]["decides"]
    return {name: metrics[metric] for name, metrics in found.items() if metric in metrics}


def floor_forecasters(data: ForecastData) -> dict[str, Forecaster]:
    """The honest baselines of series, fitted: origins ``(B,)`` to forecasts ``(B, H, K)`` in the data's own units."""
    values, windows = data.series.values[:, : len(data.series.targets)], data.train
    stops, season = data.parts["train"].stops, data.season
    history = History(values, data.series.starts, stops, windows.lookback, windows.horizon, season)
    return forecasters(history, None if data.val is None else data.val.origins)


def build_errors(config: Config, data: ForecastData) -> ForecastErrors:
    """What adds up the errors of forecasts of ``data``, at the task's levels."""
    return ForecastErrors(data.units, config["task"]["levels"], config["task"]["nominal"], data.series.targets)


def build_loader(
    config: Config, part: Split | Part | Tokens | Windows | Pairs, pad_id: int, *, shuffle: bool
) -> Loader:
    """Batches of one part: shuffled to learn from; otherwise to measure, in a fixed order and maybe at more length."""
    with schema.named("data"):
        return _loader(config, part, pad_id, shuffle)


def _loader(config: Config, part: Split | Part | Tokens | Windows | Pairs, pad_id: int, shuffle: bool) -> Loader:
    data, seed = config["data"], config["seed"]
    if isinstance(part, Tokens):
        return _learn(data, part, seed, pad_id) if shuffle else _measure(data, part, pad_id)
    batching = only(data, BATCHING)
    if isinstance(part, Pairs):
        return PairLoader(part, pad_id=pad_id, seed=seed, shuffle=shuffle, **batching)
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
