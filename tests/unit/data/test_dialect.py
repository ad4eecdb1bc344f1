import pytest

from seqlab.data.dialect import Dialect, detect
from seqlab.types import InputError


@pytest.mark.parametrize(
    ("sample", "options", "delimiter", "decimal"),
    [
        ("text,label\ngood,pos\nbad,neg\n", {}, ",", "."),
        ("text;label\ngood, nice, cheap;pos\nbad, dear;neg\n", {}, ";", "."),
        ('text;label\n"good; nice";pos\nbad;neg\n', {}, ";", "."),
        ("day;load\n2020-01-01;1,5\n2020-01-02;-12,25\n", {}, ";", ","),
        ("day;load\n2020-01-01;1.234,5\n2020-01-02;12,25\n", {}, ";", ","),
        ('day,load\n2020-01-01,"1,5"\n2020-01-02,"2,25"\n', {}, ",", ","),
        ('day,load\n2020-01-01,"4,000"\n2020-01-02,"12,500"\n', {}, ",", "."),
        ("a\tb\n1\t2\n", {}, "\t", "."),
        ("a|b\n1|2\n", {}, "|", "."),
        ("a,b;c\nx,2;y\n", {"delimiter": ";"}, ";", "."),
        ("a;b\n1,5;2\n", {"decimal": "."}, ";", "."),
        ("text\nx\n", {}, ",", "."),
        ("a\tb\n1,5\t2\n", {"usual": "\t"}, "\t", ","),
        ("a b\n", {"delimiter": "tab"}, "\t", "."),
        ("1,5;2,5\n3,25;4,5\n", {"header": False}, ";", ","),
        ("", {}, ",", "."),
    ],
)
def test_delimiter_and_decimal_mark_are_found(sample, options, delimiter, decimal):
    found = detect(sample, **options)
    assert (found.delimiter, found.decimal) == (delimiter, decimal)


def test_only_what_is_unusual_is_said():
    assert detect("text,label\ngood,pos\n").said("a.csv") is None
    assert detect("a\tb\n", usual="\t").said("a.tsv") is None
    assert detect("a;b\n1,5;2\n").said("a.csv") == (
        "a.csv: cells are separated by a semicolon; a comma is the decimal mark (as in 1,5)"
    )
    assert detect("a;b\n1;2\n", delimiter=";").said("a.csv") is None
    assert "set data.decimal" in detect("a;b\n4,000;2\n5,000;3\n").said("a.csv")
    assert "both as 1.5 and as 2,5" in detect("a;b\n1.5;2,5\n").said("a.csv")


def test_a_delimiter_that_cannot_be_told_is_asked_for():
    with pytest.raises(InputError, match=r"semicolon or a vertical bar: set data\.delimiter"):
        detect("a;b|c\nx;y|z\n")
    found = detect("a,b;c\nx,y;z\n")
    assert found.delimiter == ","
    assert "a semicolon would fit too: set data.delimiter" in found.said("a.csv")


def test_a_line_that_looks_like_data_is_a_hint_alone():
    assert detect("a,1\nb,2\n") == Dialect(",", headless=True)
    assert not detect("text,label\nb,2\n").headless
    assert detect("a,1\nb,2\n", header=False) == Dialect(",", header=False)


def test_quotation_marks_behind_a_space():
    assert detect('text,label\na, "b"\n').spaced
    assert detect('text,label\nq, "a, b"\n').spaced
    assert not detect('text,label\na, b\n"c d",e\n').spaced
    assert not detect('text,label\n "so" she said,e\n').spaced
    assert not detect('text,label\na, "b"\n', quoted=False).spaced


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"delimiter": ",,"},
            r"data\.delimiter must be one character, or comma, semicolon, tab, pipe or space, not ',,'",
        ),
        ({"delimiter": '"'}, r"data\.delimiter must be one character"),
        ({"decimal": "x"}, r"data\.decimal must be '\.' or ',', not 'x'"),
        ({"delimiter": ",", "decimal": ",", "quoted": False}, r"are both ','"),
    ],
)
def test_options_that_cannot_be_are_refused(options, says):
    with pytest.raises(InputError, match=says):
        detect("a,b\n", **options)
