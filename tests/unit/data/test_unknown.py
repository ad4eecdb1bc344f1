import numpy as np

from seqlab.data.unknown import much_unknown, much_unknown_texts
from seqlab.text import BPEPipeline, WordPipeline


def fitted(*texts, **options):
    pipeline = WordPipeline(**options)
    pipeline.fit(texts)
    return pipeline


def test_a_large_share_of_unknown_tokens_is_said_by_part():
    pipeline = fitted("the cat sat")
    parts = {"validation": np.array([2, 3, 4, 0]), "test": np.array([2, 3, 4, 2, 3, 0]), "none": np.array([], int)}
    assert much_unknown("mine", parts, pipeline) == (
        "mine: 25 % of the validation tokens are unknown: try data/tokenizer=bpe or char"
    )
    assert much_unknown("mine", {"test": np.array([2] * 8 + [0, 0])}, pipeline) == ""


def test_a_script_without_spaces_is_recognised():
    pipeline = fitted("电影很好看", "服务太差了", "よかった")
    said = much_unknown("mine", {"test": pipeline.encode(["电影不好看"]).values}, pipeline)
    assert said.startswith("mine: 100 % of the test tokens are unknown: try data/tokenizer=char, for")
    assert "tokenizer" not in much_unknown("mine", {"test": np.array([0])}, fitted("电影", tokenizer="char"))


def test_texts_to_predict_are_named():
    pipeline = fitted("the cat sat on the mat")
    assert much_unknown_texts(["the cat", "a dog sat", "", "le chien"], pipeline) == (
        "67 % of the tokens of text 2 are unknown to the model, and more than 20 % of 1 other text: train with "
        "data/tokenizer=bpe or char"
    )
    assert much_unknown_texts(["the cat sat on a mat"], pipeline) == ""
    assert much_unknown_texts(["das"], pipeline).startswith("100 % of the tokens of the text are")
    bpe = BPEPipeline(300)
    bpe.fit(["the cat"])
    assert much_unknown_texts(["das Boot"], bpe) == ""
