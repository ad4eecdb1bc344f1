from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from seqlab.build import check_config, make_run_dir
from seqlab.compose import composed
from seqlab.errors import InputError
from seqlab.train import train


def config(tmp_path, **changes):
    return {"runs": str(tmp_path), "run_dir": None, "data": {"name": "d"}, "model": {"name": "m"}, **changes}


def test_runs_that_start_in_one_instant_get_folders_of_their_own(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: make_run_dir(config(tmp_path)), range(32)))
    assert len(set(folders)) == 32
    assert all(folder.is_dir() for folder in folders)


def test_a_folder_of_ones_own_choice_must_be_new(tmp_path):
    chosen = config(tmp_path, run_dir=str(tmp_path / "mine"))
    assert make_run_dir(chosen) == tmp_path / "mine"
    with pytest.raises(InputError, match=r"exists already: name a new folder, continue it with resume="):
        make_run_dir(chosen)


def test_what_no_data_can_mend_is_refused_before_any_is_read(tmp_path):
    """Of a file that is not there, nothing is said yet."""
    absent = ["data=csv", "data.path=absent.csv"]
    with pytest.raises(InputError, match="exists already"):
        check_config(composed(*absent, f"run_dir={tmp_path}"))
    for key in ("batch_size", "max_length", "round_to", "eval_max_length"):
        with pytest.raises(InputError, match=rf"^data.{key} must be at least 1, not 0\.$"):
            check_config(composed(*absent, f"data.{key}=0"))


def test_a_model_that_writes_text_is_refused_where_nothing_is_written():
    for data in ("reviews", "waves", "adding"):
        with pytest.raises(
            InputError, match=rf"^model=seq2seq is an encoder-decoder, .* data={data} is .* model=bigru"
        ):
            check_config(composed("model=seq2seq", f"data={data}"))
    with pytest.raises(InputError, match=r"^model=lstm has model.head.tied=true, "):
        check_config(composed("model=lstm", "model.head.tied=true"))
    check_config(composed("model=seq2seq", "data=dates"))
    check_config(composed("model=lstm", "model.head.tied=true", "data=verses"))


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="No run folder can be made"):
        make_run_dir(config(tmp_path, runs=str(tmp_path / "file")))


@pytest.mark.parametrize("word", ["data.name=3", "model.name=[a]", "data.name='a/b'", "data.name=''"])
def test_a_name_that_can_be_no_folder_is_refused(word):
    key = word.partition("=")[0]
    with pytest.raises(InputError, match=rf"^{key} must be text that can name a folder, not "):
        check_config(composed(word))


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("model.num_layers=1000000000", "model: num_layers=1,000,000,000 is too many: give at most 1,000"),
        ("model.embedding.std=-1", "model.embedding: std must be a finite number of at least 0, not -1"),
        ("model.embedding.std=inf", "model.embedding: std must be a finite number of at least 0, not inf"),
        ("model.forget_bias=1e300", "model: forget_bias must be a finite number, not 1e+300"),
        ("model.tail=[-1,2]", "model.tail=-1 is no size: give a whole number of at least 1"),
        ("model.embedding.dim=10000000000", "training takes at least"),
        ("trainer.clip_value=1e300", "trainer.clip_value is 1e+300; give a number that float32 holds"),
        ("model.cell={_target_:os.getcwd}", "model.cell._target_ names os.getcwd, which takes 0 arguments, and it is"),
    ],
)
def test_sizes_and_numbers_out_of_range_are_refused_before_memory_is_taken(word, sentence, tmp_path):
    with pytest.raises(InputError, match=re.escape(sentence)):
        train(composed("model=lstm", "data=reviews", f"runs={tmp_path / 'runs'}", word))
    assert not (tmp_path / "runs").exists()
