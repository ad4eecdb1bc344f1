import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.data.imdb import IMDB
from seqlab.data.labelled import RawText, load_labelled
from seqlab.data.splitting import stratified
from seqlab.data.table import Table
from seqlab.text.pipeline import WordPipeline
from seqlab.types import DataSpec, InputError

DATA = Path(os.environ.get("SEQLAB_DATA", Path(__file__).parents[4] / "shared" / "data"))


@dataclass
class Source:
    """Rows ``common word<i>`` with labels in turn; counts how often it was read."""

    train: int = 40
    test: int = 6
    val: int | None = None
    classes: int = 2
    content: str = "first"
    name: str = "made"
    reads: list = field(default_factory=list)

    def digest(self):
        return self.content

    def read(self):
        self.reads.append(1)

        def part(name, rows):
            return [f"common {name}{row}" for row in range(rows)], [row % self.classes for row in range(rows)]

        val = None if self.val is None else part("v", self.val)
        return RawText(("zero", "one", "two")[: max(self.classes, 2)], part("w", self.train), part("t", self.test), val)


def load(source, cache_dir=None, seed=0, val_fraction=0.1, group_texts=True, **options):
    return load_labelled(
        source, WordPipeline(**options), val_fraction=val_fraction, seed=seed, group_texts=group_texts,
        cache_dir=cache_dir,
    )  # fmt: skip


def texts(data, part):
    split = getattr(data, part)
    return [data.pipeline.decode(split.tokens[row]) for row in range(len(split))]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=200),
    st.floats(0.01, 0.99),
    st.integers(0, 100),
)
def test_a_stratified_part_has_every_class_in_its_share(targets, fraction, seed):
    kept, held = stratified(targets, fraction, seed)
    assert sorted([*kept, *held]) == list(range(len(targets)))
    assert all(np.diff(kept) > 0)
    assert all(np.diff(held) > 0)
    again = stratified(np.array(targets), fraction, seed)
    assert np.array_equal(kept, again[0])
    counts, left = np.bincount(targets), np.bincount(np.array(targets)[kept], minlength=max(targets) + 1)
    assert all((left > 0) == (counts > 0))
    if max(counts) > 1:
        assert len(held) >= 1
        assert all(abs(counts - left - counts * fraction) <= 1)
    if min(counts[counts > 0]) * min(fraction, 1 - fraction) > 1:
        assert abs(len(held) - len(targets) * fraction) <= 0.5


def test_the_seed_decides_which_rows_are_held_out():
    held = [tuple(stratified([0, 1] * 50, 0.1, seed)[1]) for seed in range(5)]
    assert len(set(held)) == 5


def test_parts_vocabulary_and_sizes():
    data = load(Source(train=40, classes=3), tokenizer="whitespace")
    assert (len(data.train), len(data.val), len(data.test)) == (36, 4, 6)
    assert data.spec == DataSpec(
        "classification", 3, ("zero", "one", "two"), vocab_size=39, pad_id=1, counts=(12, 12, 12)
    )
    assert sorted(set(data.train.targets.tolist())) == [0, 1, 2]
    # The vocabulary comes from the training part alone.
    assert set(texts(data, "val")) == set(texts(data, "test")) == {"common <unk>"}
    assert all(text.startswith("common w") for text in texts(data, "train"))
    assert data.train.tokens.values.dtype == np.int32


def test_a_validation_part_of_the_sources_own_is_used():
    data = load(Source(train=10, val=4))
    assert (len(data.train), len(data.val)) == (10, 4)


def test_a_second_start_reads_the_cache_alone(tmp_path):
    source = Source()
    first, second = load(source, tmp_path), load(source, tmp_path)
    assert len(source.reads) == 1
    plain = load(source)
    for data in (second, plain):
        assert data.digest == first.digest
        assert data.spec == first.spec
        assert data.pipeline.tokens == first.pipeline.tokens
        for part in ("train", "val", "test"):
            assert texts(data, part) == texts(first, part)
            assert np.array_equal(getattr(data, part).targets, getattr(first, part).targets)
    assert second.pipeline.encode(["common new"])[0].tolist() == first.pipeline.encode(["common new"])[0].tolist()


@pytest.mark.parametrize(
    "change",
    [
        {"source": Source(content="second")},
        {"seed": 1},
        {"val_fraction": 0.2},
        {"tokenizer": "char"},
        {"max_tokens": 9},
    ],
)
def test_what_decides_the_contents_makes_another_cache(tmp_path, change):
    load(Source(), tmp_path)
    changed = {"source": Source(), **change}
    load(cache_dir=tmp_path, **changed)
    assert changed["source"].reads


def test_a_damaged_cache_is_built_again(tmp_path):
    source = Source()
    first = texts(load(source, tmp_path), "train")
    (values,) = tmp_path.glob("*/train.values.npy")
    values.write_bytes(values.read_bytes()[:-4])
    second = load(source, tmp_path)
    assert len(source.reads) == 2
    assert texts(second, "train") == first


def test_the_digest_is_of_the_contents_not_of_where_they_lie():
    assert load(Source(content="second", name="other")).digest == load(Source()).digest
    assert load(Source(), seed=1).digest != load(Source()).digest
    assert load(Source(test=7)).digest != load(Source()).digest


def test_an_edited_table_is_read_again(tmp_path):
    path = tmp_path / "a.csv"
    rows = [f"text {row},{'yes' if row % 2 else 'no'}\n" for row in range(30)]
    path.write_text("text,label\n" + "".join(rows))
    before = load(Table(path), tmp_path / "cache")
    path.write_text("text,label\n" + "".join(rows[:-2]))
    after = load(Table(path), tmp_path / "cache")
    assert before.labels == after.labels == ("no", "yes")
    assert sum(map(len, (before.train, before.val, before.test))) == 30
    assert sum(map(len, (after.train, after.val, after.test))) == 28


@pytest.mark.parametrize(
    ("source", "options", "says"),
    [
        (Source(classes=1), {}, "every training example of made has the label 'zero'"),
        (Source(train=0), {}, "no training examples"),
        (Source(test=0), {}, "no test examples"),
        (Source(val=0), {}, "no validation examples"),
        (Source(train=2), {}, "none is left to validate on"),
        (Source(), {"min_freq": 99}, "vocabulary is empty"),
        (Source(), {"val_fraction": 0.0}, "val_fraction must lie between 0 and 1, not 0.0"),
        (Source(), {"seed": -1}, "seed must not be negative"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(source, options, says, tmp_path):
    with pytest.raises(InputError, match=says):
        load(source, tmp_path, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_imdb_from_reviews_to_ids_and_again_from_the_cache(tmp_path):
    if not any((DATA / name).exists() for name in ("aclImdb_v1.tar.gz", "aclImdb")):
        pytest.skip(f"no IMDB under {DATA}: set SEQLAB_DATA")
    source = IMDB(DATA, download=False)
    first, second = (load(source, tmp_path, val_fraction=0.05, group_texts=False) for _ in range(2))
    assert first.digest == second.digest
    assert (len(second.train), len(second.val), len(second.test)) == (23_750, 1_250, 25_000)
    assert second.spec.vocab_size == 20_000
    for split in (second.train, second.val, second.test):
        assert split.targets.sum() * 2 == len(split)
