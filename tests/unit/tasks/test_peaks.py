"""Finding peaks and matching them: against definitions written out, and against trying all pairings."""

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.tasks.peaks import local_maxima, match, scores

steps = st.lists(st.integers(0, 25), max_size=5, unique=True).map(lambda found: np.array(sorted(found), np.int64))


@settings(max_examples=100, deadline=None)
@given(
    curve=st.lists(st.integers(-3, 3), min_size=1, max_size=30), distance=st.integers(1, 6), least=st.integers(-2, 2)
)
def test_maxima_are_high_apart_and_none_that_is_free_is_left_out(curve, distance, least):
    curve = np.array(curve, float)
    found = local_maxima(curve, least, distance)
    assert found.dtype == np.int64
    assert (np.diff(found) >= distance).all()

    def summit(t):
        """Whether ``t`` is the middle of a stretch that falls on both sides."""
        first = last = t
        while first > 0 and curve[first - 1] == curve[t]:
            first -= 1
        while last < len(curve) - 1 and curve[last + 1] == curve[t]:
            last += 1
        falls = all(curve[side] < curve[t] for side in (first - 1, last + 1) if 0 <= side < len(curve))
        return falls and t == (first + last) // 2 and curve[t] > least

    assert all(summit(t) for t in found)
    for t in set(range(len(curve))) - set(found.tolist()):  # the others are no summits, or too near to one as high
        assert not summit(t) or any(abs(t - f) < distance and curve[f] >= curve[t] for f in found)


def test_of_two_near_maxima_the_higher_stays_and_shoulders_are_none():
    curve = np.array([0, 5, 0, 6, 4, 3, 0, 5, 0])
    assert local_maxima(curve, 1, 3).tolist() == [3, 7]
    assert local_maxima(curve, 1, 2).tolist() == [1, 3, 7]
    assert local_maxima(curve, 5, 1).tolist() == [3]
    assert local_maxima(np.full(4, np.nan), 0, 1).tolist() == []
    assert local_maxima(np.array([2.0, 1.0, 3.0]), 0, 1).tolist() == [0, 2]  # ends count
    assert local_maxima(np.full(9, np.inf), 0, 1).tolist() == [4]  # who says yes all along says it once


@settings(max_examples=100, deadline=None)
@given(found=steps, true=steps, tolerance=st.integers(0, 6))
def test_no_pairing_has_more_pairs(found, true, tolerance):
    row = match(found, true, tolerance)
    pairs = row.hits[row.hits >= 0]
    assert len(set(pairs.tolist())) == len(pairs)
    assert (np.abs(row.right - true[pairs]) <= tolerance).all()

    def possible(n):
        return any(
            all(abs(int(f) - int(t)) <= tolerance for f, t in zip(some, others, strict=True))
            for some in combinations(found, n)
            for others in permutations(true, n)
        )

    assert not possible(len(pairs) + 1)
    assert sorted([*row.right, *row.alarms]) == found.tolist()
    assert sorted([*true[pairs], *row.misses]) == true.tolist()


def test_a_second_report_of_one_peak_is_a_false_alarm():
    row = match(np.array([9, 11, 40]), np.array([10, 20]), 2)
    assert (row.right.tolist(), row.alarms.tolist(), row.misses.tolist()) == ([9], [11, 40], [20])


def test_scores_are_of_the_counts_over_all_rows():
    none = np.empty(0, np.int64)
    rows = [match(np.array([9, 11]), np.array([10, 20, 30]), 2), match(np.array([5, 22]), np.array([5, 20]), 2)]
    found = scores(rows)
    assert found == pytest.approx(
        {"precision": 3 / 4, "recall": 3 / 5, "f1": 2 * 3 / (4 + 5), "offset": (1 + 0 + 2) / 3}
    )
    assert found["f1"] == pytest.approx(2 * (3 / 4) * (3 / 5) / (3 / 4 + 3 / 5))
    assert set(scores([match(none, none, 3)]).values()) == {0.0}
    assert scores([match(np.array([1]), none, 3)])["precision"] == 0
