"""What is written instead of an option that does not exist: only what is near, or means the same."""

from __future__ import annotations

import pytest

from seqlab.compose import composed
from seqlab.errors import InputError

CSV = ("data=csv", "data.path=a.csv")


def refused(*words: str) -> str:
    with pytest.raises(InputError) as raised:
        composed(*words)
    return str(raised.value)


@pytest.mark.parametrize(
    ("words", "end"),
    [
        (["model.hiden_size=3"], "; did you mean 'model.hidden_size'?"),
        (["optm.lr=3"], "; did you mean 'optim.lr'?"),
        (["model.dim=3"], "; did you mean 'model.embedding.dim'?"),
        (["data.tokeniser.min_freq=4"], "; did you mean 'data.tokenizer.min_freq'?"),
        (["seeed=1"], "; did you mean 'seed'?"),
    ],
)
def test_a_slip_is_answered_with_the_nearest_option(words, end):
    assert refused(*words).endswith(f"there is no such option{end}")


@pytest.mark.parametrize("word", ["data.frobnicate=1", "data._target_x=1", "model.foo=1"])
def test_what_is_near_nothing_gets_no_name_and_never_one_that_begins_with_an_underscore(word):
    message = refused(*CSV, word)
    assert message.endswith("there is no such option; `seqlab train --help` lists all.")
    assert "_target_'" not in message


def test_an_option_of_another_config_is_led_there():
    assert refused(*CSV, "data.targets=[2015]").endswith(
        " with data=csv; it is an option of data=ett, data=series, data=waves."
    )
    assert refused("model.kernel_size=3").endswith(" with model=lstm; it is an option of model=tcn.")
    assert refused("optim.momentum=0.9").endswith(" option; it is an option of optim=rmsprop, optim=sgd.")
    # what a dataset only recommends to another group is no option of data
    assert "data.horizon" in (message := refused(*CSV, "data.horizon=3"))
    assert "data=series" in message


def test_an_option_that_takes_its_default_from_the_key_is_what_was_meant():
    end = "there is no such option; set data.tokenizer.vocab_size instead."
    assert refused(*CSV, "data/tokenizer=bpe", "data.subwords=300").endswith(end)
    assert refused(*CSV, "data.subwords=300").endswith("; with data/tokenizer=bpe set data.tokenizer.vocab_size.")
    assert refused(*CSV, "data.hidden_size=3").endswith("; set model.hidden_size instead.")
    assert "tokenizer" not in refused("data=ett", "data.subwords=300")
