"""A source, a form of data and a question from outside the package, as docs/kinds.md brings them: no file is edited."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from seqlab.run import Run

PAGE = (Path(__file__).parents[2] / "docs" / "kinds.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
TINY = ("runtime.threads=1", "trainer.precision=fp32")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The files of the page, importable."""
    for kind, text in BLOCKS:
        if kind in ("python", "yaml"):
            path = tmp_path / text.splitlines()[0].removeprefix("# ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def command(*words):
    (line,) = [text.strip() for kind, text in BLOCKS if kind == "sh"]
    return [*shlex.split(line)[2:], *TINY, *words]


def summary(run):
    return json.loads((run / "summary.json").read_text())


def test_it_trains_evaluates_and_shows(folder, run_command):
    done = run_command("train", *command("run_dir=run"), cwd=folder)
    assert done.returncode == 0, done.stderr
    found = summary(folder / "run")
    assert (found["task"], found["monitor"], set(found["floor"])) == ("counting", "mae", {"mean"})
    assert found["test"]["mae"] < 0.8 * found["floor"]["mean"]
    assert found["largest_error"] > 0
    assert (folder / "run" / "figures" / "test" / "errors.png").exists()
    events = EventAccumulator(str(folder / "run")).Reload()
    assert "val/mae" in events.Tags()["scalars"]
    assert "test/errors" in events.Tags()["images"]
    measured = run_command("evaluate", "run", "--trust", "--json", cwd=folder)
    assert measured.returncode == 0, measured.stderr
    assert json.loads(measured.stdout) == pytest.approx(found["test"])
    opened = Run(folder / "run", trust=True)
    days = opened.data.test
    counts = [one["count"] for one in opened.predict(list(days.levels))]
    assert np.abs(counts - days.counts).mean() == pytest.approx(found["test"]["mae"], rel=1e-4)
    refused = run_command("evaluate", "run", cwd=folder)
    assert refused.returncode == 2
    assert "--trust" in refused.stderr


def test_it_continues_as_if_it_had_never_stopped(folder, run_command, no_figures):
    for words in (
        command("run_dir=whole", "trainer.max_steps=6"),
        command("run_dir=cut", "trainer.max_steps=3", "schedule=constant"),
        ["resume=cut", "trust=true", "trainer.max_steps=6"],
        command("run_dir=constant", "trainer.max_steps=6", "schedule=constant"),
    ):
        done = run_command("train", *words, cwd=folder)
        assert done.returncode == 0, done.stderr
    cut, constant = (torch.load(folder / name / "last.pt", weights_only=True)["model"] for name in ("cut", "constant"))
    assert all(cut[name].equal(constant[name]) for name in constant)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("data.rows=0", "data.rows must be at least 1, not 0."),
        ("data.horizon=abc", "data.horizon must be a whole number, not 'abc'"),
        ("task.bins=0", "task.bins must be at least 1, not 0."),
        ("+data.rowz=3", "data.rowz: there is no such option; did you mean 'rows'?"),
        ("+task.binz=3", "task.binz: there is no such option; did you mean 'bins'?"),
        ("task=classification", "data=tides and task=classification do not fit each other"),
    ],
)
def test_its_options_are_checked_like_any_others(folder, run_command, word, sentence):
    done = run_command("train", *command(word, "run_dir=run"), cwd=folder)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert not (folder / "run").exists()


def test_the_question_crosses_with_no_other_form(folder, run_command):
    done = run_command("train", *command("data=reviews", "task=counting", "run_dir=run"), cwd=folder)
    assert done.returncode == 2
    assert "data=reviews and task=counting do not fit each other" in done.stderr
