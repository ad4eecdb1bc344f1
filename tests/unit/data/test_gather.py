from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seqlab.data.gather import gather
from seqlab.data.times import TimeColumn
from seqlab.types import InputError


@dataclass
class Made:
    """A table of given pieces."""

    made: list
    path: Path = Path("a.csv")
    asked: list = field(default_factory=list)

    def place(self, row):
        return f"place {row}"

    def pieces(self, words, numbers):
        self.asked.append((list(words), list(numbers)))
        for frame, found in self.made:
            yield frame[words], np.asarray(found, float)


def frame(times, ids):
    return pd.DataFrame({"t": pd.Series(times, dtype="str"), "k": pd.Series(ids, dtype="str")})


def test_pieces_become_rows_by_the_order_of_their_ids():
    first = frame(["2020-01-01", None, "2020-01-01"], ["10", None, "9"]), [[1], [np.nan], [2]]
    table = Made([first, (frame(["2020-01-02"], ["9"]), [[3]])])
    rows, facts = gather(table, TimeColumn(("t",)), "k", ("v",))
    assert table.asked == [(["t", "k"], ["v"])]
    assert (rows.ids, rows.series.tolist(), rows.rows.tolist()) == (("9", "10"), [1, 0, 0], [0, 2, 3])
    assert rows.numbers[:, 0].tolist() == [1, 2, 3]
    assert (rows.times.dtype, facts.low[0], facts.high[0]) == ("datetime64[s]", 1, 3)


def test_times_have_the_unit_that_they_need():
    for cell, dtype in (("2020-01-01 00:00:00.5", "datetime64[ms]"), ("2020-01-01 00:00:00.00025", "datetime64[us]")):
        rows, _ = gather(Made([(frame([cell], ["x"]), [[1]])]), TimeColumn(("t",)), None, ("v",))
        assert (rows.times.dtype, rows.ids) == (dtype, ("",))


def test_what_is_wrong_is_named_by_its_place():
    clock = TimeColumn(("t",))
    with pytest.raises(InputError, match=r"a.csv, place 1: 't' is 'x', which is no time that can be read"):
        gather(Made([(frame(["2020-01-01", "x"], ["k", "k"]), [[1], [2]])]), clock, "k", ("v",))
    with pytest.raises(InputError, match=r"a.csv, place 1: 'k' is empty: name the series"):
        gather(Made([(frame(["2020-01-01", "2020-01-02"], ["k", None]), [[1], [2]])]), clock, "k", ("v",))
    with pytest.raises(InputError, match=r"a.csv holds no rows"):
        gather(Made([(frame([None], [None]), [[np.nan]])]), clock, "k", ("v",))
