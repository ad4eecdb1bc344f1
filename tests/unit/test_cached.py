from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from seqlab.cached import cached
from seqlab.cli import app
from seqlab.data import cache
from seqlab.data.reviews import Reviews


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache as it comes to be, in a folder where a person keeps other things too."""
    monkeypatch.setenv("SEQLAB_CACHE", str(tmp_path))
    for key in ("a", "b"):
        key = cache.key_of(key, {})
        cache.store(tmp_path, "my-texts", key, cache.Contents.of({"values": np.arange(1000)}, {}))
    draft = cache.Draft(tmp_path, "my-texts", cache.key_of("c", {}))
    draft.__enter__()  # and the process is killed
    for name in ("floors", "kernels", "thesis"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("some bytes")
    for name in ("floors-of-the-house", "reviews-v2 of my own"):
        (tmp_path / name).mkdir()
    (tmp_path / "letter.txt").write_text("dear")
    (tmp_path / "linked-0123456789abcdef0123").symlink_to(tmp_path / "thesis")
    return tmp_path


def test_all_is_named_and_measured(folder):
    found = {one.what: one for one in cached(folder)}
    assert set(found) == {"token ids of my-texts", "floors", "compiled cells"}
    assert found["floors"].size == 10
    tokens = found["token ids of my-texts"]
    assert (len(tokens.paths), tokens.files) == (3, 4)  # a killed process's draft; an array and its description, twice
    assert tokens.size >= 2 * 8000


def test_the_embedded_reviews_are_known(tmp_path):
    Reviews(tmp_path).folder.mkdir()
    assert [one.what for one in cached(tmp_path)] == ["texts of data=reviews"]


def test_clearing_deletes_what_is_seqlabs_own(folder):
    answer = CliRunner().invoke(app, ["cache", "--clear"])
    assert answer.exit_code == 0, answer.output
    assert answer.stdout.endswith("MB deleted\n")
    left = {path.name for path in folder.iterdir()}
    assert left == {
        "thesis",
        "floors-of-the-house",
        "reviews-v2 of my own",
        "letter.txt",
        "linked-0123456789abcdef0123",
    }
    assert (folder / "thesis" / "file").exists()
    assert "holds nothing" in CliRunner().invoke(app, ["cache"]).stdout


def test_listing_deletes_nothing(folder):
    before = sorted(folder.rglob("*"))
    answer = CliRunner().invoke(app, ["cache"])
    assert answer.exit_code == 0, answer.output
    assert "token ids of my-texts" in answer.stdout
    assert sorted(folder.rglob("*")) == before


def test_without_a_cache_there_is_nothing(tmp_path):
    assert cached(tmp_path / "absent") == []
