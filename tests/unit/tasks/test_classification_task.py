import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from seqlab.tasks.classification import Classification
from seqlab.types import Batch, InputError, Loss


class Says(nn.Module):
    """Answers fixed logits."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, inputs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return self.logits


def batch(targets: list[int]) -> Batch:
    n = len(targets)
    return Batch(torch.zeros(n, 2, dtype=torch.long), torch.full((n,), 2), torch.tensor(targets), torch.arange(n))


def test_loss_is_a_sum_in_float32() -> None:
    logits = torch.randn(4, 3).bfloat16()
    loss = Classification(3, "abc").loss(Says(logits), batch([0, 2, 1, 1]))
    assert loss.count == 4
    assert loss.logits.dtype == torch.float32
    torch.testing.assert_close(loss.total, 4 * F.cross_entropy(logits.float(), torch.tensor([0, 2, 1, 1])))


def test_label_smoothing_only_while_training() -> None:
    model, rows = Says(torch.randn(2, 4)), batch([3, 0])
    smooth, plain = Classification(4, "abcd", label_smoothing=0.2), Classification(4, "abcd")
    logp = model.logits.log_softmax(1)
    expected = -(0.8 * logp[[0, 1], [3, 0]] + 0.2 * logp.mean(dim=1)).sum()
    torch.testing.assert_close(smooth.loss(model, rows).total, expected)
    model.eval()
    torch.testing.assert_close(smooth.loss(model, rows).total, plain.loss(model, rows).total)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(2, 5).flatmap(
        lambda k: st.tuples(
            st.just(k), st.lists(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)), min_size=1, max_size=20)
        )
    )
)
def test_metrics_agree_with_scikit_learn(case: tuple[int, list[tuple[int, int]]]) -> None:
    from sklearn.metrics import accuracy_score, f1_score

    classes, pairs = case
    task = Classification(classes, [str(i) for i in range(classes)])
    meter = task.meter()
    for part in (pairs[: len(pairs) // 2], pairs[len(pairs) // 2 :]):
        if part:
            logits = 5.0 * F.one_hot(torch.tensor([said for _, said in part]), classes).float()
            rows = batch([true for true, _ in part])
            meter.update(task.loss(Says(logits).eval(), rows), rows)
    found = meter.compute()
    true, said = zip(*pairs, strict=True)
    assert found["accuracy"] == pytest.approx(accuracy_score(true, said))
    assert found["macro_f1"] == pytest.approx(f1_score(true, said, average="macro"))


def test_meter_keeps_what_figures_need() -> None:
    task = Classification(2, ("no", "yes"))
    meter = task.meter()
    for logits, targets in ((torch.tensor([[2.0, 0.0]]), [1]), (torch.tensor([[0.0, 1.0], [3.0, 0.0]]), [1, 0])):
        meter.update(Loss(torch.tensor(1.5), len(targets), logits), batch(targets))
    assert meter.probabilities.shape == (3, 2)
    np.testing.assert_allclose(meter.probabilities.sum(axis=1), 1.0, rtol=1e-6)
    assert meter.targets.tolist() == [1, 1, 0]
    assert meter.index.tolist() == [0, 0, 1]
    assert meter.compute()["loss"] == pytest.approx(1.0)


def test_refuses_what_cannot_be_learned() -> None:
    with pytest.raises(InputError, match="two classes"):
        Classification(1, ("only",))
    with pytest.raises(InputError, match="label_smoothing"):
        Classification(2, ("a", "b"), label_smoothing=1.0)


def test_balanced_weights_are_those_of_scikit_learn_and_count_in_training_alone() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    counts, targets = [1, 5, 2], [0] + [1] * 5 + [2] * 2
    task = Classification(3, "abc", class_weights="balanced", counts=counts)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=np.array(targets))
    assert task.class_weights == pytest.approx(expected)
    model, rows = Says(torch.randn(8, 3)), batch(targets)
    each = F.cross_entropy(model.logits, rows.targets, reduction="none")
    loss = task.loss(model, rows)
    torch.testing.assert_close(loss.total, (each * torch.tensor(expected, dtype=torch.float32)[rows.targets]).sum())
    assert loss.count == 8
    model.eval()
    torch.testing.assert_close(task.loss(model, rows).total, each.sum())


@pytest.mark.parametrize(("weights", "sentence"), [
    ("balanced", "balanced needs the number of examples"), ([1, 2], "2 numbers, and the data has 3 classes.*a, b, c"),
    ([1, -1, 1], "from 0 up"), ([0, 0, 0], "not all of them 0"), ([1, float("nan"), 1], "from 0 up"),
])  # fmt: skip
def test_weights_that_cannot_be_are_refused(weights, sentence) -> None:
    with pytest.raises(InputError, match=sentence):
        Classification(3, "abc", class_weights=weights)


@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("seed", range(3))
def test_auc_agrees_with_scikit_learn_ties_and_all(classes, seed) -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(seed)
    targets = rng.permutation(np.arange(30) % classes)
    logits = torch.tensor(rng.integers(0, 3, (30, classes)), dtype=torch.float32)
    task = Classification(classes, "abcd"[:classes], decides="auc")
    meter, rows = task.meter(), batch(targets.tolist())
    meter.update(task.loss(Says(logits), rows), rows)
    shares = meter.probabilities
    expected = (
        roc_auc_score(targets, shares[:, 1])
        if classes == 2
        else np.mean([roc_auc_score(targets == label, shares[:, label]) for label in range(classes)])
    )
    assert meter.compute()["auc"] == pytest.approx(expected)


def test_one_class_has_no_auc_which_is_said_where_it_decides() -> None:
    rows = batch([1, 1])
    for decides in ("accuracy", "auc"):
        task = Classification(2, "ab", decides=decides)
        meter = task.meter()
        meter.update(task.loss(Says(torch.zeros(2, 2)), rows), rows)
        if decides == "accuracy":
            assert "auc" not in meter.compute()
        else:
            with pytest.raises(InputError, match=r"there is no AUC; add .* or set task.decides=accuracy"):
                meter.compute()


def test_what_decides_is_monitored_and_shown() -> None:
    found = {decides: Classification(2, "ab", decides=decides) for decides in ("accuracy", "macro_f1", "auc", "loss")}
    assert [task.monitor for task in found.values()] == list(found)
    assert [task.maximize for task in found.values()] == [True, True, True, False]
    assert found["accuracy"].headline == ("macro_f1", "accuracy")
    assert found["auc"].headline == ("auc", "macro_f1", "accuracy")
