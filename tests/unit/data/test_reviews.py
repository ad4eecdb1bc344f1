import logging
import random
import shutil

import pytest

from seqlab.data import grammar, reviews
from seqlab.data.reviews import COUNTS, DIGEST, LABELS, Reviews, generate


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with the sample in it, made once."""
    cache_dir = tmp_path_factory.mktemp("reviews")
    Reviews(cache_dir).read()
    return cache_dir


def test_the_sample_is_balanced_distinct_and_small(written):
    raw = Reviews(written).read()
    assert raw.labels == ("neg", "pos")
    for part, (texts, targets) in (("train", raw.train), ("test", raw.test)):
        assert len(texts) == len(targets) == COUNTS[part]
        assert sum(targets) * 2 == len(targets)
    everything = raw.train[0] + raw.test[0]
    assert len(set(everything)) == len(everything), "a review is there twice, perhaps in both parts"
    assert 200_000 < sum(map(len, everything)) < 600_000


def test_it_is_the_same_sample_everywhere():
    # The digest is a constant of the source: another Python version or platform must make the same bytes.
    assert generate() == generate()
    assert Reviews("unused").digest() == DIGEST


def test_texts_and_targets_belong_together(written):
    raw = Reviews(written).read()
    files = generate()
    for part, (texts, targets) in (("train", raw.train), ("test", raw.test)):
        labels = {content.decode(): path.split("/")[1] for path, content in files.items() if path.startswith(part)}
        assert [labels[text] for text in texts] == [LABELS[target] for target in targets]


def test_the_folder_has_the_form_of_the_imdb_archive(written):
    folder = written / "reviews-v1"
    assert sorted(path.name for path in written.iterdir()) == ["reviews-v1"]
    assert len(list(folder.glob("train/pos/*_8.txt"))) == COUNTS["train"] // 2
    assert len(list(folder.glob("test/neg/*_3.txt"))) == COUNTS["test"] // 2
    assert sum(path.is_file() for path in folder.rglob("*")) == sum(COUNTS.values())


def test_a_second_reading_writes_nothing(written, monkeypatch):
    first = Reviews(written).read()
    monkeypatch.setattr("seqlab.data.reviews.generate", lambda: pytest.fail("generated again"))
    assert Reviews(written).read() == first


@pytest.fixture
def small(monkeypatch):
    """A sample of 16 reviews in place of thousands: what happens to a folder does not hang on its size."""
    monkeypatch.setattr(reviews, "COUNTS", {"train": 10, "test": 6})
    monkeypatch.setattr(reviews, "DIGEST", reviews._digest(generate()))
    return 16


@pytest.mark.parametrize("damage", ["edited", "missing", "added", "a file in its place"])
def test_a_changed_folder_is_written_anew(small, tmp_path, damage, caplog):
    folder = tmp_path / "reviews-v1"
    first = Reviews(tmp_path).read()
    victim = folder / "train" / "pos" / "0_8.txt"
    if damage == "edited":
        victim.write_text("The kettle is \udcff", errors="surrogateescape")
    elif damage == "missing":
        victim.unlink()
    elif damage == "added":
        (folder / "train" / "pos" / "notes.txt").write_text("mine")
    else:
        shutil.rmtree(folder)
        folder.write_text("mine")
    with caplog.at_level(logging.WARNING):
        assert Reviews(tmp_path).read() == first
    assert len(caplog.records) <= 1
    assert [path.name for path in tmp_path.iterdir()] == ["reviews-v1"]
    assert sum(path.is_file() for path in folder.rglob("*")) == small


def test_where_nothing_can_be_written_the_sample_is_still_read(small, tmp_path, caplog):
    (tmp_path / "occupied").write_text("a file, not a folder")
    with caplog.at_level(logging.WARNING):
        assert Reviews(tmp_path / "occupied" / "cache").read() == Reviews(tmp_path / "free").read()
    assert len(caplog.records) == 1


def frames():
    return [template for templates, _ in grammar.VERDICTS for template in templates] + list(grammar.SUPPORT)


@pytest.mark.parametrize("positive", [False, True])
def test_every_slot_can_be_filled(positive):
    for seed in range(40):
        words = grammar._words(random.Random(seed), positive)
        for template in (*frames(), *grammar.ASIDES):
            assert all(words[slot] for slot in grammar._SLOT.findall(template))


def test_exchanging_every_pair_exchanges_the_verdicts():
    # What makes the grammar hard to read word by word: each frame serves both classes.
    paired = {name for pair in grammar.PAIRS for name in pair} | {"good", "bad", "fine", "poor"}
    assert all(paired & set(grammar._SLOT.findall(template)) for template in frames())
    for template in grammar.ASIDES:
        assert not paired & set(grammar._SLOT.findall(template))
    for good, bad in (*grammar.PAIRS.values(), *grammar.ASPECTS.values()):
        assert not set(good) & set(bad)
    assert abs(sum(share for _, share in grammar.VERDICTS) - 1) < 1e-9


def test_aspects_of_the_items_exist():
    for aspects in grammar.ITEMS.values():
        assert len(aspects) >= 2
        assert set(aspects) <= set(grammar.ASPECTS)


def test_sentences_are_written_as_people_write_them():
    for text, _ in grammar.write_reviews(400, seed=5, known=set()):
        assert "{" not in text
        assert text[0].isupper()
        assert text[-1] in ".!?"
        assert not any(wrong in f" {text} ".lower() for wrong in (" a e", " a i", " a o", " an u ", "  "))
        assert " an useless" not in text
