"""A translation model trained and used by us and by a bare PyTorch loop of the same model: tokens/s, sentences/s.

Ours is what ``train.py model=seq2seq data=multi30k`` builds: the real trainer with tracker, progress and checkpoints,
and ``seqlab.search``. The bare loop is the one that one writes first out of torch.nn: nn.Embedding, a bidirectional
nn.GRU over packed sequences (or over the padded ones, where that is faster), nn.GRU or, with input feeding, nn.GRUCell
for the decoder, Luong's general attention, an output layer that shares the embedding's weights, F.cross_entropy,
clip_grad_norm_, torch's fused AdamW that spares biases. Both have the same sizes, initial weights, batches in the same
order, dropout shares, smoothing, optimiser, schedule, precision and threads. Before anything is measured both must have
as many parameters as each other and, without dropout, the same loss.

    python scripts/benchmark.py translate --json translate.json
    python scripts/benchmark.py translate --only training --options "data=dates" --threads 1

Data: Multi30k where ``SEQLAB_DATA`` holds it, else made-up pairs of such lengths over 5,000 words; ``data=dates`` and
every other set of pairs by ``--options``. Training: target tokens/s by the wall clock or processor time, our last save
included; a few steps of the one and as many of the other in turn, so that a busy machine is busy for both. Decoding:
validation sentences in float32, each way in turn, the fastest round counts; the weights are as drawn, so nothing ends
by itself, and each translation is as long as its source. Beam search of the bare loop takes one sentence at a time.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_charlm import fit, read, trainer_of
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqlab import build
from seqlab.compose import composed
from seqlab.data.multi30k import Multi30k
from seqlab.data.pair_batching import PairLoader
from seqlab.data.parallel import ParallelText, RawPairs, load_pairs
from seqlab.engine.runtime import Runtime, versions
from seqlab.engine.schedule import Schedule
from seqlab.models import Seq2Seq
from seqlab.search import Search, search
from seqlab.tasks.translation import Translation
from seqlab.text.pairs import PairPipeline
from seqlab.types import Batch, DataSpec, InputError

Clock = Callable[[], float]

SECTIONS = ("training", "decoding")
TURN = 2
"""Steps of ours between two turns of the bare loop."""
NEVER = -1e30
BEAM = 5
WORDS, PAIRS = 4996, 12_800
"""Of the made-up sentences; with <unk>, <pad>, START and EOS they are 5,000 tokens."""
MADE = (
    "data/tokenizer=whitespace", "data.batch_size=128", "data.lowercase=false", "model.embedding.dim=256",
    "model.hidden_size=256", "task.decoder.hidden_size=512", "task.decides=loss",
)  # fmt: skip
"""How they are read, and the sizes that go with them."""
MUST = {
    "model.embedding.kind": "random", "model.embedding.vectors": None, "model.embedding.trainable": True,
    "model.embedding.word_dropout": 0.0, "model.head.tied": True, "model.bidirectional": True,
    "task.decoder.kind": "recurrent", "task.decoder.cell": "gru", "task.decoder.num_layers": 1,
    "task.decoder.attention": "general", "task.decoder.bridge": "dense",
    "optim._target_": "seqlab.engine.optim.adamw", "trainer.accumulate": 1, "trainer.clip_value": None,
    "trainer.ema_decay": None, "task.forcing": 1.0, "task.forcing_schedule": "constant",
}  # fmt: skip
"""What the bare loop is built for."""


def main(
    steps: int, rounds: int, sentences: int, options: Sequence[str], threads: int | None, cpu_time: bool,
    only: str | None, to: Path | None,
) -> dict[str, Any]:  # fmt: skip
    """Measure, print, write; returns what is written.

    Raises:
        InputError: an option that the bare loop has no counterpart of; an unknown section.
    """
    if only is not None and only not in SECTIONS:
        raise InputError(f"--only {only}: choose one of {', '.join(SECTIONS)}.")
    if min(steps, rounds, sentences) < 1:
        raise InputError("--steps, --rounds and --sentences must be greater than zero.")
    overrides, made = chosen(options, at_hand())
    if threads is not None:
        overrides.append(f"runtime.threads={threads}")
    clock = time.process_time if cpu_time else time.perf_counter
    found: dict[str, Any] = {"options": overrides, "made_up": made, "cpu_time": cpu_time}
    for feeding in (True, False) if fixed(options) is None else (fixed(options),):
        own = f"task.decoder.input_feeding={str(feeding).lower()}"
        setup = Setup.of(composed("task.decoder.attention=general", *overrides, own), made, clock)
        print(f"{setup.title}; {', '.join(overrides)}")
        found["precision"], name = setup.runtime.precision, "input_feeding" if feeding else "no_input_feeding"
        found[name] = {"agree": agree(setup)}
        if only != "decoding":
            found[name]["training"] = compare_training(setup, steps, rounds)
        if only != "training":
            found[name]["decoding"] = compare_decoding(setup, sentences, rounds)
    found["versions"] = versions()
    print(", ".join(f"{name} {version}" for name, version in versions().items()))
    if to is not None:
        to.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return found


def chosen(options: Sequence[str], multi30k: bool) -> tuple[list[str], bool]:
    """All options of ``train.py``, and whether the sentences are to be made up."""
    named = {option.partition("=")[0] for option in options}
    made = "data" not in named and not multi30k
    base = ["model=seq2seq", "data=multi30k", *(MADE if made else ())]
    kept = [option for option in base if option.partition("=")[0] not in named]
    return [*kept, *options, "trainer.device=cpu"], made


def fixed(options: Sequence[str]) -> bool | None:
    """With or without input feeding, where the options say."""
    said = [option.partition("=")[2] for option in options if option.startswith("task.decoder.input_feeding=")]
    return said[-1].lower() == "true" if said else None


def at_hand() -> bool:
    """Whether Multi30k is in the folder of data."""
    try:
        Multi30k(os.environ.get("SEQLAB_DATA", "data"), download=False).digest()
    except InputError:
        return False
    return True


class Made:
    """Pairs of made-up words: as long as Multi30k's, each about as frequent as words are."""

    name = "made"

    def digest(self) -> str:
        """It is always the same."""
        return f"{WORDS} {PAIRS}"

    def read(self) -> RawPairs:
        """Lengths around 13, and a target about as long as its source; words by Zipf's law."""
        random = np.random.default_rng(0)
        share = 1 / np.arange(1, WORDS + 1)
        share /= share.sum()
        parts = []
        for pairs in (PAIRS, 1024, 16):
            sources = random.normal(13, 3, pairs).round().clip(4, 40).astype(int)
            targets = (sources + random.integers(-2, 3, pairs)).clip(4, 40)
            sides = []
            for lengths in (sources, targets):
                words = [f"w{word}" for word in random.choice(WORDS, lengths.sum(), p=share).tolist()]
                ends = np.cumsum(lengths).tolist()
                sides.append([" ".join(words[end - n : end]) for end, n in zip(ends, lengths.tolist(), strict=True)])
            parts.append(tuple(sides))
        train, val, test = parts
        train[0][0] = " ".join(f"w{word}" for word in range(WORDS))  # every word is known; too long to be learned from
        return RawPairs(train, test, val)  # type: ignore[arg-type]


