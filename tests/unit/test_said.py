"""What is said of texts before a training, and what older configs come to."""

from __future__ import annotations

import numpy as np
import pytest

from seqlab.build import build_baselines, build_data, check_config, make_objective, make_task
from seqlab.compose import composed
from seqlab.data.cut import cut_texts
from seqlab.data.labelled import TextOptions
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
    parts = [data.train, data.val, data.test]
    sentences = list(cut_texts(TextOptions(truncate="head", max_length=9, eval_max_length=5), parts))
    assert len(sentences) == 2
    assert "training texts are longer than data.max_length=9 tokens: only their first 9 tokens" in sentences[0]
    assert "validation and test texts are longer than data.eval_max_length=5 tokens" in sentences[1]
    assert not list(cut_texts(TextOptions(max_length=400), parts))


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
def test_a_word_at_line_ends_needs_a_tokenizer_of_words(tokenizer, tmp_path):
    (tmp_path / "a.txt").write_text("a line\n" * 200)
    words = ["data=text", f"data.path={tmp_path}/a.txt", "data.line_end='<eos>'"]
    with pytest.raises(InputError, match=r"data\.line_end=<eos> is for tokenizers of words: set data/tokenizer=whites"):
        build_data(composed(*words, f"data/tokenizer={tokenizer}"))
    assert build_data(composed(*words, "data/tokenizer=whitespace")).pipeline.tokens[2:] == ["<eos>", "a", "line"]


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


def test_the_floor_is_of_the_part_that_is_asked_for(config, tmp_path):
    """The labels of the test file are turned round, and a cache of one part is not taken for the other."""
    made = config([(f"{'good' if row % 2 else 'bad'} film {row}", "yes" if row % 2 else "no") for row in range(80)])
    turned = [(f"{'good' if row % 2 else 'bad'} film {row}", "no" if row % 2 else "yes") for row in range(80, 120)]
    (tmp_path / "b.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in turned))
    made["data"]["test_path"] = "b.csv"
    data = build_data(made)
    for split, expected in (("val", 1.0), ("test", 0.0), ("val", 1.0)):
        floor = build_baselines(made, data, split).scores
        assert (floor["naive_bayes"], floor["nb_svm"]) == (expected, expected), split


def test_the_floor_reads_characters_where_the_model_does(config):
    """The last letter decides, in words that are all different."""
    rng = np.random.default_rng(0)
    rows = [
        ("".join(rng.choice(list("cdefghij"), 6)) + "ab"[row % 2], "no" if row % 2 else "yes") for row in range(200)
    ]
    floors = {}
    for words in ((), ("data/tokenizer=char",)):
        made = config(rows, *words)
        floors[words] = build_baselines(made, build_data(made), "val").scores["nb_svm"]
    assert floors[()] < 0.8
    assert floors["data/tokenizer=char",] == 1.0


def test_targets_without_spaces_are_said_where_bleu_reads_words(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("SEQLAB_CACHE", str(tmp_path / "cache"))
    rows = [f"word {row}\t我有{row}本书" for row in range(60)]
    (tmp_path / "a.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")

    def said(*words):
        caplog.clear()
        names = ["data=pairs", "model=seq2seq", f"data.path={tmp_path}/a.tsv", "data/tokenizer=char"]
        config = composed(*names, "data.shared=false", *words)
        data = build_data(config)
        make_task(config).check(data, make_objective(config, data.spec, data.pipeline))
        return "the targets hold no spaces" in caplog.text

    assert said()
    assert "set task.bleu_tokenize=zh, ja-mecab or char" in caplog.text
    assert not said("task.bleu_tokenize=zh")
    assert not said("data.decides=chrf")
    assert not said("data.source_column=2", "data.target_column=1")
