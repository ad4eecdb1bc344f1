"""Faults and kills around a training: what is in the run folder stays of use, and one command goes on."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from seqlab import durable, stored
from seqlab.compose import composed
from seqlab.engine import checkpoint, lock
from seqlab.engine.tracker import Tracker
from seqlab.errors import InputError
from seqlab.train import train
from seqlab.types import DataSpec

ROOT = Path(__file__).parents[2]
ROWS = [("good clean fun", "yes"), ("bad dull noise", "no"), ("fun and good", "yes"), ("dull and bad", "no")] * 6
SMALL = ("model.hidden_size=4", "model.embedding.dim=4", "data.batch_size=4", "trainer.log_every=1", "floor=false",
         "trainer.eval_every=4", "trainer.max_steps=8", "trainer.max_epochs=99", "runtime.threads=1",
         "runtime.tune=off")  # fmt: skip


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "texts.csv"
    path.write_text("\n".join(["text,label", *(f"{text} {row},{label}" for row, (text, label) in enumerate(ROWS))]))
    return path


def words(texts: Path, run_dir: Path, *more: str) -> list[str]:
    return ["data=csv", f"data.path={texts}", f"run_dir={run_dir}", *SMALL, *more]


@pytest.fixture(scope="module")
def whole(texts, tmp_path_factory) -> Path:
    """A run that nothing happened to."""
    run_dir = tmp_path_factory.mktemp("runs") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seqlab.engine.tracker.Tracker.figure", lambda *_: None)
        train(composed(*words(texts, run_dir)))
    return run_dir


@pytest.fixture
def copy(whole, tmp_path) -> Path:
    shutil.copytree(whole, tmp_path / "run")
    return tmp_path / "run"


def weights(run_dir: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(run_dir / "last.pt")["model"]


def same(one: Path, other: Path) -> bool:
    return all(torch.equal(value, weights(other)[name]) for name, value in weights(one).items())


def summary(run_dir: Path) -> dict:
    return json.loads((run_dir / "summary.json").read_text())


def events(run_dir: Path):
    from tensorboard.backend.event_processing.event_accumulator import IMAGES, EventAccumulator

    return EventAccumulator(str(run_dir), size_guidance={IMAGES: 0}).Reload()


def kill(*_: object) -> None:
    """In the place of a kill: no handler of seqlab's takes it, and what would follow is not done."""
    raise GeneratorExit


# Config and small files -----------------------------------------------------------------------------------------------


def test_a_kill_while_the_config_is_written_leaves_the_earlier_one(copy, monkeypatch):
    before = (copy / "config.yaml").read_text()
    replace = os.replace
    monkeypatch.setattr(durable.os, "replace", lambda a, b: kill() if "config" in str(b) else replace(a, b))
    with pytest.raises(GeneratorExit):
        train(composed(f"resume={copy}", "trainer.max_steps=9"))
    assert (copy / "config.yaml").read_text() == before


def test_every_small_file_is_written_whole(texts, tmp_path, monkeypatch):
    """Whatever is not appended to comes to its name by a rename."""
    renamed = set()
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (renamed.add(Path(b)), replace(a, b))[1])
    train(composed(*words(texts, tmp_path / "run")))
    files = {path for path in (tmp_path / "run").rglob("*") if path.is_file()}
    appended = {path for path in files if path.name == "metrics.jsonl" or path.name.startswith("events.")}
    projector = {path for path in files if path.suffix in (".tsv", ".pbtxt")}
    assert files - appended - projector <= renamed


# One process at a time ------------------------------------------------------------------------------------------------


