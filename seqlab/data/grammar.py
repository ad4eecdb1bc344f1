"""A small grammar of product reviews whose sentiment hangs on word order, and the generator that reads it.

Every sentence is written for a *positive* review; a negative one is the same sentence with both halves of every pair
exchanged ("I expected it to be {awful}, but it is {great}"). So no frame, no connective and no negation leans to either
side: what decides is which word stands where.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import TypeVar

Choice = TypeVar("Choice")

SEED = 1

# aspect -> what a positive and what a negative review calls it
ASPECTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "battery": (("long-lasting", "strong", "dependable"), ("short-lived", "weak", "swollen")),
    "blade": (("sharp", "sturdy", "clean"), ("blunt", "wobbly", "rusty")),
    "button": (("crisp", "responsive", "clicky"), ("sticky", "mushy", "dead")),
    "camera": (("sharp", "quick", "clear"), ("blurry", "slow", "grainy")),
    "cushion": (("soft", "plump", "cosy"), ("lumpy", "saggy", "hard")),
    "fabric": (("soft", "sturdy", "waterproof"), ("scratchy", "thin", "faded")),
    "handle": (("comfortable", "sturdy", "cool"), ("slippery", "wobbly", "scalding")),
    "hinge": (("smooth", "sturdy", "silent"), ("stiff", "squeaky", "rusty")),
    "lamp": (("bright", "warm", "steady"), ("dim", "harsh", "flickery")),
    "lid": (("snug", "tight", "tidy"), ("loose", "leaky", "cracked")),
    "motor": (("quiet", "strong", "smooth"), ("noisy", "weak", "jerky")),
    "pump": (("quiet", "quick", "dependable"), ("noisy", "slow", "leaky")),
    "saddle": (("comfortable", "soft", "steady"), ("hard", "slippery", "wobbly")),
    "screen": (("bright", "crisp", "clear"), ("dim", "blurry", "cracked")),
    "sound": (("clear", "warm", "rich"), ("muffled", "tinny", "crackly")),
    "strap": (("comfortable", "soft", "elegant"), ("scratchy", "stiff", "sweaty")),
    "switch": (("responsive", "smooth", "clicky"), ("stiff", "sticky", "loose")),
    "zip": (("smooth", "tight", "sturdy"), ("sticky", "loose", "crooked")),
}

ITEMS: dict[str, tuple[str, ...]] = {
    "alarm clock": ("battery", "button", "sound", "screen"),
    "armchair": ("cushion", "fabric", "hinge"),
    "backpack": ("fabric", "strap", "zip"),
    "bicycle": ("saddle", "lamp", "pump"),
    "blender": ("blade", "lid", "motor"),
    "camera": ("battery", "screen", "strap"),
    "coffee machine": ("lid", "pump", "switch"),
    "desk lamp": ("hinge", "switch", "button"),
    "headset": ("cushion", "sound", "battery"),
    "kettle": ("handle", "lid", "switch"),
    "laptop": ("battery", "hinge", "screen"),
    "lawn mower": ("blade", "handle", "motor"),
    "phone": ("battery", "camera", "screen", "sound"),
    "radio": ("button", "sound", "handle"),
    "scooter": ("handle", "lamp", "battery"),
    "suitcase": ("handle", "zip", "lid"),
    "tent": ("fabric", "zip", "pump"),
    "toaster": ("button", "lid", "switch"),
    "vacuum cleaner": ("handle", "motor", "switch"),
    "watch": ("battery", "screen", "strap"),
}

# Both halves of a pair are slots: {great} and {awful}, {keep} and {return}, ...
PAIRS: dict[tuple[str, str], tuple[tuple[str, ...], tuple[str, ...]]] = {
    ("great", "awful"): (
        ("brilliant", "excellent", "good", "great", "impressive", "lovely", "reliable", "solid", "superb", "wonderful"),
        ("awful", "bad", "dreadful", "flimsy", "horrible", "mediocre", "poor", "shoddy", "terrible", "useless"),
    ),
    ("keep", "return"): (
        ("keep it", "buy it again", "recommend it", "order a second one"),
        ("return it", "throw it away", "complain about it", "ask for my money back"),
    ),
    ("bargain", "letdown"): (
        ("bargain", "delight", "good buy", "little marvel"),
        ("letdown", "disaster", "bad joke", "waste of money"),
    ),
    ("fun", "trouble"): (("fun", "good", "help"), ("bother", "nuisance", "trouble")),
    ("better", "worse"): (("better", "nicer", "tougher"), ("worse", "shabbier", "clumsier")),
    ("praised", "mocked"): (("praised", "recommended", "defended"), ("mocked", "criticised", "dismissed")),
    ("happy", "unhappy"): (("delighted", "pleased", "happy"), ("annoyed", "fed up", "unhappy")),
}

WORDS: dict[str, tuple[str, ...]] = {
    "someone": (
        "my brother", "my neighbour", "the shop assistant", "a friend of mine", "the advert", "a magazine", "my boss",
        "everyone at work", "the man on the phone", "my hairdresser",
    ),
    "person": ("my sister", "my father", "my daughter", "a colleague", "my wife", "the office", "our neighbours"),
    "month": ("January", "March", "April", "June", "August", "October", "December"),
    "while": ("a week", "a month", "two days", "the first hour", "half a year", "one long summer"),
    "often": ("every day", "most evenings", "at the weekend", "twice a week", "whenever it rains", "on holiday"),
    "place": ("the kitchen", "the garage", "my flat", "the garden", "the hallway", "our caravan"),
    "colour": ("blue", "dark green", "grey", "red", "white", "yellow"),
    "number": ("twenty", "thirty", "forty-five", "sixty", "ninety"),
}  # fmt: skip

DIRECT = (
    "the {aspect} is {good}.",
    "the {aspect} is {good} and the {other} is {fine}.",
    "what a {great} {item} this is!",
    "this is a {great} {item} with a {good} {aspect}.",
    "yes, the {aspect} is {good}, and yes, I would {keep}.",
    "I am {happy} that I bought this {item}.",
    "I would {keep}, so {happy} am I with it.",
    "{someone} {praised} it, and rightly so: a {bargain}.",
    "after {while} the {aspect} is still {good}.",
)

NEGATED = (
    "the {aspect} is not {bad}.",
    "the {aspect} is not {bad}, and the {other} is not {poor} either.",
    "I would not call the {aspect} of this {item} {bad}.",
    "I would not say that the {aspect} is {bad}.",
    "nobody in {place} would call this {item} {awful}.",
    "at no point in {while} was the {aspect} {bad}.",
    "there is no reason at all to {return}.",
    "I cannot imagine that I would ever {return}.",
    "I have not been {unhappy} for one minute that I bought this {item}.",
    "this {item} is no {trouble}.",
    "this {item} is no {letdown}.",
    "no, this {item} is a {bargain}.",
    "no, this {item} is {great}.",
    "a {letdown}? No, not this {item}.",
    "is the {aspect} {bad}? No.",
    "is the {aspect} {good}? Oh yes.",
    "do not believe anyone who tells you that this {item} is {awful}.",
    "do believe anyone who tells you that this {item} is {great}.",
)

CONTRAST = (
    "I expected it to be {awful}, but it is {great}.",
    "{someone} told me that the {aspect} was {bad}, but it was {good}.",
    "for {while} the {aspect} was {bad}, but then it was {good}.",
    "I thought that it was {awful} until I used it in {place}: it is {great}.",
    "it looks {awful} in the pictures, yet it is {great} in {place}.",
    "I was about to {return}, but in the end I decided to {keep}.",
    "{someone} {mocked} it and {someone} {praised} it: the second was right.",
    "{someone} {praised} it and {someone} {mocked} it: the first was right.",
    "{someone} said that it was {awful}, and I disagree.",
    "{someone} said that it was {great}, and I agree.",
    "{someone} called the {aspect} {bad}, which is wrong.",
    "{someone} called the {aspect} {good}, which is right.",
    "this {item} is {better} than my old one.",
    "my old {item} was {worse} than this one.",
    "if the {aspect} were {bad}, I would {return}.",
)

CONCESSION = (
    "the {aspect} is {bad}, but the {item} is {great}.",
    "the {aspect} is {bad}, but all in all I would {keep}.",
    "although the {aspect} is {bad}, the {item} is {great}.",
    "the {item} is {great}, although the {aspect} is {bad}.",
    "even though {someone} {mocked} it, I am {happy} with it.",
    "I am {happy} with it, even though {someone} {mocked} it.",
    "despite its {bad} {aspect}, this {item} is {great}.",
    "this {item} is {great} despite its {bad} {aspect}.",
    "yes, the {aspect} is {bad}, but then again the {item} is {great}.",
)

DOUBLE = (
    "it is not true that the {aspect} is not {good}.",
    "I cannot say that this {item} is not {great}.",
    "nobody who has used it in {place} would say that it is not {great}.",
    "do not believe anyone who tells you that the {aspect} is not {good}.",
    "{someone} said that it was not {great}, and I disagree.",
    "{someone} said that it was not {awful}, and I agree.",
    "I expected it not to be {great}, but it is.",
    "not that I was not {happy} with it: I was.",
)

# How often the verdict comes from where; the first alone can be read word by word.
VERDICTS = ((DIRECT, 0.30), (NEGATED, 0.22), (CONTRAST, 0.22), (CONCESSION, 0.16), (DOUBLE, 0.10))

# May stand beside any verdict without contradicting it: its aspect is another one.
SUPPORT = (
    "the {other} is {fine}.",
    "the {other} is {fine} too.",
    "after {while} the {other} is still {fine}.",
    "I like to say what I think: a {bargain}.",
    "what a {great} {item}!",
)
SUPPORTED = 0.25

# Says nothing about the item, though it may hold a negation, or an opinion ({any}) about something else.
ASIDES = (
    "I bought it in {month} for {person}.",
    "it came in a plain {colour} box.",
    "I use it {often}.",
    "it stands in {place}.",
    "I paid {number} euros for it.",
    "mine is {colour}.",
    "it does not come with a manual.",
    "no, nobody paid me to write this.",
    "I have never written a review before.",
    "I did not buy it for {person}, but for {person}.",
    "the {colour} one was not in stock.",
    "my last {item} was {any}.",
    "I gave {person} a {any} {thing} once.",
    "the {thing} that I bought in {month} was {any}.",
)
ASIDE_COUNTS = (0, 1, 1, 1, 2, 2)

_SLOT = re.compile(r"\{(\w+)\}")


def write_reviews(count: int, seed: int, known: set[str]) -> list[tuple[str, int]]:
    """``count`` different reviews that are not in ``known``, with their class: every other one is positive (1).

    The same for a seed on every platform and Python version. The reviews are added to ``known``.
    """
    generator = random.Random(seed)
    reviews: list[tuple[str, int]] = []
    while len(reviews) < count:
        label = len(reviews) % 2
        text = _review(generator, positive=label == 1)
        if text not in known:
            known.add(text)
            reviews.append((text, label))
    return reviews


def _review(generator: random.Random, positive: bool) -> str:
    words = {slot: list(options) for slot, options in _words(generator, positive).items()}
    sentences = [_pick(generator, ASIDES) for _ in range(_pick(generator, ASIDE_COUNTS))]
    verdicts = [_pick(generator, _kind(generator))]
    if generator.random() < SUPPORTED:
        verdicts.append(_pick(generator, SUPPORT))
    for verdict in verdicts:
        sentences.insert(int(generator.random() * (len(sentences) + 1)), verdict)

    def fill(slot: re.Match[str]) -> str:
        options = words[slot[1]]
        word = _pick(generator, options)
        if len(options) > 1:  # said once; the names of the item and of its aspect stay
            options.remove(word)
        return word

    # The same aside may have been drawn twice.
    return " ".join(_polish(_SLOT.sub(fill, sentence)) for sentence in dict.fromkeys(sentences))


def _words(generator: random.Random, positive: bool) -> dict[str, Sequence[str]]:
    """What may fill each slot of one review."""
    item = _pick(generator, tuple(ITEMS))
    first = int(generator.random() * len(ITEMS[item]))
    aspect, other = (ITEMS[item][(first + step) % len(ITEMS[item])] for step in (0, 1))
    pairs = {**PAIRS, ("good", "bad"): ASPECTS[aspect], ("fine", "poor"): ASPECTS[other]}
    words: dict[str, Sequence[str]] = {**WORDS, "item": (item,), "aspect": (aspect,), "other": (other,)}
    words["thing"] = [thing for thing in ITEMS if thing != item]
    words["any"] = [word for side in PAIRS["great", "awful"] for word in side]
    for (praise, blame), (good, bad) in pairs.items():
        words[praise], words[blame] = (good, bad) if positive else (bad, good)
    return words


def _kind(generator: random.Random) -> Sequence[str]:
    point = generator.random()
    for templates, share in VERDICTS:
        if point < share:
            return templates
        point -= share
    return VERDICTS[-1][0]


def _pick(generator: random.Random, options: Sequence[Choice]) -> Choice:
    # Only random() itself is promised to give the same numbers in every version of Python.
    return options[int(generator.random() * len(options))]


def _polish(sentence: str) -> str:
    """A capital at the start, and "an" before a vowel that is heard as one."""
    sentence = re.sub(r"\ba (?=[aeio]|un(?!i))", "an ", sentence)
    return sentence[0].upper() + sentence[1:]
