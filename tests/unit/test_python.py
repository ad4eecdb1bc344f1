"""What is used from Python and in notebooks: results that open their runs, folders that may be named again, a bar."""

import pickle
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from seqlab import build
from seqlab.compose import composed
from seqlab.engine import progress
from seqlab.engine.state import Result, State
from seqlab.errors import InputError
from seqlab.nn import Recurrent
from seqlab.run import Run
from seqlab.train import train

TINY = ("data=reviews", "trainer.max_steps=2", "trainer.log_every=1", "floor=false", "test=false", "runtime.threads=1",
        "runtime.tune=off", "model.hidden_size=4")  # fmt: skip


def test_a_result_opens_its_run_and_its_folder_may_be_named_again(tmp_path: Path, no_figures, caplog) -> None:
    words = (*TINY, f"run_dir={tmp_path / 'run'}")
    result = train(composed(*words))
    assert result.run_dir == tmp_path / "run"
    assert isinstance(result.run, Run)
    assert result.run is result.run
    assert repr(result).startswith("Result(best at step 2: loss=")
    assert repr(result).endswith(f"stopped by max_steps, run_dir='{tmp_path / 'run'}')")
    assert repr(result.run) == f"Run('{tmp_path / 'run'}': classification, model=lstm, data=reviews, on cpu)"
    assert result.run.predict("a good film") == result.run.predict(["a good film"])
    assert len(result.run.predict("a good film")) == 1
    assert pickle.loads(pickle.dumps(result)).run_dir == tmp_path / "run"

    with pytest.raises(InputError, match="or delete it first with overwrite=true"):
        train(composed(*words))
    (tmp_path / "run" / "mark").touch()
    assert train(composed(*words, "overwrite=true")).run_dir == tmp_path / "run"
    assert not (tmp_path / "run" / "mark").exists()
    assert f"Deleted the run folder {tmp_path / 'run'} (overwrite=true)." in caplog.messages


@pytest.mark.parametrize("holds", [[], ["thesis.txt"], ["config.yaml"], ["metrics.jsonl", "thesis.txt"], "link"])
def test_nothing_but_a_run_folder_is_deleted(tmp_path: Path, holds: Any) -> None:
    folder = tmp_path / "mine"
    if holds == "link":
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "config.yaml").write_text("{data: 1, model: 1, trainer: 1}")
        (tmp_path / "run" / "metrics.jsonl").touch()
        folder.symlink_to(tmp_path / "run")
    else:
        folder.mkdir()
        for name in holds:
            (folder / name).touch()
    with pytest.raises(InputError, match="exists and is not a run folder, so overwrite=true does not delete it"):
        build.make_run_dir({"run_dir": str(folder), "overwrite": True})
    assert folder.exists()
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["config.yaml", "metrics.jsonl"] if holds == "link" else holds
    )


def test_a_config_of_before_may_lack_overwrite(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists already"):
        build.make_run_dir({"run_dir": str(tmp_path)})


def test_a_result_without_a_folder_says_so() -> None:
    result = Result.of(State(), "max_steps")
    assert repr(result) == "Result(no evaluation; 0 steps in 0.0 s, stopped by max_steps)"
    with pytest.raises(InputError, match="This result has no run folder"):
        _ = result.run


@pytest.mark.parametrize("words", [["data=reviewz"], ["model.hidden=3"], ["data=csv"], ["optim.lr=[1"]])
def test_a_wrong_option_is_not_followed_by_hydras_traceback(words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        composed(*words)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("count", ["2", "many"])
def test_several_processes_are_refused(monkeypatch, count: str) -> None:
    monkeypatch.setenv("WORLD_SIZE", count)
    with pytest.raises(InputError, match=f"WORLD_SIZE={count}: torchrun or a like of it started several processes"):
        train({})


def test_modules_and_answers_are_shown_in_one_look() -> None:
    encoder = Recurrent(3, "lstm", 4, num_layers=2)
    assert encoder.extra_repr() == "3 -> 4, 2 layers"
    assert repr(encoder(torch.rand(2, 5, 3))) == (
        "Encoded(outputs=(2, 5, 4), final=(2, 4), lengths=(2,), state=2 x [(2, 4), (2, 4)])"
    )


def test_a_notebook_shows_one_bar_that_moves(monkeypatch, capsys) -> None:
    shown: list[str] = []

    def display(data: dict[str, str], raw: bool, display_id: bool) -> Any:
        return SimpleNamespace(update=lambda data, raw: shown.append(data["text/plain"]))

    kernel = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    with progress.Progress() as bar:
        assert bar.every == 1.0
        bar.show(0.0, 1, 0, 1.5, 0.0, 0.0)
        bar.show(0.5, 1, 10, 1.25, 2000.0, 60.0)
        bar.message("epoch 1  [best]")
    assert shown == [
        "░░░░░░░░░░░░░░░░░░░░   0 %  epoch 1  step 0  loss 1.5000  0 tokens/s  ? left",
        "██████████░░░░░░░░░░  50 %  epoch 1  step 10  loss 1.2500  2,000 tokens/s  1:00 left",
        "",
    ]
    assert capsys.readouterr().err == "epoch 1  [best]\n"


def test_a_plain_ipython_shell_is_no_notebook(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert not progress._in_notebook()
