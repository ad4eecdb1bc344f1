"""Every causal model learns from every corpus, with every tokenizer, cold and carried; what cannot is refused."""

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

MODELS = sorted(path.stem for path in (CONFIGS / "model").glob("*.yaml"))
AHEAD = {"bilstm", "bigru", "bow", "cnn", "mlp", "seggru", "seq2seq", "transformer"}
CORPORA = ("shakespeare", "text", "verses")


@pytest.fixture(scope="session")
def text(tmp_path_factory) -> Path:
    chance = random.Random(0)
    words = ["sea", "stone", "Wind", "wood", "fire", "ice", "lake", "hill"]
    lines = [" ".join(chance.choices(words, k=chance.randrange(3, 9))) + "." for _ in range(120)]
    path = tmp_path_factory.mktemp("corpus") / "lines.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def shrunk(text: Path, run_dir: Path, *overrides: str) -> dict:
    return composed(
        "data=text", f"data.path={text}", f"run_dir={run_dir}", "trainer.device=cpu", "trainer.max_epochs=null",
        "trainer.max_steps=2", "data.batch_size=4", "data.length=16", "data.hidden_size=24", "data.eval_length=32",
        "task.samples.length=5", "trainer.precision=fp32", "floor=false", *overrides,
    )  # fmt: skip


def assert_usable(run_dir: Path) -> None:
    summary = json.loads((run_dir / "summary.json").read_text())
    assert summary["steps"] == 2
    assert {"cold_32_loss", "stream_loss"} <= summary["val"].keys()
    run = Run(run_dir, device="cpu")
    assert run.evaluate("val") == pytest.approx(summary["val"])
    assert len(run.generate("sea", length=4, seed=1)) >= 3


CAUSAL = [model for model in MODELS if model not in AHEAD | {"lstm_ngrams"}]
CARRIED = ("lstm", "gru", "rnn", "deep_lstm", "tcn", "mut1", "qrnn")
"""Models of each kind that carry their state from window to window; the others differ in the cell alone."""


@pytest.mark.parametrize(
    ("model", "sampling"),
    [
        pytest.param(model, kind, marks=[pytest.mark.slow] if kind == "sequential" and model not in CARRIED else [])
        for model in CAUSAL
        for kind in ("random", "sequential")
    ],
)
def test_every_causal_model_learns_and_its_folder_writes(model, sampling, text, tmp_path):
    train(shrunk(text, tmp_path / "run", f"model={model}", f"data.sampling={sampling}"))
    assert_usable(tmp_path / "run")


