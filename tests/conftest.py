"""What all tests share: one thread a worker, one cache for the session, fewer random examples unless asked for more.

python -m pytest                                    one worker a core; a named file runs in this process
python -m pytest -n 0 tests/unit                    in this process
python -m pytest --hypothesis-profile=thorough      every random example that a test asks for, new ones each time
python -m pytest -m slow                            long proofs, left out by default
"""

from __future__ import annotations

import io
import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

# Before torch starts: workers share the cores among them, and a thread pool in each would fight for them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Workers are started with this environment: what one has compiled, the others load. Nothing of the user's is read.
_MADE = None if "PYTEST_XDIST_WORKER" in os.environ else tempfile.mkdtemp(prefix="seqlab-tests-")
if _MADE is not None:
    os.environ["SEQLAB_CACHE"] = _MADE

SHARE, FEWEST = 5, 3
"""By default one in so many of the examples that a test asks for, and never fewer than so many."""

settings.register_profile("thorough", settings.get_profile("default"))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Run files named on the command line in this process: workers take longer to start than most files to run."""
    return 0 if any(Path(word.partition("::")[0]).is_file() for word in config.invocation_params.args) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Draw a share of the examples, the same ones every time, unless ``--hypothesis-profile=thorough`` or slow."""
    if config.getoption("--hypothesis-profile") == "thorough":
        return
    for item in items:
        test = getattr(item, "obj", None)
        test = getattr(test, "__func__", test)
        own = getattr(test, "_hypothesis_internal_use_settings", None)
        if own is None or item.get_closest_marker("slow") or getattr(test, "_drawn_less", False):
            continue
        fewer = max(FEWEST, own.max_examples // SHARE)
        test._hypothesis_internal_use_settings = settings(own, max_examples=fewer, derandomize=True, database=None)
        test._drawn_less = True  # the function of a parametrized test is there once for each


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their argument: compressed ones hold the time, and workers must agree on names."""
    return argname if isinstance(val, bytes) else None


def pytest_runtest_teardown() -> None:
    """Give torch's products back: a training may have changed them for its process, which a clock decides."""
    switch = getattr(sys.modules.get("torch.backends.mkldnn"), "matmul", None)
    if getattr(switch, "fp32_precision", "none") != "none":
        switch.fp32_precision = "none"


def pytest_unconfigure() -> None:
    """Remove the session's cache; a worker leaves it to the process that made it."""
    if _MADE is not None:
        shutil.rmtree(_MADE, ignore_errors=True)


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave figures undrawn: drawing takes longer than a tiny training, and is for tests that look at pictures."""
    monkeypatch.setattr("seqlab.engine.tracker.Tracker.figure", lambda *_: None)


@dataclass(frozen=True)
class Answer:
    """What a command came to: its exit status, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def run_command() -> Callable[..., Answer]:
    """``run_command("train", "data=waves", cwd=folder)``: a command line of ``seqlab``, in this process.

    Starting Python and importing torch takes seconds: start a process only if the process is what the test is about.
    Exceptions are raised here, so that a traceback fails the test.
    """

    def call(*words: object, cwd: Path, input: str = "") -> Answer:
        import torch

        from seqlab.cli import main

        written, said = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        threads, before = torch.get_num_threads(), Path.cwd()
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            patch.setattr(sys, "argv", ["seqlab", *map(str, words)])
            patch.setattr(sys, "path", [*sys.path])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(input.encode("utf-8", "surrogateescape"))))
            patch.setattr(logging.root, "handlers", [])
            patch.setenv("HYDRA_FULL_ERROR", "1")
            os.chdir(cwd)
            try:
                with redirect_stdout(written), redirect_stderr(said):
                    main()
                status = 0
            except SystemExit as ended:
                status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
            finally:
                os.chdir(before)
                torch.set_num_threads(threads)
        return Answer(status, *(page.buffer.getvalue().decode("utf-8") for page in (written, said)))

    return call
