"""A character language model trained by us and by a bare PyTorch loop of the same model: tokens/s, loss by seconds.

Ours is what ``train.py model=lstm data=shakespeare`` builds: the real trainer with tracker, progress and checkpoints.
The bare loop is the one that one writes first: nn.Embedding, nn.Dropout, nn.LSTM, nn.Dropout, nn.Linear, autocast where
we compute in bf16, F.cross_entropy, clip_grad_norm_, torch's fused AdamW that spares biases, and nanoGPT's get_batch.
Both have the same sizes, initial weights, dropout shares, optimiser, schedule and threads; the allocator is tuned for
the whole process. They run in turns, ten steps of the one and as many, or as long, of the other, so that a busy
machine is busy for both.

    python scripts/benchmark.py charlm --seconds 60 --png charlm.png
    python scripts/benchmark.py charlm --only speed --options "model=gru" --threads 2

Speed: tokens/s by the wall clock, our last save included; each ratio is between two that ran in turns. Quality: each
has ``--seconds`` of training, over which the schedule is stretched; evaluation stands outside both clocks and is the
same code on the same windows. Ours saves as often as it is evaluated, as a run does.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from seqlab import build
from seqlab.compose import composed
from seqlab.data.corpus import Corpus
from seqlab.data.parallel import ParallelText
from seqlab.data.textfile import Shakespeare
from seqlab.data.windows import WindowLoader
from seqlab.engine.evaluate import evaluate
from seqlab.engine.progress import Progress
from seqlab.engine.runtime import Runtime, versions
from seqlab.engine.schedule import Schedule
from seqlab.engine.tracker import Tracker
from seqlab.engine.trainer import Trainer
from seqlab.models import LanguageModel, Prediction
from seqlab.types import Encoded, InputError

SECTIONS = ("speed", "quality")
TURN = 10
"""Steps of ours between two turns of the bare loop."""
STEPS = 100
"""Steps of a round of the comparison of speed."""
MOMENTS = 8
"""How often the comparison of quality measures."""
MUST = {
    "model.embedding.kind": "random", "model.embedding.vectors": None,
    "model.embedding.trainable": True, "model.head.tied": False, "model.bidirectional": False, "model.residual": False,
    "optim._target_": "seqlab.engine.optim.adamw", "trainer.accumulate": 1, "trainer.clip_value": None,
}  # fmt: skip
"""What the bare loop is built for."""
OURS_ALONE = {
    "data.sampling": "random", "data.reset": 0.0, "trainer.ema_decay": None,
    "model.variational": False, "model.embedding.variational": False, "model.head.variational": False,
    "model.embedding.word_dropout": 0.0, "model.recurrent_dropout": 0.0, "model.state_dropout": 0.0,
    "model.zoneout": 0.0, "task.label_smoothing": 0.0, "task.activation": 0.0, "task.temporal_activation": 0.0,
}  # fmt: skip
"""What only we have, where it is not this: named in the answer."""


def main(
    seconds: float,
    rounds: int,
    options: Sequence[str],
    threads: int | None,
    only: str | None,
    png: Path | None,
    to: Path | None,
) -> dict[str, Any]:
    """Measure, print, write; returns what is written.

    Raises:
        InputError: an option that the bare loop has no counterpart of; an unknown section.
    """
    if only is not None and only not in SECTIONS:
        raise InputError(f"--only {only}: choose one of {', '.join(SECTIONS)}.")
    if seconds <= 0 or rounds < 1:
        raise InputError("--seconds and --rounds must be greater than zero.")
    base = {"model": "lstm", "data": "shakespeare" if at_hand() else "verses"}
    named = {option.partition("=")[0] for option in options}
    overrides = [f"{key}={value}" for key, value in base.items() if key not in named] + list(options)
    if threads is not None:
        overrides.append(f"runtime.threads={threads}")
    setup = Setup.of(composed(*overrides, "trainer.device=cpu"))
    print(f"{setup.title}; {', '.join(overrides)}")
    if setup.alone:
        print(f"ours alone: {', '.join(setup.alone)}")
    run_round(setup, 2 * TURN)  # compiles kernels, warms caches
    found: dict[str, Any] = {"options": overrides, "ours_alone": setup.alone, "precision": setup.runtime.precision}
    if only != "quality":
        found["speed"] = compare_speed(setup, rounds)
    if only != "speed":
        found["quality"] = compare_quality(setup, seconds)
        if png is not None:
            draw(found["quality"], setup, png)
    found["versions"] = versions()
    print(", ".join(f"{name} {version}" for name, version in versions().items()))
    if to is not None:
        to.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return found


def at_hand() -> bool:
    """Whether the plays are in the folder of data."""
    try:
        Shakespeare(os.environ.get("SEQLAB_DATA", "data"), download=False).digest()
    except InputError:
        return False
    return True


# Both sides --------------------------------------------------------------------------------------------------------


@dataclass
class Setup:
    """What both sides are made from.

    Attributes:
        config: the whole config, which the bare loop has to follow.
        data: the text in its parts.
        runtime: precision; the process has been set up for it.
        alone: options that only our side follows.
    """

    config: dict[str, Any]
    data: Corpus
    runtime: Any
    alone: list[str]

    @classmethod
    def of(cls, config: dict[str, Any]) -> Setup:
        """Check, set the process up, read the text."""
        build.check_config(config)
        for key, wanted in MUST.items():
            if (value := read(config, key)) != wanted:
                raise InputError(f"{key} is {value!r}, and the bare loop is written for {wanted!r} alone.")
        alone = [f"{key}={value}" for key, usual in OURS_ALONE.items() if (value := read(config, key)) != usual]
        runtime = build.build_runtime(config)
        data = build.build_data(config)
        assert isinstance(data, Corpus)  # data.sampling says so
        return cls(config, data, runtime, alone)

    @property
    def title(self) -> str:
        """Sizes, as a sentence's beginning."""
        data, model = self.config["data"], self.config["model"]
        params = sum(p.numel() for p in self.model().parameters())
        sizes = f"{model['name']} of {model['hidden_size']}, {params:,} parameters, on {data['name']}"
        batch = f"batch {data['batch_size']} x {data['length']}"
        return f"{sizes}, {batch}, {self.runtime.precision}, threads {torch.get_num_threads()}"

    def model(self) -> LanguageModel:
        """Ours, with the weights that both sides begin with."""
        model = build.build_model(self.config, self.data.spec, self.data.pipeline.tokens)
        assert isinstance(model, LanguageModel)
        return model

    def trainer(
        self, watch: Callable[[nn.Module, int], bool], **limits: float | None
    ) -> AbstractContextManager[Trainer]:
        """Our side; evaluation is ``watch``'s business."""
        return trainer_of(self.config, self.data, self.runtime, self.model(), watch, **limits)

    def loss(self, model: nn.Module) -> float:
        """Nats a token of validation, read in cold windows: the same code for both sides."""
        data = self.config["data"]
        length = data["eval_length"]
        rows = max(1, data["batch_size"] * data["length"] // length)
        cold = WindowLoader(self.data.val, batch_size=rows, length=length, shuffle=False, pad_id=self.data.spec.pad_id)
        task = build.make_objective(self.config, self.data.spec, self.data.pipeline)
        found = evaluate(model, cold, task, device=self.runtime.device, autocast=self.runtime.autocast())
        return found.metrics[f"cold_{length}_loss"]


@contextmanager
def trainer_of(
    config: dict[str, Any],
    data: Corpus | ParallelText,
    runtime: Runtime,
    model: nn.Module,
    watch: Callable[[nn.Module, int], bool],
    **limits: float | None,
) -> Iterator[Trainer]:
    """A trainer as ``train.py`` builds it, its bar drawn as on a terminal, that never evaluates."""
    config = {**config, "trainer": {**config["trainer"], **limits}}
    with (
        tempfile.TemporaryDirectory() as folder,
        open(os.devnull, "w") as nowhere,
        closing(Tracker(folder)) as tracker,
    ):
        yield Trainer(
            model,
            build.make_objective(config, data.spec, data.pipeline),
            build.build_optimizer(config, model),
            build.build_schedule(config),
            build.build_loader(config, data.train, data.spec, shuffle=True),
            None,
            build.build_settings(config),
            runtime=runtime,
            tracker=tracker,
            progress=Progress(Console(file=nowhere, force_terminal=True, width=100)),
            watch=watch,
            run_dir=folder,
            extra=build.identity(config, data, runtime),
        )


def read(config: dict[str, Any], key: str) -> Any:
    """The value at a dotted key."""
    for name in key.split("."):
        config = config[name]
    return config


def fit(trainer: Trainer) -> None:
    """Train to the end, or not at all."""
    if trainer.fit().interrupted:
        raise SystemExit("stopped before the end")


class BareModel(nn.Module):
    """The model as one writes it first, with a copy of our weights: ``(B, T)`` ids to ``(B, T, V)`` logits."""

    def __init__(self, ours: LanguageModel, embedding_dropout: float, head_dropout: float) -> None:
        super().__init__()
        table = ours.embedding.weight
        assert isinstance(table, Tensor)
        self.embedding = nn.Embedding.from_pretrained(table.detach().clone(), freeze=False)
        self.drop_inputs = nn.Dropout(embedding_dropout)
        self.rnn: nn.Module = ours.encoder.to_torch()  # type: ignore[operator]
        self.drop_outputs = nn.Dropout(head_dropout)
        self.head = nn.Linear(ours.head.output.in_features, ours.head.output.out_features)
        self.head.load_state_dict(ours.head.output.state_dict())

    def forward(self, inputs: Tensor) -> Tensor:
        """Reads from a zero state."""
        outputs, _ = self.rnn(self.drop_inputs(self.embedding(inputs)))
        return self.head(self.drop_outputs(outputs))


class Answering(nn.Module):
    """A bare model as our evaluation calls it."""

    def __init__(self, model: BareModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor, lengths: Tensor, state: None) -> Prediction:
        """Of cold windows alone: no state goes in or comes out."""
        logits = self.model(inputs)
        return Prediction(logits, Encoded(logits, logits, lengths, ()), logits)


class Bare:
    """The bare loop, a turn at a time.

    Attributes:
        steps: done.
        seconds: that they took.
    """

    def __init__(self, setup: Setup) -> None:
        config = setup.config
        data, optim = config["data"], config["optim"]
        ours = setup.model()
        self.model = BareModel(ours, config["model"]["embedding"]["dropout"], config["model"]["head"]["dropout"])
        decayed = [p for p in self.model.parameters() if p.ndim >= 2]
        kept = [p for p in self.model.parameters() if p.ndim < 2]
        groups: list[dict[str, Any]] = [{"params": decayed}, {"params": kept, "weight_decay": 0.0}]
        self.lr = optim["lr"]
        self.optimizer = torch.optim.AdamW(
            groups, self.lr, tuple(optim["betas"]), optim["eps"], optim["weight_decay"], fused=True
        )
        self.schedule: Schedule = build.build_schedule(config)
        self.clip = config["trainer"]["clip_norm"]
        self.bf16 = setup.runtime.precision == "bf16"
        self.ids, self.batch_size, self.length = setup.data.train.ids, data["batch_size"], data["length"]
        self.steps, self.seconds = 0, 0.0

    @property
    def tokens(self) -> int:
        """Learned from."""
        return self.steps * self.batch_size * self.length

    def run(self, share_done: Callable[[], float], until: Callable[[], bool]) -> None:
        """Steps until it is enough, by its own clock and count."""
        self.model.train()
        started = time.perf_counter()
        while not until():
            self.step(share_done())
            self.steps += 1
            now = time.perf_counter()
            self.seconds, started = self.seconds + now - started, now

    def step(self, share: float) -> None:
        """One update."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * self.schedule(share)
        inputs, targets = self.get_batch()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            logits = self.model(inputs)
        loss = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
        loss.backward()
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def get_batch(self) -> tuple[Tensor, Tensor]:
        """Windows anywhere in the text, as nanoGPT takes them."""
        at = torch.randint(len(self.ids) - self.length, (self.batch_size,))
        x = torch.stack([torch.from_numpy(self.ids[i : i + self.length].astype("int64")) for i in at])
        y = torch.stack([torch.from_numpy(self.ids[i + 1 : i + 1 + self.length].astype("int64")) for i in at])
        return x, y


# Speed -------------------------------------------------------------------------------------------------------------


def run_round(setup: Setup, steps: int) -> tuple[float, float]:
    """Tokens per second, ours and the bare loop's, in turns of ``TURN`` steps."""
    bare = Bare(setup)

    def watch(_: nn.Module, step: int) -> bool:
        if step % TURN:
            return False
        bare.run(lambda: bare.steps / steps, lambda: bare.steps >= step)
        return True

    with setup.trainer(watch, max_steps=steps, max_epochs=None) as trainer:
        started = time.perf_counter()
        fit(trainer)
        seconds = time.perf_counter() - started - bare.seconds
    tokens = trainer.state.tokens + trainer.state.window.tokens
    return tokens / seconds, bare.tokens / bare.seconds


def compare_speed(setup: Setup, rounds: int) -> dict[str, Any]:
    """Print and return the rates of each round."""
    pairs = [run_round(setup, STEPS) for _ in range(rounds)]
    ratios = [ours / bare for ours, bare in pairs]
    ours, bare = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    ratio = statistics.median(ratios)
    print(f"tokens/s, {STEPS} steps x {rounds} rounds")
    print(f"  {'bare PyTorch loop':18} {bare:9,.0f}   x 1.000")
    print(f"  {'seqlab Trainer':18} {ours:9,.0f}   x {ratio:.3f}  ({min(ratios):.3f} to {max(ratios):.3f})")
    return {"ours": [own for own, _ in pairs], "bare": [other for _, other in pairs], "ratios": ratios, "ratio": ratio}


# Quality -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    """A side's state at a moment: seconds of training, updates, nats a token of validation."""

    seconds: float
    steps: int
    loss: float


class Race:
    """Both sides by the clock: what the trainer calls after each step of ours.

    Args:
        setup: what both are made from.
        seconds: of training, each.
    """

    def __init__(self, setup: Setup, seconds: float) -> None:
        self.setup, self.seconds = setup, seconds
        self.bare = Bare(setup)
        self.answering = Answering(self.bare.model)
        self.ours: list[Point] = []
        self.theirs: list[Point] = []
        self.trainer: Trainer | None = None

    def __call__(self, model: nn.Module, step: int) -> bool:
        """Let the bare loop catch up, every few steps of ours, and measure each at its moments."""
        assert self.trainer is not None
        clock = self.trainer.state.seconds
        due = clock >= self.moment(self.ours)
        if due:
            with nullcontext() if self.trainer.ema is None else self.trainer.ema.applied():
                point = Point(clock, step, self.setup.loss(model))
            while clock >= self.moment(self.ours):  # of a step that took long, several at once
                self.ours.append(point)
        if not due and step % TURN and clock < self.seconds:
            return False
        for target in self.stops(min(clock, self.seconds)):
            self.bare.run(self.share_done, lambda target=target: self.bare.seconds >= target)  # type: ignore[misc]
            if self.bare.seconds >= self.moment(self.theirs):
                self.theirs.append(Point(self.bare.seconds, self.bare.steps, self.setup.loss(self.answering)))
        return True

    def share_done(self) -> float:
        """How much of the bare loop's training is over."""
        return min(self.bare.seconds / self.seconds, 1.0)

    def moment(self, points: Sequence[Point]) -> float:
        """When to measure next."""
        return self.seconds * (len(points) + 1) / MOMENTS if len(points) < MOMENTS else float("inf")

    def stops(self, clock: float) -> Iterator[float]:
        """Until when the bare loop runs on its way to ``clock``: its moments, and there."""
        while (moment := self.moment(self.theirs)) <= clock:
            yield moment
        yield clock


def compare_quality(setup: Setup, seconds: float) -> dict[str, Any]:
    """Print and return both validation curves."""
    race = Race(setup, seconds)
    minutes = seconds / 60
    limits = {"max_minutes": minutes, "max_epochs": None, "checkpoint_minutes": minutes / MOMENTS}
    with setup.trainer(race, **limits) as race.trainer:
        fit(race.trainer)
    length = setup.config["data"]["eval_length"]
    print(f"validation loss (nats), cold windows of {length}, by seconds of training")
    table = Table("seconds", "seqlab", "steps", "bare PyTorch loop", "steps")
    for column in table.columns:
        column.justify = "right"
    for ours, bare in zip(race.ours, race.theirs, strict=True):
        table.add_row(
            f"{ours.seconds:.1f}", f"{ours.loss:.4f}", f"{ours.steps:,}", f"{bare.loss:.4f}", f"{bare.steps:,}"
        )
    Console().print(table)
    return {
        "seconds": seconds,
        "metric": f"cold_{length}_loss",
        "ours": [vars(point) for point in race.ours],
        "bare": [vars(point) for point in race.theirs],
    }


def draw(quality: dict[str, Any], setup: Setup, png: Path) -> None:
    """Both validation curves against seconds of training."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.6), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for name, label, color in (("ours", "seqlab", "#0072B2"), ("bare", "bare PyTorch loop", "#D55E00")):
        points = quality[name]
        seconds, losses = [point["seconds"] for point in points], [point["loss"] for point in points]
        axes.plot(seconds, losses, marker="o", markersize=4, linewidth=1.5, color=color, label=label)
    length = setup.config["data"]["eval_length"]
    axes.set(xlabel="seconds of training", ylabel=f"cold-{length} validation loss (nats)")
    axes.set_title(setup.title, fontsize=8)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(png)
