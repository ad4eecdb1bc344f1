"""Every model translates, is saved, opened and continued; padding is nothing to it; slips are one sentence."""

from __future__ import annotations

import copy
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from seqlab import build, compose
from seqlab.engine import checkpoint
from seqlab.errors import InputError
from seqlab.models import AnyTranslator
from seqlab.run import Run
from seqlab.search import Search, search
from seqlab.train import train
from seqlab.types import Batch

MODELS = sorted(path.stem for path in (compose.CONFIGS / "model").glob("*.yaml") if path.stem != "lstm_ngrams")
ROADS = ("lstm", "gru", "rnn", "bigru", "deep_lstm", "seq2seq", "tcn", "transformer", "cnn")
"""Those that go the whole road; the others differ in their cells alone."""
ONE_VECTOR = ("mlp", "seggru")
STEPS, KILLED = 8, 3
"""Of a run in which bits are compared: how long it is, and when it is killed."""


@pytest.fixture(autouse=True)
def _small_world(monkeypatch, tmp_path, no_figures) -> Iterator[None]:
    """One thread; figures, seconds for each run, are left to tests that look at them.

    Pairs leave nothing in the user's cache; compiled cells lie there, as in the tests of backends.
    """
    monkeypatch.setattr("seqlab.tasks.translation.task.draw", lambda *_: None)
    monkeypatch.setattr("seqlab.build.data.cache_dir", lambda: tmp_path / "cache")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


_composed = lru_cache(compose.composed)


def composed(*overrides: str) -> dict[str, Any]:
    return copy.deepcopy(_composed(*overrides))


def tiny(run_dir: Path | None, *overrides: str) -> dict[str, Any]:
    """80 dates and a small model, in 5 batches."""
    config = composed(
        "data=dates", "data.train=80", "data.val=6", "data.test=6", "data.hidden_size=8", "data.embedding_dim=8",
        "data.batch_size=16", "task.search.beam=2", "task.search.max_ratio=0.5", "trainer.device=cpu",
        "trainer.precision=fp32", "trainer.max_epochs=null", "trainer.max_steps=2", "floor=false", *overrides,
    )  # fmt: skip
    return {**config, "run_dir": None if run_dir is None else str(run_dir)}


@lru_cache
def dates(shared: bool = False) -> Any:
    return build.build_data(tiny(None, f"data.shared={str(shared).lower()}"))


def built(*options: str) -> tuple[dict[str, Any], Any, AnyTranslator]:
    """Config, data and model, whose cells are computed as they are written."""
    config = tiny(None, *options)
    if "backend" in config["model"]:
        config["model"]["backend"] = "reference"
    data = dates(config["data"]["shared"])
    return config, data, build.build_model(config, data.spec)


def opinionated(model: AnyTranslator) -> AnyTranslator:
    """A model that was never taught, but writes this and that: its weights are large, and it is slow to end."""
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 3
        model.head.output.bias[-1] -= 3
    return model


def summary_of(run_dir: Path) -> dict[str, Any]:
    return json.loads((run_dir / "summary.json").read_text())


def assert_same_bits(one: Path, other: Path, name: str = "best") -> None:
    found, wanted = (checkpoint.load(folder / f"{name}.pt")["model"] for folder in (one, other))
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert value.equal(found[key]), key


def assert_same_run(one: Path, other: Path) -> None:
    for name in ("last", "best"):
        assert_same_bits(one, other, name)
    for part in ("val", "test"):
        assert summary_of(one)[part] == summary_of(other)[part]


# Models -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ROADS)
def test_every_model_trains_is_opened_and_goes_on(model, tmp_path):
    run_dir = tmp_path / "run"
    train(tiny(run_dir, f"model={model}"))
    summary = summary_of(run_dir)
    assert summary["steps"] == 2
    run = Run(run_dir, device="cpu")
    assert run.evaluate() == summary["test"]
    assert run.evaluate("val")["loss"] == summary["val"]["loss"]  # what it writes is searched for better than then
    assert 0 < summary["test"]["loss"] < 6
    sources = ["3 May 1946", "", "on the first day of March in the year 2001"]
    found = run.translate(sources)
    assert [each[0].source for each in found] == sources
    assert [found[0][0].text, found[2][0].text] == [run.translate([sources[place]])[0][0].text for place in (0, 2)]
    config = tiny(None, f"model={model}")
    config["trainer"]["max_steps"] = 4
    train({**config, "resume": str(run_dir)})
    assert summary_of(run_dir)["steps"] == 4


