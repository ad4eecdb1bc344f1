"""Labels as files write them: classes, numbers and sets."""

from __future__ import annotations

import numpy as np
import pytest

from seqlab.data import targets
from seqlab.data.labelled import load_labelled
from seqlab.data.table import Table
from seqlab.text.pipeline import WordPipeline
from seqlab.types import InputError


@pytest.mark.parametrize(("text", "number"), [
    ("12", 12.0), ("-1.5", -1.5), ("+2e3", 2000.0), ("12,5", 12.5), (".5", 0.5), ("0,125", 0.125), ("1234,500", 1234.5),
    ("$10", 10.0), ("10 %", 10.0), ("-€ 2,5", -2.5),
])  # fmt: skip
def test_numbers_are_read_with_a_point_or_a_comma(text, number):
    assert targets.parsed("regression", text, None) == number


@pytest.mark.parametrize(("text", "reason"), [
    ("cheap", "is no number"), ("nan", "is no number"), ("inf", "is no number"), ("1_000", "is no number"),
    ("$10%", "is no number"), ("$ 4,000", "may be 4000 or 4.000"), ("1e999", "too large"), ("9" * 5000, "is no number"),
    ("4,000", "may be 4000 or 4.000"),
])  # fmt: skip
def test_what_is_no_number_is_refused(text, reason):
    with pytest.raises(ValueError, match=reason):
        targets.parsed("regression", text, None)


def test_a_label_that_is_no_number_is_refused_with_its_line(tmp_path):
    (tmp_path / "a.csv").write_text("text,price\ngood,1\nbad,cheap\n")
    with pytest.raises(InputError, match=r"a.csv, line 3: the label \(column 'price'\) 'cheap' is no number: write it"):
        Table(tmp_path / "a.csv", label_column="price", kind="regression").read()


def test_numbers_have_the_same_mark_in_all_rows_and_files(tmp_path):
    path, test = tmp_path / "a.csv", tmp_path / "b.csv"
    options = {"label_column": "price", "kind": "regression", "test_path": test}
    path.write_text("text,price\ngood,$1\nbad,$2.5\n")
    test.write_text("text,price\nfair,$ 2\n")
    assert Table(path, **options).read().train[1] == [1.0, 2.5]
    test.write_text("text,price\nfair,2\n")
    with pytest.raises(
        InputError, match=r"b.csv: the label .* '2' has no mark and the numbers before it have the mark \$"
    ):
        Table(path, **options).read()
    path.write_text("text,price\ngood,10 %\nbad,$2.5\n")
    with pytest.raises(
        InputError, match=r"a.csv, line 3: .* '\$2.5' has the mark \$ and the numbers .* the mark %: write"
    ):
        Table(path, **options).read()
    test.write_text("text,price\nfair,10 %\n")
    assert Table(path, label_column="price", test_path=test).read().labels == ("$2.5", "10 %")


def load(path, kind, **options):
    return load_labelled(
        Table(path, kind=kind, **options), WordPipeline(), val_fraction=0.2, seed=0, cache_dir=path.parent / "cache"
    )


def test_numbers_are_standardised_by_the_training_part_alone(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,price\n" + "".join(f"text {row},{row * row / 10}\n" for row in range(100)))
    for _ in range(2):  # read, and from the cache
        data = load(path, "regression", label_column="price")
        assert (len(data.train), len(data.val), len(data.test)) == (72, 18, 10)
        assert data.train.targets.dtype == np.float32
        assert data.train.targets.shape == (72, 1)
        assert data.train.targets.mean() == pytest.approx(0, abs=1e-6)
        assert data.train.targets.std() == pytest.approx(1, abs=1e-6)
        spec = data.spec
        assert (spec.task, spec.num_outputs, spec.labels) == ("regression", 1, ("price",))
        everything = [part.targets[:, 0] * spec.deviation + spec.mean for part in (data.train, data.val, data.test)]
        assert np.sort(np.concatenate(everything)) == pytest.approx([row * row / 10 for row in range(100)], abs=1e-3)


def test_equal_numbers_teach_nothing(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"text {row},5\n" for row in range(20)))
    with pytest.raises(InputError, match="has the number 5: there is nothing to learn"):
        load(tmp_path / "a.csv", "regression")