@pytest.mark.parametrize("model", sorted(AHEAD | {"lstm_ngrams"}))
def test_what_reads_ahead_is_refused_in_one_sentence_and_leaves_nothing(model, text, tmp_path):
    with pytest.raises(InputError, match="model=lstm"):
        train(shrunk(text, tmp_path / "run", f"model={model}"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("tokenizer", ["char", "whitespace", "basic_english", "bpe"])
def test_every_tokenizer_learns_and_knows_its_bits(tokenizer, text, tmp_path):
    options = ["data.subwords=300"] if tokenizer == "bpe" else []
    train(shrunk(text, tmp_path / "run", f"data/tokenizer={tokenizer}", *options))
    assert_usable(tmp_path / "run")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert ("stream_bits_per_character" in summary["val"]) == (tokenizer in ("char", "bpe"))


@pytest.mark.parametrize("options", [
    ["model.head.tied=true"], ["data.embedding=onehot"],
    ["data.variational=true", "model.num_layers=2", "model.dropout=0.2"],
    ["model.recurrent_dropout=0.2", "task.activation=2.0", "task.temporal_activation=1.0"],
    ["task.label_smoothing=0.1", "task.decides=stream"], ["data.sampling=sequential", "data.reset=0.5"],
    ["data.test_fraction=0.1", "data.separator='.\n'", "data.sampling=sequential"], ["task.samples=null"],
])  # fmt: skip
def test_options_of_language_models(options, text, tmp_path):
    train(shrunk(text, tmp_path / "run", *options))
    assert_usable(tmp_path / "run")


def test_one_hot_and_pre_trained_vectors_have_their_own_width(text, tmp_path):
    train(shrunk(text, tmp_path / "onehot", "data.embedding=onehot"))
    assert_usable(tmp_path / "onehot")
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("s 1 2 3\ne 4 5 6\na 7 8 9\n", encoding="utf-8")
    train(shrunk(text, tmp_path / "vectors", f"model.embedding.vectors={vectors}"))
    with pytest.raises(InputError, match="holds vectors of width 3, not dim=64"):  # as the data suggests, but asked for
        train(shrunk(text, tmp_path / "other", f"model.embedding.vectors={vectors}", "model.embedding.dim=64"))
    vectors.unlink()  # a run folder is all that is needed
    assert_usable(tmp_path / "vectors")
    assert Run(tmp_path / "vectors", device="cpu").model.embedding.output_size == 3


def test_one_hot_vectors_cannot_be_tied(text, tmp_path):
    with pytest.raises(InputError, match="one-hot vectors have none"):
        train(shrunk(text, tmp_path / "run", "data.embedding=onehot", "model.head.tied=true"))
    assert not (tmp_path / "run").exists()


def test_the_test_part_is_touched_where_there_is_one(text, tmp_path):
    train(shrunk(text, tmp_path / "run", "data.test_fraction=0.1", "floor=true"))
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["test"]["stream_loss"] > 0
    assert 0 < summary["floor"]["kneser_ney"] < summary["floor"]["unigram"]
    run = Run(tmp_path / "run", device="cpu")
    assert run.evaluate() == pytest.approx(summary["test"])
    train(shrunk(text, tmp_path / "other"))
    assert json.loads((tmp_path / "other" / "summary.json").read_text())["test"] == {}
    with pytest.raises(InputError, match="test"):
        Run(tmp_path / "other", device="cpu").evaluate("test")


@pytest.mark.parametrize(("override", "match"), [
    ("data.sampling=shuffled", "data.sampling must be random or sequential"),
    ("data.length=0", "data.length must be at least 1"),
    ("data.reset=x", "data.reset must be a number"),
    ("data.reset=-0.1", "data.reset is a probability"),
    ("data.reset=0.1", "data.reset=0.1 is for lanes whose state is carried: set data.sampling=sequential"),
    ("task.label_smoothing=1.5", "^task: label_smoothing is 1.5"),
    ("optim.lr=-1", "^optim.lr is -1"),
    ("model.embedding.dropout=1.5", "^model.embedding: dropout"),
    ("data.length=100000", "tokens"),
    ("task.decides=warm", "task.decides must be cold or stream"),
    ("task.samples.top_k=0", "top_k"),
    ("task.samples.length=0", "task.samples: length=0 writes nothing"),
    ("task.samples.seed=-1", "task.samples: seed=-1 must be"),
    ("task.samples.prompt=''", "task.samples: The prompt has no token"),
    ("data.separator=never", "separator 'never' does not occur"),
    ("data.val_fraction=1.5", "val_fraction"),
    ("+data.lenght=4", "data.lenght: there is no such option"),
])  # fmt: skip
def test_bad_options_are_one_sentence_and_leave_nothing(override, match, text, tmp_path):
    with pytest.raises(InputError, match=match) as raised:
        train(shrunk(text, tmp_path / "run", override))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_a_training_that_diverged_at_once_says_so(text, tmp_path):
    wild = ["optim.lr=1e38", "trainer.clip_norm=null", "schedule=constant", "trainer.max_steps=1"]
    with pytest.raises(InputError, match=r"diverged: the last evaluation gave nan instead of a number; lower optim.lr"):
        train(shrunk(text, tmp_path / "run", *wild))


@pytest.mark.parametrize("data", CORPORA)
def test_every_corpus_composes_and_its_options_are_known(data):
    path = ["data.path=some.txt"] if data == "text" else []
    check_config(composed(f"data={data}", *path))


def test_a_labelled_dataset_is_no_corpus(tmp_path):
    with pytest.raises(InputError, match="task"):
        train(composed("data=reviews", "task=language_modeling", f"run_dir={tmp_path / 'run'}"))


@pytest.mark.parametrize("options", [
    ["data.sampling=sequential", "data.reset=0.3"],
    ["data.sampling=sequential", "data.separator='stone'", "trainer.accumulate=2"],
    ["data.sampling=random"],
])  # fmt: skip
def test_a_run_cut_in_the_middle_of_an_epoch_goes_on_to_the_same_bits(options, text, tmp_path):
    from seqlab.engine import checkpoint

    def learn(run_dir: Path, steps: int, *more: str) -> None:
        # The schedule looks at epochs, so that a run that ends early does not differ before it ends.
        config = shrunk(text, run_dir, *options, "data.length=8", "schedule=constant", f"trainer.max_steps={steps}",
                        "model.dropout=0.3", "model.num_layers=2", "trainer.eval_every=3", *more)  # fmt: skip
        if more:
            config["run_dir"] = None
        train(config)

    learn(tmp_path / "whole", 11)
    learn(tmp_path / "cut", 5)
    saved = checkpoint.load(tmp_path / "cut" / "last.pt")
    assert saved["trainer"]["consumed"] > 0
    if "random" not in options[0]:
        assert saved["carry"]["state"]
        assert any(float(part.abs().sum()) > 0 for each in saved["carry"]["state"] for part in each)
    learn(tmp_path / "cut", 11, f"resume={tmp_path / 'cut'}")
    whole, cut = (checkpoint.load(tmp_path / name / "last.pt") for name in ("whole", "cut"))
    for name, value in whole["model"].items():
        assert value.equal(cut["model"][name]), name
    assert [[part.tolist() for part in each] for each in whole["carry"]["state"]] == [
        [part.tolist() for part in each] for each in cut["carry"]["state"]
    ]
    assert whole["trainer"]["best_metrics"] == cut["trainer"]["best_metrics"]
