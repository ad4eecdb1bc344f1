"""Run folders of strangers: whatever they name, nothing is run, nothing is written, and one sentence says why."""

from __future__ import annotations

import copy
import hashlib
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from seqlab import trust
from seqlab.compose import CONFIGS, composed
from seqlab.engine import checkpoint
from seqlab.errors import InputError
from seqlab.run import Run
from seqlab.train import train

SMALL = ("floor=false", "runtime.threads=1", "trainer.max_steps=2", "model.hidden_size=4", "trainer.precision=fp32")
ROUTES = {
    "predict": ("texts", ["predict", "RUN", "good"]),
    "evaluate": ("texts", ["evaluate", "RUN"]),
    "generate": ("writer", ["generate", "RUN", "--prompt", "a", "--length", "3"]),
    "backtest": ("series", ["backtest", "RUN", "--folds", "1", "--refit"]),
    "leaktest": ("series", ["leaktest", "RUN"]),
    "resume": ("texts", ["train", "resume=RUN", "trainer.max_steps=4"]),
    "Run": ("texts", []),
}
"""What a user does with the folder, and with which kind of run."""
EVIL = "open('canary', 'w').close()\ndef tokenize(text):\n    return []\nclass Evil:\n    pass\n"


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    """One tiny run of each kind."""
    home = tmp_path_factory.mktemp("homes")
    rows = [f"{word} {row},{label}" for row in range(12) for word, label in (("good", "yes"), ("bad", "no"))]
    (home / "texts.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    (home / "text.txt").write_text("a black cat sat on a mat " * 40)
    (home / "series.csv").write_text("\n".join(["x", *(str(row % 7 + row % 3) for row in range(120))]) + "\n")
    asked = {
        "texts": ("data=csv", f"data.path={home / 'texts.csv'}", "data.batch_size=4"),
        "writer": ("data=text", f"data.path={home / 'text.txt'}", "data.length=8", "data.eval_length=8", "test=false"),
        "series": ("data=series", f"data.path={home / 'series.csv'}", "data.lookback=6", "data.horizon=2"),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seqlab.engine.tracker.Tracker.figure", lambda *_: None)
        for kind, words in asked.items():
            train(composed(*words, *SMALL, f"run_dir={home / kind}"))
    return home


def _set(config, key, value):
    *path, last = key.split(".")
    for part in path:
        config = config[part]
    config[last] = value


PAYLOADS = {
    "a command of the system": {"model": {"_target_": "os.system", "command": "touch canary"}},
    "exec": {"data._target_": "builtins.exec"},
    "a run that trusts": {"data": {"_target_": "seqlab.run.Run", "path": ".", "trust": True}},
    "C++ source": {"task": {"_target_": "seqlab.nn.compiler.toolchain.build", "source": "int x;"}},
    "a download": {"data": {"_target_": "seqlab.data.fetch.fetch", "url": "file:///etc/passwd", "path": "canary"}},
    "a write": {"optim": {"_target_": "seqlab.engine.checkpoint.save", "path": "canary", "state": {}}},
    "an import": {"schedule": {"_target_": "seqlab.schema.locate", "target": "evil.Evil", "where": "x"}},
    "a module beside": {"model.cell": {"_target_": "evil.Evil"}},
    "a cell of the decoder": {"task.decoder": {"cell": {"_target_": "evil.Evil"}}},
    "in a list": {"data.scaling": ["standard", {"standard": {"_target_": "os.system", "command": "touch canary"}}]},
    "in a list of lists": {"model.hidden_size": [[{"_target_": "os.system", "command": "touch canary"}]]},
    "a part in the wrong place": {"optim._target_": "seqlab.text.bpe.BPEPipeline"},
    "a target that is a list": {"schedule._target_": ["seqlab.engine.schedule.cosine"]},
    "partial": {"model._partial_": True},
    "positional": {"optim._args_": ["canary"]},
    "a tokenizer": {"data.tokenizer": {"_target_": "os.system", "command": "touch canary"}},
    "a tokenizer by name": {
        "data.tokenizer": {"_target_": "seqlab.text.pipeline.WordPipeline", "tokenizer": "evil.tokenize"}
    },
    "a tokenizer of a package": {
        "data.tokenizer": {"_target_": "seqlab.text.pipeline.WordPipeline", "tokenizer": "spacy"}
    },
}


@pytest.fixture
def folder(homes, tmp_path):
    """``folder(kind, change)``: a folder to stand in, with a module of code and ``run``, a forged copy of a run."""

    def forge(kind, change=lambda saved: None):
        (tmp_path / "evil.py").write_text(EVIL)
        run = tmp_path / "run"
        shutil.copytree(homes / kind, run)
        for name in ("best.pt", "last.pt"):
            saved = checkpoint.load(run / name)
            change(saved)
            torch.save(saved, run / name)
        (run / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(copy.deepcopy(saved["config"]))))
        return tmp_path

    return forge


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def ask(route, here, run_command):
    """What a route says of ``here/run``: its exit status and its last line on standard error."""
    _, words = ROUTES[route]
    if not words:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(here)
            with pytest.raises(InputError) as caught:
                Run("run", device="cpu").evaluate()
        return 2, f"error: {caught.value}"
    done = run_command(*(word.replace("RUN", "run") for word in words), cwd=here)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_a_config_names_is_not_run(payload, route, folder, run_command):
    def change(saved):
        for key, value in PAYLOADS[payload].items():
            if isinstance(value, dict) and isinstance(saved["config"].get(key), dict):
                value = {**saved["config"][key], **value}
            _set(saved["config"], key, value)

    kind = ROUTES[route][0]
    here = folder(kind, change)
    before = contents(here)
    status, said = ask(route, here, run_command)
    assert status == 2
    assert said.startswith("error: run/")
    assert "names code beyond seqlab's own choices (" in said or "must be a name, not a list" in said
    assert next(iter(PAYLOADS[payload])).split(".")[0] in said
    assert "must be a name" in said or ("trust=true" if route == "resume" else "--trust") in said
    assert contents(here) == before
    assert "evil" not in sys.modules


@pytest.mark.parametrize("route", ["predict", "evaluate", "generate", "resume", "Run"])
def test_the_tokenizer_of_the_stored_vocabulary_is_a_name_too(route, folder, run_command):
    here = folder(ROUTES[route][0], lambda saved: _set(saved, "pipeline.arguments.tokenizer", "evil.tokenize"))
    status, said = ask(route, here, run_command)
    assert (status, "pipeline.arguments.tokenizer is evil.tokenize" in said) == (2, True)
    assert not (here / "canary").exists()


@pytest.mark.parametrize("name", ["config.yaml", "last.pt"])
def test_resume_holds_the_config_in_either_file_to_the_rule(name, folder, run_command):
    here = folder("texts", lambda saved: _set(saved["config"], "optim._target_", "os.system"))
    honest = checkpoint.load(here / "run" / "last.pt")
    honest["config"]["optim"]["_target_"] = "seqlab.engine.optim.adamw"
    if name == "config.yaml":
        torch.save(honest, here / "run" / "last.pt")
    else:
        (here / "run" / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(honest["config"])))
    status, said = ask("resume", here, run_command)
    assert (status, said.startswith(f"error: run/{name} names code beyond")) == (2, True), said