# Both sides --------------------------------------------------------------------------------------------------------


@dataclass
class Setup:
    """What both sides are made from.

    Attributes:
        config: the whole config, which the bare loop has to follow.
        data: the pairs.
        runtime: precision; the process has been set up for it.
        packed: whether the bare loop's encoder reads packed sequences.
        clock: in seconds.
    """

    config: dict[str, Any]
    data: ParallelText
    runtime: Runtime
    packed: bool = True
    clock: Clock = time.perf_counter

    @classmethod
    def of(cls, config: dict[str, Any], made: bool = False, clock: Clock = time.perf_counter) -> Setup:
        """Check, set the process up, read or make the pairs."""
        build.check_config(config)
        for key, wanted in MUST.items():
            if (value := read(config, key)) != wanted:
                raise InputError(f"{key} is {value!r}, and the bare loop is written for {wanted!r} alone.")
        runtime = build.build_runtime(config)
        if made:
            sides = [build.build_pipeline(config) for _ in range(1 if config["data"]["shared"] else 2)]
            pipeline = PairPipeline(sides[0], *sides[1:])
            data = load_pairs(Made(), pipeline, val_fraction=0.1, seed=0, cache_dir=None)
        else:
            data = build.build_data(config)
        if not isinstance(data, ParallelText):
            raise InputError(f"data={config['data']['name']} holds no pairs to translate: give data=dates, say.")
        return cls(config, data, runtime, clock=clock)

    @property
    def title(self) -> str:
        """Sizes, as a sentence's beginning."""
        node, spec = self.config, self.data.spec
        params = sum(p.numel() for p in self.model().parameters())
        feeding = "with" if node["task"]["decoder"]["input_feeding"] else "without"
        widths = f"encoder 2 x {node['model']['hidden_size']}, decoder {node['task']['decoder']['hidden_size']}"
        return (
            f"{widths}, {feeding} input feeding, {params:,} parameters, on {self.data.name} ({spec.num_outputs:,} "
            f"target tokens), batch {node['data']['batch_size']}, {self.runtime.precision}, "
            f"threads {torch.get_num_threads()}"
        )

    def model(self) -> Seq2Seq:
        """Ours, with the weights that both sides begin with."""
        model = build.build_model(self.config, self.data.spec, self.data.pipeline.tokens)
        assert isinstance(model, Seq2Seq)
        return model

    def loader(self) -> PairLoader:
        """The training part's batches."""
        loader = build.build_loader(self.config, self.data.train, self.data.spec, shuffle=True)
        assert isinstance(loader, PairLoader)
        return loader


