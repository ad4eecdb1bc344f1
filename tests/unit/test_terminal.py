"""What is shown is what was given, and JSON is JSON."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from seqlab.terminal import PlainTable, json_text


@pytest.mark.parametrize("text", ["[INST] hi [/INST]", "[deleted]", "see [link] at :100:", "flow [m3/h]", "[/b]"])
def test_a_table_shows_markup_as_it_is(text, capsys):
    table = PlainTable(text, title=text)
    table.add_row(text)
    table.print(width_in_file=100)
    assert capsys.readouterr().out.count(text) == 3


def test_json_has_no_nan_and_no_numpy():
    value = {"a": math.nan, "b": [np.float32(1.5), math.inf], "c": np.arange(2), 3: True, "d": None, "e": np.int64(7)}
    text = json_text(value)
    assert json.loads(text, parse_constant=pytest.fail) == {
        "a": None, "b": [1.5, None], "c": [0, 1], "3": True, "d": None, "e": 7,
    }  # fmt: skip
