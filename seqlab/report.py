"""What a finished training says: the test part, touched once, beside the honest floor; figures; ``summary.json``."""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote
from typing import Any

import numpy as np
import pandas as pd

from seqlab import build, durable
from seqlab.build import Data
from seqlab.data.arrays import ArrayData
from seqlab.data.forecast import ForecastData
from seqlab.data.labelled import LabelledText
from seqlab.data.parallel import ParallelText
from seqlab.data.series import Series
from seqlab.engine import checkpoint
from seqlab.engine.evaluate import Evaluation, evaluate
from seqlab.engine.progress import readable
from seqlab.engine.runtime import Runtime
from seqlab.engine.state import Result
from seqlab.engine.tracker import Tracker
from seqlab.errors import warned
from seqlab.forecasts import CONTEXT, intervals
from seqlab.insight.answers import answers_figure, position_figure
from seqlab.insight.by_label import by_label, markdown
from seqlab.insight.classification import confusion_figure, example_table, precision_recall_figure
from seqlab.insight.detection import Strip, detection_figure
from seqlab.insight.forecast import Panel, error_by_step_figure, forecast_figure, residual_figure
from seqlab.insight.language import position_loss_figure
from seqlab.insight.translation import Attention, attention_figure, length_figure, translation_table
from seqlab.learning import compared_settings, draw_learning
from seqlab.models import AnyModel, AnyTranslator, LanguageModel
from seqlab.samples import Samples
from seqlab.summaries import summarized
from seqlab.tasks.classification import ClassificationMeter
from seqlab.tasks.detection import DetectionMeter
from seqlab.tasks.forecast_errors import ForecastErrors
from seqlab.tasks.forecasting import ForecastMeter
from seqlab.tasks.language_modeling import LanguageMeter
from seqlab.tasks.multilabel import MultilabelMeter
from seqlab.tasks.regression import RegressionMeter
from seqlab.tasks.tagging import TaggingMeter
from seqlab.tasks.translation import TranslationMeter
from seqlab.terminal import PlainTable
from seqlab.translations import translate

PROJECTED = 1000
"""Tokens shown in the projector, the most frequent ones: its file is text, and browsers choke on all of them."""
EXAMPLES = 24
"""Test texts shown with what the model said."""
HEATMAPS = 4
"""Translations whose attention is drawn."""
MOST_TARGETS = 8
"""Targets whose residuals are drawn."""


def report(
    config: Mapping[str, Any],
    data: Data,
    model: AnyModel,
    runtime: Runtime,
    tracker: Tracker,
    result: Result,
) -> dict[str, Any]:
    """Measure the best weights on test (on validation with ``test=false``), put the floor beside them, write it all.

    ``summary.json`` is written as soon as there are numbers. What fails after that is left out, with a warning.
    """
    task = build.build_task(config, data.spec, data.pipeline, getattr(data, "units", None), final=True)
    split = "test" if config["test"] and data.test is not None else "val"
    found = None
    if result.has_weights:
        checkpoint.load_weights(model, checkpoint.load(tracker.run_dir / "best.pt")["model"])
        loader = build.build_loader(config, data.part(split), data.spec, shuffle=False)
        found = evaluate(model, loader, task, device=runtime.device, autocast=runtime.autocast())
    summary = summarized(config, task, model, runtime, result, split, found)
    tracker.summary(summary)
    if found is not None:
        floors: dict[str, ForecastErrors] = {}
        with warned("the floor"):
            if config["floor"] and isinstance(data, ForecastData):
                floors = build.floor_errors(config, data, split)
                summary["floor"] = build.told(config, floors)
            elif config["floor"] and not isinstance(data, ForecastData):
                summary["floor"] = build.build_floor(config, data, split)
        tracker.summary(summary)
        draw(config, data, model, tracker, split, found, summary)
        if isinstance(found.meter, ForecastMeter) and isinstance(data, ForecastData):
            with warned("drawing the forecasts"):
                _draw_forecasts(data, tracker, split, found.meter, floors, summary)
    tracker.flush()
    summary["complete"] = True
    tracker.summary(summary)
    show(summary)
    print(f"TensorBoard: tensorboard --logdir {quote(str(tracker.run_dir))}")
    return summary


