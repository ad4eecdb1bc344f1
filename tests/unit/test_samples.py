"""Texts in TensorBoard while a language model learns."""

from __future__ import annotations

import math

import pytest
import torch

from seqlab.models import Embedding, LanguageModel, TokenHead
from seqlab.nn import Recurrent
from seqlab.samples import Samples
from seqlab.text import WordPipeline

TEXT = "the quick brown fox\njumps over the lazy dog\n"


class Shelf:
    """A tracker that keeps what it is given."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str, int]] = []

    def text(self, tag: str, markdown: str, step: int = 0) -> None:
        self.texts.append((tag, markdown, step))


@pytest.fixture
def pipeline() -> WordPipeline:
    pipeline = WordPipeline("char", None)
    pipeline.fit([TEXT])
    return pipeline


@pytest.fixture
def model(pipeline) -> LanguageModel:
    torch.manual_seed(0)
    V = len(pipeline.tokens)
    return LanguageModel(
        Embedding(V, 8, pad_id=1, dropout=0.5), Recurrent(8, "lstm", 12), TokenHead(12, V, dropout=0.5)
    )


def test_texts_are_written_at_round_steps_and_shown_as_they_are(model, pipeline):
    shelf = Shelf()
    samples = Samples(shelf, pipeline, prompt="<b>the\n\n  quick", length=30)
    written = [step for step in range(1, 2001) if samples(model, step)]
    assert written == [100, 200, 500, 1000, 2000]
    assert [step for _, _, step in shelf.texts] == written
    for _, markdown, _ in shelf.texts:
        assert markdown.startswith("    <b>the\n    \n      quick")
        assert all(line.startswith("    ") for line in markdown.splitlines())


def test_writing_changes_neither_the_model_nor_the_chance_of_the_training(model, pipeline):
    model.train()
    weights, state = [p.clone() for p in model.parameters()], torch.get_rng_state()
    texts = {Samples(Shelf(), pipeline, length=20).write(model, 100) for _ in range(2)}
    assert len(texts) == 1
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(old, new) for old, new in zip(weights, model.parameters(), strict=True))


def test_a_model_that_diverged_ends_no_training_by_its_sample(model, pipeline, caplog):
    with torch.no_grad():
        model.head.output.bias[3] = math.nan
    shelf = Shelf()
    model.train()
    assert Samples(shelf, pipeline)(model, 100)
    assert (shelf.texts, model.training) == ([], True)
    assert "No sample at step 100" in caplog.text
