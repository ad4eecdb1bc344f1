"""The benchmark of all cells: widths of about equal parameter count, and runs that survive an interruption."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from seqlab import compose
from seqlab.compose import composed
from seqlab.errors import InputError
from seqlab.nn.cells import CELLS
from seqlab.types import DataSpec

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bench_cells.py"


def load():
    spec = importlib.util.spec_from_file_location("bench_cells", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("bench_cells", module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


bench = load()
SETTINGS = {"data": "verses", "minutes": 2.0}


@given(
    square=st.integers(0, 9), slope=st.integers(1, 999), start=st.integers(0, 99999), wanted=st.integers(1, 10_000_000)
)
def test_the_width_is_the_multiple_of_8_nearest_to_what_is_wanted(square, slope, start, wanted):
    def size(width):
        return square * width * width + slope * width + start

    found = bench.nearest(size, wanted)
    assert found > 0
    assert found % 8 == 0
    others = [found + 8] + ([found - 8] if found > 8 else [])
    assert all(abs(size(found) - wanted) <= abs(size(other) - wanted) for other in others)


@pytest.mark.parametrize("name", ["lstm", "sru"])
def test_a_plan_has_about_the_parameters_that_were_asked_for(name):
    config = composed(f"model={name}", "data=verses")
    plan = bench.plan(config, DataSpec("language_modeling", 60, (), vocab_size=60, pad_id=1), 100_000)
    assert plan.hidden_size % 8 == 0
    assert abs(plan.params - 100_000) < 8_000


def test_every_cell_of_the_zoo_is_trained_once():
    cells = [OmegaConf.load(compose.CONFIGS / "model" / f"{name}.yaml").cell for name in bench.ZOO]
    assert sorted(cells) == sorted(CELLS)


class TestKept:
    def test_what_ended_is_found_again_and_what_failed_is_not(self, tmp_path):
        to = tmp_path / "cells.json"
        plan = bench.Plan("lstm", 32, 1000)
        known = {"model": "lstm", "hidden_size": 32, "params": 1000}
        first = bench.Kept(to, SETTINGS)
        first.floor = {"kneser_ney": 1.5}
        first.keep_pace(plan, 12.5)
        first.add({**known, "seed": 0, "val": {}})
        first.add({**known, "seed": 1, "diverged": "Training stopped"})
        first.add({**known, "seed": 2, "failed": "no space left"})
        again = bench.Kept(to, SETTINGS)
        assert again.floor == {"kneser_ney": 1.5}
        assert again.pace == {"lstm": 12.5}
        assert [again.find(plan, seed) is not None for seed in range(3)] == [True, True, False]
        assert again.find(bench.Plan("lstm", 40, 1300), 0) is None

    def test_runs_of_other_settings_are_not_mixed(self, tmp_path):
        to = tmp_path / "cells.json"
        bench.Kept(to, SETTINGS).add({"model": "lstm", "hidden_size": 32, "params": 1000, "seed": 0, "val": {}})
        with pytest.raises(InputError, match=r"minutes was 2.0, is 3.0"):
            bench.Kept(to, {**SETTINGS, "minutes": 3.0})

    def test_another_file_is_refused(self, tmp_path):
        to = tmp_path / "cells.json"
        to.write_text("[1, 2]")
        with pytest.raises(InputError, match="not a file of this benchmark"):
            bench.Kept(to, SETTINGS)


@pytest.fixture
def kept():
    """Cells that trained; of the LSTM one reads no stream, of the MGU one is worse than guessing; others diverged."""
    plans = [bench.Plan(model, 32, 1000) for model in ("gru", "lstm", "mgu", "rnn", "sru")]
    kept = bench.Kept(None, SETTINGS)
    kept.floor = {"unigram": 3.0, "kneser_ney": 1.5}
    kept.pace = {plan.model: 10.0 for plan in plans}
    scores = {
        "gru": [(1.5, 1.4), (1.7, 1.6)], "lstm": [(1.25, 1.2), (1.5, math.nan)], "mgu": [(1e6, math.nan), (2.0, 1.5)],
        "rnn": [None, (1.75, 1.5)], "sru": [None, None],
    }  # fmt: skip
    for plan in plans:
        for seed, score in enumerate(scores[plan.model]):
            known = {"model": plan.model, "hidden_size": 32, "params": 1000, "seed": seed}
            if score is None:
                kept.add({**known, "diverged": "Training stopped: the loss is nan, batch rows 1, 2"})
                continue
            val = dict(zip(("cold_256_loss", "stream_loss"), score, strict=True))
            more = {"monitor": "cold_256_loss", "headline": list(val), "precision": "fp32", "versions": {"torch": "2"}}
            kept.add({**known, **more, "val": val, "steps": 100})
    return plans, kept


def test_the_best_stands_on_top_and_what_went_wrong_is_told(kept, capsys):
    plans, kept = kept
    ended, names = bench.ranked(plans, kept, 2)
    assert [one.plan.model for one in ended] == ["lstm", "gru", "rnn", "mgu", "sru"]
    assert names == ["cold_256_loss", "stream_loss"]
    bench.show(ended, names, kept, 2)
    said = capsys.readouterr().out
    rows = {row.split("│")[1].strip(): row for row in said.splitlines() if row.startswith("│")}
    assert "1.3750 ± 0.1768" in rows["lstm"]
    assert "1.2000 (1 of 2 diverged)" in rows["lstm"]
    assert "2.0000 (1 of 2 diverged)" in rows["mgu"]
    assert "1.6000 ± 0.1414" in rows["gru"]
    assert "1.7500 (1 of 2 diverged)" in rows["rnn"]
    assert "2 of 2 diverged" in rows["sru"]
    assert said.count("diverged: Training stopped: the loss is nan\n") == 3


def test_the_picture_shows_every_run(kept, tmp_path):
    plans, kept = kept
    bench.draw(*bench.ranked(plans, kept, 2), kept, "a title", tmp_path / "cells.png")
    assert (tmp_path / "cells.png").read_bytes().startswith(b"\x89PNG")


def test_of_no_run_there_is_no_table():
    with pytest.raises(InputError, match="No run came to its end"):
        bench.ranked([bench.Plan("lstm", 32, 1000)], bench.Kept(None, SETTINGS), 1)
