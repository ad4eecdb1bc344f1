"""Looking for translations, on translators so small that every translation can be listed."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from seqlab.decode import Sampling
from seqlab.models.translator import Memory
from seqlab.search import Hypothesis, Search, _draw, _largest, search
from seqlab.types import DataSpec, InputError

UNK, PAD = 0, 1
P, KINDS = 61, 5


def spec_of(size: int) -> DataSpec:
    return DataSpec(
        "translation", num_outputs=size, labels=(), vocab_size=20, pad_id=PAD, start_id=size - 2, eos_id=size - 1
    )


class Told:
    """What comes next is read from a table by the source and *all* that was written: mixed-up beams say other things.

    ``table`` is ``(KINDS, P, V)`` logits. Counts how many rows it was asked about, step by step.
    """

    training = False
    device = torch.device("cpu")

    def __init__(self, table: torch.Tensor) -> None:
        self.table, self.asked, self.sources = table, [], []

    @classmethod
    def drawn(cls, seed: int, size: int, scale: float = 2.0) -> Told:
        return cls(torch.randn(KINDS, P, size, generator=torch.Generator().manual_seed(seed)) * scale)

    @staticmethod
    def kind(ids) -> int:
        return (7 * sum(ids) + len(ids)) % KINDS

    @staticmethod
    def after(written) -> int:
        mark = 0
        for id in written:
            mark = (mark * 31 + id + 1) % P
        return mark

    def begin(self, inputs, lengths):
        rows = [row[:length] for row, length in zip(inputs.tolist(), lengths.tolist(), strict=True)]
        places = torch.zeros(len(rows), inputs.shape[1])
        return Memory(
            (torch.tensor([self.kind(row) for row in rows]), lengths.clone(), places),
            (torch.zeros(len(rows), dtype=torch.int64),),
        )

    def step(self, memory, ids):
        self.asked.append(len(ids))
        self.sources.append(memory.source)
        kinds, lengths, places = memory.source
        marks = (memory.state[0] * 31 + ids + 1) % P
        look = places.scatter(1, (marks % lengths.clamp(min=1)).unsqueeze(1), 1.0) if places.shape[1] else places
        return self.table[kinds, marks], Memory(memory.source, (marks,)), look

    def logs(self, source, written, spec) -> list[float]:
        """Log probability of each next token; the table of the same, without any memory."""
        return self.table[self.kind(source), self.after([spec.start_id, *written])].log_softmax(-1).tolist()

    def looked(self, source, written, spec, steps) -> list[list[float]]:
        places = [self.after([spec.start_id, *written[:step]]) % max(len(source), 1) for step in range(steps)]
        return [[float(place == one) for one in range(len(source))] for place in places]


class Recurrent(nn.Module):
    """A GRU cell that looks at the source's embeddings by dot products."""

    def __init__(self, size: int, width: int = 8) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(20, width), nn.Embedding(size, width)
        self.cell, self.out = nn.GRUCell(2 * width, width), nn.Linear(2 * width, size)

    @property
    def device(self):
        return self.out.weight.device

    def begin(self, inputs, lengths):
        counts = torch.arange(inputs.shape[1]) < lengths.unsqueeze(1)
        keys = self.source(inputs) * counts.unsqueeze(-1)
        state = keys.sum(1).tanh()
        return Memory((keys, counts), (state, torch.zeros_like(state)))

    def step(self, memory, ids):
        keys, counts = memory.source
        state, fed = memory.state
        state = self.cell(torch.cat([self.target(ids), fed], 1), state)
        scores = (keys @ state.unsqueeze(2)).squeeze(2).masked_fill(~counts, -1e9)
        weights = scores.softmax(1) * counts
        fed = (weights.unsqueeze(1) @ keys).squeeze(1)
        return 3 * self.out(torch.cat([state, fed], 1)), Memory(memory.source, (state, fed)), weights


@pytest.fixture(scope="module")
def recurrent() -> Recurrent:
    torch.manual_seed(3)
    return Recurrent(12).eval()


