"""The benchmark of character models: both sides are the same model, and each is measured by its own clock."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch

from seqlab.compose import composed
from seqlab.errors import InputError

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SMALL = (
    "data=verses", "data.count=30", "data.batch_size=4", "data.length=16", "data.eval_length=32",
    "model.hidden_size=8", "model.embedding.dim=8", "runtime.tune=off", "trainer.precision=fp32", "trainer.device=cpu",
)  # fmt: skip


@pytest.fixture
def bench(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setenv("SEQLAB_CACHE", str(tmp_path))
    return importlib.import_module("bench_charlm")


def setup(bench, *options):
    return bench.Setup.of(composed(*SMALL, *options))


@pytest.mark.parametrize("model", ["lstm", "gru"])
def test_both_sides_begin_as_the_same_model(bench, model):
    made = setup(bench, f"model={model}", "model.backend=reference")
    ours, bare = made.model(), bench.Bare(made)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in bare.model.parameters())
    assert made.loss(ours) == pytest.approx(made.loss(bench.Answering(bare.model)), abs=1e-5)


def test_the_bare_loop_learns_at_the_rate_of_the_schedule(bench):
    made = setup(bench)
    bare = bench.Bare(made)
    answering = bench.Answering(bare.model)
    before = made.loss(answering)
    bare.run(lambda: 0.5, lambda: bare.steps == 30)
    assert bare.optimizer.param_groups[0]["lr"] == pytest.approx(bare.lr * bare.schedule(0.5))
    assert bare.tokens == 30 * 4 * 16
    assert bare.seconds > 0
    assert made.loss(answering) < before - 0.1


def test_windows_lie_anywhere_and_ask_for_the_next_token(bench):
    bare = bench.Bare(setup(bench))
    torch.manual_seed(0)
    inputs, targets = bare.get_batch()
    assert inputs.shape == targets.shape == (4, 16)
    assert inputs.dtype == torch.int64
    assert inputs[:, 1:].equal(targets[:, :-1])


def test_both_are_measured_at_every_moment(bench):
    found = bench.compare_quality(setup(bench, "model.backend=reference"), seconds=0.8)
    for side in ("ours", "bare"):
        seconds = [point["seconds"] for point in found[side]]
        due = [0.1 * (k + 1) for k in range(bench.MOMENTS)]
        assert all(at >= moment - 1e-9 for at, moment in zip(seconds, due, strict=True))
        assert found[side][-1]["steps"] > 0


def test_options_that_only_we_follow_are_named(bench):
    made = setup(bench, "model.variational=true", "task.label_smoothing=0.1")
    assert "model.variational=True" in made.alone
    assert "task.label_smoothing=0.1" in made.alone


def test_what_the_bare_loop_is_not_written_for_is_refused(bench):
    with pytest.raises(InputError, match=r"model.head.tied is True"):
        setup(bench, "model.head.tied=true")
