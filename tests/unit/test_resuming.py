"""A run folder can be continued wherever its last process was killed, by the same command line."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch

from seqlab import report as reports
from seqlab.compose import composed
from seqlab.engine import checkpoint
from seqlab.engine.lock import RunLock
from seqlab.engine.tracker import Tracker
from seqlab.engine.trainer import Trainer
from seqlab.errors import DivergedError, InputError
from seqlab.protocols import Baselines
from seqlab.tasks.classification import figures
from seqlab.train import train

pytestmark = pytest.mark.usefixtures("no_figures")
TIMED = ("time", "train/seconds", "train/tokens_per_second", "val/seconds")


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> list[str]:
    """A tiny training: six steps with an evaluation and a save after every second."""
    path = tmp_path_factory.mktemp("data") / "texts.csv"
    rows = [f"{'pos' if row % 2 else 'neg'},a {'good' if row % 2 else 'bad'} film {row % 7}" for row in range(60)]
    path.write_text("\n".join(["label,text", *rows]) + "\n", encoding="utf-8")
    sizes = ["model.hidden_size=4", "model.embedding.dim=4", "data.batch_size=8", "runtime.threads=1", "floor=false"]
    pace = ["trainer.max_steps=6", "trainer.eval_every=2", "trainer.log_every=1"]
    return ["data=csv", f"data.path={path}", *sizes, *pace]


@pytest.fixture(scope="module")
def whole(words, tmp_path_factory) -> Path:
    """That training, undisturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seqlab.engine.tracker.Tracker.figure", lambda *_: None)
        train(composed(*words, f"run_dir={folder}"))
    return folder


@pytest.fixture
def copy(whole, tmp_path) -> Path:
    """A copy of its folder."""
    shutil.copytree(whole, tmp_path / "copy")
    return tmp_path / "copy"


def auto(words: list[str], folder: Path, *more: str) -> dict:
    return composed(*words, f"run_dir={folder}", "resume=auto", *more)


def rows(folder: Path) -> list[dict]:
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name not in TIMED} for row in found]


def summary(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


def events(folder: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0}).Reload()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def same_run(one: Path, other: Path) -> None:
    """The same weights, curves, events and results, to the last bit."""
    for name in ("last.pt", "best.pt"):
        weights = [checkpoint.load(folder / name)["model"] for folder in (one, other)]
        assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert rows(one) == rows(other)
    for key in ("val", "test", "steps", "best_step", "complete"):
        assert summary(one)[key] == summary(other)[key]
    found, expected = events(one), events(other)
    assert found.Tags()["scalars"] == expected.Tags()["scalars"]
    for tag in expected.Tags()["scalars"]:
        if tag not in TIMED:
            pairs = [[(each.step, each.value) for each in side.Scalars(tag)] for side in (found, expected)]
            assert pairs[0] == pairs[1]


# Killed, and the same command line again ----------------------------------------------------------------------------


@pytest.mark.parametrize("call", [1, 2, 3, 5, 7, 8, 9, 10, 11])
def test_killed_at_any_rename_the_same_command_line_comes_to_the_same_run(words, whole, tmp_path, monkeypatch, call):
    """Renames are where files of a run folder change: config, checkpoints, summary."""
    folder = tmp_path / "run"
    real, count = os.replace, [0]

    def fatal(*names):
        count[0] += 1
        if count[0] == call:
            raise Killed
        return real(*names)

    monkeypatch.setattr(os, "replace", fatal)
    with pytest.raises(Killed):
        train(auto(words, folder))
    train(auto(words, folder))
    same_run(folder, whole)
    assert not list(folder.glob(".*"))


