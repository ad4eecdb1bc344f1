"""The defaults of a form of data are options that it has."""

from __future__ import annotations

import pytest

from seqlab import forms
from seqlab.build import check_config
from seqlab.compose import composed
from seqlab.trust import CONFIGS


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONFIGS / "data").glob("*.yaml")))
def test_no_shipped_dataset_gains_an_option(name, tmp_path):
    words = [f"data={name}"] + [f"data.path={tmp_path}/a.csv"] * (name in ("csv", "text", "pairs", "series"))
    config = composed(*words)
    assert forms.completed(config["data"]) == config["data"]
    check_config({**config, "task": config["task"]})


@pytest.mark.parametrize("key", ["sampling", "horizon", "shared", "tokenizer", "other"])
def test_what_is_given_stays(key):
    found = forms.completed({"name": "own", key: 1, "batch_size": 3})
    assert found["batch_size"] == 3
    assert list(found)[:3] == ["name", key, "batch_size"]
