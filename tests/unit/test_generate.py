"""A language model's run folder writes: in Python, on the command line, and in turns with a person."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from seqlab.cli import app
from seqlab.compose import composed
from seqlab.decode import Sampling
from seqlab.errors import InputError
from seqlab.run import Run
from seqlab.train import train


def trained(home: Path, name: str, *overrides: str) -> Path:
    config = composed(
        "data.batch_size=8", "model.hidden_size=24", "trainer.device=cpu", "trainer.max_epochs=null",
        "trainer.max_steps=20", "floor=false", f"run_dir={home / name}", *overrides,
    )  # fmt: skip
    train(config)
    return home / name


def trained_to_write(home: Path, name: str, *overrides: str) -> Path:
    small = ("data.length=16", "data.eval_length=32", "task.samples=null")
    return trained(home, name, "data=text", f"data.path={home / 'text.txt'}", *small, *overrides)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("home")
    chance = random.Random(0)
    words = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog"]
    lines = (" ".join(chance.choices(words, k=6)).capitalize() + "." for _ in range(150))
    (home / "text.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return home


@pytest.fixture(scope="module")
def folder(home) -> Path:
    return trained_to_write(home, "characters")


@pytest.fixture(scope="module")
def run(folder) -> Run:
    return Run(folder, device="cpu")


@pytest.fixture
def invoke(home, monkeypatch):
    monkeypatch.chdir(home)
    runner = CliRunner()
    return lambda *words, input=None: runner.invoke(app, ["generate", *map(str, words)], input=input)


# ---- in Python


def test_a_seed_writes_the_same_text_and_another_seed_another(run):
    first = run.generate("The quick br", 60, seed=1)
    assert len(first) == 60
    assert run.generate("The quick br", 60, seed=1) == first
    assert run.generate("The quick br", 60, seed=2) != first


def test_the_text_is_that_of_the_whole_model_asked_again_for_each_token(run):
    text = "The quick br"
    for _ in range(20):
        ids = torch.from_numpy(run.pipeline.encode([text])[0].astype("int64")).unsqueeze(0)
        with torch.no_grad():
            logits = run.model(ids, torch.tensor([ids.shape[1]])).logits[0, -1]
        logits[[run.pipeline.unk_id, run.pipeline.pad_id]] = -torch.inf
        text += run.pipeline.tokens[int(logits.argmax())]
    assert run.generate("The quick br", 20, greedy=True) == text[12:]


def test_pieces_join_to_the_text_and_the_next_call_goes_on(run):
    writer = run.writer(Sampling(top_k=5), seed=4)
    first = list(writer.write("The", 30))
    assert len(first) == 30
    rest = "".join(writer.write("", 10))
    assert "".join(first) + rest == run.generate("The", 40, top_k=5, seed=4)


def test_a_text_ends_right_before_the_stop(run):
    whole = run.generate("The", 100)
    stop = whole[40:43]
    assert run.generate("The", 100, stop=stop) == whole[: whole.index(stop)]


def test_what_the_model_never_saw_is_read_as_unknown_with_a_warning(run):
    with pytest.warns(UserWarning, match="never seen 'é', '☃', which it reads as <unk>"):
        text = run.generate("The é☃é", 10)
    assert len(text) == 10


def test_it_needs_nothing_but_the_folder(home, folder, run):
    kept = (home / "text.txt").rename(home / "away.txt")
    try:
        assert Run(folder, device="cpu").generate("The", 20) == run.generate("The", 20)
    finally:
        kept.rename(home / "text.txt")


@pytest.mark.parametrize("tokenizer", ["bpe", "basic_english"])
def test_subwords_and_words_are_written_too(home, tokenizer):
    small = ["data.tokenizer.vocab_size=300"] if tokenizer == "bpe" else []
    run = Run(trained_to_write(home, tokenizer, f"data/tokenizer={tokenizer}", *small), device="cpu")
    writer = run.writer(seed=2)
    pieces = list(writer.write("the quick", 30))
    assert 1 < len(pieces) <= 30
    assert "".join(pieces) == run.generate("the quick", 30, seed=2)
    if tokenizer == "basic_english":
        assert pieces[0].strip() in run.pipeline.tokens


def test_the_default_part_is_the_last_one_that_the_data_has(home, run):
    assert run.last_split == "val"
    assert run.evaluate() == run.evaluate("val") == json.loads((run.path / "summary.json").read_text())["val"]
    with pytest.raises(InputError, match="data=text has no part 'test': measure on val"):
        run.evaluate("test")
    tested = Run(trained_to_write(home, "tested", "data.test_fraction=0.1"), device="cpu")
    assert tested.evaluate() == tested.evaluate("test") != tested.evaluate("val")


# ---- on the command line


def test_the_prompt_and_what_follows_are_printed(invoke, folder, run):
    answer = invoke(folder, "--prompt", "The quick br", "--length", 50, "--temperature", 0.8, "--top-p", 0.9)
    assert answer.exit_code == 0, answer.output
    assert answer.stdout == "The quick br" + run.generate("The quick br", 50, temperature=0.8, top_p=0.9) + "\n"


def test_a_stream_says_the_same(invoke, folder):
    words = (folder, "--prompt", "The", "--length", 30, "--seed", 7)
    assert invoke(*words, "--stream").stdout == invoke(*words, "--no-stream").stdout == invoke(*words).stdout


def test_the_prompt_may_come_from_standard_input(invoke, folder):
    piped = invoke(folder, "--prompt", "-", "--length", 20, "--greedy", input="The lazy\ndog ")
    assert piped.stdout == invoke(folder, "--prompt", "The lazy\ndog ", "--length", 20, "--greedy").stdout


def test_several_samples_have_several_seeds(invoke, folder, run):
    answer = invoke(folder, "--prompt", "The", "--length", 20, "--samples", 3, "--seed", 5, "--json")
    rows = [json.loads(line) for line in answer.stdout.splitlines()]
    assert rows == [{"prompt": "The", "text": run.generate("The", 20, seed=seed), "seed": seed} for seed in (5, 6, 7)]
    shown = invoke(folder, "--prompt", "The", "--length", 20, "--samples", 3, "--seed", 5).stdout
    assert shown == "".join(f"--- seed {row['seed']}\nThe{row['text']}\n" for row in rows)


def test_unknown_characters_are_named_once_on_standard_error(invoke, folder):
    answer = invoke(folder, "--prompt", "é é", "--length", 5, "--samples", 2)
    assert answer.stderr == "warning: The model has never seen 'é', which it reads as <unk>.\n"


def test_turns_go_on_with_one_text(invoke, folder, run):
    writer = run.writer(Sampling(), 3)
    expected = ["".join(writer.write(text, 15)) + "\n" for text in ("The", "", " fox", "dog\n")]
    typed = "The\n\n fox\ndog\\\n"
    answer = invoke(folder, "-i", "--length", 15, "--seed", 3, input=typed)
    assert answer.exit_code == 0, answer.output
    assert answer.stdout == "".join(expected)
    begun = invoke(folder, "-i", "--prompt", "The", "--length", 15, "--seed", 3, input=typed.removeprefix("The\n"))
    assert begun.stdout == answer.stdout


def test_turns_can_forget_explain_and_end(invoke, folder):
    typed = "The\n:reset\nThe\n:forget\n:help\n:quit\nThe\n"
    answer = invoke(folder, "--interactive", "--length", 9, "--greedy", input=typed)
    first, second, *rest = answer.stdout.removesuffix("\n").split("\n")
    assert first == second
    assert ":quit" in "".join(rest)
    assert len(rest) == 2
    assert answer.stderr == "error: there is no :forget; :help lists the commands\n"


def test_a_slip_in_a_turn_is_one_sentence_and_not_the_end(invoke, folder):
    answer = invoke(folder, "-i", "--length", 9, input="\nThe\n")
    assert answer.exit_code == 0
    assert answer.stderr == "error: The prompt has no token to go on from: give it some text.\n"
    assert len(answer.stdout) == 10


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "There is no prompt"),
        (["--prompt", ""], "no token to go on from"),
        (["--prompt", "The", "--length", "0"], "length=0 writes nothing"),
        (["--prompt", "The", "--temperature", "0"], "temperature=0.0 must be above 0"),
        (["--prompt", "The", "--greedy", "--top-k", "3"], "greedy takes the most probable token"),
        (["--prompt", "The", "--top-p", "1.1"], "top_p=1.1"),
        (["--prompt", "The", "--seed", "-1"], "seed=-1"),
        (["--prompt", "The", "--stop", ""], "stop is empty"),
        (["--prompt", "The", "--samples", "0"], "--samples 0: give 1 or more"),
        (["--prompt", "The", "--json", "--stream"], "--json gives whole texts"),
        (["--prompt", "-", "-i"], "remove --samples and --prompt -"),
    ],
)
def test_a_wrong_option_is_one_sentence(invoke, folder, words, sentence):
    answer = invoke(folder, *words)
    assert isinstance(answer.exception, InputError)
    assert sentence in str(answer.exception)
    assert answer.stdout == ""


def test_a_run_that_writes_no_text_says_so_and_one_that_labels_none_too(home, folder):
    rows = [f"good {row},yes\nbad {row},no" for row in range(20)]
    (home / "texts.csv").write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    run = Run(trained(home, "labels", "data=csv", f"data.path={home / 'texts.csv'}"), device="cpu")
    with pytest.raises(InputError, match="was trained on data=csv and writes no text"):
        run.generate("good", 5)
    with pytest.raises(InputError, match="no texts to label"):
        Run(folder, device="cpu").predict(["good"])


def test_a_mistake_is_status_2_and_a_text_is_shown_in_any_encoding(folder):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", "from seqlab.cli import main; main()", "generate", str(folder)]
    wrong = subprocess.run([*command, "--prompt", ""], env=environment, capture_output=True, text=True, timeout=300)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "error: The prompt has no token to go on from: give it some text.\n"
    right = subprocess.run(
        [*command, "--prompt", "é", "--length", "5"], env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert right.returncode == 0, right.stderr
    assert right.stdout.startswith("?")
