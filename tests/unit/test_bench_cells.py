"""The benchmark of all cells: widths of about equal parameter count, and runs that survive an interruption."""

from __future__ import annotations

import importlib.util
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
