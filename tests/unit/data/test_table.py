import csv
import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.data.table import Table
from seqlab.types import InputError

ROWS = [(f'text {number}, with "quotes"\nand lines', "good" if number % 3 else "bad") for number in range(60)]


def write(path, rows=ROWS, columns=("text", "label"), encoding="utf-8"):
    """One file in the format and compression that its name says."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding=encoding, newline="") as file:
        if ".jsonl" in path.name:
            for row in rows:
                file.write(json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) + "\n")
        else:
            csv.writer(file, delimiter="\t" if ".tsv" in path.name else ",").writerows([columns, *rows])
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.csv.gz", "a.tsv.gz", "a.jsonl.gz", "A.CSV"])
def test_every_format_gives_the_same_rows(tmp_path, name):
    raw = Table(write(tmp_path / name), test_fraction=0.2).read()
    assert raw.labels == ("bad", "good")
    assert raw.val is None
    read = [(text, raw.labels[target]) for part in (raw.train, raw.test) for text, target in zip(*part, strict=True)]
    assert sorted(read) == sorted(ROWS)
    assert raw.test[1].count(0) == 4
    assert raw.test[1].count(1) == 8


def test_other_columns_and_parts_are_taken_as_named(tmp_path):
    paths = [
        write(
            tmp_path / f"{part}.csv",
            [(number, part, "no" if number else "on") for number in range(3)],
            ("id", "review", "verdict"),
        )
        for part in ("train", "test", "val")
    ]
    raw = Table(paths[0], "review", "verdict", test_path=paths[1], val_path=paths[2]).read()
    assert raw.labels == ("no", "on")
    assert (raw.train, raw.test, raw.val) == tuple(([part] * 3, [1, 0, 0]) for part in ("train", "test", "val"))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcdefghijkl"), st.sampled_from("xy")), min_size=1, max_size=40), st.randoms()
)
def test_the_held_out_part_depends_on_the_texts_alone(tmp_path_factory, rows, random):
    rows += [("one text", "x"), ("another", "x"), ("a third", "y")]
    folder = tmp_path_factory.mktemp("table")
    held = []
    for name in ("a.csv", "b.jsonl"):
        raw = Table(write(folder / name, rows), test_fraction=0.3).read()
        assert not set(raw.train[0]) & set(raw.test[0])
        assert len(raw.train[0]) + len(raw.test[0]) == len(rows)
        assert raw.labels == ("x", "y")
        held.append(sorted(zip(*raw.test, strict=True)))
        random.shuffle(rows)
    assert held[0] == held[1]
    assert held[0]


def test_labels_are_strings_in_a_sensible_order(tmp_path):
    path = tmp_path / "a.jsonl"
    labels = [1, 10, "2", 1]
    write(path, [(f"t{number}", label) for number, label in enumerate(labels)])
    assert Table(path, test_path=path).read().labels == ("1", "2", "10")
    write(path, [("a", True), ("b", " no "), ("c", 0.5)])
    assert Table(path, test_path=path).read().labels == ("0.5", "no", "true")


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path):
    path = write(tmp_path / "a.csv", encoding="utf-8-sig")
    assert len(Table(path, test_path=path).read().train[0]) == 60


def test_long_texts_and_plain_quotation_marks(tmp_path):
    path = write(tmp_path / "a.csv", [("word " * 40_000, "x"), ("b", "y")])
    assert len(Table(path, test_path=path).read().train[0][0]) == 200_000
    path = tmp_path / "a.tsv"
    path.write_text('text\tlabel\n"unfinished\tx\nsaid "so"\ty\n')
    assert Table(path, test_path=path, quoted=False).read().train[0] == ['"unfinished', 'said "so"']
    with pytest.raises(InputError, match="quoted=false"):
        Table(path, test_path=path).read()


@pytest.mark.parametrize("end", [b"\n\n", b",\n" * 114, b"  \n\t\n,,,\n"])
def test_blank_rows_at_the_end_are_no_examples(tmp_path, end):
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,label\na,x\nb,y\n" + end)
    assert Table(path, test_path=path).read().train[0] == ["a", "b"]


def test_the_digest_follows_contents_and_options(tmp_path):
    path, other = write(tmp_path / "a.csv"), write(tmp_path / "b.csv", ROWS[:50])
    first = Table(path).digest()
    assert Table(path).digest() == first
    digests = {
        first,
        Table(other).digest(),
        Table(path, test_path=other).digest(),
        Table(path, val_path=other).digest(),
        Table(path, test_fraction=0.2).digest(),
        Table(path, "label", "text").digest(),
        Table(path, encoding="latin-1").digest(),
    }
    assert len(digests) == 7


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"txt,label\na,b\n", r"no column 'text' \(the first line has 'txt', 'label'\): did you mean 'txt'\?"),
        ("a.csv", b"body,grade\na,b\n", "set data.text_column and data.label_column, or data.header=false"),
        ("a.csv", b"", "no column 'text'"),
        ("a.csv", b"text,label\n\n", "holds no examples"),
        ("a.csv", b"text,label\na,x\nb,\n", "line 3: the label .* is empty"),
        ("a.csv", b"text,label\na,x\nb,y,z\n", "line 3 and the first line have 3 and 2 cells"),
        ("a.csv", b'text,label\na,x\n"b,y\n', "line 3: .*quotation marks"),
        ("a.csv", b"text,label\na,x\n,\nb,y\n", "line 3: the label .* is empty"),
        ("a.csv", b"text,label\na,x\n \nb,y\n", "line 3: the label .* is empty"),
        ("a.csv", b"text,label\n,x\n  ,y\n", "every text .* is empty"),
        ("a.csv", b"text,label\ncaf\xe9,x\n", "line 2 is not utf-8 text .*: set data.encoding"),
        ("a.csv", b"text,label\na,x\nb,y\n", "too few different texts"),
        ("a.csv.gz", b"no gzip", "cannot read .*gzip"),
        ("a.csv.gz", gzip.compress(b"text,label\na,x\n" * 9)[:-9], "is damaged or incomplete"),
        ("a.jsonl", b'{"text": "a", "label": 1}\n\n{"text": \n', "line 3 is not JSON"),
        ("a.jsonl", b"[1, 2]\n", "line 1 is not a JSON object"),
        ("a.jsonl", b'{"text": "a", "lable": 1}\n', r"no column 'label' \(line 1 has 'text', 'lable'\): did you mean"),
        ("a.jsonl", b'{"text": ["a"], "label": 1}\n', r"line 1: 'text' must be a string, not \[\"a\"\]"),
        ("a.jsonl", b'{"text": "a", "label": {}}\n', "line 1: 'label' must be a label"),
        ("a.jsonl", b'{"text": "a", "label": null}\n', "line 1: the label .* is empty"),
        ("a.txt", b"a b", "must end in .csv, .tsv, .jsonl, .ndjson, .json or .xlsx .*or set data.delimiter"),
    ],
)
def test_errors_say_what_where_and_what_to_do(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        Table(tmp_path / name).read()
    assert str(tmp_path / name) in str(caught.value)
    assert str(caught.value).count("\n") == 0


def test_missing_files_options_and_unknown_labels(tmp_path):
    for ask in (Table.digest, Table.read):
        with pytest.raises(InputError, match=r"cannot read .*none.csv \(No such file"):
            ask(Table(tmp_path / "none.csv"))
    with pytest.raises(InputError, match="no encoding 'utf8000'"):
        Table("a.csv", encoding="utf8000")
    with pytest.raises(InputError, match="test_fraction"):
        Table("a.csv", test_fraction=1.0)
    test = write(tmp_path / "test.csv", [("a", "better")])
    with pytest.raises(InputError, match=r"test.csv has the label 'better', which no training text has"):
        Table(write(tmp_path / "a.csv"), test_path=test).read()