def padded(rows, width=None):
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
    width = max([len(row) for row in rows], default=0) if width is None else width
    ids = torch.full((len(rows), width), PAD, dtype=torch.int64)
    for line, row in zip(ids, rows, strict=True):
        line[: len(row)] = torch.tensor(row, dtype=torch.int64)
    return ids, lengths


def penalty(length: int, alpha: float) -> float:
    return ((5 + length) / 6) ** alpha


def brute_force(model, source, spec, limit, alpha):
    """Every translation that ends within ``limit`` tokens, best first: ``(score, ids)``."""
    words = [id for id in range(spec.num_outputs) if id not in (UNK, PAD, spec.start_id, spec.eos_id)]
    found = []
    for length in range(limit):
        for ids in itertools.product(words, repeat=length):
            log = sum(model.logs(source, ids[:step], spec)[id] for step, id in enumerate([*ids, spec.eos_id]))
            found.append((log / penalty(length + 1, alpha), ids))
    return sorted(found, key=lambda one: -one[0])


def plain_beam(model, source, spec, options):
    """The same search for one sentence, told in lists, that never ends early: ``(finished, score, log, ids)``."""
    limit = max(1, math.floor(options.max_ratio * len(source)) + options.max_extra)
    live, ended = [(0.0, ())], []
    for step in range(1, limit + 1):
        candidates = []
        for log, ids in live:
            for id, value in enumerate(model.logs(source, ids, spec)):
                if id not in (UNK, PAD, spec.start_id) and value > -math.inf:
                    candidates.append((log + value, (*ids, id)))
        candidates.sort(key=lambda one: -one[0])
        divisor = penalty(step, options.length_penalty)
        for log, ids in candidates[: options.beam]:
            if ids[-1] == spec.eos_id:
                ended.append((True, log / divisor, log, ids[:-1]))
        live = [one for one in candidates if one[1][-1] != spec.eos_id][: options.beam]
        if options.beam == 1 and ended:
            break
    else:
        ended += [(False, log / divisor, log, ids) for log, ids in live]
    return sorted(ended, key=lambda one: (not one[0], -one[1]))[: options.nbest]


def told(hypotheses):
    return [(each.finished, each.ids) for each in hypotheses]


SOURCES = [[5, 6, 7], [2], [], [9, 9], [4, 3, 2, 8], [5, 6, 7]]


# ---- against every translation there is


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.5])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_beam_as_wide_as_there_are_translations_finds_the_best(seed, alpha):
    spec, model = spec_of(7), Told.drawn(seed, 7)
    options = Search(beam=200, nbest=12, length_penalty=alpha, max_ratio=0, max_extra=5)
    found = search(model, *padded(SOURCES), spec, options)
    for source, row in zip(SOURCES, found, strict=True):
        expected = brute_force(model, source, spec, 5, alpha)[:12]
        assert [each.ids for each in row] == [ids for _, ids in expected]
        assert [each.score for each in row] == pytest.approx([score for score, _ in expected], rel=1e-6, abs=1e-6)
        assert all(each.finished for each in row)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 10_000),
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.3, 1.0, 3.0]),
    st.sampled_from([5, 7, 12]),
    st.sampled_from([0.3, 1.0, 4.0]),
    st.lists(st.lists(st.integers(2, 19), max_size=5), min_size=1, max_size=6),
)
def test_search_says_what_a_plain_one_says_that_never_ends_early(seed, beam, nbest, alpha, size, scale, sources):
    spec, model = spec_of(size), Told.drawn(seed, size, scale)
    options = Search(beam=beam, nbest=min(beam, nbest), length_penalty=alpha, max_ratio=1.5, max_extra=2)
    found = search(model, *padded(sources), spec, options)
    for source, row in zip(sources, found, strict=True):
        expected = plain_beam(model, source, spec, options)
        assert told(row) == [(finished, ids) for finished, _, _, ids in expected]
        assert [each.score for each in row] == pytest.approx([score for _, score, _, _ in expected], 1e-6, 1e-6)
        assert [each.log_probability for each in row] == pytest.approx(
            [log for _, _, log, _ in expected], rel=1e-6, abs=1e-6
        )


