from collections import Counter
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.baselines import ngrams
from seqlab.types import Ragged, Split

rows_of_ids = st.lists(st.lists(st.integers(0, 6), max_size=9), max_size=12)


def ragged(rows):
    values = np.array([token for row in rows for token in row], np.int32)
    return Ragged(values, np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)]).astype(np.int64))


def slow_ngrams(row):
    return {(token,) for token in row} | set(pairwise(row))


def gram(key, base):
    first, second = divmod(int(key), base + 1)
    return (first,) if second == 0 else (first, second - 1)


@settings(max_examples=60, deadline=None)
@given(train=rows_of_ids, other=rows_of_ids, block=st.sampled_from([1, 3, 2048]))
def test_the_matrix_holds_what_counting_tuples_finds(train, other, block):
    base = 7
    expected = sorted(g for g, rows in Counter(g for row in train for g in slow_ngrams(row)).items() if rows >= 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ngrams, "BLOCK", block)
        features = ngrams.vocabulary(ragged(train), base)
        found = ngrams.matrix(ragged(other), features, base)

    grams = [gram(key, base) for key in features]
    assert sorted(grams) == expected
    assert found.shape == (len(other), len(expected))
    assert found.indices.dtype == np.int32
    assert found.data.dtype == np.float32
    dense = found.toarray()
    for row, values in zip(other, dense, strict=True):
        assert {grams[i] for i in values.nonzero()[0]} == slow_ngrams(row) & set(expected)
        assert set(values) <= {0.0, 1.0}


def test_keys_of_a_large_vocabulary_do_not_collide():
    big = 2**30
    rows = ragged([[big, big - 1], [big, big - 1], [big - 1, big], [big - 1, big]])
    assert len(ngrams.vocabulary(rows, big + 1)) == 4


@pytest.mark.parametrize("num_classes", [2, 3])
def test_order_alone_separates_the_classes(num_classes):
    # Every row holds the same four words; which of them follows the word 2 is the class.
    rng = np.random.default_rng(0)
    rows, targets = [], []
    for label, _ in product(range(num_classes), range(40)):
        others = [i for i in range(3, 3 + num_classes) if i != 3 + label]
        rng.shuffle(others)
        pair = [2, 3 + label]
        rows.append([*others[:1], *pair, *others[1:]])
        targets.append(label)
    data = Split(ragged(rows), np.array(targets, np.int64))
    assert (ngrams.nb_svm(data, data, num_classes) == data.targets).all()


def test_a_class_without_training_rows_is_never_predicted():
    train = Split(ragged([[2, 3], [2, 3], [4, 5], [4, 5]]), np.array([0, 0, 2, 2]))
    test = Split(ragged([[2, 3], [4, 5], [3], [5]]), np.array([0, 2, 1, 1]))
    assert ngrams.nb_svm(train, test, 4).tolist() == [0, 2, 0, 2]


def test_nothing_to_learn_from_is_the_majority():
    test = Split(ragged([[2], []]), np.array([0, 1]))
    one_class = Split(ragged([[2, 3], [2, 3]]), np.array([1, 1]))
    no_shared_gram = Split(ragged([[2], [3], []]), np.array([0, 1, 1]))
    for train in (one_class, no_shared_gram):
        assert ngrams.nb_svm(train, test, 2).tolist() == [1, 1]


def test_tokens_unknown_to_training_are_ignored():
    train = Split(ragged([[2, 3], [2, 3], [4, 5], [4, 5]]), np.array([0, 0, 1, 1]))
    test = Split(ragged([[2, 99, 3], [99], [98, 5, 4]]), np.array([0, 0, 1]))
    assert ngrams.nb_svm(train, test, 2)[[0, 2]].tolist() == [0, 1]