def draw(
    config: Mapping[str, Any],
    data: Data,
    model: AnyModel,
    tracker: Tracker,
    split: str,
    found: Evaluation,
    summary: Mapping[str, Any],
) -> None:
    """Fill TensorBoard's tabs: scalars, images, text, projector, HParams, precision-recall."""
    step, meter = summary["steps"], found.meter
    with warned(f"showing the answers on {split}"):  # whatever comes before the single pictures
        if isinstance(meter, ClassificationMeter):
            _draw_classes(data, tracker, split, meter, step)
        elif isinstance(meter, MultilabelMeter):
            _tell_labels(tracker, split, by_label(meter.targets, meter.predictions, data.spec.labels), step)
            for k, label in enumerate(data.spec.labels[:MOST_TARGETS]):
                with warned(f"curve {split}/{label}"):
                    tracker.pr_curve(f"{split}/{label}", meter.targets[:, k], meter.probabilities[:, k], step)
        elif isinstance(meter, RegressionMeter):
            for k, name in enumerate(data.spec.labels):
                figure = answers_figure(meter.targets[:, k], meter.answers[:, k], name)
                with warned(f"figure {split}/answers/{name}"):
                    tracker.figure(f"{split}/answers/{name}", figure, step)
        elif isinstance(meter, TaggingMeter):
            with warned(f"figure {split}/by_position"):
                tracker.figure(f"{split}/by_position", position_figure(*meter.by_position), step)
        elif isinstance(meter, DetectionMeter) and isinstance(data, ArrayData):
            _draw_peaks(data, tracker, split, meter, step)
        elif isinstance(meter, TranslationMeter) and isinstance(data, ParallelText):
            _draw_translations(config, data, model, tracker, split, meter, step)
        elif isinstance(meter, LanguageMeter):
            with warned(f"figure {split}/by_position"):
                tracker.figure(f"{split}/by_position", position_loss_figure(*meter.by_position), step)
            samples = build.build_samples(config, data, tracker)
            if isinstance(samples, Samples) and isinstance(model, LanguageModel):
                print(f"What it writes:\n\n{samples.write(model, step, f'{split}/sample')}\n")
    weight = getattr(getattr(model, "embedding", None), "weight", None)
    if weight is not None and data.pipeline is not None:
        with warned("the embedding projector"):
            tracker.embedding("embedding", weight[:PROJECTED], data.pipeline.tokens[:PROJECTED], step)
    with warned("figure learning_curve"):
        draw_learning(tracker, summary)
    monitor = summary["monitor"]
    scores = {f"val/best_{monitor}": summary["val"][monitor]} if summary["val"] else {}
    scores |= {f"test/{name}": value for name, value in summary["test"].items()}
    with warned("HParams"):
        tracker.hparams(compared_settings(config, data.pipeline is not None), scores, step)


def _draw_classes(data: Data, tracker: Tracker, split: str, meter: ClassificationMeter, step: int) -> None:
    probabilities, targets, labels = meter.probabilities, meter.targets, data.spec.labels
    with warned(f"table {split}_by_class.csv"):
        _tell_labels(tracker, split, by_label(targets, probabilities.argmax(axis=1), labels), step)
    with warned(f"figure {split}/confusion"):
        tracker.figure(f"{split}/confusion", confusion_figure(targets, probabilities.argmax(axis=1), labels), step)
    with warned(f"figure {split}/precision_recall"):
        tracker.figure(f"{split}/precision_recall", precision_recall_figure(targets, probabilities, labels), step)
    # One curve says all of two classes.
    for label in range(1 if len(labels) == 2 else 0, len(labels)):
        with warned(f"curve {split}/{labels[label]}"):
            tracker.pr_curve(f"{split}/{labels[label]}", targets == label, probabilities[:, label], step)
    if isinstance(data, LabelledText):
        # Evaluation goes from long texts to short ones: take examples from all along the way.
        seen = np.unique(np.linspace(0, len(targets) - 1, 2000).astype(int))
        texts = [data.pipeline.decode(getattr(data, split).tokens[row]) for row in meter.index[seen]]
        table = example_table(texts, targets[seen], probabilities[seen], labels, EXAMPLES)
        with warned(f"table {split}/examples"):
            tracker.text(f"{split}/examples", table, step)


