import json
import logging
import shutil

import numpy as np
import pytest

from seqlab.data import cache

FACTS = {"labels": ["no", "yes"], "pipeline": {"kind": "word", "tokens": ["<unk>", "é", "\ud800"]}}


def make_contents(first=0):
    arrays = {}
    for part, lengths in zip(("train", "val", "test"), ([3, 0, 2], [1], [0]), strict=True):
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        arrays[f"{part}.values"] = np.arange(first, first + offsets[-1], dtype=np.int32)
        arrays[f"{part}.offsets"] = offsets
        arrays[f"{part}.targets"] = np.arange(len(lengths))
    return cache.Contents.of(arrays, FACTS)


def same(left, right):
    return (
        left.facts == right.facts
        and left.digest == right.digest
        and left.arrays.keys() == right.arrays.keys()
        and all(
            np.array_equal(left.arrays[name], array) and left.arrays[name].dtype == array.dtype
            for name, array in right.arrays.items()
        )
    )


@pytest.fixture
def folder(tmp_path):
    """One stored cache."""
    cache.store(tmp_path, "na/me", "k" * 64, make_contents())
    (folder,) = tmp_path.iterdir()
    return folder


def test_what_is_stored_is_loaded_memory_mapped(tmp_path):
    contents = make_contents()
    assert cache.load(tmp_path, "name", "key") is None
    stored = cache.store(tmp_path / "new", "name", "key", contents)
    loaded = cache.load(tmp_path / "new", "name", "key")
    for found in (stored, loaded):
        assert same(found, contents)
        assert not found.arrays["train.values"].flags.writeable
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["name-key"]


def test_another_key_is_another_cache(folder, tmp_path):
    assert cache.load(tmp_path, "na/me", "l" * 64) is None
    cache.store(tmp_path, "na/me", "l" * 64, make_contents(5))
    assert same(cache.load(tmp_path, "na/me", "k" * 64), make_contents())


def test_everything_that_decides_the_contents_is_in_the_key():
    keys = {
        cache.key_of("files", {"a": 1}, 0.1, 0),
        cache.key_of("other", {"a": 1}, 0.1, 0),
        cache.key_of("files", {"a": 2}, 0.1, 0),
        cache.key_of("files", {"a": 1}, 0.2, 0),
        cache.key_of("files", {"a": 1}, 0.1, 1),
    }
    assert len(keys) == 5
    assert cache.key_of("files", {"a": 1, "b": 2}, 0.1, 0) == cache.key_of("files", {"b": 2, "a": 1}, 0.1, 0)


def edit_meta(folder, **changes):
    path = folder / "meta.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def flip(path, at=-1):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def save_as(path, dtype):
    np.save(path, np.load(path).view(dtype))


DAMAGES = {
    "array changed": lambda folder: flip(folder / "train.values.npy"),
    "header changed": lambda folder: flip(folder / "train.values.npy", 0),
    "targets changed": lambda folder: flip(folder / "val.targets.npy"),
    "truncated": lambda folder: (folder / "train.values.npy").write_bytes(
        (folder / "train.values.npy").read_bytes()[:-4]
    ),
    "empty file": lambda folder: (folder / "train.offsets.npy").write_bytes(b""),
    "longer": lambda folder: np.save(folder / "train.values.npy", np.arange(6, dtype=np.int32)),
    "other type": lambda folder: np.save(folder / "train.values.npy", np.arange(5)),
    "bytes in another order": lambda folder: save_as(folder / "train.values.npy", ">i4"),
    "other shape": lambda folder: np.save(folder / "val.values.npy", np.zeros((1, 1), np.int32)),
    "file gone": lambda folder: (folder / "test.targets.npy").unlink(),
    "meta gone": lambda folder: (folder / "meta.json").unlink(),
    "meta not JSON": lambda folder: (folder / "meta.json").write_text("{"),
    "meta not UTF-8": lambda folder: (folder / "meta.json").write_bytes(b"\xff"),
    "meta a list": lambda folder: (folder / "meta.json").write_text("[]"),
    "labels edited": lambda folder: edit_meta(folder, facts={**FACTS, "labels": ["yes", "no"]}),
    "sizes edited": lambda folder: edit_meta(folder, arrays={}),
    "key edited": lambda folder: edit_meta(folder, key="other"),
    "pickled": lambda folder: np.save(folder / "val.values.npy", np.array([{}]), allow_pickle=True),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_not_believed_but_replaced(folder, tmp_path, damage, caplog):
    DAMAGES[damage](folder)
    with caplog.at_level(logging.INFO, logger="seqlab"):
        assert cache.load(tmp_path, "na/me", "k" * 64) is None
    assert len(caplog.records) == 1
    assert "building it again" in caplog.text
    cache.store(tmp_path, "na/me", "k" * 64, make_contents())
    assert same(cache.load(tmp_path, "na/me", "k" * 64), make_contents())
    assert list(tmp_path.iterdir()) == [folder]


def test_where_nothing_can_be_written_it_goes_on_without(tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    contents = make_contents()
    assert cache.load(tmp_path / "file", "name", "key") is None
    assert cache.store(tmp_path / "file", "name", "key", contents) is contents
    assert len(caplog.records) == 1
    assert "going on without a token cache" in caplog.text


def test_open_maps_survive_the_replacement_of_their_cache(folder, tmp_path):
    loaded = cache.load(tmp_path, "na/me", "k" * 64)
    shutil.rmtree(folder)
    cache.store(tmp_path, "na/me", "k" * 64, make_contents(7))
    assert same(loaded, make_contents())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_what_is_written_piece_by_piece_is_what_is_written_at_once(tmp_path, dtype):
    pieces = [np.arange(start, start + 50).astype(dtype) for start in (0, 50, 100)]
    whole = cache.Contents.of({"ids": np.concatenate(pieces), "starts": np.arange(0)}, FACTS)
    memory = cache.Memory()
    with cache.Draft(tmp_path, "name", "key") as draft:
        for target in (draft, memory):
            for piece in pieces:
                target.append("ids", piece)
            target.append("starts", np.arange(0))
        written = draft.finish(FACTS)
    assert same(written, whole)
    assert same(memory.finish(FACTS), whole)
    assert same(cache.load(tmp_path, "name", "key"), whole)
    assert np.array_equal(np.load(tmp_path / "name-key" / "ids.npy"), whole.arrays["ids"])


def test_an_unfinished_draft_leaves_nothing(tmp_path):
    def begin():
        with cache.Draft(tmp_path, "name", "key") as draft:
            draft.append("ids", np.arange(3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begin()
    assert not list(tmp_path.iterdir())


def test_a_cache_is_for_this_user_alone_and_believed_only_then(tmp_path, caplog):
    cache.store(tmp_path, "name", "k" * 64, make_contents())
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    for path in (folder, folder / "meta.json"):
        kept = path.stat().st_mode
        path.chmod(kept | 0o022)
        assert cache.load(tmp_path, "name", "k" * 64) is None
        assert f"{path.name} belongs to another user, or others may write to it" in caplog.text
        path.chmod(kept)
        caplog.clear()
    assert same(cache.load(tmp_path, "name", "k" * 64), make_contents())
    moved = tmp_path / "moved"
    folder.rename(moved)
    folder.symlink_to(moved)
    assert cache.load(tmp_path, "name", "k" * 64) is None
    assert "belongs to another user" in caplog.text
