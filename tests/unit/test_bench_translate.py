"""The benchmark of translation: both sides are the same model, learn from the same batches and write the same."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch

from seqlab.compose import composed
from seqlab.errors import InputError

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SMALL = (
    "model=seq2seq", "data=dates", "task.decoder.attention=general",
    "data.train=60", "data.val=20", "data.test=20", "data.batch_size=10",
    "model.hidden_size=8", "model.embedding.dim=6", "task.decoder.hidden_size=12", "runtime.tune=off",
    "trainer.precision=fp32", "trainer.device=cpu",
)  # fmt: skip
FEEDING = pytest.mark.parametrize("feeding", ["true", "false"])


@pytest.fixture
def bench(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setenv("SEQLAB_CACHE", str(tmp_path))
    return importlib.import_module("bench_translate")


def setup(bench, *options):
    return bench.Setup.of(composed(*SMALL, *options))


@FEEDING
@pytest.mark.parametrize("shared", ["true", "false"])
def test_both_sides_begin_as_the_same_model(bench, feeding, shared):
    made = setup(bench, f"task.decoder.input_feeding={feeding}", f"data.shared={shared}")
    found = bench.agree(made)
    assert found["parameters"] == sum(p.numel() for p in made.model().parameters())
    assert found["ours"] == pytest.approx(found["bare"], abs=1e-5)


def test_sides_that_differ_are_not_measured(bench, monkeypatch):
    def other(self, said):
        return self.output(said if self.project is None else self.project(said)) * 1.1

    monkeypatch.setattr(bench.BareModel, "logits", other)
    with pytest.raises(InputError, match="The sides differ"):
        bench.agree(setup(bench))


def test_padding_that_is_read_makes_another_loss_only_where_there_is_some(bench):
    made = setup(bench)
    ours, batch = made.model(), next(made.loader().epoch(0))
    packed, padded = (bench.BareModel(ours, made.data.spec.pad_id, packed).eval() for packed in (True, False))
    full = batch.lengths == batch.inputs.shape[1]
    given = batch.inputs, batch.lengths, batch.targets[:, :-1]
    same, others = (model(*given) for model in (packed, padded))
    torch.testing.assert_close(same[full], others[full])
    assert not torch.allclose(same[~full], others[~full])


def test_both_learn_from_the_same_batches(bench):
    made = setup(bench)
    seen = []
    bare = bench.Bare(made)
    bare.batches = (seen.append(batch.index.tolist()) or batch for batch in bench.forever(made.loader()))
    bare.run(8, 8)
    loader = made.loader()
    assert seen == [batch.index.tolist() for epoch in (0, 1) for batch in loader.epoch(epoch)][:8]
    assert bare.steps == 8
    assert bare.tokens == 8 * 10 * 11  # ten characters of a date, and EOS
    assert bare.seconds > 0


@FEEDING
def test_the_bare_loop_learns_and_steps_as_far_as_we_do(bench, feeding):
    made = setup(
        bench, f"task.decoder.input_feeding={feeding}", "model.embedding.dropout=0", "model.head.dropout=0",
        "schedule=constant",
    )  # fmt: skip
    bare, ours = bench.Bare(made), made.model()
    batch = next(made.loader().epoch(0))
    before = float(bare.loss(batch).detach())
    bare.run(5, 5)
    limits = {"max_steps": 5, "max_epochs": None}
    with bench.trainer_of(made.config, made.data, made.runtime, ours, lambda *_: False, **limits) as trainer:
        bench.fit(trainer)
    assert float(bare.loss(batch).detach()) < before
    torch.testing.assert_close(bare.model.combine.weight, ours.decoder.combine.weight, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(bare.model.target.weight, ours.target_embedding.weight, atol=1e-4, rtol=1e-3)


def test_training_is_compared_in_rounds(bench):
    found = bench.compare_training(setup(bench), steps=3, rounds=2)
    assert len(found["ratios"]) == 2
    assert found["ratio"] > 0
    assert all(rate > 0 for side in ("ours", "bare") for rate in found[side])


@FEEDING
def test_both_write_the_same(bench, feeding):
    made = setup(bench, f"task.decoder.input_feeding={feeding}")
    torch.manual_seed(0)
    ours, spec = made.model().eval(), made.data.spec
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.mul_(4)  # sure of itself: sentences of all kinds, and no near ties
        ours.head.output.bias[spec.eos_id] += 2
    bare = bench.BareModel(ours, spec.pad_id).eval()
    batches = bench.taken(made, 12)
    assert sum(len(lengths) for _, lengths in batches) == 12
    written = bench.ours_writes(ours, spec, 1, batches)
    assert written == bench.bare_greedy(bare, spec, batches)
    single = [(x[:n].unsqueeze(0), n.unsqueeze(0)) for xs, lengths in batches for x, n in zip(xs, lengths, strict=True)]
    assert written == bench.ours_writes(ours, spec, 1, single)
    assert written == bench.bare_beam(bare, spec, 1, single)


def test_every_way_of_decoding_has_its_rate(bench):
    found = bench.compare_decoding(setup(bench), sentences=6, rounds=1)
    assert found["sentences"] == 6
    assert {name.removesuffix(", bare") for name in found["rates"]} == {
        "greedy, batched", "greedy, one by one", "beam 5, batched", "beam 5, one by one",
    }  # fmt: skip
    assert all(rate > 0 for rate in found["rates"].values())


def test_made_up_sentences_are_like_multi30k(bench):
    raw = bench.Made().read()
    sources, targets = raw.train
    assert len(sources) == len(targets) == bench.PAIRS
    lengths = [len(text.split()) for text in sources[1:]]
    assert 12 < sum(lengths) / len(lengths) < 14
    assert len({word for text in sources for word in text.split()}) == bench.WORDS
    assert raw == bench.Made().read()


def test_sentences_are_made_up_only_where_nothing_else_is_said_or_found(bench):
    assert bench.chosen([], multi30k=False)[1]
    assert not bench.chosen([], multi30k=True)[1]
    overrides, made = bench.chosen(["data=dates", "model.hidden_size=8"], multi30k=False)
    assert not made
    assert overrides == ["model=seq2seq", "data=dates", "model.hidden_size=8", "trainer.device=cpu"]
    assert bench.chosen(["model.hidden_size=8"], multi30k=False)[0].count("model.hidden_size=256") == 0


@pytest.mark.parametrize(
    ("option", "said"),
    [("task.decoder.attention=additive", "attention is 'additive'"), ("model.head.tied=false", "tied is False")],
)
def test_what_the_bare_loop_is_not_written_for_is_refused(bench, option, said):
    with pytest.raises(InputError, match=said):
        setup(bench, option)


def test_a_section_or_number_that_makes_no_sense_is_refused(bench):
    with pytest.raises(InputError, match="--only speed"):
        bench.main(1, 1, 1, [], None, False, "speed", None)
    with pytest.raises(InputError, match="--rounds"):
        bench.main(1, 0, 1, [], None, False, None, None)