def _tell_labels(tracker: Tracker, split: str, report: pd.DataFrame, step: int) -> None:
    """How well each label is told, as ``SPLIT_by_class.csv`` and in TensorBoard's text tab."""
    durable.write_text(tracker.run_dir / f"{split}_by_class.csv", report.to_csv(index=False))
    tracker.text(f"{split}/by_class", markdown(report), step)


def _draw_translations(
    config: Mapping[str, Any],
    data: ParallelText,
    model: AnyModel,
    tracker: Tracker,
    split: str,
    meter: TranslationMeter,
    step: int,
) -> None:
    """Examples, scores by source length, where the model looked; all translations as a file, in the data's order."""
    scores, run_dir = meter.scores, tracker.run_dir
    with warned(f"table {split}/translations"):
        table = translation_table(scores.sources, scores.references, scores.said, EXAMPLES)
        tracker.text(f"{split}/translations", table, step)
    with warned(f"figure {split}/by_length"):
        tracker.figure(f"{split}/by_length", length_figure(scores.by_length), step)
    with warned(f"{split}_by_length.csv"):
        table = pd.DataFrame(scores.by_length).to_csv(index=False)
        durable.write_text(run_dir / f"{split}_by_length.csv", table)
    with warned(f"{split}_translations.txt"):
        lines = [" ".join(scores.said[place].splitlines()) + "\n" for place in np.argsort(meter.index)]
        durable.write_text(run_dir / f"{split}_translations.txt", "".join(lines))
    if not isinstance(model, AnyTranslator):
        return
    model.eval()
    # Evaluation goes from long to short: these stand all along the way.
    places = np.unique(np.linspace(0, len(scores.sources) - 1, HEATMAPS + 2).astype(int)[1:-1])
    texts, search = [scores.sources[place] for place in places], build.build_search(config)
    found = [each[0] for each in translate(model, data.pipeline, data.spec, texts, search, attention=True)]
    looked = [Attention(one.source_words, one.words, one.attention) for one in found if one.attention is not None]
    if looked:
        with warned(f"figure {split}/attention"):
            tracker.figure(f"{split}/attention", attention_figure(looked), step)


def _draw_peaks(data: ArrayData, tracker: Tracker, split: str, meter: DetectionMeter, step: int) -> None:
    """The first two rows as they come, and the two where most went wrong."""
    matched, probabilities = meter.matched, meter.probabilities
    wrong = np.array([len(row.misses) + len(row.alarms) for row in matched])
    part, strips = getattr(data, split), []
    for place in dict.fromkeys([*range(min(2, len(wrong))), *np.argsort(-wrong, kind="stable")[:2].tolist()]):
        row, index, said = matched[place], int(meter.index[place]), probabilities[place]
        title = f"{split}, row {index}: {len(row.misses)} missed, {len(row.alarms)} false" + ", the most wrong" * (
            place > 1
        )
        signal = part.inputs[index, : len(said), 0]
        strips.append(Strip(title, signal, said, row.true, row.right, row.misses, row.alarms))
    with warned(f"figure {split}/peaks"):
        tracker.figure(f"{split}/peaks", detection_figure(strips, meter.threshold, data.spec.labels[0]), step)


