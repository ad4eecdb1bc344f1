import gzip
import logging
import math
import os
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.baselines import translation
from seqlab.baselines.translation import Lexicon, floor, ibm1
from seqlab.tasks.translation_scores import score
from seqlab.types import Ragged

MULTI30K = Path(os.environ.get("SEQLAB_DATA", Path(__file__).parents[4] / "shared" / "data")) / "multi30k"

words = st.integers(0, 5)
pairs = st.lists(st.tuples(st.lists(words, min_size=1, max_size=5), st.lists(words, max_size=5)), max_size=6)


def ragged(rows):
    values = np.array([word for row in rows for word in row], np.int32)
    return Ragged(values, np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)]).astype(np.int64))


def learn(found, iterations):
    table = ibm1(ragged([source for source, _ in found]), ragged([target for _, target in found]), iterations)
    cells = zip(table.sources.tolist(), table.targets.tolist(), table.probabilities.tolist(), strict=True)
    return {(source, target): probability for source, target, probability in cells}, table


def slow(found, iterations):
    """Brown et al.'s equations with dictionaries."""
    V = 1 + max((word for _, target in found for word in target), default=0)
    t = {(x, y): 1 / V for source, target in found for x in source for y in target}
    for _ in range(iterations):
        got, every = defaultdict(float), defaultdict(float)
        for source, target in found:
            for y in target:
                total = sum(t[x, y] for x in source)
                for x in source:
                    got[x, y] += t[x, y] / total
                    every[x] += t[x, y] / total
        t = {(x, y): got[x, y] / every[x] for x, y in t}
    return t


# das Haus, das Buch, ein Buch; the house, the book, a book
DAS, HAUS, BUCH, EIN = range(4)
THE, HOUSE, BOOK, A = range(4)
BOOKS = [([DAS, HAUS], [THE, HOUSE]), ([DAS, BUCH], [THE, BOOK]), ([EIN, BUCH], [A, BOOK])]


def test_two_iterations_by_hand():
    # At first every word of a sentence is as likely to have said each other: "das" gets half of "the" twice, half of
    # "house" and half of "book".
    once, table = learn(BOOKS, 1)
    assert [once[DAS, y] for y in (THE, HOUSE, BOOK)] == pytest.approx([1 / 2, 1 / 4, 1 / 4])
    assert [once[HAUS, y] for y in (THE, HOUSE)] == pytest.approx([1 / 2, 1 / 2])
    assert table.log_likelihood == pytest.approx([6 * math.log(1 / 4)])
    # Then "das" gets 1/2 of "the" beside "haus" and 2/3 beside "buch" (1/2 against 1/4), and 1/3 of "house" and "book".
    twice, table = learn(BOOKS, 2)
    total = 1 / 2 + 2 / 3 + 1 / 3 + 1 / 3
    assert twice[DAS, THE] == pytest.approx((1 / 2 + 2 / 3) / total)
    assert twice[DAS, HOUSE] == twice[DAS, BOOK] == pytest.approx(1 / 3 / total)
    assert twice[HAUS, HOUSE] == pytest.approx((2 / 3) / (2 / 3 + 1 / 2))
    # P(the) and P(house) beside "das haus": (1/2 + 1/2) / 2 and (1/4 + 1/2) / 2, and so on.
    assert table.log_likelihood[1] == pytest.approx(math.log((1 / 2) * (3 / 8) ** 4 * (1 / 2)))
    assert (HAUS, BOOK) not in twice


def test_in_the_end_every_word_has_its_translation():
    t, _ = learn(BOOKS, 60)
    for x, y in ((DAS, THE), (HAUS, HOUSE), (BUCH, BOOK), (EIN, A)):
        assert t[x, y] > 0.95


@settings(max_examples=60, deadline=None)
@given(pairs, st.integers(0, 4))
def test_flat_arrays_say_what_dictionaries_say(found, iterations):
    t, table = learn(found, iterations)
    expected = slow(found, iterations)
    assert set(t) == set(expected)
    assert t == pytest.approx(expected)
    assert sorted(t) == list(t), "by source word, then by target word"
    if iterations:
        for word in set(table.sources.tolist()):
            assert sum(p for (x, _), p in t.items() if x == word) == pytest.approx(1)


@settings(max_examples=60, deadline=None)
@given(pairs)
def test_the_likelihood_never_falls(found):
    _, table = learn(found, 8)
    assert table.log_likelihood.shape == (8,)
    assert all(after >= before - 1e-9 for before, after in pairwise(table.log_likelihood.tolist()))


