"""Tables of runs: what they are ranked by, what tells them apart, what is left out, what goes on."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from typer.testing import CliRunner

from seqlab import runs_table, words
from seqlab.cli import app
from seqlab.errors import InputError

CONFIG = {"data": {"name": "reviews", "lr": 0.1}, "model": {"name": "lstm"}, "optim": {"lr": 0.1}, "seed": 0}


def put(folder: Path, value: float | None, config: dict[str, Any] | None = None, **more: Any) -> Path:
    """A finished run."""
    config = {**CONFIG, **(config or {})}
    folder.mkdir(parents=True)
    names = {part: config[part]["name"] for part in ("data", "model")}
    summary = {"monitor": "accuracy", "maximize": True, "val": {"accuracy": value}, "test": {}, "floor": {}, "seed": 0}
    (folder / "summary.json").write_text(json.dumps(summary | {"seconds": 1.5, "params": 10} | names | more))
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def listed(*words: Any) -> Any:
    answer = CliRunner().invoke(app, ["runs", *map(str, words)])
    assert answer.exit_code == 0, answer.exception
    return answer


def rows_of(shown: str) -> list[list[str]]:
    """The cells of what is shown, the header first."""
    lines = (line.replace("┃", "│").strip() for line in shown.splitlines())
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]


def test_runs_names_its_metric_and_shows_the_settings_that_differ(tmp_path):
    put(tmp_path / "a", 0.5)
    put(tmp_path / "b", 0.75, {"optim": {"lr": 0.01}, "data": {"name": "reviews", "lr": 0.01}})
    header, *rows = rows_of(listed(tmp_path).stdout)
    assert header == ["run", "val accuracy", "test accuracy", "floor", "optim.lr", "seconds", "params"]
    assert sorted(rows) == [
        [str(tmp_path / "a"), "0.5000", "", "", "0.1", "2", "10"],
        [str(tmp_path / "b"), "0.7500", "", "", "0.01", "2", "10"],
    ]


def test_other_data_and_models_are_told_apart_by_name_and_other_metrics_by_row(tmp_path):
    put(tmp_path / "a", 0.5)
    waves = {"data": {"name": "waves", "horizon": 24}, "model": {"name": "gru", "width": 7}}
    put(tmp_path / "b", None, waves, monitor="mse", maximize=False, val={"mse": 0.25})
    header, *rows = rows_of(listed(tmp_path, "--sort", "run").stdout)
    assert header == ["run", "metric", "val", "test", "floor", "data", "model", "seconds", "params"]
    assert [row[1:7] for row in rows] == [
        ["accuracy", "0.5000", "", "", "reviews", "lstm"],
        ["mse", "0.2500", "", "", "waves", "gru"],
    ]


@pytest.mark.parametrize(
    ("by", "order"),
    [("time", "cab"), ("val", "bca"), ("seconds", "abc"), ("run", "abc"), ("optim.lr", "bac"), ("params", "cba")],
)
def test_runs_are_sorted(tmp_path, by, order):
    for name, value, seconds, params, lr in (("a", None, 1, 30, 0.2), ("b", 0.9, 2, 20, 0.1), ("c", 0.3, 3, 10, 0.3)):
        put(tmp_path / name, value, {"optim": {"lr": lr}}, seconds=seconds, params=params)
        os.utime(tmp_path / name / "summary.json", (0, {"a": 2000, "b": 3000, "c": 1000}[name]))
    _, *rows = rows_of(listed(tmp_path, "--sort", by).stdout)
    assert "".join(Path(row[0]).name for row in rows) == order


def test_what_there_is_not_is_not_sorted_by(tmp_path):
    put(tmp_path / "a", 0.5)
    answer = CliRunner().invoke(app, ["runs", str(tmp_path), "--sort", "optim.lt"])
    assert isinstance(answer.exception, InputError)
    assert str(answer.exception) == "--sort optim.lt: there is nothing of that name; did you mean 'optim.lr'?"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "is damaged ("),
        ("[" * 100_000, "is damaged ("),
        ("[1]", "is damaged or foreign: its content must be a mapping of names to values, not a list"),
        ("[" + " " * (1 << 20), "is larger than 1,048,576 bytes, so it is not a file that seqlab wrote; it is "),
        ('{"name": "other"}', "is damaged or foreign: field 'monitor' is missing"),
        (
            '{"monitor": "f1", "val": 3, "seconds": 1, "params": 1}',
            "is damaged or foreign: field 'val' must be a mapping",
        ),
        (
            '{"monitor": "f1", "val": {}, "seconds": "x"}',
            "is damaged or foreign: field 'seconds' must be a number, not 'x'",
        ),
    ],
    ids=range(7),
)
def test_a_damaged_or_foreign_summary_is_one_warning_and_the_others_are_listed(tmp_path, content, why):
    put(tmp_path / "a", 0.5)
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "summary.json").write_text(content)
    answer = listed(tmp_path)
    assert len(rows_of(answer.stdout)) == 2
    (line,) = answer.stderr.splitlines()
    assert line.startswith(f"warning: {tmp_path / 'z' / 'summary.json'} {why}")
    assert line.endswith("left out.")
    assert len(line) < 400


def test_diverged_runs_and_incomplete_reports_are_marked(tmp_path):
    put(tmp_path / "a", 0.5, diverged=False, complete=True)
    assert "state" not in listed(tmp_path).stdout
    put(tmp_path / "b", 0.1, diverged=True, complete=True)
    put(tmp_path / "c", 0.4, diverged=False, complete=False)
    header, *rows = rows_of(listed(tmp_path, "--sort", "run").stdout)
    assert header[:3] == ["run", "state", "val accuracy"]
    assert [row[1] for row in rows] == ["finished", "diverged", "incomplete"]


@pytest.mark.parametrize("name", ["run", "my run (2)", "a=b,c", "it's", "[x]{y}", "über"])
def test_an_interrupted_run_is_listed_with_what_continues_it(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "last.pt").write_bytes(b"")
    (tmp_path / name / "metrics.jsonl").write_text('{"step": 20}\n{"step": 1040, "train/loss": 1}\n{"st')
    shown = listed(tmp_path).stdout
    first, second = shown.splitlines()
    assert first == f"not finished at step 1,040: {tmp_path / name}"
    *command, word = shlex.split(second.strip().removeprefix("continue: "))
    assert command == ["seqlab", "train"]
    assert OverridesParser.create().parse_override(word).value() in (str(tmp_path / name), f"{tmp_path / name}")
    found = json.loads(listed(tmp_path, "--json").stdout)
    assert (found["interrupted"], found["step"], found["run"]) == (True, 1040, str(tmp_path / name))


def test_a_run_without_a_checkpoint_is_continued_from_its_start_and_other_folders_are_no_runs(tmp_path):
    for name in ("run", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("{}")
    (tmp_path / "run" / "metrics.jsonl").write_text("")
    command = f"seqlab train resume={tmp_path / 'run'}"
    assert listed(tmp_path).stdout == f"not finished: {tmp_path / 'run'}\n    continue: {command}\n"


def test_numbers_of_runs_are_json(tmp_path):
    put(tmp_path / "a", float("nan"), test={"accuracy": float("inf")})
    text = listed(tmp_path, "--json").stdout
    found = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert found["val"] == {"accuracy": None}
    assert found["settings"]["optim.lr"] == 0.1
    assert rows_of(listed(tmp_path).stdout)[1][1:3] == ["", ""]


# Sweeps -------------------------------------------------------------------------------------------------------------


def test_a_sweep_is_ranked_and_seeds_have_mean_and_sample_deviation(tmp_path, capsys):
    values = {(0.1, 0): 0.5, (0.1, 1): 0.7, (0.2, 0): 0.8, (0.2, 1): 0.8}
    folders = [
        put(tmp_path / f"{lr}-{seed}", value, {"optim": {"lr": lr}, "seed": seed})
        for (lr, seed), value in values.items()
    ]
    runs_table.show_sweep(folders)
    shown = capsys.readouterr().out
    assert "4 runs, highest val accuracy first" in shown
    table, means = shown.split("mean ± sample deviation")
    header, *rows = rows_of(table)
    assert header[4:6] == ["optim.lr", "seed"]
    assert [(row[1], row[4], row[5]) for row in rows] == [
        ("0.8000", "0.2", "0"), ("0.8000", "0.2", "1"), ("0.7000", "0.1", "1"), ("0.5000", "0.1", "0"),
    ]  # fmt: skip
    assert rows_of(means) == [
        ["optim.lr", "seeds", "val accuracy"], ["0.2", "2", "0.8000 ± 0.0000"], ["0.1", "2", "0.6000 ± 0.1414"],
    ]  # fmt: skip


def test_less_is_better_where_the_metric_is_an_error(tmp_path, capsys):
    errors = {"monitor": "mse", "maximize": False, "val": {}}
    folders = [put(tmp_path / str(mse), None, {"seed": mse}, **errors, test={"mse": mse}) for mse in (3, 1, 2)]
    runs_table.show_sweep(folders)
    shown = capsys.readouterr().out
    assert "3 runs, lowest test mse first" in shown
    assert [row[2] for row in rows_of(shown)[1:4]] == ["1.0000", "2.0000", "3.0000"]
    assert rows_of(shown)[-1] == ["3", "2.0000 ± 1.0000"]


def test_a_sweep_of_the_command_line_ends_with_the_table(tmp_path, run_command):
    words = ["data=parity", "data.steps=6", "data.train=40", "data.val=8", "data.test=8", "data.batch_size=8"]
    small = ["model.hidden_size=4", "model.backend=reference", "trainer.max_steps=1", "floor=false"]
    done = run_command("train", "sweep=seeds", *words, *small, "runtime.threads=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown = done.stdout[done.stdout.index("3 runs, highest val accuracy first") :]
    assert sorted(row[4] for row in rows_of(shown)[1:4]) == ["0", "1", "2"]
    assert rows_of(shown)[-1][0] == "3"
    assert " ± " in rows_of(shown)[-1][1]


def test_a_run_that_fails_does_not_end_the_sweep(tmp_path, run_command):
    (tmp_path / "texts.csv").write_text("text,label\n" + "".join(f"good {k},yes\nbad {k},no\n" for k in range(12)))
    small = ["model.hidden_size=4", "model.backend=reference", "trainer.max_steps=1", "floor=false", "test=false"]
    done = run_command(
        "train", "-m", "data=csv", "data.path=none.csv,texts.csv", "runtime.threads=1", *small, cwd=tmp_path
    )
    assert done.returncode == 2
    assert "1 run, highest val accuracy first" in done.stdout, done.stderr
    *_, first, last = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert "none.csv" in first
    assert last.startswith("error: of the sweep's runs 1 failed: data=csv data.path=none.csv ")


def test_reading_runs_leaves_torch_alone():
    assert words.word("resume", "runs/a/b-1") == "resume=runs/a/b-1"
