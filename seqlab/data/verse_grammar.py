"""A small grammar of English verse: quatrains in iambic tetrameter that rhyme, and the generator that reads it.

Every line has eight syllables, weak and strong in turn, and ends on a word of one syllable out of a family of rhymes.
So what a line ends on is foretold one or two lines, some 40 to 80 characters, before.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

Choice = TypeVar("Choice")
Family = Mapping[str, Sequence[str]]

# Families of rhymes: nouns | qualities | verbs, all of one syllable.
_FAMILIES = (
    "light night height flight kite | bright white slight | fight write",
    "day bay hay clay spray | grey | stay play sway pray",
    "tree sea bee key lea | free | see flee",
    "sound ground mound hound | round sound bound | pound sound",
    "gold fold cold mould | old bold cold | hold fold scold",
    "rain lane plain grain crane | plain sane vain | wane reign gain",
    "snow glow crow row | slow low | go blow grow know flow",
    "air stair chair hare prayer | fair bare rare | care dare share",
    "shore door floor oar moor | sore poor | soar roar pour",
    "sheep deep keep heap | steep deep cheap | sleep weep creep leap",
    "wall hall ball shawl | small tall | call fall crawl",
    "land sand hand strand | grand bland | stand land",
    "hill mill sill quill | still shrill ill | fill thrill spill",
    "vine pine line shrine | fine mine | shine pine dine",
    "stream dream beam gleam | cream | dream gleam stream",
    "town crown gown down | brown down | drown frown",
    "lark park dark bark spark | dark stark | spark bark hark",
    "stone throne bone tone | lone blown sown | moan groan",
    "street wheat fleet beat | sweet neat fleet | meet greet beat",
    "ring spring king wing string | spring | sing ring swing cling",
)
RHYMES: tuple[dict[str, list[str]], ...] = tuple(
    dict(zip("nav", map(str.split, family.split("|")), strict=True)) for family in _FAMILIES
)
"""Each family: what may stand for {n}, {a} and {v} at the end of a line."""

# {N1} has one syllable; {N2}, {A2} two, the first strong; {S2} is the plural of {N2}; {P1} in one, {P2} in two,
# the second strong; {went}, {took} are past verbs of one syllable without and with an object.
WORDS: dict[str, tuple[str, ...]] = {
    "N1": ("wind", "star", "moon", "leaf", "heart", "road", "bell", "cloud", "flame", "boat", "frost", "rose"),
    "A2": (
        "silver", "quiet", "lonely", "hollow", "golden", "gentle", "distant", "weary", "misty", "purple", "silent",
        "crimson", "broken", "sleepy", "narrow", "tender",
    ),
    "P1": ("by", "in", "near", "past", "on", "from"),
    "P2": ("above", "beside", "beyond", "behind", "beneath", "across", "along", "around"),
    "went": ("slept", "turned", "sang", "hung", "burned", "stood", "lay", "ran", "dreamed", "froze"),
    "took": ("found", "touched", "crossed", "loved", "left", "sought", "knew", "lost", "heard"),
    "walked": ("walked", "ran", "went", "sailed", "rode", "danced"),
}  # fmt: skip

# What a poem is about: {N2} and its plural {S2}.
THEMES: dict[str, str] = {
    "river": "rivers", "garden": "gardens", "winter": "winters", "sparrow": "sparrows", "candle": "candles",
    "meadow": "meadows", "shepherd": "shepherds", "lantern": "lanterns", "willow": "willows", "fiddle": "fiddles",
    "sailor": "sailors", "morning": "mornings", "shadow": "shadows", "raven": "ravens", "window": "windows",
    "harbour": "harbours", "miller": "millers", "robin": "robins", "valley": "valleys", "summer": "summers",
}  # fmt: skip

LINES: dict[str, tuple[str, ...]] = {
    "n": (
        "the {A2} {N1} {P2} the {n}",
        "a {N2} {went} {P2} the {n}",
        "and {A2} {S2} {P1} the {n}",
        "I heard the {N2} {P1} the {n}",
        "we {walked} {P2} the {A2} {n}",
        "the {N1} had {took} the {A2} {n}",
        "where {S2} {went} {P2} the {n}",
        "O {N2} of the {A2} {n}",
        "no {N2} ever {took} the {n}",
        "and all the {S2} of the {n}",
        "my {N1} goes with you to the {n}",
    ),
    "a": (
        "the {N2} {P1} the {N1} was {a}",
        "my {N1} was {A2}, yours was {a}",
        "and every {N2} there was {a}",
        "the {A2} {S2} all were {a}",
        "how {A2} was the {N1}, how {a}",
        "but never was the {N2} {a}",
    ),
    "v": (
        "and there the {N2} used to {v}",
        "the {A2} {N1} began to {v}",
        "we watched the {N2} rise and {v}",
        "I heard the {A2} {N2} {v}",
        "and if the {N1} should ever {v}",
        "come, {N2}, teach my {N1} to {v}",
        "for {S2} never learn to {v}",
    ),
}
KINDS = ("n", "n", "n", "a", "v", "v")  # nouns are many, and end a line most often

TITLES = (
    "The {A2} {N2}",
    "To a {N2}",
    "Song of the {N2}",
    "The {N2} and the {N1}",
    "{N2} in the {n}",
    "Lines on a {A2} {N2}",
)
SCHEMES = ("ABAB", "AABB")
QUATRAINS = (2, 3, 3, 4)
ENDS = (",;,.", ",.,.", ";,,.", ",,;!", ",:,.")
THEMED = 0.6  # how often a {N2} is what the title names

_SLOT = re.compile(r"\{(\w+)\}")


def write_poem(generator: random.Random) -> str:
    """A title, an empty line, and quatrains with an empty line behind each; one scheme of rhymes throughout."""
    theme = _pick(generator, tuple(THEMES))
    scheme, quatrains = _pick(generator, SCHEMES), _pick(generator, QUATRAINS)
    title = _fill(generator, _pick(generator, TITLES), theme, _pick(generator, RHYMES), "n", set(), always=True)
    families = _several(generator, RHYMES, 2 * quatrains)  # a family rhymes in one quatrain alone
    text = f"{title}\n\n"
    for number in range(quatrains):
        pair = dict(zip("AB", families[2 * number : 2 * number + 2], strict=True))
        marks, said = _pick(generator, ENDS), set[str]()
        for letter, mark in zip(scheme, marks, strict=True):
            text += f"{_line(generator, theme, pair[letter], said)}{mark}\n"
        text += "\n"
    return text


def _line(generator: random.Random, theme: str, family: Family, said: set[str]) -> str:
    """A line that ends on a word of ``family``; no word or frame in ``said``, which what it uses is added to."""
    kinds = [kind for kind in KINDS if set(family[kind]) - said]
    kind = _pick(generator, kinds)
    frame = _pick(generator, [frame for frame in LINES[kind] if frame not in said])
    said.add(frame)
    return _fill(generator, frame, theme, family, kind, said)


def _fill(
    generator: random.Random, frame: str, theme: str, family: Family, kind: str, said: set[str], always: bool = False
) -> str:
    def word(slot: re.Match[str]) -> str:
        name = slot[1]
        if name in ("N2", "S2"):
            noun = theme if always or generator.random() < THEMED else _pick(generator, tuple(THEMES))
            return noun if name == "N2" else THEMES[noun]
        options = family[kind] if name == kind else WORDS[name]
        chosen = _pick(generator, [option for option in options if option not in said] or options)
        said.add(chosen)
        return chosen

    line = _SLOT.sub(word, frame)
    return line[0].upper() + line[1:]


def _several(generator: random.Random, options: Sequence[Choice], count: int) -> list[Choice]:
    """``count`` different ones."""
    left = list(options)
    return [left.pop(int(generator.random() * len(left))) for _ in range(count)]


def _pick(generator: random.Random, options: Sequence[Choice]) -> Choice:
    # Only random() itself is promised to give the same numbers in every version of Python.
    return options[int(generator.random() * len(options))]