class _Command:
    def __reduce__(self):
        return os.system, ("touch canary",)


@pytest.mark.parametrize("route", ROUTES)
def test_a_pickle_is_not_run(route, folder, run_command):
    here = folder(ROUTES[route][0])
    for name in ("best.pt", "last.pt"):
        torch.save({"format": "seqlab checkpoint", "version": 1, "config": _Command()}, here / "run" / name)
    before = contents(here)
    status, said = ask(route, here, run_command)
    assert (status, "holds more than plain data" in said) == (2, True), said
    assert contents(here) == before


@pytest.mark.parametrize("link", ["metrics.jsonl", "config.yaml", "figures"])
def test_a_run_that_is_continued_holds_no_links_out_of_its_folder(link, folder, run_command):
    here = folder("texts")
    shutil.rmtree(here / "run" / link, ignore_errors=True)
    mine = here / "mine"
    if link == "config.yaml":
        shutil.move(here / "run" / link, mine)
    else:
        (here / "run" / link).unlink(missing_ok=True)
        mine.write_text("mine")
    (here / "run" / link).symlink_to(mine)
    before = contents(here)
    status, said = ask("resume", here, run_command)
    assert (status, f"run/{link} is a symbolic link" in said) == (2, True), said
    assert contents(here) == before


def test_a_backtest_that_trains_writes_through_no_link(folder, run_command):
    here = folder("series")
    (here / "mine" / "fold-1").mkdir(parents=True)
    (here / "mine" / "fold-1" / "kept").write_text("kept")
    (here / "run" / "backtest").symlink_to(here / "mine")
    status, said = ask("backtest", here, run_command)
    assert (status, "run/backtest is a symbolic link" in said) == (2, True), said
    assert (here / "mine" / "fold-1" / "kept").read_text() == "kept"


