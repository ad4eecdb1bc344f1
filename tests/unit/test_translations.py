"""Sentences into another language: in their order, alone as in company, with where the model looked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqlab import translations
from seqlab.models import (
    AttentionDecoder,
    Bridge,
    Embedding,
    Seq2Seq,
    TokenHead,
    TransformerTranslator,
)
from seqlab.nn import Recurrent, TransformerEncoder
from seqlab.search import Search
from seqlab.text.pairs import PairPipeline
from seqlab.text.pipeline import WordPipeline
from seqlab.translations import translate
from seqlab.types import DataSpec

SOURCES = ["ab ba", "abcd", "d", "cab a dab", "bad cab dad abba", "aa bb cc dd", "dcba", "b b b"]
TARGETS = ["one two", "three", "two", "four one three", "five", "one one", "two five", "four"]


@pytest.fixture(scope="module")
def pipeline() -> PairPipeline:
    pipeline = PairPipeline(WordPipeline("char", None), WordPipeline("char", None))
    pipeline.fit_encode(SOURCES, TARGETS)
    return pipeline


@pytest.fixture(scope="module")
def spec(pipeline) -> DataSpec:
    return DataSpec(
        "translation", len(pipeline.target_tokens), (), len(pipeline.tokens), pad_id=1,
        start_id=pipeline.start_id, eos_id=pipeline.eos_id,
    )  # fmt: skip


def made(kind: str, spec: DataSpec) -> torch.nn.Module:
    """A model that was never taught, but has opinions: its weights are large."""
    torch.manual_seed(2)
    source, target = (Embedding(size, 8, pad_id=1) for size in (spec.vocab_size, spec.num_outputs))
    if kind == "transformer":
        encoder = TransformerEncoder(8, 8, 1, 2)
        model = TransformerTranslator(source, encoder, target, TokenHead(8, spec.num_outputs), 1, 2)
    else:
        reader = Recurrent(8, "gru", 6, bidirectional=True)
        feeds = kind != "none"
        decoder = AttentionDecoder(8, reader.output_size, "gru", 8, attention=kind, input_feeding=feeds)
        bridge = Bridge(reader, decoder.recurrent)
        model = Seq2Seq(source, reader, bridge, target, decoder, TokenHead(8, spec.num_outputs))
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 3
    return model.eval()


@pytest.fixture(scope="module", params=["general", "none", "transformer"])
def model(request, spec) -> torch.nn.Module:
    return made(request.param, spec)


@pytest.fixture
def looking(spec) -> torch.nn.Module:
    return made("general", spec)


WAYS = [Search(), Search(beam=3, nbest=3), Search(sampling=True, nbest=2, seed=4)]
every_way = pytest.mark.parametrize("options", WAYS, ids=["greedy", "beam", "sampling"])


def told(found):
    return [[(one.text, one.finished) for one in each] for each in found]


@every_way
def test_each_sentence_gets_its_own_in_order(model, pipeline, spec, options):
    found = translate(model, pipeline, spec, SOURCES, options)
    assert [[one.source for one in each] for each in found] == [[text] * options.nbest for text in SOURCES]
    assert len({each[0].text for each in found}) > 1
    backwards = translate(model, pipeline, spec, SOURCES[::-1], options)
    assert told(backwards[::-1]) == told(found)


@every_way
def test_alone_is_as_in_any_company(model, pipeline, spec, options, monkeypatch):
    together = translate(model, pipeline, spec, SOURCES, options)
    alone = [translate(model, pipeline, spec, [text], options)[0] for text in SOURCES]
    monkeypatch.setattr(translations, "ROWS", 3)
    by_threes = translate(model, pipeline, spec, SOURCES, options)
    for others in (alone, by_threes):
        assert told(others) == told(together)
        for each, other in zip(together, others, strict=True):
            assert [one.score for one in other] == pytest.approx([one.score for one in each], rel=1e-5, abs=1e-5)


def test_the_same_sentence_twice_is_translated_alike(model, pipeline, spec):
    found = translate(model, pipeline, spec, ["abcd", "d", "abcd"], Search(sampling=True, nbest=2))
    assert told(found)[0] == told(found)[2]


def test_the_best_stand_first_and_differ(model, pipeline, spec):
    found = translate(model, pipeline, spec, SOURCES, Search(beam=4, nbest=4))
    for each in found:
        assert len(each) == 4
        ranked = [(one.finished, one.score) for one in each]
        assert ranked == sorted(ranked, reverse=True)
        assert len({(one.words, one.finished) for one in each}) == 4
    best = translate(model, pipeline, spec, SOURCES, Search(beam=4))
    assert [one[0].text for one in best] == [each[0].text for each in found]


@every_way
def test_of_nothing_comes_nothing(model, pipeline, spec, options):
    texts = ["", "abcd", "  \t ", "d"]
    found = translate(model, pipeline, spec, texts, options, attention=True)
    assert [one[0].source for one in found] == texts
    for empty in (found[0], found[2]):
        (one,) = empty
        assert (one.text, one.words, one.source_words, one.attention, one.finished) == ("", (), (), None, True)
    others = translate(model, pipeline, spec, ["abcd", "d"], options)
    assert told([found[1], found[3]]) == told(others)


def test_no_sentence_at_all_is_no_translation(model, pipeline, spec):
    assert translate(model, pipeline, spec, [], Search()) == []
    assert [one[0].text for one in translate(model, pipeline, spec, ["", ""], Search())] == ["", ""]


@every_way
def test_where_it_looked_is_told_word_by_word(looking, pipeline, spec, options):
    for each in translate(looking, pipeline, spec, SOURCES, options, attention=True):
        for one in each:
            assert len(one.source_words) == len(one.source) + 1
            assert one.source_words[-1] == "<EOS>"
            assert (one.words[-1:] == ("<EOS>",)) == one.finished
            said = one.words[:-1] if one.finished else one.words
            assert "".join(said).replace("▁", " ") == one.text
            assert one.attention.shape == (len(one.words), len(one.source_words))
            np.testing.assert_allclose(one.attention.sum(axis=1), 1, rtol=1e-5)
    assert translate(looking, pipeline, spec, ["abcd"], options)[0][0].attention is None


def test_a_model_that_looks_at_nothing_tells_nothing(pipeline, spec):
    (found,) = translate(made("none", spec), pipeline, spec, ["abcd"], Search(), attention=True)
    assert found[0].attention is None


def test_a_transformer_tells_where_it_looked_too(pipeline, spec):
    for each in translate(made("transformer", spec), pipeline, spec, SOURCES, Search(beam=2), attention=True):
        assert each[0].attention.shape == (len(each[0].words), len(each[0].source_words))
        np.testing.assert_allclose(each[0].attention.sum(axis=1), 1, rtol=1e-5)


def test_what_does_not_end_is_cut_off_and_says_so(looking, pipeline, spec):
    with torch.no_grad():
        looking.head.output.bias[spec.eos_id] = -1e9
    for each in translate(looking, pipeline, spec, SOURCES, Search(max_ratio=1.0, max_extra=2), attention=True):
        assert not each[0].finished
        assert len(each[0].words) == len(each[0].source_words) + 2
        assert each[0].attention.shape[0] == len(each[0].words)


def test_unknown_letters_are_read_and_never_written(model, pipeline, spec):
    found = translate(model, pipeline, spec, ["xyz", "a?c", "日本"], Search(beam=3, nbest=3))
    for each in found:
        for one in each:
            assert "<unk>" not in one.words
            assert "<pad>" not in one.words
            assert "<START>" not in one.words
