import re
from datetime import date, timedelta

import pytest

from seqlab.data.dates import CASES, FIRST, FORMS, LAST, MONTHS, WEEKDAYS, Dates
from seqlab.types import InputError

DAYS = [FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1)]


def read(text):
    """The date that a written form can mean, found without knowing the form; fails where there is not just one."""
    text = text.lower()
    year = re.findall(r"(?<!\d)\d{4}(?!\d)", text)
    assert len(year) == 1, text
    rest = text.replace(year[0], " ")
    found = [month for month, name in enumerate(MONTHS, 1) if re.search(rf"(?<![a-z]){name[:3].lower()}", rest)]
    numbers = [int(number) for number in re.findall(r"\d+", rest)]
    if not found:  # numbers alone: only in the order of ISO
        assert text.startswith(year[0]), text
        month, day = numbers
        return date(int(year[0]), month, day)
    assert len(found) == 1, text
    if not numbers:
        rest = rest.replace(MONTHS[found[0] - 1].lower(), " ")
        words = re.search(r"(?:(twenty|thirty)-)?(?<![a-z])([a-z]+(?:st|nd|rd|th))(?![a-z])", rest)
        ones = [
            "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
            "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth",
            "twentieth",
        ]  # fmt: skip
        tens = {None: 0, "twenty": 20, "thirty": 30}[words[1]]
        numbers = [30] if words[2] == "thirtieth" else [tens + ones.index(words[2]) + 1]
    (day,) = numbers
    return date(int(year[0]), found[0], day)


@pytest.mark.parametrize("form", FORMS, ids=[form(date(1946, 5, 3)) for form in FORMS])
def test_every_form_means_the_day_it_was_written_for(form):
    for day in DAYS[::61]:
        text = form(day)
        assert read(text) == day
        for name in WEEKDAYS:
            if re.search(rf"\b{name[:3]}", text):
                assert WEEKDAYS[day.weekday()] == name


def test_forms_are_many():
    texts = {form(date(1946, 6, 3)) for form in FORMS}
    assert len(texts) == len(FORMS) >= 12
    for text in (
        "June 3, 1946",
        "Jun 3, 1946",
        "3rd June 1946",
        "Monday, 3 June 1946",
        "the 3rd of June, 1946",
        "the third of June 1946",
        "1946/06/03",
        "1946.06.03",
        "03-Jun-1946",
    ):
        assert text in texts
    ordinals = {FORMS[11](date(2000, 1, day)).split()[0] for day in (1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 30, 31)}
    assert ordinals == {"1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "23rd", "30th", "31st"}


def test_pairs_are_true_and_parts_share_no_source():
    raw = Dates().read()
    sources = []
    for (texts, isos), count in ((raw.train, 20_000), (raw.val, 1_000), (raw.test, 1_000)):
        assert len(texts) == len(isos) == count
        assert all(read(text) == date.fromisoformat(iso) for text, iso in zip(texts, isos, strict=True))
        sources += [text.lower() for text in texts]
    assert len(set(sources)) == len(sources)
    years = {int(iso[:4]) for iso in raw.train[1]}
    assert (min(years), max(years), len(years)) == (1900, 2099, 200)
    assert all(text == text.strip() for text in sources)
    capitals = [sum(case(text) == text for text in raw.train[0]) for case in CASES[1:]]
    assert all(2_000 < count < 10_000 for count in capitals)


def test_pairs_are_a_pure_function_of_the_arguments():
    small = {"train": 30, "val": 4, "test": 5}
    assert Dates(**small).read() == Dates(**small).read()
    assert Dates(**small).digest() == Dates(**small).digest()
    others = [Dates(**small, seed=1), Dates(**{**small, "val": 5})]
    assert all(other.read() != Dates(**small).read() for other in others)
    assert len({source.digest() for source in (Dates(**small), *others)}) == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"train": 0}, "train=0 is too small"),
        ({"val": 0}, "val=0"),
        ({"test": -1}, "test=-1"),
        ({"seed": -1}, "seed=-1 is too small: give a whole number of at least 0"),
    ],
)
def test_what_cannot_be_is_refused(arguments, says):
    with pytest.raises(InputError, match=says):
        Dates(**arguments).read()


def test_more_dates_than_there_are_is_refused(monkeypatch):
    monkeypatch.setattr("seqlab.data.dates.LAST", date(1900, 1, 10))
    most = len(FORMS) * 10
    with pytest.raises(InputError, match=f"cannot all differ: ask for at most {most} in all"):
        Dates(train=most, val=1, test=1).read()
    assert len(Dates(train=most - 2, val=1, test=1).read().train[0]) == most - 2
