"""``seqlab list`` names every shipped config, without torch."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from seqlab.choices import GROUPS, choices, lines
from seqlab.errors import InputError


@pytest.mark.parametrize("group", GROUPS)
def test_each_choice_has_one_line_of_80_columns(group: str) -> None:
    shown = lines(group)
    assert [line.split()[0] for line in shown[1:]] == list(choices(group))
    assert max(map(len, shown)) <= 80


def test_a_choice_is_described_by_its_leading_comment() -> None:
    assert choices("optim")["adam"] == "Adam (Kingma and Ba 2015)."


def test_an_unknown_group_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"no group .*models.*choose one of data, model, optim"):
        choices("models")


def test_the_command_prints_json_without_torch() -> None:
    code = "import sys; sys.argv = ['seqlab', 'list', 'model', '--json']\nfrom seqlab import cli\n"
    code += "try:\n    cli.main()\nexcept SystemExit:\n    pass\nassert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "lstm" in json.loads(done.stdout)["model"]
