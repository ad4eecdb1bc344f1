import io
import json
import math
import struct

import numpy as np
import pytest
import torch

from seqlab.engine import tracker
from seqlab.engine.progress import Progress, readable
from seqlab.engine.tracker import Tracker
from seqlab.types import InputError


def lines(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder)).Reload()


def test_the_same_numbers_in_both(tmp_path) -> None:
    tracker = Tracker(tmp_path)
    for step in (1, 2, 3):
        tracker.scalars({"train/loss": 1.0 / step, "train/lr": 0.5}, step)
    tracker.close()
    assert [(row["step"], row["train/loss"]) for row in lines(tmp_path)] == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    found = events(tmp_path).Scalars("train/loss")
    assert [(event.step, event.value) for event in found] == [(s, pytest.approx(1 / s)) for s in (1, 2, 3)]


def test_resuming_takes_back_what_came_after_the_checkpoint(tmp_path) -> None:
    first = Tracker(tmp_path)
    for step in range(1, 8):
        first.scalars({"train/loss": float(step)}, step)
    first.close()
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 8, "train/lo')  # a kill in the middle of a line
    second = Tracker(tmp_path, resume_step=4)
    for step in range(5, 10):
        second.scalars({"train/loss": 10.0 * step}, step)
    second.close()
    expected = [(s, float(s)) for s in range(1, 5)] + [(s, 10.0 * s) for s in range(5, 10)]
    assert [(row["step"], row["train/loss"]) for row in lines(tmp_path)] == expected
    assert [(event.step, event.value) for event in events(tmp_path).Scalars("train/loss")] == expected


@pytest.mark.parametrize("line", ["[" * 100_000, "{", "1" * 5000])
def test_a_damaged_line_ends_the_file_and_foreign_ones_are_left_out(tmp_path, line) -> None:
    (tmp_path / "metrics.jsonl").write_text(f'{{"step": 1}}\n{{"step": "x"}}\n[1]\n{{"a": 1}}\n{line}\n{{"step": 2}}\n')
    Tracker(tmp_path, resume_step=3).close()
    assert lines(tmp_path) == [{"step": 1}]


def test_a_file_larger_than_any_of_a_run_is_not_read(tmp_path, monkeypatch) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n' * 100)
    monkeypatch.setattr(tracker, "LARGEST_METRICS", 1000)
    with pytest.raises(InputError, match=r"metrics.jsonl is larger than 0 MB, so it is not read: move it out of"):
        Tracker(tmp_path, resume_step=3)


def test_everything_else_is_readable_and_adds_no_run(tmp_path) -> None:
    from matplotlib.figure import Figure

    tracker = Tracker(tmp_path)
    tracker.hparams({"optim": {"lr": 0.1, "betas": [0.9, 0.99]}, "resume": None, "fast": True}, {"best/accuracy": 0.5})
    tracker.text("examples", "*good*", 1)
    tracker.figure("confusion", Figure(figsize=(1, 1)), 1)
    tracker.embedding("words", torch.randn(3, 4), ["a", "\n", "\t"], 1)
    tracker.pr_curve("pr/yes", np.array([0, 1, 1]), np.array([0.2, 0.7, 0.9]), 1)
    tracker.close()
    found = events(tmp_path)
    tags = found.Tags()
    assert "examples/text_summary" in tags["tensors"]
    assert "pr/yes" in tags["tensors"]
    assert tags["images"] == ["confusion"]
    assert (tmp_path / "figures" / "confusion.png").read_bytes().startswith(b"\x89PNG")
    assert found.Scalars("best/accuracy")[0].value == 0.5
    assert "_hparams_/session_start_info" in found.summary_metadata
    assert len(list(tmp_path.rglob("events.*"))) == 1
    names = next(tmp_path.rglob("metadata.tsv")).read_text()
    assert names.splitlines() == ["'a'", "'\\n'", "'\\t'"]


@pytest.mark.parametrize(
    ("tag", "name"),
    [("test/residuals/OT", "test/residuals/OT"), ("val/load (MW) / day", "val/load_MW_/_day"), ("../up", "_/up")],
)
def test_a_figure_is_a_file_under_the_name_of_its_tag(tmp_path, tag, name) -> None:
    from matplotlib.figure import Figure

    tracker = Tracker(tmp_path / "run")
    tracker.figure(tag, Figure(figsize=(1, 1)), 3)
    tracker.figure(tag, Figure(figsize=(2, 1)), 4)
    tracker.close()
    (found,) = (tmp_path / "run" / "figures").rglob("*.png")
    assert found == tmp_path / "run" / "figures" / f"{name}.png"
    width, height = struct.unpack(">II", found.read_bytes()[16:24])
    assert width == 2 * height  # the latest one
    assert events(tmp_path / "run").Tags()["images"] == [tag]


def test_json_is_strict(tmp_path) -> None:
    tracker = Tracker(tmp_path)
    tracker.scalars({"val/loss": math.nan}, 1)
    tracker.summary({"val": {"loss": math.inf, "accuracy": np.float32(0.5)}, "path": tmp_path, "seeds": (1, 2)})
    tracker.close()
    assert lines(tmp_path)[0]["val/loss"] is None
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary == {"val": {"loss": None, "accuracy": 0.5}, "path": str(tmp_path), "seeds": [1, 2]}


def test_a_folder_that_cannot_be_made(tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="choose another run_dir"):
        Tracker(tmp_path / "file" / "run")


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_on_a_terminal_and_elsewhere(terminal: bool) -> None:
    from rich.console import Console

    page = io.StringIO()
    with Progress(Console(file=page, force_terminal=terminal, width=100)) as progress:
        progress.show(0.25, 2, 40, 0.5, 12345.0, 20.0)
        progress.message("epoch 2  val [accuracy] 0.9 :100: [/b]")
    text = page.getvalue()
    for part in (
        "25 %",
        "epoch 2",
        "step 40",
        "loss 0.5000",
        "12,345 tokens/s",
        "1:00 left",
        "[accuracy] 0.9 :100: [/b]",
    ):
        assert part in text
    assert ("\x1b" in text) == terminal


@pytest.mark.parametrize(
    ("value", "text"), [(0.9, "0.9000"), (0.0001711, "0.0001711"), (0.0, "0.0000"), (-0.005, "-0.005"), (2.5, "2.5000")]
)
def test_a_metric_keeps_the_digits_that_say_something(value: float, text: str) -> None:
    assert readable(value) == text