def _draw_forecasts(
    data: ForecastData,
    tracker: Tracker,
    split: str,
    meter: ForecastMeter,
    floors: Mapping[str, ForecastErrors],
    summary: Mapping[str, Any],
) -> None:
    """Pictures of some forecasts, of the error by step, of residuals; metrics by step and by series as tables."""
    step, series, examples = summary["steps"], data.series, meter.examples
    H, K = data.spec.horizon, len(series.targets)
    panels = []
    for row, origin in enumerate(examples.origins):
        k = row % K  # one target after the other: where there are few, several windows of each
        past = np.arange(origin - min(data.train.lookback, CONTEXT * H), origin)
        ahead = np.arange(origin, origin + H)
        bands = intervals(meter.task.levels, None if examples.quantiles is None else examples.quantiles[row, :, k])
        label = _named(series, meter.units.series(examples.origins[row : row + 1])[0], k)
        panel = Panel(
            label, series.wall(past), series.values[past, k], series.wall(ahead),
            examples.point[row, :, k], examples.actual[row, :, k], bands,
            "" if series.zone is None else series.zone.name(series.times[ahead]),
        )  # fmt: skip
        panels.append(panel)
    with warned(f"figure {split}/forecasts"):
        tracker.figure(f"{split}/forecasts", forecast_figure(panels), step)
    metric = summary["headline"][-1]
    by_step = {summary["model"]: meter.errors.by_step} | {name: found.by_step for name, found in floors.items()}
    told = {name: found[metric] for name, found in by_step.items() if metric in found}
    if told:
        with warned(f"figure {split}/error_by_step"):
            tracker.figure(f"{split}/error_by_step", error_by_step_figure(told, metric), step)
    origins, residuals = meter.errors.residuals
    one = meter.units.series(origins) == 0  # of several series the first
    for k, label in enumerate(series.targets[:MOST_TARGETS]):
        with warned(f"figure {split}/residuals/{label}"):
            figure = residual_figure(residuals[one, k], _named(series, 0, k), series.wall(origins[one]))
            tracker.figure(f"{split}/residuals/{label}", figure, step)
    tables = {
        "by_step": pd.DataFrame({"step": np.arange(1, H + 1), **meter.errors.by_step}).set_index("step"),
        "by_series": pd.DataFrame(meter.errors.by_series).rename_axis("series"),
    }
    for name, table in tables.items():
        with warned(f"{split}_{name}.csv"):
            durable.write_text(tracker.run_dir / f"{split}_{name}.csv", table.to_csv())


def _named(series: Series, number: int, target: int) -> str:
    """A target's name, with its series' where there are several."""
    label = series.targets[target]
    return label if len(series.ids) == 1 else f"{series.ids[number]}: {label}"


def show(summary: Mapping[str, Any]) -> None:
    """The result as a small table on standard output."""
    names = summary["headline"]
    table = PlainTable("", *names, title=f"{summary['model']} on {summary['data']}")
    if summary["val"]:
        table.add_row("validation", *(readable(summary["val"][name]) for name in names))
    if summary["test"]:
        table.add_row("test", *(readable(summary["test"][name]) for name in names), style="bold")
    for name, value in summary["floor"].items():
        # in the last column: n-grams read on and on, as a stream does
        table.add_row(f"floor: {name.replace('_', ' ')}", *[""] * (len(names) - 1), readable(value), style="dim")
    table.print()
    print(
        f"{summary['params']:,} parameters, {summary['steps']:,} steps; training {summary['train_seconds']:.1f} s "
        f"({summary['tokens_per_second']:,.0f} tokens/s, {summary['padding']:.1%} padding), validation "
        f"{summary['val_seconds']:.1f} s, test {summary['test_seconds']:.1f} s; peak memory "
        f"{summary['peak_memory_mb']:.0f} MB; {summary['device']}, {summary['precision']}"
    )
