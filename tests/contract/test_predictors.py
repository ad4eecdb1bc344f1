"""Questions whose model answers row by row: plain records, the same alone and among others, from files too."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from seqlab.compose import composed
from seqlab.errors import InputError
from seqlab.run import Run
from seqlab.train import train

TINY = ("model=gru", "model.hidden_size=5", "model.backend=reference", "runtime.threads=1", "trainer.precision=fp32",
        "trainer.max_steps=3", "floor=false")  # fmt: skip
ROWS = ("data.train=24", "data.val=6", "data.test=7")
ARRAYS = {
    "classification": ("data=parity", "data.steps=12", *ROWS),
    "regression": ("data=adding", "data.steps=12", *ROWS),
    "tagging": ("data=copy", "data.steps=6", *ROWS),
    "detection": ("data=ecg", "data.steps=90", "task.threshold=0.1", *ROWS),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A tiny run of each question, trained when it is first asked for."""
    made = {}

    def open_run(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name) / "run"
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("seqlab.engine.tracker.Tracker.figure", lambda *_: None)
                words = ARRAYS.get(name, (f"data={name}", "model.embedding.dim=3"))
                train(composed(*words, *TINY, f"run_dir={folder}"))
            made[name] = Run(folder)
        return made[name]

    return open_run


def rows(run):
    part = run.data.part("test")
    return [row[:length] for row, length in zip(part.inputs, part.lengths, strict=True)]


@pytest.mark.parametrize("name", ARRAYS)
def test_a_row_of_an_array_is_answered_alike_alone_and_among_others(name, runs):
    run = runs(name)
    inputs = [row[: 5 + number] for number, row in enumerate(rows(run))]
    together = run.predict(inputs)
    assert json.loads(json.dumps(together)) == together
    for row, found in zip(inputs, together, strict=True):
        (alone,) = run.predict([row])
        assert alone.keys() == found.keys()
        if "probabilities" in found and isinstance(found["probabilities"], list):
            assert found["probabilities"] == pytest.approx(alone["probabilities"], abs=1e-5)
            assert len(found["probabilities"]) == len(row)
    assert run.predict([]) == []


def test_answers_are_those_that_the_metrics_count(runs):
    run = runs("classification")
    part = run.data.part("test")
    said = [one["label"] for one in run.predict(rows(run))]
    right = [run.labels[label] for label in part.targets]
    assert run.evaluate("test")["accuracy"] == pytest.approx(
        np.mean([a == b for a, b in zip(said, right, strict=True)])
    )
    run = runs("regression")
    part = run.data.part("test")
    values = np.array([one["value"] for one in run.predict(rows(run))])
    assert run.evaluate("test")["mse"] == pytest.approx(np.square(values - part.targets[:, 0]).mean(), rel=1e-4)
    run = runs("tagging")
    part, blank = run.data.part("test"), run.spec.blank
    pairs = [
        (run.labels[label], answer)
        for target, one in zip(part.targets, run.predict(rows(run)), strict=True)
        for label, answer in zip(target, one["labels"], strict=True)
        if run.labels[label] != blank
    ]
    assert run.evaluate("test")["accuracy"] == pytest.approx(np.mean([a == b for a, b in pairs]))


@pytest.mark.parametrize("name", ARRAYS)
def test_a_file_of_arrays_is_predicted_and_measured(name, runs, run_command, tmp_path):
    run = runs(name)
    part = run.data.part("test")
    np.savez(tmp_path / "a.npz", inputs=part.inputs, lengths=part.lengths, targets=part.targets)
    done = run_command("predict", run.path, "a.npz", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one.pop("row") for one in found] == list(range(1, len(part) + 1))
    assert [one.keys() for one in found] == [one.keys() for one in run.predict(rows(run))]
    measured = run_command("evaluate", run.path, "--data", "a.npz", "--json", cwd=tmp_path)
    assert measured.returncode == 0, measured.stderr
    assert json.loads(measured.stdout) == pytest.approx(run.evaluate("test"), rel=1e-5, nan_ok=True)
    for words in (("a.npz",), ("a.npz", "--out", "b.csv"), ("a.npz", "--out", "b.jsonl")):
        done = run_command("predict", run.path, *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert len((tmp_path / "b.csv").read_text().splitlines()) == len(part) + 1


@pytest.mark.parametrize(
    ("name", "inputs", "sentence"),
    [
        (
            "regression",
            [np.zeros((4, 3))],
            r"Row 0 has the shape \(4, 3\) and type float64: give \(T, 2\) real numbers",
        ),
        ("regression", [np.zeros((4, 2)), np.full((4, 2), math.nan)], "Row 1 has values that are none of"),
        ("tagging", [np.array([0.5])], "Row 0 has the shape .* whole numbers from 0 to"),
        ("tagging", [np.array([99])], "Row 0 has values that are none of"),
        ("detection", [np.zeros((0, 1))], r"Row 0 has the shape \(0, 1\)"),
    ],
)
def test_rows_of_another_kind_are_refused(name, inputs, sentence, runs):
    with pytest.raises(InputError, match=sentence):
        runs(name).predict(inputs)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "does not exist: check the path"),
        (b"text", "is not a .npz file of plain arrays"),
        ({"x": np.zeros(3)}, "has no array 'inputs'"),
        ({"inputs": np.array([{}], dtype=object)}, "is not a .npz file of plain arrays"),
        (
            {"inputs": np.zeros((3, 4, 2)), "lengths": np.array([1, 2]), "targets": np.zeros((3, 1))},
            "all arrays have N rows",
        ),
        (
            {"inputs": np.zeros((2, 4, 2)), "lengths": np.array([0, 5]), "targets": np.zeros((2, 1))},
            "lengths must be whole numbers from 1 to 4",
        ),
        ({"inputs": np.zeros((2, 4, 2))}, "has no array 'targets'"),
        ({"inputs": np.zeros((2, 4, 2)), "targets": np.zeros(2)}, "do not suit regression"),
    ],
)
def test_files_that_are_none_are_one_sentence(content, sentence, runs, run_command, tmp_path):
    if isinstance(content, bytes):
        (tmp_path / "a.npz").write_bytes(content)
    elif content is not None:
        np.savez(tmp_path / "a.npz", **content)
    done = run_command("evaluate", runs("regression").path, "--data", "a.npz", cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_texts_and_series_have_their_own_commands(runs, run_command, tmp_path):
    done = run_command("predict", runs("tagging").path, "some text", "other", cwd=tmp_path)
    assert done.returncode == 2
    assert "reads arrays: give one .npz file" in done.stderr
    assert [one["text"] for one in runs("reviews").predict(["good", "bad"])] == ["good", "bad"]
    with pytest.raises(InputError, match="nbest: there is no such option of a prediction"):
        runs("reviews").predict(["good"], nbest=2)
    with pytest.raises(InputError, match="which are no arrays"):
        runs("reviews").rows_of("a.npz")