def test_a_beam_finds_what_greed_misses():
    # After "2" nothing is likely, after "3" the end is; yet "2" is the likelier beginning.
    logits = torch.full((P, 6), -50.0)
    start = Told.after([4])
    logits[start, [2, 3]] = torch.tensor([0.6, 0.4]).log()
    logits[Told.after([4, 2])] = torch.tensor([-50.0, -50, 0, 0, -50, 0])
    logits[Told.after([4, 3]), 5] = 5.0
    model, inputs = Told(logits.expand(KINDS, P, 6)), padded([[7]])
    greedy, wide = (search(model, *inputs, spec_of(6), Search(beam=beam))[0][0] for beam in (1, 2))
    assert greedy.ids[0] == 2
    assert wide.ids == (3,)
    assert wide.score > greedy.score


# ---- each row for itself


def modes():
    return [
        Search(),
        Search(beam=3, nbest=3),
        Search(beam=4, nbest=2, length_penalty=0),
        Search(beam=5, length_penalty=0.6),
        Search(sampling=True, nbest=3, seed=4),
        Search(sampling=True, temperature=0.7, top_k=5, top_p=0.9),
    ]


@pytest.mark.parametrize("options", modes())
def test_a_sentence_gets_the_same_alone_and_in_any_batch(recurrent, options):
    spec = spec_of(12)
    together = search(recurrent, *padded(SOURCES), spec, options, attention=True)
    wider = search(recurrent, *padded(SOURCES, 9), spec, options, attention=True)
    turned = search(recurrent, *padded(SOURCES[::-1]), spec, options, attention=True)[::-1]
    for row, source in enumerate(SOURCES):
        alone = search(recurrent, *padded([source]), spec, options, attention=True)[0]
        for other in (together[row], wider[row], turned[row]):
            assert told(other) == told(alone)
            assert [each.score for each in other] == pytest.approx([each.score for each in alone], rel=1e-6, abs=1e-6)
            for mine, yours in zip(other, alone, strict=True):
                torch.testing.assert_close(mine.attention, yours.attention, atol=1e-6, rtol=0)
    assert len({tuple(told(row)) for row in together}) > 2  # the sentences do differ
    assert told(together[0]) == told(together[-1])  # and the same sentence does not


@pytest.mark.parametrize("options", modes())
def test_attention_goes_with_its_words(options):
    spec, model = spec_of(9), Told.drawn(2, 9)
    for source, row in zip(SOURCES, search(model, *padded(SOURCES), spec, options, attention=True), strict=True):
        for each in row:
            steps = len(each.ids) + each.finished
            assert each.attention.shape == (steps, len(source))
            assert not each.attention.is_inference()  # an ordinary tensor for whoever draws it
            assert each.attention.tolist() == model.looked(source, each.ids, spec, steps)
    assert search(model, *padded(SOURCES), spec, options)[0][0].attention is None


def test_a_model_that_does_not_look_has_no_attention():
    model = Told.drawn(0, 7)
    step = model.step
    model.step = lambda memory, ids: (*step(memory, ids)[:2], None)
    for options in modes():
        assert search(model, *padded(SOURCES), spec_of(7), options, attention=True)[0][0].attention is None


@pytest.mark.parametrize("options", modes())
def test_no_sentences_no_translations(options):
    assert search(Told.drawn(0, 7), *padded([]), spec_of(7), options) == []


# ---- the end


@pytest.mark.parametrize(
    "options",
    [
        Search(max_ratio=1.5, max_extra=1),
        Search(beam=3, nbest=3, max_ratio=1.5, max_extra=1),
        Search(sampling=True, nbest=2, max_ratio=1.5, max_extra=1),
    ],
)
def test_what_never_ends_is_cut_off_by_its_own_source(options):
    model = Told.drawn(1, 8)
    model.table[..., 7] = -math.inf
    for source, row in zip(SOURCES, search(model, *padded(SOURCES), spec_of(8), options), strict=True):
        assert len(row) == options.nbest
        for each in row:
            assert not each.finished
            assert len(each.ids) == 1 + int(1.5 * len(source))
            assert each.score == pytest.approx(each.log_probability / penalty(len(each.ids), 1.0))
    for row in search(model, *padded([[], []]), spec_of(8), Search(max_ratio=1, max_extra=0)):
        assert [len(each.ids) for each in row] == [1]


