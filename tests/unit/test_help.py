"""The page of --help: each option once, with its value and the comment of its YAML file."""

from __future__ import annotations

import subprocess
import sys

import pytest

from seqlab.compose import composed, flatten, help_text
from seqlab.errors import InputError
from seqlab.train import main


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def test_an_option_has_its_value_and_its_comment():
    page = help_text(["optim.lr=0.5"])
    assert "  optim.lr=0.5" in page
    assert "  model.merge=concat                concat | sum: how to combine two directions\n" in page
    assert max(map(len, page.splitlines())) <= 110


def test_another_choice_shows_its_own_options():
    page = help_text(["data=csv", "model=tcn", "optim=sgd"])
    for key in ("data.label_column=label", "data.path=???", "optim.momentum=", "model.kernel"):
        assert f"  {key}" in page
    assert "model.bidirectional" not in page


def test_each_knob_has_one_public_name():
    page = help_text(["data=csv"])
    shown = {line.split("=")[0].strip() for line in page.splitlines() if line.startswith("  ")}
    assert {"optim.lr", "trainer.max_epochs", "model.hidden_size"} <= shown
    assert not {"data.lr", "data.epochs", "data.pooling", "data.max_lag"} & shown
    keys = {key for key, _ in flatten(composed("data=reviews"))}
    usual = help_text([])
    left_out = {key for key in keys if f"  {key}=" not in usual and not key.endswith(("_target_", ".name"))}
    assert all(key.startswith("data.") for key in left_out), left_out


def test_configs_of_a_folder_are_explained_like_those_of_the_package(tmp_path, monkeypatch, capsys):
    (tmp_path / "my conf" / "model").mkdir(parents=True)
    (tmp_path / "my conf" / "model" / "mine.yaml").write_text(
        "defaults: [lstm, _self_]\nname: mine\nhidden_size: 7   # units of mine\n"
    )
    monkeypatch.chdir(tmp_path)
    for flags in (["--config-dir", "my conf"], ["--config-dir=my conf"], ["-cd", "my conf"]):
        monkeypatch.setattr(sys, "argv", ["train.py", "model=Mine", *flags, "--help"])
        main()
        page = capsys.readouterr().out
        assert "model=mine:\n" in page
        assert "model.hidden_size=7 units of mine model" in " ".join(page.split())
        assert "concat | sum: how to combine two directions" in page  # of the config that it is based on
        assert "lstm_projected, mgu, mine, mingru" in " ".join(page.split())


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train.py", "--config-dir", str(tmp_path / "gone"), "--help"])
    with pytest.raises(SystemExit):
        main()
    assert "gone: there is no such folder of configs." in capsys.readouterr().err


def test_a_wrong_choice_is_one_sentence():
    with pytest.raises(InputError, match="there is no such model"):
        help_text(["model=foo"])


def test_help_and_lists_load_no_torch(tmp_path):
    program = """
import sys
from seqlab.train import main
sys.argv = ["train.py", "data=csv", "--help"]
main()
from seqlab.cli import app
try:
    app(["list", "model"])
except SystemExit as ended:
    assert not ended.code
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "data.text_column=" in done.stdout
    assert "Long short-term memory" in done.stdout
