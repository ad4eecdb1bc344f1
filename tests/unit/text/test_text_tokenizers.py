"""``get_tokenizer``: basic_english against a plain reference, optional packages, a person's own function."""

import re
import sys
from types import ModuleType, SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlab.text.data.utils import get_tokenizer
from seqlab.text.tokenizer import named_tokenizer, source_digest
from seqlab.types import InputError

SPACED = "'.,()!?"
PATTERNS = [(r"\'", " ' "), (r"\"", ""), (r"\.", " . "), (r"<br \/>", " "), (r",", " , "), (r"\(", " ( ")]
PATTERNS += [(r"\)", " ) "), (r"\!", " ! "), (r"\?", " ? "), (r"\;", " "), (r"\:", " "), (r"\s+", " ")]


def reference_basic_english(text):
    """One regular expression after another, as the definition reads."""
    text = text.lower()
    for pattern, replacement in PATTERNS:
        text = re.sub(pattern, replacement, text)
    return text.split()


pieces = st.sampled_from(
    ["<br />", '<"br />', "<br", "/>", " ", "'", '"', ".", ",", "(", "?", ";", ":", "\n", "É", "İ"]
)


@given(st.lists(st.one_of(pieces, st.text(max_size=4))).map("".join))
def test_basic_english_agrees_with_the_regular_expressions(text):
    assert get_tokenizer("basic_english")(text) == reference_basic_english(text)


@pytest.mark.parametrize("character", [chr(code) for code in range(0x110000) if chr(code).isspace()])
def test_every_white_space_separates(character):
    assert get_tokenizer("basic_english")(f"a{character}b") == ["a", "b"] == reference_basic_english(f"a{character}b")


def test_char_and_whitespace():
    assert get_tokenizer("char")("Aé b") == ["A", "é", " ", "b"]
    assert get_tokenizer("whitespace")(" A.  b\n") == ["A.", "b"]


@pytest.mark.parametrize(
    ("name", "meant"), [("basic_inglish", "basic_english"), ("whitespce", "whitespace"), ("Char", "char")]
)
def test_unknown_name_suggests(name, meant):
    with pytest.raises(InputError, match=f"did you mean '{meant}'"):
        get_tokenizer(name)


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [
        ("spacy", "spacy", "spacy"),
        ("moses", "sacremoses", "sacremoses"),
        ("toktok", "nltk.tokenize.toktok", "nltk"),
        ("revtok", "revtok", "revtok"),
        ("subword", "revtok", "revtok"),
    ],
)
def test_missing_package_is_named(monkeypatch, name, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        get_tokenizer(name)
    with pytest.raises(InputError, match=f"pip install {package}"):
        named_tokenizer(name)


def fake_module(monkeypatch, name, **contents):
    module = ModuleType(name)
    vars(module).update(contents)
    monkeypatch.setitem(sys.modules, name, module)


def test_revtok_and_subword_differ_in_decap(monkeypatch):
    fake_module(monkeypatch, "revtok", tokenize=lambda text, decap=False: [text, decap])
    assert get_tokenizer("revtok")("x") == ["x", False]
    assert get_tokenizer("subword")("x") == ["x", True]


def test_spacy_language_falls_back_to_its_small_model(monkeypatch):
    def load(name):
        if name != "en_core_web_sm":
            raise OSError(name)
        return SimpleNamespace(tokenizer=lambda text: [SimpleNamespace(text=word) for word in text.split("-")])

    errors = SimpleNamespace(OLD_MODEL_SHORTCUTS={"en": "en_core_web_sm", "de": "de_core_news_sm"})
    fake_module(monkeypatch, "spacy", load=load, errors=errors)
    with pytest.warns(UserWarning, match="en_core_web_sm"):
        tokenize = get_tokenizer("spacy")
    assert tokenize("a-b") == ["a", "b"]
    assert get_tokenizer("spacy", "en_core_web_sm")("a-b") == ["a", "b"]
    with (
        pytest.warns(UserWarning, match="de_core_news_sm"),
        pytest.raises(OSError, match="spacy download de_core_news_sm"),
    ):
        get_tokenizer("spacy", "de")
    with pytest.raises(OSError, match="spacy download xx"):
        get_tokenizer("spacy", "xx")


def test_own_function_by_dotted_name(tmp_path, monkeypatch):
    package = tmp_path / "mine_for_tokenizers"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "split.py").write_text("import os\nfactor = 2\ndef dashes(text):\n    return text.split('-')\n")
    monkeypatch.syspath_prepend(tmp_path)
    tokenize = named_tokenizer("mine_for_tokenizers.split.dashes")
    assert tokenize("a-b") == ["a", "b"]
    assert source_digest(tokenize) is not None
    assert source_digest(len) is None
    for name, reason in [
        ("mine_for_tokenizers.split.nothing", "cannot be imported"),
        ("mine_for_tokenizers.nothing.dashes", "cannot be imported"),
        ("mine_for_tokenizers.split.factor", "is a int"),
        ("mine_for_tokenizers.split.os.system", "leads out"),
        ("os.system", "own library"),
        ("no_such_package_at_all.function", "cannot be imported"),
        ("a..b", "dotted name"),
    ]:
        with pytest.raises(InputError, match=reason):
            named_tokenizer(name)
