import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.errors import InputError
from seqlab.tasks.translation_scores import LENGTHS, TranslationScores, check_tokenize, score

WORDS = ("A", "a", "man", "dog", "runs", "across", "the", "Street", ".", ",", "über", "собака", "3.5", "it's")
sentences = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
rows = st.tuples(sentences, sentences, st.integers(0, 130))


def filled(found):
    scores = TranslationScores()
    scores.add(["source"] * len(found), *zip(*found, strict=True))
    return scores


@settings(max_examples=40, deadline=None)
@given(st.lists(rows, min_size=1, max_size=12), st.integers(0, 11))
def test_scores_are_sacrebleu_s_own_however_they_come(found, cut):
    import sacrebleu

    whole, parts = filled(found), TranslationScores()
    for part in (found[:cut], found[cut:]):
        parts.add(["source"] * len(part), *(list(column) for column in zip(*part, strict=True)) if part else ([],) * 3)
    said, references = [row[0] for row in found], [row[1] for row in found]
    expected = {
        "bleu": sacrebleu.corpus_bleu(said, [references], force=True).score,
        "bleu_lower": sacrebleu.corpus_bleu(said, [references], lowercase=True, force=True).score,
        "chrf": sacrebleu.corpus_chrf(said, [references]).score,
        "exact": sum(s == r for s, r in zip(said, references, strict=True)) / len(found),
    }
    assert whole.compute() == parts.compute() == expected
    assert parts.sources == ["source"] * len(found)


@settings(max_examples=40, deadline=None)
@given(st.lists(rows, min_size=1, max_size=12))
def test_each_bucket_is_scored_as_if_there_were_no_other(found):
    by_length = filled(found).by_length
    assert sum(row.sentences for row in by_length) == len(found)
    lower = 0
    for row in by_length:
        first, _, last = row.bucket.rstrip("+").partition("-")
        assert int(first) >= lower
        lower = int(last or 10**9) + 1
        inside = [one for one in found if int(first) <= one[2] < lower]
        assert len(inside) == row.sentences
        alone = filled(inside).compute()
        assert (row.bleu_lower, row.chrf, row.exact) == (alone["bleu_lower"], alone["chrf"], alone["exact"])


def test_buckets_say_where_they_end():
    lengths = [0, 1, LENGTHS[0], LENGTHS[0] + 1, LENGTHS[-1], LENGTHS[-1] + 1, 1000]
    by_length = filled([("a b c d", "a b c d", length) for length in lengths]).by_length
    assert [(row.bucket, row.sentences) for row in by_length] == [("0-5", 3), ("6-10", 1), ("76-100", 1), ("101+", 2)]
    assert {round(row.bleu_lower, 6) for row in by_length} == {100}
    assert {row.exact for row in by_length} == {1}


def test_case_counts_in_bleu_chrf_and_exact_but_not_in_bleu_lower():
    said, right = "A MAN walks his dog .", "A man walks his dog."
    scores = filled([(said, right, 6)]).compute()
    assert scores["bleu_lower"] == pytest.approx(100)
    assert scores["bleu"] < 60
    assert scores["chrf"] < 90
    assert scores["exact"] == 0
    assert filled([(right, right, 6)]).compute() == pytest.approx(
        {"bleu": 100, "bleu_lower": 100, "chrf": 100, "exact": 1}
    )


def test_nothing_said_scores_nothing():
    assert set(filled([("", "a man walks", 3), ("", "a dog", 2)]).compute().values()) == {0}
    assert filled([("", "", 1)]).compute()["exact"] == 1
    # An empty answer among others only costs brevity.
    said = ["a man walks his small dog", ""]
    assert 0 < score("bleu", said, ["a man walks his small dog", "two people sit"]) < 100


def test_bleu_by_hand():
    # 5 words said, 6 wanted; of the n-grams said, 5 of 5, 3 of 4, 2 of 3 and 1 of 2 are in the reference.
    said, right = "the cat sat on mat", "the cat sat on the mat"
    precisions = (5 / 5) * (3 / 4) * (2 / 3) * (1 / 2)
    assert score("bleu", [said], [right]) == pytest.approx(100 * 2.718281828459045 ** (1 - 6 / 5) * precisions**0.25)


def test_signatures_name_case_tokens_and_version_before_anything_is_scored():
    import sacrebleu

    signatures = TranslationScores().signatures
    assert set(signatures) == {"bleu", "bleu_lower", "chrf"}
    assert "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp" in signatures["bleu"]
    assert "nrefs:1|case:lc|eff:no|tok:13a|smooth:exp" in signatures["bleu_lower"]
    assert "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no" in signatures["chrf"]
    assert all(signature.endswith(f"version:{sacrebleu.__version__}") for signature in signatures.values())


def test_a_corpus_written_as_tokens_is_scored_without_advice(caplog):
    said = [f"{random.Random(i).choice(WORDS)} runs ." for i in range(150)]
    filled([(line, line, 3) for line in said]).compute()
    assert not caplog.records


@pytest.mark.parametrize("tokenize", ["13a", "zh", "char", "intl"])
def test_bleu_splits_sentences_as_it_is_asked_to_and_its_signature_says_how(tokenize):
    from sacrebleu.metrics import BLEU

    said, right = ["我有两本书。", "他今天来了,不好."], ["我有三本新书。", "他今天没来,不好."]
    scores = TranslationScores(tokenize)
    scores.add(["a", "b"], said, right, [1, 1])
    expected = BLEU(tokenize=tokenize, force=True).corpus_score(said, [right]).score
    assert scores.compute()["bleu"] == pytest.approx(expected)
    assert f"|tok:{tokenize}|" in scores.signatures["bleu"]


def test_a_tokenizer_that_is_not_installed_is_one_sentence(monkeypatch):
    monkeypatch.setattr("seqlab.tasks.translation_scores.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"ja-mecab needs MeCab: pip install 'sacrebleu\[ja\]'"):
        check_tokenize("ja-mecab")
    check_tokenize("zh")
