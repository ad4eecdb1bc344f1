"""What the command line says of a translator's run: lines, scores, pictures, and slips in one sentence."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from seqlab.cli import app
from seqlab.compose import composed
from seqlab.data.dates import Dates
from seqlab.errors import InputError
from seqlab.train import train

PNG = b"\x89PNG"
TEXTS = ["3 May 1946", "on the first day of March in the year 2001", "1999/12/31"]
SIZES = {"train": 200, "val": 20, "test": 30}
OPTIONS = [
    *(f"data.{part}={pairs}" for part, pairs in SIZES.items()), "data=dates", "model=seq2seq", "model.hidden_size=16",
    "data.embedding_dim=16", "trainer.device=cpu", "trainer.max_epochs=null", "trainer.max_steps=25",
    "optim.lr=0.02", "schedule=constant", "task.search.beam=2", "runtime.threads=1", "model.backend=reference",
]  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("translations")


@pytest.fixture(scope="module")
def run_dir(home, run_command) -> Path:
    done = run_command("train", *OPTIONS, "run_dir=run", cwd=home)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "run"
    return home / "run"


@pytest.fixture
def invoke(home, monkeypatch) -> Callable[..., Result]:
    monkeypatch.chdir(home)
    return lambda *words, input=None: CliRunner().invoke(app, [str(word) for word in words], input=input)


def said(answer: Result) -> str:
    assert answer.exit_code == 0, (answer.output, answer.exception)
    return answer.stdout


def refused(answer: Result) -> str:
    assert isinstance(answer.exception, InputError), answer.exception
    assert "\n" not in str(answer.exception)
    return str(answer.exception)


# The folder ---------------------------------------------------------------------------------------------------------


def test_a_summary_says_how_it_was_measured_and_beside_what(run_dir):
    summary = json.loads((run_dir / "summary.json").read_text())
    assert (summary["task"], summary["monitor"], summary["maximize"]) == ("translation", "exact", True)
    assert summary["headline"] == ["perplexity", "token_accuracy", "exact"]
    scores = {"loss", "perplexity", "token_accuracy", "bleu", "bleu_lower", "chrf", "exact"}
    assert summary["val"].keys() == summary["test"].keys() == scores
    assert set(summary["floor"]) == {"copy_source", "word_by_word"}
    signatures = summary["signatures"]
    assert "case:mixed" in signatures["bleu"]
    assert "case:lc" in signatures["bleu_lower"]
    assert all("version:" in signature for signature in signatures.values())
    assert "tok:13a" in signatures["bleu"]


def test_translations_of_the_test_part_lie_in_its_own_order(run_dir, invoke):
    sources, references = Dates(**SIZES).read().test
    lines = (run_dir / "test_translations.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == SIZES["test"]
    assert lines == said(invoke("predict", run_dir, "-", input="\n".join(sources) + "\n")).splitlines()
    summary = json.loads((run_dir / "summary.json").read_text())
    right = sum(line == reference for line, reference in zip(lines, references, strict=True))
    assert summary["test"]["exact"] == right / SIZES["test"]


def test_scores_by_length_and_pictures_are_left(run_dir):
    rows = list(csv.DictReader((run_dir / "test_by_length.csv").open()))
    assert list(rows[0]) == ["bucket", "sentences", "bleu_lower", "chrf", "exact"]
    assert sum(int(row["sentences"]) for row in rows) == SIZES["test"]
    summary = json.loads((run_dir / "summary.json").read_text())
    exact = sum(float(row["exact"]) * int(row["sentences"]) for row in rows) / SIZES["test"]
    assert exact == pytest.approx(summary["test"]["exact"])
    for name in ("attention", "by_length"):
        assert (run_dir / "figures" / "test" / f"{name}.png").read_bytes().startswith(PNG)


def test_evaluate_measures_again_what_the_training_measured(invoke, run_dir):
    found = json.loads(said(invoke("evaluate", run_dir, "--json")))
    assert found == json.loads((run_dir / "summary.json").read_text())["test"]
    assert "exact" in said(invoke("evaluate", run_dir, "--split", "val"))


def test_runs_lists_it(invoke, run_dir):
    assert "run" in said(invoke("runs", run_dir))


# predict ------------------------------------------------------------------------------------------------------------


def test_arguments_and_lines_are_translated_alike(invoke, run_dir):
    lines = said(invoke("predict", run_dir, *TEXTS)).splitlines()
    assert len(lines) == 3
    assert said(invoke("predict", run_dir, input="\n".join(TEXTS))).splitlines() == lines
    assert said(invoke("predict", run_dir, "-", input="\n".join(TEXTS) + "\n")).splitlines() == lines
    assert said(invoke("predict", run_dir, TEXTS[1])).splitlines() == lines[1:2]
    assert set("".join(lines)) <= set("0123456789-")


def test_an_empty_line_stays_an_empty_line(invoke, run_dir):
    lines = said(invoke("predict", run_dir, "-", input=f"{TEXTS[0]}\n\n{TEXTS[2]}\n")).split("\n")
    assert len(lines) == 4
    assert lines[1] == ""
    assert lines[0] == said(invoke("predict", run_dir, TEXTS[0])).rstrip("\n")


def test_several_translations_come_with_their_scores(invoke, run_dir):
    blocks = said(invoke("predict", run_dir, "--nbest", 3, *TEXTS)).split("\n\n")
    assert len(blocks) == 3
    for block in blocks:
        rows = [line.split("\t") for line in block.strip("\n").split("\n")]
        assert len(rows) == 3
        assert all(float(score) <= 0 for score, _ in rows)
    wide = said(invoke("predict", run_dir, "--nbest", 3, "--beam", 3, *TEXTS)).split("\n\n")
    assert wide == blocks  # the beam is widened to hold as many


def test_json_is_an_object_a_line(invoke, run_dir):
    found = [json.loads(line) for line in said(invoke("predict", run_dir, "--json", "--nbest", 2, *TEXTS)).splitlines()]
    assert [each["source"] for each in found] == TEXTS
    for each in found:
        assert [set(one) for one in each["translations"]] == [{"text", "score", "finished"}] * 2
        ranked = [(one["finished"], one["score"]) for one in each["translations"]]
        assert ranked == sorted(ranked, reverse=True)
    plain = said(invoke("predict", run_dir, "--nbest", 2, *TEXTS)).split("\n\n")
    assert [block.split("\n")[0].split("\t")[1] for block in plain] == [
        each["translations"][0]["text"] for each in found
    ]


def test_where_it_looked_is_drawn(invoke, run_dir, tmp_path):
    plain = said(invoke("predict", run_dir, *TEXTS, ""))
    for name in ("out.png", "out.svg"):
        assert said(invoke("predict", run_dir, "--attention", tmp_path / name, *TEXTS, "")) == plain
    assert (tmp_path / "out.png").read_bytes().startswith(PNG)
    assert "<svg" in (tmp_path / "out.svg").read_text()


def test_a_seed_draws_the_same_again(invoke, run_dir):
    def drawn(seed: int, *words: str) -> str:
        return said(invoke("predict", run_dir, "--sample", "--seed", seed, "--temperature", 1.5, *words))

    assert drawn(1, *TEXTS) == drawn(1, *TEXTS)
    assert drawn(1, *TEXTS) != drawn(2, *TEXTS)
    assert drawn(1, TEXTS[2]) == drawn(1, *TEXTS).splitlines()[2] + "\n"
    assert len(drawn(1, "--nbest", "4", TEXTS[0]).splitlines()) == 4
    sure = said(invoke("predict", run_dir, "--sample", "--top-k", 1, *TEXTS))
    assert sure == said(invoke("predict", run_dir, "--beam", 1, *TEXTS))


def test_what_it_never_saw_is_named_and_translated_all_the_same(invoke, run_dir):
    answer = invoke("predict", run_dir, "3 Мая 1946")
    assert len(said(answer).splitlines()) == 1
    assert "warning: " in answer.stderr
    assert "М" in answer.stderr


@pytest.mark.parametrize(("words", "sentence"), [
    (["--nbest", "0", "a"], "nbest=0 asks for no translation"),
    (["--beam", "0", "a"], "beam=0 keeps no hypothesis"),
    (["--nbest", "3", "--beam", "2", "a"], "nbest=3 is more than beam=2 keeps"),
    (["--length-penalty", "-1", "a"], "length_penalty=-1"),
    (["--temperature", "0.5", "a"], "--temperature configures sampling: add --sample"),
    (["--seed", "5", "a"], "--seed configures sampling: add --sample"),
    (["--sample", "--beam", "4", "a"], "sampling draws token by token"),
    (["--sample", "--temperature", "0", "a"], "temperature"),
    (["--sample", "--top-k", "0", "a"], "top_k"),
    (["--sample", "--top-p", "2", "a"], "top_p"),
    (["--sample", "--seed", "-1", "a"], "seed=-1 must be a whole number from 0 up"),
    (["--attention", "out.xyz", "a"], "--attention out.xyz has no image format"),
    (["--attention", "nowhere/out.png", "a"], "nowhere is not a folder"),
    (["--attention", "out.png", " "], "There is no attention to draw"),
    (["--horizon", "3", "a"], "--horizon is for runs that forecast, and "),
    (["--csv", "out.csv", "a"], "--csv is for runs that forecast"),
    (["--plot", "out.png", "a"], "--plot is for runs that forecast"),
    ([], "There is no text to translate: give texts or a file as arguments, or -"),
    (["a", "gr\udcfcn"], "Text 2, 'gr\\udcfcn', holds bytes that are not UTF-8"),
])  # fmt: skip
def test_what_predict_cannot_do_is_one_sentence(invoke, run_dir, home, words, sentence):
    assert sentence in refused(invoke("predict", run_dir, *words))
    assert not [path for path in home.iterdir() if path.name.startswith("out")]


@pytest.mark.parametrize(("command", "sentence"), [
    (["generate", "--prompt", "a"], "writes no text: name the run of a language model"),
    (["backtest"], "forecasts nothing"),
    (["leaktest"], "forecasts nothing"),
    (["evaluate", "--split", "tset"], "did you mean 'test'"),
])  # fmt: skip
def test_what_other_commands_cannot_do_is_one_sentence(invoke, run_dir, command, sentence):
    assert sentence in refused(invoke(command[0], run_dir, *command[1:]))


@pytest.mark.parametrize(("words", "sentence"), [
    (["predict", "run", "--nbest", "0", "a"], "error: nbest=0 asks for no translation: give 1 or more."),
    (["train", *OPTIONS, "task.search.beam=0", "run_dir=other"], "error: task.search: beam=0 keeps no hypothesis"),
])  # fmt: skip
def test_a_slip_is_one_line_and_exit_status_2(home, run_dir, words, sentence, run_command):
    done = run_command(*words, cwd=home)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(sentence)
    assert "Traceback" not in done.stderr
    assert not (home / "other").exists()


def test_a_run_of_something_else_translates_nothing(home, invoke):
    config = composed(
        "data=parity", "trainer.max_epochs=null", "trainer.max_steps=1", "floor=false", "run_dir=parity",
        "trainer.device=cpu", "model.hidden_size=4", "model.backend=reference", "test=false",
    )  # fmt: skip
    train({**config, "run_dir": str(home / "parity")})
    told = refused(invoke("predict", "parity", "--nbest", 2, "a"))
    assert told.startswith("--nbest is for runs that translate, and parity was trained for")
    assert "--sample is for runs that translate" in refused(invoke("predict", "parity", "--sample", "a"))
