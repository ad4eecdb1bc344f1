"""Initial weights and first losses of eight models are those on record: a change of structure moves no number."""

from __future__ import annotations

import json

import pins
import pytest

RECORDED = json.loads(pins.FILE.read_text())


@pytest.mark.parametrize("name", pins.MODELS)
def test_weights_and_losses_are_those_on_record(name):
    found, recorded = pins.pin(pins.MODELS[name]), RECORDED["models"][name]
    assert list(found["weights"]) == list(recorded["weights"])
    for weight, numbers in recorded["weights"].items():
        assert found["weights"][weight] == pytest.approx(numbers, rel=1e-5, abs=1e-5), weight
    assert found["losses"] == pytest.approx(recorded["losses"], rel=1e-4)


def test_every_key_of_data_has_the_owner_on_record():
    found = pins.owners()
    for data, keys in RECORDED["keys"].items():  # a source may have learned new ones
        assert {key: found[data].get(key) for key in keys} == keys, data
