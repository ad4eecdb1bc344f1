"""Run folders of an earlier commit (tests/stored): each evaluates, predicts and continues with the numbers of then."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

STORED = Path(__file__).parents[1] / "stored"
QUESTIONS = {
    "classification": (["predict", "--json"], "the film was good\nnot a bad film\n"),
    "csv": (["predict", "--json"], "late tea 1\nslow rain\n"),
    "language": (["generate", "--prompt", "the ", "--length", "12", "--greedy"], ""),
    "forecast": (["predict", "--json"], ""),
    "translation": (["predict", "--json"], "5 May 2020\n"),
}
"""What each is asked: the command, and what it reads."""
NAMES = sorted(path.name for path in STORED.iterdir() if path.is_dir())


@pytest.fixture
def run(request, tmp_path):
    """A copy of a stored run, beside its own data."""
    shutil.copy(STORED / "texts.csv", tmp_path)
    return Path(shutil.copytree(STORED / request.param, tmp_path / "run"))


def alike(found, expected, path=""):
    """Hold nested values against others: numbers to 1e-4, all else exactly."""
    assert type(found) is type(expected), path
    if isinstance(expected, dict):
        assert list(found) == list(expected), path
        for key in expected:
            alike(found[key], expected[key], f"{path}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), path
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            alike(one, other, f"{path}[{number}]")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5), path
    else:
        assert found == expected, path


@pytest.mark.parametrize("run", NAMES, indirect=True)
def test_it_evaluates_to_the_numbers_of_its_summary(run, run_command):
    answer = run_command("evaluate", run, "--json", cwd=run.parent)
    assert answer.returncode == 0, answer.stderr
    summary = json.loads((run / "summary.json").read_text())
    assert json.loads(answer.stdout) == pytest.approx(summary["test"] or summary["val"], rel=1e-4, abs=1e-5)


def predicted(name, run, run_command):
    words, texts = QUESTIONS[name]
    answer = run_command(words[0], run, *words[1:], cwd=run.parent, input=texts)
    assert answer.returncode == 0, answer.stderr
    lines = answer.stdout.splitlines()
    return [json.loads(line) for line in lines] if "--json" in words else lines


@pytest.mark.parametrize(("run", "name"), [(name, name) for name in QUESTIONS], indirect=["run"])
def test_it_predicts_what_it_predicted(run, name, run_command):
    alike(predicted(name, run, run_command), json.loads((STORED / "expected.json").read_text())[name]["predicted"])


@pytest.mark.parametrize(("run", "name"), [(name, name) for name in NAMES], indirect=["run"])
def test_it_continues_as_it_continued(run, name, run_command, no_figures):
    answer = run_command("train", f"resume={run}", "trainer.max_steps=6", cwd=run.parent)
    assert answer.returncode == 0, answer.stderr
    expected = json.loads((STORED / "expected.json").read_text())[name]
    assert losses(run) == pytest.approx(expected["losses"], rel=1e-4)
    test = json.loads((run / "summary.json").read_text())["test"]
    assert test == pytest.approx(expected["test"], rel=1e-3, abs=1e-4)


def losses(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row["train/loss"] for row in rows if "train/loss" in row]
