"""Language models: a stream says what the whole text would have said; the worked example of the lectures."""

import pytest
import torch

from seqlab.models import Embedding, LanguageModel, TokenHead
from seqlab.nn import Recurrent
from seqlab.types import InputError

V = 11


def model(cell="lstm", num_layers=1, tied=False, kind="random", hidden=9, dim=6, **options) -> LanguageModel:
    torch.manual_seed(0)
    embedding = Embedding(V, None if kind == "onehot" else dim, pad_id=1, kind=kind)
    encoder = Recurrent(embedding.output_size, cell, hidden, num_layers, **options)
    return LanguageModel(embedding, encoder, TokenHead(hidden, V, tied=embedding.weight if tied else None)).eval()


def ids(B: int, T: int) -> torch.Tensor:
    return torch.randint(2, V, (B, T), generator=torch.Generator().manual_seed(B * T))


def whole(asked: LanguageModel, text: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return asked(text, torch.full((len(text),), text.shape[1])).logits


@pytest.mark.parametrize("options", [
    {"cell": "lstm"}, {"cell": "gru", "num_layers": 2, "tied": True}, {"cell": "rnn", "kind": "onehot"},
    {"cell": "layernorm_lstm"}, {"cell": "qrnn", "num_layers": 2}, {"cell": "mut1", "residual": True, "num_layers": 2},
])  # fmt: skip
@pytest.mark.parametrize(("B", "T"), [(1, 1), (1, 40), (3, 25), (17, 8)])
def test_a_stream_has_the_bits_of_the_whole_text(options, B, T):
    asked, text = model(**options), ids(B, T)
    stream = asked.stream(B)
    said = torch.stack([stream.push(text[:, t]) for t in range(T)], 1)
    assert torch.equal(said, whole(asked, text))


def test_a_prompt_read_at_once_and_a_state_put_back_change_no_bit():
    asked, text = model("gru", 2), ids(2, 30)
    said = whole(asked, text)
    stream = asked.stream(2)
    assert torch.equal(stream.read(text[:, :20]), said[:, 19])
    kept = [tuple(part.clone() for part in each) for each in stream.state]
    assert torch.equal(stream.push(text[:, 20]), said[:, 20])
    other = asked.stream(2)
    other.state = tuple(kept)
    assert torch.equal(other.push(text[:, 20]), said[:, 20])


def test_many_streams_of_one_model_do_not_disturb_each_other_and_one_row_can_be_forgotten():
    asked, text = model(), ids(2, 12)
    first, second = asked.stream(2), asked.stream(2)
    first.read(text)
    assert torch.equal(second.push(text[:, 0]), whole(asked, text[:, :1])[:, 0])
    first.reset(0)
    said = first.push(text[:, 0])
    assert torch.equal(said[0], whole(asked, text[:, :1])[0, 0])
    assert not torch.equal(said[1], whole(asked, text[:, :1])[1, 0])
    first.reset()
    assert torch.equal(first.push(text[:, 0]), whole(asked, text[:, :1])[:, 0])


@pytest.mark.parametrize("asked", [torch.zeros(3, dtype=torch.long), torch.zeros(2, 1, dtype=torch.long)])
def test_a_stream_refuses_another_number_of_texts(asked):
    with pytest.raises(InputError, match="one token of each of 2 texts"):
        model().stream(2).push(asked)
    with pytest.raises(InputError, match="at least one token for each of 2 texts"):
        model().stream(2).read(asked.view(-1, 1)[:1])


@pytest.mark.parametrize("asked", [torch.tensor([0, 999]), torch.tensor([-1, 0]), torch.tensor([0.5, 1.0])])
def test_a_stream_refuses_what_is_no_token(asked):
    for ask in (model().stream(2).push, lambda ids: model().stream(2).read(ids.unsqueeze(1))):
        with pytest.raises(InputError, match=r"ids must be whole numbers from 0 to \d+, not \["):
            ask(asked)
    with pytest.raises(InputError, match=r"a tensor of ids of shape \(2,\), not 5"):
        model().stream(2).push(5)


def test_a_model_in_training_mode_does_not_stream():
    with pytest.raises(InputError, match="eval"):
        model().train().stream()


def test_an_encoder_that_reads_ahead_is_refused():
    embedding = Embedding(V, 6, pad_id=1)
    with pytest.raises(InputError, match="must not see the token that it is to predict"):
        LanguageModel(embedding, Recurrent(6, "lstm", 8, bidirectional=True), TokenHead(16, V))


def test_tied_weights_are_one_parameter_that_learns_from_both_sides():
    for hidden in (6, 9):  # as wide as the embedding, and through a linear map
        asked = model(tied=True, hidden=hidden).train()
        assert asked.head.output.weight is asked.embedding.weight
        assert (asked.head.project is None) == (hidden == 6)
        assert sum(p.shape == (V, 6) for p in asked.parameters()) == 1
        asked(ids(2, 5), torch.tensor([5, 5])).logits.sum().backward()
        assert asked.embedding.weight.grad[0].abs().sum() > 0  # token 0 was not read: the gradient is the output's


def test_variational_dropout_drops_the_same_numbers_at_every_step():
    torch.manual_seed(0)
    embedding = Embedding(V, 50, pad_id=1, dropout=0.5, variational=True)
    text = ids(3, 7)
    embedded = embedding(text)
    dropped = (embedded == 0).all(1)
    assert 0.3 < dropped.float().mean() < 0.7
    kept = embedded != 0
    assert torch.equal(kept.any(1), kept.all(1))
    assert not torch.equal(kept[0], kept[1])
    head = TokenHead(50, V, dropout=0.5, variational=True)
    once = head.drop(torch.ones(2, 5, 50))
    assert torch.equal(once[:, :1].expand(-1, 5, -1), once)
    assert set(once.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(head.eval().drop(torch.ones(2, 5, 50)), torch.ones(2, 5, 50))


def test_the_lectures_four_letters():
    """h_t = tanh(U x_t + w h_{t-1} + b), scores V h_t, over the letters h, e, l, o; after "he" the likeliest is h."""
    U = [[0.287027, 0.84606, 0.572392, 0.486813], [0.902874, 0.871522, 0.691079, 0.18998],
         [0.537524, 0.09224, 0.558159, 0.491528]]  # fmt: skip
    to_scores = [[0.37168, 0.974829459, 0.830034886], [0.39141, 0.282585823, 0.659835709],
                 [0.64985, 0.09821557, 0.334287084], [0.91266, 0.32581642, 0.144630018]]  # fmt: skip
    letters = ["<unk>", "<pad>", "h", "e", "l", "o"]
    embedding = Embedding(len(letters), pad_id=1, kind="onehot")
    asked = LanguageModel(embedding, Recurrent(6, "rnn", 3), TokenHead(3, 6)).eval()
    cell = asked.encoder.layers[0].directions[0].cell
    with torch.no_grad():
        cell.ih.weight.zero_()[:, 2:] = torch.tensor(U)
        cell.ih.bias.fill_(0.567001)
        cell.hh.weight.copy_(0.427043 * torch.eye(3))
        cell.hh.bias.zero_()
        asked.head.output.weight.zero_()[2:] = torch.tensor(to_scores)
        asked.head.output.bias.zero_()
    stream = asked.stream()
    stream.push(torch.tensor([letters.index("h")]))
    assert stream.state[0][0][0].tolist() == pytest.approx([0.69316794, 0.89955361, 0.80211853], abs=1e-5)
    scores = stream.push(torch.tensor([letters.index("e")]))[0, 2:]
    assert stream.state[0][0][0].tolist() == pytest.approx([0.93653377, 0.94910407, 0.76234074], abs=1e-5)
    assert scores.tolist() == pytest.approx([1.90607489, 1.13779168, 0.95666393, 1.27422796], abs=1e-5)
    probabilities = scores.softmax(0)
    assert probabilities.tolist() == pytest.approx([0.41974716, 0.19468236, 0.16242909, 0.22314139], abs=1e-5)
    assert letters[2:][int(probabilities.argmax())] == "h"
