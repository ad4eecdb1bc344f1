import json
import re
import sys
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.data.pair_batching import PairLoader
from seqlab.text.bpe import BPEPipeline
from seqlab.text.pairs import PairPipeline
from seqlab.text.pipeline import WordPipeline, load_pipeline
from seqlab.types import InputError, Pairs

SOURCES = ["ein hund läuft", "zwei hunde", "a b <EOS> <START> <pad>"]
TARGETS = ["a dog runs", "two dogs", "b a <EOS>"]


def words(shared=False, tokenizer="whitespace"):
    return PairPipeline(WordPipeline(tokenizer), None if shared else WordPipeline(tokenizer))


def subwords(shared=False):
    return PairPipeline(*(BPEPipeline(300, lowercase=False) for _ in range(1 if shared else 2)))


def rows(ragged):
    return [ragged[row].tolist() for row in range(len(ragged))]


KINDS = [
    lambda: words(),
    lambda: words(True),
    lambda: words(tokenizer="char"),
    lambda: subwords(),
    lambda: subwords(True),
]


@pytest.fixture
def word_characters(monkeypatch):
    """A tokenizer of one's own, by dotted name: words alone, without the marks between them."""
    module = ModuleType("lecture")
    module.words = re.compile(r"\w+").findall
    monkeypatch.setitem(sys.modules, "lecture", module)
    return "lecture.words"


def test_the_lectures_example(word_characters):
    """7 encoder steps and 6 decoder steps: what the decoder reads, and the same moved by one that it is asked for."""
    pipeline = words(tokenizer=word_characters)
    sources = ["hello, how are you", "so long, and thanks for everything"]
    targets = ["i am fine", "the same to you, sir"]
    split = Pairs(*pipeline.fit_encode(sources, targets))
    (batch,) = PairLoader(split, pad_id=pipeline.pad_id, batch_size=2, shuffle=False).epoch(0)
    row = batch.index.tolist().index(0)

    def read(vocabulary, ids):
        return ["<PAD>" if id == pipeline.pad_id else vocabulary[id] for id in ids[row].tolist()]

    assert read(pipeline.tokens, batch.inputs) == ["hello", "how", "are", "you", "<EOS>", "<PAD>", "<PAD>"]
    assert read(pipeline.target_tokens, batch.targets[:, :-1]) == ["<START>", "i", "am", "fine", "<EOS>", "<PAD>"]
    assert read(pipeline.target_tokens, batch.targets[:, 1:]) == ["i", "am", "fine", "<EOS>", "<PAD>", "<PAD>"]
    assert batch.lengths[row] == 5
    assert batch.target_lengths[row] == 4


@pytest.mark.parametrize("make", KINDS)
def test_two_ids_stand_behind_the_vocabulary_and_around_the_rows(make):
    pipeline = make()
    sources, targets = pipeline.fit_encode(SOURCES, TARGETS)
    assert (pipeline.unk_id, pipeline.pad_id) == (0, 1)
    for tokens in (pipeline.tokens, pipeline.target_tokens):
        assert tokens[:2] == ["<unk>", "<pad>"]
        assert tokens[-2:] == ["<START>", "<EOS>"]
    assert (pipeline.start_id, pipeline.eos_id) == (len(pipeline.target_tokens) - 2, len(pipeline.target_tokens) - 1)
    assert pipeline.source_eos_id == len(pipeline.tokens) - 1
    for row in rows(sources):
        assert row[-1] == pipeline.source_eos_id
        assert max(row[:-1]) < len(pipeline.tokens) - 2
    for row in rows(targets):
        assert (row[0], row[-1]) == (pipeline.start_id, pipeline.eos_id)
        assert max(row[1:-1]) < pipeline.start_id
    assert sources.values.dtype == targets.values.dtype == np.int32
    assert rows(pipeline.encode_sources(SOURCES)) == rows(sources)
    assert rows(pipeline.encode_targets(TARGETS)) == rows(targets)


@pytest.mark.parametrize("make", KINDS)
def test_decode_gives_the_target_back(make):
    pipeline = make()
    _, targets = pipeline.fit_encode(SOURCES, TARGETS)
    for row, text in zip(rows(targets), TARGETS, strict=True):
        assert pipeline.decode([*row, pipeline.pad_id, pipeline.pad_id]) == text
        assert pipeline.decode(np.array(row[1:-1])) == text
    assert pipeline.decode([pipeline.start_id, pipeline.eos_id, pipeline.pad_id]) == ""


