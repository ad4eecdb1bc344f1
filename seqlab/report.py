"""What a finished training says: the test part, touched once, beside the honest floor; figures; ``summary.json``."""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote
from typing import Any

from seqlab import build
from seqlab.build import Data
from seqlab.engine import checkpoint
from seqlab.engine.evaluate import evaluate
from seqlab.engine.progress import readable
from seqlab.engine.runtime import Runtime
from seqlab.engine.state import Result
from seqlab.engine.tracker import Tracker
from seqlab.errors import warned
from seqlab.learning import compared_settings, draw_learning
from seqlab.protocols import Baselines, View
from seqlab.summaries import summarized
from seqlab.terminal import PlainTable

PROJECTED = 1000
"""Tokens shown in the projector, the most frequent ones: its file is text, and browsers choke on all of them."""


def report(
    config: Mapping[str, Any],
    data: Data,
    model: Any,
    runtime: Runtime,
    tracker: Tracker,
    result: Result,
) -> dict[str, Any]:
    """Measure the best weights on test (on validation with ``test=false``), put baselines beside them, write it all.

    ``summary.json`` is written as soon as there are numbers. What fails after that is left out, with a warning.
    """
    task = build.make_task(config)
    objective = build.objective_for(config, data, final=True)
    split = "test" if config["test"] and data.test is not None else "val"
    found = None
    if result.has_weights:
        checkpoint.load_weights(model, checkpoint.load(tracker.run_dir / "best.pt")["model"])
        loader = build.build_loader(config, data.part(split), data.spec, shuffle=False)
        found = evaluate(model, loader, objective, device=runtime.device, autocast=runtime.autocast())
    summary = summarized(config, objective, model, runtime, result, split, found)
    tracker.summary(summary)
    if found is not None:
        baselines = Baselines({})
        with warned("the floor"):
            if config["floor"]:
                baselines = build.build_baselines(config, data, split, objective)
                summary["floor"] = dict(baselines.scores)
        tracker.summary(summary)
        with warned(f"showing the answers on {split}"):  # whatever comes before the single pictures
            view = View(data, split, found, model, objective, tracker, baselines, result.steps, config["model"]["name"])
            summary |= task.show(view)
        draw(config, data, model, tracker, summary)
    tracker.flush()
    summary["complete"] = True
    tracker.summary(summary)
    show(summary)
    print(f"TensorBoard: tensorboard --logdir {quote(str(tracker.run_dir))}")
    return summary


def draw(config: Mapping[str, Any], data: Data, model: Any, tracker: Tracker, summary: Mapping[str, Any]) -> None:
    """What every run shows in TensorBoard: the embedding, the learning curve, the settings to compare by."""
    step = summary["steps"]
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
