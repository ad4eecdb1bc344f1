"""Recorded answers of torchtext 0.18.0, asked of ``seqlab.text``, and of torchtext itself where it can be imported."""

import copy
import importlib
import json
import os
import tempfile
import warnings
from collections import Counter, OrderedDict
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

GOLDEN = json.loads(Path(__file__).with_name("golden_torchtext.json").read_text(encoding="utf-8"))

MODULES = {
    "vocab": ["Vocab", "vocab", "build_vocab_from_iterator"],
    "transforms": [
        *["VocabTransform", "ToTensor", "LabelToIndex", "Truncate"],
        *["AddToken", "PadTransform", "StrToIntTransform", "Sequential"],
    ],
    "functional": ["to_tensor", "truncate", "add_token", "str_to_int"],
    "data.utils": ["get_tokenizer", "ngrams_iterator"],
    "data.metrics": ["bleu_score"],
}


@pytest.fixture(scope="module", params=["seqlab.text", "torchtext"])
def library(request):
    names = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for module, wanted in MODULES.items():
                imported = importlib.import_module(f"{request.param}.{module}")
                names |= {name: getattr(imported, name) for name in wanted}
    except (ImportError, OSError) as error:
        if request.param != "torchtext":
            raise
        pytest.skip(f"torchtext cannot be imported here: {str(error).splitlines()[0]}")
    return SimpleNamespace(**names)


def plain(answer, library):
    """The answer as JSON data, with what JSON would lose (tensors, tuples, vocabularies) spelled out."""
    if isinstance(answer, torch.Tensor):
        return {"tensor": answer.tolist(), "dtype": str(answer.dtype), "shape": list(answer.shape)}
    if isinstance(answer, library.Vocab):
        return {"Vocab": answer.get_itos(), "default": answer.get_default_index()}
    if isinstance(answer, tuple):
        return {"tuple": [plain(element, library) for element in answer]}
    if isinstance(answer, list):
        return [plain(element, library) for element in answer]
    if isinstance(answer, dict):
        return {"dict": sorted([key, plain(value, library)] for key, value in answer.items())}
    if answer is None or isinstance(answer, (str, int, float, bool)):
        return answer
    return {"object": type(answer).__name__}


def same(answer, expected):
    """Equal, but for the last bits of numbers: float32 logarithms and sums differ from processor to processor."""
    if isinstance(expected, float) and isinstance(answer, float):
        return answer == pytest.approx(expected, rel=1e-5)
    if isinstance(expected, list) and isinstance(answer, list):
        return len(answer) == len(expected) and all(map(same, answer, expected))
    if isinstance(expected, dict) and isinstance(answer, dict):
        return answer.keys() == expected.keys() and all(same(answer[key], expected[key]) for key in expected)
    return type(answer) is type(expected) and answer == expected


def names_for_cases(library):
    def small_vocab():
        return library.vocab(OrderedDict([("a", 3), ("b", 2), ("c", 1)]), specials=["<unk>"])

    def small_vocab_with_default():
        vocab = small_vocab()
        vocab.set_default_index(0)
        return vocab

    def do(target, *calls):
        for name, *arguments in calls:
            answer = getattr(target, name)(*arguments)
        return answer

    def label_file(text):
        handle, path = tempfile.mkstemp(dir=names["folder"])
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        return path

    names = {"torch": torch, "copy": copy, "Counter": Counter, "OrderedDict": OrderedDict}
    names |= {"V": small_vocab, "VD": small_vocab_with_default, "do": do, "labelfile": label_file}
    return names | {"names": names} | vars(library), names


@pytest.mark.filterwarnings("ignore")
def test_every_recorded_expression_has_the_recorded_answer(library, tmp_path):
    names, shared = names_for_cases(library)
    shared["folder"] = tmp_path
    wrong = []
    for case in GOLDEN["cases"]:
        try:
            answer = {"returns": plain(eval(case["code"], dict(names)), library)}
        except Exception as error:
            answer = {"raises": {kind.__name__ for kind in type(error).__mro__}}
        expected = {key: case[key] for key in ("returns", "raises") if key in case}
        right = expected["raises"] in answer.get("raises", ()) if "raises" in expected else same(answer, expected)
        if not right:
            wrong.append((case["code"], expected, answer))
    assert not wrong


def test_recorded_answers_are_held_but_for_rounding():
    recorded = {"returns": {"tensor": [1, 2.0], "score": 0.5475182567}}
    assert same({"returns": {"tensor": [1, 2.0], "score": 0.5475182269}}, recorded)
    for wrong in ({"tensor": [1, 2.0], "score": 0.5476}, {"tensor": [1, 2.0]}, {"tensor": [2, 2.0], "score": 0.54752}):
        assert not same({"returns": wrong}, recorded)
    assert not same(1, 1.0)
    assert not same(True, 1)


def test_basic_english_tokens(library):
    tokenize = library.get_tokenizer("basic_english")
    assert [tokenize(text) for text in GOLDEN["texts"]] == GOLDEN["tokens"]


@pytest.mark.parametrize("case", GOLDEN["vocabs"], ids=lambda case: json.dumps(case["kwargs"]))
def test_vocabularies_of_the_texts(library, case):
    built = library.build_vocab_from_iterator(GOLDEN["tokens"], **case["kwargs"])
    assert built.get_itos() == case["itos"]
    assert built.get_stoi() == {token: id for id, token in enumerate(case["itos"])}


def test_bleu_of_papineni_s_clipping_example(library):
    candidate = ["the", "the", "the", "the", "the", "the", "the"]
    references = [["the", "cat", "is", "on", "the", "mat"], ["there", "is", "a", "cat", "on", "the", "mat"]]
    assert library.bleu_score([candidate], [references], max_n=1, weights=[1.0]) == pytest.approx(2 / 7)


def test_surface_is_spelled_as_there(library):
    import inspect

    parameters = {
        name: list(inspect.signature(getattr(library, name)).parameters) for names in MODULES.values() for name in names
    }
    assert parameters["build_vocab_from_iterator"] == [
        "iterator",
        "min_freq",
        "specials",
        "special_first",
        "max_tokens",
    ]
    assert parameters["vocab"] == ["ordered_dict", "min_freq", "specials", "special_first"]
    assert parameters["get_tokenizer"] == ["tokenizer", "language"]
    assert parameters["bleu_score"] == ["candidate_corpus", "references_corpus", "max_n", "weights"]
    assert parameters["LabelToIndex"] == ["label_names", "label_path", "sort_names"]
    assert parameters["PadTransform"] == ["max_length", "pad_value"]
    assert parameters["ToTensor"] == parameters["to_tensor"][1:] == ["padding_value", "dtype"]
    assert inspect.signature(library.bleu_score).parameters["weights"].default == [0.25] * 4
