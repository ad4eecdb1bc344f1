"""TensorBoard shows of a continued run what was not superseded, once, whatever the clock and the kills did."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
from matplotlib.figure import Figure

from seqlab.engine import events
from seqlab.engine.tracker import Tracker
from seqlab.types import InputError


def loaded(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0}).Reload()


def curve(folder) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in loaded(folder).Scalars("train/loss")]


def train(folder, steps, factor: float, resume_step: int | None = None) -> None:
    tracker = Tracker(folder, resume_step)
    for step in steps:
        tracker.scalars({"train/loss": factor * step}, step)
    tracker.close()


@pytest.mark.parametrize("shift", [-100_000, 0, 100_000])
def test_a_clock_that_is_set_back_leaves_no_point_that_was_taken_back(tmp_path, monkeypatch, shift):
    train(tmp_path, range(1, 8), 1.0)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + shift)
    train(tmp_path, range(5, 10), 10.0, resume_step=4)
    monkeypatch.setattr(time, "time", lambda: now() + 2 * shift)
    train(tmp_path, range(8, 12), 100.0, resume_step=7)
    expected = [(s, float(s)) for s in range(1, 5)] + [(s, 10.0 * s) for s in range(5, 8)]
    assert curve(tmp_path) == expected + [(s, 100.0 * s) for s in range(8, 12)]


def test_files_larger_than_any_of_a_run_are_not_read(tmp_path, monkeypatch):
    train(tmp_path, range(1, 8), 1.0)
    monkeypatch.setattr(events, "LARGEST_EVENTS", 100)
    with pytest.raises(InputError, match=r"more than 0 MB of TensorBoard's event files, .*: move them out of the run"):
        events.cut_events(tmp_path, 3)


def test_a_report_is_removed_and_the_training_stays(tmp_path):
    first = Tracker(tmp_path)
    first.scalars({"train/loss": 0.5}, 3)
    first.scalars({"val/loss": 0.25}, 3)
    first.text("samples", "what it wrote", 3)
    first.figure("val/confusion", Figure(figsize=(1, 1)), 3)
    first.text("val/examples", "| |", 3)
    first.pr_curve("val/yes", np.array([0, 1]), np.array([0.2, 0.7]), 3)
    first.hparams({"lr": 0.1}, {"val/best_loss": 0.25, "test/loss": 0.3}, 3)
    first.close()
    Tracker(tmp_path, resume_step=3).close()
    found = loaded(tmp_path)
    assert sorted(found.Tags()["scalars"]) == ["train/loss", "val/loss"]
    assert found.Tags()["tensors"] == ["samples/text_summary"]
    assert found.Tags()["images"] == []
    assert "_hparams_/session_start_info" not in found.summary_metadata
    assert (tmp_path / "metrics.jsonl").read_text().count("\n") == 2


def test_killed_while_it_cuts_every_event_is_there_once_after_the_next_time(tmp_path, monkeypatch):
    train(tmp_path, range(1, 5), 1.0)
    (path,) = tmp_path.glob("*tfevents*")
    monkeypatch.setattr("pathlib.Path.unlink", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        events.cut_events(tmp_path, 4)
    monkeypatch.undo()
    assert path.exists()
    with open(path, "ab") as file:  # a record that was cut short, too
        file.write(b"\x18\0\0\0")
    events.cut_events(tmp_path, 3)
    assert os.listdir(tmp_path) != []
    assert curve(tmp_path) == [(s, float(s)) for s in range(1, 4)]
    assert [path.name for path in tmp_path.glob("*tfevents*")] == [events.KEPT]
