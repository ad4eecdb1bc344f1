"""Language modeling: cold windows and streams apart, nats and bits right, padding never counts."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from seqlab.models import Prediction
from seqlab.tasks.language_modeling import LanguageModeling
from seqlab.types import Batch, Encoded, InputError

V = 4


class Says(nn.Module):
    """The same logits at every step; outputs that change by one from step to step."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, inputs, lengths, state=None):
        B, T = inputs.shape
        outputs = torch.arange(T).float().expand(B, T).unsqueeze(2).expand(B, T, 2)
        encoded = Encoded(outputs, outputs[:, -1], lengths, state or ((torch.zeros(B, 1),),))
        return Prediction(self.logits.expand(B, T, V), encoded, 2 * outputs)


def batch(targets: list[list[int]], lengths: list[int], fresh=None) -> Batch:
    asked = torch.tensor(targets)
    return Batch(torch.zeros_like(asked), torch.tensor(lengths), asked, torch.arange(len(asked)), fresh)


def nats(logits: list[float], token: int) -> float:
    return float(-torch.tensor(logits).log_softmax(0)[token])


def test_each_protocol_has_its_own_numbers():
    logits = [0.0, 1.0, 2.0, 3.0]
    task, model = LanguageModeling(V, characters=[0, 0, 1, 3], cold=2), Says(logits).eval()
    assert task.monitor == "cold_2_loss"
    assert not task.maximize
    meter = task.meter()
    cold = batch([[2, 3], [3, 0]], [2, 1])  # what stands at padding is no matter
    stream = batch([[2, 2]], [2], fresh=torch.tensor([True]))
    for asked in (cold, stream):
        loss = task.loss(model, asked)
        assert loss.count == int(asked.lengths.sum())
        meter.update(loss, asked)
    found = meter.compute()
    total = nats(logits, 2) + 2 * nats(logits, 3)
    assert found["cold_2_loss"] == pytest.approx(total / 3)
    assert found["cold_2_perplexity"] == pytest.approx(math.exp(total / 3))
    assert found["cold_2_bits_per_character"] == pytest.approx(total / math.log(2) / (1 + 3 + 3))
    assert found["stream_loss"] == pytest.approx(nats(logits, 2))
    assert found["stream_bits_per_character"] == pytest.approx(nats(logits, 2) / math.log(2))
    means, counts = meter.by_position
    assert counts.tolist() == [2, 1]
    assert means == pytest.approx(np.array([(nats(logits, 2) + nats(logits, 3)) / 2, nats(logits, 3)]))


def test_words_have_no_bits_per_character():
    task = LanguageModeling(V)
    meter = task.meter()
    asked = batch([[2, 3]], [2])
    meter.update(task.loss(Says([0.0] * V).eval(), asked), asked)
    assert set(meter.compute()) == {"cold_256_loss", "cold_256_perplexity"}
    assert meter.compute()["cold_256_loss"] == pytest.approx(math.log(V))


def test_the_stream_may_decide():
    assert LanguageModeling(V, decides="stream").monitor == "stream_loss"
    with pytest.raises(InputError, match="choose cold or stream"):
        LanguageModeling(V, decides="warm")


def test_activation_regularisation_is_of_training_alone_and_passes_padding_by():
    model, asked = Says([0.0] * V), batch([[1, 1, 1], [1, 1, 1]], [3, 2])
    plain = LanguageModeling(V).loss(model, asked).total
    squares = (4 * 0 + 4 * 1 + 4 * 4 + 4 * 0 + 4 * 1) / 5  # of what the output layer reads, (2 t)^2
    with_both = LanguageModeling(V, activation=0.5, temporal_activation=0.25)
    total = with_both.loss(model.train(), asked).total
    assert float(total - plain) == pytest.approx(5 * (0.5 * squares + 0.25 * 1.0), rel=1e-5)
    assert float(with_both.loss(model.eval(), asked).total) == pytest.approx(float(plain))


def test_label_smoothing_is_of_training_alone():
    model, asked = Says([0.0, 1.0, 2.0, 3.0]), batch([[3]], [1])
    smooth, plain = LanguageModeling(V, label_smoothing=0.1), LanguageModeling(V)
    assert float(smooth.loss(model.train(), asked).total) > float(plain.loss(model.train(), asked).total)
    assert float(smooth.loss(model.eval(), asked).total) == float(plain.loss(model.eval(), asked).total)


@pytest.mark.parametrize("options", [{"num_outputs": 1}, {"label_smoothing": 1.0}, {"activation": -1.0}])
def test_bad_options_are_one_sentence(options):
    with pytest.raises(InputError):
        LanguageModeling(**{"num_outputs": V, **options})


def test_the_state_is_handed_on():
    state = ((torch.ones(1, 1),),)
    asked = Batch(torch.zeros(1, 2, dtype=torch.long), torch.tensor([2]), torch.ones(1, 2, dtype=torch.long),
                  torch.arange(1), torch.tensor([False]), state)  # fmt: skip
    assert LanguageModeling(V).loss(Says([0.0] * V), asked).state is state
