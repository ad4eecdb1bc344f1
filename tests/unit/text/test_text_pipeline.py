"""The word pipeline: ids as a vocabulary built the long way gives them, decoding, saving, errors."""

import io
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlab.text import (
    BPEPipeline,
    WordPipeline,
    build_vocab_from_iterator,
    get_tokenizer,
    load_pipeline,
    vectorize,
    vocab,
)
from seqlab.types import InputError

TEXTS = ["This film is (really) good!", "don't go, it's bad", "", "A good one. A GOOD one?"]
UNSEEN = ["good zebra \U0001f600", "", "film"]


def rows(ragged):
    return [ragged[row].tolist() for row in range(len(ragged))]


words = st.sampled_from(["a", "b", "c", "d", "e", "<unk>", "<pad>", "é"])


@given(
    st.lists(st.lists(words, max_size=8).map(" ".join), max_size=6),
    st.one_of(st.none(), st.integers(3, 9)),
    st.integers(0, 3),
)
def test_ids_are_those_of_build_vocab_from_iterator(texts, max_tokens, min_freq):
    tokens = [text.split() for text in texts]
    built = build_vocab_from_iterator(tokens, min_freq, ["<unk>", "<pad>"], max_tokens=max_tokens)
    built.set_default_index(0)
    pipeline = WordPipeline("whitespace", max_tokens, min_freq)
    if len(built) == 2:
        with pytest.raises(InputError, match="vocabulary is empty"):
            pipeline.fit_encode(texts)
        return
    encoded = pipeline.fit_encode(iter(texts))
    assert pipeline.tokens == built.get_itos()
    assert rows(encoded) == [built(row) for row in tokens] == rows(pipeline.encode(texts))
    assert encoded.values.dtype == np.int32
    assert encoded.offsets.dtype == np.int64


@pytest.mark.parametrize(
    "pipeline",
    [
        WordPipeline(),
        WordPipeline("char", None),
        WordPipeline("whitespace", 5),
        WordPipeline("whitespace", lowercase=True),
        WordPipeline("char", lowercase=True),
        BPEPipeline(300),
        BPEPipeline(270, False),
    ],
    ids=["basic_english", "char", "whitespace", "whitespace folded", "char folded", "bpe", "bpe with capitals"],
)
def test_saved_pipeline_is_the_same(pipeline):
    encoded = pipeline.fit_encode(TEXTS)
    file = io.BytesIO()
    torch.save(pipeline.state_dict(), file)
    file.seek(0)
    loaded = load_pipeline(torch.load(file, weights_only=True))
    assert type(loaded) is type(pipeline)
    assert loaded.config() == pipeline.config()
    assert loaded.tokens == pipeline.tokens
    assert (loaded.pad_id, loaded.unk_id) == (pipeline.pad_id, pipeline.unk_id) == (1, 0)
    assert rows(loaded.encode(TEXTS)) == rows(encoded)
    assert rows(loaded.encode(UNSEEN)) == rows(pipeline.encode(UNSEEN))
    assert max(encoded.values) < len(pipeline.tokens)
    assert type(pipeline)(**pipeline.config()).config() == pipeline.config()


def test_unknown_tokens_and_no_texts():
    pipeline = WordPipeline()
    pipeline.fit_encode(TEXTS)
    good, film = pipeline.tokens.index("good"), pipeline.tokens.index("film")
    assert rows(pipeline.encode(UNSEEN)) == [[good, 0, 0], [], [film]]
    assert rows(pipeline.encode([])) == []


@pytest.mark.parametrize("tokenizer", ["char", "whitespace"])
def test_capitals_are_folded_wherever_texts_are_read(tokenizer):
    pipeline, other = WordPipeline(tokenizer, lowercase=True), WordPipeline(tokenizer, lowercase=True)
    encoded = pipeline.fit_encode(iter(["The Dog", "A CAT"]))
    other.fit(["The Dog", "A CAT"])
    assert pipeline.tokens == other.tokens
    assert not any(token != token.lower() for token in pipeline.tokens)
    assert rows(pipeline.encode(["the dog", "a cat"])) == rows(encoded)
    assert pipeline.split("A Dog") == WordPipeline(tokenizer).split("a dog")
    # Pipelines of earlier versions keep their digests.
    assert "lowercase" not in WordPipeline(tokenizer).config()


def test_decode_reads_well():
    pipeline = WordPipeline()
    encoded = pipeline.fit_encode(TEXTS)
    assert pipeline.decode(encoded[0]) == "this film is (really) good!"
    assert pipeline.decode(encoded[1]) == "don't go, it's bad"
    assert pipeline.decode(torch.tensor([0, 1, 1])) == "<unk>"
    characters = WordPipeline("char")
    assert characters.decode([*characters.fit_encode(TEXTS)[1], 1, 1]) == TEXTS[1]


