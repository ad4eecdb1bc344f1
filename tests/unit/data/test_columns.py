import numpy as np
import pytest

from seqlab.data import columns
from seqlab.data.columns import ColumnFile
from seqlab.types import InputError


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_a_file_is_read_in_pieces(tmp_path, monkeypatch, rows):
    monkeypatch.setattr(columns, "ROWS", rows)
    path = tmp_path / "a.csv"
    path.write_text("\ufeffname, x ,other,y\n" + "".join(f"n{n},{n},a,{n / 2}\n" for n in range(7)), encoding="utf-8")
    file = ColumnFile(path)
    assert list(file.head().columns) == ["name", "x", "other", "y"]
    pieces = list(file.pieces(["name"], ["y", "x"]))
    assert [len(numbers) for _, numbers in pieces] == [min(rows, 7 - at) for at in range(0, 7, rows)]
    assert [name for words, _ in pieces for name in words["name"]] == [f"n{n}" for n in range(7)]
    numbers = np.concatenate([numbers for _, numbers in pieces])
    assert numbers.dtype == np.float64
    assert numbers.tolist() == [[n / 2, n] for n in range(7)]


def test_every_word_for_missing_is_no_number(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("k,v\n" + "".join(f"k,{word}\n" for word in columns.MISSING) + "k,1\nk\n", encoding="utf-8")
    ((words, numbers),) = ColumnFile(path).pieces(["k"], ["v"])
    assert np.isnan(numbers[:, 0]).tolist() == [True] * len(columns.MISSING) + [False, True]
    assert (words["k"] == "k").all()


def test_rows_are_found_by_their_lines_and_columns_by_their_names(tmp_path):
    assert ColumnFile(tmp_path / "a.csv").place(0) == "line 2"
    assert ColumnFile(tmp_path / "a.parquet").place(12_345) == "row 12,346"
    file = ColumnFile(tmp_path / "a.csv")
    assert file.column("x", ["x", " "]) == "x"
    with pytest.raises(InputError, match=r"a.csv has no column 'y'; known: x$"):
        file.column("y", ["x", " "])


def test_columns_without_a_name_are_told_apart(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(",x,,\n1,2,3,4\n", encoding="utf-8")
    assert ColumnFile(path).head().iloc[0].tolist() == ["1", "2", "3", "4"]
    ((_, numbers),) = ColumnFile(path).pieces([], ["x"])
    assert numbers.tolist() == [[2]]
