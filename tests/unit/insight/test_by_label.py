import numpy as np
import pytest

from seqlab.insight.by_label import by_label, markdown


def test_classes_and_labels_are_measured_as_scikit_learn_measures_them():
    from sklearn.metrics import precision_recall_fscore_support

    rng = np.random.default_rng(1)
    right, said = rng.integers(0, 3, 40), rng.integers(0, 4, 40)  # the fourth class never occurs
    many = rng.integers(0, 2, (2, 30, 3)).astype(bool)
    many[:, :, 2] = False
    for true, given, labels in ((right, said, "abcd"), (many[0], many[1], "abc")):
        found = by_label(true, given, labels)
        wanted = {"labels": range(len(labels)), "zero_division": 0}
        for name, column in zip(
            ("precision", "recall", "f1", "support"),
            precision_recall_fscore_support(true, given, **wanted),
            strict=True,
        ):
            assert found[name].tolist() == pytest.approx(column.tolist()), name


def test_a_label_is_never_markup():
    report = by_label(np.array([0, 1]), np.array([0, 1]), ["<b>|x", "b"])
    assert "<b>|" not in markdown(report)
    assert markdown(report).splitlines()[3] == "| b | 1.000 | 1.000 | 1.000 | 1 |"
