import logging
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.data import corpus_reading
from seqlab.data.corpus import load_corpus
from seqlab.text import BPEPipeline, WordPipeline
from seqlab.types import DataSpec, InputError

TEXT = "the cat sat on the mat and the dog sat on the cat\n" * 4


@dataclass
class Source:
    """Documents, read in pieces of ``size`` characters; counts how often it was read."""

    documents: list = field(default_factory=lambda: [TEXT])
    size: int = 10
    name: str = "made"
    reads: list = field(default_factory=list)

    def digest(self):
        return "".join(self.documents)

    def read(self):
        self.reads.append(1)
        for document in self.documents:
            for first in range(0, len(document), self.size):
                yield first == 0, document[first : first + self.size]


def load(source, cache_dir=None, pipeline=None, val_fraction=0.2, test_fraction=0.0):
    return load_corpus(
        source,
        pipeline or WordPipeline("char", None),
        val_fraction=val_fraction,
        test_fraction=test_fraction,
        cache_dir=cache_dir,
    )


def documents_of(data, part):
    tokens = getattr(data, part)
    return [data.pipeline.decode(ids) for ids in np.split(tokens.ids, tokens.starts[1:])]


def assert_same(left, right):
    assert left.digest == right.digest
    assert left.spec == right.spec
    assert left.pipeline.state_dict() == right.pipeline.state_dict()
    for part in ("train", "val", "test"):
        one, other = getattr(left, part), getattr(right, part)
        assert (one is None) == (other is None)
        if one is not None:
            assert one.ids.dtype == other.ids.dtype
            assert one.starts.dtype == other.starts.dtype == np.int64
            assert np.array_equal(one.ids, other.ids)
            assert np.array_equal(one.starts, other.starts)


def test_parts_are_cut_by_position_in_characters():
    data = load(Source(["ab" * 50]), val_fraction=0.1, test_fraction=0.05)
    assert [len(part) for part in (data.train, data.val, data.test)] == [85, 10, 5]
    assert data.pipeline.decode(np.concatenate([data.train.ids, data.val.ids, data.test.ids])) == "ab" * 50
    assert data.spec == DataSpec("language_modeling", 4, (), vocab_size=4, pad_id=1)
    assert data.train.ids.dtype == np.uint8
    assert load(Source()).test is None


@pytest.mark.parametrize(("val", "test"), [(0.1, 0.0), (0.05, 0.05), (0.1, 0.1), (0.15, 0.15), (0.3, 0.3), (0.02, 0.2)])
def test_fractions_are_taken_as_they_are_written(val, test):
    data = load(Source(["x" * 100]), val_fraction=val, test_fraction=test)
    assert len(data.val) == round(100 * val)
    assert (0 if data.test is None else len(data.test)) == round(100 * test)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.text("ab \n", min_size=1, max_size=30), min_size=1, max_size=8).filter(
        lambda d: sum(map(len, d)) >= 20
    ),
    st.integers(1, 12),
    st.integers(1, 40),
    st.sampled_from([0.0, 0.2]),
)
def test_documents_and_cuts_are_the_same_however_the_text_comes_in(documents, size, held, test_fraction):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus_reading, "_PIECE", held)
        data = load(Source(documents, size), test_fraction=test_fraction)
    total = sum(map(len, documents))
    bounds = [0, int(total * 0.8), total] if not test_fraction else [0, int(total * 0.6), int(total * 0.8), total]
    begins = np.cumsum([0, *map(len, documents)])
    text = "".join(documents)
    for part, first, end in zip(("train", "val", "test"), bounds, bounds[1:], strict=False):
        inner = [int(begin) for begin in begins if first < begin < end]
        expected = [text[a:b] for a, b in zip([first, *inner], [*inner, end], strict=True)]
        if part == "train":  # what training lacks is unknown
            known = set(text[first:end])
        assert documents_of(data, part) == [
            "".join(letter if letter in known else "<unk>" for letter in document) for document in expected
        ]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(["the", "cat", " ", "\n", "  ", "(a)", "x"]), min_size=60, max_size=120).map("".join),
    st.integers(1, 30),
)
@pytest.mark.parametrize("make", [lambda: WordPipeline(), lambda: BPEPipeline(270)], ids=["words", "bpe"])
def test_tokens_are_those_of_the_whole_text(make, text, held):
    text = f"the cat {text} the end"
    whole = make()
    end = int(len(text) * 0.8)
    expected = whole.fit_encode([text[:end]]).values
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus_reading, "_PIECE", held)
        data = load(Source([text], 7), pipeline=make())
    assert data.pipeline.tokens == whole.tokens
    assert data.train.ids.tolist() == expected.tolist()
    assert data.val.ids.tolist() == whole.encode([text[end:]]).values.tolist()


