import pandas as pd
import pytest

from seqlab.data.marks import common_mark, split_mark, stripped, without_marks


@pytest.mark.parametrize(
    ("word", "number", "mark"),
    [
        ("$10", "10", "$"), ("€ 4,000", "4,000", "€"), ("10 %", "10", "%"), ("10%", "10", "%"), ("-$3.5", "-3.5", "$"),
        ("$-3.5", "-3.5", "$"), ("1.234,5 €", "1.234,5", "€"), ("£\u00a07", "7", "£"), ("10", "10", ""),
        ("$10 %", "$10 %", ""), ("$$1", "$$1", ""), ("10 EUR", "10 EUR", ""), ("", "", ""),
    ],
)  # fmt: skip
def test_a_mark_stands_before_or_behind_a_number(word, number, mark):
    assert split_mark(word) == (number, mark)
    assert without_marks(word) == number or not mark


def test_a_column_has_one_mark_or_none():
    assert common_mark(pd.Series(["$1", "-$2", "3 $"])) == "$"
    for words in (["$1", "€2"], ["$1", "2"], ["1", "2"], []):
        assert common_mark(pd.Series(words, dtype="str")) == ""
    found = stripped(pd.Series(["$1", "2", None, "€3", "-$4"], dtype="str"), "$")
    assert found.isna().tolist() == [False, True, True, True, False]
    assert found.dropna().tolist() == ["1", "-4"]
