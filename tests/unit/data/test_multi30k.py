import gzip
import hashlib
import os
from pathlib import Path

import pytest

from seqlab.data import multi30k
from seqlab.data.multi30k import Multi30k
from seqlab.types import InputError

DATA = Path(os.environ.get("SEQLAB_DATA", Path(__file__).parents[4] / "shared" / "data"))


@pytest.fixture(autouse=True)
def _small(request, monkeypatch):
    if "real" not in request.fixturenames:
        monkeypatch.setattr(multi30k, "PARTS", {"train": 7, "val": 3, "test_2016_flickr": 2})


@pytest.fixture
def real():
    if not any((DATA / folder / f"train.de{end}").exists() for folder in (".", "multi30k") for end in ("", ".gz")):
        pytest.skip(f"no Multi30k under {DATA}: set SEQLAB_DATA")
    return DATA


def lines(part, language, count):
    return [f"{part} {language} {number}, é." for number in range(count)]


def write(folder, languages=("de", "en", "fr"), zipped=False):
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in multi30k.PARTS.items():
        for language in languages:
            data = "".join(f"{line} \n" for line in lines(part, language, count)).encode()
            if zipped:
                (folder / f"{part}.{language}.gz").write_bytes(gzip.compress(data))
            else:
                (folder / f"{part}.{language}").write_bytes(data)


@pytest.mark.parametrize("folder", [".", "multi30k"])
@pytest.mark.parametrize("zipped", [False, True])
def test_pairs_come_part_by_part_from_wherever_they_lie(tmp_path, folder, zipped):
    write(tmp_path / folder, zipped=zipped)
    for source, target in (("de", "en"), ("en", "fr")):
        raw = Multi30k(tmp_path, source, target).read()
        for found, (part, count) in zip((raw.train, raw.val, raw.test), multi30k.PARTS.items(), strict=True):
            assert found == (lines(part, source, count), lines(part, target, count))


def test_the_digest_follows_languages_and_contents(tmp_path):
    write(tmp_path)
    write(tmp_path / "copy" / "multi30k")
    first = Multi30k(tmp_path).digest()
    assert Multi30k(tmp_path).digest() == Multi30k(tmp_path / "copy").digest() == first
    assert Multi30k(tmp_path, "en", "de").digest() != first
    (tmp_path / "val.en").write_text("other\n")
    assert Multi30k(tmp_path).digest() != first


def test_missing_and_broken_files_are_told(tmp_path):
    write(tmp_path)
    for ask in (Multi30k.digest, Multi30k.read):
        with pytest.raises(
            InputError, match=r"there is no train\.cs or train\.cs\.gz in .*put .*each as \.cs and \.en"
        ):
            ask(Multi30k(tmp_path, "cs"))
    with pytest.raises(InputError, match="both 'de'"):
        Multi30k(tmp_path, "de", "de")
    (tmp_path / "val.en").write_text("one\ntwo\n")
    with pytest.raises(InputError, match=r"val\.de, line 3 has no partner: .*val\.en ends after 2 lines"):
        Multi30k(tmp_path).read()
    (tmp_path / "val.de").write_text("eins\nzwei\n")
    with pytest.raises(InputError, match=r"val\.de has 2 lines, but Multi30k has 3 there"):
        Multi30k(tmp_path).read()
    (tmp_path / "val.en").write_text("one\n\nthree\n")
    with pytest.raises(InputError, match=r"val\.en, line 2 is empty"):
        Multi30k(tmp_path).read()


def test_what_is_not_there_is_fetched_or_asked_for(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"there is no train\.de or .*from https://\S+/raw/\)\.$"):
        Multi30k(tmp_path, download=False).digest()
    fetched = []

    def fetch(url, path, digest):
        assert url == f"{multi30k.URL}{path.name}"
        assert digest == multi30k.DIGESTS[path.name.removesuffix(".gz")]
        fetched.append(path.name)
        return path

    monkeypatch.setattr(multi30k, "fetch", fetch)
    write(tmp_path, ["de"])
    monkeypatch.setattr(multi30k, "file_digest", lambda path: b"")
    Multi30k(tmp_path).digest()
    assert fetched == ["train.en.gz", "val.en.gz", "test_2016_flickr.en.gz"]  # of the German part all is there
    with pytest.raises(InputError, match=r"there is no train\.fr"):  # nobody has seen its digest
        Multi30k(tmp_path, "fr").digest()


def test_the_real_files_are_those_that_would_be_fetched(real):
    folder = real if (real / "train.de.gz").exists() else real / "multi30k"
    if not (folder / "train.de.gz").exists():
        pytest.skip(f"Multi30k is unpacked under {real}")
    for name, digest in multi30k.DIGESTS.items():
        assert hashlib.sha256((folder / f"{name}.gz").read_bytes()).hexdigest() == digest.removeprefix("sha256:")


@pytest.mark.parametrize(("source", "target"), [("de", "en"), ("en", "de")])
def test_the_real_pairs(real, source, target):
    raw = Multi30k(real, source, target).read()
    for part, count in ((raw.train, 29_000), (raw.val, 1_014), (raw.test, 1_000)):
        assert len(part[0]) == len(part[1]) == count
        for side in part:
            assert 50 < sum(map(len, side)) / count < 80
            assert all(text == text.strip() != "" for text in side)
    german = raw.train[0] if source == "de" else raw.train[1]
    assert 20_000 < sum("ein" in text.lower().split() or "eine" in text.lower().split() for text in german) < 29_000
