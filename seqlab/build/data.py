"""Datasets, their batches and their floors."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
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
from seqlab.build.keys import Config, without
from seqlab.build.plan import make_plan, make_source
from seqlab.data.arrays import ArrayData, Part
from seqlab.data.corpus import Corpus
from seqlab.data.forecast import ForecastData, Windows, unparted
from seqlab.data.labelled import LabelledText, load_labelled
from seqlab.data.parallel import ParallelText
from seqlab.data.scaling import Scaling
from seqlab.paths import cache_dir
from seqlab.protocols import LoadContext
from seqlab.tasks.forecast_errors import ForecastErrors, blocks
from seqlab.tasks.peaks import match, scores
from seqlab.tasks.translation_scores import score
from seqlab.text.pipeline import TextPipeline, WordPipeline
from seqlab.types import DataSpec, InputError, Loader, Pairs, Split, Tokens

log = logging.getLogger(__name__)

Data = LabelledText | ArrayData | Corpus | ForecastData | ParallelText


def build_pipeline(config: Config) -> TextPipeline:
    """The text pipeline that ``data.tokenizer`` describes, not yet fitted."""
    return schema.construct("data.tokenizer", config["data"]["tokenizer"])


def build_data(config: Config) -> Data:
    """Read the dataset (or its cache) with its validation part and vocabulary, or generate it."""
    plan = make_plan(config)
    data: Data = plan.form.load(make_source(config, plan), plan.options, _context(config))
    if data.spec.task != config["task"]["name"]:
        raise InputError(
            f"data={data.name} is a {data.spec.task} dataset and task={config['task']['name']} does not fit it: "
            "remove task=, the dataset brings its own."
        )
    if sentence := said.unspaced(config["task"], data):
        log.warning(sentence)
    return data


def _context(config: Config) -> LoadContext:
    return LoadContext(config["seed"], cache_dir(), partial(build_pipeline, config))


def build_forecast(config: Config, scaling: Mapping[str, Any] | None) -> ForecastData:
    """Series without parts, to go on from, scaled by the state of a scaling that has learned."""
    plan = make_plan(config)
    learned = Scaling(plan.options.scaling)
    assert scaling is not None, "a forecaster's checkpoint has the state of its scaling"
    learned.load_state_dict(scaling)
    return unparted(make_source(config, plan).read(), learned, plan.options.lookback, plan.options.horizon)


def window_options(config: Config) -> dict[str, Any]:
    """How series are parted, scaled and cut into windows: the arguments of ``data.forecast.prepare``."""
    options = asdict(make_plan(config).options)
    return without(options, ("batch_size",))


def check_same_data(saved: Mapping[str, Any], data: Data, go_on: str = "") -> None:
    """Compare a checkpoint's data and vocabulary with those at hand; ``go_on`` is a command for new rows of series.

    Raises:
        InputError: they differ; the message shows where.
    """
    if difference := data.difference(saved):
        advice = f"To forecast what comes after the new rows: {go_on}. Otherwise restore" if go_on else "Restore"
        raise InputError(
            f"The data is not what the run was trained on: {difference}. {advice} the run's data, or train a new run."
        )


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
        data = _read_words(config, words)
    train, part, digest = data.train, getattr(data, split), f"{split}-{data.digest}"
    if data.kind == "regression":
        return number_floor(train, part, data.scale, cache_dir=cache_dir() / "floors", digest=digest)
    if data.kind == "multilabel":
        return label_floor(train, part, cache_dir=cache_dir() / "floors", digest=digest)
    return text_floor(train, part, data.spec.num_outputs, cache_dir=cache_dir() / "floors", digest=digest)


def _read_words(config: Config, words: WordPipeline) -> LabelledText:
    """The same texts in words."""
    plan = make_plan(config)
    return load_labelled(
        make_source(config, plan),
        words,
        val_fraction=plan.options.val_fraction,
        seed=config["seed"],
        cache_dir=cache_dir(),
        group_texts=plan.options.group_texts,
    )


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
    config: Config, part: Split | Part | Tokens | Windows | Pairs | None, spec: DataSpec, *, shuffle: bool
) -> Loader:
    """Batches of one part: shuffled to learn from; otherwise to measure, in a fixed order and maybe at more length."""
    plan = make_plan(config)
    with schema.named("data"):
        return plan.form.batches(part, plan.options, spec, train=shuffle, seed=config["seed"])