class BareModel(nn.Module):
    """The model as one writes it first, with a copy of our weights.

    Args:
        ours: whose weights and sizes are copied.
        pad_id: of both sides.
        packed: whether the encoder reads packed sequences; else it reads padding, too.
    """

    def __init__(self, ours: Seq2Seq, pad_id: int, packed: bool = True) -> None:
        super().__init__()
        self.packed, self.feeding = packed, ours.decoder.input_feeding
        self.source = self._copy(ours.embedding.weight, pad_id)
        shared = ours.target_embedding is ours.embedding
        self.target = self.source if shared else self._copy(ours.target_embedding.weight, pad_id)
        self.drop_inputs, self.drop_outputs = nn.Dropout(ours.embedding.dropout), nn.Dropout(ours.head.dropout)
        self.encoder: nn.RNNBase = ours.encoder.to_torch()  # type: ignore[operator]
        self.bridge = nn.Linear(ours.bridge.map.in_features, ours.bridge.map.out_features)
        decoder: nn.RNNBase = ours.decoder.recurrent.to_torch()
        self.decoder: nn.Module = decoder
        if self.feeding:
            self.decoder = nn.GRUCell(decoder.input_size, decoder.hidden_size)
            self.decoder.load_state_dict({name.removesuffix("_l0"): w for name, w in decoder.state_dict().items()})
        assert ours.decoder.attention is not None
        self.keys = nn.Linear(self.bridge.in_features, decoder.hidden_size, bias=False)
        self.combine = nn.Linear(self.bridge.in_features + decoder.hidden_size, decoder.hidden_size)
        width = self.target.embedding_dim
        self.project = nn.Linear(decoder.hidden_size, width, bias=False) if decoder.hidden_size != width else None
        self.output = nn.Linear(width, self.target.num_embeddings)
        for mine, copied in (
            (self.bridge, ours.bridge.map), (self.keys, ours.decoder.attention.memory),
            (self.combine, ours.decoder.combine), (self.project, ours.head.project), (self.output, ours.head.output),
        ):  # fmt: skip
            if mine is not None and copied is not None:
                mine.load_state_dict(copied.state_dict())
        self.output.weight = self.target.weight

    @staticmethod
    def _copy(table: Tensor | nn.Module, pad_id: int) -> nn.Embedding:
        assert isinstance(table, Tensor)
        return nn.Embedding.from_pretrained(table.detach().clone(), freeze=False, padding_idx=pad_id)

    def encode(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Keys and values ``(B, T, D)``, what is padding ``(B, T)``, and the decoder's first state ``(B, D)``."""
        words = self.drop_inputs(self.source(inputs))
        if self.packed:
            read, last = self.encoder(pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False))
            values, _ = pad_packed_sequence(read, batch_first=True, total_length=inputs.shape[1])
        else:
            values, last = self.encoder(words)
        padding = torch.arange(inputs.shape[1]) >= lengths.unsqueeze(1)
        return self.keys(values), values, padding, torch.tanh(self.bridge(torch.cat((last[-2], last[-1]), 1)))

    def attend(self, states: Tensor, keys: Tensor, values: Tensor, padding: Tensor) -> Tensor:
        """The attended answers ``(B, U, D)`` to the decoder's states ``(B, U, D)``."""
        scores = torch.bmm(states, keys.transpose(1, 2)).masked_fill(padding.unsqueeze(1), NEVER)
        context = torch.bmm(F.softmax(scores, -1), values)
        return torch.tanh(self.combine(torch.cat((context, states), 2)))

    def step(self, words: Tensor, state: Tensor, said: Tensor, memory: tuple[Tensor, Tensor, Tensor]) -> Any:
        """The next state and answer ``(B, D)``, where embedded ``words`` ``(B, E)`` were written last."""
        if self.feeding:
            state = self.decoder(torch.cat((words, said), 1), state)
        else:
            state = self.decoder(words.unsqueeze(1), state.unsqueeze(0))[1].squeeze(0)
        return state, self.attend(state.unsqueeze(1), *memory).squeeze(1)

    def logits(self, said: Tensor) -> Tensor:
        """``(..., V)`` of answers ``(..., D)``."""
        said = self.drop_outputs(said)
        return self.output(said if self.project is None else self.project(said))

    def forward(self, inputs: Tensor, lengths: Tensor, targets: Tensor) -> Tensor:
        """Logits ``(B, U, V)`` of what follows each of ``targets`` ``(B, U)``."""
        *memory, state = self.encode(inputs, lengths)
        words = self.drop_inputs(self.target(targets))
        if not self.feeding:
            states, _ = self.decoder(words, state.unsqueeze(0))
            return self.logits(self.attend(states, *memory))
        said, answers = torch.zeros_like(state), []
        for word in words.unbind(1):
            state, said = self.step(word, state, said, memory)  # type: ignore[arg-type]
            answers.append(said)
        return self.logits(torch.stack(answers, 1))


