"""Every example of docs/extending.md trains as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [text.strip() for kind, text in BLOCKS if kind == "sh"]
TINY = ("model.hidden_size=4", "model.backend=reference", "trainer.max_steps=2", "floor=false", "runtime.threads=1")


@pytest.mark.parametrize("command", COMMANDS)
def test_an_example_trains(command, run_command, no_figures, tmp_path, monkeypatch):
    for kind, text in BLOCKS:
        if kind in ("python", "yaml"):
            path = tmp_path / text.splitlines()[0].removeprefix("# ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    words = shlex.split(command)[2:]
    if "data=fruit" not in words:
        words = [
            "--config-dir",
            "conf",
            "data=fruit",
            *(word for word in words if word not in ("--config-dir", "conf")),
        ]
    # The fruit are few: on the reviews of the page each command takes some seconds.
    done = run_command("train", *words, *TINY, "run_dir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "summary.json").exists()


def test_there_is_an_example_of_every_part():
    assert len(COMMANDS) == 5