def test_what_ended_goes_before_what_was_cut_off():
    table = torch.full((P, 6), -50.0)
    table[:, 2] = 0.0
    table[Told.after([4]), [2, 5]] = torch.tensor([0.9, 0.1]).log()
    model = Told(table.expand(KINDS, P, 6))
    first, second = search(model, *padded([[3]]), spec_of(6), Search(beam=2, nbest=2, max_extra=1))[0]
    assert told([first, second]) == [(True, ()), (False, (2, 2, 2))]
    assert first.score < second.score


def test_a_tiny_vocabulary_has_fewer_than_asked_for():
    found = search(Told.drawn(0, 5), *padded([[3]]), spec_of(5), Search(beam=9, nbest=9, max_ratio=0, max_extra=2))[0]
    assert sorted(told(found)) == [(False, (2, 2)), (True, ()), (True, (2,))]


@pytest.mark.parametrize("options", modes())
def test_rows_leave_when_they_are_done(options):
    """The end is certain after one word for the first kind of source, and after five for the others."""
    table = torch.full((KINDS, P, 6), -60.0)
    table[..., 2] = 0.0
    kind = Told.kind(SOURCES[0])
    table[kind, Told.after([4, 2]), 5] = 60.0
    table[:, Told.after([4, 2, 2, 2, 2, 2]), 5] = 60.0
    model = Told(table)
    found = search(model, *padded(SOURCES), spec_of(6), options)
    kinds = [Told.kind(source) for source in SOURCES]
    assert [row[0].ids for row in found] == [(2,) if each == kind else (2,) * 5 for each in kinds]
    others = sum(each != kind for each in kinds)
    if options.nbest == options.beam == 1:
        assert model.asked == [len(SOURCES)] * 2 + [others] * 4
        moved = [first[0] is not second[0] for first, second in itertools.pairwise(model.sources)]
        assert moved == [False, True, False, False, False]  # nothing is copied while nobody leaves


def test_a_beam_stops_when_nothing_can_get_better():
    table = torch.full((KINDS, P, 9), -2.0)
    table[:, Told.after([7, 2]), 8] = 60.0
    table[:, Told.after([7]), 2] = 1.0
    model = Told(table)
    found = search(model, *padded(SOURCES), spec_of(9), Search(beam=4))
    assert {row[0].ids for row in found} == {(2,)}
    # What the penalty at the limit cannot lift above a sure end is not asked about, though its row goes on.
    long = Told(table)
    search(long, *padded(SOURCES), spec_of(9), Search(beam=4, nbest=4))
    assert len(model.asked) < len(long.asked)
    assert sum(model.asked) < sum(long.asked)
    none = Told(table)
    search(none, *padded(SOURCES), spec_of(9), Search(beam=4, length_penalty=0))
    assert len(none.asked) == 2  # without a penalty nothing gets better at all


def test_the_first_step_is_asked_once_for_all_beams_and_what_is_known_of_sources_stays_while_beams_move():
    model = Told.drawn(5, 12, 0.1)
    model.table[..., 11] = -30.0  # nobody leaves before the limit
    search(model, *padded(SOURCES), spec_of(12), Search(beam=4, nbest=4, max_ratio=0, max_extra=6))
    assert model.asked == [len(SOURCES)] + [4 * len(SOURCES)] * 5
    assert len({id(source) for source, *_ in model.sources[1:]}) == 1
    model = Told.drawn(5, 12)
    search(model, *padded(SOURCES), spec_of(12), Search(sampling=True, nbest=3))
    assert model.asked[:2] == [len(SOURCES), model.asked[1]]
    assert len(SOURCES) < model.asked[1] <= 3 * len(SOURCES)


