"""Each form of data is a ``Dataset``, names its options, and a source finds its form."""

from __future__ import annotations

import dataclasses
import inspect

import pytest

from seqlab import build, schema
from seqlab.compose import CONFIGS, composed
from seqlab.data.arrays import ArrayData
from seqlab.data.corpus import Corpus
from seqlab.data.forecast import ForecastData
from seqlab.data.forms import form_of
from seqlab.data.labelled import LabelledText
from seqlab.data.parallel import ParallelText
from seqlab.errors import InputError
from seqlab.protocols import Dataset

FORMS = (LabelledText, Corpus, ForecastData, ParallelText, ArrayData)
NAMES = sorted(path.stem for path in (CONFIGS / "data").glob("*.yaml"))


def config(name, *words):
    own = [f"data.path={name}.csv"] if name in ("csv", "text", "pairs", "series") else []
    return composed(f"data={name}", *own, *words)


@pytest.mark.parametrize("form", FORMS)
def test_a_form_has_all_that_the_protocol_asks_for_and_its_options_have_defaults(form):
    asked = {name for name, value in vars(Dataset).items() if inspect.isfunction(value) or isinstance(value, property)}
    asked = {name for name in (*asked, "load", "batches", "Options", "gives") if not name.startswith("_")}
    assert all(hasattr(form, name) or name in {field.name for field in dataclasses.fields(form)} for name in asked)
    assert form.Options() == form.Options()
    assert len(asked) <= 9, "protocols stay thin"


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_source_names_its_form_and_its_config_says_every_option(name):
    found = config(name)
    source = schema.locate(found["data"]["_target_"], "data")
    assert source.dataset is build.make_plan(found).form
    assert build.completed(found)["data"].keys() == found["data"].keys()


@pytest.mark.parametrize(
    ("node", "form"),
    [
        ({"sampling": 1}, Corpus),
        ({"horizon": 1}, ForecastData),
        ({"shared": 1, "tokenizer": 1}, ParallelText),
        ({"tokenizer": 1}, LabelledText),
        ({}, ArrayData),
    ],
)
def test_the_form_of_a_source_without_the_attribute_is_guessed_from_its_config(node, form):
    class Named:
        dataset = ArrayData

    assert form_of(lambda: None, node) is form
    assert form_of(Named, node) is ArrayData


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["reviews", "data.batch_size=0"], r"data\.batch_size must be at least 1, not 0\."),
        (["reviews", "data.eval_max_length=-3"], r"data\.eval_max_length must be at least 1, not -3\."),
        (["reviews", "data.val_fraction=1.5"], r"data\.val_fraction must be a number between 0 and 1, not 1\.5\."),
        (["reviews", "data.val_fraction=abc"], r"data\.val_fraction must be a number, not 'abc'"),
        (["reviews", "data.truncate=heads"], r"data\.truncate must be head or tail, not 'heads' \(did you mean 'head'"),
        (["verses", "data.sampling=randm"], r"data\.sampling must be random or sequential, not 'randm'"),
        (["verses", "data.reset=0.5"], r"set data\.sampling=sequential too, or remove data\.reset"),
        (["verses", "data.sampling=sequential", "data.reset=1"], r"data\.reset is a probability"),
        (["dates", "data.shared=3"], r"data\.shared must be true or false, not 3"),
        (["waves", "data.horizon=0"], r"data\.horizon must be at least 1, not 0\."),
        (["adding", "+data.widht=3"], r"data\.widht: there is no such option"),
    ],
)
def test_options_out_of_range_are_refused_before_any_data_is_read(words, sentence):
    with pytest.raises(InputError, match=sentence):
        build.check_config(config(*words))
