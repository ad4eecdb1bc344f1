from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import pytest

from seqlab import schema
from seqlab.types import InputError


class Widget:
    def __init__(
        self,
        size: int,
        rate: float = 0.1,
        kind: Literal["a", "b"] = "a",
        widths: int | Sequence[int] = 3,
        betas: tuple[float, float] = (0.9, 0.999),
        path: Path | None = None,
        on: bool = False,
    ):
        self.size, self.rate = size, rate


@pytest.mark.parametrize(
    "values",
    [
        {"size": 1, "rate": 1, "kind": "b", "widths": [1, 2], "betas": [0.5, 0.9], "path": "x", "on": True},
        {"size": 1, "rate": 1e-3, "widths": 2, "path": None},
    ],
)
def test_values_of_the_annotated_types_pass(values):
    assert schema.check("w", Widget, values) is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 1.5}, "w.size must be a whole number, not 1.5"),
        ({"size": True}, "w.size must be a whole number, not True"),
        ({"size": 1, "rate": "abc"}, "w.rate must be a number, not 'abc'"),
        ({"size": 1, "rate": None}, "w.rate must be a number, not None"),
        ({"size": 1, "kind": "c"}, "w.kind must be a or b, not 'c'"),
        ({"size": 1, "widths": [1, "x"]}, "w.widths must be a whole number or a list, each item a whole number"),
        ({"size": 1, "betas": [0.9]}, "w.betas must be a list of 2"),
        ({"size": 1, "on": "yes"}, "w.on must be true or false"),
        ({"size": 1, "raet": 0.1}, "w.raet: there is no such option; did you mean 'rate'?"),
        ({}, "w.size is missing"),
    ],
)
def test_what_does_not_fit_is_named_with_its_path(values, message):
    with pytest.raises(InputError, match="^" + message.replace("?", r"\?").replace(".", r"\.")):
        schema.check("w", Widget, values)


def test_what_the_program_provides_is_no_option_and_not_missing():
    schema.check("w", Widget, {}, provided=["size"])
    with pytest.raises(InputError, match="no such option"):
        schema.check("w", Widget, {"size": 1}, provided=["size"])


def test_construct_calls_the_target():
    built = schema.construct("w", {"_target_": "fractions.Fraction", "numerator": 3, "denominator": 4})
    assert built == 0.75


@pytest.mark.parametrize("target", ["nonsense", "no.such.module", "seqlab.types.Nothing", "seqlab.types.__doc__", None])
def test_a_target_that_cannot_be_called_is_an_input_error(target):
    with pytest.raises(InputError, match="_target_"):
        schema.construct("w", {"_target_": target})


class Holder:
    def __init__(self, make: str | Callable[[int, int], Fraction], size: int = 1) -> None:
        self.made = make if isinstance(make, str) else make(3, 4)


class Scaled:
    def __init__(self, a: int, b: int, factor: float = 1.0) -> None:
        self.value = factor * a / b


def test_a_node_where_something_to_call_is_wanted_is_handed_over_with_its_options():
    node = {"_target_": f"{__name__}.Holder", "make": {"_target_": f"{__name__}.Scaled", "factor": 2.0}}
    assert schema.construct("w", node).made.value == 1.5
    assert schema.construct("w", {**node, "make": "by name"}).made == "by name"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            {"_target_": f"{__name__}.Scaled", "fcator": 2.0},
            r"w\.make\.fcator: there is no such option; did you mean 'f",
        ),
        ({"_target_": f"{__name__}.Scaled", "factor": "x"}, r"w\.make\.factor must be a number, not 'x'"),
        ({"_target_": f"{__name__}.Scaled", "a": 3}, r"w\.make\.a: there is no such option"),
        ({"_target_": f"{__name__}.Nothing"}, r"w\.make\._target_ names"),
        ({"factor": 2.0}, r"w\.make must be text or \{_target_"),
        (3, r"w\.make must be text or \{_target_"),
    ],
)
def test_what_is_wrong_with_such_a_node_is_named_with_its_path(make, message):
    with pytest.raises(InputError, match=message):
        schema.construct("w", {"_target_": f"{__name__}.Holder", "make": make})


def test_what_torch_refuses_is_one_sentence():
    from torch import nn

    for options, said in (({"eps": -1.0}, "epsilon"), ({"eps": math.nan}, "epsilon")):
        node = {"_target_": "seqlab.engine.optim.adamw", "lr": 1e-3, **options}
        with pytest.raises(InputError, match=rf"^optim: .*{said}.*\.$"):
            schema.construct("optim", node, model=nn.Linear(1, 1))


def test_numbers_that_overflow_and_nodes_that_are_none_are_refused():
    for value in (1 << 63, 10**400):
        assert not schema.accepts(value, int)
        assert not schema.accepts(value, float)
    assert schema.accepts(1e300, float)
    with pytest.raises(InputError, match=r"^model.ngrams must be options of its own, .* not 0.5\.$"):
        schema.check("model.ngrams", Widget, 0.5)


@dataclass(frozen=True)
class Sizes:
    width: int = 3
    name: str = "x"


def reads(path: str, width: float = 1.0) -> None: ...


def test_partition_gives_each_key_to_its_first_owner():
    node = {"_target_": "a.b", "path": "p", "width": 2.0, "name": "n", "lr": 1}
    own, options = schema.partition("data", node, reads, Sizes, ("lr",))
    assert own == {"_target_": "a.b", "path": "p", "width": 2.0}
    assert options == {"name": "n"}
    with pytest.raises(InputError, match=r"data\.widht: there is no such option; did you mean 'width'"):
        schema.partition("data", {"widht": 1}, reads, Sizes)


def takes(sizes: Sizes | None = None) -> Any:
    return sizes


def test_an_argument_that_is_a_dataclass_takes_a_node():
    schema.check("model", takes, {"sizes": {"width": 4}})
    schema.check("model", takes, {"sizes": None})
    with pytest.raises(InputError, match=r"model\.sizes\.widht: there is no such option; did you mean 'width'"):
        schema.check("model", takes, {"sizes": {"widht": 4}})
    with pytest.raises(InputError, match=r"model\.sizes must be options of its own or null, not 3"):
        schema.check("model", takes, {"sizes": 3})
    with pytest.raises(InputError, match=r"model\.sizes\.width must be a whole number"):
        schema.check("model", takes, {"sizes": {"width": "a"}})
