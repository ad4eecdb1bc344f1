import csv
import gzip
import json

import pytest

from seqlab.data.dialect import detect
from seqlab.data.table import Table
from seqlab.types import InputError

ROWS = [("good", "pos"), ("bad, dear", "neg"), ("so so", "neg")]


def rows_of(path, **options):
    texts, labels = Table(path, **options).rows.examples(path)
    return list(zip(texts, labels, strict=True))


def refused(path, **options):
    with pytest.raises(InputError) as caught:
        rows_of(path, **options)
    return str(caught.value)


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_a_csv_of_another_delimiter_is_read_and_said(tmp_path, caplog, delimiter):
    path = tmp_path / "a.csv"
    with open(path, "w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([("text", "label"), *ROWS])
    with caplog.at_level("INFO"):
        assert rows_of(path) == ROWS
    assert "cells are separated by " in caplog.text
    caplog.clear()
    assert rows_of(path, delimiter="tab" if delimiter == "\t" else delimiter) == ROWS
    assert not caplog.text
    assert detect(path.read_text()).delimiter == delimiter


def test_any_name_will_do_where_the_delimiter_is_given(tmp_path):
    path = tmp_path / "a.dat"
    path.write_text("text;label\na;x\n")
    assert "or set data.delimiter" in refused(path)
    assert rows_of(path, delimiter=";") == [("a", "x")]


def test_without_a_header_columns_are_numbers(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("pos,7,good\nneg,8,bad\n")
    options = {"header": False, "label_column": 1}
    assert rows_of(path, text_column=3, **options) == [("good", "pos"), ("bad", "neg")]
    assert "data.header=false: columns are named by their numbers" in refused(path, header=False)
    assert "not 'text': set data.text_column=1" in refused(path, **options)
    assert "has no column 4: its first line has 3" in refused(path, text_column=4, **options)
    assert "or data.header=false where the first line is data" in refused(path)


def test_several_columns_are_joined_and_a_name_twice_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("title,label,body,x,x\nA,p,b c,1,2\n,n,d,1,2\n")
    assert rows_of(path, text_column=["title", "body"]) == [("A b c", "p"), ("d", "n")]
    assert "a.csv has two columns 'x': rename one" in refused(path, text_column=["title", "x"])
    with pytest.raises(InputError, match=r"both 'label'"):
        Table(path, text_column=["title", "label"])
    with pytest.raises(InputError, match=r"data\.text_column is empty"):
        Table(path, text_column=[])


def test_quotation_marks_behind_a_space_are_no_part_of_a_cell(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('text, label\n"good, nice", "pos"\nbad, "neg"\n')
    assert rows_of(path) == [("good, nice", "pos"), ("bad", "neg")]
    path.write_text("text,label\n" + "a long text to fill the sample,neg\n" * 9000 + 'bad, "neg"\n')
    assert "line 9002: a quotation mark stands behind a space" in refused(path)


def test_rows_without_a_label_or_text_are_left_out_on_request(tmp_path, caplog):
    path = tmp_path / "a.csv"
    path.write_text("text,label\na,x\nb,\n ,x\nc,?\nd,y\n")
    assert "line 3: the label (column 'label') is empty" in refused(path)
    assert "data.missing=drop" in refused(path)
    with caplog.at_level("INFO"):
        assert rows_of(path, missing="drop", na=["?"]) == [("a", "x"), ("d", "y")]
    assert "3 rows without a label or text are left out" in caplog.text
    path.write_text("text,label\na,x\nb,?\n")
    assert "line 3: the label" in refused(path, na=["?"])
    (tmp_path / "a.jsonl").write_text('{"text": null, "label": 1}\n{"text": "a", "label": 2}\n')
    assert rows_of(tmp_path / "a.jsonl", missing="drop") == [("a", "2")]


@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.jsonl"])
def test_nested_fields_are_named_by_a_path(tmp_path, name):
    rows = [{"review": {"text": f"t{n}", "tags": [{"name": "x"}, {"name": f"l{n}"}]}, "a.b": "c"} for n in range(3)]
    said = "\n".join(map(json.dumps, rows)) if "jsonl" in name else json.dumps(rows, indent=1)
    opened = gzip.open if name.endswith("gz") else open
    with opened(tmp_path / name, "wt", encoding="utf-8") as file:
        file.write("\ufeff" + said)
    columns = {"text_column": "review.text", "label_column": "review.tags.1.name"}
    assert rows_of(tmp_path / name, **columns) == [("t0", "l0"), ("t1", "l1"), ("t2", "l2")]
    assert rows_of(tmp_path / name, **columns | {"text_column": "a.b"})[0] == ("c", "l0")
    place = "line 1" if "jsonl" in name else "object 1"
    assert f"no column 'review.txt' ({place} has 'review', 'a.b')" in refused(
        tmp_path / name, **columns | {"text_column": "review.txt"}
    )


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", b'{"text": "a"}', "must hold a list of objects"),
        ("a.json", b"[1]", "object 1 is not a JSON object"),
        ("a.json", b"[", "a.json is not JSON"),
        ("a.jsonl", b"[" * 100_000, "line 1 nests more than 100"),
        (
            "a.jsonl",
            b'{"text": "a", "label": 1}\n{"text": "\\ud800", "label": 1}\n',
            "line 2 holds half of a surrogate",
        ),
        ("a.jsonl", b'{"text": "a", "label": ' + b"7" * 5000 + b"}\n", "line 1 holds a whole number of 5,000 digits"),
        ("a.csv", b"x," * 20_000 + b"\n", "line 1 has 20,001 cells"),
        ("a.csv", b"x" * 131_073 + b",b\n1,2\n", "has no column 'text'"),
        ("a.xlsx", b"no workbook", "is no Excel workbook"),
    ],
)
def test_what_is_too_much_is_refused_in_a_sentence(tmp_path, name, content, says):
    if name == "a.xlsx":
        pytest.importorskip("openpyxl")
    (tmp_path / name).write_bytes(content)
    message = refused(tmp_path / name)
    assert says in message
    assert len(message) < 500


def test_a_sheet_of_excel(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in [("text", "label"), ("good", 1), (None, None), ("bad", 2.0), ("yes", True)]:
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    assert rows_of(tmp_path / "a.xlsx") == [("good", "1"), ("bad", "2"), ("yes", "true")]
    assert "(the first line has 'text', 'label')" in refused(tmp_path / "a.xlsx", text_column="body")


def test_a_sheet_needs_a_package(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    (tmp_path / "a.xlsx").write_bytes(b"")
    assert "needs openpyxl: pip install 'seqlab[xlsx]', or save the sheet as CSV" in refused(tmp_path / "a.xlsx")


def test_a_folder_of_classes(tmp_path):
    for name, text in {
        "pos/1.txt": "good\n",
        "pos/2.txt": "a\nb",
        "neg/1.txt": "\ufeffbad\r\n",
        "neg/x.md": "?",
    }.items():
        (tmp_path / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / name).write_bytes(text.encode())
    assert rows_of(tmp_path / "files") == [("bad", "neg"), ("good", "pos"), ("a\nb", "pos")]
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "pos.txt").write_text("good\n\nfine\n")
    (tmp_path / "lines" / "neg.txt").write_text("bad\n")
    assert rows_of(tmp_path / "lines") == [("bad", "neg"), ("good", "pos"), ("fine", "pos")]
    first = Table(tmp_path / "lines").digest()
    (tmp_path / "lines" / "neg.txt").write_text("worse\n")
    assert Table(tmp_path / "lines").digest() != first
    (tmp_path / "lines" / "more").mkdir()
    (tmp_path / "lines" / "more" / "a.txt").write_text("x")
    assert "neg.txt beside the folder more" in refused(tmp_path / "lines")
    (tmp_path / "set" / "train" / "pos").mkdir(parents=True)
    assert "holds neither CLASS/*.txt nor CLASS.txt; name one of its folders, such as" in refused(tmp_path / "set")
