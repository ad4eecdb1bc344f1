"""The signature is the schema: a config node names a callable in ``_target_``, its other keys are the arguments.

So there is no second description of what may be configured: a new argument with a type is a new, checked option.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import json
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from seqlab import words
from seqlab.errors import InputError, shorten

Node = Mapping[str, Any]
LARGEST = 1 << 48
"""No whole number of a config is larger: beyond, products of two overflow."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` when something known is near, else a list of what is known (or nothing)."""
    known = sorted(set(known))
    if near := nearest(word, known):
        return f"; did you mean '{near}'?"
    return f"; known: {', '.join(known)}" if 0 < len(known) <= 30 else ""


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """What of ``known`` is most like ``word``; empty where nothing is.

    Dotted words are compared by their last part with those of the same node: ``data.`` before both is no likeness.

    Args:
        word: what was written.
        known: what may be written.
        cutoff: how alike two names must be, from 0 to 1.
    """
    known = sorted(set(known))
    if "." not in word:
        return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=cutoff)), "")
    node, _, last = word.rpartition(".")
    section = word.partition(".")[0]
    below = [name for name in known if name.startswith(f"{section}.") and name.endswith(f".{last}")]
    beside = {name.rpartition(".")[2]: name for name in known if name.rpartition(".")[0] == node}
    near = below or [beside[name] for name in difflib.get_close_matches(last, beside, n=1, cutoff=cutoff)]
    return next(iter(near or difflib.get_close_matches(word, known, n=1, cutoff=0.8)), "")


def _nearest(value: Any, hint: Any) -> str:
    """`` (did you mean 'x'?)`` where ``value`` is nearly one of the words of ``hint``."""
    words = [word for word in _words(hint) if isinstance(word, str)]
    near = difflib.get_close_matches(value, words, n=1, cutoff=0.55) if isinstance(value, str) else []
    return f" (did you mean {near[0]!r}?)" if near else ""


def _as_text(path: str, value: Any, hint: Any) -> str:
    """The end of the sentence: how to write a list of one, or a number that is meant as text, where that would do."""
    if not path.startswith("data.") and "." in path:  # elsewhere texts are names of parts, and no number is one
        return "."
    if isinstance(value, str | int) and accepts([value], hint):
        listed = words.word(path, [value]) if isinstance(value, str) else f"'{path}=[{value}]'"
        return f": write {listed}"
    texts = [_as_typed(item) for item in value] if isinstance(value, list) else str(value)
    if isinstance(value, str | bool) or value is None or not accepts(texts, hint):
        return "."
    return f": to mean text, quote it as it stands in the data: {words.text_word(path, texts)}"


def _as_typed(item: Any) -> str:
    return json.dumps(item) if isinstance(item, bool) or item is None else str(item)


def _words(hint: Any) -> tuple[Any, ...]:
    """All that the literals of a type may be."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    return tuple(word for part in get_args(hint) for word in _words(part))


def locate(target: Any, where: str) -> Callable[..., Any]:
    """The callable behind a dotted name.

    Raises:
        InputError: no such module or attribute, or not callable.
    """
    if not isinstance(target, str) or "." not in target:
        raise InputError(f"{where}._target_ must be a dotted name such as package.module.Name, not {target!r}.")
    module_name, _, name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{where}._target_ names {target}, which cannot be imported: {error}.") from error
    if not callable(found):
        raise InputError(f"{where}._target_ names {target}, which is not callable.")
    return found


def accepts(value: Any, hint: Any) -> bool:
    """Whether ``value``, as it comes out of a config file, is of the annotated type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is None or hint is type(None):
        return value is None
    if origin in (Union, types.UnionType):
        return any(accepts(value, argument) for argument in arguments)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in arguments)
    if hint in (float, int):
        whole = isinstance(value, int) and not isinstance(value, bool)
        return (whole and abs(value) <= LARGEST) or (hint is float and isinstance(value, float))
    if hint in (str, bool):
        return isinstance(value, hint)
    if hint is Path:
        return isinstance(value, (str, Path))
    if is_dataclass(hint):
        return isinstance(value, Mapping)  # its keys are held against its fields by ``check``
    if origin is tuple and Ellipsis not in arguments:
        return (
            isinstance(value, (list, tuple))
            and len(value) == len(arguments)
            and all(accepts(item, argument) for item, argument in zip(value, arguments, strict=True))
        )
    if origin is not None and isinstance(origin, type) and issubclass(origin, (Sequence, list, tuple)):
        return isinstance(value, (list, tuple)) and all(accepts(item, arguments[0]) for item in value)
    if origin is Callable:
        return isinstance(value, Mapping) and "_target_" in value
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping)
    return True  # objects of ours that no config file can hold