@pytest.mark.parametrize("model", MODELS)
def test_every_model_learns_with_all_its_weights(model):
    plainly = ["task.decoder.attention=none", "task.decoder.input_feeding=false"] if model in ONE_VECTOR else []
    config, data, network = built(f"model={model}", "task.decoder.hidden_size=8", *plainly)
    build.check_config(config)
    task = build.make_objective(config, data.spec)
    batch = next(iter(build.build_loader(config, data.train, data.spec, shuffle=True).epoch(0)))
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    before = {name: value.clone() for name, value in network.named_parameters()}
    losses = []
    for _ in range(3):
        loss = task.loss(network, batch)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        losses.append(float(loss.total.detach()) / loss.count)
    assert losses[-1] < losses[0]
    still = {name for name, value in network.named_parameters() if value.equal(before[name])}
    # One segment is all there is where the last alone is asked for, and it goes on from no state.
    assert still <= ({"encoder.recurrent.layers.0.directions.0.cell.hh.weight"} if model == "seggru" else set())


DECODERS = [
    [],
    ["task.decoder.attention=none", "task.decoder.input_feeding=false"],
    ["task.decoder.attention=additive", "task.decoder.num_layers=2", "task.decoder.cell=lstm"],
    ["task.decoder.attention=multihead", "task.decoder.input_feeding=false", "task.decoder.bridge=zero"],
    ["model=lstm", "task.decoder.bridge=copy", "task.decoder.attention=dot"],
    ["model=tcn", "model.num_layers=2"],
    ["model=cnn"],
    ["model=transformer"],
    ["model=transformer", "task.decoder.kind=recurrent"],
    ["data.shared=true"],
]


def padded(batch: Batch, more: int, most: int) -> Batch:
    """The same with ``more`` and ``most`` steps of padding behind its sources and its targets."""
    inputs, targets = F.pad(batch.inputs, (0, more), value=1), F.pad(batch.targets, (0, most), value=1)
    return replace(batch, inputs=inputs, targets=targets)


