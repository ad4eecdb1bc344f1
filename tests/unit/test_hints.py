"""Slips of a command line are answered with the word to write, before torch is loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

from seqlab import compose, hints
from seqlab.errors import InputError


def understood(*arguments: str) -> list[str]:
    return hints.understood(arguments, compose.CONFIGS)


@pytest.mark.parametrize(
    ("argument", "written"),
    [
        ("lr=0.01", "write optim.lr=0.01"),
        ("learning_rate=1e-3", "write optim.lr=1e-3"),
        ("model.lr=0.01", "write optim.lr=0.01"),
        ("optimizer=adam", "write optim=adam"),
        ("epochs=3", "write trainer.max_epochs=3"),
        ("trainer.epochs=3", "write trainer.max_epochs=3"),
        ("batch_size=32", "write data.batch_size=32"),
        ("hidden_size=64", "write model.hidden_size=64"),
        ("device=cpu", "write trainer.device=cpu"),
        ("gpu=1", "write trainer.device=cuda"),
        ("data.tokenizer=char", "write data/tokenizer=char"),
        ("path=a b.csv", "write \"data.path='a b.csv'\""),
    ],
)
def test_names_of_other_programs_lead_to_the_right_key(argument, written):
    with pytest.raises(InputError) as raised:
        understood(argument)
    assert str(raised.value).endswith(written)


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        (["--model", "lstm"], "--model: options are written without dashes: write model=lstm"),
        (["model=gru", "--lr", "0.01"], "--lr: options are written without dashes: write optim.lr=0.01"),
        (["--max-epochs=3"], "--max-epochs: options are written without dashes: write trainer.max_epochs=3"),
        (["--bidirectional", "data=csv"], "write model.bidirectional=true"),
    ],
)
def test_flags_of_other_programs_are_written_as_options(arguments, written):
    with pytest.raises(InputError) as raised:
        understood(*arguments)
    assert written in str(raised.value)


def test_flags_may_follow_options_and_names_may_be_in_capitals():
    assert understood("model=LSTM", "--cfg", "job", "data=IMDB", "-m", "data/tokenizer=Char") == [
        "--cfg", "job", "-m", "model=lstm", "data=imdb", "data/tokenizer=char",
    ]  # fmt: skip
    assert understood("model=LSTM,GRU", "experiment=imdb-best") == ["model=lstm,gru", "experiment=imdb_best"]
    assert understood("data=Reviews2") == ["data=Reviews2"]


def test_words_of_resume_may_be_in_capitals_and_folders_keep_theirs():
    assert understood("resume=LATEST", "seed=0") == ["resume=latest", "seed=0"]
    assert understood("resume=Auto", "resume=Runs/Latest") == ["resume=auto", "resume=Runs/Latest"]


def test_no_synonym_is_a_key_of_its_own():
    groups = [f"data={path.stem}" for path in (compose.CONFIGS / "data").glob("*.yaml")]
    groups += [f"model={path.stem}" for path in (compose.CONFIGS / "model").glob("*.yaml")]
    groups.append("optim=sgd")
    keys = set(compose.GROUPS)
    for group in groups:
        config = compose.OmegaConf.to_container(compose._compose([group]))
        keys |= {key for key, _ in compose.flatten(config)}
        keys |= set(config)
    keys.remove("model.lr")  # a default of model=transformer for optim.lr, which is the name to write
    for key, synonyms in hints.SYNONYMS.items():
        assert not keys & set(synonyms)
        assert key in keys, f"{key} is no key of any data or model"


def test_what_is_known_at_once_is_said_without_torch(tmp_path):
    """One process for all: each start of Python takes time."""
    program = """
import sys
from seqlab.train import main
for words in (["model=foo"], ["lr=1"], ["data=csv", "data.path=none.csv"], ["--version"], ["resume=none"]):
    sys.argv = ["train.py", *words]
    try:
        main()
    except SystemExit as ended:
        assert ended.code == 2, words
    assert "torch" not in sys.modules, words
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    errors = done.stderr.splitlines()
    assert [error.partition(":")[2][:12].split()[0] for error in errors] == [
        "model=foo:",
        "lr:",
        "data.path=no",
        "none",
    ] or (len(errors) == 4)
    assert done.stdout.startswith("seqlab ")


def check(*words: str) -> None:
    hints.check_files(compose.composed(*words))


def test_a_file_that_is_not_there_is_refused_with_its_neighbour(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tickets.csv").write_text("text,label\n")
    with pytest.raises(InputError, match=r"^data.path=\S+ticket.csv does not exist; did you mean \S+tickets.csv\?$"):
        check("data=csv", "data.path=ticket.csv")
    with pytest.raises(InputError, match=r"^data.val_path=\S+ does not exist: there is no folder \S+/none\.$"):
        check("data=csv", "data.path=tickets.csv", "data.val_path=none/val.csv")
    with pytest.raises(InputError, match=r"^model.embedding.vectors=\S+ does not exist: \S+ holds no such file\.$"):
        check("model.embedding.vectors=glove.txt")
