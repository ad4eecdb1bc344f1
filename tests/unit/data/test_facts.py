import numpy as np

from seqlab.data.facts import Facts


def test_facts_of_columns_do_not_hang_on_the_pieces():
    numbers = np.array([[1e9 + 1, 0.5, np.nan, np.nan], [1e9 + 3, np.nan, 0.1, np.nan], [1e9 + 2, 2.5, -0.1, np.nan]])
    for size in (1, 2, 3):
        facts = Facts(4)
        for first in range(0, 3, size):
            piece = numbers[first : first + size]
            facts.add(piece, piece.astype(np.float32))
        facts.add(numbers[:0], numbers[:0].astype(np.float32))
        np.testing.assert_array_equal(facts.low, [1e9 + 1, 0.5, -0.1, np.nan])
        np.testing.assert_array_equal(facts.high, [1e9 + 3, 2.5, 0.1, np.nan])
        assert facts.exact.tolist() == [False, True, False, True]
