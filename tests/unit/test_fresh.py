"""Files that a run is measured on come to the parts that its own data would make of them."""

from __future__ import annotations

import numpy as np
import pytest

from seqlab.build import build_data, read_part
from seqlab.compose import composed
from seqlab.errors import InputError


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def test_pairs(tmp_path):
    (tmp_path / "a.tsv").write_text("".join(f"wort {row}\tword {row}\n" for row in range(40)))
    (tmp_path / "b.tsv").write_text("".join(f"wort {row}\tword {row + 1}\n" for row in range(10)))
    config = composed("data=pairs", "model=seq2seq", "data.path=a.tsv", "data.test_path=b.tsv", "data/tokenizer=char")
    data = build_data(config)
    part = read_part(config, data.spec, data.pipeline, tmp_path / "b.tsv")
    assert np.array_equal(part.sources.values, data.test.sources.values)
    assert np.array_equal(part.targets.values, data.test.targets.values)
    assert [list(texts) for texts in part.texts] == [list(texts) for texts in data.test.texts]


@pytest.mark.parametrize("words", [(), ("data.separator=END",)])
def test_running_text(tmp_path, words):
    for name in "abc":
        (tmp_path / f"{name}.txt").write_text(f"some {name} text\nEND of it END more " * 200)
    files = ["data.path=a.txt", "data.val_path=b.txt", "data.test_path=c.txt"]
    config = composed("data=text", *files, "data.eval_length=16", "data.length=16", *words)
    data = build_data(config)
    part = read_part(config, data.spec, data.pipeline, tmp_path / "c.txt")
    assert np.array_equal(part.ids, data.test.ids)
    assert np.array_equal(part.starts, data.test.starts)
    assert len(part.starts) == (401 if words else 1)


def test_data_without_texts_is_refused(tmp_path):
    config = composed("data=waves", "model=lstm")
    data = build_data(composed("data=parity", "model=lstm", "data.train=8", "data.val=8", "data.test=8"))
    with pytest.raises(InputError, match=r"--data measures runs that read texts, .* data=waves: remove --data"):
        read_part(config, data.spec, None, tmp_path / "a.csv")
