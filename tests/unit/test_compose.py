from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException

from seqlab import compose as ours
from seqlab.compose import composed
from seqlab.errors import InputError


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("modle=gru", "modle: there is no such option; did you mean 'model'?"),
        ("model=lstn", "model=lstn: there is no such model; did you mean 'lstm'?"),
        ("data/tokenizer=chr", "data/tokenizer=chr: there is no such data/tokenizer; did you mean 'char'?"),
        ("model.hiden_size=3", "model.hiden_size: there is no such option; did you mean 'model.hidden_size'?"),
        ("optim.rl=3", "optim.rl: there is no such option; did you mean 'optim.lr'?"),
        ("optim.lr", "'optim.lr' cannot be read: options look like key=value, such as optim.lr=1e-3."),
        (
            "optim=adm",
            "optim=adm: there is no such optim; did you mean 'adam'? Choose one of adam, adamw, rmsprop, sgd.",
        ),
        ("schedule=x", "schedule=x: there is no such schedule; choose one of constant, cosine, one_cycle, plateau."),
        (
            "data.targets=[T/°C]",
            "'data.targets=[T/°C]' cannot be read because of the '°' in it: quote the value, 'data.targets=[\"T/°C\"]'",
        ),
        (
            "data.path=tickets (1).csv",
            "'data.path=tickets (1).csv' cannot be read because of the '(' in it: quote the value, "
            "\"data.path='tickets (1).csv'\"",
        ),
        ("+model=gru", "Multiple values for model: write group=name without the +."),
    ],
)
def test_what_hydra_refuses_is_explained_with_the_nearest_name(override, sentence):
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}"):
        composed(override)


def test_an_unknown_key_is_explained_among_the_keys_of_the_chosen_group():
    with pytest.raises(InputError, match=r"did you mean 'model\.length'\?"):
        composed("model=mlp", "model.lenght=3")


def test_beside_resume_stands_only_what_may_change():
    """An option that this command line's own data have not may be one of the run's, and must not change either."""
    with pytest.raises(InputError, match=r"^task.search.beam cannot change .* trainer.max_\*, trainer.patience"):
        composed("resume=somewhere", "task.search.beam=3")
    with pytest.raises(InputError, match=r"did you mean 'trainer.max_steps'\?"):
        composed("resume=somewhere", "trainer.max_stepz=3")


def test_an_option_of_another_place_is_found_by_its_last_name():
    with pytest.raises(InputError, match=r"did you mean 'model\.head\.tied'\?"):
        composed("model.tied=true")


def test_several_runs_are_for_the_command_line():
    with pytest.raises(InputError, match=r"^sweep= is for the command line"):
        composed("sweep=seeds")
    with pytest.raises(
        InputError, match=r"^seed=0,1: to try several values add -m .*; to pass a list write seed=\[0,1\]"
    ):
        composed("seed=0,1")
    with pytest.raises(InputError, match=r"^model=lstm,gru: to try several values add -m [^;]*\.$"):
        composed("model=lstm,gru")


def test_paths_of_data_are_those_of_this_folder_from_wherever_they_are_read_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEQLAB_DATA", raising=False)
    data = composed("data=csv", "data.path=a.csv", "data.test_path='~/b.csv'", "model.embedding.vectors=v.txt")
    assert data["data"]["path"] == str(tmp_path / "a.csv")
    assert data["data"]["test_path"] == str(Path.home() / "b.csv")
    assert data["data"]["val_path"] is None
    assert data["model"]["embedding"]["vectors"] == str(tmp_path / "v.txt")
    assert composed("data=imdb")["data"]["root"] == str(tmp_path / "data")


def test_a_run_is_continued_with_its_own_config(tmp_path):
    stored = composed("model=gru", "optim.lr=0.5")
    ours.save(stored, tmp_path / "config.yaml")
    word = f"resume={tmp_path}"
    expected = {**stored, "resume": str(tmp_path), "trainer": {**stored["trainer"], "max_steps": 9}}
    assert composed(word, "trainer.max_steps=9") == expected
    with pytest.raises(InputError, match=r"optim.lr was 0.5, is 0.1"):
        composed(word, "optim.lr=0.1")