def test_a_process_that_trains_is_named_and_its_death_frees_the_folder(copy, tmp_path, run_command):
    """Until then nobody else may write, and ``seqlab runs`` tells the run from an interrupted one."""
    (copy / "summary.json").unlink()
    code = (
        "import sys, time; from seqlab.engine.lock import RunLock\n"
        "with RunLock() as lock: lock.take(sys.argv[1]); print('held', flush=True); time.sleep(99)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(copy)], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        assert other.stdout.readline() == b"held\n"
        assert lock.holder(copy).pid == str(other.pid)
        with lock.RunLock() as second, pytest.raises(InputError, match=f"in use by process {other.pid} on "):
            second.take(copy)
        first, who = run_command("runs", copy.parent, cwd=tmp_path).stdout.splitlines()
        assert first == f"training now at step 8: {copy}"
        assert who.strip().startswith(f"process {other.pid} on ")
        found = json.loads(run_command("runs", copy.parent, "--json", cwd=tmp_path).stdout)
        assert (found["training"], found["interrupted"], found["command"]) == (True, False, "")
    finally:
        other.kill()
        other.wait()
    assert lock.holder(copy) is None
    shown = run_command("runs", copy.parent, cwd=tmp_path).stdout
    assert shown == f"not finished at step 8: {copy}\n    continue: seqlab train resume={copy}\n"
    with lock.RunLock() as third:
        third.take(copy)


def test_a_run_whose_report_is_not_complete_is_listed_with_what_completes_it(copy, tmp_path, run_command):
    found = json.loads((copy / "summary.json").read_text())
    (copy / "summary.json").write_text(json.dumps({**found, "complete": False}))
    shown = run_command("runs", copy.parent, cwd=tmp_path).stdout
    assert shown.endswith(f"report not complete at step 8: {copy}\n    continue: seqlab train resume={copy}\n")
    assert len(run_command("runs", copy.parent, "--json", cwd=tmp_path).stdout.splitlines()) == 1


@pytest.mark.parametrize("system", ["none", "unsupported"])
def test_without_locks_of_the_system_the_process_in_the_file_decides(tmp_path, monkeypatch, system):
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    if system == "none":
        monkeypatch.setattr(lock, "fcntl", None)
    else:
        monkeypatch.setattr(lock.fcntl, "flock", unsupported)
    with lock.RunLock() as first:
        first.take(tmp_path)
        assert lock.holder(tmp_path).pid == str(os.getpid())
        with lock.RunLock() as second, pytest.raises(InputError, match=f"in use by process {os.getpid()} on "):
            second.take(tmp_path)
        assert lock.holder(tmp_path) is not None
    assert lock.holder(tmp_path) is None
    dead = subprocess.Popen([sys.executable, "-S", "-c", ""])
    dead.wait()
    (tmp_path / lock.NAME).write_text(json.dumps({"pid": dead.pid, "host": socket.gethostname(), "since": "then"}))
    assert lock.holder(tmp_path) is None
    with lock.RunLock() as third:
        third.take(tmp_path)


def test_who_only_looks_refuses_nobody(tmp_path, monkeypatch):
    """``seqlab runs`` looks at a lock for an instant: a training that starts in it tries again."""
    (tmp_path / lock.NAME).write_text("")
    with open(tmp_path / lock.NAME) as file:
        lock.fcntl.flock(file, lock.fcntl.LOCK_SH)
        monkeypatch.setattr(lock.time, "sleep", lambda _: lock.fcntl.flock(file, lock.fcntl.LOCK_UN))
        assert lock.holder(tmp_path) is None
        with lock.RunLock() as one:
            one.take(tmp_path)


# The report -----------------------------------------------------------------------------------------------------------


def test_a_clock_that_was_set_back_leaves_no_point_that_was_taken_back(copy, whole, no_figures):
    """The events written later have an earlier name: they are read last all the same, and each step once."""
    (path,) = copy.glob("events.*")
    path.rename(path.with_name(path.name.replace(path.name.split(".")[3], "9999999999")))
    (copy / "last.pt").unlink()  # continue from the one before, at an earlier step
    train(composed(f"resume={copy}"))
    step = checkpoint.load(whole / "last.1.pt")["trainer"]["step"]
    assert 0 < step < 8
    found = events(copy)
    assert [event.step for event in found.Scalars("train/loss")] == list(range(1, 9))
    assert [event.value for event in found.Scalars("train/loss")] == [
        event.value for event in events(whole).Scalars("train/loss")
    ]
    assert [event.step for event in found.Scalars("test/accuracy")] == [8]


# Checkpoints ----------------------------------------------------------------------------------------------------------


def test_where_no_checkpoint_can_be_read_nothing_starts_over(copy, tmp_path, run_command):
    for name in ("last.pt", "last.1.pt"):
        (copy / name).write_bytes(b"")
    done = run_command("train", f"resume={copy}", cwd=tmp_path)
    assert done.returncode == 2
    assert f"{copy / 'last.pt'} is damaged" in done.stderr
    assert summary(copy)["steps"] == 8


@pytest.mark.parametrize("links", [True, False])
def test_so_many_checkpoints_are_kept(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("none here")))
    path = tmp_path / "last.pt"
    for number in range(5):
        checkpoint.save(path, {"number": number}, keep=3)
    assert [checkpoint.load(found)["number"] for found in checkpoint.kept(path)] == [4, 3, 2]
    (tmp_path / "last.old.pt").write_bytes(b"")
    checkpoint.save(path, {"number": 6}, keep=1)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["last.old.pt", "last.pt"]


