import os
import tarfile
from pathlib import Path

import pytest

from seqlab.data import imdb
from seqlab.data.imdb import IMDB
from seqlab.types import InputError

DATA = Path(os.environ.get("SEQLAB_DATA", Path(__file__).parents[4] / "shared" / "data"))


@pytest.fixture(autouse=True)
def _small(request, monkeypatch):
    if "real" not in request.fixturenames:
        monkeypatch.setattr(imdb, "COUNTS", dict.fromkeys(imdb.COUNTS, 12))
        monkeypatch.setattr(imdb, "UNLABELLED", dict.fromkeys(imdb.UNLABELLED, 3))


@pytest.fixture
def real():
    if not any((DATA / name).exists() for name in ("aclImdb_v1.tar.gz", "aclImdb")):
        pytest.skip(f"no IMDB under {DATA}: set SEQLAB_DATA")
    return DATA


def review(part, label, number):
    return f"Review {number} of {part}, {label}: très long.<br />"


def write_folder(root):
    for folder, count in {**imdb.COUNTS, **imdb.UNLABELLED}.items():
        path = root.joinpath("aclImdb", *folder)
        path.mkdir(parents=True)
        for number in range(count):
            (path / f"{number}_{number % 11}.txt").write_bytes(review(*folder, number).encode())
    (root / "aclImdb" / "train" / "labeledBow.feat").write_text("0:1 1:2")
    (root / "aclImdb" / "train" / "pos" / "notes.txt").write_text("no review")


def write_archive(root, source):
    with tarfile.open(root / "aclImdb_v1.tar.gz", "w:gz") as tar:
        # Neither the order of the names nor of the numbers.
        for path in sorted(source.rglob("*.txt"), reverse=True):
            tar.add(path, str(path.relative_to(source)))


@pytest.fixture
def folder(tmp_path):
    write_folder(tmp_path / "folder")
    return tmp_path / "folder"


def test_reviews_come_by_label_and_number_from_folder_and_archive_alike(folder, tmp_path):
    write_archive(tmp_path, folder)
    raw = IMDB(folder, download=False).read()
    assert raw.labels == ("neg", "pos")
    assert raw.val is None
    for part, (texts, targets) in (("train", raw.train), ("test", raw.test)):
        assert texts == [review(part, label, number) for label in ("neg", "pos") for number in range(12)]
        assert targets == [0] * 12 + [1] * 12
    assert IMDB(tmp_path, download=False).read() == raw


def test_unlabelled_reviews_come_by_number(folder, tmp_path):
    write_archive(tmp_path, folder)
    for root in (folder, tmp_path):
        assert list(IMDB(root).unlabelled()) == [review("train", "unsup", number) for number in range(3)]


def test_the_digest_follows_the_files(folder, tmp_path):
    write_archive(tmp_path, folder)
    source = IMDB(folder)
    before = source.digest()
    assert IMDB(folder).digest() == before != IMDB(tmp_path).digest()
    file = folder / "aclImdb" / "test" / "neg" / "3_3.txt"
    os.utime(file, ns=(0, 0))
    assert source.digest() != before


def test_missing_and_broken_reviews_are_told(folder, tmp_path):
    (folder / "aclImdb" / "test" / "neg" / "3_3.txt").unlink()
    with pytest.raises(InputError, match=r"but test/neg 11 \(not 12\): get"):
        IMDB(folder).read()
    (folder / "aclImdb" / "test" / "neg" / "3_3.txt").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"test/neg/3_3.txt of .* is not UTF-8"):
        IMDB(folder).read()
    (tmp_path / "aclImdb_v1.tar.gz").write_bytes(b"half of it")
    with pytest.raises(InputError, match=r"aclImdb_v1\.tar\.gz is damaged or incomplete"):
        IMDB(tmp_path).read()
    (tmp_path / "empty" / "aclImdb").mkdir(parents=True)
    with pytest.raises(InputError, match=r"train/neg 0 \(not 12\), train/pos 0 \(not 12\), test/neg 0"):
        IMDB(tmp_path / "empty").read()


def test_without_files_it_downloads_or_says_which_file_goes_where(tmp_path, monkeypatch, folder):
    with pytest.raises(
        InputError, match=r"download https://ai\.stanford\.edu/\S+ and put it at \S+aclImdb_v1\.tar\.gz"
    ):
        IMDB(tmp_path, download=False).read()

    def fetch(url, path, digest):
        assert url == imdb.URL
        assert digest == imdb.DIGEST
        write_archive(path.parent, folder)
        return path

    monkeypatch.setattr(imdb, "fetch", fetch)
    assert len(IMDB(tmp_path).read().train[0]) == 24


def test_the_real_reviews(real):
    raw = IMDB(real, download=False).read()
    for texts, targets in (raw.train, raw.test):
        assert len(texts) == 25_000
        assert sum(targets) == 12_500
        assert 1200 < sum(map(len, texts)) / len(texts) < 1400
