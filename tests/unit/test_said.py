"""What is said of texts before a training, and what older configs come to."""

from __future__ import annotations

import pytest

from seqlab.build import build_data, check_config
from seqlab.build.said import cut
from seqlab.compose import composed
from seqlab.errors import InputError


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def make(rows, *words):
        (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
        return composed("data=csv", "data.path=a.csv", *words)

    return make


LONG = [(f"w{row} " + "word " * (row % 12), "yes" if row % 2 else "no") for row in range(100)]


def test_texts_that_are_cut_are_counted(config, caplog):
    made = config(LONG, "data.max_length=10")
    caplog.set_level("INFO")
    data = build_data(made)
    assert "16 of 100 texts are longer than data.max_length=10 tokens: only their last 10 tokens" in caplog.text
    sentences = list(cut({**made["data"], "truncate": "head", "max_length": 9, "eval_max_length": 5}, data))
    assert len(sentences) == 2
    assert "training texts are longer than data.max_length=9 tokens: only their first 9 tokens" in sentences[0]
    assert "validation and test texts are longer than data.eval_max_length=5 tokens" in sentences[1]
    assert not list(cut(config(LONG)["data"], data))


def test_a_vocabulary_that_does_not_fit_is_said(config, caplog):
    rows = [(f"电影很好看{row}", "yes") if row % 2 else (f"服务太差了{row}", "no") for row in range(60)]
    build_data(config(rows))
    assert "100 % of the validation tokens and 100 % of the test tokens are unknown: try data/to" in caplog.text
    caplog.clear()
    build_data(config(rows, "data/tokenizer=char"))
    assert "unknown" not in caplog.text


def test_equal_texts_are_held_out_together_but_in_runs_of_earlier_versions(config, caplog):
    """Their configs lack the key, and their data must stay the same."""
    rows = [(f"text{row % 40}", "yes" if row % 2 else "no") for row in range(400)]
    made = config(rows)
    caplog.set_level("INFO")

    def crossing(found):
        data = build_data(found)
        train, val = (
            {tuple(part.tokens[row]) for row in range(len(part))} - {(data.pipeline.unk_id,)}
            for part in (data.train, data.val)
        )
        return len(train & val)

    assert crossing(made) == 0
    assert "are in the training part too" not in caplog.text
    old = {**made, "data": {key: value for key, value in made["data"].items() if key != "group_texts"}}
    assert crossing(old) > 0
    assert "different texts of the validation part are in the training part too" in caplog.text


def test_what_crosses_given_files_is_said_at_every_start(config, tmp_path, caplog):
    (tmp_path / "test.csv").write_text("text,label\nw1 word,no\nnew,yes\nw2 word word,no\n")
    made = config(LONG, "data.test_path=test.csv")
    for _ in range(2):
        caplog.clear()
        with caplog.at_level("INFO"):
            build_data(made)
        assert "2 different texts of the test part are in the training part too" not in caplog.text
    (tmp_path / "test.csv").write_text("text,label\n" + "\n".join(f"{text},{label}" for text, label in LONG[:3]))
    for _ in range(2):
        caplog.clear()
        with caplog.at_level("INFO"):
            build_data(made)
        assert "of the test part" in caplog.text


@pytest.mark.parametrize("tokenizer", ["char", "bpe"])
def test_a_word_at_line_ends_needs_a_tokenizer_of_words(tokenizer):
    words = ["data=text", "data.path=a.txt", "data.line_end='<eos>'"]
    with pytest.raises(InputError, match=r"data\.line_end=<eos> is for tokenizers of words: set data/tokenizer=whites"):
        check_config(composed(*words, f"data/tokenizer={tokenizer}"))
    check_config(composed(*words, "data/tokenizer=whitespace"))


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("data.group_texts=3", "data.group_texts must be true or false"),
        ("data.missing=zero", "data.missing must be refuse or drop"),
        ("data.header=false", "data.header=false: columns are named by their numbers"),
        ("data.delimiter=ab", "data.delimiter must be one character"),
    ],
)
def test_options_of_reading_are_checked(config, word, says):
    made = config(LONG, word)
    with pytest.raises(InputError, match=says):
        check_config(made) or build_data(made)
