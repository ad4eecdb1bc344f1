"""What is shown is what was given, and JSON is JSON."""

from __future__ import annotations

import io
import json
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from seqlab.cli import app
from seqlab.compose import composed
from seqlab.data import corpus_reading, fetch
from seqlab.report import show
from seqlab.terminal import PlainTable, json_text
from seqlab.train import train

MARKUP = "[INST] see [link] :100: [/b] [neg]"


@pytest.mark.parametrize("text", ["[INST] hi [/INST]", "[deleted]", "see [link] at :100:", "flow [m3/h]", "[/b]"])
def test_a_table_shows_markup_as_it_is(text, capsys):
    table = PlainTable(text, title=text)
    table.add_row(text)
    table.print(width_in_file=100)
    assert capsys.readouterr().out.count(text) == 3


def test_a_title_wider_than_its_table_stays_on_one_line(capsys):
    title = "a folder with a long name/" * 6
    table = PlainTable("metric", title=title)
    table.add_row("0.5")
    table.print(width_in_file=80)
    table.print(width_in_file=80)
    assert capsys.readouterr().out.splitlines().count(title) == 2


def test_json_has_no_nan_and_no_numpy():
    value = {"a": math.nan, "b": [np.float32(1.5), math.inf], "c": np.arange(2), 3: True, "d": None, "e": np.int64(7)}
    text = json_text(value)
    assert json.loads(text, parse_constant=pytest.fail) == {
        "a": None, "b": [1.5, None], "c": [0, 1], "3": True, "d": None, "e": 7,
    }  # fmt: skip


def test_times_are_json_in_iso_8601():
    rows = pd.DataFrame({"time": pd.to_datetime(["2020-01-02 03:00"]), "load": [np.nan]}).to_dict("records")
    assert json_text(rows) == '[{"time": "2020-01-02T03:00:00", "load": null}]'


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    "progress", [corpus_reading._progress, lambda name: fetch._progress(name, 10)], ids=["read", "fetch"]
)
def test_a_bar_names_a_file_as_it_is(progress, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    with progress(MARKUP):
        pass
    assert MARKUP in sys.stderr.getvalue()


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory) -> Path:
    """A run over texts and labels that look like markup."""
    home = tmp_path_factory.mktemp("markup")
    rows = (f"{row} is good,[pos]\n{row} is bad [/b],[neg]\n" for row in range(20))
    (home / "texts.csv").write_text("text,label\n" + "".join(rows))
    small = ["model.hidden_size=4", "model.backend=reference", "trainer.max_steps=1", "trainer.max_epochs=null"]
    place = [f"data.path={home / 'texts.csv'}", f"run_dir={home / 'run'}", "trainer.device=cpu", "floor=false"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seqlab.engine.tracker.Tracker.figure", lambda *_: None)
        train(composed("data=csv", *place, *small))
    return home / "run"


def test_texts_and_labels_are_shown_as_they_are(run_dir):
    answer = CliRunner().invoke(app, ["predict", str(run_dir), MARKUP], env={"COLUMNS": "150"})
    assert answer.exit_code == 0, answer.exception
    assert MARKUP in answer.stdout
    assert any(line.replace("│", " ").split()[:1] in (["[pos]"], ["[neg]"]) for line in answer.stdout.splitlines())


def test_numbers_that_json_does_not_have_are_null(run_dir, monkeypatch):
    monkeypatch.setattr("seqlab.run.Run.evaluate", lambda *_: {"loss": math.nan, "accuracy": np.float32(0.5)})
    answer = CliRunner().invoke(app, ["evaluate", str(run_dir), "--json"])
    assert answer.stdout == '{"loss": null, "accuracy": 0.5}\n'


def test_a_result_is_shown_as_it_is(capsys):
    numbers = dict.fromkeys(("train_seconds", "tokens_per_second", "padding", "val_seconds", "test_seconds"), 1.0)
    summary = {
        "headline": ["f1 [neg]"], "val": {"f1 [neg]": 0.5}, "test": {"f1 [neg]": math.nan}, "model": "[mine]",
        "data": ":100:", "floor": {"[floor]": 0.25}, "steps": 1, "params": 1, "peak_memory_mb": 1,
        "device": "cpu", "precision": "fp32",
    }  # fmt: skip
    show({**summary, **numbers})
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("f1 [neg]", "[mine] on :100:", "floor: [floor]", "nan"))


def test_a_wrong_option_is_quoted_as_it_is():
    answer = CliRunner().invoke(app, ["backtest", "run", "--[red]x[/red]"], env={"COLUMNS": "150"})
    assert answer.exit_code == 2
    assert "--[red]x[/red]" in answer.output
