"""Translation: what is counted and what is not, how forcing goes, and what a pass tells."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from seqlab.models.translator import Spoken
from seqlab.tasks.translation import Translation
from seqlab.types import Batch, InputError

V, PAD, START, EOS = 7, 1, 5, 6
LOGITS = [0.3, -1.0, 0.5, 2.0, -0.5, 0.1, 1.0]


class Says(nn.Module):
    """The same logits at every step; keeps what it was asked."""

    def __init__(self, logits: list[float] = LOGITS) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))
        self.asked: list[tuple] = []

    def forward(self, inputs, lengths, targets, target_lengths, forcing=1.0):
        self.asked.append((inputs, lengths, targets, target_lengths, forcing))
        return Spoken(self.logits.expand(*targets.shape, V))


def batch(rows: list[list[int]], wider: int = 0, texts=((), ()), progress: float = 0.0) -> Batch:
    """Targets of these tokens; sources of as many."""
    U = max(map(len, rows)) + 1 + wider
    targets = torch.full((len(rows), 1 + U), PAD)
    inputs = torch.full((len(rows), U), PAD)
    for row, ids in enumerate(rows):
        targets[row, : len(ids) + 2] = torch.tensor([START, *ids, EOS])
        inputs[row, : len(ids) + 1] = torch.tensor([*ids, EOS])
    lengths = torch.tensor([len(ids) + 1 for ids in rows])
    return Batch(inputs, lengths, targets, torch.arange(len(rows)), target_lengths=lengths.clone(), texts=texts,
                 progress=progress)  # fmt: skip


def nats(token: int) -> float:
    return math.log(sum(map(math.exp, LOGITS))) - LOGITS[token]


def text(ids) -> str:
    return " ".join(str(int(id)) for id in ids)


# The loss -----------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(2, 4), max_size=5), min_size=1, max_size=4),
    wider=st.integers(0, 4),
    training=st.booleans(),
)
def test_every_target_token_counts_and_padding_never(rows, wider, training):
    asked = batch(rows, wider)
    found = Translation(V, PAD).loss(Says().train(training), asked)
    assert found.count == sum(len(ids) + 1 for ids in rows)
    wanted = sum(nats(token) for ids in rows for token in [*ids, EOS])
    assert float(found.total.detach()) == pytest.approx(wanted, rel=1e-5)
    assert found.said is None


def test_what_stands_at_padding_moves_nothing():
    class Uneven(Says):
        def forward(self, inputs, lengths, targets, target_lengths, forcing=1.0):
            told = super().forward(inputs, lengths, targets, target_lengths)
            return Spoken(told.logits + self.noise)

    asked, task = batch([[2, 3, 4], [2]]), Translation(V, PAD, label_smoothing=0.2)
    totals, gradients = [], []
    for scale in (0.0, 50.0):
        model = Uneven()
        model.noise = torch.zeros(2, 4, V)
        model.noise[1, 2:] = scale * torch.randn(2, V)
        total = task.loss(model, asked).total
        total.backward()
        totals.append(total.detach())
        gradients.append(model.logits.grad)
    torch.testing.assert_close(totals[0], totals[1])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_the_model_reads_start_first_and_never_the_last_id():
    model, asked = Says(), batch([[2, 3, 4], [2]])
    Translation(V, PAD).loss(model, asked)
    inputs, lengths, given_ids, counted, forcing = model.asked[0]
    assert given_ids.tolist() == [[START, 2, 3, 4], [START, 2, EOS, PAD]]
    assert inputs is asked.inputs
    assert lengths is asked.lengths
    assert counted.tolist() == [4, 2]
    assert forcing == 1.0


def test_label_smoothing_is_of_training_alone_and_has_its_closed_form():
    asked, smooth, plain = batch([[2, 3], []]), Translation(V, PAD, label_smoothing=0.1), Translation(V, PAD)
    tokens = [2, 3, EOS, EOS]
    uniform = sum(map(nats, range(V))) / V
    wanted = sum(0.9 * nats(token) + 0.1 * uniform for token in tokens)
    assert float(smooth.loss(Says().train(), asked).total.detach()) == pytest.approx(wanted, rel=1e-5)
    assert float(smooth.loss(Says().eval(), asked).total.detach()) == pytest.approx(sum(map(nats, tokens)), rel=1e-5)
    assert float(plain.loss(Says().train(), asked).total.detach()) == pytest.approx(sum(map(nats, tokens)), rel=1e-5)


def test_the_gradient_is_what_was_said_less_what_was_asked():
    model, asked = Says(), batch([[2, 3], [4]])
    Translation(V, PAD).loss(model, asked).total.backward()
    counts = torch.bincount(torch.tensor([2, 3, EOS, 4, EOS]), minlength=V)
    torch.testing.assert_close(model.logits.grad, 5 * model.logits.detach().softmax(0) - counts)


def test_the_loss_is_taken_in_float32():
    class Half(Says):
        def forward(self, *given_ids):
            return Spoken(super().forward(*given_ids).logits.bfloat16())

    asked = batch([[2, 3, 4, 2, 3]] * 40)
    total = Translation(V, PAD).loss(Half().eval(), asked).total
    assert total.dtype == torch.float32
    rounded = torch.tensor(LOGITS).bfloat16().float()
    wanted = 40 * F.cross_entropy(rounded.expand(6, V), torch.tensor([2, 3, 4, 2, 3, EOS]), reduction="sum")
    assert float(total.detach()) == pytest.approx(float(wanted), rel=1e-6)


# Forcing ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "at"), [
    ({}, {0.0: 1.0, 0.5: 1.0, 1.0: 1.0}),
    ({"forcing": 0.7}, {0.0: 0.7, 1.0: 0.7}),
    ({"forcing_schedule": "linear", "forcing_end": 0.2}, {0.0: 1.0, 0.25: 0.8, 0.5: 0.6, 1.0: 0.2}),
    ({"forcing_schedule": "linear", "forcing": 0.2, "forcing_end": 0.6}, {0.0: 0.2, 0.5: 0.4, 1.0: 0.6}),
    ({"forcing_schedule": "exponential", "forcing_end": 0.25}, {0.0: 1.0, 0.5: 0.5, 1.0: 0.25}),
    ({"forcing_schedule": "exponential", "forcing_end": 0.0}, {0.0: 1.0, 0.5: 0.1, 1.0: 0.01}),
    ({"forcing_schedule": "exponential", "forcing": 0.0, "forcing_end": 0.25}, {0.0: 0.01, 0.5: 0.05, 1.0: 0.25}),
    ({"forcing_schedule": "inverse_sigmoid", "forcing_end": 0.0}, {0.0: 1 / (1 + math.exp(-5)), 0.5: 0.5,
                                                                  1.0: 1 / (1 + math.exp(5))}),
    ({"forcing_schedule": "inverse_sigmoid", "forcing": 0.8, "forcing_end": 0.4}, {0.5: 0.6}),
])  # fmt: skip
def test_schedules_go_from_one_forcing_to_the_other(options, at):
    task = Translation(V, PAD, **options)
    for progress, wanted in at.items():
        assert task.forced(progress) == pytest.approx(wanted)


@settings(max_examples=50, deadline=None)
@given(
    schedule=st.sampled_from(["linear", "exponential", "inverse_sigmoid"]),
    ends=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    moments=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_every_schedule_is_a_probability_that_goes_one_way(schedule, ends, moments):
    task = Translation(V, PAD, forcing=ends[0], forcing_end=ends[1], forcing_schedule=schedule)
    earlier, later = (task.forced(moment) for moment in sorted(moments))
    assert 0 <= earlier <= 1
    assert 0 <= later <= 1
    if schedule != "exponential":  # where that begins at 0, it stays there
        assert (later - earlier) * (ends[1] - ends[0]) >= -1e-9


def test_training_is_forced_as_far_as_it_is_and_measuring_wholly():
    task, model = Translation(V, PAD, forcing_end=0.0, forcing_schedule="linear"), Says()
    for progress in (0.0, 0.25, 1.0):
        for training in (True, False):
            task.loss(model.train(training), batch([[2]], progress=progress))
    assert [asked[-1] for asked in model.asked] == [1.0, 1.0, 0.75, 1.0, 0.0, 1.0]


@pytest.mark.parametrize(("options", "says"), [
    ({"label_smoothing": 1.0}, "label_smoothing is 1.0"),
    ({"label_smoothing": -0.1}, "label_smoothing is -0.1"),
    ({"forcing": 1.5}, "task.forcing=1.5 is no probability"),
    ({"forcing_end": -0.5, "forcing_schedule": "linear"}, "task.forcing_end=-0.5 is no probability"),
    ({"forcing": 0.9, "forcing_end": 0.5}, "task.forcing_end=0.5 is never reached with .*schedule=constant"),
])  # fmt: skip
def test_bad_options_are_one_sentence(options, says):
    with pytest.raises(InputError, match=says) as raised:
        Translation(V, PAD, **options)
    assert "\n" not in str(raised.value)


# What the model writes, and the meter -------------------------------------------------------------------------------

TEXTS = (["zwei", "drei vier"], ["2", "3 4"])


def test_it_writes_where_there_are_texts_and_only_while_it_is_measured():
    calls = []

    def write(model, inputs, lengths):
        calls.append((inputs, lengths))
        return [[2]] * len(inputs)

    task, asked = Translation(V, PAD, text, write), batch([[2], [3, 4]], texts=TEXTS)
    assert task.loss(Says().train(), asked).said is None
    assert task.loss(Says().eval(), batch([[2], [3, 4]])).said is None
    assert Translation(V, PAD, text).loss(Says().eval(), asked).said is None
    assert not calls
    assert task.loss(Says().eval(), asked).said == [[2], [2]]
    assert calls[0][0] is asked.inputs
    assert calls[0][1] is asked.lengths


def test_it_writes_in_float32_whatever_is_around():
    seen = []

    def write(model, inputs, lengths):
        seen.append((torch.ones(2, 2) @ torch.ones(2, 2)).dtype)
        return [[2]] * len(inputs)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        Translation(V, PAD, text, write).loss(Says().eval(), batch([[2], [3, 4]], texts=TEXTS))
    assert seen == [torch.float32]


def test_the_meter_adds_up_tokens_over_batches():
    task, model = Translation(V, PAD), Says().eval()  # it always says 3
    meter = task.meter()
    for asked in (batch([[3, 2], [3]]), batch([[4, 3, 3]], wider=2)):
        meter.update(task.loss(model, asked), asked)
    tokens = [3, 2, EOS, 3, EOS, 4, 3, 3, EOS]
    loss = sum(map(nats, tokens)) / 9
    assert meter.compute() == pytest.approx({"loss": loss, "perplexity": math.exp(loss), "token_accuracy": 4 / 9})
    assert meter.index == []


def test_the_meter_scores_what_was_written_and_knows_whose_it_is():
    said = {(2, EOS): [2], (3, 4, EOS): [4, 3], (3, EOS): []}

    def write(model, inputs, lengths):
        return [said[tuple(row[:length])] for row, length in zip(inputs.tolist(), lengths.tolist(), strict=True)]

    task, model = Translation(V, PAD, text, write), Says().eval()
    meter = task.meter()
    first = replace(batch([[2], [3, 4]], texts=TEXTS), index=torch.tensor([7, 3]))
    last = replace(batch([[3]], texts=(["drei"], ["3"])), index=torch.tensor([5]))
    for asked in (first, last):
        meter.update(task.loss(model, asked), asked)
    assert meter.index == [7, 3, 5]
    assert meter.scores.sources == ["zwei", "drei vier", "drei"]
    assert meter.scores.said == ["2", "4 3", ""]
    assert meter.scores.references == ["2", "3 4", "3"]
    assert meter.scores.lengths == [1, 2, 1]  # EOS is no word
    found = meter.compute()
    assert set(found) == {"loss", "perplexity", "token_accuracy", "bleu", "bleu_lower", "chrf", "exact"}
    assert found["exact"] == pytest.approx(1 / 3)


def test_without_texts_there_are_no_scores():
    task, asked = Translation(V, PAD, text, lambda model, inputs, lengths: [[2]] * len(inputs)), batch([[2]])
    meter = task.meter()
    meter.update(task.loss(Says().eval(), asked), asked)
    assert set(meter.compute()) == {"loss", "perplexity", "token_accuracy"}


def test_a_perplexity_beyond_all_numbers_is_still_a_number():
    task, asked = Translation(V, PAD), batch([[2]])
    meter = task.meter()
    meter.update(task.loss(Says([0.0, 0.0, -1e5, 0.0, 0.0, 0.0, 0.0]).eval(), asked), asked)
    assert math.isfinite(meter.compute()["perplexity"])


@pytest.mark.parametrize(("decides", "told"), [
    ("bleu", "bleu"), ("bleu_lower", "bleu_lower"), ("chrf", "chrf"), ("exact", "exact"), ("loss", "bleu_lower"),
])  # fmt: skip
def test_what_decides_is_told_last(decides, told):
    task = Translation(V, PAD, decides=decides)
    assert (task.monitor, task.maximize) == (decides, decides != "loss")
    assert task.headline[-1] == told
