import io
from pathlib import Path

import pytest

from seqlab.data.asked import check_header, path_of, read_examples, read_stdin_lines, read_texts
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
        read_examples(path, data, ("1", "5"))
    path.write_text("stars,body\n5,good\n")
    assert read_examples(path, data, ("1", "5")) == (["good"], [1])
    with pytest.raises(InputError, match="has the label '5', which no training text has"):
        read_examples(path, data, ("1", "4"))
    path = tmp_path / "new.txt"
    path.write_bytes(b"\xef\xbb\xbfgood, cheap\r\nbad\n")
    assert read_texts(path, data) == read_texts(path, {"name": "imdb"}) == ["good, cheap", "bad"]
    path = tmp_path / "plain.csv"
    path.write_text("label,text\npos,good\n")
    assert read_texts(path, {"name": "imdb"}) == ["good"]
    assert read_examples(path, {"name": "imdb"}, ("neg", "pos")) == (["good"], [1])


def test_an_argument_that_is_plainly_a_path_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").write_text("good\n")
    assert path_of("notes", "seqlab predict r") == Path("notes")
    for word in ("good", "see it in new.csv", "", "x" * 5000, "a\0b", "and/or"):
        assert path_of(word, "seqlab predict r") is None
    for word in ("new.csv", "new.TSV", "a/b.jsonl.gz", "x.xlsx", "x.txt", "x.json"):
        with pytest.raises(InputError) as refused:
            path_of(word, "seqlab predict r")
        assert f"There is no file {word}: check the path" in str(refused.value)
        assert f"echo {word} | seqlab predict r -" in str(refused.value)


@pytest.mark.parametrize("first", ["text,label", '"label";"text"', "id\ttext", "text"])
def test_the_header_of_a_table_on_standard_input_is_refused(first):
    data = {"text_column": "text", "label_column": "label"}
    with pytest.raises(InputError, match=r"is the header of a table.*give the file itself, seqlab predict r FILE"):
        check_header([first, "a,b"], data, "seqlab predict r")
    check_header([first, "a,b"], {**data, "header": False}, "seqlab predict r")
    check_header([first, "a,b"], {"name": "imdb"}, "seqlab predict r")


def test_a_text_that_holds_the_name_of_the_column_is_no_header():
    check_header(["the text, and the label", "b"], {"text_column": "text"}, "seqlab predict r")
    check_header(["text"], {"text_column": "text"}, "seqlab predict r")
    check_header([], {"text_column": "text"}, "seqlab predict r")


def test_sentences_to_translate_are_lines_or_a_column_of_pairs(tmp_path):
    path = tmp_path / "new.tsv"
    path.write_text("eins\tone\nzwei\ttwo\n")
    assert read_texts(path, {"shared": True, "source_column": 2}) == ["one", "two"]
    assert read_texts(path, {"shared": True, "source_column": "eins"}) == ["zwei"]
    path.write_text("eins\nzwei\n")
    assert read_texts(path, {"shared": True, "source_column": 2}) == ["eins", "zwei"]
