"""What a run folder holds is held against a description first: each fault is one sentence that names the field."""

from __future__ import annotations

import copy
import math
import re

import pytest
import torch

from seqlab import stored
from seqlab.compose import composed, load
from seqlab.engine import checkpoint
from seqlab.errors import InputError
from seqlab.run import Run
from seqlab.train import train

MISSING = object()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    home = tmp_path_factory.mktemp("stored")
    rows = [f"{word} {row},{label}" for row in range(12) for word, label in (("good", "yes"), ("bad", "no"))]
    (home / "texts.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    small = ("floor=false", "runtime.threads=1", "trainer.max_steps=2", "model.hidden_size=4", "trainer.precision=fp32")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seqlab.engine.tracker.Tracker.figure", lambda *_: None)
        train(composed("data=csv", f"data.path={home / 'texts.csv'}", f"run_dir={home / 'run'}", *small))
    return home / "run"


def forge(run, folder, changes, name="best.pt"):
    """A copy of a checkpoint with other fields."""
    saved = checkpoint.load(run / name)
    for field, value in changes.items():
        *path, last = field.split("/")
        node = saved
        for part in path:
            node = node[part]
        if value is MISSING:
            del node[last]
        else:
            node[last] = value
    torch.save(saved, folder / name)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("config", MISSING, "field 'config' is missing"),
        ("config", 3, "field 'config' must be a mapping of names to values, not 3"),
        ("config", [], "field 'config' must be a mapping of names to values, not a list"),
        ("config/data", MISSING, "field 'config.data' is missing"),
        ("config/data", None, "field 'config.data' must be a mapping of names to values, not null"),
        ("config/data/name", 5, "field 'config.data.name' must be a name, not 5"),
        ("config/model/embedding", MISSING, "field 'config.model.embedding' is missing"),
        ("config/model/_target_", MISSING, "field 'config.model._target_' is missing"),
        ("config/seed", -1, "field 'config.seed' must be a whole number of at least 0, not -1"),
        ("config/trainer/precision", 16, "field 'config.trainer.precision' must be a name, not 16"),
        ("config/task/name", 5, "field 'config.task.name' must be the name of a task, not 5"),
        ("spec", MISSING, "field 'spec' is missing"),
        ("spec/vocab_size", "x", "field 'spec.vocab_size' must be a whole number of at least 0, not 'x'"),
        ("spec/vocab_size", -4, "field 'spec.vocab_size' must be a whole number of at least 0, not -4"),
        ("spec/vocab_size", True, "field 'spec.vocab_size' must be a whole number of at least 0, not True"),
        ("spec/vocab_size", 10**30, "field 'spec.vocab_size' must be a whole number"),
        ("spec/labels", "yes", "field 'spec.labels' must be a list of texts, not 'yes'"),
        ("spec/labels", [1, 2], "field 'spec.labels' must be a list of texts"),
        ("spec/more", 1, "unexpected keyword argument 'more'"),
        ("spec/task", MISSING, "field 'spec.task' is missing"),
        ("digest", MISSING, "field 'digest' is missing"),
        ("pipeline", MISSING, "field 'pipeline' is missing"),
        ("pipeline", 7, "field 'pipeline' must be a mapping of names to values, or null, not 7"),
        ("pipeline", {}, "unknown kind"),
        ("pipeline/tokens", MISSING, "saved text pipeline is damaged"),
        ("model", MISSING, "field 'model' is missing"),
        ("model", {}, "only the model has"),
        ("model", {"x": 1}, "field 'model.x' must be a dense tensor"),
        ("scaling", 3, "field 'scaling' must be a mapping"),
        ("precision", 3, "field 'precision' must be a name, not 3"),
        ("version", "1", "was not written by seqlab"),
        ("config/model/vote", MISSING, "field 'vote' is missing"),
        ("config/data/a.b", 1, "has the key 'a.b'"),
        ("config/model/hidden_size", 10**7, "The checkpoint is of another model"),
        ("config/model/num_layers", 10**9, "far more layers than it has weights"),
        ("config/model/num_layers", 5000, "far more layers than it has weights"),
        ("spec/vocab_size", 10**11, "The checkpoint is of another model"),
    ],
)  # fmt: skip
def test_a_field_that_is_missing_or_foreign_is_named(run, tmp_path, field, value, said):
    forge(run, tmp_path, {field: value})
    with pytest.raises(InputError) as caught:
        Run(tmp_path, device="cpu")
    assert said in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_cyclic_config_and_one_of_aliases_end(run, tmp_path):
    cyclic: dict = {"x": []}
    cyclic["x"].append(cyclic)
    many: list = [1] * 10
    for _ in range(20):
        many = [many] * 10
    for value in (cyclic, many):
        forge(run, tmp_path, {"config/data/scaling": value})
        with pytest.raises(InputError, match=r"best\.pt is damaged or foreign: field 'config' (nests|holds)"):
            Run(tmp_path, device="cpu")


