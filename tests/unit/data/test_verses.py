import random
import re

import numpy as np
import pytest

from seqlab.data import verse_grammar as grammar
from seqlab.data.corpus import load_corpus
from seqlab.data.verses import Verses
from seqlab.text import WordPipeline
from seqlab.types import InputError

FAMILIES_OF = {
    word: {number for number, family in enumerate(grammar.RHYMES) if any(word in words for words in family.values())}
    for family in grammar.RHYMES
    for words in family.values()
    for word in words
}
SYLLABLES = {"N1": 1, "N2": 2, "S2": 2, "A2": 2, "P1": 1, "P2": 2, "n": 1, "a": 1, "v": 1}
SYLLABLES |= {"went": 1, "took": 1, "walked": 1, "every": 2, "ever": 2, "never": 2, "began": 2}


@pytest.fixture(scope="module")
def poems():
    return [poem for _, poem in Verses().read()]


def stanzas_of(poem):
    """The last word of every line, quatrain by quatrain."""
    _, *stanzas = poem.strip().split("\n\n")
    return [[re.findall(r"\w+", line)[-1] for line in stanza.split("\n")] for stanza in stanzas]


def rhyme(one, other):
    return bool(FAMILIES_OF[one] & FAMILIES_OF[other])


def test_every_quatrain_rhymes_by_the_scheme_of_its_poem(poems):
    schemes = set()
    for poem in poems:
        stanzas = stanzas_of(poem)
        assert 2 <= len(stanzas) <= 4
        crossed = all(rhyme(a, c) and rhyme(b, d) for a, b, c, d in stanzas)
        paired = all(rhyme(a, b) and rhyme(c, d) for a, b, c, d in stanzas)
        assert crossed != paired, poem
        assert all(len(set(words)) == 4 for words in stanzas)
        schemes.add(crossed)
    assert schemes == {False, True}


@pytest.mark.parametrize("frame", [frame for frames in grammar.LINES.values() for frame in frames])
def test_every_line_has_eight_syllables_and_ends_on_a_rhyme(frame):
    assert sum(SYLLABLES.get(word, 1) for word in re.findall(r"\w+", frame)) == 8
    assert re.search(r"\{[nav]\}$", frame)


def test_poems_are_made_the_same_everywhere_and_all_differ(poems):
    assert len(set(poems)) == len(poems) == 700
    assert 290_000 < sum(map(len, poems)) < 320_000
    assert Verses().digest() == "ecdf1559bf41c2bacaebc6f92b180359a57d7e047d6cda077ef96e03ccd0cc55"
    assert Verses(3).digest() != Verses(4).digest() == Verses(4).digest()


def test_what_the_title_names_comes_back(poems):
    found = []
    for poem in poems:
        title, text = poem.split("\n\n", 1)
        (theme,) = (theme for theme in grammar.THEMES if theme in title.lower())
        found.append(theme in text)
    assert np.mean(found) > 0.9


def test_verses_are_written_as_people_write_them(poems):
    for poem in poems:
        title, empty, *lines = poem.split("\n")
        assert empty == ""
        assert title[0].isupper()
        assert poem.endswith("\n\n")
        for line in filter(None, lines):
            assert line[0].isupper()
            assert line[-1] in ",;.!:"
            assert not re.search(r"[{}]| a [aeiou]|  ", line)


def test_every_poem_is_a_document():
    data = load_corpus(Verses(50), WordPipeline("char"), val_fraction=0.1, test_fraction=0.0, cache_dir=None)
    documents = np.split(data.train.ids, data.train.starts[1:])
    assert [data.pipeline.decode(ids) for ids in documents[:-1]] == [
        poem for _, poem in Verses(len(documents) - 1).read()
    ]
    assert 40 <= len(documents) <= 50
    assert len(data.pipeline.tokens) < 60


def test_the_global_generator_is_left_alone():
    before = random.getstate()
    list(Verses(3).read())
    assert random.getstate() == before


def test_no_poem_is_too_few():
    with pytest.raises(InputError, match="at least 1 poem"):
        Verses(0)
