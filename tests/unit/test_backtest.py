"""Rolling origins: folds that follow on one another, the numbers of each and of all, models trained anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab import build
from seqlab.backtest import Backtest, backtest, cut
from seqlab.compose import composed
from seqlab.engine.interrupt import Interrupted
from seqlab.engine.trainer import Trainer
from seqlab.errors import InputError
from seqlab.run import Run
from seqlab.train import train

LAST = 60
"""Rows of the test part."""


@pytest.fixture(autouse=True, scope="module")
def _small_world() -> Iterator[None]:
    """One thread; figures of trainings and the floors of statsmodels take seconds each."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seqlab.tasks.forecasting.task.draw", lambda *_: None)
        patch.setattr("seqlab.baselines.statistical.forecasters", lambda *_: {})
        yield
    torch.set_num_threads(before)


def learn(folder: Path, *overrides: str) -> Run:
    config = composed(
        *([] if "data=series" in overrides else ["data=waves", "data.length=260"]), "model=gru",
        f"run_dir={folder}", "data.lookback=24", "data.horizon=6", f"data.split=[160,40,{LAST}]",
        "data.hidden_size=8", "data.batch_size=32", "trainer.device=cpu", "trainer.max_epochs=null",
        "trainer.max_steps=2", "floor=false", *overrides,
    )  # fmt: skip
    train(config)
    return Run(folder, device="cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return learn(tmp_path_factory.mktemp("backtest") / "run", "task.loss=quantile", "data.targets=[demand,price]")


# Folds --------------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(folds=st.integers(1, 10))
def test_folds_cover_the_last_part_and_no_horizon_leaves_its_fold(run, folds):
    pieces = cut(run.data, folds)
    part, H = run.data.parts["test"], run.spec.horizon
    assert len(pieces) == folds
    edges = [int(piece.starts[0]) for piece in pieces] + [int(pieces[-1].stops[0])]
    assert [int(piece.stops[0]) for piece in pieces] == edges[1:]
    assert (edges[0], edges[-1]) == (part.starts[0], part.stops[0])
    assert max(np.diff(edges)) - min(np.diff(edges)) <= 1
    for piece, start, stop in zip(pieces, edges, edges[1:], strict=False):
        assert piece.windows.origins.tolist() == list(range(start, stop - H + 1))


@pytest.mark.parametrize(("folds", "says"), [
    (0, "--folds 0 forecasts nothing: give 1 or more"),
    (11, "--folds 11 cuts the 60 rows of the last part into pieces of 5, but a forecast has 6: ask for 10 at most"),
])  # fmt: skip
def test_folds_that_cannot_be_are_refused(run, folds, says):
    with pytest.raises(InputError, match=says):
        backtest(run, folds)


# Numbers ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def in_three(run) -> Backtest:
    return backtest(run, 3)


def test_one_fold_is_what_the_run_was_measured_by(run):
    found = backtest(run, 1)
    measured = run.evaluate()
    assert found.metrics["model"].keys() == measured.keys() - {"loss"}
    for name, value in found.metrics["model"].items():
        assert value == pytest.approx(measured[name], rel=1e-6), name
    floors = build.build_baselines(run.config, run.data, "test").scores
    assert {"naive", "drift", "linear"} <= floors.keys()
    assert found.metrics.keys() == {"model", *floors}
    for name, value in floors.items():
        assert found.metrics[name]["scaled_mse"] == pytest.approx(value)


def test_all_is_the_mean_of_the_folds(run, in_three):
    table = in_three.table
    assert table["fold"].tolist() == ["1", "2", "3", "all"]
    assert table["windows"].tolist() == [15, 15, 15, 45]
    folds, whole = table[:-1], table.iloc[-1]
    for name in ("scaled_mae", "scaled_mse", "crps", "coverage_90", *(c for c in table if c.startswith("floor: "))):
        assert whole[name] == pytest.approx(np.average(folds[name], weights=folds["windows"])), name
    assert whole["scaled_mse"] == pytest.approx(in_three.metrics["model"]["scaled_mse"])
    times = run.data.series.times
    first = run.data.parts["test"].starts[0]
    for row, place in ((0, first), (1, first + 20), (3, first)):
        assert pd.Timestamp(table["from"][row]) == times[place]
    assert pd.Timestamp(table["to"][0]) == times[first + 19]
    assert pd.Timestamp(table["to"][3]) == times[first + 59]


def test_the_figure_shows_forecasts_that_do_not_overlap(run, in_three):
    axes = in_three.figure.axes
    assert [each.get_title(loc="left") for each in axes] == ["demand", "price"]
    forecast = next(line for line in axes[0].lines if line.get_label() == "forecast")
    times = pd.to_datetime(forecast.get_xdata())
    values = np.asarray(forecast.get_ydata(), dtype=float)
    assert times.is_monotonic_increasing
    assert np.isfinite(values).sum() >= LAST - 3 * run.spec.horizon


def test_without_a_test_part_the_validation_part_is_the_last(tmp_path):
    run = learn(tmp_path / "run", "data.split=[200,60,0]")
    found = backtest(run, 1)
    assert found.metrics["model"]["scaled_mse"] == pytest.approx(run.evaluate("val")["scaled_mse"])


def test_several_series_of_different_lengths(tmp_path):
    random = np.random.default_rng(0)
    parts = [
        pd.DataFrame({"place": name, "load": 9 + random.normal(size=rows).cumsum() / 5})
        for name, rows in (("north", 200), ("south", 120))
    ]
    pd.concat(parts).to_csv(tmp_path / "two.csv", index=False)
    source = [
        "data=series", f"data.path={tmp_path / 'two.csv'}", "data.id_column=place",
        "data.split=[0.6,0.2,0.2]",
    ]  # fmt: skip
    run = learn(tmp_path / "run", *source)
    pieces = cut(run.data, 2)
    assert [piece.stops.tolist() for piece in pieces] == [[180, 308], [200, 320]]
    found = backtest(run, 2)
    assert found.table["windows"].tolist() == [len(piece.windows) for piece in pieces] + [
        sum(len(piece.windows) for piece in pieces)
    ]
    assert backtest(run, 1).metrics["model"]["mae"] == pytest.approx(run.evaluate()["mae"])
    with pytest.raises(InputError, match="--refit wants series of one length"):
        backtest(run, 2, refit=True)


# Trained anew -------------------------------------------------------------------------------------------------------


def test_trained_anew_before_each_fold_on_all_before_it(tmp_path, monkeypatch):
    run = learn(tmp_path / "run", "data.targets=[demand]")
    found = backtest(run, 2, refit=True)
    folders = [run.path / "backtest" / f"fold-{number}" for number in (1, 2)]
    for folder, rows in zip(folders, (200, 230), strict=True):
        again = Run(folder, device="cpu")
        assert again.config["data"]["split"] == [rows - 40, 40, 30]
        assert again.data.parts["test"].starts.tolist() == [rows]
        summary = json.loads((folder / "summary.json").read_text())
        row = found.table.iloc[folders.index(folder)]
        assert row["scaled_mse"] == pytest.approx(_rescaled(run, again, summary["test"]["mse"]), rel=1e-5)
    # The first fold's model has read what the run's has: it is the same one. The second has seen more.
    one, two, own = (torch.load(f / "best.pt", weights_only=True)["model"] for f in (*folders, run.path))
    assert all(one[name].equal(own[name]) for name in own)
    assert any(not two[name].equal(own[name]) for name in own)
    plain = backtest(run, 2)
    assert plain.table["scaled_mse"][0] == pytest.approx(found.table["scaled_mse"][0])
    assert plain.table["scaled_mse"][1] != found.table["scaled_mse"][1]
    assert plain.table["floor: ar"][1] != found.table["floor: ar"][1]  # floors learn anew as well

    def trained_again(config: Any) -> None:
        raise AssertionError("what is there is not trained again")

    monkeypatch.setattr("seqlab.train.train", trained_again)
    pd.testing.assert_frame_equal(backtest(run, 2, refit=True).table, found.table)
    with pytest.raises(InputError, match=r"holds a fold of another backtest: remove .*backtest and start again"):
        backtest(run, 1, refit=True)


def test_a_backtest_that_is_cut_off_says_so_and_goes_on(tmp_path, monkeypatch):
    run = learn(tmp_path / "run", "data.targets=[demand]")
    real = Trainer.train_step

    def cut_off(self: Trainer, batches: Any) -> None:
        real(self, batches)
        if self.state.step == 1:
            raise Interrupted("SIGINT")

    monkeypatch.setattr(Trainer, "train_step", cut_off)
    with pytest.raises(SystemExit, match="130"):
        backtest(run, 2, refit=True)
    assert not (run.path / "backtest" / "fold-1" / "summary.json").exists()
    monkeypatch.setattr(Trainer, "train_step", real)
    with pytest.raises(InputError, match="holds a fold of another backtest"):
        backtest(run, 1, refit=True)
    found = backtest(run, 2, refit=True)
    whole = backtest(learn(tmp_path / "other", "data.targets=[demand]"), 2, refit=True)
    pd.testing.assert_frame_equal(found.table, whole.table)


def _rescaled(run: Run, again: Run, mse: float) -> float:
    """A mean square of the data's own units, by the deviation of the run's own training part."""
    assert again.data.units.deviation.shape == (1, 1)
    return mse / float(run.data.units.deviation[0, 0]) ** 2


def test_what_came_after_a_fold_began_taught_its_model_nothing(tmp_path):
    random = np.random.default_rng(0)
    table = pd.DataFrame({"load": 9 + random.normal(size=260).cumsum() / 5})
    later = table.copy()
    later.loc[230:, "load"] *= 4
    rows = []
    for name, each in (("one", table), ("other", later)):
        each.to_csv(tmp_path / f"{name}.csv", index=False)
        run = learn(tmp_path / name, "data=series", f"data.path={tmp_path / name}.csv")
        rows.append(backtest(run, 2, refit=True).table.iloc[0])
        second = torch.load(run.path / "backtest" / "fold-2" / "best.pt", weights_only=True)["model"]
        rows.append({key: value.tolist() for key, value in second.items()})
    pd.testing.assert_series_equal(rows[0], rows[2])
    assert rows[1] == rows[3]


def test_a_run_that_forecasts_nothing_is_refused(run):
    with pytest.raises(InputError, match="forecasts nothing: name the run of a forecaster"):
        backtest(replace_task(run), 2)


def replace_task(run: Run) -> Run:
    """The same folder, as if it had been trained to classify."""
    other = Run(run.path, device="cpu")
    node = {"name": "regression", "_target_": "seqlab.tasks.regression.Regression"}
    other.config = {**run.config, "task": node}
    other.spec = replace(run.spec, task="regression")
    return other
