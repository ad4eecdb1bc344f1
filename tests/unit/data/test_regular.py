import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.data.regular import Rows, brief, filled, grouped, ordered, regular, single
from seqlab.types import InputError


def rows_of(facts, ids=("x", "y")):
    """Rows of ``(series, day, value)``."""
    series, days, values = (np.array(column) for column in zip(*facts, strict=True))
    return Rows(
        path="a.csv",
        place=lambda row: f"line {row + 2}",
        names=("v",),
        ids=ids,
        times=np.datetime64("2020-01-01", "s") + days * np.timedelta64(1, "D"),
        numbers=values.astype(np.float32)[:, None],
        series=series,
        rows=np.arange(len(series)),
    )


FACTS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 9), st.integers(-9, 9) | st.just(float("nan"))), max_size=25
)


@settings(max_examples=150, deadline=None)
@given(FACTS, st.sampled_from(["first", "last", "mean"]), st.sampled_from(["forward", "zero"]))
def test_what_comes_out_is_regular_and_keeps_what_was_there(facts, duplicates, missing):
    facts = [(0, -1, 1.0), (1, -1, 2.0), *facts]  # every series begins with a value
    found = single(ordered(grouped(rows_of(facts)), "sort"), duplicates)
    found = filled(regular(found, "D", "fill"), missing)
    expected = []
    for of in (0, 1):
        last = 0.0
        for day in range(-1, max(day for whose, day, _ in facts if whose == of) + 1):
            there = [value for whose, when, value in facts if (whose, when) == (of, day)]
            if duplicates == "mean":
                there = [value for value in there if value == value]
                there = [sum(there) / len(there)] if there else []
            value = there[0 if duplicates == "first" else -1] if there else float("nan")
            last = value if value == value else last if missing == "forward" else 0.0
            expected.append((of, day, last))
    assert found.series.tolist() == [of for of, _, _ in expected]
    assert found.times.tolist() == rows_of(expected).times.tolist()
    assert found.numbers[:, 0].tolist() == pytest.approx([value for _, _, value in expected], rel=1e-6)
    assert found.starts.tolist() == [0, sum(of == 0 for of, _, _ in expected)]


def test_regular_rows_are_not_copied():
    rows = rows_of([(0, 0, 1), (0, 1, 2), (1, 0, 3), (1, 1, 4)])
    same = filled(regular(single(ordered(grouped(rows), "refuse"), "refuse"), "D", "refuse"), "refuse")
    assert same is rows


def test_places_are_named_by_line_time_and_series():
    rows = rows_of([(0, 0, 1), (1, 0, 3), (1, 2, 4), (1, 1, 5)])
    assert rows.where(2) == "a.csv, line 4 (2020-01-03, series 'y')"
    with pytest.raises(InputError, match=r"line 5 \(2020-01-02, series 'y'\) comes after 2020-01-03"):
        ordered(rows, "refuse")
    assert rows_of([(0, 0, 1)], ids=("",)).where(0) == "a.csv, line 2 (2020-01-01)"
    assert brief(np.datetime64("2020-01-01T00:30", "s")) == "2020-01-01 00:30:00"
