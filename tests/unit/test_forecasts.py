"""What a trained forecaster says of rows to come, and that a leak is found where there is one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from seqlab import forecasts
from seqlab.data.calendar import features
from seqlab.data.forecast import Scaling, Windows, prepare
from seqlab.data.forecast_beyond import extended
from seqlab.data.series import Series
from seqlab.engine.runtime import Runtime
from seqlab.forecasts import Asked, Outcome, ahead_of, check_leak, intervals
from seqlab.models import Forecaster
from seqlab.nn import Recurrent
from seqlab.tasks.forecasting import Forecasting
from seqlab.types import InputError

OPTIONS = {"lookback": 12, "horizon": 5, "split": [0.6, 0.2, 0.2], "scaling": ["standard"], "season": 4}
SOURCE = {"calendar": [], "time_column": "date", "id_column": None}


def make_series(*sizes: int, plans: int = 0, calendar: tuple[str, ...] = (), seed: int = 0) -> Series:
    """Positive random walks of two targets, hourly; with columns of plans, then those of the calendar."""
    rows, random = sum(sizes), np.random.default_rng(seed)
    hours = np.concatenate([np.arange(size) for size in sizes])
    times = np.datetime64("2016-07-01", "s") + hours * np.timedelta64(3600, "s")
    planned = random.normal(size=(rows, plans)).astype(np.float32)
    return Series(
        times=times,
        values=np.exp(random.normal(size=(rows, 2)).cumsum(axis=0) / 10).astype(np.float32),
        known=np.concatenate([planned, features(times, calendar)], 1),
        targets=("a", "b"),
        past=(),
        ahead=(*"xyz"[:plans], *calendar),
        starts=np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
        ids=("",) if len(sizes) == 1 else tuple(f"s{number}" for number in range(len(sizes))),
        freq="h",
    )


def first_rows(series: Series, rows: int) -> Series:
    parts = {name: getattr(series, name)[:rows] for name in ("times", "values", "known")}
    return replace(series, **parts)


def asked(data: Any, loss: str = "mse", batch_size: int = 7) -> Asked:
    """A forecaster of random weights."""
    spec = data.spec
    torch.manual_seed(0)
    task = Forecasting(spec.num_outputs, spec.labels, spec.horizon, loss=loss)
    encoder = Recurrent(spec.num_features, "gru", 6)
    model = Forecaster(
        encoder, spec.num_outputs, spec.num_features, spec.num_future, spec.horizon, task.roles, normalize="last"
    )
    return Asked(model, task, Runtime(), batch_size)


class Last(nn.Module):
    """Forecasts the last value that it read."""

    def forward(self, inputs: Tensor, lengths: Tensor, future: Tensor | None) -> Tensor:
        return inputs[:, -1:, :2, None].expand(-1, 5, -1, -1)


# Asking -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scaling", [["standard"], ["log", "minmax"], []])
def test_forecasts_are_in_the_units_of_the_data(scaling):
    data = prepare(make_series(100, 70), **{**OPTIONS, "scaling": scaling})
    teller = replace(asked(data), model=Last())
    found = list(teller.forecasts(data.test, data.units, ()))
    assert [len(origins) for origins, _, _ in found] == [7] * (len(data.test) // 7) + [len(data.test) % 7]
    origins, point = (np.concatenate([part[i] for part in found]) for i in (0, 1))
    assert origins.tolist() == data.test.origins.tolist()
    assert point.dtype == np.float64
    last = data.series.values[origins - 1]
    np.testing.assert_allclose(point, np.repeat(last[:, None], 5, axis=1), rtol=1e-4)
    assert all(quantiles is None for _, _, quantiles in found)


@pytest.mark.parametrize("loss", ["quantile", "gaussian", "student_t"])
def test_quantiles_ascend_around_the_point(loss):
    data = prepare(make_series(100), **{**OPTIONS, "scaling": ["log", "standard"]})
    for _, point, quantiles in asked(data, loss).forecasts(data.val, data.units, (0.05, 0.5, 0.95)):
        assert quantiles.shape == (*point.shape, 3)
        assert (np.diff(quantiles, axis=-1) > 0).all()
        np.testing.assert_allclose(quantiles[..., 1], point, rtol=1e-5)


def test_asking_leaves_nothing_behind():
    """Two that are asked in turns, as a leak test does; a training may follow."""
    data = prepare(make_series(100), **OPTIONS)
    teller = asked(data)
    for _ in zip(*(teller.forecasts(data.test, data.units, ()) for _ in range(2)), strict=True):
        assert not torch.is_inference_mode_enabled()
    assert not torch.is_inference_mode_enabled()
    batch = data.train.batch(data.train.origins[:3])
    teller.model.train()(batch.inputs, batch.lengths).sum().backward()


def test_however_many_are_asked_at_a_time():
    data = prepare(make_series(100), **OPTIONS)
    few, many = (
        np.concatenate([point for _, point, _ in asked(data, batch_size=size).forecasts(data.test, data.units, ())])
        for size in (1, 100)
    )
    np.testing.assert_allclose(few, many, rtol=1e-5)


# Beyond the end -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scaling", [["standard"], ["log", {"seasonal_diff": 6}, "standard"]])
@pytest.mark.parametrize("loss", ["mse", "quantile"])
def test_beyond_the_end_is_what_would_be_said_there_if_the_data_went_on(scaling, loss):
    calendar = ("hour",)
    longer = make_series(105, calendar=calendar)
    data = prepare(first_rows(longer, 100), **{**OPTIONS, "scaling": scaling})
    teller = asked(data, loss)
    found = ahead_of(teller, data, {**SOURCE, "calendar": calendar})
    known = prepare(longer, **{**OPTIONS, "scaling": data.scaling, "split": [60, 20, 25]})
    ((_, point, quantiles),) = teller.forecasts(
        replace(known.train, origins=np.array([100])), known.units, teller.task.levels
    )
    np.testing.assert_array_equal(found.point, point)
    assert (found.quantiles is None) == (loss == "mse")
    if quantiles is not None:
        np.testing.assert_array_equal(found.quantiles, quantiles)
    np.testing.assert_array_equal(found.times[0], longer.times[100:])
    np.testing.assert_array_equal(found.past_times[0], longer.times[88:100])
    np.testing.assert_array_equal(found.past[0], longer.values[88:100])


def test_every_series_goes_on_from_its_own_end():
    series = make_series(100, 70)
    data = prepare(series, **OPTIONS)
    found = ahead_of(replace(asked(data), model=Last()), data, SOURCE)
    assert found.ids == ("s0", "s1")
    np.testing.assert_allclose(found.point[:, 0], series.values[[99, 169]], rtol=1e-5)
    hour = np.timedelta64(1, "h")
    for number, end in enumerate((99, 169)):
        assert (found.times[number] == series.times[end] + hour * np.arange(1, 6)).all()
    table = found.table()
    assert list(table) == ["series", "time", "a", "b"]
    assert table["series"].tolist() == ["s0"] * 5 + ["s1"] * 5
    np.testing.assert_array_equal(table["b"], found.point[:, :, 1].ravel())


def test_fewer_steps_are_the_first_of_all():
    data = prepare(make_series(100), **OPTIONS)
    teller = asked(data, "gaussian")
    whole, part = ahead_of(teller, data, SOURCE), ahead_of(teller, data, SOURCE, 2)
    assert part.point.shape == (1, 2, 2)
    np.testing.assert_array_equal(part.point, whole.point[:, :2])
    np.testing.assert_array_equal(part.quantiles, whole.quantiles[:, :2])
    np.testing.assert_array_equal(part.times, whole.times[:, :2])
    for steps in (0, 5001, -1):
        with pytest.raises(InputError, match=f"--horizon {steps}: a run of data.horizon=5 forecasts 1 to 5,000 steps"):
            ahead_of(teller, data, SOURCE, steps)


def test_what_is_planned_is_read_from_a_file(tmp_path):
    longer = make_series(105, plans=2, calendar=("hour",))
    data = prepare(first_rows(longer, 100), **OPTIONS)
    teller, source = asked(data), {**SOURCE, "calendar": ("hour",)}
    with pytest.raises(
        InputError, match=r"future values of x, y for the 5 rows from .*columns date, x, y: --plans FILE.csv"
    ):
        ahead_of(teller, data, source)
    table = pd.DataFrame({"date": longer.times, "y": longer.known[:, 1], "x": longer.known[:, 0], "words": "no"})
    table.to_csv(tmp_path / "plans.csv", index=False)
    found = ahead_of(teller, data, source, plans=tmp_path / "plans.csv")
    known = prepare(longer, **{**OPTIONS, "scaling": data.scaling, "split": [60, 20, 25]})
    ((_, point, _),) = teller.forecasts(replace(known.train, origins=np.array([100])), known.units, ())
    np.testing.assert_allclose(found.point, point, rtol=1e-6)
    table["x"] += 1
    table.to_csv(tmp_path / "others.csv", index=False)
    others = ahead_of(teller, data, source, plans=tmp_path / "others.csv")
    assert (others.point != found.point).any(axis=(0, 2)).all()
    table[:103].to_csv(tmp_path / "short.csv", index=False)
    with pytest.raises(InputError, match="says nothing of 2016-07-05 07:00:00: add that row"):
        ahead_of(teller, data, source, plans=tmp_path / "short.csv")
    with pytest.raises(InputError, match="on a clock alone"):
        ahead_of(teller, data, {**source, "time_column": None}, plans=tmp_path / "plans.csv")


def test_beyond_the_horizon_forecasts_are_fed_back():
    series = make_series(100, 70)
    data = prepare(series, **OPTIONS)
    teller = asked(data, "gaussian")
    found = ahead_of(teller, data, SOURCE, 12)
    assert (found.point.shape, found.rolled) == ((2, 12, 2), 5)
    first = ahead_of(teller, data, SOURCE)
    assert first.rolled is None
    np.testing.assert_array_equal(found.point[:, :5], first.point)
    # The second round is what is forecast where the first was measured.
    fed = extended(series, first.point.astype(np.float32))
    again = ahead_of(teller, replace(data, series=fed), SOURCE)
    np.testing.assert_allclose(found.point[:, 5:10], again.point, rtol=1e-5)
    np.testing.assert_array_equal(found.times[:, 5:10], again.times)
    assert np.isfinite(found.quantiles[:, :5]).all()
    assert np.isnan(found.quantiles[:, 5:]).all()
    assert found.table()["rolled_on"].tolist() == ([False] * 5 + [True] * 7) * 2
    assert "(rolled on after step 5: forecasts are fed back" in found.figure().axes[0].get_title(loc="left")


def test_plans_must_cover_all_rounds(tmp_path):
    longer = make_series(110, plans=1)
    data = prepare(first_rows(longer, 100), **OPTIONS)
    table = pd.DataFrame({"date": longer.times, "x": longer.known[:, 0]})
    table[:108].to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(InputError, match="says nothing of 2016-07-05 12:00:00: add that row"):
        ahead_of(asked(data), data, SOURCE, 7, tmp_path / "a.csv")
    table.to_csv(tmp_path / "a.csv", index=False)
    assert ahead_of(asked(data), data, SOURCE, 7, tmp_path / "a.csv").point.shape == (1, 7, 2)


# What was found -----------------------------------------------------------------------------------------------------


def outcome(S: int = 1, K: int = 2, levels: tuple[float, ...] = ()) -> Outcome:
    random = np.random.default_rng(0)
    hours = np.datetime64("2020-01-01", "s") + np.arange(8) * np.timedelta64(1, "h")
    return Outcome(
        ids=tuple(f"s{s}" for s in range(S)),
        labels=tuple("abcdefgh"[:K]),
        times=np.tile(hours[5:], (S, 1)),
        point=random.normal(size=(S, 3, K)),
        levels=levels,
        quantiles=np.sort(random.normal(size=(S, 3, K, len(levels)))) if levels else None,
        past_times=np.tile(hours[:5], (S, 1)),
        past=random.normal(size=(S, 5, K)),
    )


def test_a_table_has_a_column_for_every_quantile():
    found = outcome(levels=(0.025, 0.5, 0.95))
    table = found.table()
    assert list(table) == ["time", "a", "a_2.5%", "a_50%", "a_95%", "b", "b_2.5%", "b_50%", "b_95%"]
    np.testing.assert_array_equal(table["b_95%"], found.quantiles[0, :, 1, 2])
    np.testing.assert_array_equal(table["time"].to_numpy(), found.times[0])
    assert list(outcome().table()) == ["time", "a", "b"]


@pytest.mark.parametrize(("S", "K", "titles"), [
    (1, 1, ["a"]), (1, 2, ["a", "b"]), (2, 1, ["s0: a", "s1: a"]), (2, 8, [f"s0: {k}" for k in "abcdef"]),
])  # fmt: skip
def test_a_figure_has_a_panel_for_every_target_of_every_series_up_to_six(S, K, titles):
    axes = outcome(S, K, (0.05, 0.25, 0.5, 0.75, 0.95)).figure().axes
    assert [each.get_title(loc="left") for each in axes] == titles
    assert all(len(each.collections) == 2 for each in axes)  # a band of 90 and one of 50 %


def test_intervals_are_between_the_levels_that_enclose_them():
    levels, quantiles = (0.05, 0.25, 0.5, 0.75, 0.95), np.arange(10.0).reshape(2, 5)
    found = intervals(levels, quantiles)
    assert {share: [end.tolist() for end in ends] for share, ends in found.items()} == {
        0.5: [[1, 6], [3, 8]],
        0.9: [[0, 5], [4, 9]],
    }
    assert intervals((0.1, 0.25, 0.5, 0.75), quantiles[:, :4]).keys() == {0.5}
    assert intervals((0.2, 0.5), quantiles[:, :2]) == {}
    assert intervals((), None) == {}


# Leaks --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [
    {}, {"scaling": ["log", "robust"]}, {"scaling": [{"seasonal_diff": 6}, "standard"]}, {"scaling": ["diff"]},
    {"split": [0.7, 0.3, 0]}, {"split": [0.7, 0, 0.3]}, {"stride": 3}, {"split": ["2016-07-03", "2016-07-04"]},
])  # fmt: skip
@pytest.mark.parametrize("loss", ["mse", "student_t"])
def test_there_is_no_leak(options, loss):
    if loss == "student_t" and options.get("scaling") == ["diff"]:
        loss = "mae"  # sums of differences have no quantiles
    options = {**OPTIONS, **options}
    data = prepare(make_series(100, 90, calendar=("hour",)), **options)
    found = check_leak(asked(data, loss), data, options)
    windows, part = data.last
    cuts = (part.starts + part.stops) // 2
    assert found["rows_changed"] == int((data.series.stops - cuts).sum())
    assert found["changed_from"] == str(data.series.times[cuts[0]])
    assert found["training_windows_compared"] == len(data.train)
    before = windows.origins <= cuts[data.units.series(windows.origins)]
    assert 0 < found["forecasts_compared"] == before.sum()


def test_a_scaling_that_learns_of_the_future_is_found(monkeypatch):
    """Statistics over all rows, the most common leak of all."""
    data = prepare(make_series(100), **OPTIONS)

    def all_rows(series: Series, **options: Any) -> Any:
        scaling = Scaling(options["scaling"])
        whole = replace(data.parts["train"], series=series, stops=series.stops)
        return prepare(series, **{**options, "scaling": scaling.fit(whole)})

    monkeypatch.setattr(forecasts, "prepare", all_rows)
    leaking = all_rows(data.series, **OPTIONS)
    with pytest.raises(InputError, match="leak: the training windows change with what comes after them"):
        check_leak(asked(leaking), leaking, OPTIONS)


def test_a_window_that_reads_its_own_first_answer_is_found(monkeypatch):
    data = prepare(make_series(100), **OPTIONS)
    batch = Windows.batch

    def one_row_late(windows: Windows, origins: np.ndarray) -> Any:
        return replace(batch(windows, origins), inputs=batch(windows, origins + 1).inputs)

    teller = asked(data)
    check_leak(teller, data, OPTIONS)
    monkeypatch.setattr(Windows, "batch", one_row_late)
    cut = data.series.times[90]
    with pytest.raises(InputError, match=f"leak: the forecast from {cut} on changes with what comes later"):
        check_leak(teller, data, OPTIONS)


def test_units_that_know_what_came_are_found(monkeypatch):
    """A forecast may leak on its way back, as by a difference that starts from the wrong rows."""
    options = {**OPTIONS, "scaling": [{"seasonal_diff": 5}]}
    data = prepare(make_series(100), **options)
    inverse = type(data.units).original

    def late(units: Any, values: np.ndarray, origins: np.ndarray) -> np.ndarray:
        return inverse(units, values, origins + 1)

    monkeypatch.setattr(type(data.units), "original", late)
    with pytest.raises(InputError, match="leak: the forecast from"):
        check_leak(asked(data), data, options)


def test_a_future_of_zeros_is_changed_as_well():
    series = make_series(120)
    values = series.values.copy()
    values[80:] = 0
    data = prepare(replace(series, values=values), **OPTIONS)
    found = check_leak(asked(data), data, OPTIONS)
    assert found["rows_changed"] == 120 - (data.last[1].starts[0] + data.last[1].stops[0]) // 2


@pytest.mark.parametrize(
    ("step", "unit", "digits"), [(10, "ms", "00.300"), (500, "ms", "15.000"), (250, "us", "00.007500")]
)
def test_times_are_written_with_all_digits_of_a_fine_clock(step: int, unit: str, digits: str) -> None:
    clock = np.datetime64("2020-01-01T00:00:00", unit) + np.arange(30) * np.timedelta64(step, unit)
    series = replace(make_series(30), times=clock, freq=f"{step}{unit}")
    options = {**OPTIONS, "lookback": 4, "horizon": 2}
    data = prepare(series, **options)
    table = ahead_of(asked(data), data, SOURCE).table()
    lines = table.to_csv(index=False).splitlines()
    assert lines[1].startswith(f"2020-01-01 00:00:{digits},")
    assert table["time"].is_monotonic_increasing
    zone = forecasts.Zone(clock[:1], np.array([3600]))
    data = prepare(replace(series, zone=zone), **options)
    assert ahead_of(asked(data), data, SOURCE).table()["time"][0] == f"2020-01-01T01:00:{digits}+01:00"