# ---- what is written


@pytest.mark.parametrize("options", modes())
def test_padding_start_and_the_unknown_are_never_written(options):
    model = Told.drawn(3, 9)
    model.table[..., [UNK, PAD, 7]] += 30
    for row in search(model, *padded(SOURCES), spec_of(9), options):
        for each in row:
            assert each.log_probability < -20  # as the model has it: what it would rather say counts
            assert set(each.ids) <= {2, 3, 4, 5, 6}
            assert isinstance(each, Hypothesis)


@pytest.mark.parametrize("options", modes())
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_answers_that_are_no_numbers_are_refused(options, bad):
    model = Told.drawn(0, 9)
    model.table[Told.kind(SOURCES[1]), :] = bad
    with pytest.raises(InputError, match="not finite"):
        search(model, *padded(SOURCES), spec_of(9), options)


def test_a_model_in_training_is_not_asked(recurrent):
    recurrent.train()
    with pytest.raises(AssertionError, match="eval"):
        search(recurrent, *padded(SOURCES), spec_of(12), Search())
    recurrent.eval()


def test_of_equals_the_lower_id_and_the_better_beam_come_first():
    model = Told(torch.zeros(KINDS, P, 8))
    model.table[..., 7] = -30.0
    options = Search(beam=3, nbest=3, max_ratio=0, max_extra=2)
    assert [each.ids for each in search(model, *padded([[3]]), spec_of(8), options)[0]] == [(2, 2), (2, 3), (2, 4)]
    assert search(model, *padded([[3]]), spec_of(8), Search(max_ratio=0, max_extra=2))[0][0].ids == (2, 2)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 9), st.integers(0, 1000), st.integers(1, 30))
def test_the_largest_are_those_of_a_stable_sort(size, rows, k, seed, levels):
    said = torch.randint(levels, (rows, size), generator=torch.Generator().manual_seed(seed)).float()
    values, ids = _largest(said, k)
    expected, order = said.sort(dim=-1, descending=True, stable=True)
    assert torch.equal(values, expected[:, :k])
    assert torch.equal(ids, order[:, :k])


# ---- chance


def test_translations_are_drawn_as_often_as_their_probability_says():
    spec, model, source = spec_of(6), Told.drawn(4, 6, 1.0), [3, 4]
    model.table[..., [UNK, PAD, 4]] = -math.inf  # so that what is never written takes no share
    drawn = search(model, *padded([source]), spec, Search(sampling=True, nbest=3000, max_ratio=0, max_extra=3))[0]
    assert len(drawn) == 3000
    seen = {}
    for each in drawn:
        seen[each.ids, each.finished] = seen.get((each.ids, each.finished), 0) + 1
        assert each.log_probability == pytest.approx(
            sum(model.logs(source, each.ids[:i], spec)[id] for i, id in enumerate(each.ids))
            + (model.logs(source, each.ids, spec)[5] if each.finished else 0),
            abs=1e-5,
        )
    expected = {(each.ids, each.finished): 3000 * math.exp(each.log_probability) for each in drawn}
    assert sum(expected.values()) == pytest.approx(3000, rel=0.02)  # nearly all of them were drawn
    off = sum((seen[one] - mean) ** 2 / mean for one, mean in expected.items() if mean > 5)
    assert off < 35  # chi square of at most 14 degrees of freedom: 1 in 1000
    assert [each.score for each in drawn if each.finished] == sorted(
        (each.score for each in drawn if each.finished), reverse=True
    )


def test_not_even_the_smallest_chance_draws_what_has_no_share():
    said = torch.tensor([[-math.inf, -math.inf, 0.3, 0.7, -math.inf]]).log_softmax(-1)
    ends = torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)
    assert _draw(said, torch.zeros(2, dtype=torch.int64), ends, Search(sampling=True))[1].tolist() == [2, 3]