def test_a_config_from_elsewhere_does_not_continue_a_run():
    own = composed("model=gru", "run_dir=runs/mine")
    ours.check_continued({**own, "resume": "runs/mine", "run_dir": None, "test": False}, own)
    for other in ("optim.lr=0.1", "model.hidden_size=3", "seed=3", "task.label_smoothing=0.1"):
        key, _, value = other.partition("=")
        with pytest.raises(InputError, match=rf"{key} was \S+, is {value}"):
            ours.check_continued(composed("model=gru", other), own)


def test_of_two_unknown_keys_the_first_is_not_explained_by_itself():
    overrides = ["model=mlp", "model.lenght=3", "model.backend=torch"]  # only the default model has a backend
    with pytest.raises(HydraException) as raised:
        ours._compose(["model=mlp", "model.backend=torch"])
    assert "did you mean 'model.backend'?" not in ours.explain(raised.value, overrides)


def test_a_callers_own_hydra_is_left_as_it_was():
    """Notebooks and programs that use Hydra themselves may ask for a config all the same."""
    with initialize_config_dir(str(ours.CONFIGS / "model"), version_base="1.3"):
        assert composed("model=gru")["model"]["name"] == "gru"
        assert compose("lstm", ["embedding.dim=3"]).embedding.dim == 3
    assert not GlobalHydra.instance().is_initialized()


def test_a_value_that_must_be_given_is_named():
    with pytest.raises(InputError, match=r"data.path has no value: give it on the command line, data.path=VALUE"):
        composed("data=csv")


def test_the_data_brings_its_task_and_its_epochs():
    config = composed("data=imdb")
    assert config["task"]["name"] == "classification"
    assert config["trainer"]["max_epochs"] == config["data"]["epochs"]


def asked(*words: str) -> dict:
    """What a command line says of itself, whatever run it is to continue."""
    return ours._anchored(ours.plain(ours._compose(words)))


class TestContinued:
    def test_what_is_not_named_is_the_stored_runs(self):
        stored = composed("model=gru", "seed=7")
        assert ours.continued(asked("resume=x"), stored, ["resume=x"]) == {**stored, "resume": "x"}

    def test_limits_may_change(self):
        words = ["resume=x", "trainer.max_epochs=9"]
        assert ours.continued(asked(*words), composed(), words)["trainer"]["max_epochs"] == 9

    @pytest.mark.parametrize(
        ("word", "difference"),
        [
            ("model.hidden_size=64", "model.hidden_size was 128, is 64"),
            ("model=gru", "model.cell was 'lstm', is 'gru'"),
            ("data/tokenizer=char", "data.tokenizer.tokenizer was 'basic_english', is 'char'"),
        ],
    )
    def test_another_run_is_refused_with_the_difference(self, word, difference):
        words = ["resume=x", word]
        with pytest.raises(InputError, match=difference):
            ours.continued(asked(*words), composed(), words)


def test_saving_and_loading_a_config_gives_it_back(tmp_path):
    config = composed()
    ours.save(config, tmp_path / "config.yaml")
    assert ours.load(tmp_path / "config.yaml") == config


def test_a_damaged_config_is_one_sentence(tmp_path):
    (tmp_path / "config.yaml").write_text("a: [1")
    with pytest.raises(InputError, match="cannot be read as a run's configuration"):
        ours.load(tmp_path / "config.yaml")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["data=text", "data.max_tokens=5"], r"data\.max_tokens has no effect with data/tokenizer=char: it is for"),
        (
            ["data=text", "data.subwords=300"],
            r"data\.subwords has no effect .*: it is for data/tokenizer=bpe",
        ),
        (["data=text", "data/tokenizer=whitespace", "data.subwords=300"], r"no effect with data/tokenizer=whitespace"),
        (["data=text", "data/tokenizer=bpe", "data.max_tokens=9"], r"no effect with data/tokenizer=bpe: .*whitespace"),
        (["data=text", "data/tokenizer=basic_english", "data.lowercase=true"], r"basic_english always folds capitals"),
        (["data=csv", "data/tokenizer=char", "data.max_tokens=9"], r"no effect with data/tokenizer=char"),
    ],
)
def test_options_that_the_chosen_tokenizer_does_not_read_are_refused(words, says):
    with pytest.raises(InputError, match=says):
        composed(*words, "data.path=a.txt")