@pytest.mark.parametrize("options", DECODERS, ids=lambda options: " ".join(options) or "seq2seq")
def test_padding_changes_neither_loss_nor_gradients_nor_translations(options):
    config, data, model = built("model=seq2seq", "model.head.dropout=0", *options)
    opinionated(model).double()
    if "dropout" in config["model"] and config["model"]["dropout"]:
        model.eval()
    task = build.make_objective(config, data.spec)
    batch = next(iter(build.build_loader(config, data.train, data.spec, shuffle=True).epoch(0)))
    assert (batch.lengths != batch.lengths.max()).any()
    found = []
    for each in (batch, padded(batch, 3, 2)):
        loss = task.loss(model, each)
        gradients = torch.autograd.grad(loss.total, list(model.parameters()))
        found.append((loss.total.detach() / loss.count, gradients))
    torch.testing.assert_close(found[1], found[0], atol=1e-6, rtol=1e-6)
    model.eval()
    some = replace(batch, inputs=batch.inputs[:6], lengths=batch.lengths[:6])
    for way in (Search(), Search(beam=3, nbest=3), Search(sampling=True)):
        plain, wider = (
            search(model, each.inputs, each.lengths, data.spec, way, True) for each in (some, padded(some, 3, 0))
        )
        assert [[one.ids for one in each] for each in wider] == [[one.ids for one in each] for each in plain]
        assert len({each[0].ids for each in plain}) > 1
        for one, other in zip(chain(*plain), chain(*wider), strict=True):
            assert other.score == pytest.approx(one.score, abs=1e-6)
            if one.attention is not None:
                torch.testing.assert_close(other.attention, one.attention, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("model", ["seq2seq", "transformer"])
def test_padding_changes_nothing_where_chance_decides_what_is_read(model):
    config, data, translator = built(f"model={model}", "task.forcing=0.5", "model.dropout=0", "model.head.dropout=0")
    opinionated(translator).double()
    task = build.make_objective(config, data.spec)
    batch = next(iter(build.build_loader(config, data.train, data.spec, shuffle=True).epoch(0)))
    totals = []
    for each in (batch, padded(batch, 3, 2)):
        torch.manual_seed(0)
        totals.append(task.loss(translator, each).total.detach())
    torch.testing.assert_close(totals[1], totals[0], atol=1e-6, rtol=1e-6)
    assert task.loss(translator, batch).total != totals[0]  # by another lot


@pytest.mark.parametrize("options", DECODERS, ids=lambda options: " ".join(options) or "seq2seq")
def test_the_loss_of_a_batch_is_the_sum_of_its_rows(options):
    config, data, model = built("model=seq2seq", *options)
    model.double().eval()
    task = build.make_objective(config, data.spec)
    batch = next(iter(build.build_loader(config, data.train, data.spec, shuffle=True).epoch(0)))
    with torch.no_grad():
        together = task.loss(model, batch)
        alone = 0.0
        for row in range(6):
            T, U = int(batch.lengths[row]), int(batch.target_lengths[row])
            one = slice(row, row + 1)
            alone += float(task.loss(model, replace(
                batch, inputs=batch.inputs[one, :T], lengths=batch.lengths[one], targets=batch.targets[one, : U + 1],
                target_lengths=batch.target_lengths[one],
            )).total)  # fmt: skip
        six = slice(0, 6)
        of_six = task.loss(model, replace(
            batch, inputs=batch.inputs[six], lengths=batch.lengths[six], targets=batch.targets[six],
            target_lengths=batch.target_lengths[six],
        ))  # fmt: skip
    assert together.count == batch.tokens
    assert float(of_six.total) == pytest.approx(alone, rel=1e-6)


# Bits ---------------------------------------------------------------------------------------------------------------

BITS = [
    [
        "model=seq2seq", "task.forcing_end=0.3", "task.forcing_schedule=linear", "model.embedding.dropout=0.2",
        "model.head.dropout=0.3", "task.label_smoothing=0.1", "model.variational=true",
    ],
    [
        "model=lstm", "model.num_layers=2", "task.decoder.num_layers=2", "model.dropout=0.3",
        "task.decoder.dropout=0.3", "task.decoder.bridge=copy", "task.decoder.attention=additive",
        "trainer.ema_decay=0.8",
    ],
    [
        "model=gru", "task.decoder.attention=none", "task.decoder.input_feeding=false", "task.forcing=0.5",
        "data.max_batch_tokens=250", "trainer.accumulate=2", "data.word_dropout=0.1",
    ],
    [
        "model=transformer", "task.forcing_end=0.2", "task.forcing_schedule=inverse_sigmoid", "model.dropout=0.2",
        "model.head.dropout=0.2", "data.shared=true",
    ],
]  # fmt: skip


def learn(run_dir: Path, *options: str, seed: int = 0, resume: bool = False) -> None:
    config = tiny(None if resume else run_dir, *options, "trainer.eval_every=4")
    config["trainer"]["max_steps"] = STEPS
    train({**config, "seed": seed, "resume": str(run_dir) if resume else None})


@pytest.mark.parametrize("options", BITS, ids=lambda options: options[0])
def test_a_run_and_the_same_killed_in_the_middle_of_an_epoch_end_with_the_same_bits(options, tmp_path, monkeypatch):
    """In the middle of the schedules of learning rate and forcing, too; and another run of the same config likewise."""

    def killer(*_: Any) -> Any:
        def watch(model: Any, step: int) -> bool:
            if step == KILLED:
                os.kill(os.getpid(), signal.SIGTERM)
            return False

        return watch

    for name in ("whole", "again"):
        learn(tmp_path / name, *options)
    assert_same_run(tmp_path / "again", tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr("seqlab.tasks.translation.task.TranslationTask.watch", killer)
        learn(tmp_path / "cut", *options)
    saved = checkpoint.load(tmp_path / "cut" / "last.pt")["trainer"]
    assert saved["step"] == KILLED
    assert saved["consumed"] > 0
    learn(tmp_path / "cut", *options, resume=True)
    assert_same_run(tmp_path / "cut", tmp_path / "whole")


def test_another_seed_gives_others(tmp_path):
    for seed in (0, 1):
        learn(tmp_path / str(seed), *BITS[0], seed=seed)
    for part in ("val", "test"):
        assert summary_of(tmp_path / "0")[part] != summary_of(tmp_path / "1")[part]


def test_forcing_matters(tmp_path):
    for name, options in (("whole", []), ("less", ["task.forcing_end=0.0", "task.forcing_schedule=linear"])):
        learn(tmp_path / name, "model=gru", *options)
    assert summary_of(tmp_path / "whole")["test"]["loss"] != summary_of(tmp_path / "less")["test"]["loss"]


# Slips --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "says"), [
    (["model=lstm_ngrams"], "model=lstm_ngrams classifies texts: choose another for this data"),
    (["model=lstm", "task.decoder.kind=transformer"], "kind=transformer goes with model=transformer, .* model=lstm"),
    (["task.decoder.kind=transfomer"], "task.decoder.kind must be recurrent or transformer, not 'transfomer'"),
    (["model=lstm", "task.decoder.cell=gru", "task.decoder.bridge=copy"], "bridge=copy hands the encoder's state on"),
    (["model=bigru", "task.decoder.bridge=copy"], "bridge=copy hands .* bidirectional=false, or take bridge=dense"),
    (["model=tcn", "task.decoder.bridge=copy"], "bridge=copy hands the encoder's state on"),
    (["task.decoder.bridge=bridge"], "task.decoder.bridge must be dense or copy or zero"),
    (["task.decoder.attention=none", "task.decoder.input_feeding=true"], "input_feeding=true feeds .* attention=none"),
    (["task.decoder.attention=genral"], "task.decoder.attention must be .*general.*, not 'genral'"),
    (["model=bigru", "task.decoder.attention=dot"], "attention=dot compares vectors of one width"),
    (["task.decoder.attention=multihead", "task.decoder.num_heads=3"], "num_heads=3 does not divide .* width"),
    (["task.decoder.num_heads=0", "task.decoder.attention=multihead"], "num_heads"),
    (["task.decoder.cell=lstn"], "cell='lstn' is unknown: did you mean 'lstm'"),
    (["task.decoder.cell=lstm_projected", "task.decoder.input_feeding=true"], "cell=lstm_projected answers"),
    (["task.decoder.hidden_size=0"], "hidden_size"),
    (["task.decoder.hidden_size=[8,8]"], "task.decoder.hidden_size must be a whole number"),
    (["task.decoder.num_layers=0"], "num_layers"),
    (["task.decoder.dropout=1.5"], "dropout"),
    (["+task.decoder.attend=dot"], "task.decoder.attend: there is no such option"),
    (["task.search.beam=0"], "beam=0 keeps no hypothesis"),
    (["task.search.length_penalty=-1"], "length_penalty=-1"),
    (["task.search.max_ratio=0", "task.search.max_extra=0"], "max_ratio=.* and max_extra=0 must be"),
    (["+task.search.bem=2"], "task.search.bem: there is no such option; did you mean 'beam'"),
    (["task.samples=-1"], "task.samples must be a number of sentences from 0 up"),
    (["task.decides=blue"], "task.decides must be"),
    (["task.forcing=1.5"], "task.forcing=1.5 is no probability"),
    (["task.forcing_end=0.5"], "task.forcing_end=0.5 is never reached"),
    (["task.forcing_schedule=cosine"], "task.forcing_schedule must be"),
    (["task.label_smoothing=1.0"], "label_smoothing is 1.0"),
    (["data.shared=some"], "data.shared must be true or false"),
    (["data.val_fraction=2"], "data.val_fraction must be a number between 0 and 1"),
    (["data.batch_size=many"], "data.batch_size must be"),
    (["model=transformer", "model.num_heads=3"], "num_heads=3"),
    (["model=mlp"], "model=mlp answers one vector for a whole row, so there is nothing to attend to: set task."),
    (["model=seggru"], "model=seggru answers one vector"),
])  # fmt: skip
def test_bad_options_are_one_sentence_before_any_data_is_read(options, says, tmp_path, monkeypatch):
    monkeypatch.setattr("seqlab.data.dates.Dates.read", lambda _: pytest.fail("the data was read"))
    with pytest.raises(InputError, match=says) as raised:
        train(tiny(tmp_path / "run", *options))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_onehot_vectors_are_as_wide_as_each_sides_vocabulary(tmp_path):
    onehot = ["model=gru", "model.embedding.kind=onehot"]
    _, data, model = built(*onehot)
    assert model.embedding.output_size == len(data.pipeline.tokens)
    assert model.target_embedding.output_size == len(data.pipeline.target_tokens)
    train(tiny(tmp_path / "run", *onehot))
    assert Run(tmp_path / "run", device="cpu").evaluate() == summary_of(tmp_path / "run")["test"]
    with pytest.raises(InputError, match="one-hot vectors have none"):
        train(tiny(tmp_path / "tied", *onehot, "model.head.tied=true"))
    assert not (tmp_path / "tied").exists()