def test_own_tokenizer_and_its_digest(tmp_path, monkeypatch):
    module = tmp_path / "mine_for_pipelines.py"
    module.write_text("def dashes(text):\n    return (part for part in text.split('-'))\n")
    monkeypatch.syspath_prepend(tmp_path)
    pipeline = WordPipeline("mine_for_pipelines.dashes")
    assert rows(pipeline.fit_encode(["a-b-a", "b", "a"])) == [[2, 3, 2], [3], [2]]
    before = pipeline.config()
    assert rows(load_pipeline(pipeline.state_dict()).encode(["b-z"])) == [[3, 0]]
    module.write_text("def dashes(text):\n    return text.split('--')\n")
    assert pipeline.config() != before


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"tokenizer": "basic_inglish"}, "did you mean 'basic_english'"),
        ({"max_tokens": 2}, "max_tokens=2"),
        ({"library": "torchtex"}, "torchtex"),
    ],
)
def test_wrong_arguments(arguments, reason):
    with pytest.raises(InputError, match=reason):
        WordPipeline(**arguments)


@pytest.mark.parametrize("pipeline", [WordPipeline(), WordPipeline("char"), BPEPipeline()])
def test_empty_vocabulary(pipeline):
    for texts in ([], [""]):
        with pytest.raises(InputError, match="no text has a token"):
            pipeline.fit_encode(texts)


def test_too_rare_and_unknown_kind():
    with pytest.raises(InputError, match="no token occurs 9 times"):
        WordPipeline(min_freq=9).fit_encode(TEXTS)
    with pytest.raises(InputError, match="unknown kind"):
        load_pipeline({"kind": "words"})


def test_broken_torchtext_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchtext", None)
    with pytest.raises(InputError, match=r"torchtext cannot be imported .*pip install 'seqlab\[torchtext\]'"):
        WordPipeline(library="torchtext")


@pytest.mark.parametrize("tokenizer", ["basic_english", "char", "whitespace"])
def test_real_torchtext_gives_the_same_ids(tokenizer):
    try:
        theirs = WordPipeline(tokenizer, max_tokens=12, library="torchtext")
    except InputError as error:
        pytest.skip(str(error))
    ours = WordPipeline(tokenizer, max_tokens=12)
    assert rows(theirs.fit_encode(TEXTS)) == rows(ours.fit_encode(TEXTS))
    assert theirs.tokens == ours.tokens
    loaded = load_pipeline(theirs.state_dict())
    assert rows(loaded.encode(UNSEEN)) == rows(theirs.encode(UNSEEN)) == rows(ours.encode(UNSEEN))
    assert theirs.decode(theirs.encode(TEXTS)[0]) == ours.decode(ours.encode(TEXTS)[0])


def test_bpe_reads_everything():
    pipeline = BPEPipeline(vocab_size=280)
    pipeline.fit_encode(TEXTS * 3)
    assert len(pipeline.tokens) <= 280
    assert pipeline.tokens[:2] == ["<unk>", "<pad>"]
    assert (
        pipeline.decode([*pipeline.encode(["Naïve \U0001f600 <pad> 你好\n"])[0], 1]) == "naïve \U0001f600 <pad> 你好\n"
    )
    assert 0 not in pipeline.encode(["<unk>"]).values
    with pytest.raises(InputError, match="vocab_size=100"):
        BPEPipeline(vocab_size=100)


def test_vectorize_as_in_the_lectures():
    corpus = ["We are learning AI", "AI is a CS topic"]
    tokenize = get_tokenizer("basic_english")
    built = build_vocab_from_iterator(map(tokenize, corpus), specials=["<unk>", "<pad>"], max_tokens=8)
    built.set_default_index(built["<unk>"])
    assert built.get_itos() == ["<unk>", "<pad>", "ai", "a", "are", "cs", "is", "learning"]
    ids = vectorize([*corpus, "AI topic in CS is difficult"], "basic_english", built, 5)
    assert ids.dtype == torch.int64
    assert ids.tolist() == [[0, 4, 7, 2, 1], [2, 6, 3, 5, 0], [2, 0, 0, 5, 6]]


def test_vectorize_edges():
    built = vocab({"a": 1}, specials=["."])
    assert vectorize([], str.split, built, 3, pad=".").shape == (0, 3)
    assert vectorize(["", "a a a a"], None, built, 3, pad=".").tolist() == [[0, 0, 0], [1, 1, 1]]
    with pytest.raises(InputError, match="'<pad>' is not in the vocabulary"):
        vectorize(["a"], str.split, built, 3)
    with pytest.raises(RuntimeError, match="not found"):
        vectorize(["z"], str.split, built, 3, pad=".")
