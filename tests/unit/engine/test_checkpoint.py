import os
import pickle
import random
import zipfile

import numpy as np
import pytest
import torch

from seqlab.engine import checkpoint
from seqlab.engine.runtime import random_state, restore_random_state
from seqlab.types import InputError


def test_round_trip_of_plain_data(tmp_path) -> None:
    state = {"config": {"a": [1, None, "x"], "b": 2.5}, "model": {"w": torch.randn(3)}, "random": random_state()}
    checkpoint.save(tmp_path / "new" / "last.pt", state)
    loaded = checkpoint.load(tmp_path / "new" / "last.pt")
    assert loaded["config"] == state["config"]
    assert torch.equal(loaded["model"]["w"], state["model"]["w"])
    assert os.listdir(tmp_path / "new") == ["last.pt"]
    drawn = (torch.rand(2).tolist(), random.random(), np.random.rand())
    restore_random_state(loaded["random"])
    assert (torch.rand(2).tolist(), random.random(), np.random.rand()) == drawn


def test_load_says_what_is_wrong(tmp_path) -> None:
    def fails(path, words: str) -> None:
        with pytest.raises(InputError, match=words) as caught:
            checkpoint.load(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)

    path = tmp_path / "x.pt"
    fails(path, "no checkpoint")
    path.write_bytes(b"")
    fails(path, "damaged")
    path.write_bytes(pickle.dumps({"a": 1}))
    fails(path, "damaged")
    checkpoint.save(path, {"model": {"w": torch.zeros(5000)}})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    fails(path, "damaged")
    at = whole.index(bytes(4000))  # within the weights
    path.write_bytes(whole[:at] + b"\1" + whole[at + 1 :])
    fails(path, "damaged .the checksum of .* is wrong")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello", "x")
    fails(path, "damaged")
    torch.save({"w": torch.zeros(2)}, path)
    fails(path, "not written by seqlab")
    torch.save({"model": random.Random()}, path)
    fails(path, "more than plain data")
    torch.save({"format": checkpoint.FORMAT, "version": checkpoint.VERSION + 1}, path)
    fails(path, "newer seqlab")


def test_a_full_disk_leaves_the_earlier_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save(path, {"step": 1})
    real = open

    def full(name, *rest, **options):
        return real("/dev/full" if str(name).endswith("unfinished") else name, *rest, **options)

    monkeypatch.setattr("builtins.open", full)
    with pytest.raises(InputError, match=r"No space left on device.*earlier checkpoint is unharmed"):
        checkpoint.save(path, {"step": 2, "model": {"w": torch.zeros(100_000)}})
    monkeypatch.undo()
    assert checkpoint.load(path)["step"] == 1


def test_a_folder_that_cannot_be_written(tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"Cannot write the checkpoint .* no earlier one"):
        checkpoint.save(tmp_path / "file" / "last.pt", {})


def test_weights_of_another_model_are_refused_whole(reader) -> None:
    model, other = reader(), reader()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    wrong = dict(other.state_dict()) | {"head.weight": torch.zeros(2, 9)}
    with pytest.raises(InputError, match=r"'head.weight' is \(2, 9\) there and \(3, 5\) here"):
        checkpoint.load_weights(model, wrong)
    del wrong["head.weight"]
    with pytest.raises(InputError, match=r"only the model has 'head.weight'"):
        checkpoint.load_weights(model, wrong)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def steps(folder) -> dict[str, int]:
    return {path.name: checkpoint.load(path)["step"] for path in folder.iterdir()}


@pytest.mark.parametrize("links", [True, False])
def test_the_last_checkpoints_are_kept(tmp_path, monkeypatch, links) -> None:
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(1, "no links here")))
    path = tmp_path / "last.pt"
    for step in range(1, 6):
        checkpoint.save(path, {"step": step}, keep=3)
    assert steps(tmp_path) == {"last.pt": 5, "last.1.pt": 4, "last.2.pt": 3}
    checkpoint.save(path, {"step": 6}, keep=2)
    assert steps(tmp_path) == {"last.pt": 6, "last.1.pt": 5}
    checkpoint.promote(path, tmp_path / "last.1.pt")
    assert steps(tmp_path) == {"last.pt": 5}
    checkpoint.save(path, {"step": 6}, keep=1)
    assert steps(tmp_path) == {"last.pt": 6}


def test_a_whole_checkpoint_is_there_at_every_moment_of_a_save(tmp_path, monkeypatch) -> None:
    path, real = tmp_path / "last.pt", os.replace
    for step in (1, 2):
        checkpoint.save(path, {"step": step}, keep=2)
    for killed in (1, 2):
        count = [0]

        def fatal(*names, killed=killed, count=count):
            count[0] += 1
            if count[0] == killed:
                raise KeyboardInterrupt
            return real(*names)

        monkeypatch.setattr(os, "replace", fatal)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(path, {"step": 3}, keep=2)
        monkeypatch.undo()
        assert checkpoint.load(path)["step"] == 2
    checkpoint.save(path, {"step": 4}, keep=2)
    assert steps(tmp_path) == {"last.pt": 4, "last.1.pt": 2}