def test_a_weight_that_claims_more_than_it_brings_is_refused_before_it_costs_memory(run, tmp_path):
    forge(run, tmp_path, {"model/embedding.weight": torch.zeros(1, 1).expand(10**9, 128), "spec/vocab_size": 10**9})
    with pytest.raises(InputError, match=r"'model\.embedding\.weight' claims 128,000,000,000 numbers"):
        Run(tmp_path, device="cpu")


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_row_that_no_text_uses_may_not_be_nan_either(run, tmp_path, run_command, number):
    weight = checkpoint.load(run / "best.pt")["model"]["embedding.weight"].clone()
    weight[-1, 2] = number
    forge(run, tmp_path, {"model/embedding.weight": weight})
    done = run_command("predict", tmp_path, "good", "--json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    where = f"[{len(weight) - 1}, 2]"
    assert f"1 numbers of weight 'embedding.weight' are NaN or infinite (the first at {where})" in done.stderr


def test_answers_that_overflow_are_none(run, tmp_path, run_command):
    weights = checkpoint.load(run / "best.pt")["model"]
    forge(run, tmp_path, {"model": {name: torch.full_like(weight, 3e38) for name, weight in weights.items()}})
    for words in (["predict", tmp_path, "good"], ["evaluate", tmp_path]):
        done = run_command(*words, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert "the model answers with numbers that are NaN or infinite, so there is no answer" in done.stderr


def test_a_run_folder_of_an_earlier_version_opens(run, tmp_path):
    early = dict.fromkeys(
        ("device", "precision", "scaling", "spec/num_features", "spec/blank", "spec/horizon", "spec/num_future",
         "spec/start_id", "spec/eos_id", "spec/shared", "config/trust", "config/data/group_texts"),
        MISSING,
    )  # fmt: skip
    forge(run, tmp_path, early)
    assert Run(tmp_path, device="cpu").predict(["good"]) == Run(run, device="cpu").predict(["good"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trainer/step": "x"}, "field 'trainer.step' must be a whole number of at least 0, not 'x'"),
        ({"trainer/window": MISSING}, "field 'trainer.window' is missing"),
        ({"optimizer": 3}, "field 'optimizer' must be a mapping"),
        ({"optimizer": {}}, "the state of 'optimizer' does not fit"),
        ({"threads": None}, "field 'threads' must be a whole number"),
        ({"random": MISSING}, "field 'random' is missing"),
        ({"random/torch": 3}, "Cannot resume: the random state does not fit"),
        ({"ema": {"x": 1}}, "only the checkpoint has state of 'ema'"),
    ],
)  # fmt: skip
def test_what_training_goes_on_from_is_held_to_its_description(run, tmp_path, run_command, changes, said):
    forge(run, tmp_path, changes, "last.pt")
    (tmp_path / "config.yaml").write_bytes((run / "config.yaml").read_bytes())
    before = (tmp_path / "last.pt").read_bytes()
    done = run_command("train", f"resume={tmp_path}", "trainer.max_steps=3", cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert (tmp_path / "last.pt").read_bytes() == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "field 'seed' is missing"),
        ("[1, 2]\n", "must be a mapping of names to values, not a list"),
        ("data: 3\n", "is missing"),
        ("a: &a [*a]\n", "line 1: aliases (*name) are not read: repeat the value"),
        ("a: &a [1]\nb: [*a, *a]\n", "line 2: aliases"),
        ("[" * 5000, "nests deeper than 30 levels"),
        ("x: [" + "1, " * 30_000 + "]\n", "holds more than 20,000 values"),
        ("#" * (2 << 20), "is larger than 1,048,576 bytes"),
        ("x: !!python/object/apply:os.system ['touch canary']\n", "cannot be read as a run's configuration"),
        ("x: ${\n", "cannot be read as a run's configuration"),
        ("\x00", "cannot be read as a run's configuration"),
    ],
)  # fmt: skip
def test_a_config_that_is_none_is_refused(tmp_path, text, said):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(InputError, match=re.escape(said)):
        load(tmp_path / "config.yaml")
    assert not (tmp_path / "canary").exists()


def test_every_config_that_is_written_is_one_that_is_read(run):
    found = load(run / "config.yaml")
    assert stored.config(copy.deepcopy(found), "here") == found
