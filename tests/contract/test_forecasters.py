"""Every model forecasts every series, with every decoder and loss that go together; nothing learns of the future."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from seqlab import build, compose
from seqlab.engine import checkpoint
from seqlab.errors import InputError
from seqlab.run import Run
from seqlab.train import train

MODELS = sorted({path.stem for path in (compose.CONFIGS / "model").glob("*.yaml")} - {"seq2seq"})
AHEAD = ("bilstm", "bigru", "bow", "cnn", "mlp", "seggru", "transformer")
DATA = Path(os.environ.get("SEQLAB_DATA", Path(__file__).parents[3] / "shared" / "data"))
DECODERS = ("direct", "recurrent", "segments", "recursive")
NORMALIZE = ("none", "last", "revin")
CHANNELS = ("mixed", "separate")
LOSSES = ("mse", "mae", "huber", "quantile", "gaussian", "student_t")
INTERVALS = ("quantile", "gaussian", "student_t")


@pytest.fixture(autouse=True)
def _small_world(monkeypatch, no_figures) -> Iterator[None]:
    """One thread; figures, seconds for each run, are left to tests that look at them.

    Series leave nothing in the user's cache; compiled cells lie there, as in the tests of backends.
    """
    monkeypatch.setattr("seqlab.tasks.forecasting.task.draw", lambda *_: None)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


_composed = lru_cache(compose.composed)


def composed(*overrides: str) -> dict[str, Any]:
    return copy.deepcopy(_composed(*overrides))


def shrunk(run_dir: Path | None, *overrides: str) -> dict[str, Any]:
    """``data=waves``, of 200 h"""
    return tiny(run_dir, "data=waves", "data.length=200", "data.season=24", "data.targets=[demand,price]", *overrides)


def tiny(run_dir: Path | None, *overrides: str) -> dict[str, Any]:
    config = composed(
        "data.lookback=24", "data.horizon=4", "data.batch_size=16", "data.hidden_size=8", "trainer.device=cpu",
        "trainer.max_epochs=null", "trainer.max_steps=2", "floor=false", *overrides,
    )  # fmt: skip
    return {**config, "run_dir": None if run_dir is None else str(run_dir)}


def walk(rows: int = 200, seed: int = 0, **more: Any) -> pd.DataFrame:
    """Two columns that wander, hour by hour."""
    values = 10 + np.random.default_rng(seed).normal(size=(rows, 2)).cumsum(axis=0) / 5
    times = pd.date_range("2020-01-01", periods=rows, freq="h").astype(str)
    return pd.DataFrame({"date": times, "load": values[:, 0], "oil": values[:, 1], **more})


def own(path: Path, run_dir: Path | None, *overrides: str) -> dict[str, Any]:
    config = tiny(run_dir, "data=series", "data.path=PATH", "data.time_column=date", *overrides)
    config["data"]["path"] = str(path)
    return config


def summary_of(run_dir: Path) -> dict[str, Any]:
    return json.loads((run_dir / "summary.json").read_text())


def weights(run_dir: Path, name: str = "best") -> dict[str, torch.Tensor]:
    return checkpoint.load(run_dir / f"{name}.pt")["model"]


def assert_same_bits(one: Path, other: Path, name: str = "best") -> None:
    found, wanted = weights(one, name), weights(other, name)
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert value.equal(found[key]), key


def assert_usable(run_dir: Path, steps: int = 2) -> Run:
    """What a folder owes: the numbers of its summary, forecasts beyond the end, no leak."""
    summary = summary_of(run_dir)
    assert summary["steps"] == steps
    run = Run(run_dir, device="cpu")
    assert run.evaluate("val") == summary["val"]
    assert run.evaluate() == summary["test"]
    assert all(np.isfinite(value) for value in summary["test"].values())
    found, series = run.forecast(), run.data.series
    S, H, K = len(series.ids), run.spec.horizon, run.spec.num_outputs
    assert found.point.shape == (S, H, K)
    assert np.isfinite(found.point).all()
    for number, stop in enumerate(series.stops):
        times = pd.date_range(pd.Timestamp(series.times[stop - 1]), periods=H + 1, freq=series.freq)[1:]
        assert (found.times[number] == times.values).all()
    if found.quantiles is not None:
        assert found.quantiles.shape == (S, H, K, len(found.levels))
        assert (np.diff(found.quantiles, axis=-1) >= 0).all()
    assert run.check_leak()["forecasts_compared"] > 0
    return run


# Models -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [model for model in MODELS if model != "lstm_ngrams"])
def test_every_model_trains_and_its_folder_opens_again(model, tmp_path):
    train(shrunk(tmp_path / "run", f"model={model}"))
    assert_usable(tmp_path / "run")


def test_a_model_that_counts_words_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(InputError, match="model=lstm_ngrams classifies texts: choose another for this data"):
        train(shrunk(tmp_path / "run", "model=lstm_ngrams"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("model", [model for model in MODELS if model != "lstm_ngrams"])
def test_what_reads_left_to_right_forecasts_step_by_step_and_what_does_not_is_refused(model):
    config = shrunk(None, f"model={model}")
    config["task"]["decoder"] = "recursive"
    data = waves()
    if model in AHEAD:
        with pytest.raises(InputError, match=r"decoder=recursive goes on from the state .* decoder=direct"):
            build.check_config(config)
        return
    build.check_config(config)
    forecaster = build.build_model(config, data.spec).eval()
    batch = data.test.batch(data.test.origins[:3])
    with torch.no_grad():
        free = forecaster(batch.inputs, batch.lengths, batch.future)
        shown = forecaster(batch.inputs, batch.lengths, batch.future, free[..., 0])
    torch.testing.assert_close(shown, free, atol=1e-4, rtol=1e-4)


# Decoders, scales, channels, losses ---------------------------------------------------------------------------------


@lru_cache
def waves() -> Any:
    return build.build_data(shrunk(None))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("decoder", DECODERS)
def test_every_decoder_learns_by_every_loss_on_every_scale(decoder, loss):
    config = shrunk(None, "model=gru", f"task.decoder={decoder}", f"task.loss={loss}", "task.segment=3")
    data = waves()
    if decoder == "recursive" and loss in INTERVALS:
        with pytest.raises(InputError, match="cannot tell how its uncertainty grows"):
            build.check_config(config)
        return
    batch = data.train.batch(data.train.origins[::9])
    for number, (normalize, channels) in enumerate(product(NORMALIZE, CHANNELS)):
        highway = 24 if number in (1, 2, 5) else 0
        config["task"] |= {"normalize": normalize, "channels": channels, "highway": highway}
        build.check_config(config)
        task = build.make_objective(config, data.spec)
        model = build.build_model(config, data.spec)
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        before = {name: value.clone() for name, value in model.named_parameters()}
        losses = []
        for _ in range(4):
            loss_of = task.loss(model, batch)
            optimizer.zero_grad()
            loss_of.total.backward()
            optimizer.step()
            losses.append(float(loss_of.total.detach()) / loss_of.count)
        assert losses[-1] < losses[0], (normalize, channels, highway, losses)
        still = [name for name, value in model.named_parameters() if value.equal(before[name])]
        assert not still, (normalize, channels, highway, still)


@pytest.mark.parametrize(
    "options",
    [
        ["task.decoder=recursive", "task.normalize=revin", "task.channels=separate"],
        ["task.decoder=recurrent", "task.loss=quantile", "data.past=[price]", "data.targets=[warmth]"],
        ["task.decoder=segments", "task.loss=student_t", "task.normalize=revin", "task.highway=12"],
        ["model=seggru", "task.loss=gaussian", "task.channels=separate", "model.segment=5", "data.calendar=[]"],
        ["data.scaling=[log,{seasonal_diff: 24},standard]", "task.normalize=none", "task.loss=gaussian"],
        ["data.scaling=[robust]", "data.stride=2", "task.decides=mae", "task.loss=mae"],
        ["data.split=[120,0,80]", "task.loss=huber"],
        ["data.split=['2001-01-06','2001-01-08']", "task.loss=quantile", "task.decides=crps"],
        ["model.head.pooling=[mean,attention]", "data.head_dropout=0.4", "trainer.ema_decay=0.9"],
        ["data.horizon=1", "task.decoder=recursive", "task.loss=gaussian"],
    ],
)
def test_options_of_forecasters(options, tmp_path):
    train(shrunk(tmp_path / "run", *options))
    if "data.split=[120,0,80]" in options:  # without validation the last weights are kept
        summary = summary_of(tmp_path / "run")
        assert summary["val"] == {}
        assert Run(tmp_path / "run", device="cpu").evaluate() == summary["test"]
        assert_same_bits(tmp_path / "run", tmp_path / "run", "last")
        return
    run = assert_usable(tmp_path / "run")
    asked = {option.split("=")[1] for option in options if option.startswith("task.loss")}
    assert (run.forecast().quantiles is not None) == bool(asked & {*INTERVALS})


@pytest.mark.parametrize(("options", "says"), [
    (["task.decoder=recursive", "model=seggru"], "decoder=recursive goes on from the state .* reads ahead"),
    (["task.decoder=recursive", "model=bilstm"], "decoder=recursive goes on from the state .* reads ahead"),
    (["task.decoder=recursive", "data.past=[warmth]"], "columns of the past alone have none: make them targets"),
    (["task.decoder=recursive", "task.loss=quantile"], "cannot tell how its uncertainty grows"),
    (["task.decoder=direkt"], "task.decoder must be .*direct"),
    (["task.normalize=layer"], "task.normalize must be none or last or revin"),
    (["task.channels=mono"], "task.channels must be mixed or separate"),
    (["task.highway=-1"], "task.highway=-1 must be a number of steps of the window, from 0 up"),
    (["task.highway=25"], "task.highway=25 must be .* from 0 to data.lookback=24"),
    (["task.segment=0", "task.decoder=segments"], "segment=0"),
    (["task.ridge=0.1"], "task.ridge is the penalty of a highway: set task.highway"),
    (["task.ridge=-1", "task.highway=4"], "task.ridge=-1 is no penalty"),
    (["task.loss=mape"], "task.loss must be"),
    (["task.decides=crps"], "decides is crps, which measures distributions, and loss is mse"),
    (["task.levels=[0.1,0.9]", "task.loss=gaussian"], "0.05"),
    (["data.scaling=[standart]"], "did you mean 'standard'"),
    (["data.split=[0.7,0.1]"], "data.split must be three fractions"),
    (["data.horizon=0"], "data.horizon must be at least 1"),
    (["data.lookback=140"], "data.lookback=140 . data.horizon=4 needs 144 rows, the training part has 140"),
    (["data.horizon=30"], "data.horizon=30 needs 30 rows, the validation part has 20"),
    (["data.targets=[demnd]"], "did you mean 'demand'"),
    (["data.calendar=[hours]"], "did you mean 'hour'"),
    (["+data.lookbck=12"], "data.lookbck: there is no such option"),
    (["+task.decodr=direct"], "task.decodr: there is no such option"),
    (["task=classification"], "data=waves and task=classification do not fit each other: remove task="),
])  # fmt: skip
def test_bad_options_are_one_sentence_and_leave_nothing(options, says, tmp_path):
    with pytest.raises(InputError, match=says) as raised:
        train(shrunk(tmp_path / "run", *options))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("option", "meant"), [
    ("task.decodr=direct", "task.decoder"), ("data.lookbck=12", "data.lookback"), ("data.horizn=2", "data.horizon"),
])  # fmt: skip
def test_a_slip_of_the_pen_is_told_what_was_meant(option, meant):
    name = option.split("=")[0]
    with pytest.raises(InputError, match=rf"^{name}: there is no such option; did you mean '{meant}'\?$"):
        composed("data=waves", option)


def test_sums_of_differences_have_no_quantiles(tmp_path):
    with pytest.raises(InputError, match=r"do not add up .* use data.normalize=last instead of diff"):
        train(shrunk(tmp_path / "run", "data.scaling=[diff]", "task.loss=gaussian"))


def test_texts_are_not_forecast(tmp_path):
    suits = ["+data.channels=mixed", "+data.normalize=none", "+data.decides=mae"]
    with pytest.raises(InputError, match="data=reviews and task=forecasting do not fit each other"):
        train(composed("data=reviews", "task=forecasting", *suits, f"run_dir={tmp_path / 'run'}"))


# Data ---------------------------------------------------------------------------------------------------------------


def one_series(path: Path) -> list[str]:
    walk().to_csv(path, index=False)
    return []


def several_series(path: Path) -> list[str]:
    pd.concat([walk(150, 0, place="north"), walk(120, 1, place="south")]).to_csv(path, index=False)
    return ["data.id_column=place"]


def with_holes(path: Path) -> list[str]:
    table = walk()
    table.loc[[20, 150, 170, 171], "load"] = np.nan
    table.drop([60, 61]).to_csv(path, index=False)
    return ["data.missing=forward", "data.gaps=fill"]


def with_a_column_of_the_past(path: Path) -> list[str]:
    walk().to_csv(path, index=False)
    return ["data.targets=[load]", "data.past=[oil]", "data.calendar=[hour]"]


def of_months(path: Path) -> list[str]:
    table = walk()
    table["date"] = pd.date_range("1950-01", periods=len(table), freq="MS").astype(str).str[:7]
    table.to_csv(path, index=False)
    return ["data.calendar=[month]"]


def without_times(path: Path) -> list[str]:
    walk().drop(columns="date").to_csv(path, index=False)
    return ["data.time_column=null"]


@pytest.mark.parametrize("decoder", ["direct", "segments"])
@pytest.mark.parametrize(
    "write", [one_series, several_series, with_holes, with_a_column_of_the_past, of_months, without_times]
)
def test_every_kind_of_file_trains_and_its_folder_opens_again(write, decoder, tmp_path):
    options = write(tmp_path / "walk.csv")
    config = own(tmp_path / "walk.csv", tmp_path / "run", f"task.decoder={decoder}", "task.channels=separate", *options)
    train(config)
    assert_usable(tmp_path / "run")


def test_another_file_is_forecast_on_from_its_own_end_as_the_run_scales(tmp_path):
    table = walk(220)
    for name, rows in (("run", 200), ("later", 220)):
        table[:rows].to_csv(tmp_path / f"{name}.csv", index=False)
    train(own(tmp_path / "run.csv", tmp_path / "run", "task.loss=quantile"))
    run = Run(tmp_path / "run", device="cpu")
    later = run.forecast(path=tmp_path / "later.csv")
    assert str(later.times[0, 0]) == "2020-01-10T04:00:00"
    same = run.forecast(path=tmp_path / "run.csv")
    np.testing.assert_array_equal(same.point, run.forecast().point)
    np.testing.assert_array_equal(same.quantiles, run.forecast().quantiles)
    with pytest.raises(InputError, match=r"later\.csv|nowhere\.csv"):
        run.forecast(path=tmp_path / "nowhere.csv")
    np.testing.assert_array_equal(run.forecast(5).point[:, :4], run.forecast().point)
    assert run.forecast(5).table()["rolled_on"].tolist() == [False] * 4 + [True]
    table[:200].assign(oil=table.oil * 2).to_csv(tmp_path / "run.csv", index=False)
    with pytest.raises(InputError, match="is not what the run was trained on"):
        Run(tmp_path / "run", device="cpu").evaluate()


def test_what_is_planned_is_asked_for_and_read_from_a_file(tmp_path):
    table = walk(204, plan=np.arange(204) % 7)
    table[:200].to_csv(tmp_path / "walk.csv", index=False)
    table[200:].to_csv(tmp_path / "plans.csv", index=False)
    train(own(tmp_path / "walk.csv", tmp_path / "run", "data.covariates=[plan]"))
    run = Run(tmp_path / "run", device="cpu")
    assert run.spec.labels == ("load", "oil")
    assert run.evaluate() == summary_of(tmp_path / "run")["test"]
    with pytest.raises(
        InputError, match=r"needs future values of plan for the 4 rows .* columns date, plan: --plans FILE"
    ):
        run.forecast()
    assert np.isfinite(run.forecast(plans=tmp_path / "plans.csv").point).all()


@pytest.mark.parametrize(("change", "options", "says"), [
    (lambda t: t, ["data.targets=[lod]"], r"no column 'lod'; did you mean 'load'"),
    (lambda t: t, ["data.time_column=day"], r"no column 'day'"),
    (lambda t: t.iloc[[1, 0, *range(2, 200)]], [], "out of order: sort the rows, or set data.unsorted=sort"),
    (lambda t: t.iloc[[0, 0, *range(1, 200)]], [], "set data.duplicates to first, last or mean"),
    (lambda t: t.drop([60]), [], "gaps=fill"),
    (lambda t: t.assign(oil=5.0), [], "'oil' is 5 in every row, so there is nothing to forecast"),
    (lambda t: t.assign(oil=np.where(np.arange(200) < 150, 5.0, t.oil)), [], "oil never changes in the training part"),
    (lambda t: t.assign(oil=t.oil.where(t.index != 7)), [], "missing"),
    (lambda t: t.assign(oil="much"), ["data.targets=[oil]"], "oil"),
    (lambda t: t[:0], [], "holds no rows"),
    (lambda t: t[:30], [], "needs 28 rows, the training part has 21"),
    (lambda t: t, ["data.lookback=300"], r"data.lookback=300 \+ data.horizon=4 needs 304 rows"),
    (lambda t: t, ["data.horizon=21"], "data.horizon=21 needs 21 rows, the validation part has 20"),
    (lambda t: t, ["data.split=[0.5,0.4,0.1]", "data.horizon=21"], "21 rows, the test part has 20: shorten it"),
    (lambda t: t, ["data.split=[150,40,20]"], "asks for 210 rows, but there are 200"),
    (lambda t: t, ["data.scaling=[log]", "data.targets=[low]"], "log takes values above 0 only, but low"),
    (lambda t: t, ["data.season=150"], "data.season=150 needs measured values one season apart"),
])  # fmt: skip
def test_what_is_wrong_with_a_file_is_one_sentence(change, options, says, tmp_path):
    change(walk(low=-1.0 - np.arange(200) % 3)).to_csv(tmp_path / "walk.csv", index=False)
    options = options if any("targets" in option for option in options) else [*options, "data.targets=[load,oil]"]
    with pytest.raises(InputError, match=says) as raised:
        train(own(tmp_path / "walk.csv", tmp_path / "run", *options))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


SETS = {
    "ett": ("ETTh1.csv", ["data.split=[400,100,100]", "data.targets=[OT,HUFL]", "data.past=[MUFL]"]),
    "sunspots": ("monthly-sunspots.csv", ["data.horizon=4", "data.season=12"]),
    "airline": ("airline-passengers.csv", ["data.horizon=1"]),
}


@pytest.mark.parametrize("name", SETS)
def test_every_set_of_series_composes_and_its_options_are_known(name):
    build.check_config(composed(f"data={name}"))


@pytest.mark.parametrize("name", SETS)
def test_every_set_of_series_trains(name, tmp_path):
    file, options = SETS[name]
    root = next((place for place in (DATA, DATA / "series") if (place / file).is_file()), None)
    if root is None:
        pytest.skip(f"no series/{file} under {DATA}: set SEQLAB_DATA")
    train(tiny(tmp_path / "run", f"data={name}", f"data.root={DATA}", "data.download=false", *options))
    assert_usable(tmp_path / "run")


# Bits ---------------------------------------------------------------------------------------------------------------

BITS = [
    ["model=lstm", "model.num_layers=2", "model.dropout=0.3", "data.head_dropout=0.2", "task.highway=6"],
    ["model=gru", "task.decoder=recursive", "task.normalize=revin", "task.channels=separate"],
    ["model=seggru", "task.loss=quantile", "data.head_dropout=0.2", "model.segment=5", "data.stride=2"],
    ["model=indrnn", "task.highway=12", "task.ridge=0.1", "task.vote=0.3", "task.channels=separate"],
    [
        "model=tcn",
        "model.num_layers=2",
        "task.decoder=recurrent",
        "task.loss=student_t",
        "model.dropout=0.2",
        "trainer.ema_decay=0.8",
    ],
]
every_recipe = pytest.mark.parametrize("options", BITS, ids=lambda options: options[0])


@every_recipe
def test_rows_of_the_test_part_teach_nothing(options, tmp_path):
    """The whole road, from the file to the weights that are kept."""
    table = walk()
    table.to_csv(tmp_path / "one.csv", index=False)
    later = table.copy()
    later.loc[160:, ["load", "oil"]] = later.loc[160:, ["load", "oil"]] * 3 + 100
    later.to_csv(tmp_path / "other.csv", index=False)
    for name in ("one", "other"):
        train(own(tmp_path / f"{name}.csv", tmp_path / name, *options, "trainer.max_steps=4", "trainer.eval_every=2",
                  "data.split=[0.6,0.2,0.2]"))  # fmt: skip
    assert_same_bits(tmp_path / "one", tmp_path / "other")
    one, other = (summary_of(tmp_path / name) for name in ("one", "other"))
    assert one["val"] == other["val"]
    assert one["test"]["mse"] != other["test"]["mse"]


@every_recipe
def test_the_same_config_and_seed_give_the_same_bits(options, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train({**shrunk(tmp_path / name, *options), "seed": seed})
    assert_same_bits(tmp_path / "a", tmp_path / "b")
    for part in ("val", "test"):
        assert summary_of(tmp_path / "a")[part] == summary_of(tmp_path / "b")[part]
        assert summary_of(tmp_path / "a")[part] != summary_of(tmp_path / "c")[part]


@every_recipe
def test_a_run_cut_in_the_middle_of_an_epoch_goes_on_to_the_same_bits(options, tmp_path):
    def learn(run_dir: Path, steps: int, resume: bool = False) -> None:
        # The schedule looks at epochs, so that a run that ends early does not differ before it ends.
        config = shrunk(None if resume else run_dir, *options, "schedule=constant", "trainer.eval_every=3")
        config["trainer"]["max_steps"] = steps
        train({**config, "resume": str(run_dir) if resume else None})

    learn(tmp_path / "whole", 10)
    learn(tmp_path / "cut", 5)
    saved = checkpoint.load(tmp_path / "cut" / "last.pt")["trainer"]
    assert saved["consumed"] > 0
    learn(tmp_path / "cut", 10, resume=True)
    for name in ("last", "best"):
        assert_same_bits(tmp_path / "cut", tmp_path / "whole", name)
    whole, cut = (summary_of(tmp_path / name) for name in ("whole", "cut"))
    assert whole["val"] == cut["val"]
    assert whole["test"] == cut["test"]
