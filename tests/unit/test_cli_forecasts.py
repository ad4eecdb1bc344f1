"""What the command line says of a forecaster's run: tables, files, pictures, and slips in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

from seqlab import build
from seqlab.cli import app
from seqlab.compose import composed
from seqlab.errors import InputError
from seqlab.run import Run
from seqlab.train import train

PNG = b"\x89PNG"


@pytest.fixture(autouse=True, scope="module")
def _small_world() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seqlab.baselines.statistical.forecasters", lambda *_: {})  # seconds each
        yield
    torch.set_num_threads(before)


def learn(folder: Path, *overrides: str, figures: bool = False) -> Path:
    config = composed(
        f"run_dir={folder}", "model=gru", "data.lookback=24", "data.horizon=6", "data.hidden_size=8",
        "data.batch_size=32", "trainer.device=cpu", "trainer.max_epochs=null", "trainer.max_steps=2", *overrides,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        if not figures:
            patch.setattr("seqlab.tasks.forecasting.task.draw", lambda *_: None)
        train(config)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("forecasts")


@pytest.fixture(scope="module")
def run_dir(home) -> Path:
    options = ["data=waves", "data.length=260", "data.targets=[demand]", "task.loss=quantile"]
    return learn(home / "run", *options, figures=True)


@pytest.fixture(scope="module")
def planned(home) -> Path:
    """A run that reads plans, over a file."""
    random = np.random.default_rng(0)
    times = pd.date_range("2020-01-01", periods=206, freq="h")
    table = pd.DataFrame({"date": times, "load": 9 + random.normal(size=206).cumsum() / 5, "plan": np.arange(206) % 7})
    table[:200].to_csv(home / "own.csv", index=False)
    table.drop(columns="load")[200:].to_csv(home / "plans.csv", index=False)
    options = ["data=series", f"data.path={home / 'own.csv'}", "data.time_column=date", "data.covariates=[plan]"]
    return learn(home / "planned", *options, "floor=false")


@pytest.fixture
def invoke(home, monkeypatch) -> Callable[..., Result]:
    monkeypatch.chdir(home)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def said(answer: Result) -> str:
    assert answer.exit_code == 0, (answer.output, answer.exception)
    return answer.stdout


def refused(answer: Result) -> str:
    assert isinstance(answer.exception, InputError), answer.exception
    assert "\n" not in str(answer.exception)
    return str(answer.exception)


# The folder ---------------------------------------------------------------------------------------------------------


def test_a_run_leaves_figures_and_tables(run_dir):
    for name in ("forecasts", "error_by_step", "residuals/demand"):
        assert (run_dir / "figures" / "test" / f"{name}.png").read_bytes().startswith(PNG)
    summary = json.loads((run_dir / "summary.json").read_text())
    assert {"naive", "seasonal_naive", "drift", "linear", "ar"} <= summary["floor"].keys()
    assert all(value > 0 for value in summary["floor"].values())
    by_step = pd.read_csv(run_dir / "test_by_step.csv")
    assert by_step["step"].tolist() == [1, 2, 3, 4, 5, 6]
    assert by_step["scaled_mse"].mean() == pytest.approx(summary["test"]["scaled_mse"], rel=1e-5)
    by_series = pd.read_csv(run_dir / "test_by_series.csv")
    assert len(by_series) == 1
    assert by_series["mae"][0] == pytest.approx(summary["test"]["mae"], rel=1e-5)


def test_evaluate_measures_again_what_the_training_measured(invoke, run_dir):
    found = json.loads(said(invoke("evaluate", run_dir, "--json")))
    assert found == json.loads((run_dir / "summary.json").read_text())["test"]
    assert "scaled_mse" in said(invoke("evaluate", run_dir, "--split", "val"))


def test_runs_lists_it_beside_its_floor(invoke, run_dir):
    floors = json.loads((run_dir / "summary.json").read_text())["floor"]
    assert f"{min(floors.values()):.4f}" in said(invoke("runs", run_dir))


# predict ------------------------------------------------------------------------------------------------------------


def test_predict_shows_what_comes_after_the_end(invoke, run_dir):
    text = said(invoke("predict", run_dir))
    assert "beyond the end of the data" in " ".join(text.split())
    assert all(f"2001-01-11 {hour:02d}:00:00" in text for hour in range(20, 24))
    assert "2001-01-12 " in text
    assert text.count("[") == 6  # an interval a step
    assert said(invoke("predict", run_dir, "--horizon", 2)).count("[") == 2


def test_predict_writes_what_it_says(invoke, run_dir, tmp_path):
    csv, plot = tmp_path / "out.csv", tmp_path / "out.png"
    said(invoke("predict", run_dir, "--csv", csv, "--plot", plot))
    assert plot.read_bytes().startswith(PNG)
    written = pd.read_csv(csv)
    found = Run(run_dir, device="cpu").forecast()
    np.testing.assert_allclose(written["demand"], found.point[0, :, 0])
    np.testing.assert_allclose(written["demand_95%"], found.quantiles[0, :, 0, -1])
    lines = said(invoke("predict", run_dir, "--json")).splitlines()
    assert [json.loads(line)["demand"] for line in lines] == pytest.approx(found.point[0, :, 0].tolist(), rel=1e-6)
    assert pd.Timestamp(json.loads(lines[0])["time"]) == found.times[0, 0]
    for line in lines:
        assert set(json.loads(line)) == set(written)


def test_predict_goes_on_from_another_file(invoke, planned, home):
    said(invoke("predict", planned, "--plans", "plans.csv", "--csv", "own-out.csv"))
    table = pd.read_csv("own.csv")
    table["load"] *= 2
    table.to_csv("other.csv", index=False)
    said(invoke("predict", planned, "--path", "other.csv", "--plans", "plans.csv", "--csv", "other-out.csv"))
    said(invoke("predict", planned, "other.csv", "--plans", "plans.csv", "--out", "same-out.csv"))
    assert (home / "same-out.csv").read_text() == (home / "other-out.csv").read_text()
    one, other = (pd.read_csv(home / f"{name}-out.csv") for name in ("own", "other"))
    assert one["time"].equals(other["time"])
    np.testing.assert_allclose(other["load"], 2 * one["load"], rtol=0.3)
    assert not np.allclose(other["load"], one["load"])


@pytest.mark.parametrize(("words", "sentence"), [
    (["--horizon", "9999"], "--horizon 9999: a run of data.horizon=6 forecasts 1 to 6,000 steps"),
    (["--horizon", "0"], "--horizon 0: a run of data.horizon=6"),
    (["--csv", "nowhere/out.csv"], "nowhere is not a folder: create it first"),
    (["--plot", "nowhere/out.png"], "nowhere is not a folder: create it first"),
    (["--path", "other.csv"], "data=waves is no file of yours"),
    (["some text"], "give one file, no texts"),
    (["some text", "--horizon", "3"], "give one file, no texts"),
])  # fmt: skip
def test_what_predict_cannot_do_is_one_sentence(invoke, run_dir, words, sentence):
    assert sentence in refused(invoke("predict", run_dir, *words))


def test_plans_are_asked_for(invoke, planned, home):
    assert "future values of plan for the 6 rows from 2020-01-09T08:00:00 to" in refused(invoke("predict", planned))
    (home / "short.csv").write_text("date,plan\n2020-01-09 08:00:00,3\n")
    assert "says nothing of" in refused(invoke("predict", planned, "--plans", "short.csv"))
    assert "cannot read" in refused(invoke("predict", planned, "--plans", "none.csv"))
    assert "none.csv" in refused(invoke("predict", planned, "--path", "none.csv"))


# backtest, leaktest -------------------------------------------------------------------------------------------------


def test_backtest_shows_folds_beside_floors_and_writes_them(invoke, run_dir, tmp_path):
    csv, plot = tmp_path / "folds.csv", tmp_path / "folds.png"
    text = said(invoke("backtest", run_dir, "--folds", 2, "--csv", csv, "--plot", plot))
    assert all(word in text for word in ("as trained", "scaled_mse", "floor: naive", "all"))
    assert pd.read_csv(csv)["fold"].tolist() == ["1", "2", "all"]
    assert plot.read_bytes().startswith(PNG)
    found = json.loads(said(invoke("backtest", run_dir, "--folds", 1, "--json")))
    summary = json.loads((run_dir / "summary.json").read_text())
    assert found["model"]["scaled_mse"] == pytest.approx(summary["test"]["scaled_mse"], rel=1e-5)
    for name, value in summary["floor"].items():
        assert found[name]["scaled_mse"] == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(("words", "sentence"), [
    (["--folds", "0"], "--folds 0 forecasts nothing"),
    (["--folds", "50"], "ask for 8 at most"),
    (["--csv", "nowhere/out.csv"], "nowhere is not a folder"),
])  # fmt: skip
def test_what_backtest_cannot_do_is_one_sentence(invoke, run_dir, words, sentence):
    assert sentence in refused(invoke("backtest", run_dir, *words))


def test_leaktest_says_what_it_compared(invoke, run_dir, planned):
    text = said(invoke("leaktest", run_dir))
    assert text.startswith("No leak: with 26 rows changed from 2001-01-10T18:00:00 on, 153 training windows and 27")
    assert said(invoke("leaktest", planned)).startswith("No leak: ")


def test_a_leak_is_one_sentence(invoke, run_dir, monkeypatch):
    from seqlab import forecasts

    def shifted(series: Any, **options: Any) -> Any:
        return prepare(series, **{**options, "lookback": options["lookback"] - 1})

    prepare = forecasts.prepare
    monkeypatch.setattr(forecasts, "prepare", shifted)
    assert "There is a leak" in refused(invoke("leaktest", run_dir))


def test_another_file_need_hold_no_more_than_a_window(planned, home):
    table = pd.read_csv(home / "own.csv")
    table[-26:].to_csv(home / "late.csv", index=False)
    whole, short = (Run(planned, "cpu").forecast(None, path, home / "plans.csv") for path in (None, home / "late.csv"))
    np.testing.assert_array_equal(short.times, whole.times)
    np.testing.assert_allclose(short.point, whole.point, rtol=1e-5)
    table[-20:].to_csv(home / "too_late.csv", index=False)
    with pytest.raises(InputError, match=r"a forecast reads 24 rows, but there are 20"):
        Run(planned, "cpu").forecast(None, home / "too_late.csv", home / "plans.csv")


def test_a_picture_of_no_kind_is_refused_before_anything_is_written(run_dir, tmp_path):
    told = CliRunner().invoke(app, ["predict", str(run_dir), "--csv", str(tmp_path / "a.csv"), "--plot", "a.xyz"])
    assert "has no image format" in str(told.exception)
    assert not (tmp_path / "a.csv").exists()


def test_precision_is_what_it_was(run_dir):
    summary = json.loads((run_dir / "summary.json").read_text())
    assert Run(run_dir, "cpu").runtime.precision == summary["precision"]
    saved = {"device": "cpu", "precision": "fp32"}
    assert build.remembered(saved, "cpu", "auto").precision == "fp32"
    assert build.remembered({**saved, "precision": "bf16"}, "cpu", "fp32").precision == "fp32"


def test_new_rows_in_the_file_are_answered_with_the_command_that_goes_on(invoke, planned, home):
    whole = (home / "own.csv").read_text()
    try:
        (home / "own.csv").write_text(whole + "2020-01-09 08:00:00,9,1\n")
        sentence = refused(invoke("predict", planned, "--plans", "plans.csv"))
    finally:
        (home / "own.csv").write_text(whole)
    assert f"after the new rows: seqlab predict {planned} --path {home / 'own.csv'}. Otherwise restore" in sentence


def test_steps_beyond_the_horizon_are_marked(invoke, run_dir):
    text = said(invoke("predict", run_dir, "--horizon", 8))
    assert "rolled on after step 6" in " ".join(text.split())
    assert (text.count("yes"), text.count("[")) == (2, 6)
    lines = [json.loads(line) for line in said(invoke("predict", run_dir, "--horizon", 8, "--json")).splitlines()]
    assert [line["rolled_on"] for line in lines] == [False] * 6 + [True] * 2
    assert lines[6]["demand_95%"] is None
