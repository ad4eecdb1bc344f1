from __future__ import annotations

import re

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException

from seqlab import compose as ours
from seqlab.compose import composed
from seqlab.errors import InputError


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("modle=gru", "modle: there is no such option; did you mean 'model'?"),
        ("model=lstn", "model=lstn: there is no such model; did you mean 'lstm'?"),
        ("data/tokenizer=chr", "data/tokenizer=chr: there is no such data/tokenizer; did you mean 'char'?"),
        ("model.hiden_size=3", "model.hiden_size: there is no such option; did you mean 'model.hidden_size'?"),
        ("optim.rl=3", "optim.rl: there is no such option; did you mean 'optim.lr'?"),
        ("optim.lr", "'optim.lr' cannot be read: options look like key=value"),
        ("+model=gru", "Multiple values for model: write group=name without the +."),
    ],
)
def test_what_hydra_refuses_is_explained_with_the_nearest_name(override, sentence):
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}"):
        composed(override)


def test_an_unknown_key_is_explained_among_the_keys_of_the_chosen_group():
    with pytest.raises(InputError, match=r"did you mean 'model\.length'\?"):
        composed("model=mlp", "model.lenght=3")


def test_beside_resume_an_unknown_key_may_be_one_of_the_runs_own():
    with pytest.raises(InputError, match="name the run's own data= and model= too"):
        composed("resume=somewhere", "task.search.beam=3")


def test_of_two_unknown_keys_the_first_is_not_explained_by_itself():
    overrides = ["model=mlp", "model.lenght=3", "model.backend=torch"]  # only the default model has a backend
    with pytest.raises(HydraException) as raised:
        ours._compose(["model=mlp", "model.backend=torch"])
    assert "did you mean 'model.backend'?" not in ours.explain(raised.value, overrides)


def test_a_callers_own_hydra_is_left_as_it_was():
    """Notebooks and programs that use Hydra themselves may ask for a config all the same."""
    with initialize_config_dir(str(ours.CONFIGS / "model"), version_base="1.3"):
        assert composed("model=gru")["model"]["name"] == "gru"
        assert compose("lstm", ["embedding.dim=3"]).embedding.dim == 3
    assert not GlobalHydra.instance().is_initialized()


def test_a_value_that_must_be_given_is_named():
    with pytest.raises(InputError, match=r"data.path has no value: give it on the command line, data.path=VALUE"):
        composed("data=csv")


def test_the_data_brings_its_task_and_its_epochs():
    config = composed("data=imdb")
    assert config["task"]["name"] == "classification"
    assert config["trainer"]["max_epochs"] == config["data"]["epochs"]


class TestContinued:
    def test_what_is_not_named_is_the_stored_runs(self):
        stored = composed("model=gru", "seed=7")
        assert ours.continued(composed("resume=x"), stored, ["resume=x"]) == {**stored, "resume": "x"}

    def test_limits_may_change(self):
        words = ["resume=x", "trainer.max_epochs=9"]
        assert ours.continued(composed(*words), composed(), words)["trainer"]["max_epochs"] == 9

    @pytest.mark.parametrize(
        ("word", "difference"),
        [
            ("model.hidden_size=64", "model.hidden_size was 128, is 64"),
            ("model=gru", "model.cell was 'lstm', is 'gru'"),
            ("data/tokenizer=char", "data.tokenizer.tokenizer was 'basic_english', is 'char'"),
        ],
    )
    def test_another_run_is_refused_with_the_difference(self, word, difference):
        words = ["resume=x", word]
        with pytest.raises(InputError, match=difference):
            ours.continued(composed(*words), composed(), words)


def test_saving_and_loading_a_config_gives_it_back(tmp_path):
    config = composed()
    ours.save(config, tmp_path / "config.yaml")
    assert ours.load(tmp_path / "config.yaml") == config


def test_a_damaged_config_is_one_sentence(tmp_path):
    (tmp_path / "config.yaml").write_text("a: [1")
    with pytest.raises(InputError, match="cannot be read as a run's configuration"):
        ours.load(tmp_path / "config.yaml")
