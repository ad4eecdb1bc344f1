"""The Transformer that translates: padding, the future, step by step, its own words, and a toy that it learns."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.models.embedding import Embedding
from seqlab.models.heads import TokenHead
from seqlab.models.transformer import TransformerTranslator
from seqlab.nn import Recurrent, TransformerEncoder
from seqlab.types import InputError

V, W, PAD = 13, 11, 1
START, EOS = W - 2, W - 1


def make(shared=False, tied=True, dim=6, dropout=0.0, encoder=None, norm_first=True) -> TransformerTranslator:
    torch.manual_seed(0)
    source = Embedding(W if shared else V, dim, pad_id=PAD)
    target = source if shared else Embedding(W, dim, pad_id=PAD)
    encoder = encoder or TransformerEncoder(dim, 8, 2, 2, 12, dropout, norm_first)
    head = TokenHead(8, W, dropout, tied=target.weight if tied else None)
    return TransformerTranslator(source, encoder, target, head, 2, 2, 12, dropout, norm_first).eval()


def ids(B, T, size=W, seed=0):
    return torch.randint(2, size - 2, (B, T), generator=torch.Generator().manual_seed(seed))


def full(x):
    return torch.full((x.shape[0],), x.shape[1])


def same(found, wanted, atol=1e-6):
    torch.testing.assert_close(found, wanted, atol=atol, rtol=0)


def padded(x, n, extra=0):
    """``x`` with padding behind ``n``, and ``extra`` steps of it more."""
    x = x.masked_fill(torch.arange(x.shape[1]) >= n.unsqueeze(1), PAD)
    return F.pad(x, (0, extra), value=PAD)


def loss(model, x, n, y, m):
    """Sum of the loss over what counts of ``y`` ``(B, 1 + U)``."""
    logits = model(x, n, y[:, :-1], m).logits
    return F.cross_entropy(logits.flatten(0, 1), y[:, 1:].flatten(), ignore_index=PAD, reduction="sum")


def gradients(model, *batch):
    model.zero_grad(set_to_none=True)
    total = loss(model, *batch)
    total.backward()
    found = {name: p.new_zeros(p.shape) if p.grad is None else p.grad for name, p in model.named_parameters()}
    return total.detach(), found


@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@settings(max_examples=6, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), min_size=1, max_size=4),
    extra=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_padding_changes_neither_loss_nor_gradients(train, sizes, extra):
    """Also of a source without a token."""
    model = make().double().train(train)
    n, m = torch.tensor(sizes).unbind(1)
    x, y = ids(len(n), max(1, int(n.max())), V), ids(len(n), 1 + int(m.max()), seed=1)
    found = gradients(model, padded(x, n), n, padded(y, m + 1), m)
    more = gradients(model, padded(x, n, extra[0]), n, padded(y, m + 1, extra[1]), m)
    same(more[0], found[0])
    for name, wanted in found[1].items():
        assert wanted.isfinite().all()
        same(more[1][name], wanted)
    rows = [gradients(model, x[i : i + 1, : n[i]], n[i : i + 1], y[i : i + 1, : m[i] + 1], m[i : i + 1])
            for i in range(len(n))]  # fmt: skip
    same(sum(row[0] for row in rows), found[0])
    for name, wanted in found[1].items():
        same(sum(row[1][name] for row in rows), wanted)


@settings(max_examples=12, deadline=None)
@given(lengths=st.lists(st.integers(0, 6), min_size=2, max_size=4), extra=st.integers(0, 4))
def test_a_rows_answer_depends_on_that_row_alone(lengths, extra):
    model, n = make(), torch.tensor(lengths)
    x, y = ids(len(n), max(1, *lengths), V), ids(len(n), 5, seed=1)
    with torch.no_grad():
        together = model(padded(x, n, extra), n, y, full(y))
        for row, length in enumerate(lengths):
            alone = model(x[row : row + 1, :length], n[row : row + 1], y[row : row + 1], torch.tensor([5]))
            same(together.logits[row], alone.logits[0])
            same(together.attention[row, :, :length], alone.attention[0])
            assert not together.attention[row, :, length:].any()


def test_a_batch_of_empty_sources_says_what_an_empty_row_says():
    model, y = make(), ids(2, 4)
    nothing, none = torch.empty(2, 0, dtype=torch.int64), torch.tensor([0, 0])
    for x in (nothing, torch.full((2, 3), PAD)):
        spoken = model(x, none, y, full(y))
        assert spoken.logits.isfinite().all()
        assert spoken.attention.shape == (2, 4, x.shape[1])
        assert not spoken.attention.any()
        logits, _, looked = model.step(model.begin(x, none), y[:, 0])
        same(logits, spoken.logits[:, 0])
        assert looked.shape == (2, x.shape[1])
    assert model.train()(nothing, none, y, full(y)).logits.isfinite().all()


@pytest.mark.parametrize("options", [{}, {"norm_first": False}, {"shared": True}, {"tied": False, "dim": 8}])
def test_step_by_step_is_the_whole_pass_and_training_says_the_same(options):
    model = make(**options)
    x, n, y = ids(3, 6), torch.tensor([6, 3, 0]), ids(3, 300, seed=1)  # positions have no end
    with torch.no_grad():
        wanted, memory = model(x, n, y, full(y)), model.begin(x, n)
        for u in range(300):
            logits, memory, looked = model.step(memory, y[:, u])
            assert logits.dtype == torch.float32
            same(logits, wanted.logits[:, u], atol=5e-6)
            same(looked, wanted.attention[:, u])
        taught = model.train()(x, n, y, full(y))
    same(taught.logits, wanted.logits, atol=5e-6)
    same(wanted.attention.sum(2), (n > 0).float().unsqueeze(1).expand(3, 300), atol=1e-5)
    assert taught.attention is None


@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
def test_no_step_sees_a_later_one(train):
    model, x, y = make().train(train), ids(2, 4, V), ids(2, 6)
    other = torch.cat((y[:, :3], ids(2, 3, seed=5)), 1)
    one, two = (model(x, full(x), each, full(each)).logits for each in (y, other))
    same(one[:, :3], two[:, :3])
    assert not torch.allclose(one[:, 3:], two[:, 3:], atol=1e-3)


def test_memories_can_be_reordered_while_writing():
    model, x, n, y = make(), ids(3, 5, V), torch.tensor([5, 2, 4]), ids(3, 4)
    rows = torch.tensor([2, 0, 0, 1])
    memory = model.begin(x, n)
    for u in range(2):
        _, memory, _ = model.step(memory, y[:, u])
    logits, _, looked = model.step(memory.select(rows), y[rows, 2])
    wanted = model(x, n, y, full(y))
    same(logits, wanted.logits[rows, 2])
    same(looked, wanted.attention[rows, 2])


def write(model, x, n, steps):
    """What the model reads if it reads its own likeliest words: ``(B, steps)``, beginning with START."""
    memory, read = model.begin(x, n), [torch.full((len(x),), START)]
    for _ in range(steps - 1):
        logits, memory, _ = model.step(memory, read[-1])
        read.append(logits.argmax(1))
    return torch.stack(read, 1)


@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
def test_without_forcing_it_reads_its_own_words(train):
    model, x, n = make(), ids(4, 5, V), torch.tensor([5, 3, 1, 0])
    y = torch.cat((torch.full((4, 1), START), ids(4, 6)), 1)
    own = write(model, x, n, 7)
    assert not torch.equal(own, y)
    model.train(train)
    same(model(x, n, y, full(y), forcing=0.0).logits, model(x, n, own, full(y)).logits)
    assert all(part.training == train for part in model.modules())


def test_full_forcing_draws_nothing_and_half_of_it_mixes():
    model, x, n = make(), ids(40, 5, V), torch.full((40,), 5)
    y = torch.cat((torch.full((40, 1), START), torch.full((40, 9), 2)), 1)
    before = torch.get_rng_state()
    taught = model(x, n, y, full(y)).logits
    same(taught, model(x, n, y, full(y), forcing=1.0).logits)
    assert torch.equal(torch.get_rng_state(), before)
    read = []
    model.target_embedding.register_forward_pre_hook(lambda module, args: read.append(args[0]))
    model(x, n, y, full(y), forcing=0.5)
    mixed = read[-1]
    assert torch.equal(mixed[:, 0], y[:, 0])
    true = (mixed == y)[:, 1:].float().mean()
    said = [model.step(model.begin(x, n), mixed[:, 0])[0].argmax(1)]
    assert ((mixed[:, 1] == 2) | (mixed[:, 1] == said[0])).all()
    assert 0.35 < true < 0.9
    torch.manual_seed(3)
    model(x, n, y, full(y), forcing=0.5)
    short = read[-1]
    torch.manual_seed(3)
    model(x, n, F.pad(y, (0, 4), value=PAD), full(y), forcing=0.5)
    assert torch.equal(read[-1][:, :10], short)  # more padding changes no draw


def test_training_with_its_own_words_has_gradients_and_leaves_the_modes_alone():
    model = make(dropout=0.3).train()
    model.embedding.eval()  # as one does with what is frozen
    x, y = ids(3, 4, V), ids(3, 5)
    model(x, full(x), y, full(y), forcing=0.3).logits.square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name
    assert not model.embedding.training
    assert model.training
    assert model.decoder.layers[0].self_attn.training


def test_dropout_blurs_training_alone_and_begin_refuses_it():
    model, x, y = make(dropout=0.5), ids(2, 4, V), ids(2, 3)
    assert torch.equal(model(x, full(x), y, full(y)).logits, model(x, full(x), y, full(y)).logits)
    model.train()
    assert not torch.equal(model(x, full(x), y, full(y)).logits, model(x, full(x), y, full(y)).logits)
    with pytest.raises(InputError, match=r"Call model\.eval\(\) before model\.begin"):
        model.begin(x, full(x))


def test_shared_weights_are_one_tensor():
    model = make(shared=True)
    assert model.embedding is model.target_embedding
    assert model.head.output.weight is model.embedding.weight
    assert sum(p.shape == (W, 6) for p in model.parameters()) == 1
    assert model.device == torch.device("cpu")


def test_another_encoder_may_read():
    model, x, n, y = (
        make(encoder=Recurrent(6, "gru", 4, bidirectional=True)),
        ids(2, 5, V),
        torch.tensor([5, 2]),
        ids(2, 3),
    )
    memory = model.begin(x, n)
    logits, _, _ = model.step(memory, y[:, 0])
    same(logits, model(x, n, y, full(y)).logits[:, 0])


def test_autocast_answers_float32_close_to_the_exact():
    model, x, n, y = make(), ids(2, 5, V), torch.tensor([5, 2]), ids(2, 3)
    wanted = model(x, n, y, full(y))
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        rough = model(x, n, y, full(y))
        logits, _, looked = model.step(model.begin(x, n), y[:, 0])
    assert {rough.logits.dtype, logits.dtype, looked.dtype} == {torch.float32}
    same(rough.logits, wanted.logits, atol=5e-2)
    same(logits, wanted.logits[:, 0], atol=5e-2)


def test_it_learns_to_say_five_digits_backwards():
    digits = 5  # ids 2 .. 6
    torch.manual_seed(0)
    embedding = Embedding(W, 32, pad_id=PAD)
    encoder = TransformerEncoder(32, 32, 1, 2, 64, 0.0)
    head = TokenHead(32, W, tied=embedding.weight)
    model = TransformerTranslator(embedding, encoder, embedding, head, 1, 2, 64, 0.0)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=300)
    chance = torch.Generator().manual_seed(1)

    def some(B):
        x, n = torch.randint(2, 2 + digits, (B, 6), generator=chance), torch.randint(2, 6, (B,), generator=chance)
        turned = [[START, *row[:size].flip(0).tolist(), EOS] for row, size in zip(x, n, strict=True)]
        x = padded(x.scatter(1, n.unsqueeze(1), EOS), n + 1)
        y = torch.nn.utils.rnn.pad_sequence(list(map(torch.tensor, turned)), True, PAD)
        return x, n + 1, y, n + 1

    for _ in range(300):
        optimizer.zero_grad()
        x, n, y, m = some(32)
        (loss(model, x, n, y, m) / m.sum()).backward()
        optimizer.step()
        schedule.step()
    model.eval()
    x, n, y, m = some(200)
    with torch.no_grad():
        said = write(model, x, n, y.shape[1])
        spoken = model(x, n, y[:, :-1], m)
    assert ((said == y) | (y == PAD)).all(1).float().mean() > 0.95
    looked = spoken.attention[:, 0].argmax(1)  # to say the first digit it looks at the last, which stands before EOS
    assert (looked == n - 2).float().mean() > 0.9
