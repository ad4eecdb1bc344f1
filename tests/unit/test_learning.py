"""What every run shows of itself: its learning curve in the folder, and the settings that it used in TensorBoard."""

from __future__ import annotations

import pytest

from seqlab import learning
from seqlab.compose import composed
from seqlab.errors import InputError
from seqlab.learning import compared_settings, draw_learning, read_rows

UNUSED = (
    "data.lr", "data.epochs", "data.head_dropout", "data.path", "data._target_", "model.merge", "model.vote",
    "model.tail", "model.backend", "trainer.log_every", "trainer.device", "task.levels",
)  # fmt: skip


class Book:
    """A tracker that keeps the figure."""

    def __init__(self, folder):
        self.run_dir = folder

    def flush(self):
        pass

    def figure(self, tag, figure, step):
        self.found = (tag, figure, step)


def test_a_file_larger_than_any_of_a_run_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n' * 100)
    monkeypatch.setattr(learning, "LARGEST_METRICS", 1000)
    with pytest.raises(InputError, match=r"metrics.jsonl is larger than 0 MB"):
        read_rows(tmp_path / "metrics.jsonl")


@pytest.mark.parametrize(("test", "split"), [({"accuracy": 0.8}, "test"), ({}, "validation")])
def test_the_curve_is_drawn_from_what_was_written_down_beside_the_best_floor(tmp_path, test, split):
    lines = (
        '{"step": 1, "train/loss": 2.0}\n{"step": 2, "val/accuracy": 0.5}\n[1]\n'
        + "[" * 100_000
        + '\n{"step": 3, "val/'
    )
    (tmp_path / "metrics.jsonl").write_text(lines)
    assert [row["step"] for row in read_rows(tmp_path / "metrics.jsonl")] == [1, 2]
    book = Book(tmp_path)
    summary = {"monitor": "accuracy", "headline": ["accuracy"], "maximize": True, "best_step": 2, "steps": 3}
    draw_learning(book, summary | {"floor": {"majority": 0.5, "nb_svm": 0.75}, "test": test})
    tag, figure, step = book.found
    assert (tag, step) == ("learning_curve", 3)
    assert f"nb svm, on {split}" in [line.get_label() for line in figure.axes[1].lines]


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (["data=reviews"], ["optim.lr", "model.hidden_size", "data.batch_size", "seed"]),
        (["data=csv", "data.path=x.csv", "model.num_layers=2", "model.embedding.dim=8"],
         ["optim.lr", "model.hidden_size", "model.num_layers", "model.embedding.dim", "data.batch_size", "seed"]),
        (["data=waves", "model=gru"], ["optim.lr", "model.hidden_size", "data.batch_size", "seed"]),
    ],
)  # fmt: skip
def test_settings_begin_with_learning_rate_sizes_and_seed_and_leave_out_what_was_not_used(words, first):
    found = compared_settings(composed(*words), reads_tokens="data=waves" not in words)
    assert list(found)[: len(first)] == first
    assert None not in found.values()
    for unused in UNUSED:
        assert unused not in found
    assert ("model.embedding.std" in found) == ("data=waves" not in words)


def test_a_setting_that_another_one_switches_on_stands_where_it_is_on():
    found = compared_settings(composed("model=bilstm", "data=reviews", "trainer.ema_decay=0.9"), reads_tokens=True)
    assert found["model.merge"] == "concat"
    assert found["trainer.ema_decay"] == 0.9
    assert "task.levels" in compared_settings(composed("data=waves", "task.loss=quantile"), reads_tokens=False)