def test_the_seed_decides_and_no_global_chance_is_touched(recurrent):
    spec, inputs = spec_of(12), padded(SOURCES)
    before = torch.get_rng_state()
    first, again, other = (
        [told(row) for row in search(recurrent, *inputs, spec, Search(sampling=True, seed=seed))] for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert first == again != other


def test_a_sample_does_not_depend_on_how_many_are_drawn(recurrent):
    few, many = (
        search(recurrent, *padded(SOURCES), spec_of(12), Search(sampling=True, nbest=nbest)) for nbest in (2, 6)
    )
    for short, long in zip(few, many, strict=True):
        assert set(told(short)) <= set(told(long))
        assert len(set(told(long))) > 1


def test_sentences_do_not_share_their_luck():
    model = Told(torch.zeros(KINDS, P, 30))
    model.table[..., 29] = -math.inf
    sources = [[2, 3], [3, 2], [2, 2, 3]]
    options = Search(sampling=True, max_ratio=0, max_extra=20)
    assert len({row[0].ids for row in search(model, *padded(sources), spec_of(30), options)}) == 3


@pytest.mark.parametrize(("top_k", "top_p"), [(3, None), (3, 0.6), (None, 0.6), (99, 0.999)])
def test_what_is_drawn_is_what_sampling_keeps(top_k, top_p):
    spec, model, source = spec_of(12), Told.drawn(6, 12, 1.0), [3, 4]
    options = Search(sampling=True, temperature=1.3, top_k=top_k, top_p=top_p, nbest=2000, max_ratio=0, max_extra=1)
    drawn = [(*each.ids, spec.eos_id)[0] for each in search(model, *padded([source]), spec, options)[0]]
    logits = torch.tensor([model.logs(source, [], spec)])
    logits[:, [UNK, PAD, spec.start_id]] = -math.inf
    expected = 2000 * Sampling(1.3, top_k, top_p).probabilities(logits)[0]
    counts = torch.bincount(torch.tensor(drawn), minlength=12)
    assert not counts[expected == 0].any()
    kept = expected > 0
    assert ((counts[kept] - expected[kept]) ** 2 / expected[kept]).sum() < 26  # chi square of at most 8: 1 in 1000


@pytest.mark.parametrize("options", [{"top_k": 1}, {"top_p": 1e-6}, {"temperature": 1e-6}])
def test_with_no_chance_left_sampling_is_greedy(recurrent, options):
    greedy = search(recurrent, *padded(SOURCES), spec_of(12), Search())
    drawn = search(recurrent, *padded(SOURCES), spec_of(12), Search(sampling=True, **options))
    assert [told(row) for row in drawn] == [told(row) for row in greedy]


# ---- options


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"beam": 0}, "beam=0"),
        ({"nbest": 0}, "nbest=0"),
        ({"nbest": 6, "beam": 5}, "nbest=6 is more than beam=5"),
        ({"nbest": 2}, "raise beam to 2"),
        ({"length_penalty": -0.1}, "length_penalty=-0.1"),
        ({"length_penalty": math.nan}, "length_penalty"),
        ({"max_ratio": -1.0}, "max_ratio=-1"),
        ({"max_ratio": math.inf}, "max_ratio=inf"),
        ({"max_ratio": 1e30}, "at most 1,000 and 100,000"),
        ({"max_ratio": math.nan}, "max_ratio=nan"),
        ({"max_extra": -1}, "max_extra=-1"),
        ({"max_extra": 10**9}, "max_extra=1000000000"),
        ({"max_ratio": 0.0, "max_extra": 0}, "not both 0"),
        ({"sampling": True, "beam": 5}, "sampling draws token by token"),
        ({"temperature": 0.5}, "sampling=true"),
        ({"top_k": 5}, "sampling=true"),
        ({"top_p": 0.5}, "sampling=true"),
        ({"sampling": True, "temperature": 0.0}, "temperature=0"),
        ({"sampling": True, "top_k": 0}, "top_k=0"),
        ({"sampling": True, "top_p": 1.5}, "top_p=1.5"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, said):
    with pytest.raises(InputError, match=said):
        Search(**options)
