"""Model, classification head and summary: the worked parameter count, logits and the table."""

import pytest
import torch
from torch import nn

from seqlab.models import ClassificationHead, Embedding, Model, summarize
from seqlab.nn import BagOfWords, ConcatMLP, Convolution, Recurrent
from seqlab.types import Encoded, InputError


def text_cls_model() -> Model:
    return Model(Embedding(8, 4, pad_id=1), Recurrent(4, "rnn", 3), ClassificationHead(3, 2))


def test_text_cls_model_has_63_parameters():
    summary = summarize(text_cls_model())
    assert [row.parameters for row in summary.rows if row.parameters] == [32, 27, 4]
    assert summary.parameters == summary.trainable == 63
    assert [row.shape for row in summary.rows] == ["(B, T, 4)", "(B, T, 3)", "(B, 3)", "(B, 1)"]


def test_text_cls_model_equals_embedding_rnn_linear():
    model = text_cls_model()
    cell = model.encoder.to_torch()
    inputs = torch.tensor([[0, 4, 7, 2, 5], [2, 6, 3, 5, 0]])
    _, h_n = cell(nn.functional.embedding(inputs, model.embedding.weight))
    z = model.head.output(h_n[0])
    logits = model(inputs, torch.tensor([5, 5]))
    torch.testing.assert_close(logits, torch.cat((torch.zeros(2, 1), z), 1))
    torch.testing.assert_close(logits.softmax(1)[:, 1:], z.sigmoid())


def test_head_of_more_classes_has_an_output_each():
    head = ClassificationHead(3, 5, ["mean", "max"])
    encoded = Encoded(torch.randn(2, 4, 3), torch.randn(2, 3), torch.tensor([4, 4]))
    assert head(encoded).shape == (2, 5)
    assert head.output.weight.shape == (5, 6)


def test_head_dropout_is_off_in_evaluation():
    head = ClassificationHead(64, 3, dropout=0.5)
    encoded = Encoded(torch.randn(2, 4, 64), torch.randn(2, 64), torch.tensor([4, 4]))
    assert not torch.equal(head(encoded), head(encoded))
    head.eval()
    assert torch.equal(head(encoded), head(encoded))


def test_one_class_is_refused():
    with pytest.raises(InputError, match="num_outputs=1"):
        ClassificationHead(3, 1)


def test_logits_are_float32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        head = ClassificationHead(4, 3, ["mean", "attention"])
        encoded = BagOfWords(4)(torch.randn(2, 3, 4), torch.tensor([3, 1]))
        assert head(encoded).dtype == torch.float32


@pytest.mark.parametrize(
    "encoder",
    [
        Recurrent(4, "lstm", [3, 5], bidirectional=True),
        BagOfWords(4),
        ConcatMLP(4, 10, 6),
        Convolution(4, 2, (2, 3)),
    ],
    ids=lambda encoder: type(encoder).__name__,
)
def test_summary_counts_every_parameter_once_and_leaves_the_model_alone(encoder):
    embedding = Embedding(8, 4, pad_id=1, trainable=False)
    model = Model(embedding, encoder, ClassificationHead(encoder.output_size, 3, ["attention"])).train()
    before = torch.get_rng_state()
    summary = summarize(model)
    assert summary.parameters == sum(p.numel() for p in model.parameters())
    assert sum(row.parameters for row in summary.rows) == summary.parameters
    assert summary.parameters - summary.trainable == 32
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(module._forward_hooks for module in model.modules())


def test_summary_prints_a_table_with_the_total():
    text = str(summarize(text_cls_model()))
    assert "RecurrentLayer(RNN, 4, 3)" in text
    assert text.splitlines()[-2].split()[1:] == ["total", "│", "│", "│", "63", "│"]


def test_padding_changes_no_logit():
    torch.manual_seed(0)
    encoder = Recurrent(4, "lstm", 3, 2, bidirectional=True)
    model = Model(Embedding(8, 4, pad_id=1), encoder, ClassificationHead(6, 2, ["last", "mean", "max", "attention"]))
    inputs, lengths = torch.randint(2, 8, (3, 5)), torch.tensor([5, 2, 0])
    inputs[1, 2:] = inputs[2] = 1
    padded = torch.cat((inputs, torch.ones(3, 4, dtype=torch.long)), 1)
    torch.testing.assert_close(model(inputs, lengths), model(padded, lengths), atol=1e-6, rtol=0)
