import gzip

import pytest

from seqlab import bounded
from seqlab.data.dialect import Dialect
from seqlab.data.files import csv_rows, lines_of, open_text, parse_json, read_lines, readable, sample_of
from seqlab.types import InputError


def rows_of(path, **options):
    with readable(path), open_text(path) as file:
        return [row for _, row in csv_rows(file, path, Dialect(","), **options)]


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_lines_are_without_ends_and_mark(tmp_path, name):
    opened = gzip.open if name.endswith("gz") else open
    with opened(tmp_path / name, "wb") as file:
        file.write(b"\xef\xbb\xbfone\r\ntwo\x0b\xc2\x85\n\nthree")
    assert read_lines(tmp_path / name) == ["one", "two\x0b\x85", "", "three"]


def test_a_packed_file_that_unpacks_to_far_more_is_refused_on_the_way(tmp_path, monkeypatch):
    path = tmp_path / "a.tsv.gz"
    path.write_bytes(gzip.compress(b"a\tb\n" * 250_000))
    assert len(read_lines(path)) == 250_000  # as small as this it may be packed as well as it likes
    monkeypatch.setattr(bounded, "_FREE", 1 << 16)
    path.write_bytes(path.read_bytes()[:-4] + bytes(4))  # it states another size
    found = []
    with pytest.raises(InputError, match=r"a\.tsv\.gz unpacks to more than .* MB, 50 times .*gunzip"):
        found.extend(lines_of(path))
    assert len(found) < 250_000


def test_a_line_too_long_is_named_by_its_number(tmp_path, monkeypatch):
    monkeypatch.setattr(bounded, "LONGEST_LINE", 1000)
    path = tmp_path / "a.txt"
    path.write_text("short\n" + "x" * 999 + "\n" + "x" * 5000)
    found = []
    with pytest.raises(InputError, match=r"a\.txt, line 3 is longer than 1,000 characters"):
        found.extend(lines_of(path))
    assert len(found) == 2
    with pytest.raises(InputError, match="line 3 is longer"):
        rows_of(path)


def test_other_encodings_are_named_with_the_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"fine\n" * 50_000 + b"caf\xe9\n")
    with pytest.raises(InputError, match=r"line 50,001 is not utf-8 text .*set data\.encoding"):
        read_lines(path)


def test_cells_and_columns_have_limits(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x" * 131_073 + ",b\n1,2\n")
    assert [len(row) for row in rows_of(path)] == [2, 2]
    path.write_text(",".join("abc" for _ in range(20_000)) + "\n")
    with pytest.raises(InputError, match=r"line 1 has 20,000 cells; at most 10,000"):
        rows_of(path)
    path.write_text('a,b\n"c,d\n')
    with pytest.raises(InputError, match=r"a\.csv, line 2: .*data\.quoted=false"):
        rows_of(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 100_000, "f, line 2 nests more than 100 lists"),
        ('{"a": ' * 150 + "1" + "}" * 150, "nests more than 100"),
        ('{"label": ' + "7" * 5_000 + "}", "whole number of 5,000 digits.*in quotation marks"),
        (r'{"text": "\ud800"}', r"half of a surrogate pair \(\\ud800\)"),
        ('{"text": ', "f, line 2 is not JSON"),
    ],
)
def test_json_that_is_too_much_is_refused_in_a_sentence(text, says):
    with pytest.raises(InputError, match=says) as caught:
        parse_json(text, "f, line 2")
    assert len(str(caught.value)) < 300


def test_json_that_is_well_is_read():
    assert parse_json(r'{"text": "\ud83d\ude00 [[[", "n": -12}', "f") == {"text": "😀 [[[", "n": -12}
    assert parse_json("[" * 100 + "]" * 100, "f")


def test_a_sample_ends_with_a_whole_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b\n" + b"1,2\n" * 100)
    assert sample_of(path, size=6) == "a,b\n1,2\n"
    assert sample_of(path).count("\n") == 101
    path.write_text("a,b")
    assert sample_of(path) == "a,b"


def test_a_packed_file_that_states_its_size_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(bounded, "_FREE", 1 << 16)
    path = tmp_path / "a.tsv.gz"
    path.write_bytes(gzip.compress(b"a\tb\n" * 250_000))
    with pytest.raises(InputError, match="unpacks to more than"):
        open_text(path)
    for content in (b"", b"x", b"\x1f\x8b\x08"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"damaged or incomplete|holds no text|cannot read"):
            read_lines(path)


def test_half_a_surrogate_pair_is_no_text_in_any_encoding(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one \\ud800 two", encoding="ascii")
    with pytest.raises(InputError, match=r"is not raw_unicode_escape text \(surrogates not allowed\)"):
        read_lines(path, "raw_unicode_escape")
