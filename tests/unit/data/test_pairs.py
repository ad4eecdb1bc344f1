import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.data.files import read_lines
from seqlab.data.pairs import PairsFile, aligned
from seqlab.types import InputError

ROWS = [(f"satz {number}, „so“", f'sentence {number}, "so"') for number in range(50)]


def write(path, text, encoding="utf-8"):
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def columns(rows, end="\n"):
    return "".join("\t".join(row) + end for row in rows)


def side(rows, at, end="\n"):
    return "".join(row[at] + end for row in rows)


def all_rows(raw):
    return [row for part in (raw.train, raw.test) for row in zip(*part, strict=True)]


@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz", "a.txt"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_columns_and_two_files_give_the_same_pairs(tmp_path, name, end):
    one = PairsFile(write(tmp_path / name, columns(ROWS, end)))
    sides = [
        write(tmp_path / f"train.{language}{'.gz' if name.endswith('.gz') else ''}", side(ROWS, at, end))
        for at, language in enumerate(("de", "en"))
    ]
    two = PairsFile(*sides)
    assert one.read() == two.read()
    assert sorted(all_rows(one.read())) == sorted(ROWS)
    assert (len(one.read().test[0]), one.read().val) == (5, None)
    assert (one.name, two.name) == ("a", "train")
    assert one.digest() != two.digest()


def test_parts_are_taken_as_named_each_in_its_own_form(tmp_path):
    train = write(tmp_path / "a.tsv", columns(ROWS[:5]))
    val = [write(tmp_path / f"val.{at}", side(ROWS[5:8], at)) for at in (0, 1)]
    test = write(tmp_path / "t.tsv", columns(ROWS[8:]))
    raw = PairsFile(train, val_path=val[0], val_target_path=val[1], test_path=test).read()
    for part, rows in ((raw.train, ROWS[:5]), (raw.val, ROWS[5:8]), (raw.test, ROWS[8:])):
        assert list(zip(*part, strict=True)) == rows


def test_other_columns_by_number_and_by_name(tmp_path):
    path = write(tmp_path / "a.tsv", "id\ten\tde\n" + columns([(str(n), t, s) for n, (s, t) in enumerate(ROWS)]))
    named = PairsFile(path, source_column="de", target_column="en", test_path=path).read()
    assert list(zip(*named.train, strict=True)) == ROWS
    numbered = PairsFile(path, source_column=3, target_column=2, test_path=path).read()
    assert list(zip(*numbered.train, strict=True)) == [("de", "en"), *ROWS]


def test_what_surrounds_a_sentence_and_what_is_no_line_end(tmp_path):
    path = write(tmp_path / "a.tsv", "\ufeff eins \t one\u2028more \nzwei\x0b2\ttwo\r2")
    assert PairsFile(path, test_path=path).read().train == (["eins", "zwei\x0b2"], ["one\u2028more", "two\r2"])
    path = write(tmp_path / "b.tsv", columns(ROWS), "utf-16")
    assert sorted(all_rows(PairsFile(path, encoding="utf-16").read())) == sorted(ROWS)


@pytest.mark.parametrize("end", ["\n", "\n \n\t\n", "\t\n" * 200])
def test_blank_lines_at_the_end_are_no_pairs(tmp_path, end):
    path = write(tmp_path / "a.tsv", columns(ROWS) + end)
    assert PairsFile(path, test_path=path).read().train == tuple(map(list, zip(*ROWS, strict=True)))
    two = aligned(write(tmp_path / "a.de", side(ROWS, 0) + end), write(tmp_path / "a.en", side(ROWS, 1)))
    assert list(zip(*two, strict=True)) == ROWS


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcdefghijkl"), st.sampled_from("xy")), min_size=2, max_size=40), st.randoms()
)
def test_the_held_out_part_depends_on_the_sources_alone(tmp_path_factory, rows, random):
    rows = [("one", "x"), ("two", "y"), *rows]
    folder, held = tmp_path_factory.mktemp("pairs"), []
    for name in ("a.tsv", "b.tsv"):
        raw = PairsFile(write(folder / name, columns(rows)), test_fraction=0.3).read()
        assert not set(raw.train[0]) & set(raw.test[0])
        assert sorted(all_rows(raw)) == sorted(rows)
        different = len({source for source, _ in rows})
        assert len(set(raw.test[0])) == max(1, round(different * 0.3))
        held.append(sorted(zip(*raw.test, strict=True)))
        random.shuffle(rows)
    assert held[0] == held[1]