@pytest.mark.parametrize(("option", "meant"), [
    ("task.decodr.attention=dot", "task.decoder.attention"), ("task.search.bem=2", "task.search.beam"),
    ("data.trian=20", "data.train"), ("task.forcing_schedul=linear", "task.forcing_schedule"),
])  # fmt: skip
def test_a_slip_of_the_pen_is_told_what_was_meant(option, meant):
    with pytest.raises(InputError, match=rf"^.*did you mean '{meant}'\?$"):
        composed("data=dates", option)


@pytest.mark.parametrize("data", ["dates", "pairs", "multi30k"])
def test_every_set_of_pairs_composes_and_its_options_are_known(data):
    for model in ("seq2seq", "transformer", "lstm", "cnn"):
        more = ["data.path=some.tsv"] if data == "pairs" else []
        build.check_config(composed(f"data={data}", f"model={model}", *more))


@pytest.mark.parametrize(("data", "task"), [("reviews", "translation"), ("dates", "classification")])
def test_texts_and_pairs_are_told_apart(data, task, tmp_path):
    with pytest.raises(InputError, match=f"data={data} and task={task} do not fit each other: remove task="):
        train(composed(f"data={data}", f"task={task}", f"run_dir={tmp_path / 'run'}"))
    assert not (tmp_path / "run").exists()


