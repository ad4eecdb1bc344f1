"""Embedding tables: padding stays zero, one-hot, pre-trained vectors and their errors."""

import gzip
import logging

import pytest
import torch

from seqlab.models.embedding import Embedding
from seqlab.types import InputError

TOKENS = ["<unk>", "<pad>", "good", "bad"]


def test_padding_is_zero_and_stays_zero():
    embedding = Embedding(6, 4, pad_id=1)
    optimizer = torch.optim.AdamW(embedding.parameters(), lr=0.1)
    ids = torch.tensor([[0, 1, 5, 1]])
    for _ in range(3):
        (embedding(ids) - 1).square().sum().backward()
        optimizer.step()
    assert not embedding(ids)[0, [1, 3]].any()
    assert embedding(ids)[0, 0].all()


def test_random_vectors_have_the_given_spread():
    torch.manual_seed(0)
    assert Embedding(2000, 50, pad_id=0, std=0.3).weight.std().item() == pytest.approx(0.3, rel=0.02)
    assert Embedding(20, pad_id=0).output_size == 128


def test_frozen_table_takes_no_gradient():
    assert not Embedding(6, 4, pad_id=1, trainable=False)(torch.tensor([[0, 1]])).requires_grad


def test_onehot_has_no_parameters_and_padding_is_zero():
    embedding = Embedding(4, pad_id=1, kind="onehot")
    assert list(embedding.parameters()) == []
    assert embedding.output_size == 4
    embedded = embedding(torch.tensor([[3, 0], [2, 1]]))
    assert embedded.tolist() == [[[0, 0, 0, 1], [1, 0, 0, 0]], [[0, 0, 1, 0], [0, 0, 0, 0]]]
    assert embedded.dtype == torch.float32


@pytest.mark.parametrize("kind", ["random", "onehot"])
def test_word_dropout_hides_whole_tokens_in_training_alone(kind):
    torch.manual_seed(0)
    embedding = Embedding(9, pad_id=1, kind=kind, word_dropout=0.5)
    ids = torch.full((10, 40), 5)
    embedded = embedding(ids)
    shown = embedded.ne(0).any(2)
    whole = embedding.eval()(ids)
    assert 0.4 < shown.float().mean().item() < 0.6
    assert torch.equal(embedded[shown], whole[shown])  # the others are not rescaled
    assert whole.ne(0).any(2).all()


def test_dropout_hides_single_numbers_in_training_alone():
    torch.manual_seed(0)
    embedding = Embedding(9, 50, pad_id=1, dropout=0.5)
    ids = torch.full((4, 10), 5)
    assert 0.4 < embedding(ids).eq(0).float().mean().item() < 0.6
    assert embedding.eval()(ids).ne(0).all()


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.txt.gz"])
@pytest.mark.parametrize("header", ["", "4 3\n", "\ufeff", "\ufeff4 3\n"])
def test_vectors_replace_known_tokens(tmp_path, caplog, name, header):
    text = header + "good 1 2 3\n. . . 4 5 6\nother 7 8 9 \n<pad> 1 1 1\ngood 0 0 0\n"
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    with caplog.at_level(logging.INFO):
        embedding = Embedding(5, pad_id=1, vectors=path, tokens=[*TOKENS, ". . ."])
    assert embedding.output_size == 3
    assert embedding.weight[[2, 4, 1]].tolist() == [[1, 2, 3], [4, 5, 6], [0, 0, 0]]
    assert embedding.weight[3].all()  # missing, so random
    assert "knows 3 of 5 tokens (60.0 %)" in caplog.text


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("good 1 2\nbad 1\n", {}, "line 2: 1 numbers where the first line has 2"),
        ("good 1 2\nbad 1 2 3\n", {}, "line 2: 3 numbers where the first line has 2"),
        ("good 1 2\n\nbad 1 x\n", {}, "line 3: could not convert"),
        ("good\n", {}, "line 1: no numbers"),
        ("other 1 2\n", {}, "holds none of the 4 tokens"),
        ("", {}, "holds none of the 4 tokens"),
        ("good 1 2\n", {"dim": 3}, "width 2, not dim=3"),
        ("good 1 2\n", {"tokens": None}, "tokens has 0"),
        ("good 1 2\n", {"kind": "onehot"}, "leave dim and vectors out"),
    ],
)
def test_unusable_vectors_are_refused(tmp_path, text, options, message):
    path = tmp_path / "vectors.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        Embedding(4, **{"pad_id": 1, "vectors": path, "tokens": TOKENS} | options)


def test_missing_and_broken_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="there is no file of word vectors at"):
        Embedding(4, pad_id=1, vectors=tmp_path / "none.txt", tokens=TOKENS)
    broken = tmp_path / "vectors.gz"
    broken.write_bytes(gzip.compress(b"good 1 2\n" * 100)[:-10])
    with pytest.raises(InputError, match="cannot be read"):
        Embedding(4, pad_id=1, vectors=broken, tokens=TOKENS)


def test_contradicting_sizes_are_refused():
    with pytest.raises(InputError, match="as wide as the vocabulary"):
        Embedding(4, 3, pad_id=1, kind="onehot")
    with pytest.raises(InputError, match="did you mean 'onehot'"):
        Embedding(4, 3, pad_id=1, kind="one-hot")