@pytest.mark.parametrize("stage", range(4))
def test_a_kill_anywhere_in_a_save_leaves_a_checkpoint(tmp_path, monkeypatch, stage):
    path = tmp_path / "last.pt"
    for number in range(2):
        checkpoint.save(path, {"number": number}, keep=2)
    calls = iter(range(10))
    for name in ("link", "replace", "fsync"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, real=real: kill() if next(calls) == stage else real(*a))
    with pytest.raises(GeneratorExit):
        checkpoint.save(path, {"number": 2}, keep=2)
    assert checkpoint.load(checkpoint.kept(path)[0])["number"] == 1


def test_everything_that_a_checkpoint_says_of_its_data_is_known_to_what_reads_it():
    """A field of the data's description that is new must be described for run folders too, or none opens again."""
    described = {*stored.CHECKPOINT, *stored.OPTIONAL}
    assert {f"spec.{field.name}" for field in fields(DataSpec)} == {key for key in described if key.startswith("spec.")}


# One command line -----------------------------------------------------------------------------------------------------


def test_the_same_command_goes_on_after_a_version_that_brought_new_keys(copy, whole, texts):
    """A key that the run's config lacks is no difference, unless the command line names it."""
    lines = [line for line in (copy / "config.yaml").read_text().splitlines() if "max_length" not in line]
    (copy / "config.yaml").write_text("\n".join(lines))
    again = words(texts, copy, "resume=auto")
    assert "max_length" not in composed(*again)["data"]
    assert composed(*again)["resume"] == str(copy)
    with pytest.raises(InputError, match=r"data\.max_length was None, is 77"):
        composed(*again, "data.max_length=77")


def test_a_text_of_the_report_is_there_once_after_a_second_report(tmp_path):
    """The text that a language model writes at the end stands at the step of its checkpoint."""
    for _ in range(2):
        tracker = Tracker(tmp_path, resume_step=7)
        tracker.text("test/sample", "at the end", 7)
        tracker.close()
    assert len(events(tmp_path).Tensors("test/sample/text_summary")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("delay", [1.5, 3.0, 4.5, 6.0, 7.5])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_stopped_at_any_time_is_completed_by_the_same_command(texts, whole, tmp_path, number, delay):
    run_dir = tmp_path / "run"
    command = [sys.executable, "-m", "seqlab", "train", *words(texts, run_dir, "resume=auto")]
    own = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=tmp_path, env=own, stderr=subprocess.PIPE, text=True)
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    _, said = process.communicate()
    assert "Traceback" not in said
    done = subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert same(run_dir, whole)
    found = events(run_dir)
    assert all(len(found.Images(tag)) == 1 for tag in found.Tags()["images"])
    assert [event.step for event in found.Scalars("train/loss")] == list(range(1, 9))
    assert [event.step for event in found.Scalars("test/accuracy")] == [8]
