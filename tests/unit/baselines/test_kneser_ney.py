import json
import logging
import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.baselines import kneser_ney as module
from seqlab.baselines.kneser_ney import best_order, by_order, floor, kneser_ney
from seqlab.types import Tokens

V = 4
SHAKESPEARE = Path(__file__).parents[4] / "shared" / "data" / "text" / "tinyshakespeare.txt"


def tokens(ids, starts=(0,), dtype=np.int32):
    return Tokens(np.array(ids, dtype), np.array(starts, np.int64))


@st.composite
def texts(draw, size=V, least=1, most=60):
    ids = draw(st.lists(st.integers(0, size - 1), min_size=least, max_size=most))
    starts = draw(st.sets(st.integers(1, len(ids)), max_size=4))
    return tokens(ids, [0, *sorted(starts)], draw(st.sampled_from([np.uint8, np.int64])))


def history(text, i):
    """The tokens that a model which is reset where ``resets`` say has read when it is asked for token ``i``."""
    read = []
    for position in range(i):
        if position in set(text.resets.tolist()):
            read = []
        read.append(int(text.ids[position]))
    return tuple(read)


def slow_discounts(counts):
    n = Counter(counts.values())
    result = {0: 0.0, 1: 0.5, 2: 1.0, 3: 1.5}
    if n[1]:
        Y = n[1] / (n[1] + 2 * n[2])
        for i in (1, 2, 3):
            if n[i]:
                D = i - (i + 1) * Y * n[i + 1] / n[i]
                if 0 < D < i:
                    result[i] = D
    return result


class SlowModel:
    """The equations of Chen and Goodman with dictionaries of tuples."""

    def __init__(self, text, order):
        sequences = [(*history(text, i), int(text.ids[i])) for i in range(len(text))]
        self.order, self.counts = order, {}
        for k in range(1, order + 1):
            if k == order:
                self.counts[k] = Counter(s[-k:] for s in sequences if len(s) >= k)
            else:
                before = defaultdict(set)
                for s in sequences:
                    if len(s) > k:
                        before[s[-k:]].add(s[-k - 1])
                self.counts[k] = Counter({gram: len(tokens) for gram, tokens in before.items()})
                self.counts[k].update(s for s in sequences if len(s) == k)
        self.discounts = {k: slow_discounts(counts) for k, counts in self.counts.items()}

    def probability(self, w, h, k=None):
        h = h[max(len(h) - self.order + 1, 0) :]
        k = len(h) + 1 if k is None else k
        if k == 0:
            return 1 / V
        h = h[len(h) - k + 1 :]
        counts, D = self.counts[k], self.discounts[k]
        following = [counts[(*h, v)] for v in range(V)]
        lower = self.probability(w, h, k - 1)
        if not sum(following):
            return lower
        taken = sum(D[min(c, 3)] for c in following)
        c = counts[(*h, w)]
        return (c - D[min(c, 3)] + taken * lower) / sum(following)

    def nats(self, text):
        logs = [math.log(self.probability(int(text.ids[i]), history(text, i))) for i in range(1, len(text))]
        return -sum(logs) / len(logs)


@settings(max_examples=150, deadline=None)
@given(train=texts(), test=texts(least=2, most=25), order=st.integers(1, 5))
def test_it_is_the_equations_with_dictionaries(train, test, order):
    expected = [SlowModel(train, k).nats(test) for k in range(1, order + 1)]
    np.testing.assert_allclose(by_order(train, test, V, order), expected, rtol=1e-10)
    assert kneser_ney(train, test, V, order) == pytest.approx(expected[-1], rel=1e-10)


@settings(max_examples=60, deadline=None)
@given(train=texts(), context=st.lists(st.integers(0, V - 1), min_size=1, max_size=6), order=st.integers(1, 6))
def test_every_distribution_sums_to_one(train, context, order):
    # Of the sums of -log p over "context" and "context w" only that of w differs.
    size = V + 2  # two tokens that training never saw
    before = kneser_ney(train, tokens(context), size, order) * (len(context) - 1) if len(context) > 1 else 0.0
    nats = [kneser_ney(train, tokens([*context, w]), size, order) * len(context) - before for w in range(size)]
    assert np.isfinite(nats).all()
    assert np.exp(-np.array(nats)).sum() == pytest.approx(1, abs=1e-9)


def test_a_bigram_model_by_hand():
    # Bigrams: 01 twice, 10 twice, 02 once, so Y = 1/5 and D1 = 1/5; D2 would take all and is 1 instead.
    # Different tokens before 0: the 1, and once nothing; before 1: the 0; before 2: the 0. Y = 1/2, D1 = 1/2, D2 = 1.
    train, test = tokens([0, 1, 0, 1, 0, 2]), tokens([0, 1, 0, 2, 0])
    p0, p1, p2 = 1 / 4 + 1 / 2 * 1 / 3, 1 / 8 + 1 / 2 * 1 / 3, 1 / 8 + 1 / 2 * 1 / 3
    expected = [
        (2 - 1) / 3 + 1.2 / 3 * p1,  # 1 after 0
        (2 - 1) / 2 + 1 / 2 * p0,  # 0 after 1
        (1 - 1 / 5) / 3 + 1.2 / 3 * p2,  # 2 after 0
        p0,  # 0 after 2, which nothing followed
    ]
    assert kneser_ney(train, test, 3, 2) == pytest.approx(-np.log(expected).mean(), abs=1e-12)


