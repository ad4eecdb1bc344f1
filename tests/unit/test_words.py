"""Words that are printed can be pasted: a shell and Hydra read the value that was meant."""

from __future__ import annotations

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from seqlab.words import mended, text_word, word

PARSER = OverridesParser.create()
TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1)


def read(written: str) -> object:
    (argument,) = shlex.split(written)
    return PARSER.parse_override(argument).value()


@given(TEXT)
def test_any_value_comes_back(value):
    assert read(word("k", value)) == value
    assert read(text_word("k", value)) == value


@given(st.lists(TEXT, min_size=1))
def test_any_list_comes_back(values):
    assert read(word("k", values)) == values


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("runs/a/b-1", "k=runs/a/b-1"),
        ("tickets (1).csv", "\"k='tickets (1).csv'\""),
        ("2015", "'k=\"2015\"'"),
        (["CO(GT)"], "'k=[\"CO(GT)\"]'"),
    ],
)
def test_a_word_is_as_plain_as_it_can_be(value, written):
    assert word("k", value) == written


@pytest.mark.parametrize(
    ("override", "character", "value"),
    [
        ("k=[CO(GT)]", "(", ["CO(GT)"]),
        ("k=[a,b(c,d),e]", "(", ["a", "b(c,d)", "e"]),
        ("k=a=b", "=", "a=b"),
        ("k=x{1}", "{", "x{1}"),
        ("k='a b", "'", "a b"),
    ],
)
def test_what_is_in_the_way_is_named_and_quoted(override, character, value):
    found = mended(override)
    assert found is not None
    assert found[0] == character
    assert read(found[1]) == value


def test_what_needs_no_quotes_is_not_mended():
    assert mended("optim.lr") is None
    assert mended("optim.lr=1e-3") is None
