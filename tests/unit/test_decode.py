"""Drawing tokens and giving out text, on a stream whose probabilities are known by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.decode import Decoder, Sampling, Writer, generate, unknown, until
from seqlab.text import BPEPipeline, WordPipeline
from seqlab.types import InputError

LOGITS = torch.tensor([[0.0, 2.0, 1.0, -1.0, 2.5]])
SPECIALS = 2


class Cycle:
    """Says with certainty what follows a token: the next id, and behind the last of them the first that is no special.

    Keeps what it has read, and how much at a time.
    """

    def __init__(self, size: int, first: int = SPECIALS) -> None:
        self.size, self.first, self.read_so_far, self.calls = size, first, [], []

    def read(self, ids):
        self.calls.append(ids.shape[1])
        self.read_so_far += ids[0].tolist()
        logits = torch.zeros(1, self.size)
        following = self.read_so_far[-1] + 1
        logits[0, following if following < self.size else self.first] = 50
        return logits

    def push(self, ids):
        return self.read(ids.unsqueeze(1))

    def reset(self):
        self.read_so_far = []


class Fixed(Cycle):
    """Always answers the same logits."""

    def __init__(self, logits) -> None:
        super().__init__(logits.shape[1])
        self.logits = logits

    def read(self, ids):
        super().read(ids)
        return self.logits


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


def characters(text: str) -> WordPipeline:
    pipeline = WordPipeline("char", None)
    pipeline.fit_encode([text])
    return pipeline


@pytest.fixture(scope="module")
def alphabet() -> WordPipeline:
    return characters("zyxwvutsrqponmlkjihgfedcba")  # equally frequent, so ids go by the alphabet


# ---- drawing


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_tokens_are_drawn_as_often_as_their_probability_says(temperature):
    drawn = list(generate(Fixed(LOGITS), [0], 4000, Sampling(temperature), chance()))
    counts = torch.bincount(torch.tensor(drawn), minlength=5).double()
    expected = 4000 * (LOGITS[0].double() / temperature).softmax(0)
    assert ((counts - expected) ** 2 / expected).sum() < 18.5  # chi square of 4 degrees of freedom: 1 in 1000


@pytest.mark.parametrize(
    ("sampling", "support"),
    [
        (Sampling(), {0, 1, 2, 3, 4}),
        (Sampling(top_k=1), {4}),
        (Sampling(top_k=3), {4, 1, 2}),
        (Sampling(top_k=99), {0, 1, 2, 3, 4}),
        (Sampling(top_p=1.0), {0, 1, 2, 3, 4}),
        (Sampling(top_p=1e-9), {4}),
        (Sampling(top_p=0.5), {4}),  # of .515 .312 .115 ...
        (Sampling(top_p=0.6), {4, 1}),
        (Sampling(temperature=0.01, top_p=0.99), {4}),
        (Sampling(top_k=2, top_p=0.6), {4}),  # of the two that are left the first has .62
        (Sampling(greedy=True), {4}),
    ],
)
def test_only_what_is_kept_has_a_probability(sampling, support):
    probabilities = sampling.probabilities(LOGITS)[0]
    assert set(probabilities.nonzero().flatten().tolist()) == support
    assert probabilities.sum().item() == pytest.approx(1)
    kept = sorted(support)
    whole = (LOGITS[0].double() / sampling.temperature).softmax(0)[kept]
    torch.testing.assert_close(probabilities[kept], whole / whole.sum())


@settings(deadline=None)
@given(
    st.lists(st.floats(-30, 30), min_size=2, max_size=30),
    st.integers(1, 30),
    st.floats(0.01, 1, exclude_max=True),
    st.floats(0.05, 5),
)
def test_what_is_kept_is_the_smallest_set_of_the_best(logits, top_k, top_p, temperature):
    row = torch.tensor([logits], dtype=torch.float64)
    whole = Sampling(temperature).probabilities(row)[0].numpy()
    few = Sampling(temperature, top_k=top_k).probabilities(row)[0].numpy()
    assert (few > 0).sum() <= top_k
    assert whole[few > 0].min() >= whole[few == 0].max(initial=0)
    nucleus = Sampling(temperature, top_p=top_p).probabilities(row)[0].numpy() > 0
    assert whole[nucleus].sum() >= top_p - 1e-9
    assert whole[nucleus].sum() - whole[nucleus].min() < top_p + 1e-9


def test_of_equal_tokens_the_first_stay():
    probabilities = Sampling(top_k=2).probabilities(torch.zeros(1, 4))
    assert probabilities.tolist() == [[0.5, 0.5, 0, 0]]


def test_rows_are_drawn_by_their_own_probabilities():
    rows = torch.tensor([[9.0, 0, 0], [0, 9.0, 0], [0, 0, 9.0]]) * 10
    assert Sampling().draw(rows, chance()).tolist() == [0, 1, 2]
    assert Sampling(greedy=True).draw(rows, chance()).tolist() == [0, 1, 2]


@pytest.mark.parametrize("temperature", [1e-2, 1e-8, 1e-300, 5e-324])
def test_as_the_temperature_falls_the_most_probable_token_is_left(temperature):
    assert list(generate(Fixed(LOGITS), [0], 50, Sampling(temperature), chance())) == [4] * 50


@pytest.mark.parametrize("greedy", [True, False])
def test_forbidden_tokens_are_never_drawn(greedy):
    drawn = set(generate(Fixed(LOGITS), [0], 300, Sampling(greedy=greedy), chance(), forbidden=(4, 0)))
    assert drawn == ({1} if greedy else {1, 2, 3})


def test_the_same_seed_draws_the_same_and_no_global_chance_is_touched():
    before = torch.get_rng_state()
    first = list(generate(Fixed(LOGITS), [0], 60, Sampling(), chance(5)))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(123)
    assert list(generate(Fixed(LOGITS), [0], 60, Sampling(), chance(5))) == first
    assert list(generate(Fixed(LOGITS), [0], 60, Sampling(), chance(6))) != first


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"temperature": 0}, "temperature=0 must be above 0"),
        ({"temperature": -1.0}, "must be above 0"),
        ({"temperature": math.nan}, "must be above 0"),
        ({"temperature": math.inf}, "finite"),
        ({"top_k": 0}, "top_k=0 leaves no token"),
        ({"top_p": 0.0}, "top_p=0.0 is no share"),
        ({"top_p": 1.5}, "top_p=1.5 is no share"),
        ({"greedy": True, "temperature": 0.5}, "remove temperature, top_k and top_p"),
        ({"greedy": True, "top_k": 5}, "remove temperature, top_k and top_p"),
    ],
)
def test_options_out_of_range_are_one_sentence(options, sentence):
    with pytest.raises(InputError, match=sentence):
        Sampling(**options)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_diverged_model_is_one_sentence(bad):
    with pytest.raises(InputError, match="diverged"):
        Sampling().probabilities(torch.tensor([[0.0, bad]]))


# ---- reading and drawing


def test_each_token_is_read_before_the_next_is_drawn_and_the_last_is_left():
    stream = Cycle(9)
    assert list(generate(stream, [3, 4], 4, Sampling(), chance())) == [5, 6, 7, 8]
    assert stream.read_so_far == [3, 4, 5, 6, 7]
    assert stream.calls == [2, 1, 1, 1]


def test_a_long_prompt_is_read_in_pieces():
    stream = Cycle(9)
    prompt = [2 + i % 5 for i in range(10_000)]
    assert list(generate(stream, prompt, 2, Sampling(), chance())) == [7, 8]
    assert stream.read_so_far == [*prompt, 7]
    assert max(stream.calls) <= 4096


# ---- ids to text as they come


def assert_pieces_join_to_the_whole(pipeline, ids):
    decoder = Decoder(pipeline)
    given = ""
    for step, id in enumerate(ids):
        given += decoder.push(id)
        assert pipeline.decode(ids[: step + 1]).startswith(given)
    assert given + decoder.flush() == pipeline.decode(ids)


@settings(deadline=None)
@given(st.text(max_size=40), st.data())
def test_characters_come_at_once(text, data):
    pipeline = characters("ab '(" + text)
    ids = data.draw(st.lists(st.integers(0, len(pipeline.tokens) - 1), max_size=40))
    assert_pieces_join_to_the_whole(pipeline, ids)
    decoder = Decoder(pipeline)
    assert [decoder.push(id) for id in ids] == [pipeline.decode([id]) for id in ids]


MARKS = ["don", "t", "it", "s", "'", "(", ")", ".", ",", "!", "?", "über", "<unk>", "-", "123"]


@pytest.mark.parametrize("tokenizer", ["basic_english", "whitespace"])
@settings(deadline=None)
@given(data=st.data())
def test_words_are_spaced_as_in_the_whole_text(tokenizer, data):
    pipeline = WordPipeline(tokenizer, None)
    pipeline.fit_encode([" ".join(MARKS)])
    ids = data.draw(st.lists(st.integers(0, len(pipeline.tokens) - 1), max_size=30))
    assert_pieces_join_to_the_whole(pipeline, ids)


def test_a_word_comes_at_once_and_its_space_with_the_next():
    pipeline = WordPipeline()
    ids = pipeline.fit_encode(["she said: don't go (now)."])[0].tolist()
    decoder = Decoder(pipeline)
    pieces = [decoder.push(id) for id in ids]
    assert pieces == ["she", " said", " don", "", "'t", " go", " (", "now", ")", "."]


BYTES = BPEPipeline(300, lowercase=False)
BYTES.fit_encode(["the € and the 😀 and the ü and the 日本 of the world"] * 4)


@settings(deadline=None)
@given(st.lists(st.integers(0, len(BYTES.tokens) - 1), max_size=40))
def test_any_run_of_bytes_joins_to_the_whole(ids):
    assert_pieces_join_to_the_whole(BYTES, ids)


@settings(deadline=None)
@given(st.text(max_size=30))
def test_bytes_of_any_text_join_to_the_whole_and_no_broken_character_shows(text):
    ids = BYTES.encode([text])[0].tolist()
    assert_pieces_join_to_the_whole(BYTES, ids)
    decoder = Decoder(BYTES)
    shown = "".join(decoder.push(id) for id in ids)
    assert shown.count("\ufffd") <= text.count("\ufffd")


def test_a_character_of_several_bytes_is_held_back_until_it_is_whole():
    pipeline = BPEPipeline(258)  # nothing but bytes
    pipeline.fit_encode(["abc"])
    decoder = Decoder(pipeline)
    pieces = [decoder.push(id) for id in pipeline.encode(["a€😀b"])[0].tolist()]
    assert pieces == ["a", "", "", "€", "", "", "", "😀", "b"]


def test_a_long_run_of_broken_bytes_stays_cheap_and_right():
    pipeline = BPEPipeline(258)
    pipeline.fit_encode(["abc"])
    lead = pipeline.encode(["ü"])[0].tolist()[:1]
    assert_pieces_join_to_the_whole(pipeline, lead * 200)
    decoder = Decoder(pipeline)
    for _ in range(200):
        decoder.push(lead[0])
    assert len(decoder._ids) <= 9


def test_text_behind_a_context_is_spaced_as_if_the_context_were_there():
    pipeline = WordPipeline()
    pipeline.fit_encode(["a quick ( fox ) . don ' t"])
    ids = {token: id for id, token in enumerate(pipeline.tokens)}
    assert Decoder(pipeline, [ids["a"], ids["quick"]]).push(ids["fox"]) == " fox"
    assert Decoder(pipeline, [ids["a"], ids["("]]).push(ids["fox"]) == "fox"
    assert Decoder(pipeline, [ids["fox"]]).push(ids["."]) == "."


# ---- stops


@settings(deadline=None)
@given(st.lists(st.text("ab\n", max_size=4), max_size=12), st.text("ab\n", min_size=1, max_size=4))
def test_a_text_ends_right_before_the_stop_wherever_pieces_are_cut(pieces, stop):
    text = "".join(pieces)
    assert "".join(until(pieces, stop)) == text.split(stop)[0]


def test_only_what_may_begin_the_stop_is_held_back():
    assert list(filter(None, until(["ab", "\n", "\nc", "\n", "\n", "\nd"], "\n\n\n"))) == ["ab", "\n\nc"]
    assert list(filter(None, until(["x\n", "y"], "\n\n"))) == ["x", "\ny"]


def test_a_stop_that_spans_tokens_ends_the_text_and_the_drawing(alphabet):
    stream = Cycle(len(alphabet.tokens))
    writer = Writer(stream, alphabet)
    assert "".join(writer.write("ab", 20, stop="gh")) == "cdef"
    assert len(stream.read_so_far) == 2 + 5  # the h was drawn and nothing behind it


# ---- the writer


def test_a_writer_goes_on_where_it_was(alphabet):
    stream = Cycle(len(alphabet.tokens))
    writer = Writer(stream, alphabet)
    assert "".join(writer.write("abc", 3)) == "def"
    assert "".join(writer.write("", 3)) == "ghi"
    assert "".join(writer.write("xy", 4)) == "zabc"
    assert alphabet.decode(stream.read_so_far) == "abcdefghixyzab"


def test_a_writer_that_was_stopped_by_its_listener_has_written_what_it_gave(alphabet):
    writer = Writer(Cycle(len(alphabet.tokens)), alphabet)
    pieces = writer.write("a", 10)
    assert [next(pieces), next(pieces)] == ["b", "c"]
    assert "".join(writer.write("", 2)) == "de"


def test_two_calls_draw_on_and_reset_forgets_the_text(alphabet):
    flat = Fixed(torch.zeros(1, len(alphabet.tokens)))
    writer = Writer(flat, alphabet, seed=3)
    first, second = "".join(writer.write("a", 30)), "".join(writer.write("", 30))
    assert first != second
    writer.reset()
    assert flat.read_so_far == []
    with pytest.raises(InputError, match="no token to go on from"):
        writer.write("", 5)
    again = Writer(Fixed(torch.zeros(1, len(alphabet.tokens))), alphabet, seed=3)
    assert "".join(again.write("a", 60)) == first + second


def test_unknown_and_padding_tokens_are_never_written(alphabet):
    logits = torch.zeros(1, len(alphabet.tokens))
    logits[0, :SPECIALS] = 100
    text = "".join(Writer(Fixed(logits), alphabet).write("a", 200))
    assert len(text) == 200
    assert "<" not in text


def test_what_the_vocabulary_does_not_know_is_read_as_unknown_and_named_once(alphabet):
    stream = Cycle(len(alphabet.tokens))
    next(Writer(stream, alphabet).write("aé9é b", 1))
    assert [alphabet.tokens[id] for id in stream.read_so_far] == ["a", "<unk>", "<unk>", "<unk>", "<unk>", "b"]
    assert unknown(alphabet, "aé9é b") == "The model has never seen 'é', '9', ' ', which it reads as <unk>."
    many = unknown(alphabet, "".join(map(chr, range(0x4E00, 0x4E00 + 300))))
    assert "and 280 others, which it reads as <unk>." in many
    assert many.count("'") == 40
    assert unknown(alphabet, "abc") == ""
    assert unknown(BYTES, "anything: ☃") == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("", 5), "no token to go on from"),
        (("a", 0), "length=0 writes nothing"),
        (("a", 5, ""), "stop is empty"),
        (("a\udcff", 5), "not UTF-8"),
    ],
)
def test_mistakes_are_said_before_anything_is_written(alphabet, arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        Writer(Cycle(len(alphabet.tokens)), alphabet).write(*arguments)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_out_of_range_is_one_sentence(alphabet, seed):
    with pytest.raises(InputError, match=f"seed={seed}"):
        Writer(Cycle(5), alphabet, seed=seed)


def test_a_prompt_without_a_token_is_one_sentence():
    pipeline = WordPipeline()
    pipeline.fit_encode(["a word"])
    with pytest.raises(InputError, match="no token to go on from"):
        Writer(Cycle(4), pipeline).write("  \n", 5)