def test_killed_before_the_first_save_resume_starts_it_from_its_config(words, whole, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "save", lambda self: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            train(composed(*words, f"run_dir={folder}"))
    assert not (folder / "last.pt").exists()
    train(composed(f"resume={folder}"))
    same_run(folder, whole)


def test_auto_starts_in_an_empty_folder_and_says_of_a_finished_run_that_it_is_finished(words, whole, tmp_path, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    train(auto(words, folder))
    same_run(folder, whole)
    before = contents(folder)
    capsys.readouterr()
    assert train(auto(words, folder)).steps == 6
    assert "is already finished (trainer.max_steps reached) and evaluated" in capsys.readouterr().out
    assert contents(folder) == before
    with pytest.raises(InputError, match=r"model\.hidden_size was 4, is 5"):
        auto(words, folder, "model.hidden_size=5")


def test_auto_needs_a_folder_of_its_own(words, tmp_path):
    with pytest.raises(InputError, match=r"^resume=auto needs run_dir=FOLDER"):
        composed(*words, "resume=auto")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="exists and is not a run folder: choose another run_dir"):
        auto(words, tmp_path)


def test_a_finished_run_without_its_checkpoint_is_not_trained_again(words, copy):
    for path in copy.glob("last*.pt"):
        path.unlink()
    before = contents(copy)
    with pytest.raises(InputError, match=r"last.pt is gone, and the run is finished"):
        train(auto(words, copy))
    assert contents(copy) == before


# Damaged files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, "", "data: {name: cs", "- a\n", "a: 1\n", "\0\0\0\0"])
def test_a_lost_config_is_taken_from_the_checkpoint(copy, content, capsys):
    expected = composed(f"resume={copy}")
    if content is None:
        (copy / "config.yaml").unlink()
    else:
        (copy / "config.yaml").write_text(content)
    assert composed(f"resume={copy}") == expected
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{copy}/config.yaml ")
    assert line.endswith(": the configuration is taken from the checkpoint.")


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "gone"])
def test_a_damaged_checkpoint_is_replaced_by_the_one_before_it(copy, whole, damage, capsys):
    last = copy / "last.pt"
    content = bytearray(last.read_bytes())
    earlier = checkpoint.load(copy / "last.1.pt")["trainer"]["step"]
    content[len(content) // 2] ^= 4
    last.write_bytes({"cut": content[:-200], "bit": content, "empty": b"", "gone": b""}[damage])
    if damage == "gone":
        last.unlink()
    train(composed(f"resume={copy}"))
    wrong = "is missing" if damage == "gone" else "is damaged"
    assert capsys.readouterr().err.count(f"last.pt {wrong}: continuing from last.1.pt, saved at step {earlier}.") == 1
    same_run(copy, whole)


def test_a_run_with_one_checkpoint_as_older_versions_left_it_is_continued(copy, whole):
    (copy / "last.1.pt").unlink()
    state = checkpoint.load(copy / "last.pt")
    del state["config"]["trainer"]["keep"]
    for name in ("first_loss", "last_loss", "monitored"):
        del state["trainer"][name]
    torch.save(state, copy / "last.pt")
    (copy / "summary.json").unlink()
    config = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text("\n".join(line for line in config.splitlines() if line.strip() != "keep: 2"))
    train(composed(f"resume={copy}"))
    same_run(copy, whole)


# The report ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["summary", "hparams", "embedding", "pr_curve"])
def test_killed_in_the_report_it_is_completed_and_nothing_is_there_twice(copy, words, whole, point, monkeypatch):
    (copy / "summary.json").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(Tracker, point, lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            train(auto(words, copy))
    train(auto(words, copy))
    same_run(copy, whole)
    found = events(copy)
    assert "_hparams_/session_start_info" in found.summary_metadata
    for tag in ("test/accuracy", "val/best_accuracy"):
        assert len(found.Scalars(tag)) == 1
    for tag in ("test/pos", "test/examples/text_summary"):
        assert len(found.Tensors(tag)) == 1
    assert len(list(copy.rglob("metadata.tsv"))) == 1


def test_what_fails_after_the_test_leaves_the_result(words, tmp_path, monkeypatch, run_command):
    def fail(*_, **__):
        raise ValueError("no font\nfor this")

    monkeypatch.setattr(reports.build, "build_baselines", fail)
    monkeypatch.setattr(figures, "confusion_figure", fail)
    monkeypatch.setattr(figures, "example_table", fail)
    asked = [word for word in words if word != "floor=false"]
    done = run_command("train", *asked, f"run_dir={tmp_path / 'run'}", cwd=tmp_path)
    assert done.returncode == 0
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert "warning: the floor failed, and is left out (ValueError: no font for this)" in warnings
    assert "warning: figure test/confusion failed, and is left out (ValueError: no font for this)" in warnings
    assert len(warnings) == 3
    found = summary(tmp_path / "run")
    assert found["test"]
    assert found["floor"] == {}
    assert found["complete"]
    assert "_hparams_/session_start_info" in events(tmp_path / "run").summary_metadata


def test_the_summary_is_there_before_anything_else_of_the_report(words, tmp_path, monkeypatch):
    seen = []
    asked = [word for word in words if word != "floor=false"]
    monkeypatch.setattr(
        reports.build,
        "build_baselines",
        lambda *_: seen.append(summary(tmp_path / "run")) or Baselines({"majority": 0.5}),
    )
    train(composed(*asked, f"run_dir={tmp_path / 'run'}"))
    assert seen[0]["test"]
    assert not seen[0]["complete"]
    assert summary(tmp_path / "run") == {**seen[0], "floor": {"majority": 0.5}, "complete": True}


# Locks and signals --------------------------------------------------------------------------------------------------


def test_a_second_process_is_refused_and_touches_nothing(words, copy, run_command):
    with RunLock() as lock:
        lock.take(copy)
        before = contents(copy)
        for asked in ([f"resume={copy}"], [*words, f"run_dir={copy}"], [*words, f"run_dir={copy}", "resume=auto"]):
            done = run_command("train", *asked, cwd=copy.parent)
            assert done.returncode == 2
            assert f"{copy} is in use by process {os.getpid()} on " in done.stderr
        assert contents(copy) == before
    assert not (copy / ".lock").exists()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_before_the_training_ends_it_with_one_line(words, tmp_path, monkeypatch, run_command, name):
    from seqlab import build

    monkeypatch.setattr(build, "build_data", lambda _: os.kill(os.getpid(), getattr(signal, name)))
    done = run_command("train", *words, f"run_dir={tmp_path / 'run'}", cwd=tmp_path)
    assert done.returncode == 128 + getattr(signal, name)
    assert done.stderr.splitlines() == [f"Stopped by {name} before the training began; nothing was written."]
    assert os.listdir(tmp_path) == []


def test_a_signal_in_the_report_says_what_completes_it(words, whole, tmp_path, monkeypatch, run_command):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(reports, "draw_learning", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        done = run_command("train", *words, f"run_dir={folder}", cwd=tmp_path)
    assert done.returncode == 143
    line = f"Stopped by SIGTERM after the training, which is saved; measure it with resume={folder}."
    assert done.stderr.splitlines()[-1] == line
    done = run_command("train", *words, f"run_dir={folder}", "resume=auto", cwd=tmp_path)
    assert done.returncode == 0
    same_run(folder, whole)


# Divergence ---------------------------------------------------------------------------------------------------------


def test_a_diverged_run_says_so_exits_3_and_leaves_a_summary(words, tmp_path, run_command):
    sizes = ["optim.lr=3000", "schedule=constant", "trainer.clip_norm=null", "trainer.log_every=2"]
    done = run_command("train", *words, *sizes, f"run_dir={tmp_path / 'run'}", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: The training diverged: the training loss is ")
    assert summary(tmp_path / "run")["diverged"] is True
    again = run_command("train", *words, *sizes, f"run_dir={tmp_path / 'run'}", "resume=auto", cwd=tmp_path)
    assert again.returncode == 3
    assert again.stderr.splitlines()[-1] == done.stderr.splitlines()[-1]


def test_a_loss_that_is_no_number_leaves_a_summary_too(words, tmp_path, monkeypatch):
    monkeypatch.setattr("seqlab.tasks.classification.Classification.loss", broken_after(3))
    with pytest.raises(DivergedError, match="before the update of step 4: loss nan"):
        train(composed(*words, f"run_dir={tmp_path / 'run'}"))
    found = summary(tmp_path / "run")
    assert (found["diverged"], found["steps"], found["best_step"] > 0) == (True, 3, True)


def broken_after(steps: int):
    from dataclasses import replace

    from seqlab.tasks.classification import Classification

    real, count = Classification.loss, [0]

    def loss(self, model, batch):
        count[0] += model.training
        found = real(self, model, batch)
        return replace(found, total=found.total * math.nan) if count[0] > steps else found

    return loss


def test_a_first_batch_with_a_small_loss_by_chance_is_no_divergence(words, tmp_path, monkeypatch):
    monkeypatch.setattr("seqlab.engine.state.FAR_WORSE", 1e-3)  # every loss is suspicious now
    assert train(composed(*words, f"run_dir={tmp_path / 'run'}")).diverged == ""
    assert summary(tmp_path / "run")["diverged"] is False
    assert train(auto(words, tmp_path / "run")).diverged == ""


def test_a_run_that_learns_nothing_or_overfits_has_not_diverged(whole):
    from seqlab.engine.state import State, Window

    def state(**changes) -> State:
        values = {"first_loss": 0.7, "last_loss": 0.01, "monitored": 0.5, "metrics": {"loss": 9.0, "accuracy": 0.5}}
        return State(**(values | changes))

    assert summary(whole)["diverged"] is False
    assert state().diverged == ""  # overfits: validation loss alone is high
    assert state(last_loss=1.5).diverged == ""  # worse than at first, and not far
    assert state(last_loss=8.0, window=Window(total=1.2, count=2)).diverged == ""  # it recovered
    assert state(monitored=0.5, metrics={"loss": math.nan, "cold_256_loss": 0.5}).diverged == ""
    assert State().diverged == ""  # of an older version
    assert "the training loss is 8 at the end and was 0.7 in the first step" in state(last_loss=8.0).diverged
    assert "the loss of the last evaluation is nan" in state(metrics={"loss": math.nan, "accuracy": 0.5}).diverged
    assert "gave nan instead of a number" in state(monitored=math.nan).diverged