def test_sets_of_labels_become_rows_of_zeros_and_ones(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f'text {row},"{"a;b" if row % 2 else " b ; c;"}"\n' for row in range(40)))
    for _ in range(2):
        data = load(path, "multilabel", label_separator=";")
        assert data.spec.task == "multilabel"
        assert data.labels == ("a", "b", "c")
        assert {tuple(row) for row in data.train.targets.tolist()} == {(1, 1, 0), (0, 1, 1)}
        assert len(data.train) + len(data.val) + len(data.test) == 40


def test_sets_of_labels_may_be_lists_in_json(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "x", "label": ["b", "a"]}\n{"text": "y", "label": "c|a"}\n')
    table = Table(tmp_path / "a.jsonl", label_separator="|", kind="multilabel")
    assert table.rows.examples(tmp_path / "a.jsonl", "multilabel") == (["x", "y"], ["b|a", "c|a"])


@pytest.mark.parametrize(("word", "mark"), [("pipe", "|"), ("space", " "), ("semicolon", ";"), (" / ", " / ")])
def test_separators_are_named_like_delimiters(tmp_path, word, mark):
    (tmp_path / "a.csv").write_text(f'text,label\nx,"{mark.join("ba")}"\ny,{mark.join("ac")}\n')
    table = Table(tmp_path / "a.csv", label_separator=word, kind="multilabel", test_path=tmp_path / "a.csv")
    assert table.read().labels == ("a", "b", "c")
    assert table.read().train[1] == [(0, 1), (0, 2)]


def test_rows_without_a_label_are_refused_left_out_or_kept_as_the_empty_set(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\nx,a;b\ny,\nz, ; \nw,clean\nv,b\n")

    def rows(**options):
        return Table(path, label_separator=";", kind="multilabel", test_path=path, **options).read()

    with pytest.raises(InputError, match=r"line 3: the label .* is empty: .*data.missing=drop, or read .*=keep\.$"):
        rows()
    assert rows(missing="drop", na=["clean"]).train == (["x", "v"], [(0, 1), (1,)])
    kept = rows(missing="keep", na=["clean"])
    assert kept.labels == ("a", "b")
    assert kept.train == (["x", "y", "z", "w", "v"], [(0, 1), (), (), (), (1,)])
    with pytest.raises(InputError, match=r"data.missing=keep .*task=classification needs a label"):
        Table(path, missing="keep")


def test_empty_sets_are_learned_but_some_label_must_be_there(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f"text {row},{('', 'a', 'a;b')[row % 3]}\n" for row in range(60)))
    for _ in range(2):  # read, and from the cache
        data = load(path, "multilabel", label_separator=";", missing="keep")
        assert {tuple(row) for row in data.train.targets.tolist()} == {(0, 0), (1, 0), (1, 1)}
    path.write_text("text,label\n" + "".join(f"text {row},\n" for row in range(60)))
    with pytest.raises(InputError, match="has no label in any row: several are needed"):
        load(path, "multilabel", label_separator=";", missing="keep")


@pytest.mark.parametrize(("kind", "separator", "sentence"), [
    ("classification", ";", "set task=multilabel, or remove data.label_separator"),
    ("multilabel", None, "set data.label_separator to what separates them"),
    ("multilabel", "a", "must be a mark such as"),
    ("tagging", None, "labelled texts are for task=classification, regression, multilabel, not task=tagging"),
])  # fmt: skip
def test_what_does_not_fit_together_is_refused(kind, separator, sentence):
    with pytest.raises(InputError, match=sentence):
        Table("a.csv", label_separator=separator, kind=kind)


def test_a_label_that_training_lacks_is_refused_by_name():
    assert targets.encoded("multilabel", ["a;b"], ("a", "b"), ";", "new.csv") == [(0, 1)]
    for kind in ("classification", "multilabel"):
        with pytest.raises(InputError, match=r"new.csv has the label 'z', which no training text has"):
            targets.encoded(kind, ["a", "z"], ("a", "b"), ";", "new.csv")


def test_the_digest_of_classes_is_that_of_earlier_versions(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"text {row},{row % 2}\n" for row in range(20)))
    assert (
        load(tmp_path / "a.csv", "classification").digest
        == "9228dc0d16c2e78c178b0e9d2ba52d9041afd65953e98cd0614b0bd75fe5f645"
    )
