"""Texts in TensorBoard while a language model, or a translator, learns."""

from __future__ import annotations

import math
from html import unescape

import pytest
import torch

from seqlab.models import AttentionDecoder, Bridge, Embedding, LanguageModel, Seq2Seq, TokenHead
from seqlab.nn import Recurrent
from seqlab.samples import Samples, SampleTranslations
from seqlab.search import Search
from seqlab.text import WordPipeline
from seqlab.text.pairs import PairPipeline
from seqlab.translations import translate
from seqlab.types import DataSpec

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


# Translations -------------------------------------------------------------------------------------------------------

SOURCES = ["the quick brown fox", "jumps | over", "the *lazy* dog", ""]
REFERENCES = ["der Fuchs", "springt", "über den | Hund", "nichts"]


@pytest.fixture
def pairs() -> PairPipeline:
    pairs = PairPipeline(WordPipeline("char", None), WordPipeline("char", None))
    pairs.fit_encode(SOURCES, REFERENCES)
    return pairs


@pytest.fixture
def spec(pairs) -> DataSpec:
    return DataSpec("translation", len(pairs.target_tokens), (), len(pairs.tokens), pad_id=1,
                    start_id=pairs.start_id, eos_id=pairs.eos_id)  # fmt: skip


@pytest.fixture
def translator(spec) -> Seq2Seq:
    torch.manual_seed(0)
    source, target = (Embedding(size, 8, pad_id=1, dropout=0.5) for size in (spec.vocab_size, spec.num_outputs))
    reader = Recurrent(8, "gru", 8, bidirectional=True)
    decoder = AttentionDecoder(8, 16, "gru", 8)
    head = TokenHead(8, spec.num_outputs, dropout=0.5)
    return Seq2Seq(source, reader, Bridge(reader, decoder.recurrent), target, decoder, head)


def shown(shelf, pairs, spec, **options) -> SampleTranslations:
    return SampleTranslations(shelf, pairs, spec, Search(**options), SOURCES, REFERENCES)


def test_translations_are_shown_at_round_steps_beside_what_is_right(translator, pairs, spec):
    shelf = Shelf()
    samples = shown(shelf, pairs, spec)
    written = [step for step in range(1, 1001) if samples(translator, step)]
    assert written == [100, 200, 500, 1000]
    assert [(tag, step) for tag, _, step in shelf.texts] == [("samples", step) for step in written]
    said = [each[0].text for each in translate(translator.eval(), pairs, spec, SOURCES, Search())]
    assert said[3] == ""
    for _, table, _ in shelf.texts:
        rows = table.splitlines()
        assert len(rows) == 2 + len(SOURCES)
        assert all(row.count("|") == rows[0].count("|") for row in rows)
        for row, texts in zip(rows[2:], zip(SOURCES, REFERENCES, said, strict=True), strict=True):
            assert all(text in unescape(row) for text in texts)
        assert "*lazy*" not in table


def test_translating_changes_neither_the_model_nor_the_chance_of_the_training(translator, pairs, spec):
    translator.train()
    weights, state = [p.clone() for p in translator.parameters()], torch.get_rng_state()
    found = [shown(Shelf(), pairs, spec).write(translator, 100) for _ in range(2)]
    assert found[0] == found[1]
    assert len(found[0]) == len(SOURCES)
    assert translator.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(old, new) for old, new in zip(weights, translator.parameters(), strict=True))
    assert all(p.grad is None for p in translator.parameters())


def test_a_translator_that_diverged_ends_no_training_by_its_sample(translator, pairs, spec, caplog):
    with torch.no_grad():
        translator.head.output.bias[3] = math.nan
    shelf = Shelf()
    translator.train()
    assert shown(shelf, pairs, spec)(translator, 100)
    assert (shelf.texts, translator.training) == ([], True)
    assert "No sample at step 100" in caplog.text