def test_the_digest_follows_contents_and_options(tmp_path):
    path, other = write(tmp_path / "a.tsv", columns(ROWS)), write(tmp_path / "b.tsv", columns(ROWS[:9]))
    assert PairsFile(path).digest() == PairsFile(path).digest()
    digests = {
        source.digest()
        for source in (
            PairsFile(path),
            PairsFile(other),
            PairsFile(path, other),
            PairsFile(path, val_path=other),
            PairsFile(path, test_path=other),
            PairsFile(path, val_path=other, val_target_path=other),
            PairsFile(path, test_fraction=0.2),
            PairsFile(path, source_column=2, target_column=1),
            PairsFile(path, encoding="latin-1"),
        )
    }
    assert len(digests) == 9


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        (b"ein Satz\na sentence\n", {}, r"a\.tsv, line 1 has no tab: .*set data.target_path"),
        (b"a\tb\nc d\n", {}, "line 2: 1 column where line 1 has 2 columns: .*by a tab"),
        (b"a\tb\nc\td\te\n", {}, "line 2: 3 columns where line 1 has 2 columns"),
        (b"a\tb\n\nc\td\n", {}, "line 2 is empty: delete it"),
        (b"de\tde\ten\na\tb\tc\n", {"source_column": "de", "target_column": "en"}, "has two columns 'de': rename one"),
        (b"a\tb\n \td\n", {}, "line 2: column 1 is empty: fill it in or delete the line"),
        (b"a\tb\nc\t\n", {}, "line 2: column 2 is empty"),
        (b"de\ten\nx\ty\nc\t\n", {"source_column": "de", "target_column": "en"}, "line 3: column 'en' is empty"),
        (b"de\ten\n", {"source_column": "de", "target_column": "en"}, "holds no pairs but only a line of names"),
        (b"a\tb\n", {"source_column": "de", "target_column": "en"}, r"no column 'de' \(line 1 has 'a', 'b'\): set"),
        (b"a\tb\n", {"target_column": 3}, "no column 3: line 1 has 2 columns; set"),
        (b"a\tb\nc\xff\td\n", {}, "line 2 is not utf-8 text .*: set data.encoding"),
        (b"", {}, "holds no text"),
        (b" \n\n", {}, "holds no text"),
        (b"a\tb\na\tc\n", {}, "has one source alone, so none can be held out .* or set data.test_path"),
    ],
)
def test_errors_of_columns_say_what_where_and_what_to_do(tmp_path, content, options, says):
    (tmp_path / "a.tsv").write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        PairsFile(tmp_path / "a.tsv", **options).read()
    assert str(tmp_path / "a.tsv") in str(caught.value)
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize(
    ("source", "target", "says"),
    [
        ("a\nb\nc\n", "x\ny\n", r"a\.de, line 3 has no partner: \S+a\.en ends after 2 lines, \S+a\.de has 3"),
        ("a\nb\n", "x\ny\nz\n", r"a\.en, line 3 has no partner: \S+a\.de ends after 2 lines"),
        ("a\n \nc\n", "x\ny\nz\n", r"a\.de, line 2 is empty: .*delete that line here and in \S+a\.en"),
        ("a\nb\nc\n", "x\ny\n\n", r"a\.en, line 3 is empty: .*here and in \S+a\.de"),
        ("a\n", "", r"a\.en holds no text"),
    ],
)
def test_errors_of_two_files_say_what_where_and_what_to_do(tmp_path, source, target, says):
    paths = write(tmp_path / "a.de", source), write(tmp_path / "a.en", target)
    with pytest.raises(InputError, match=says) as caught:
        aligned(*paths)
    assert str(caught.value).count("\n") == 0


def test_files_that_cannot_be_read(tmp_path):
    for ask in (PairsFile.digest, PairsFile.read):
        with pytest.raises(InputError, match=r"cannot read .*none\.tsv \(No such file"):
            ask(PairsFile(tmp_path / "none.tsv"))
    whole = gzip.compress(b"a\tb\n" * 99)
    for content, says in ((b"no gzip", r"cannot read .*gzip"), (whole[:-9], "is damaged or incomplete")):
        (tmp_path / "a.tsv.gz").write_bytes(content)
        with pytest.raises(InputError, match=says):
            read_lines(tmp_path / "a.tsv.gz")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"test_fraction": 1.0}, "test_fraction"),
        ({"encoding": "utf8000"}, "no encoding 'utf8000'"),
        ({"encoding": "base64"}, "no encoding 'base64'"),
        ({"source_column": 0}, "source_column must be at least 1"),
        ({"target_column": 1}, "both 1"),
        ({"source_column": "de"}, "both be numbers, or both names"),
        ({"val_target_path": "v.en"}, "val_target_path=v.en lacks its sources: set data.val_path"),
        ({"test_target_path": "t.en"}, "test_target_path=t.en lacks its sources: set data.test_path"),
    ],
)
def test_options_that_cannot_be_are_refused_at_once(options, says):
    with pytest.raises(InputError, match=says):
        PairsFile("a.tsv", **options)
