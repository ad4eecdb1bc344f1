"""Every choice that a person can type trains: the real configs, shrunk to a table of forty rows."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from seqlab.build import check_config
from seqlab.compose import CONFIGS, composed
from seqlab.errors import InputError
from seqlab.run import Run
from seqlab.train import train

pytestmark = pytest.mark.usefixtures("no_figures")

MODELS = sorted({path.stem for path in (CONFIGS / "model").glob("*.yaml")} - {"seq2seq"})
"""All but the one that is for translation alone; test_translators.py trains that."""
CELLS_ALONE = {
    "cifg", "gru_reset_before", "gru_update_is_new", "indrnn", "layernorm_lstm", "lstm_plain", "lstm_projected", "mgu",
    "mingru", "minlstm", "mut1", "mut2", "mut3", "peephole", "qrnn", "rnn_relu", "sru", "ugrnn",
}  # fmt: skip
"""Models that differ from ``model=lstm`` in the cell alone: on other data than texts they train with ``-m slow``."""
TOKENIZERS = sorted(path.stem for path in (CONFIGS / "data" / "tokenizer").glob("*.yaml"))
OPTIMS = sorted(path.stem for path in (CONFIGS / "optim").glob("*.yaml"))
SCHEDULES = sorted(path.stem for path in (CONFIGS / "schedule").glob("*.yaml"))
EXPERIMENTS = sorted(path.stem for path in (CONFIGS / "experiment").glob("*.yaml"))


@pytest.fixture(scope="session")
def table(tmp_path_factory) -> Path:
    chance = random.Random(0)
    words = ["red", "green", "blue", "warm", "cold", "late", "early", "near", "far"]
    path = tmp_path_factory.mktemp("table") / "texts.csv"
    lines = ["text,label"]
    for row in range(40):
        text = " ".join(chance.choices(words, k=chance.randrange(3, 12)))
        lines.append(f"{text} {'yes' if row % 2 else 'no'},{'good' if row % 2 else 'bad'}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def shrunk(table: Path, run_dir: Path, *overrides: str) -> dict:
    return composed(
        "data=csv", f"data.path={table}", f"run_dir={run_dir}", "trainer.device=cpu", "trainer.max_epochs=null",
        "trainer.max_steps=2", "trainer.precision=fp32", "data.batch_size=8", "data.val_fraction=0.2",
        "data.test_fraction=0.2", "floor=false", *overrides,
    )  # fmt: skip


def check_run(run_dir: Path) -> None:
    summary = json.loads((run_dir / "summary.json").read_text())
    assert summary["steps"] == 2
    assert 0 <= summary["test"]["accuracy"] <= 1
    assert {"last.pt", "best.pt", "config.yaml", "metrics.jsonl"} <= {path.name for path in run_dir.iterdir()}
    run = Run(run_dir, device="cpu")
    assert run.evaluate("test")["accuracy"] == summary["test"]["accuracy"]
    (answer,) = run.predict(["warm and late yes"])
    assert answer["label"] in {"good", "bad"}
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_trains_and_its_folder_opens_again(model, table, tmp_path):
    train(shrunk(table, tmp_path / "run", f"model={model}"))
    check_run(tmp_path / "run")


@pytest.mark.parametrize("model", [
    model if model in ("lstm", "gru", "mut1", "transformer") else pytest.param(model, marks=pytest.mark.slow)
    for model in MODELS
])  # fmt: skip
def test_every_model_trains_as_fast_as_the_processor_can(model, table, tmp_path):
    """In the precision that is chosen for it, which on newer processors is bfloat16: kernels of their own."""
    train(shrunk(table, tmp_path / "run", f"model={model}", "trainer.precision=auto"))
    check_run(tmp_path / "run")


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_every_tokenizer_trains_and_its_folder_opens_again(tokenizer, table, tmp_path):
    if tokenizer == "torchtext":
        pytest.importorskip("torchtext", exc_type=(ImportError, OSError), reason="torchtext does not load here")
    train(shrunk(table, tmp_path / "run", f"data/tokenizer={tokenizer}"))
    check_run(tmp_path / "run")


@pytest.mark.parametrize("choice", [f"optim={o}" for o in OPTIMS] + [f"schedule={s}" for s in SCHEDULES])
def test_every_optimiser_and_schedule_trains(choice, table, tmp_path):
    train(shrunk(table, tmp_path / "run", choice))
    check_run(tmp_path / "run")


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes_and_its_options_are_known(experiment):
    check_config(composed(f"experiment={experiment}"))


GENERATED = {
    "adding": ("mse", "data.steps=12"),
    "copy": ("accuracy", "data.steps=5"),
    "parity": ("accuracy", "data.steps=20"),
    "parity task=tagging data.asked=prefixes": ("accuracy", "data.steps=20"),
    "ecg": ("f1", "data.steps=200"),
}
WHOLE = ("mlp", "seggru")
"""Models that answer for a whole row, not for its steps."""


@pytest.mark.parametrize("model", [
    pytest.param(model, marks=pytest.mark.slow) if model in CELLS_ALONE else model
    for model in MODELS if model != "lstm_ngrams"
])  # fmt: skip
@pytest.mark.parametrize("data", GENERATED)
def test_every_generated_task_trains_with_every_model_that_suits_it(data, model, tmp_path):
    if model in WHOLE and any(name in data for name in ("copy", "prefixes", "ecg")):
        pytest.skip("one vector for a whole row has nothing to say at each step")
    monitor, size = GENERATED[data]
    run_dir = tmp_path / "run"
    train(composed(
        *f"data={data}".split(), size, f"model={model}", f"run_dir={run_dir}", "data.train=40", "data.val=8",
        "data.test=8", "data.batch_size=8", "trainer.device=cpu", "trainer.max_epochs=null", "trainer.max_steps=2",
        "trainer.precision=fp32", "optim.lr=1e-3",
    ))  # fmt: skip
    summary = json.loads((run_dir / "summary.json").read_text())
    assert summary["monitor"] == monitor
    assert summary["floor"][next(iter(summary["floor"]))] > 0
    run = Run(run_dir, device="cpu")
    assert run.evaluate("test")[monitor] == summary["test"][monitor]
    with pytest.raises(InputError, match="has no texts to label"):
        run.predict(["one"])


@pytest.mark.parametrize("data", ["copy", "adding", "ecg"])
def test_a_model_that_cannot_answer_the_data_is_refused_in_one_sentence(data, tmp_path):
    for model in ("lstm_ngrams", *([] if data == "adding" else WHOLE)):
        with pytest.raises(InputError, match=f"model={model}"):
            train(composed(f"data={data}", f"model={model}", f"run_dir={tmp_path / model}", "data.train=40"))
        assert not (tmp_path / model).exists()


def test_a_cell_of_ones_own_is_named_by_its_target(table, tmp_path, monkeypatch):
    (tmp_path / "cells_of_mine.py").write_text(
        "import torch\nfrom torch import nn\n\n"
        "class Leaky(nn.Module):\n"
        "    def __init__(self, input_size: int, hidden_size: int, keep: float = 0.5):\n"
        "        super().__init__()\n"
        "        self.input_size, self.hidden_size, self.keep = input_size, hidden_size, keep\n"
        "        self.x, self.h = nn.Linear(input_size, hidden_size), nn.Linear(hidden_size, hidden_size)\n"
        "    def step(self, x, state):\n"
        "        (h,) = state\n"
        "        return (self.keep * h + (1 - self.keep) * torch.tanh(self.x(x) + self.h(h)),)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    run_dir = tmp_path / "run"
    train(shrunk(table, run_dir, "model.cell={_target_: cells_of_mine.Leaky, keep: 0.9}"))
    with pytest.raises(InputError, match=r"\(model\.cell\._target_ is cells_of_mine\.Leaky\)"):
        Run(run_dir, device="cpu")
    run = Run(run_dir, device="cpu", trust=True)
    assert run.model.encoder.layers[0].directions[0].cell.keep == 0.9


def test_a_misspelt_cell_is_refused_before_any_data_is_read(tmp_path):
    with pytest.raises(InputError, match="did you mean 'peephole'"):
        train(composed("data=imdb", f"data.root={tmp_path / 'nowhere'}", "model.cell=peephol"))


@pytest.mark.parametrize("data", ["imdb", "reviews"])
def test_every_dataset_composes_and_its_options_are_known(data):
    check_config(composed(f"data={data}"))


def test_the_same_config_and_seed_give_the_same_numbers(table, tmp_path):
    for name in ("a", "b"):
        train(shrunk(table, tmp_path / name, "model=bilstm"))
    first, second = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("a", "b"))
    assert first["test"] == second["test"]
    assert first["val"] == second["val"]
