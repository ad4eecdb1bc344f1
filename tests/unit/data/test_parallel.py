from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.data.parallel import RawPairs, Texts, hold_out, load_pairs
from seqlab.text.bpe import BPEPipeline
from seqlab.text.pairs import PairPipeline
from seqlab.text.pipeline import WordPipeline
from seqlab.types import DataSpec, InputError


@dataclass
class Source:
    """Pairs ``wort w<i>`` -> ``word w<i>``; counts how often it was read."""

    train: int = 40
    test: int = 6
    val: int | None = 5
    content: str = "first"
    name: str = "made"
    reads: list = field(default_factory=list)

    def digest(self):
        return self.content

    def read(self):
        self.reads.append(1)

        def part(name, rows):
            return [f"wort {name}{row}" for row in range(rows)], [f"Wört {name}{row}!" for row in range(rows)]

        return RawPairs(part("w", self.train), part("t", self.test), None if self.val is None else part("v", self.val))


def words():
    return PairPipeline(WordPipeline("whitespace"), WordPipeline("whitespace"))


def load(source, pipeline=None, cache_dir=None, seed=0, val_fraction=0.1):
    return load_pairs(source, pipeline or words(), val_fraction=val_fraction, seed=seed, cache_dir=cache_dir)


def test_parts_texts_and_sizes():
    source = Source()
    data, raw = load(source), source.read()
    assert [len(part) for part in (data.train, data.val, data.test)] == [40, 5, 6]
    assert data.train.texts == ((), ())
    for written, texts in ((raw.train, data.train_texts), (raw.val, data.val.texts), (raw.test, data.test.texts)):
        assert (list(texts[0]), list(texts[1])) == written
    for row, (text, target) in enumerate(zip(*raw.train, strict=True)):
        assert data.pipeline.source_words(data.train.sources[row]) == [*text.split(), "<EOS>"]
        assert data.pipeline.decode(data.train.targets[row]) == target
    # Known from training: the common word, and nothing of the other parts.
    assert data.pipeline.source_words(data.test.sources[0]) == ["wort", "<unk>", "<EOS>"]
    size = 2 + 41 + 2
    assert data.spec == DataSpec(
        task="translation",
        num_outputs=size,
        labels=(),
        vocab_size=size,
        pad_id=1,
        start_id=size - 2,
        eos_id=size - 1,
        shared=False,
    )


def test_one_vocabulary_is_told():
    data = load(Source(), PairPipeline(WordPipeline("whitespace")))
    assert data.spec.shared
    assert data.spec.vocab_size == data.spec.num_outputs == 2 + 82 + 2


def test_a_validation_part_is_held_out_by_the_seed_where_there_is_none():
    source = Source(val=None)
    parts = [load(source, seed=seed) for seed in (0, 0, 1)]
    for data in parts:
        assert (len(data.train), len(data.val), len(data.test)) == (36, 4, 6)
        assert sorted([*data.train_texts[0], *data.val.texts[0]]) == sorted(source.read().train[0])
    held = [list(data.val.texts[0]) for data in parts]
    assert held[0] == held[1] != held[2]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 30).map(str), min_size=1, max_size=60), st.floats(0.01, 0.99), st.integers(0, 100))
def test_equal_sources_stay_on_one_side(sources, fraction, seed):
    kept, held = hold_out(sources, fraction, seed)
    assert sorted([*kept, *held]) == list(range(len(sources)))
    sides = {sources[row] for row in kept}, {sources[row] for row in held}
    assert not sides[0] & sides[1]
    assert sides[0]
    different = len(set(sources))
    assert len(sides[1]) == min(max(1, round(different * fraction)), different - 1)


@pytest.mark.parametrize("make", [words, lambda: PairPipeline(BPEPipeline(300))])
def test_a_second_start_reads_the_cache_alone(tmp_path, make):
    cold_source, warm_source = Source(), Source()
    bare = load(Source(), make())
    cold, warm = load(cold_source, make(), tmp_path), load(warm_source, make(), tmp_path)
    assert (len(cold_source.reads), len(warm_source.reads)) == (1, 0)
    assert bare.digest == cold.digest == warm.digest
    assert warm.pipeline.state_dict() == bare.pipeline.state_dict()
    assert warm.spec == bare.spec
    for part in ("train", "val", "test"):
        found, expected = getattr(warm, part), getattr(bare, part)
        for side in ("sources", "targets"):
            assert np.array_equal(getattr(found, side).values, getattr(expected, side).values)
            assert np.array_equal(getattr(found, side).offsets, getattr(expected, side).offsets)
        assert [list(texts) for texts in found.texts] == [list(texts) for texts in expected.texts]
    assert [list(texts) for texts in warm.train_texts] == [list(texts) for texts in bare.train_texts]


def test_other_contents_seeds_and_vocabularies_are_cached_apart(tmp_path):
    source = Source(val=None)
    for options in (
        {},
        {"seed": 1},
        {"val_fraction": 0.2},
        {"pipeline": PairPipeline(WordPipeline("whitespace"))},
    ):
        load(source, cache_dir=tmp_path, **options)
    load(Source(content="second"), cache_dir=tmp_path)
    assert len(source.reads) == 4
    assert len(list(tmp_path.iterdir())) == 5


@given(st.lists(st.text(max_size=8), max_size=10))
def test_texts_are_a_sequence_of_what_was_written(written):
    texts = Texts.of(written)
    assert list(texts) == written
    assert len(texts) == len(written)
    assert texts[1:5] == written[1:5]
    assert [texts[-1 - row] for row in range(len(written))] == written[::-1]
    with pytest.raises(IndexError):
        texts[len(written)]
    with pytest.raises(IndexError):
        texts[-len(written) - 1]


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match="made has no training pairs"):
        load(Source(train=0))
    with pytest.raises(InputError, match="made has no test pairs"):
        load(Source(test=0))
    with pytest.raises(InputError, match="made has no validation pairs"):
        load(Source(val=0))
    with pytest.raises(InputError, match="every training pair of made has the same source"):
        load(Source(train=1, val=None))
    with pytest.raises(InputError, match="val_fraction"):
        load(Source(), val_fraction=1.0)
    with pytest.raises(InputError, match="seed"):
        load(Source(), seed=-1)
