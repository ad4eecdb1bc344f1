"""What all tests share: one thread a worker, one cache for the session, fewer random examples unless asked for more.

python -m pytest                                    one worker a core; a path runs in this process
python -m pytest -n 0 tests/unit                    in this process
python -m pytest --hypothesis-profile=thorough      every random example that a test asks for, not a share of them
python -m pytest -m slow                            long proofs, left out by default
"""

from __future__ import annotations

import os
import shutil
import tempfile
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
    """Run what is named on the command line in this process: workers take longer to start than most files to run."""
    return 0 if any(Path(word.partition("::")[0]).exists() for word in config.invocation_params.args) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Draw a share of the examples, unless ``--hypothesis-profile=thorough``; slow tests draw all."""
    if config.getoption("--hypothesis-profile") == "thorough":
        return
    for item in items:
        test = getattr(item, "obj", None)
        test = getattr(test, "__func__", test)
        own = getattr(test, "_hypothesis_internal_use_settings", None)
        if own is None or item.get_closest_marker("slow") or getattr(test, "_drawn_less", False):
            continue
        test._hypothesis_internal_use_settings = settings(own, max_examples=max(FEWEST, own.max_examples // SHARE))
        test._drawn_less = True  # the function of a parametrized test is there once for each


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their argument: compressed ones hold the time, and workers must agree on names."""
    return argname if isinstance(val, bytes) else None


def pytest_unconfigure() -> None:
    """Remove the session's cache; a worker leaves it to the process that made it."""
    if _MADE is not None:
        shutil.rmtree(_MADE, ignore_errors=True)
