import json
import logging

import numpy as np
import pytest

from seqlab.baselines import text
from seqlab.baselines.text import floor, naive_bayes
from seqlab.types import Ragged, Split


def split(rows, targets):
    values = np.array([token for row in rows for token in row], np.int32)
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)]).astype(np.int64)
    return Split(Ragged(values, offsets), np.array(targets, np.int64))


def bigram_task(rows, seed):
    """Class 1 says "2 3" and "4 5", class 0 says "2 5" and "4 3", in either order: one word tells nothing."""
    rng = np.random.default_rng(seed)
    targets = np.arange(rows) % 2
    pairs = {1: [[2, 3], [4, 5]], 0: [[2, 5], [4, 3]]}
    texts = [[token for i in rng.permutation(2) for token in [*pairs[label][i], 6]] for label in targets]
    return split(texts, targets)


def test_naive_bayes_is_the_closed_form():
    # Token 9 is in no training row; K = 3 distinct tokens; class 0 has 5 tokens, class 1 has 3.
    train = split([[2, 2, 3], [2, 4], [3, 3, 4]], [0, 0, 1])
    likelihood = {0: {2: 4 / 8, 3: 2 / 8, 4: 2 / 8}, 1: {2: 1 / 6, 3: 3 / 6, 4: 2 / 6}}
    prior = {0: 2 / 3, 1: 1 / 3}
    rows = [[2], [3], [4], [3, 3], [2, 3, 3], [9], [], [4, 4, 4, 9]]
    expected = [
        max((0, 1), key=lambda c: prior[c] * np.prod([likelihood[c].get(token, 1) for token in row])) for row in rows
    ]
    assert set(expected) == {0, 1}
    assert naive_bayes(train, split(rows, [0] * len(rows)), 2).tolist() == expected


def test_naive_bayes_never_predicts_a_class_without_rows():
    train = split([[2], [3]], [0, 2])
    assert naive_bayes(train, split([[2], [3], [4], []], [0, 2, 1, 1]), 4).tolist() == [0, 2, 0, 0]


def test_only_the_bigram_method_reads_order():
    result = floor(bigram_task(80, 0), bigram_task(40, 1), 2)
    assert result["nb_svm"] == 1.0
    assert result["naive_bayes"] == result["majority"] == 0.5


def test_majority_is_the_training_part_s_class():
    train = split([[2], [2], [3]], [1, 1, 0])
    assert floor(train, split([[2]] * 4, [0, 0, 0, 1]), 2)["majority"] == 0.25


def test_one_class_and_empty_rows_have_a_floor():
    assert floor(split([[2], []], [1, 1]), split([[], [3]], [1, 0]), 2) == {
        "majority": 0.5,
        "naive_bayes": 0.5,
        "nb_svm": 0.5,
    }
    assert floor(split([[], []], [0, 1]), split([[], []], [0, 1]), 2)["nb_svm"] == 0.5


def test_the_answer_is_kept_under_its_digest(tmp_path, monkeypatch):
    train, test = bigram_task(20, 0), bigram_task(10, 1)
    first = floor(train, test, 2, cache_dir=tmp_path / "new", digest="abc")
    monkeypatch.setattr(text, "nb_svm", lambda *_: pytest.fail("computed although it was cached"))
    assert floor(train, test, 2, cache_dir=tmp_path / "new", digest="abc") == first
    assert [path.suffix for path in (tmp_path / "new").iterdir()] == [".json"]
    with pytest.raises(pytest.fail.Exception):
        floor(train, test, 2, cache_dir=tmp_path / "new", digest="other")


def edited(**changes):
    return lambda content: json.dumps({**json.loads(content), **changes})


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: "",
        lambda content: "[]",
        edited(floor={"majority": 0.5}),
        edited(floor={"majority": 0.5, "naive_bayes": 0.5, "nb_svm": 7}),
        edited(floor={"majority": 0.5, "naive_bayes": 0.5, "nb_svm": float("nan")}),
        edited(floor={"majority": 0.5, "naive_bayes": None, "nb_svm": 0.5}),
        edited(format=0),
        edited(digest="of other data"),
    ],
)
def test_a_damaged_or_stale_file_is_computed_anew(tmp_path, damage, caplog):
    train, test = bigram_task(20, 0), bigram_task(10, 1)
    first = floor(train, test, 2, cache_dir=tmp_path, digest="abc")
    (path,) = tmp_path.iterdir()
    whole = path.read_text()
    path.write_text(damage(whole))
    with caplog.at_level(logging.WARNING):
        assert floor(train, test, 2, cache_dir=tmp_path, digest="abc") == first
    assert len(caplog.records) <= 1
    assert path.read_text() == whole