class Bare:
    """The bare loop, some steps at a time.

    Attributes:
        steps: done.
        tokens: learned from.
        seconds: that they took.
    """

    def __init__(self, setup: Setup) -> None:
        config, spec = setup.config, setup.data.spec
        optim = config["optim"]
        self.model = BareModel(setup.model(), spec.pad_id, setup.packed).train()
        decayed = [p for p in self.model.parameters() if p.ndim >= 2]
        kept = [p for p in self.model.parameters() if p.ndim < 2]
        groups: list[dict[str, Any]] = [{"params": decayed}, {"params": kept, "weight_decay": 0.0}]
        self.lr = optim["lr"]
        self.optimizer = torch.optim.AdamW(
            groups, self.lr, tuple(optim["betas"]), optim["eps"], optim["weight_decay"], fused=True
        )
        self.schedule: Schedule = build.build_schedule(config)
        self.clip, self.smoothing = config["trainer"]["clip_norm"], config["task"]["label_smoothing"]
        self.bf16, self.pad_id = setup.runtime.precision == "bf16", spec.pad_id
        self.batches, self.clock = forever(setup.loader()), setup.clock
        self.steps, self.tokens, self.seconds = 0, 0, 0.0

    def run(self, steps: int, most: int) -> None:
        """As many steps, of ``most`` in all."""
        started = self.clock()
        for _ in range(steps):
            for group in self.optimizer.param_groups:
                group["lr"] = self.lr * self.schedule(self.steps / most)
            batch = next(self.batches)
            self.loss(batch).backward()
            if self.clip is not None:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.steps += 1
            self.tokens += batch.tokens
        self.seconds += self.clock() - started

    def loss(self, batch: Batch) -> Tensor:
        """Mean nats a target token, smoothed."""
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            logits = self.model(batch.inputs, batch.lengths, batch.targets[:, :-1])
        return F.cross_entropy(
            logits.float().flatten(0, 1), batch.targets[:, 1:].flatten(), ignore_index=self.pad_id,
            label_smoothing=self.smoothing,
        )  # fmt: skip


def forever(loader: PairLoader) -> Iterator[Batch]:
    """Epoch after epoch."""
    epoch = 0
    while True:
        yield from loader.epoch(epoch)
        epoch += 1


def agree(setup: Setup) -> dict[str, float]:
    """Parameters and, in float32 and without dropout, the loss of the first batch: the same on both sides.

    Raises:
        InputError: they are not.
    """
    ours, batch = setup.model(), next(setup.loader().epoch(0))
    bare = BareModel(ours, setup.data.spec.pad_id).eval()
    counts = [sum(p.numel() for p in model.parameters()) for model in (ours, bare)]
    task = Translation(setup.data.spec.num_outputs, setup.data.spec.pad_id)
    with torch.inference_mode():
        loss = task.loss(ours.eval(), batch)
        logits, asked = bare(batch.inputs, batch.lengths, batch.targets[:, :-1]), batch.targets[:, 1:]
        theirs = float(F.cross_entropy(logits.flatten(0, 1), asked.flatten(), ignore_index=setup.data.spec.pad_id))
    own = float(loss.total) / loss.count
    if counts[0] != counts[1] or abs(own - theirs) > 1e-4:
        raise InputError(
            f"The sides differ: {counts[0]:,} and {counts[1]:,} parameters, loss {own:.6f} and {theirs:.6f}: nothing "
            "is measured."
        )
    return {"parameters": counts[0], "ours": own, "bare": theirs}


