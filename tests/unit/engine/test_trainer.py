import copy
import math
import os
import signal
import threading
from itertools import count
from types import SimpleNamespace

import pytest
import torch

from seqlab.engine import checkpoint
from seqlab.engine.evaluate import evaluate
from seqlab.engine.gradients import NonFiniteError
from seqlab.engine.interrupt import Interrupt, Interrupted
from seqlab.engine.optim import adamw, sgd
from seqlab.engine.schedule import Plateau, cosine
from seqlab.types import Batch, InputError, Loss


def weights(model) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def same(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_accumulating_ragged_batches_equals_one_big_batch(build, reader, rows) -> None:
    one, many = reader(), reader()
    build(one, train=rows((11,)), max_steps=1, clip_norm=None).fit()
    build(many, train=rows((5, 1, 3, 2)), max_steps=1, accumulate=4, clip_norm=None).fit()
    for a, b in zip(weights(one), weights(many), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_a_step_is_the_mean_loss_clipped_by_torch(build, reader, rows, task) -> None:
    ours, theirs = reader(), reader()
    build(ours, train=rows((8,)), max_steps=1, clip_norm=0.05).fit()
    (batch,) = rows((8,)).epoch(0)
    loss = torch.nn.functional.cross_entropy(theirs(batch.inputs, batch.lengths), batch.targets)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.05)
    sgd(theirs, lr=0.5).step()
    for a, b in zip(weights(ours), weights(theirs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)


def test_the_last_update_of_an_epoch_takes_what_is_left(build, rows, book) -> None:
    trainer = build(train=rows((4, 4, 4)), accumulate=2, max_epochs=2, log_every=1, tracker=book)
    result = trainer.fit()
    assert (result.steps, result.epochs, result.stopped_by) == (4, 2, "max_epochs")


def test_it_learns_and_the_best_weights_are_kept(build, rows, reader, task, tmp_path) -> None:
    model = reader()
    trainer = build(
        model,
        adamw(model, lr=0.05),
        cosine,
        rows((8,) * 8),
        rows((16, 16)),
        max_epochs=25,
        run_dir=tmp_path,
        extra={"a": 1},
    )
    result = trainer.fit()
    assert result.best > 0.95
    best = checkpoint.load(tmp_path / "best.pt")
    assert (best["a"], best["step"], best["metrics"]) == (1, result.best_step, result.best_metrics)
    checkpoint.load_weights(model, best["model"])
    found = evaluate(model, rows((16, 16)), task, device=torch.device("cpu"))
    assert found.metrics == result.best_metrics


def test_schedule_sets_the_rate_of_each_step(build, book) -> None:
    build(schedule=lambda p: 1 - p, max_steps=4, log_every=1, tracker=book).fit()
    assert [lr for _, lr in book.column("train/lr")] == pytest.approx([0.5 * (1 - (s + 0.5) / 4) for s in range(4)])


def test_curves(build, rows, book) -> None:
    build(train=rows((4,) * 6), val=rows(), max_epochs=2, log_every=3, clip_norm=1e-3, tracker=book).fit()
    assert [step for step, _ in book.column("train/loss")] == [3, 6, 9, 12]
    assert [step for step, _ in book.column("val/accuracy")] == [6, 12]
    assert all(clipped == pytest.approx(1e-3) for _, clipped in book.column("train/grad_norm_clipped"))
    assert all(norm > 1e-3 for _, norm in book.column("train/grad_norm"))
    assert all(padding == pytest.approx(1 / 6) for _, padding in book.column("train/padding"))
    assert all(speed > 0 for _, speed in book.column("train/tokens_per_second"))


def test_early_stopping(build, rows, task, monkeypatch) -> None:
    scores = iter([0.1, 0.5, 0.3, 0.5, math.nan, 0.9])
    monkeypatch.setattr(type(task.meter()), "compute", lambda self: {"accuracy": next(scores)})
    result = build(val=rows(), max_epochs=50, patience=3).fit()
    assert (result.stopped_by, result.best, result.best_epoch, result.epochs) == ("patience", 0.5, 2, 5)


def test_time_limits_the_run_and_drives_the_schedule(build, rows, monkeypatch) -> None:
    seen, now = [], count()
    monkeypatch.setattr("seqlab.engine.trainer.time", SimpleNamespace(perf_counter=lambda: next(now) / 100))
    trainer = build(schedule=lambda p: seen.append(p) or 1.0, train=rows((4,) * 50), max_minutes=0.3 / 60)
    result = trainer.fit()
    assert result.stopped_by == "max_minutes"
    assert seen == sorted(seen)
    assert 0.9 < seen[-1] <= 1.0


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_non_finite_stops_before_the_update(where: str, build, reader, rows, task, tmp_path, monkeypatch) -> None:
    model = reader()
    plain = type(task).loss

    def poisoned(self, model, batch: Batch) -> Loss:
        loss = plain(self, model, batch)
        if trainer.state.step < 2:
            return loss
        if where == "loss":
            return Loss(loss.total + math.inf, loss.count, loss.logits)
        bad = model.head.bias.sqrt().sum() - model.head.bias.sqrt().sum()  # the root of a negative number
        return Loss(loss.total + bad.nan_to_num() * 1.0, loss.count, loss.logits)

    with torch.no_grad():
        model.head.bias.fill_(-1.0)
    monkeypatch.setattr(type(task), "loss", poisoned)
    trainer = build(model, adamw(model), max_steps=9, run_dir=tmp_path)
    before = []
    step = trainer.train_step
    monkeypatch.setattr(trainer, "train_step", lambda batches: (before.append(weights(model)), step(batches)))
    with pytest.raises(
        NonFiniteError, match=r"before the update of step 3: loss .*, gradient norm .*batch rows"
    ) as caught:
        trainer.fit()
    assert isinstance(caught.value, InputError)
    assert same(before[-1], weights(model))
    assert all(p.grad is None for p in model.parameters())
    rows_of_step = [b.index.tolist() for b in rows().epoch(0)][2]
    assert ", ".join(map(str, rows_of_step)) in str(caught.value)
    assert ("head.bias" in str(caught.value)) == (where == "gradient")
    saved = checkpoint.load(tmp_path / "last.pt")
    assert saved["trainer"]["step"] == 2
    assert torch.equal(saved["model"]["head.bias"], model.head.bias)


def continued(build, reader, rows, tmp_path, at: int, schedule, settings: dict) -> tuple:
    """Stops at some step as a signal would, and goes on in a new trainer."""

    def make(tracker, folder):
        model = reader(dropout=0.3)
        torch.manual_seed(5)
        return build(
            model, adamw(model, lr=0.03), schedule(), rows((4, 3, 4, 2, 4)), rows((10,)),
            tracker=tracker, run_dir=folder, log_every=2, **settings,
        )  # fmt: skip

    class Stop:
        def __init__(self) -> None:
            self.rows: list = []

        def scalars(self, values, step: int) -> None:
            self.rows.append((step, {k: v for k, v in values.items() if "second" not in k}))

        def flush(self) -> None:
            pass

    whole, parts = Stop(), Stop()
    straight = make(whole, tmp_path / "whole")
    expected = straight.fit()
    broken = make(parts, tmp_path / "parts")
    check = broken._interrupt.check
    broken._interrupt.check = lambda: (
        (_ for _ in ()).throw(Interrupted("SIGTERM")) if broken.state.step >= at else check()
    )
    assert broken.fit().interrupted
    torch.manual_seed(999)
    resumed = make(parts, tmp_path / "parts")
    resumed.load_state_dict(checkpoint.load(tmp_path / "parts" / "last.pt"))
    found = resumed.fit()
    return straight, resumed, expected, found, whole.rows, parts.rows


@pytest.mark.parametrize("at", [1, 4, 5, 7, 10, 13])
@pytest.mark.parametrize(
    ("schedule", "settings"),
    [
        (lambda: cosine, {"max_epochs": 3, "ema_decay": 0.9}),
        (lambda: Plateau(patience=0, factor=0.5), {"max_epochs": 5, "patience": 2}),
        (lambda: cosine, {"max_steps": 14, "eval_every": 4, "accumulate": 2, "clip_value": 0.1}),
    ],
)
def test_resuming_equals_never_having_stopped(at: int, schedule, settings, build, reader, rows, tmp_path) -> None:
    straight, resumed, expected, found, curve, pieces = continued(build, reader, rows, tmp_path, at, schedule, settings)
    assert same(weights(straight.model), weights(resumed.model))
    assert curve == pieces
    for name in (
        "stopped_by",
        "best",
        "best_step",
        "best_epoch",
        "best_metrics",
        "metrics",
        "steps",
        "epochs",
        "padding",
    ):
        assert getattr(expected, name) == getattr(found, name)
    if straight.ema is not None:
        assert same(straight.ema.state_dict()["averages"], resumed.ema.state_dict()["averages"])
    one, other = (checkpoint.load(tmp_path / folder / "best.pt") for folder in ("whole", "parts"))
    assert same(one["model"].values(), other["model"].values())


def test_best_holds_the_averaged_weights(build, reader, rows, tmp_path, task) -> None:
    model = reader()
    trainer = build(model, sgd(model, lr=2.0), val=rows((20,)), max_epochs=1, ema_decay=0.99, run_dir=tmp_path)
    result = trainer.fit()
    best = checkpoint.load(tmp_path / "best.pt")["model"]
    assert same([best[n] for n, _ in model.named_parameters()], trainer.ema.state_dict()["averages"])
    assert not same(best.values(), checkpoint.load(tmp_path / "last.pt")["model"].values())
    checkpoint.load_weights(model, best)
    assert evaluate(model, rows((20,)), task, device=torch.device("cpu")).metrics == result.best_metrics


def test_what_cannot_be_continued(build, reader, tmp_path, caplog) -> None:
    build(max_steps=2, run_dir=tmp_path, ema_decay=0.9).fit()
    state = checkpoint.load(tmp_path / "last.pt")
    with pytest.raises(InputError, match="only the checkpoint has state of 'ema'"):
        build(max_steps=3).load_state_dict(state)
    with pytest.raises(InputError, match="only this run has state of 'schedule'"):
        build(max_steps=3, ema_decay=0.9, schedule=Plateau()).load_state_dict(state)
    model = reader()
    with pytest.raises(InputError, match="state of 'optimizer' does not fit"):
        build(model, adamw(model), max_steps=3, ema_decay=0.9).load_state_dict(state)
    with pytest.raises(InputError, match="another model"):
        build(reader(classes=4), max_steps=3, ema_decay=0.9).load_state_dict(state)
    with pytest.raises(InputError, match="weights alone"):
        build(max_steps=3).load_state_dict({"model": {}})
    build(max_steps=3, ema_decay=0.9).load_state_dict(state | {"threads": 77})
    assert "77 threads before" in caplog.text


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("inside", ["step", "evaluation"])
def test_a_signal_saves_and_leaves_cleanly(name: str, inside: str, build, rows, tmp_path) -> None:
    class Kills(type(rows())):
        def epoch(self, epoch: int, start: int = 0):
            for number, batch in enumerate(super().epoch(epoch, start)):
                if number == 1:
                    os.kill(os.getpid(), getattr(signal, name))
                yield batch

    before = signal.getsignal(getattr(signal, name))
    train, val = (Kills(), rows()) if inside == "step" else (rows(), Kills())
    result = build(train=train, val=val, max_epochs=9, run_dir=tmp_path).fit()
    assert (result.stopped_by, result.interrupted) == (name, True)
    assert result.steps == (1 if inside == "step" else 5)
    assert checkpoint.load(tmp_path / "last.pt")["trainer"]["consumed"] == result.steps
    assert signal.getsignal(getattr(signal, name)) is before


def test_a_signal_after_the_last_step_is_not_lost(build, tmp_path, monkeypatch) -> None:
    trainer = build(max_steps=3, run_dir=tmp_path)
    save = trainer.save
    monkeypatch.setattr(trainer, "save", lambda: (save(), os.kill(os.getpid(), signal.SIGTERM)))
    result = trainer.fit()
    assert (result.stopped_by, result.interrupted, result.steps) == ("SIGTERM", True, 3)


def test_a_second_interrupt_aborts() -> None:
    with Interrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.received == "SIGINT"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_fit_works_outside_the_main_thread(build) -> None:
    results = []
    thread = threading.Thread(target=lambda: results.append(build(max_steps=2).fit()))
    thread.start()
    thread.join()
    assert results[0].steps == 2


def test_saves_come_when_they_should(build, monkeypatch) -> None:
    trainer = build(max_steps=12, checkpoint_steps=5)
    saved, save = [], trainer.save
    monkeypatch.setattr(trainer, "save", lambda: (saved.append(trainer.state.step), save()))
    trainer.fit()
    assert saved == [5, 10, 12]


def test_evaluate_restores_the_mode_and_learns_nothing(reader, rows, task) -> None:
    model = reader(dropout=0.5)
    before = copy.deepcopy(model.state_dict())
    for training in (True, False):
        model.train(training)
        first, second = (evaluate(model, rows(), task, device=torch.device("cpu"), epoch=epoch) for epoch in (0, 3))
        assert model.training is training
        assert first.metrics == pytest.approx(second.metrics)
    assert same(before.values(), model.state_dict().values())
    assert first.meter.index.shape == (20,)


def test_nothing_to_train_on(build, rows) -> None:
    with pytest.raises(InputError, match="no batch to train on"):
        build(train=rows(()), max_steps=1)
