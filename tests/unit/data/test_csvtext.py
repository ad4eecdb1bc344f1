import pandas as pd
import pytest

from seqlab.data.csvtext import mended, strict
from seqlab.types import InputError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n1,2,3\n", r"a.csv, line 3: 3 cells where the header has 2: separate cells by commas"),
        ("", "a.csv is empty: give a file with a header and rows under it"),
    ],
)
def test_what_pandas_says_is_one_sentence(tmp_path, text, message):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message), mended(path, "utf-8"), strict():
        pd.read_csv(path)


def test_other_errors_are_no_concern_of_a_csv(tmp_path):
    with pytest.raises(KeyError), mended(tmp_path / "a.csv", "utf-8"):
        raise KeyError("x")
