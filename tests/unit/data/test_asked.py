import io

import pytest

from seqlab.data.asked import read_examples, read_stdin_lines, read_texts
from seqlab.types import InputError


def asked(text, **options):
    return read_stdin_lines(io.StringIO(text, newline="\n"), **options)


def test_lines_lose_their_ends_and_a_mark():
    for text in ("one\n\ntwo\n", "\ufeffone\r\n\r\ntwo\r\n", "\udcef\udcbb\udcbfone\n\ntwo"):
        assert asked(text) == ["one", "", "two"]
    assert asked("") == []


def test_texts_with_line_breaks_end_with_a_zero_byte_or_are_json():
    assert asked("\ufeffa\nb\0c\r\n\0", null=True) == ["a\nb", "c\r\n"]
    assert asked("a\0b", null=True) == asked("a\0b\0\n", null=True) == ["a", "b"]
    assert asked('"a\\nb"\n\n{"body": "c", "id": 3}\n', jsonl=True, text_column="body") == ["a\nb", "c"]
    for text, says in (
        ("[1]\n", "line 1: write a JSON string"),
        ("\n{\n", "line 2 is not JSON"),
        ("3", "write"),
    ):
        with pytest.raises(InputError, match=says):
            asked(text, jsonl=True)
    with pytest.raises(InputError, match="give one of them"):
        asked("", null=True, jsonl=True)


def test_a_file_is_read_in_the_form_of_the_runs_own_data(tmp_path):
    data = {"name": "csv", "text_column": "body", "label_column": "stars", "max_length": 400}
    path = tmp_path / "new.csv"
    path.write_text("id;body\n1;good, cheap\n2;bad\n")
    assert read_texts(path, data) == ["good, cheap", "bad"]
    with pytest.raises(InputError, match="no column 'stars'"):
        read_examples(path, data)
    path.write_text("stars,body\n5,good\n")
    assert read_examples(path, data) == (["good"], ["5"])
    path = tmp_path / "new.txt"
    path.write_bytes(b"\xef\xbb\xbfgood, cheap\r\nbad\n")
    assert read_texts(path, data) == read_texts(path, {"name": "imdb"}) == ["good, cheap", "bad"]
    with pytest.raises(InputError, match="data=imdb has no column of labels"):
        read_examples(path, {"name": "imdb"})