# Training ----------------------------------------------------------------------------------------------------------


def compare_training(setup: Setup, steps: int, rounds: int) -> dict[str, Any]:
    """Print and return target tokens per second of each round."""
    setup.packed = packing_gains(setup)
    run_round(setup, 2 * TURN)  # compiles kernels, warms caches
    pairs = [run_round(setup, steps) for _ in range(rounds)]
    ratios = [ours / bare for ours, bare in pairs]
    ours, bare = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    ratio = statistics.median(ratios)
    reads = "packed" if setup.packed else "padded"
    print(f"training, target tokens/s, {steps} steps x {rounds} rounds")
    print(f"  {f'bare PyTorch loop, {reads}':30} {bare:9,.0f}   x 1.000")
    print(f"  {'seqlab Trainer':30} {ours:9,.0f}   x {ratio:.3f}  ({min(ratios):.3f} to {max(ratios):.3f})")
    rates = {"ours": [own for own, _ in pairs], "bare": [other for _, other in pairs]}
    return {"packed": setup.packed, **rates, "ratios": ratios, "ratio": ratio}


def run_round(setup: Setup, steps: int) -> tuple[float, float]:
    """Tokens per second, ours and the bare loop's, in turns of ``TURN`` steps."""
    bare = Bare(setup)

    def watch(_: nn.Module, step: int) -> bool:
        if step % TURN and step < steps:
            return False
        bare.run(step - bare.steps, steps)
        return True

    limits = {"max_steps": steps, "max_epochs": None}
    with trainer_of(setup.config, setup.data, setup.runtime, setup.model(), watch, **limits) as trainer:
        started = setup.clock()
        fit(trainer)
        seconds = setup.clock() - started - bare.seconds
    return (trainer.state.tokens + trainer.state.window.tokens) / seconds, bare.tokens / bare.seconds


def packing_gains(setup: Setup) -> bool:
    """Whether packed sequences are the faster ones for the bare loop: two steps of each, after one that warms up."""
    seconds = []
    for packed in (True, False):
        bare = Bare(replace(setup, packed=packed))
        bare.run(1, 5)
        took = []
        for _ in range(4):
            before = bare.seconds
            bare.run(1, 5)
            took.append(bare.seconds - before)
        seconds.append(min(took))
    return seconds[0] <= seconds[1]


# Decoding ----------------------------------------------------------------------------------------------------------

Sentences = list[tuple[Tensor, Tensor]]
"""Batches of source ids ``(B, T)`` with their lengths ``(B,)``."""
Written = list[tuple[int, ...]]