def test_discounts_are_those_of_chen_and_goodman():
    counts = np.repeat([1, 2, 3, 4, 9], [40, 20, 10, 5, 7])
    Y = 40 / (40 + 2 * 20)
    expected = [0, 1 - 2 * Y * 20 / 40, 2 - 3 * Y * 10 / 20, 3 - 4 * Y * 5 / 10]
    np.testing.assert_allclose(module._discounts(counts), expected)


def test_no_history_crosses_a_document():
    # In training 2 follows "0 1" alone, and 3 the 1 of every other context.
    train = tokens([0, 1, 2] * 20 + [3, 1, 3] * 20)
    ids = [3, 0, 1, 2]
    known = kneser_ney(train, tokens(ids), V, 3)
    begun = kneser_ney(train, tokens(ids, [0, 3]), V, 3)  # the 1 ends a document, the 2 begins one
    assert begun > known + 0.1
    assert kneser_ney(train, tokens(ids, [0, 3]), V, 2) == kneser_ney(train, tokens(ids), V, 2)


def test_large_ids_do_not_collide():
    size = 1 << 20
    text = tokens(np.random.default_rng(0).integers(size - 3, size, 4000))
    small = tokens(text.ids - (size - 3))
    # Of uniform tokens the model of order 1 says ln 3 in either vocabulary.
    assert by_order(text, text, size, 1)[0] == pytest.approx(by_order(small, small, 3, 1)[0], abs=1e-2)
    assert by_order(text, text, size, 6)[5] == pytest.approx(by_order(small, small, 3, 6)[5], abs=1e-2)


def test_one_training_token_and_unseen_tokens_have_a_floor():
    assert np.isfinite(by_order(tokens([0]), tokens([1, 2, 3]), V, 4)).all()
    assert by_order(tokens([0]), tokens([1, 1]), V, 3) == pytest.approx([math.log(8)] * 3)  # half of 1/4


def cycle(length, period=3):
    return tokens(np.arange(length) % period)


def test_the_order_is_chosen_on_training_text():
    size = 50
    noise = tokens(np.random.default_rng(0).integers(0, size, 5000))
    assert best_order(noise, size, 5) == 1
    assert best_order(cycle(500), size, 5) == 2
    test = tokens(np.tile(noise.ids[:100], 3))  # which an order above 1 knows by heart
    nats = by_order(noise, test, size, 5)
    assert nats.argmin() > 0
    assert floor(noise, test, size, order=5)["kneser_ney"] == nats[0]
    assert best_order(tokens([0, 1, 0]), size, 4) == 4


def test_the_floor_is_the_unigram_s_and_the_model_s_of_the_chosen_order():
    train, test = cycle(500), cycle(60)
    assert floor(train, test, V, order=2) == {
        "unigram": kneser_ney(train, test, V, 1),
        "kneser_ney": kneser_ney(train, test, V, 2),
    }


def test_long_texts_are_cut_where_they_meet_and_the_log_says_so(monkeypatch, caplog):
    rng = np.random.default_rng(1)
    ids = np.where(rng.random(390) < 0.1, rng.integers(0, V, 390), np.tile([0, 0, 1, 1], 98)[:390])
    train, test = tokens(ids[:300], [0, 100, 250, 280]), tokens(ids[300:], [0, 30, 50])
    monkeypatch.setattr(module, "MOST_TRAIN", 50)
    monkeypatch.setattr(module, "MOST_TEST", 40)
    near, begin = tokens(train.ids[250:], [0, 30]), tokens(test.ids[:40], [0, 30])
    assert best_order(near, V, 3) == 3  # so that histories matter
    with caplog.at_level(logging.WARNING):
        cut = floor(train, test, V, order=3)
    assert [record.args for record in caplog.records] == [(50, 300), (40, 90)]
    assert cut["kneser_ney"] == kneser_ney(near, begin, V, 3)


def test_the_answer_is_kept_under_digest_and_order(tmp_path, monkeypatch):
    arguments = (cycle(60), cycle(30), V)
    first = floor(*arguments, order=2, cache_dir=tmp_path / "new", digest="abc")
    monkeypatch.setattr(module, "by_order", lambda *_: pytest.fail("computed although it was cached"))
    assert floor(*arguments, order=2, cache_dir=tmp_path / "new", digest="abc") == first
    for changed in ({"order": 3, "digest": "abc"}, {"order": 2, "digest": "other"}):
        with pytest.raises(pytest.fail.Exception):
            floor(*arguments, cache_dir=tmp_path / "new", **changed)


@pytest.mark.parametrize("number", [-1, float("nan"), float("inf"), None])
def test_a_damaged_file_is_computed_anew(tmp_path, number):
    first = floor(cycle(60), cycle(30), V, order=2, cache_dir=tmp_path, digest="abc")
    (path,) = tmp_path.iterdir()
    whole = path.read_text()
    path.write_text(json.dumps({**json.loads(whole), "floor": {**first, "kneser_ney": number}}))
    assert floor(cycle(60), cycle(30), V, order=2, cache_dir=tmp_path, digest="abc") == first
    assert path.read_text() == whole


@pytest.mark.skipif(not SHAKESPEARE.exists(), reason=f"no {SHAKESPEARE}")
def test_characters_of_real_text():
    text = SHAKESPEARE.read_bytes()
    _, ids = np.unique(np.frombuffer(text, np.uint8), return_inverse=True)
    cut = len(ids) * 9 // 10
    nats = by_order(tokens(ids[:cut]), tokens(ids[cut:]), 65, 6)
    assert (np.diff(nats) < 0).all()
    # Witten and Bell's model with four characters of context says 1.669.
    assert nats[4] < 1.60
    assert nats[5] < 1.53
