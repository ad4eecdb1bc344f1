"""A small file is written whole or not at all."""

from __future__ import annotations

import os

import pytest

from seqlab import durable
from seqlab.errors import InputError, shorten


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "config.yaml"
    durable.write_text(path, "a: ü\n")
    durable.write_text(path, "b: 2\n")
    assert path.read_text(encoding="utf-8") == "b: 2\n"
    assert os.listdir(tmp_path) == ["config.yaml"]


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "config.yaml"
    durable.write_text(path, "old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        durable.write_text(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["config.yaml"]


def test_a_message_is_never_endless():
    assert len(str(InputError("x" * 10_000_000))) <= 1500
    assert shorten("abc", 3) == "abc"
    assert len(shorten("a" * 99 + "end", 20)) == 20
    assert shorten("a" * 99 + "end", 20).endswith("end")
