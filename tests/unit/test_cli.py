"""The commands over a run folder, and the command line's own mistakes, as a person meets them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from seqlab.cli import app
from seqlab.compose import composed
from seqlab.errors import InputError
from seqlab.train import train as train_here

ROOT = Path(__file__).parents[2]
ROWS = [("good clean fun", "yes"), ("bad dull noise", "no"), ("fun and good", "yes"), ("dull and bad", "no")] * 6


def environment(**more: str) -> dict[str, str]:
    return {"SEQLAB_CACHE": os.environ["SEQLAB_CACHE"], "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", **more}


@pytest.fixture(scope="session")
def home(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("home")
    lines = ["text,label", *(f"{text} {row},{label}" for row, (text, label) in enumerate(ROWS))]
    (home / "texts.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return home


@pytest.fixture(scope="session")
def run_dir(home, run_command) -> Path:
    done = run_command("train", "data=csv", "data.path=texts.csv", "data.batch_size=4", "data.epochs=6", cwd=home)
    assert done.returncode == 0, done.stderr
    return home / done.stdout.splitlines()[-1]


@pytest.fixture
def invoke(home, monkeypatch):
    monkeypatch.chdir(home)  # the run's config names its data relative to where it was trained
    runner = CliRunner()
    return lambda *words, input=None: runner.invoke(app, [str(word) for word in words], input=input)


def test_the_last_line_of_a_training_is_its_folder(run_dir):
    names = {path.name for path in run_dir.iterdir()}
    assert {"config.yaml", "metrics.jsonl", "summary.json", "last.pt", "best.pt"} <= names
    assert run_dir.parent.name == "lstm"
    assert run_dir.parent.parent.name == "csv"


def test_a_terminal_of_few_characters_ends_no_training(home):
    command = [sys.executable, str(ROOT / "train.py"), "data=csv", "data.path=texts.csv", "trainer.max_steps=1"]
    options = ["floor=false", "runs=few", "runtime.threads=1"]
    ascii_only = environment(PYTHONIOENCODING="ascii")
    done = subprocess.run([*command, *options], cwd=home, env=ascii_only, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()


def test_a_summary_holds_what_machines_ask_for(run_dir):
    summary = json.loads((run_dir / "summary.json").read_text())
    wanted = {"task", "params", "seconds", "val", "test", "floor", "tokens_per_second", "padding", "device", "versions"}
    assert wanted | {"seed"} <= summary.keys()
    assert set(summary["floor"]) == {"majority", "naive_bayes", "nb_svm"}
    assert 0 <= summary["padding"] < 1


def test_evaluate_measures_again_what_the_training_measured(invoke, run_dir):
    answer = invoke("evaluate", run_dir, "--split", "test", "--json")
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout) == json.loads((run_dir / "summary.json").read_text())["test"]


def test_predict_answers_with_probabilities(invoke, run_dir):
    answer = invoke("predict", run_dir, "good fun", "bad noise", "--json")
    assert answer.exit_code == 0, answer.output
    rows = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [row["label"] for row in rows] == ["yes", "no"]
    assert all(sum(row["probabilities"].values()) == pytest.approx(1) for row in rows)


def test_texts_on_standard_input_are_read_without_line_ends_and_mark(invoke, run_dir):
    def answers(*options, input):
        found = invoke("predict", run_dir, "-", "--json", *options, input=input)
        assert found.exit_code == 0, found.output
        return [json.loads(line) for line in found.stdout.splitlines()]

    plain = answers(input="good fun\nbad noise\n")
    assert answers(input="\ufeffgood fun\r\nbad noise\r\n") == plain
    assert answers("--null", input="good fun\0bad noise\0") == plain
    assert answers("--jsonl", input='"good fun"\n{"text": "bad noise"}\n') == plain
    assert answers("--null", input="good\nfun\0")[0]["text"] == "good\nfun"
    refused = invoke("predict", run_dir, "good fun", "--null")
    assert "--null is for standard input" in str(refused.exception)


def test_a_text_of_which_the_model_knows_little_is_said(invoke, run_dir):
    assert "warning" not in invoke("predict", run_dir, "good fun and bad noise", "--json").stderr
    found = invoke("predict", run_dir, "das ist fun", "--json")
    assert "warning: 67 % of the tokens of the text are unknown to the model: train with data/to" in found.stderr
    assert json.loads(found.stdout)["text"] == "das ist fun"


def test_predict_reads_standard_input_and_does_not_mind_company(invoke, run_dir):
    together = invoke("predict", run_dir, "-", "--json", input="good fun\n\nbad noise and much more of it\n")
    alone = invoke("predict", run_dir, "good fun", "--json")
    rows = [json.loads(line) for line in together.stdout.splitlines()]
    assert len(rows) == 3
    assert rows[0]["probabilities"]["yes"] == pytest.approx(json.loads(alone.stdout)["probabilities"]["yes"], abs=5e-3)


def test_runs_lists_runs(invoke, run_dir, home):
    answer = invoke("runs", home / "runs")
    assert answer.exit_code == 0
    assert "seconds" in answer.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["evaluate", "nowhere"], "nowhere is not a run folder"),
        (["runs", "nowhere"], "nowhere holds no run"),
    ],
)
def test_a_wrong_folder_is_one_sentence(invoke, words, sentence):
    answer = invoke(*words)
    assert isinstance(answer.exception, InputError)
    assert sentence in str(answer.exception)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["predict", "--horizon", "3"], "is for runs that forecast"),
        (["predict", "--plot", "out.png"], "is for runs that forecast"),
        (["backtest"], "forecasts nothing: name the run of a forecaster, such as model=lstm data=waves trains"),
        (["leaktest"], "forecasts nothing: name the run of a forecaster, such as model=lstm data=waves trains"),
    ],
)
def test_what_asks_for_forecasts_wants_a_forecaster(invoke, run_dir, words, sentence):
    answer = invoke(words[0], run_dir, *words[1:])
    assert isinstance(answer.exception, InputError)
    assert sentence in str(answer.exception)


def test_an_unknown_split_is_one_sentence(invoke, run_dir):
    answer = invoke("evaluate", run_dir, "--split", "tset")
    assert "did you mean 'test'?" in str(answer.exception)


def test_a_run_whose_data_changed_is_not_measured(invoke, run_dir, home):
    table = home / "texts.csv"
    kept = table.read_text()
    try:
        table.write_text(kept + "something new,yes\nsomething else,no\n")
        answer = invoke("evaluate", run_dir)
        assert "is not what the run was trained on" in str(answer.exception)
    finally:
        table.write_text(kept)


def test_a_folder_that_names_foreign_code_is_not_built(run_dir, tmp_path):
    import torch

    from seqlab.engine import checkpoint
    from seqlab.run import Run

    saved = checkpoint.load(run_dir / "best.pt")
    saved["config"]["model"]["_target_"] = "os.path.join"
    torch.save(saved, tmp_path / "best.pt")
    with pytest.raises(InputError, match="beyond seqlab's own choices"):
        Run(tmp_path)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["modle=gru"], "error: modle: there is no such option; did you mean 'model'?"),
        (["optim.lr=abc"], "error: optim.lr must be a number, not 'abc'."),
        (["data=csv", "data.path=texts.csv", "data.label_column=lable"], "lable"),
        (["data=csv", "data.path=none.csv"], "none.csv"),
        (["data=series", "data.path=none.csv"], "none.csv"),
        (["data=waves", "data.lookbck=9"], "data.lookbck: there is no such option; did you mean 'data.lookback'?"),
        (["data=imdb", "data.download=false", "data.root=none"], "aclImdb_v1.tar.gz"),
        (["runs=texts.csv", "data=csv", "data.path=texts.csv"], "No run folder can be made under texts.csv"),
        (["resume=none"], "none/config.yaml does not exist"),
        (["optim.lr=${nowhere}"], "error: optim.lr: ${...} stands for the value of another key"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence_and_status_2(words, sentence, home, run_command):
    done = run_command("train", *words, cwd=home)
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert sentence in errors[0]
    assert "Traceback" not in done.stderr


def test_best_weights_in_the_place_of_the_last_are_not_continued(run_dir, home, run_command):
    copied = home / "copied"
    shutil.copytree(run_dir, copied)
    shutil.copy(run_dir / "best.pt", copied / "last.pt")
    lines = (copied / "metrics.jsonl").read_text()
    done = run_command("train", f"resume={copied}", cwd=home)
    assert done.returncode == 2
    assert "holds weights alone, like a best.pt" in done.stderr.splitlines()[-1]
    assert (copied / "metrics.jsonl").read_text() == lines


def test_a_resume_with_another_model_shows_the_difference(run_dir, home, run_command):
    done = run_command("train", f"resume={run_dir}", "model.hidden_size=64", cwd=home)
    assert done.returncode == 2
    assert "model.hidden_size was 128, is 64" in done.stderr


def test_another_config_leaves_the_run_that_it_would_continue_alone(run_dir):
    before = {path.name: path.read_bytes() for path in run_dir.iterdir() if path.is_file()}
    config = composed("data=csv", f"data.path={run_dir}/texts.csv", "model=gru", "floor=false")
    with pytest.raises(
        InputError, match=r"differ from the run that resume= continues: data.batch_size was 4, is 32; .*model"
    ):
        train_here({**config, "resume": str(run_dir)})
    assert {path.name: path.read_bytes() for path in run_dir.iterdir() if path.is_file()} == before


def test_a_run_folder_is_of_use_from_anywhere(run_dir, home, tmp_path):
    command = [sys.executable, "-m", "seqlab", "evaluate", str(run_dir), "--json"]
    own = environment(PYTHONPATH=str(ROOT))
    done = subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["accuracy"] >= 0


def test_a_run_that_has_ended_is_left_as_it_is(run_dir, home, run_command):
    copied = home / "ended"
    shutil.copytree(run_dir, copied)
    before = {path.name: path.read_bytes() for path in copied.iterdir() if path.is_file()}
    done = run_command("train", f"resume={copied}", cwd=home)
    assert done.returncode == 0, done.stderr
    assert "is already finished (trainer.max_epochs reached) and evaluated" in done.stdout
    assert done.stdout.splitlines()[-1] == str(copied)
    assert {path.name: path.read_bytes() for path in copied.iterdir() if path.is_file()} == before

    done = run_command("train", f"resume={copied}", "trainer.max_epochs=7", cwd=home)
    assert done.returncode == 0, done.stderr
    steps = [json.loads((folder / "summary.json").read_text())["steps"] for folder in (run_dir, copied)]
    assert steps[1] * 6 == steps[0] * 7


def test_help_is_quick_for_it_leaves_torch_alone(home):
    code = "import sys, seqlab.cli, seqlab.train; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=300).returncode == 0


@pytest.mark.parametrize(("monitor", "floor"), [("accuracy", "0.7"), ("cold_256_loss", "0.5")])
def test_runs_shows_the_best_floor_whichever_way_is_better(invoke, tmp_path, monitor, floor):
    summary = {
        "monitor": monitor, "val": {monitor: 0.25}, "test": {}, "floor": {"a": 0.7, "b": 0.5}, "seconds": 1.0,
        "params": 10, "seed": 0,
    }  # fmt: skip
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    answer = invoke("runs", tmp_path)
    assert answer.exit_code == 0, answer.output
    assert floor in answer.stdout
    assert not any(other in answer.stdout for other in {"0.7", "0.5"} - {floor})


def test_a_file_is_labelled_row_by_row_as_its_texts_alone_are(invoke, run_dir, home):
    (home / "new.csv").write_text('id,text\n1,good fun\n2,"bad, dull\nnoise"\n')
    rows = [json.loads(line) for line in invoke("predict", run_dir, "new.csv", "--json").stdout.splitlines()]
    texts = [
        json.loads(line)
        for line in invoke("predict", run_dir, "good fun", "bad, dull\nnoise", "--json").stdout.splitlines()
    ]
    assert rows == [{"row": number, **one} for number, one in enumerate(texts, 1)]
    shown = invoke("predict", run_dir, "new.csv").stdout
    assert "row" in shown
    assert "new.csv" not in shown

    done = invoke("predict", run_dir, "new.csv", "--out", "labels.csv")
    assert done.stdout == "2 rows written to labels.csv\n"
    written = pd.read_csv(home / "labels.csv")
    assert list(written) == ["row", "text", "label", "probability of no", "probability of yes"]
    assert written["text"].tolist() == ["good fun", "bad, dull\nnoise"]
    assert written["probability of yes"].tolist() == pytest.approx([one["probabilities"]["yes"] for one in texts])
    invoke("predict", run_dir, "new.csv", "--out", "labels.jsonl")
    assert [json.loads(line) for line in (home / "labels.jsonl").read_text().splitlines()] == rows


@pytest.mark.parametrize(("words", "input", "sentence"), [
    (["missing.csv"], None, "There is no file missing.csv: check the path"),
    (["-"], "text,label\ngood,yes\n", "The first line of standard input, 'text,label', is the header of a table"),
    (["good", "--out", "a.txt"], None, "--out a.txt: the name must end in .csv or .jsonl"),
    (["good", "--out", "nowhere/a.csv"], None, "make it first"),
])  # fmt: skip
def test_what_is_no_text_is_not_labelled(invoke, run_dir, words, input, sentence):
    refused = invoke("predict", run_dir, *words, input=input)
    assert sentence in str(refused.exception)
    assert refused.stdout == ""


def test_evaluate_measures_on_a_file_what_it_measures_on_the_part_of_the_same_rows(invoke, run_dir, home):
    """And refuses a label that it never saw, and a file beside a part."""

    def measured(*words):
        return json.loads(invoke("evaluate", run_dir, "--json", *words).stdout)

    shutil.copy(home / "texts.csv", home / "all.csv")
    whole = measured("--data", "all.csv")
    parts = {part: measured("--split", part) for part in ("train", "val", "test")}
    rows = json.loads((run_dir / "summary.json").read_text())
    assert rows["test"] == parts["test"]
    sizes = {"train": 20, "val": 2, "test": 2}
    total = sum(sizes[part] * found["loss"] for part, found in parts.items())
    assert whole["loss"] == pytest.approx(total / sum(sizes.values()), abs=1e-4)
    (home / "other.csv").write_text("text,label\ngood,maybe\n")
    assert "has the label 'maybe', which no training text has" in str(
        invoke("evaluate", run_dir, "--data", "other.csv").exception
    )
    both = invoke("evaluate", run_dir, "--data", "all.csv", "--split", "val")
    assert "--split val is a part of the run's own data" in str(both.exception)
