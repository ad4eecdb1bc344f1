"""The encoder-decoder: its two ways through a target agree, padding is nothing to it, every bridge fits."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional as F

from seqlab.errors import InputError
from seqlab.models import Embedding, TokenHead
from seqlab.models.attention_decoder import AttentionDecoder, Bridge
from seqlab.models.seq2seq import Seq2Seq
from seqlab.nn import TCN, BagOfWords, Recurrent, TransformerEncoder

V, PAD, START = 11, 1, 9
ATTENTIONS = [(kind, feeds) for kind in ("dot", "general", "additive", "multihead") for feeds in (False, True)]
ATTENTIONS.append(("none", False))


def make(encoder=None, bridge="dense", tied=False, dropout=0.0, share=False, seed=0, **options):
    torch.manual_seed(seed)
    embedding = Embedding(V, 6, pad_id=PAD, dropout=dropout)
    encoder = encoder or Recurrent(6, "gru", 4, bidirectional=True)
    target = embedding if share else Embedding(V, 6, pad_id=PAD, dropout=dropout)
    decoder = AttentionDecoder(6, encoder.output_size, **{"hidden_size": 8, "num_heads": 2, **options})
    head = TokenHead(decoder.output_size, V, dropout, tied=target.weight if tied else None)
    return Seq2Seq(embedding, encoder, Bridge(encoder, decoder.recurrent, bridge), target, decoder, head)


def batch(lengths=(5, 3, 1), asked=(4, 1, 3), wider=0):
    torch.manual_seed(1)
    inputs, targets = torch.randint(2, START, (3, 5)), torch.randint(2, START, (3, 5))
    targets[:, 0] = START
    inputs, targets = F.pad(inputs, (0, wider), value=PAD), F.pad(targets, (0, wider), value=PAD)
    lengths, asked = torch.tensor(lengths), torch.tensor(asked)
    inputs[torch.arange(5 + wider) >= lengths[:, None]] = PAD
    targets[torch.arange(5 + wider) > asked[:, None]] = PAD
    return inputs, lengths, targets, asked


def total(model, inputs, lengths, targets, asked, forcing=1.0):
    said = model(inputs, lengths, targets[:, :-1], asked, forcing)
    return F.cross_entropy(said.logits.flatten(0, 1), targets[:, 1:].flatten(), ignore_index=PAD, reduction="sum")


@pytest.mark.parametrize(("attention", "feeds"), ATTENTIONS)
@pytest.mark.parametrize(("cell", "layers"), [("gru", 1), ("lstm", 2), ("rnn", 1)])
def test_step_by_step_is_the_whole_pass(attention, feeds, cell, layers):
    model = make(attention=attention, input_feeding=feeds, cell=cell, num_layers=layers).eval()
    inputs, lengths, targets, asked = batch()
    whole = model(inputs, lengths, targets[:, :-1], asked)
    memory = model.begin(inputs, lengths)
    for u in range(4):
        logits, memory, looked = model.step(memory, targets[:, u])
        alive = asked > u
        torch.testing.assert_close(logits[alive], whole.logits[alive, u], atol=1e-6, rtol=1e-5)
        if attention == "none":
            assert looked is None
            assert whole.attention is None
        else:
            torch.testing.assert_close(looked[alive], whole.attention[alive, u], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("attention", "feeds"), ATTENTIONS)
def test_padding_changes_neither_loss_nor_gradients(attention, feeds):
    losses, grads = [], []
    for wider in (0, 3):
        model = make(attention=attention, input_feeding=feeds, num_layers=2)
        loss = total(model, *batch(wider=wider))
        loss.backward()
        losses.append(loss)
        grads.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(losses[0], losses[1], atol=1e-6, rtol=1e-6)
    for first, second in zip(*grads, strict=True):
        torch.testing.assert_close(first, second, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("attention", "feeds"), ATTENTIONS)
def test_a_row_alone_is_what_it_is_in_company(attention, feeds):
    model = make(attention=attention, input_feeding=feeds).eval()
    inputs, lengths, targets, asked = batch()
    together = model(inputs, lengths, targets[:, :-1], asked).logits
    for row in range(3):
        T, U = int(lengths[row]), int(asked[row])
        alone = model(
            inputs[row : row + 1, :T], lengths[row : row + 1], targets[row : row + 1, :U], asked[row : row + 1]
        ).logits
        torch.testing.assert_close(alone[0], together[row, :U], atol=1e-6, rtol=1e-5)


def test_memories_move_with_their_rows():
    model = make().eval()
    inputs, lengths, targets, _ = batch()
    _, memory, _ = model.step(model.begin(inputs, lengths), targets[:, 0])
    rows = torch.tensor([2, 0, 0])
    moved, _, looked = model.step(memory.select(rows), targets[rows, 1])
    straight, _, there = model.step(memory, targets[:, 1])
    torch.testing.assert_close(moved, straight[rows])
    torch.testing.assert_close(looked, there[rows])


def test_with_no_forcing_the_model_reads_what_it_says_itself():
    model = make().eval()
    inputs, lengths, targets, asked = batch()
    said = model(inputs, lengths, targets[:, :-1], asked, forcing=0.0).logits
    memory, ids = model.begin(inputs, lengths), targets[:, 0]
    for u in range(4):
        logits, memory, _ = model.step(memory, ids)
        torch.testing.assert_close(logits, said[:, u])
        ids = logits.argmax(1)


def test_some_forcing_lies_between_and_follows_the_seed():
    model = make(seed=3)
    torch.manual_seed(5)
    first = total(model, *batch(), forcing=0.5)
    torch.manual_seed(5)
    assert total(model, *batch(), forcing=0.5) == first
    first.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_cells_depths_and_directions_of_all_kinds_are_bridged():
    cells = ("rnn", "lstm", "gru", "minlstm")
    for read, write, layers, both in itertools.product(cells, cells, (1, 2), (False, True)):
        encoder = Recurrent(6, read, 4, layers, bidirectional=both)
        model = make(encoder, cell=write, num_layers=3 - layers)
        loss = total(model, *batch())
        loss.backward()
        assert all(p.grad is not None for p in model.bridge.parameters())


@pytest.mark.parametrize("encoder", [TCN(6, 4, 1), BagOfWords(6), TransformerEncoder(6, 4, 1, 2)])
def test_encoders_without_a_state_are_bridged(encoder):
    assert total(make(encoder), *batch()).isfinite()


def test_copying_hands_the_encoders_state_on():
    encoder = Recurrent(6, "lstm", 8, 2)
    model = make(encoder, "copy", cell="lstm", num_layers=2).eval()
    inputs, lengths, _, _ = batch()
    memory = model.begin(inputs, lengths)
    states = [part for layer in encoder(model.embedding(inputs), lengths).state for part in layer]
    for part, state in zip(memory.state[1:], states, strict=True):
        torch.testing.assert_close(part, state)


def test_zero_begins_with_nothing():
    model = make(bridge="zero")
    assert all(part.eq(0).all() for part in model.begin(*batch()[:2]).state)
    assert not list(model.bridge.parameters())


def test_a_state_that_does_not_fit_is_not_copied():
    with pytest.raises(InputError, match="bridge=copy hands the encoder's state on"):
        make(bridge="copy")


def test_feeding_needs_attention():
    with pytest.raises(InputError, match="input_feeding=true feeds the attended answer back"):
        make(attention="none", input_feeding=True)
    with pytest.raises(InputError, match="cell=lstm_projected answers"):
        make(cell="lstm_projected", input_feeding=True)


def test_tied_weights_and_a_shared_vocabulary_are_one_matrix():
    model = make(tied=True, share=True)
    assert model.head.output.weight is model.embedding.weight is model.target_embedding.weight
    names = {name for name, _ in model.named_parameters()}
    assert "target_embedding.weight" not in names


def test_dropout_that_all_steps_share_is_the_same_at_every_step():
    model = make(num_layers=2, input_feeding=True)
    model.decoder.recurrent.dropout, model.decoder.recurrent.variational = 0.5, True
    seen = []
    cell = model.decoder.recurrent.layers[1].each[0].cell
    step = cell.step
    cell.step = lambda x, state: seen.append(x) or step(x, state)
    total(model, *batch())
    zeros = [x == 0 for x in seen]
    assert any(zero.any() for zero in zeros)
    assert all((zero == zeros[0]).all() for zero in zeros)


def test_noise_within_the_recurrence_is_out_of_the_way_of_steps():
    model = make(input_feeding=False, recurrent_dropout=0.3, state_dropout=0.2, zoneout=0.1)
    inputs, lengths, targets, asked = batch()
    first, second = (total(model, inputs, lengths, targets, asked) for _ in range(2))
    assert first != second
    model.eval()
    whole = model(inputs, lengths, targets[:, :-1], asked).logits
    memory = model.begin(inputs, lengths)
    for u in range(4):
        logits, memory, _ = model.step(memory, targets[:, u])
        torch.testing.assert_close(logits[asked > u], whole[asked > u, u], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("option", ["recurrent_dropout", "state_dropout", "zoneout"])
def test_noise_within_the_recurrence_needs_a_whole_pass(option):
    with pytest.raises(InputError, match=f"{option}=0.2 works inside a pass over the whole target"):
        make(input_feeding=True, **{option: 0.2})