def made_up(count, seed=0):
    """A language that says what another says, word for word, but for one word in every other sentence."""
    rng = np.random.default_rng(seed)
    nouns = {"hund": "dog", "katze": "cat", "собака": "hound", "straße": "street", "paris": "Paris", "vogel": "bird"}
    sources, targets = [], []
    for _ in range(count):
        chosen = [list(nouns)[i] for i in rng.integers(0, len(nouns), 3)]
        sources.append(" ".join(["Der", *chosen[:2], *(["sich"] if rng.random() < 0.5 else []), *chosen[2:]]) + " .")
        targets.append(" ".join(["The", *(nouns[word] for word in chosen)]) + ".")
    return sources, targets


def test_sentences_are_translated_word_by_word():
    lexicon = Lexicon.learn(*made_up(200))
    said = lexicon.translate(["Der Hund, KATZE Straße.", "собака vogel", "Paris", "zwei Hund", ""])
    # Words are known in any case, punctuation and what is unknown stay, and only names are written with a capital.
    assert said == ["The dog, cat street.", "hound bird", "Paris", "zwei dog", ""]


def test_what_the_empty_word_says_better_is_left_out():
    # Each sentence says "do", to which the source has no word, and "sich" comes with something else each time.
    nouns = [(f"hund{i}", f"dog{i}") for i in range(8)]
    sources = [source for source, _ in nouns for _ in range(4)] + ["sich"] * 40
    targets = [f"do {target}" for _, target in nouns for _ in range(4)] + [f"do this{i} that{i}" for i in range(40)]
    lexicon = Lexicon.learn(sources, targets)
    assert lexicon.words == {**dict(nouns), "sich": ""}
    assert lexicon.translate(["Hund1 sich hund3"]) == ["Dog1 dog3"]
    # What stands in every sentence, as the empty word does, has its say all the same.
    assert Lexicon.learn(*made_up(200)).words["der"] == "the"
    assert Lexicon.learn(["der hund", "der vogel"], ["the dog", "the bird"]).words["der"] == "the"


def test_a_lexicon_of_nothing_copies():
    for train in (([], []), ([""], [""]), (["a"], [""]), ([""], ["b"])):
        assert Lexicon.learn(*train).translate(["So was, (ja)!", ""]) == ["So was, (ja)!", ""]


def test_too_long_and_too_many_are_not_learned_from_and_the_log_says_so(monkeypatch, caplog):
    sources, targets = made_up(60)
    monkeypatch.setattr(translation, "MOST_WORDS", 20)
    monkeypatch.setattr(translation, "MOST_CELLS", 24 * 40)
    with caplog.at_level(logging.WARNING):
        lexicon = Lexicon.learn(["lang " * 21, *sources, "neu"], ["long " * 21, *targets, "new"])  # some 30 cells each
    assert "lang" not in lexicon.words
    assert "neu" not in lexicon.words
    assert lexicon.words["hund"] == "dog"
    (record,) = caplog.records
    assert "of 62 pairs" in record.getMessage()
    assert "1 are longer than 20 words" in record.getMessage()


def equal(said, references):
    return sum(map(str.__eq__, said, references)) / len(said)


def test_the_floor_scores_both_ways_and_is_kept_under_its_digest_and_name(tmp_path, monkeypatch):
    train, (sources, targets) = made_up(200), made_up(20, seed=1)
    sources, targets = [text.replace(" sich", "") for text in [*sources, "Ja."]], [*targets, "Ja."]
    expected = {"copy_source": 1 / 21, "word_by_word": 1.0}
    assert floor(train, (sources, targets), equal, name="exact") == expected
    assert floor(train, (sources, targets), equal, name="exact", cache_dir=tmp_path / "new", digest="abc") == expected
    monkeypatch.setattr(translation, "ibm1", lambda *_: pytest.fail("computed although it was kept"))
    assert floor(train, (sources, targets), equal, name="exact", cache_dir=tmp_path / "new", digest="abc") == expected
    for name, digest in (("bleu", "abc"), ("exact", "other")):
        with pytest.raises(pytest.fail.Exception):
            floor(train, (sources, targets), equal, name=name, cache_dir=tmp_path / "new", digest=digest)


def test_on_a_tenth_of_multi30k_words_beat_copies():
    if not (MULTI30K / "train.de.gz").exists():
        pytest.skip(f"no multi30k/train.de.gz under {MULTI30K.parent}: set SEQLAB_DATA")

    def read(part, first):
        return [
            gzip.decompress((MULTI30K / f"{part}.{side}.gz").read_bytes()).decode().split("\n")[:first]
            for side in ("de", "en")
        ]

    found = floor(tuple(read("train", 2900)), tuple(read("val", 200)), lambda *a: score("bleu_lower", *a), name="bleu")
    assert found["copy_source"] < 2
    assert found["word_by_word"] > 15