# Files --------------------------------------------------------------------------------------------------------------


def own(folder: Path, run_dir: Path, *options: str, path: str = "pairs.tsv") -> dict[str, Any]:
    """``data=pairs`` of a file in ``folder``."""
    config = composed(
        "data=pairs", "data.path=PATH", "data/tokenizer=char", "data.hidden_size=8", "data.embedding_dim=8",
        "data.batch_size=8", "trainer.device=cpu", "trainer.max_epochs=null", "trainer.max_steps=2", "model=gru",
        "floor=false", *options,
    )  # fmt: skip
    config["data"]["path"] = str(folder / path)
    for key in ("target_path", "test_path", "val_path"):
        if config["data"][key] is not None:
            config["data"][key] = str(folder / Path(config["data"][key]).name)
    return {**config, "run_dir": str(run_dir)}


PAIRS = [(f"{word} {number}", f"{number} {word[::-1]}") for word in ("one", "two", "six") for number in range(15)]


def write(folder: Path, left: list[str], right: list[str]) -> None:
    (folder / "a.txt").write_text("".join(f"{line}\n" for line in left))
    (folder / "b.txt").write_text("".join(f"{line}\n" for line in right))


def test_ones_own_file_is_learned_and_translated(tmp_path):
    (tmp_path / "pairs.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in PAIRS))
    train(own(tmp_path, tmp_path / "one"))
    sources, targets = zip(*PAIRS, strict=True)
    write(tmp_path, list(sources), list(targets))
    train(own(tmp_path, tmp_path / "two", "data.target_path=b.txt", path="a.txt"))
    assert_same_bits(tmp_path / "one", tmp_path / "two")  # the same pairs, however they lie
    run = Run(tmp_path / "one", device="cpu")
    assert run.evaluate() == summary_of(tmp_path / "one")["test"]
    (tmp_path / "pairs.tsv").write_text("".join(f"{source}\t{target}!\n" for source, target in PAIRS))
    with pytest.raises(InputError, match="is not what the run was trained on: its vocabulary"):
        Run(tmp_path / "one", device="cpu").evaluate()
    assert len(run.translate(["one 3"])[0]) == 1  # to translate, the folder is enough


@pytest.mark.parametrize(("left", "right", "options", "says"), [
    (["a", "b", "c"], ["x", "y"], [], r"a\.txt, line 3 has no partner: .*b\.txt ends after 2 lines"),
    (["a", "b"], ["x", "y", "z"], [], r"b\.txt, line 3 has no partner: .*a\.txt ends after 2 lines"),
    (["a", "", "c"], ["x", "y", "z"], [], r"a\.txt, line 2 is empty"),
    (["a", "a"], ["x", "y"], [], "has one source alone"),
    (["a", "b", "c"], ["x", "y", "z"], ["data.test_path=none.txt"], r"none\.txt"),
    (["a", "b", "c", "d"], ["x", "y", "z", "u"], ["data.max_length=1"], "every pair is longer than max_length=1"),
    (["a", "b", "c", "d"], ["x", "y", "z", "u"], ["data.max_batch_tokens=1", "data.max_length=null"],
     "max_batch_tokens=1 cannot hold the longest pair"),
])  # fmt: skip
def test_what_is_wrong_with_a_file_is_one_sentence(left, right, options, says, tmp_path):
    write(tmp_path, left, right)
    with pytest.raises(InputError, match=says) as raised:
        train(own(tmp_path, tmp_path / "run", "data.target_path=b.txt", *options, path="a.txt"))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"^data.path=\S+pairs\.tsv does not exist") as raised:
        train(own(tmp_path, tmp_path / "run"))
    assert "\n" not in str(raised.value)