def test_one_vocabulary_is_learned_from_both_sides():
    shared, apart = words(True), words()
    sources, targets = shared.fit_encode(SOURCES, TARGETS)
    apart.fit_encode(SOURCES, TARGETS)
    assert shared.shared
    assert not apart.shared
    assert shared.tokens == shared.target_tokens
    assert set(shared.tokens) == set(apart.tokens) | set(apart.target_tokens)
    assert "dog" not in apart.tokens
    assert "hund" not in apart.target_tokens
    alone = WordPipeline("whitespace")
    both = rows(alone.fit_encode([*SOURCES, *TARGETS]))
    assert [row[:-1] for row in rows(sources)] + [row[1:-1] for row in rows(targets)] == both


def test_sides_may_be_read_in_different_ways():
    pipeline = PairPipeline(WordPipeline("whitespace"), WordPipeline("char"))
    sources, targets = pipeline.fit_encode(SOURCES, TARGETS)
    assert sources.lengths.tolist() == [4, 3, 6]
    assert targets.lengths.tolist() == [len(text) + 2 for text in TARGETS]
    assert pipeline.decode(targets[1]) == "two dogs"


def test_what_a_text_writes_is_never_a_mark():
    pipeline = subwords(True)
    pipeline.fit_encode(SOURCES, TARGETS)
    row = pipeline.encode_targets(["<START> <EOS> <pad>"])[0].tolist()
    assert row.count(pipeline.start_id) == row.count(pipeline.eos_id) == 1
    assert pipeline.pad_id not in row
    assert pipeline.decode(row) == "<START> <EOS> <pad>"
    word = words()
    word.fit_encode(SOURCES, TARGETS)
    assert word.encode_targets(["<EOS> a"])[0].tolist().count(word.eos_id) == 1


def test_words_of_an_axis_are_readable_one_by_one():
    pipeline = PairPipeline(WordPipeline("whitespace"), WordPipeline("char"))
    sources, targets = pipeline.fit_encode(SOURCES, TARGETS)
    assert pipeline.source_words([*sources[0], pipeline.pad_id]) == ["ein", "hund", "läuft", "<EOS>"]
    assert pipeline.target_words(targets[1][1:]) == ["t", "w", "o", "▁", "d", "o", "g", "s", "<EOS>"]


@pytest.mark.parametrize("make", KINDS)
def test_it_comes_back_from_plain_data(make):
    pipeline = make()
    sources, targets = pipeline.fit_encode(SOURCES, TARGETS)
    again = load_pipeline(json.loads(json.dumps(pipeline.state_dict())))
    assert isinstance(again, PairPipeline)
    assert (again.tokens, again.target_tokens) == (pipeline.tokens, pipeline.target_tokens)
    assert again.shared == pipeline.shared
    assert again.config() == pipeline.config() == make().config()
    assert rows(again.encode_sources(SOURCES)) == rows(sources)
    assert rows(again.encode_targets(TARGETS)) == rows(targets)
    assert again.state_dict() == pipeline.state_dict()


def test_the_config_tells_shared_from_apart():
    configs = [make().config() for make in KINDS]
    assert len({json.dumps(config, sort_keys=True) for config in configs}) == len(KINDS)


texts = st.lists(st.tuples(st.text("ab c", max_size=6), st.text("xy z", max_size=6)), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(texts, st.booleans())
def test_rows_are_the_sides_own_rows_framed(pairs, shared):
    sources, targets = ([*side, "q"] for side in zip(*pairs, strict=True))
    pipeline = words(shared)
    found = pipeline.fit_encode(sources, targets)
    for written, ids, vocabulary, start in (
        (sources, found[0], pipeline.tokens, []),
        (targets, found[1], pipeline.target_tokens, ["<START>"]),
    ):
        assert len(ids) == len(written)
        assert [[vocabulary[id] for id in row] for row in rows(ids)] == [
            [*start, *text.split(), "<EOS>"] for text in written
        ]
    assert rows(pipeline.encode_sources([])) == []


def test_a_side_without_a_token_is_named():
    with pytest.raises(InputError, match="The target side: The vocabulary is empty"):
        words().fit_encode(["a"], ["  "])
    with pytest.raises(InputError, match="The vocabulary is empty"):
        words(True).fit_encode([" "], ["  "])