def compare_decoding(setup: Setup, sentences: int, rounds: int) -> dict[str, Any]:
    """Print and return sentences per second of each way, its fastest round."""
    ours, spec = setup.model().eval(), setup.data.spec
    bare = BareModel(ours, spec.pad_id).eval()
    batches = taken(setup, sentences)
    single = [(row[:n].unsqueeze(0), n.unsqueeze(0)) for x, n_ in batches for row, n in zip(x, n_, strict=True)]
    some = single[:: max(1, len(single) // 20)]  # one by one takes long
    ways: dict[str, tuple[Callable[[Sentences], Written], Sentences]] = {
        "greedy, batched": (partial(ours_writes, ours, spec, 1), batches),
        "greedy, batched, bare": (partial(bare_greedy, bare, spec), batches),
        "greedy, one by one": (partial(ours_writes, ours, spec, 1), some),
        "greedy, one by one, bare": (partial(bare_greedy, bare, spec), some),
        f"beam {BEAM}, batched": (partial(ours_writes, ours, spec, BEAM), batches),
        f"beam {BEAM}, one by one": (partial(ours_writes, ours, spec, BEAM), some),
        f"beam {BEAM}, one by one, bare": (partial(bare_beam, bare, spec, BEAM), some),
    }
    rates: dict[str, float] = dict.fromkeys(ways, 0.0)
    for _ in range(rounds):
        for name, (write, given) in ways.items():
            started = setup.clock()
            said = write(given)
            rates[name] = max(rates[name], len(said) / (setup.clock() - started))
    print(f"decoding, sentences/s, {len(single)} batched, {len(some)} one by one, the best of {rounds} rounds")
    for name, rate in rates.items():
        peer = rates.get(f"{name}, bare")
        print(f"  {name:30} {rate:9,.1f}" + (f"   x {rate / peer:.3f} of bare" if peer else ""))
    return {"sentences": len(single), "one_by_one": len(some), "rates": rates}


def taken(setup: Setup, sentences: int) -> Sentences:
    """Batches of the validation part's first sentences."""
    loader = build.build_loader(setup.config, setup.data.val, setup.data.spec, shuffle=False)
    every = [(x, n) for batch in loader.epoch(0) for x, n in zip(batch.inputs, batch.lengths, strict=True)]
    some = every[:: max(1, len(every) // sentences)][:sentences]  # of all lengths, longest first
    size = setup.config["data"]["batch_size"]
    batches = []
    for at in range(0, len(some), size):
        lengths = torch.stack([n for _, n in some[at : at + size]])
        width = int(lengths.max())
        rows = [F.pad(x[:n], (0, width - int(n)), value=setup.data.spec.pad_id) for x, n in some[at : at + size]]
        batches.append((torch.stack(rows), lengths))
    return batches


def ours_writes(model: Seq2Seq, spec: DataSpec, beam: int, batches: Sentences) -> Written:
    """By ``seqlab.search``, at most as many tokens as the source has."""
    options = Search(beam, max_ratio=1.0, max_extra=0)
    return [found[0].ids for x, lengths in batches for found in search(model, x, lengths, spec, options)]


@torch.inference_mode()
def bare_greedy(model: BareModel, spec: DataSpec, batches: Sentences) -> Written:
    """As one writes it first: all rows until the last is done, what is too much cut off at the end."""
    written: Written = []
    for inputs, lengths in batches:
        *memory, state = model.encode(inputs, lengths)
        ids, said = torch.full((len(inputs),), spec.start_id), torch.zeros_like(state)
        done, found = torch.zeros(len(inputs), dtype=torch.bool), []
        for _ in range(int(lengths.max())):
            state, said = model.step(model.target(ids), state, said, memory)  # type: ignore[arg-type]
            ids = forbid(model.logits(said), spec).argmax(1)
            found.append(ids)
            done |= ids == spec.eos_id
            if done.all():
                break
        for row, length in zip(torch.stack(found, 1).tolist(), lengths.tolist(), strict=True):
            row = row[:length]
            written.append(tuple(row[: row.index(spec.eos_id)] if spec.eos_id in row else row))
    return written


@torch.inference_mode()
def bare_beam(model: BareModel, spec: DataSpec, beam: int, batches: Sentences) -> Written:
    """As one writes it first: a sentence at a time, its hypotheses are the batch. Ranked by the mean of the tokens."""
    written: Written = []
    for inputs, lengths in batches:
        *memory, state = model.encode(inputs, lengths)
        said, total = torch.zeros_like(state), torch.zeros(1)
        rows: list[list[int]] = [[]]
        ended: list[tuple[float, list[int]]] = []
        ids = torch.tensor([spec.start_id])
        for _ in range(int(lengths[0])):
            expanded = [part.expand(len(rows), *part.shape[1:]) for part in memory]
            state, said = model.step(model.target(ids), state, said, expanded)  # type: ignore[arg-type]
            logs = total.unsqueeze(1) + F.log_softmax(forbid(model.logits(said), spec), 1)
            best, places = logs.flatten().topk(2 * beam)
            going: list[tuple[float, int, int]] = []
            for rank, (value, place) in enumerate(zip(best.tolist(), places.tolist(), strict=True)):
                parent, token = divmod(place, logs.shape[1])
                if token == spec.eos_id and rank < beam:
                    ended.append((value / (len(rows[parent]) + 1), rows[parent]))
                elif token != spec.eos_id and len(going) < beam:
                    going.append((value, parent, token))
            parents = torch.tensor([parent for _, parent, _ in going])
            rows = [[*rows[parent], token] for _, parent, token in going]
            total, ids = torch.tensor([value for value, _, _ in going]), torch.tensor([row[-1] for row in rows])
            state, said = state[parents], said[parents]
            if len(ended) >= beam:
                break
        if not ended:
            ended = [(value / len(row), row) for value, row in zip(total.tolist(), rows, strict=True)]
        written.append(tuple(max(ended)[1]))
    return written


def forbid(logits: Tensor, spec: DataSpec) -> Tensor:
    """What is never written: the unknown, padding, START."""
    logits[:, [0, spec.pad_id, spec.start_id]] = -torch.inf
    return logits
