"""Forecasting: losses against densities and loops, quantiles against inverse distributions, one pass of the meter."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from seqlab.tasks.forecasting import EXAMPLES, LEVELS, Forecasting, student_quantiles
from seqlab.types import Batch, InputError

B, H, K = 4, 3, 2
LOSSES = ("mse", "mae", "huber", "quantile", "gaussian", "student_t")


class Says(nn.Module):
    def __init__(self, answers: torch.Tensor) -> None:
        super().__init__()
        self.answers = nn.Parameter(answers)
        self.shown = "nothing yet"

    def forward(self, inputs, lengths, future, targets):
        self.shown = targets
        return self.answers


def make(loss, **options):
    return Forecasting(K, ("load", "oil"), H, loss=loss, **options)


def batch(targets: torch.Tensor, origins=None) -> Batch:
    rows = len(targets)
    index = torch.arange(rows) if origins is None else torch.as_tensor(origins)
    return Batch(torch.zeros(rows, 5, 2), torch.full((rows,), 5), targets, index)


def answers(task, rows=B, seed=0):
    """Legal parameters: scales above 0, degrees of freedom above 2."""
    generator = torch.Generator().manual_seed(seed)
    said = torch.randn(rows, H, K, len(task.roles), generator=generator)
    for p, role in enumerate(task.roles):
        if role != "location":
            said[..., p] = said[..., p].exp() + (2.0 if role == "shape" else 0.1)
    return said


TARGETS = 2 * torch.randn(B, H, K, generator=torch.Generator().manual_seed(9))


def by_hand(task, p, y):
    """The loss of one value ``y`` by the parameters ``p``."""
    error = abs(y - p[0])
    return {
        "mse": lambda: error**2,
        "mae": lambda: error,
        "huber": lambda: error**2 / 2 if error <= task.delta else task.delta * (error - task.delta / 2),
        "quantile": lambda: np.mean([max(t * (y - q), (t - 1) * (y - q)) for t, q in zip(LEVELS, p, strict=True)]),
        "gaussian": lambda: -stats.norm.logpdf(y, p[0], p[1]),
        "student_t": lambda: -stats.t.logpdf(y, p[2], p[0], p[1]),
    }[task.loss_name]()


@pytest.mark.parametrize("name", LOSSES)
def test_loss_is_the_sum_over_the_values_and_their_count(name):
    task = make(name, delta=0.7)
    said = answers(task)
    loss = task.loss(Says(said), batch(TARGETS))
    assert loss.count == B * H * K
    assert loss.logits.shape == (B, H, K, len(task.roles))
    singles = zip(said.flatten(0, 2).tolist(), TARGETS.flatten().tolist(), strict=True)
    assert loss.total.item() == pytest.approx(sum(by_hand(task, p, y) for p, y in singles), rel=1e-5)


def test_student_keeps_its_digits_when_it_is_nearly_normal():
    student, gaussian = make("student_t"), make("gaussian")
    said = answers(student)
    said[..., 2] = 1e7
    near = student.loss(Says(said), batch(TARGETS)).total.item()
    assert near == pytest.approx(gaussian.loss(Says(said[..., :2]), batch(TARGETS)).total.item(), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_what_was_not_measured_costs_nothing_and_teaches_nothing(name):
    task = make(name)
    said = answers(task)
    targets = TARGETS.clone()
    targets[0, 1, 0] = targets[2] = math.nan
    if "scale" in task.roles:
        said[0, 1, 0, 1] = 1e-30  # an error divided by this is infinite
    model = Says(said)
    loss = task.loss(model, batch(targets))
    loss.total.backward()
    assert loss.count == B * H * K - 1 - H * K
    assert torch.isfinite(loss.total)
    gone = targets.isnan()
    assert not model.answers.grad[gone].any()
    alone = Says(said)
    full = task.loss(alone, batch(torch.where(gone, TARGETS, targets)))
    full.total.backward()
    torch.testing.assert_close(model.answers.grad[~gone], alone.answers.grad[~gone])


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_without_any_measurement_counts_nothing(name):
    task = make(name)
    loss = task.loss(Says(answers(task)), batch(torch.full((B, H, K), math.nan)))
    assert (loss.total.item(), loss.count) == (0.0, 0)


def test_the_loss_is_float32_whatever_the_model_computes_in():
    task = make("gaussian")
    loss = task.loss(Says(answers(task).bfloat16()), batch(TARGETS.double()))
    assert loss.total.dtype == loss.logits.dtype == torch.float32


def test_targets_are_shown_in_training_alone():
    task = make("mse")
    model, asked = Says(answers(task)), batch(TARGETS)
    task.loss(model, asked)
    assert model.shown is asked.targets
    task.loss(model.eval(), asked)
    assert model.shown is None


def test_roles_say_what_the_model_gives():
    assert make("huber").roles == ("location",)
    assert make("quantile", levels=(0.1, 0.5, 0.9), nominal=0.8).roles == ("location",) * 3
    assert make("gaussian").roles == ("location", "scale")
    assert make("student_t").roles == ("location", "scale", "shape")


@pytest.mark.parametrize("name", ["mse", "mae", "huber"])
def test_points_have_no_quantiles(name):
    task = make(name)
    assert task.quantiles(answers(task), (0.1, 0.9)) is None
    torch.testing.assert_close(task.point(answers(task)), answers(task)[..., 0])


def test_quantiles_of_the_two_distributions_are_their_inverses():
    levels = (0.001, 0.05, 0.3, 0.5, 0.95)
    task = make("gaussian")
    said = answers(task)
    location, scale = said[..., :1].numpy(), said[..., 1:2].numpy()
    np.testing.assert_allclose(task.quantiles(said, levels), stats.norm.ppf(levels, location, scale), rtol=1e-5)
    torch.testing.assert_close(task.point(said), said[..., 0])
    task = make("student_t")
    said = answers(task)
    location, scale, freedom = (said[..., p : p + 1].numpy() for p in range(3))
    expected = stats.t.ppf(levels, freedom, location, scale)
    np.testing.assert_allclose(task.quantiles(said, levels), expected, rtol=1e-4, atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.floats(2.0, 1e6), st.floats(1e-4, 1 - 1e-4))
def test_student_quantiles_by_series_are_the_exact_ones(freedom, level):
    found = student_quantiles(torch.tensor([freedom], dtype=torch.float64), (level,))
    assert found.item() == pytest.approx(stats.t.ppf(level, freedom), rel=1e-8, abs=1e-8)


def test_learned_quantiles_are_sorted_and_straight_in_between():
    task = make("quantile", levels=(0.1, 0.4, 0.8), nominal=None)
    said = torch.tensor([5.0, 1.0, 3.0]).expand(B, H, K, 3)
    found = task.quantiles(said, (0.1, 0.25, 0.4, 0.6, 0.8))
    torch.testing.assert_close(found[1, 2, 0], torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]))
    torch.testing.assert_close(task.point(said), torch.full((B, H, K), 3.5))
    for level in (0.05, 0.9):
        with pytest.raises(InputError, match=rf"from 0.1 to 0.8 and cannot give {level}"):
            task.quantiles(said, (level,))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_sorting_learned_quantiles_never_costs(seed):
    task = make("quantile")
    said = answers(task, seed=seed)
    ordered = task.quantiles(said, LEVELS)
    assert (ordered.diff(dim=-1) >= 0).all()
    asked = batch(TARGETS)
    assert task.loss(Says(ordered), asked).total <= task.loss(Says(said), asked).total + 1e-4


def test_metrics_are_in_the_units_of_the_data_and_weigh_every_value_alike(panel):
    task = make("mse", units=panel)
    origins = np.array([0, 1, 2, 5, 9, 13, 20, 22, 31])
    said, targets = answers(task, len(origins)), torch.from_numpy(panel.scaled(origins)).float()
    meter = task.meter()
    for rows in (slice(0, 4), slice(4, 5), slice(5, 9)):
        asked = batch(targets[rows], origins[rows])
        meter.update(task.loss(Says(said[rows]).eval(), asked), asked)
    found = meter.compute()
    error = panel.actual(origins) - panel.original(said[..., 0].numpy(), origins)
    deviation = panel.deviation[panel.series(origins)][:, None]
    assert found["mae"] == pytest.approx(np.nanmean(np.abs(error)))
    assert found["rmse"] == pytest.approx(np.sqrt(np.nanmean(error**2)))
    assert found["scaled_mse"] == pytest.approx(np.nanmean((error / deviation) ** 2))
    assert found["loss"] == pytest.approx(found["scaled_mse"], rel=1e-5)
    assert set(task.headline) <= found.keys()
    assert meter.errors.by_step["mae"].shape == (H,)
    assert list(meter.errors.by_series["mae"]) == ["north/load", "north/oil", "south/load", "south/oil"]


@pytest.mark.parametrize("name", ["quantile", "gaussian", "student_t"])
def test_distributions_are_measured_at_the_tasks_levels(panel, name):
    task = make(name, units=panel)
    origins = np.array([0, 3, 4, 21, 30])
    said = answers(task, len(origins))
    meter = task.meter()
    asked = batch(torch.from_numpy(panel.scaled(origins)).float(), origins)
    meter.update(task.loss(Says(said).eval(), asked), asked)
    found = meter.compute()
    quantiles = panel.original(task.quantiles(said, LEVELS).numpy(), origins)
    actual = panel.actual(origins)[..., None]
    pinball = np.maximum(np.array(LEVELS) * (actual - quantiles), (np.array(LEVELS) - 1) * (actual - quantiles))
    inside = (quantiles[..., 0] <= actual[..., 0]) & (actual[..., 0] <= quantiles[..., -1])
    assert found["pinball"] == pytest.approx(np.nanmean(pinball), rel=1e-6)
    assert found["crps"] == pytest.approx(2 * np.nanmean(pinball), rel=1e-6)
    assert found["coverage_90"] == inside[~np.isnan(actual[..., 0])].mean()
    point = panel.original(task.point(said).numpy(), origins)
    assert found["mae"] == pytest.approx(np.nanmean(np.abs(actual[..., 0] - point)), rel=1e-6)
    assert set(task.headline) <= found.keys()
    np.testing.assert_allclose(meter.examples.quantiles[0], quantiles[0])


@pytest.mark.parametrize("windows", [1, 2, 5, 100, 333])
@pytest.mark.parametrize("size", [1, 7, 400])
def test_examples_are_few_and_spread_over_the_pass_however_it_is_batched(make_panel, windows, size):
    panel = make_panel(np.random.default_rng(0).normal(size=(windows + H, K)), [0], H)
    task = make("gaussian", units=panel)
    meter = task.meter()
    origins = np.arange(windows)
    said = answers(task, windows)
    for start in range(0, windows, size):
        rows = slice(start, start + size)
        asked = batch(torch.from_numpy(panel.scaled(origins[rows])).float(), origins[rows])
        meter.update(task.loss(Says(said[rows]).eval(), asked), asked)
    kept = meter.examples
    assert len(kept.origins) == min(windows, EXAMPLES)
    assert (kept.origins[0], kept.origins[-1]) == (0, windows - 1)
    gaps = np.diff(kept.origins)
    assert windows < 100 or (gaps.min() > windows / 5 and gaps.max() < windows / 2)
    np.testing.assert_allclose(kept.point, panel.original(said[kept.origins, ..., 0].numpy(), kept.origins))
    np.testing.assert_array_equal(kept.actual, panel.actual(kept.origins))
    np.testing.assert_array_equal(meter.errors.residuals[0], origins)


def test_what_decides_comes_last():
    assert make("mse").headline == ("scaled_mae", "mase", "scaled_mse")
    assert make("mse", decides="rmse").headline == ("mae", "mase", "rmse")
    task = make("quantile", decides="crps")
    assert task.headline == ("scaled_mae", "scaled_mse", "mase", "coverage_90", "crps")
    assert (task.monitor, task.maximize) == ("crps", False)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"loss": "mape"}, "task.loss is 'mape'; choose one of mse, mae"),
        ({"loss": "mse", "decides": "crps"}, "decides is crps, which measures distributions, and loss is mse"),
        ({"loss": "mse", "decides": "accuracy"}, "decides is 'accuracy'; choose one of scaled_mse"),
        ({"loss": "huber", "delta": 0.0}, "task.delta is 0.0"),
        ({"loss": "quantile", "levels": (0.6, 0.9), "nominal": None}, "one side of 0.5"),
        ({"loss": "quantile", "levels": (0.9, 0.1)}, "from low to high"),
        ({"loss": "gaussian", "levels": (0.1, 0.9)}, "ends at the levels 0.05 and 0.95"),
        ({"loss": "quantile", "levels": ()}, "levels"),
    ],
)
def test_what_cannot_be_is_refused(options, says):
    with pytest.raises(InputError, match=says):
        make(**options)


def test_without_units_there_is_a_loss_but_no_meter():
    task = make("mse")
    assert task.loss(Says(answers(task)), batch(TARGETS)).count == B * H * K
    with pytest.raises(InputError, match="units of their data"):
        task.meter()


def test_intervals_of_differences_that_add_up_are_refused_before_any_training(panel):
    panel.monotone = False
    with pytest.raises(InputError, match="quantiles of differences do not add up"):
        Forecasting(2, ("a", "b"), 3, panel, loss="gaussian")
    assert Forecasting(2, ("a", "b"), 3, panel, loss="mae").units is panel
