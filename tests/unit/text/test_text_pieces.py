"""Vocabularies learned in bounded memory, long texts in pieces, characters by table: the same as the plain way."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqlab.text import BPEPipeline, WordPipeline, bpe, load_pipeline
from seqlab.text.pieces import groups, last_cut, pieces
from seqlab.types import InputError

TEXTS = ["This film is (really) good!", "don't go, it's bad", "", "A good one. A GOOD one?", "naïve \U0001f600 你好\n"]

any_text = st.text(st.one_of(st.characters(), st.sampled_from("ab \n\t\ud800\U0001f600é")), max_size=40)
bits = ["the", "cat", "'s", "1", "!", "é", "e\u0301", "\u0301", "你好"]
spaces = [" ", "  ", "\n", "\n\n", "\r\n", "\t", "\x1c", "\u2003"]
prose = st.lists(st.sampled_from(bits + spaces), max_size=60).map("".join)


def rows(ragged):
    return [ragged[row].tolist() for row in range(len(ragged))]


@given(prose, st.integers(1, 20))
def test_pieces_are_the_text_cut_before_white_space_alone(text, size):
    parts = list(pieces(text, size))
    assert "".join(parts) == text
    for before, after in pairwise(parts):
        assert after[0] in " \n"
        assert not before[-1].isspace()
        assert len(before) <= size or last_cut(before, 0, size + 1) == 0


@given(st.lists(any_text), st.integers(1, 50))
def test_groups_are_all_texts_in_order(texts, size):
    found = list(groups(texts, size))
    assert [text for group in found for text in group] == texts
    assert all(sum(len(text) + 1 for text in group[:-1]) < size for group in found)


@settings(max_examples=60, deadline=None)
@given(st.lists(any_text, max_size=8), st.one_of(st.none(), st.integers(3, 9)), st.integers(0, 3), any_text)
@example(["\U0010ffff", "\ud800"], None, 1, "\U0010ffff\ufffd")
def test_characters_are_counted_and_looked_up_as_one_by_one(texts, max_tokens, min_freq, unseen):
    ranked = sorted(Counter("".join(texts)).items(), key=lambda item: (-item[1], item[0]))
    limit = None if max_tokens is None else max_tokens - 2
    tokens = ["<unk>", "<pad>", *[token for token, count in ranked if count >= min_freq][:limit]]
    ids = {token: id for id, token in enumerate(tokens)}
    whole, streamed = (WordPipeline("char", max_tokens, min_freq) for _ in range(2))
    if len(tokens) == 2:
        for learn in (whole.fit_encode, streamed.fit):
            with pytest.raises(InputError, match="vocabulary is empty"):
                learn(texts)
        return
    encoded = whole.fit_encode(iter(texts))
    streamed.fit(iter(texts))
    assert whole.tokens == streamed.tokens == tokens
    assert rows(encoded) == [[ids.get(token, 0) for token in text] for text in texts] == rows(streamed.encode(texts))
    assert encoded.values.dtype == streamed.encode(texts).values.dtype == np.int32
    restored = load_pipeline(whole.state_dict())
    assert rows(restored.encode([unseen, ""])) == [[ids.get(token, 0) for token in unseen], []]


@pytest.mark.parametrize(
    "make",
    [
        lambda: WordPipeline(max_tokens=9),
        lambda: WordPipeline("whitespace", None, 2),
        lambda: BPEPipeline(300),
        lambda: BPEPipeline(300, False),
    ],
    ids=["basic_english", "whitespace", "bpe", "bpe with capitals"],
)
def test_fit_learns_what_fit_encode_learns(make, monkeypatch):
    monkeypatch.setattr(bpe, "_PIECE", 7)
    texts = TEXTS * 3
    whole, streamed = make(), make()
    encoded = whole.fit_encode(texts)
    streamed.fit(iter(texts))
    assert streamed.state_dict() == whole.state_dict()
    assert rows(streamed.encode(texts)) == rows(encoded)


@pytest.mark.parametrize("make", [WordPipeline, lambda: WordPipeline("char"), BPEPipeline])
def test_fit_on_nothing_is_refused(make):
    for texts in ([], ["", ""]):
        with pytest.raises(InputError, match="no text has a token"):
            make().fit(iter(texts))
    with pytest.raises(InputError, match="no token occurs 9 times"):
        WordPipeline(min_freq=9).fit(TEXTS)


@pytest.fixture(scope="module")
def learned():
    """Merges over words, white space and marks."""
    pipeline = BPEPipeline(330)
    pipeline.fit(["the cat's cat\n\n  the cat\t\te\u0301 ééé 你好你好\r\n\r\n the the\n the\n!!! 11 1\x1c\x1c"] * 4)
    return pipeline


@settings(max_examples=200, deadline=None)
@given(prose, st.integers(1, 30))
def test_bpe_of_pieces_is_bpe_of_the_whole(learned, text, size):
    (whole,) = rows(learned.encode([text]))
    assert learned.encode(pieces(text, size)).values.tolist() == whole


def test_a_long_text_is_encoded_in_pieces(learned, monkeypatch):
    texts = ["the cat's\n  cat " * 20, "", "the", " \n" * 50]
    whole = rows(learned.encode(texts))
    for size, group in ((7, 30), (16, 1)):
        monkeypatch.setattr(bpe, "_PIECE", size)
        monkeypatch.setattr(bpe, "_GROUP", group)
        assert rows(learned.encode(texts)) == whole


def test_a_word_without_an_end_is_learned_cut(monkeypatch):
    monkeypatch.setattr("seqlab.text.bpe._PIECE", 16)
    pipeline = BPEPipeline(vocab_size=300)
    pipeline.fit(["ab" * 4000])
    assert max(map(len, pipeline.tokens[258:])) == 16
    assert pipeline.decode(pipeline.encode(["ab" * 4000])[0]) == "ab" * 4000


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20)))
def test_characters_add_up_to_the_text(learned, texts):
    for text in texts:
        ids = learned.encode([text]).values
        assert learned.characters[ids].sum() == len(learned.decode(ids))


def test_characters_of_characters_and_of_words():
    pipeline = WordPipeline("char")
    pipeline.fit(TEXTS)
    assert pipeline.characters.dtype == np.int64
    assert pipeline.characters.tolist() == [1, 0] + [1] * (len(pipeline.tokens) - 2)
    assert pipeline.characters[pipeline.encode(["good zebra"]).values].sum() == 10
    words = WordPipeline()
    words.fit(TEXTS)
    assert words.characters is None