def describe(hint: Any) -> str:
    """An annotated type in a person's words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(argument) for argument in arguments)
    if origin is Literal:
        return " or ".join(str(choice) for choice in arguments)
    words = {float: "a number", int: "a whole number", str: "text", bool: "true or false", type(None): "null"}
    if hint in words or hint is None:
        return words.get(hint, "null")
    if origin is tuple and Ellipsis not in arguments:
        return f"a list of {len(arguments)}: " + ", ".join(describe(argument) for argument in arguments)
    if origin is not None and isinstance(origin, type) and issubclass(origin, (Sequence, list, tuple)):
        return f"a list, each item {describe(arguments[0])}"
    if is_dataclass(hint):
        return "options of its own"
    if origin is Callable:
        return "{_target_: package.module.Name, option: value}"
    return "a path" if hint is Path else str(getattr(hint, "__name__", hint))


def check(where: str, function: Callable[..., Any], values: Node, provided: Iterable[str] = ()) -> None:
    """Hold ``values`` against the signature of ``function``.

    Args:
        where: the path of the node, for messages: ``model.embedding``.
        function: what will be called.
        values: the node's own keys (``_target_`` is passed over).
        provided: arguments that the program will add.

    Raises:
        InputError: an unknown key, a missing one, or a value of another type.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{where} must be options of its own, such as {where}.KEY=VALUE, not {shorten(repr(values))}.")
    signature = inspect.signature(function)
    hints = get_type_hints(function.__init__ if inspect.isclass(function) else function)
    for key, value in values.items():
        if key == "_target_":
            continue
        path = f"{where}.{key}" if where else key
        if key not in signature.parameters or key in provided:
            open_keys = set(signature.parameters) - set(provided)
            raise InputError(f"{path}: there is no such option{did_you_mean(key, open_keys)}")
        if key in hints and not accepts(value, hints[key]):
            raise InputError(
                f"{path} must be {describe(hints[key])}, not {shorten(repr(value), 200)}"
                f"{_nearest(value, hints[key])}{_as_text(path, value, hints[key])}"
            )
        if (nested := _nested(hints.get(key))) is not None and isinstance(value, Mapping):
            check(path, nested, value)
        if (given := _called_with(hints.get(key), value)) is not None:
            made = locate(value["_target_"], path)
            taken = inspect.signature(made).parameters
            if len(taken) < given and not any(each.kind is each.VAR_POSITIONAL for each in taken.values()):
                raise InputError(
                    f"{path}._target_ names {value['_target_']}, which takes {len(taken)} arguments, and it is called "
                    f"with {given}: name something else."
                )
            check(path, made, value, tuple(taken)[:given])
    for name, parameter in signature.parameters.items():
        if parameter.default is inspect.Parameter.empty and name not in values and name not in provided:
            raise InputError(f"{where}.{name} is missing: give it a value.")


def arguments(function: Callable[..., Any]) -> frozenset[str]:
    """Names of what ``function`` takes."""
    return frozenset(inspect.signature(function).parameters)


def partition(
    where: str, node: Node, function: Callable[..., Any], options: type, others: Iterable[str] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give each key of a node to its owner: first the callable whose signature has it, then the options.

    Args:
        where: the path of the node, for messages.
        node: the keys; ``_target_`` stays with the callable's.
        function: what ``_target_`` names.
        options: a dataclass.
        others: keys that belong to neither and are passed over.

    Returns:
        The callable's keys and the options' keys.

    Raises:
        InputError: a key that nobody has.
    """
    first = arguments(function)
    second = frozenset(field.name for field in fields(options)) - first
    for key in node:
        if key != "_target_" and key not in first | second and key not in others:
            raise InputError(f"{where}.{key}: there is no such option{did_you_mean(key, first | second)}")
    own = {key: value for key, value in node.items() if key == "_target_" or key in first}
    return own, {key: value for key, value in node.items() if key in second}


def construct(where: str, node: Node, **provided: Any) -> Any:
    """Check a node against its ``_target_`` and call it with the node's keys and ``provided``.

    A key whose argument is something to call, and whose value is a node itself, is handed over as that: the target
    with the node's other keys filled in.
    """
    function = locate(node.get("_target_"), where)
    check(where, function, node, provided)
    hints = get_type_hints(function.__init__ if inspect.isclass(function) else function)
    options = {}
    for key, value in node.items():
        if key == "_target_":
            continue
        if _called_with(hints.get(key), value) is not None:
            made = locate(value["_target_"], f"{where}.{key}")
            value = partial(made, **{name: option for name, option in value.items() if name != "_target_"})
        elif (nested := _nested(hints.get(key))) is not None and isinstance(value, Mapping):
            with named(f"{where}.{key}"):
                value = nested(**value)
        options[key] = value
    with named(where):
        try:
            return function(**options, **provided)
        except InputError:
            raise
        except (ValueError, OverflowError, RuntimeError) as error:  # torch's own words for an option out of range
            if isinstance(error, RuntimeError) and not node["_target_"].startswith(("seqlab.", "torch.")):
                raise  # a fault in the user's own code is shown whole
            raise InputError(f"{where}: {shorten(' '.join(str(error).split()), 300).rstrip('.')}.") from error


@contextmanager
def named(where: str) -> Iterator[None]:
    """Say whose option it is that what is made here refuses, unless it says so itself."""
    try:
        yield
    except InputError as error:
        message = str(error)
        if any(f"{where}{sign}" in message for sign in ".=:"):
            raise
        raise InputError(f"{where}: {message}") from error


def _nested(hint: Any) -> type | None:
    """The dataclass of a parameter whose value is a node of its own."""
    return next((choice for choice in (hint, *get_args(hint)) if is_dataclass(choice)), None)  # type: ignore[return-value]


def _called_with(hint: Any, value: Any) -> int | None:
    """How many arguments whoever takes ``value`` will call it with, where the hint says it is something to call."""
    if not isinstance(value, Mapping):
        return None
    for choice in (hint, *get_args(hint)):
        if get_origin(choice) is Callable:
            return len(get_args(choice)[0])
    return None