def test_a_stranger_starts_no_download(folder, run_command, monkeypatch):
    monkeypatch.setattr("seqlab.data.fetch.urllib.request.urlopen", lambda *_, **__: pytest.fail("a download"))

    def change(saved):
        saved["config"]["data"] |= {"_target_": "seqlab.data.imdb.IMDB", "root": "nowhere", "download": True}
        for key in [key for key in saved["config"]["data"] if key.endswith(("path", "column"))]:
            del saved["config"]["data"][key]
        for key in ("header", "delimiter", "missing", "na", "encoding", "quoted", "test_fraction", "label_separator"):
            saved["config"]["data"].pop(key, None)

    here = folder("texts", change)
    status, said = ask("evaluate", here, run_command)
    assert (status, "aclImdb_v1.tar.gz" in said) == (2, True), said
    assert not (here / "nowhere").exists()


def test_a_folder_does_not_say_that_it_is_trusted(folder, run_command):
    def change(saved):
        saved["config"]["trust"] = True
        _set(saved["config"], "optim._target_", "evil.Evil")

    here = folder("texts", change)
    for route in ("predict", "resume"):
        status, said = ask(route, here, run_command)
        assert (status, "optim._target_ is evil.Evil" in said) == (2, True), said


def test_the_current_folder_is_searched_for_code_only_when_the_run_is_trusted(folder, run_command, monkeypatch):
    here = folder("texts", lambda saved: _set(saved["config"], "model.cell", {"_target_": "mine.Mine"}))
    cell = "from seqlab.nn.cells import LSTM\nclass Mine(LSTM):\n    pass\n"
    (here / "mine.py").write_text(cell)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    done = run_command("evaluate", "run", cwd=here)
    assert done.returncode == 2
    assert "mine" not in sys.modules
    done = run_command("evaluate", "run", "--trust", cwd=here)
    assert done.returncode == 0, done.stderr
    done = run_command("train", "resume=run", "trust=true", "trainer.max_steps=3", cwd=here)
    assert done.returncode == 0, done.stderr
    monkeypatch.delitem(sys.modules, "mine", raising=False)


def test_honest_folders_open_by_every_route(folder, run_command):
    for kind in ("texts", "writer", "series"):
        here = folder(kind)
        for route, (suits, words) in ROUTES.items():
            if suits == kind and words:
                done = run_command(*(word.replace("RUN", "run") for word in words), cwd=here)
                assert done.returncode == 0, (route, done.stderr)
        shutil.rmtree(here / "run")


def test_the_allow_lists_are_what_the_shipped_configs_name():
    named = {}
    for place, group in trust.PLACES.items():
        files = (CONFIGS / group).glob("*.yaml")
        nodes = (OmegaConf.to_container(OmegaConf.load(path), resolve=False) for path in files)
        named[place] = {node["_target_"] for node in nodes if "_target_" in node}
        assert trust.allowed(place) == named[place]
        assert named[place]
    assert trust.tokenizers() == {"basic_english", "char", "whitespace"}
    assert "seqlab.nn.cells.LSTM" in trust.allowed("model.cell")
    assert not any(name.startswith("seqlab.nn.compiler") for name in trust.allowed("model.cell"))


@pytest.mark.parametrize("data", sorted(path.stem for path in (CONFIGS / "data").glob("*.yaml")))
def test_every_shipped_dataset_is_opened_without_trust(data):
    needed = {"csv", "text", "series", "pairs"}
    words = [f"data={data}", *(["data.path=x"] if data in needed else [])]
    assert not list(trust.foreign(composed(*words)))


@pytest.mark.parametrize("model", sorted(path.stem for path in (CONFIGS / "model").glob("*.yaml")))
def test_every_shipped_model_is_opened_without_trust(model):
    assert not list(trust.foreign(composed(f"model={model}", "data=dates" if model == "seq2seq" else "data=reviews")))


def test_a_new_training_finds_code_of_the_current_folder(tmp_path, homes, run_command, monkeypatch, no_figures):
    (tmp_path / "own.py").write_text("from seqlab.nn.cells import LSTM\nclass Own(LSTM):\n    pass\n")
    words = ["data=csv", f"data.path={homes / 'texts.csv'}", "model.cell={_target_: own.Own}", "run_dir=run", *SMALL]
    done = run_command("train", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = run_command("train", "resume=run", "trainer.max_steps=3", cwd=tmp_path)
    assert done.returncode == 2
    assert "add trust=true to the command line" in done.stderr
    monkeypatch.delitem(sys.modules, "own", raising=False)