def test_options_that_the_chosen_tokenizer_reads_are_taken():
    for tokenizer in ("char", "whitespace", "bpe"):
        found = composed("data=text", f"data/tokenizer={tokenizer}", "data.lowercase=true", "data.path=a.txt")
        assert found["data"]["tokenizer"]["lowercase"] is True
    assert composed("data=dates")["data"]["tokenizer"]["lowercase"] is False  # as it always was
    found = composed("data=text", "data/tokenizer=whitespace", "data.max_tokens=9", "data.path=[a.txt,b.txt]")
    assert found["data"]["tokenizer"]["max_tokens"] == 9
    assert all(os.path.isabs(path) for path in found["data"]["path"])


def test_the_latest_run_is_the_newest_unfinished_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="runs holds no run to continue"):
        composed("resume=latest")
    for number, name in enumerate(("a", "b", "c")):
        ours.save(composed(f"seed={number}"), _made(tmp_path / "runs" / name) / "config.yaml")
        (tmp_path / "runs" / name / "last.pt").touch()
        os.utime(tmp_path / "runs" / name / "last.pt", (number, number))
    (tmp_path / "runs" / "c" / "summary.json").touch()
    assert composed("resume=latest")["seed"] == 1
    assert capsys.readouterr().out == "resume=runs/b\n"
    (tmp_path / "runs" / "a" / "summary.json").touch()
    (tmp_path / "runs" / "b" / "summary.json").touch()
    assert composed("resume=latest")["seed"] == 2


def test_the_latest_run_may_be_one_that_was_killed_before_its_first_checkpoint(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("saved", "killed", "measured", "foreign")):
        folder = _made(tmp_path / "runs" / name)
        ours.save(composed(f"seed={number}"), folder / "config.yaml")
        (folder / "metrics.jsonl").touch()
        os.utime(folder / "metrics.jsonl", (number, number))
    (tmp_path / "runs" / "saved" / "last.pt").touch()
    os.utime(tmp_path / "runs" / "saved" / "last.pt", (0, 0))
    (tmp_path / "runs" / "measured" / "summary.json").touch()  # its checkpoints are gone: nothing to continue
    (tmp_path / "runs" / "foreign" / "metrics.jsonl").unlink()  # other programs write a config.yaml, too
    assert composed("resume=latest")["seed"] == 1
    assert capsys.readouterr().out == "resume=runs/killed (nothing was saved: from its start)\n"
    os.utime(tmp_path / "runs" / "saved" / "last.pt", (9, 9))
    assert composed("resume=latest")["seed"] == 0
    assert capsys.readouterr().out == "resume=runs/saved\n"


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def test_a_number_that_is_meant_as_text_is_told_how_to_be_quoted():
    from seqlab.schema import check

    def read(label_column: str, past: list[str]) -> None:
        """A source's options."""

    with pytest.raises(InputError, match=r"^data.label_column must be text.* 'data.label_column=\"2015\"'$"):
        check("data", read, {"label_column": 2015, "past": []})
    quoted = r": to mean text, quote it as it stands in the data: 'data.past=\[\"2015\",%s\]'$"
    with pytest.raises(InputError, match=quoted % "a"):
        check("data", read, {"label_column": "a", "past": [2015, "a"]})
    with pytest.raises(InputError, match=quoted % r"\"true\",\"null\""):
        check("data", read, {"label_column": "a", "past": [2015, True, None]})
    with pytest.raises(InputError, match=r"^data.past must be a list.*, not 'a b': write 'data.past=\[\"a b\"\]'$"):
        check("data", read, {"label_column": "a", "past": "a b"})


def test_a_whole_number_in_place_of_a_list_is_shown_as_a_list():
    from seqlab.schema import check

    def read(targets: list[str | int]) -> None:
        """A source's options."""

    with pytest.raises(InputError, match=r", not 2015: write 'data.targets=\[2015\]'$"):
        check("data", read, {"targets": 2015})


def test_a_key_that_another_refers_to_must_be_there():
    with pytest.raises(
        InputError, match=r"^optim\.lr: \$\{\.\.\.\} stands for the value of another key, .*'nowhere' not found"
    ):
        composed("optim.lr=${nowhere}")


@pytest.mark.parametrize("text", ["7", "1.5", "true", "just words"])
def test_a_stored_config_without_keys_is_refused(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(InputError, match="is not the config of a run"):
        ours.load(tmp_path / "config.yaml")
