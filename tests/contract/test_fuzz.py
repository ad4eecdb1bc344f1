"""A short part of ``scripts/fuzz.py``: random configs, mutated data files and run folders, with a fixed seed."""

from __future__ import annotations

import importlib.util
import random
import sys
import time
import warnings
from pathlib import Path

import pytest

from seqlab.errors import InputError

SCRIPT = Path(__file__).parents[2] / "scripts" / "fuzz.py"
SEED, STRIDE = 1, 10
"""Each test works through so many cases, so that a failure names few."""


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location("fuzz", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["fuzz"]


@pytest.fixture(scope="module")
def base(fuzz, tmp_path_factory):
    """Data and finished tiny runs, without what ``quiet`` changes for a whole process."""
    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fuzz, "quiet", lambda: None)
        patch.setattr("seqlab.engine.tracker.Tracker.figure", lambda *_: None)
        fuzz.prepare(folder)
    return folder


@pytest.fixture(autouse=True)
def _silent(no_figures):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize(
    ("kind", "first"),
    [
        *(("configs", first) for first in range(0, 2 * STRIDE, STRIDE)),
        *(("files", first) for first in range(0, 6 * STRIDE, STRIDE)),
        *(("folders", first) for first in range(0, 4 * STRIDE, STRIDE)),
    ],
)
def test_wrong_input_is_a_success_or_one_sentence(fuzz, base, kind, first):
    found = {number: fuzz.case(kind, number, SEED, base) for number in range(first, first + STRIDE)}
    wrong = {f"{kind}/{number}": case for number, case in found.items() if case[0] not in ("ok", "refused")}
    assert not wrong, "\n".join(f"{name}: {outcome}\n{detail}" for name, (outcome, detail) in wrong.items())


def test_a_case_is_the_same_for_the_same_seed(fuzz, base):
    assert fuzz.case("files", 3, SEED, base)[0] == fuzz.case("files", 3, SEED, base)[0]
    first, again, other = (fuzz.mutate(b"text,label\n" * 50, random.Random(seed)) for seed in (5, 5, 6))
    assert first == again != other


def _raise(error):
    def run(*_):
        raise error

    return run


def _stay(*_):
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            time.sleep(0.05)
        except Exception:  # as code that falls back on any failure does
            continue


@pytest.mark.parametrize(
    ("run", "outcome"),
    [
        (lambda *_: None, "ok"),
        (_raise(InputError("data.path does not exist")), "refused"),
        (_raise(FileNotFoundError(2, "No such file", "x.csv")), "refused"),
        (_raise(OSError("something")), "traceback"),
        (_raise(KeyError("data")), "traceback"),
        (_raise(SystemExit(0)), "traceback"),
        (_stay, "hang"),
    ],
)
def test_what_counts_as_a_failure(fuzz, base, monkeypatch, run, outcome):
    monkeypatch.setattr(fuzz, "LIMIT", 1)
    monkeypatch.setattr(fuzz, "RUN", {"files": run})
    assert fuzz.case("files", 0, SEED, base)[0] == outcome
