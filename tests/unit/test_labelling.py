"""Runs that answer numbers and several labels, from one command to the answers about a new file."""

from __future__ import annotations

import json
import random
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from seqlab.cli import app
from seqlab.compose import composed
from seqlab.labelling import write
from seqlab.run import Run
from seqlab.tasks.classification.task import ClassificationTask
from seqlab.tasks.multilabel.task import MultilabelTask
from seqlab.tasks.none import NoOptions
from seqlab.tasks.regression.task import RegressionTask
from seqlab.train import train
from seqlab.types import DataSpec, InputError

OPTIONS = ("floor=true", "trainer.max_steps=12", "data.epochs=40", "model.hidden_size=8", "runtime.threads=1")


@pytest.fixture
def folder(tmp_path, monkeypatch, no_figures):
    monkeypatch.setenv("SEQLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(count, label_of):
    draw = random.Random(0)
    for _ in range(count):
        words = [draw.choice(["good", "bad", "huge", "tiny", "red", "blue"]) for _ in range(4)]
        yield f"{' '.join(words)},{label_of(words)}\n"


def asked(*words):
    found = CliRunner().invoke(app, [str(word) for word in words])
    assert found.exit_code == 0, found.output
    return found.stdout


def test_a_number_is_learned_measured_and_answered_in_its_own_units(folder):
    text = "text,price\n" + "".join(rows(120, lambda words: 1000 + 50 * words.count("huge")))
    (folder / "a.csv").write_text(text)
    train(composed("data=csv", "task=regression", "data.path=a.csv", "data.label_column=price", "run_dir=r", *OPTIONS))
    summary = json.loads((folder / "r" / "summary.json").read_text())
    assert (summary["monitor"], summary["headline"]) == ("mse", ["mae", "r2", "rmse"])
    assert set(summary["floor"]) == {"mean", "ridge"}
    assert summary["floor"]["ridge"] < summary["floor"]["mean"]
    assert summary["test"]["rmse"] ** 2 == pytest.approx(summary["test"]["mse"])
    assert json.loads(asked("evaluate", "r", "--json")) == summary["test"]

    found = [json.loads(line) for line in asked("predict", "r", "a.csv", "--json").splitlines()]
    assert set(found[0]) == {"row", "text", "value"}
    right = pd.read_csv("a.csv")["price"]
    said = np.array([one["value"] for one in found])
    assert 900 < said.mean() < 1200
    measured = json.loads(asked("evaluate", "r", "--data", "a.csv", "--json"))
    assert measured["mae"] == pytest.approx(np.abs(said - right).mean(), rel=1e-4)
    assert "price" in asked("predict", "r", "huge")


def test_several_labels_are_learned_measured_and_all_answered(folder):
    text = "text,label\n" + "".join(rows(120, lambda words: "|".join({"red", "blue", "huge"} & {*words})))
    (folder / "a.csv").write_text(text)
    several = ("task=multilabel", "data.label_separator=pipe", "data.missing=keep")
    train(composed("data=csv", "data.path=a.csv", *several, "run_dir=r", *OPTIONS))
    summary = json.loads((folder / "r" / "summary.json").read_text())
    assert (summary["monitor"], summary["headline"][-1]) == ("micro_f1", "micro_f1")
    assert set(summary["floor"]) == {"majority", "naive_bayes", "nb_svm"}
    report = pd.read_csv(folder / "r" / "test_by_class.csv")
    assert report["label"].tolist() == ["blue", "huge", "red"]
    assert report["f1"].mean() == pytest.approx(summary["test"]["macro_f1"])

    found = Run("r").predict(["red huge", "good"])
    for one in found:
        assert one["labels"] == [label for label, share in one["probabilities"].items() if share > 0.5]
    measured = json.loads(asked("evaluate", "r", "--data", "a.csv", "--json"))
    assert set(measured) == {"loss", "micro_f1", "macro_f1", "subset_accuracy"}
    assert "text" in asked("predict", "r", "red huge")


def test_a_separator_without_its_task_is_refused(folder):
    (folder / "a.csv").write_text("text,label\nred,a;b\n")
    with pytest.raises(InputError, match=r"set task=multilabel, or remove data.label_separator"):
        train(composed("data=csv", "data.path=a.csv", 'data.label_separator=";"', *OPTIONS))


def test_classes_have_a_report_and_what_decides_is_monitored(folder):
    text = "text,label\n" + "".join(rows(120, lambda words: "red" if words.count("red") > 1 else "other"))
    (folder / "a.csv").write_text(text)
    decides = ("task.class_weights=balanced", "task.decides=auc")
    train(composed("data=csv", "data.path=a.csv", "run_dir=r", *decides, *OPTIONS))
    summary = json.loads((folder / "r" / "summary.json").read_text())
    assert summary["monitor"] == "auc"
    assert summary["headline"] == ["auc", "macro_f1", "accuracy"]
    report = pd.read_csv(folder / "r" / "test_by_class.csv")
    assert report["label"].tolist() == ["other", "red"]
    assert report["support"].sum() == 12
    assert json.loads(asked("evaluate", "r", "--json"))["auc"] == summary["test"]["auc"]


def answer(task, spec, logits):
    predictor = task(NoOptions()).predictor(SimpleNamespace(spec=spec))
    return predictor._answer(logits, torch.ones(len(logits), dtype=torch.int64))[0]


def test_answers_are_those_of_the_logits():
    logits = torch.tensor([[0.0, 1.0, -2.0]])
    one = answer(MultilabelTask, DataSpec("multilabel", 3, ("a", "b", "c")), logits)
    assert one["labels"] == ["b"]
    assert list(one["probabilities"].values()) == pytest.approx(logits.sigmoid()[0].tolist())
    one = answer(ClassificationTask, DataSpec("classification", 3, ("a", "b", "c")), logits)
    assert one["label"] == "b"
    assert sum(one["probabilities"].values()) == pytest.approx(1)
    one = answer(RegressionTask, DataSpec("regression", 1, ("price",), mean=100.0, deviation=20.0), logits[:, 1:2])
    assert one == {"value": 120.0}


def test_answers_are_written_as_a_table_that_reads_back(tmp_path):
    write(
        tmp_path / "a.csv",
        [{"row": 1, "text": 'a "b"\n,c', "labels": ["x", "y"], "probabilities": {"x": 0.9, "y": 0.6}}],
    )
    found = pd.read_csv(tmp_path / "a.csv")
    assert found.to_dict("records") == [
        {"row": 1, "text": 'a "b"\n,c', "labels": "x;y", "probability of x": 0.9, "probability of y": 0.6}
    ]


def test_a_stored_scale_must_be_one():
    from seqlab.stored import OPTIONAL

    for name, good, bad in (
        ("spec.counts", [3, 4], [3, -4]), ("spec.mean", -2.5, float("nan")), ("spec.deviation", 0.1, 0.0),
    ):  # fmt: skip
        assert OPTIONAL[name][0](good)
        assert not OPTIONAL[name][0](bad)