def test_the_vocabulary_is_of_the_training_part_alone():
    data = load(Source(["a" * 80 + "z" * 20]))
    assert data.pipeline.tokens == ["<unk>", "<pad>", "a"]
    assert set(data.val.ids.tolist()) == {0}


def test_documents_without_tokens_are_none():
    data = load(Source(["a b", " ", "\n", "c d", " " * 3, "e f g h", "  "]), pipeline=WordPipeline(), val_fraction=0.3)
    assert data.train.starts.tolist() == [0, 2, 4]
    assert data.val.starts.tolist() == [0]


def test_more_tokens_take_more_bytes():
    letters = "".join(chr(code) for code in range(0x4E00, 0x4E00 + 300))
    assert load(Source([letters + "xx"]), val_fraction=0.01).train.ids.dtype == np.uint16


def test_a_second_start_reads_the_cache_alone(tmp_path):
    source = Source([TEXT, TEXT])
    first = load(source, tmp_path)
    reads = len(source.reads)
    second, plain = load(source, tmp_path, WordPipeline("char", None)), load(Source([TEXT, TEXT]))
    assert len(source.reads) == reads
    assert_same(second, first)
    assert_same(plain, first)
    assert not second.train.ids.flags.writeable


@pytest.mark.parametrize(
    "change",
    [
        {"source": Source([TEXT, TEXT])},
        {"val_fraction": 0.3},
        {"test_fraction": 0.1},
        {"pipeline": WordPipeline("whitespace")},
    ],
)
def test_what_decides_the_contents_makes_another_cache(tmp_path, change):
    load(Source(), tmp_path)
    changed = {"source": Source(), **change}
    load(cache_dir=tmp_path, **changed)
    assert changed["source"].reads


def test_a_damaged_cache_is_built_again(tmp_path, caplog):
    first = load(Source(), tmp_path)
    (ids,) = tmp_path.glob("*/train.ids.npy")
    before = np.array(first.train.ids)
    ids.unlink()
    second = load(Source(), tmp_path)
    assert "building it again" in caplog.text
    assert np.array_equal(second.train.ids, before)


def test_where_nothing_can_be_written_it_goes_on_without(tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    assert_same(load(Source(), tmp_path / "file"), load(Source()))
    assert "going on without a token cache" in caplog.text


def test_one_line_is_logged(caplog):
    with caplog.at_level(logging.INFO):
        load(Source())
    (record,) = caplog.records
    assert record.message.startswith("made: 160 training, 40 validation tokens, ")


@pytest.mark.parametrize(
    ("source", "options", "says"),
    [
        (Source([]), {}, "made holds no text"),
        (Source(["ab"]), {}, "the training part of made has 1 token .*bring a longer text"),
        (Source(["abcd"]), {}, "the validation part of made has 1 token .*bring a longer text\\.$"),
        (Source(["x" * 100]), {"val_fraction": 0.01}, "the validation part .* has 1 token .*raise val_fraction"),
        (Source(["x" * 100]), {"test_fraction": 0.01}, "the test part of made has 1 token .*raise test_fraction"),
        (Source(), {"val_fraction": 0.0}, "val_fraction must lie between 0 and 1, not 0.0"),
        (Source(), {"test_fraction": 1.0}, "test_fraction must be at least 0 and below 1"),
        (Source(), {"val_fraction": 0.5, "test_fraction": 0.5}, "leave nothing to train on"),
        (Source([" " * 50]), {"pipeline": WordPipeline()}, "vocabulary is empty"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(source, options, says, tmp_path):
    with pytest.raises(InputError, match=says):
        load(source, tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_a_text_that_grows_while_it_is_read_is_refused():
    class Growing(Source):
        def read(self):
            yield from super().read()
            if len(self.reads) > 1:
                yield False, "more"

    with pytest.raises(InputError, match="was changed while it was read"):
        load(Growing())
