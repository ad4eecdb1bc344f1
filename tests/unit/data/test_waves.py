import numpy as np
import pytest

from seqlab.data.waves import COLUMNS, Waves
from seqlab.types import InputError


def test_waves_are_hours_of_related_columns():
    series = Waves().read()
    assert (series.targets, series.past, series.ahead) == (COLUMNS, (), ("hour", "weekday"))
    assert series.values.shape == (6_000, 3)
    assert series.known.shape == (6_000, 2)
    assert series.values.dtype == series.known.dtype == np.float32
    assert np.isfinite(series.values).all()
    assert series.freq == "h"
    assert (np.diff(series.times) == np.timedelta64(1, "h")).all()
    assert series.times.dtype == np.dtype("datetime64[s]")
    assert (series.starts.tolist(), series.ids, series.measured) == ([0], ("",), None)


def test_waves_depend_on_their_arguments_alone():
    first, again, other = Waves(500, seed=3), Waves(500, seed=3), Waves(500, seed=4)
    assert np.array_equal(first.read().values, again.read().values)
    assert not np.array_equal(first.read().values, other.read().values)
    sources = [first, other, Waves(501, seed=3), Waves(500, seed=3, noise=0), Waves(500, seed=3, past=("price",))]
    sources += [Waves(500, seed=3, calendar=("hour",))]
    assert len({source.digest() for source in sources}) == len(sources)
    assert again.digest() == first.digest()


def test_columns_are_chosen_by_name():
    whole = Waves(400).read()
    series = Waves(400, targets=("price",), past=("warmth", "demand"), calendar=()).read()
    assert np.array_equal(series.values, whole.values[:, [1, 2, 0]])
    assert series.known.shape == (400, 0)
    assert Waves(400, past=("warmth",)).read().targets == ("demand", "price")


def test_waves_have_seasons_a_trend_and_noise_that_grows():
    quiet, noisy = (Waves(8_400, noise=noise).read().values[:, 0] for noise in (0, 1))
    days = quiet[: 8_400 // 168 * 168].reshape(-1, 7, 24).mean(0)
    assert days[:5].std(0).max() < 0.3 * np.abs(days[:5].mean(0) - days[5:].mean(0)).max()  # weekends are different
    assert np.ptp(days.mean(0)) > 10
    assert quiet[-2_000:].mean() > quiet[:2_000].mean() + 3
    noise = (noisy - quiet).reshape(-1, 24)
    assert noise[:, 14].std() > 3 * noise[:, 2].std()  # demand's noise, and a little of warmth's
    assert noise[-100:, 14].std() > 1.4 * noise[:100, 14].std()


def test_one_column_leads_another():
    demand, price, _ = Waves(4_000).read().values.T
    ahead = {lag: np.corrcoef(demand[:3_990], price[lag : 3_990 + lag])[0, 1] for lag in range(5)}
    assert max(ahead, key=ahead.get) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 1}, "length must be at least 2 hours, not 1"),
        ({"seed": -1}, "must not be negative"),
        ({"noise": float("nan")}, "must not be negative"),
        ({"targets": ("demnd",)}, r"no column 'demnd'; did you mean 'demand'\?"),
        ({"targets": ("price",), "past": ("price",)}, "'price' is named twice"),
        ({"past": COLUMNS}, "there is no target"),
        ({"calendar": ("hours",)}, "did you mean 'hour'"),
    ],
)
def test_what_cannot_be_is_one_sentence(arguments, message):
    with pytest.raises(InputError, match=message):
        Waves(**arguments)
