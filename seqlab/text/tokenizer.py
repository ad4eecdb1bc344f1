"""Tokenizers as a configuration names them: one of ours, or a person's own function by its dotted name."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from seqlab.text.data.utils import get_tokenizer
from seqlab.types import InputError


def named_tokenizer(name: str) -> Callable[[str], list[str]]:
    """The tokenizer that ``name`` means; a name with a dot, ``package.module.function``, is imported.

    Raises:
        InputError: there is none, or what it needs is not installed.
    """
    if "." in name:
        return _own(name)
    try:
        return get_tokenizer(name)
    except (ImportError, OSError) as error:
        raise InputError(str(error)) from error


def source_digest(tokenizer: Callable[..., Any]) -> str | None:
    """SHA-256 of the source file that defines a function, None where there is no such file (compiled code)."""
    try:
        file = inspect.getsourcefile(tokenizer)
    except TypeError:
        return None
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file and Path(file).is_file() else None


def torchtext_tokenizer(name: str, tokenize: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    """The real torchtext's tokenizer of that name; what torchtext does not know is handed to it as a callable."""
    try:
        import torchtext

        torchtext.disable_torchtext_deprecation_warning()
        from torchtext.data.utils import get_tokenizer as torchtext_get_tokenizer
    except (ImportError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"torchtext cannot be imported ({reason}): its last release works beside torch 2.3 alone, so install it "
            "with `pip install 'seqlab[torchtext]'` in an environment of its own, or choose another tokenizer."
        ) from error
    return torchtext_get_tokenizer(tokenize if name in ("char", "whitespace") or "." in name else name)


def _own(name: str) -> Callable[[str], list[str]]:
    """Import ``package.module.function``.

    The name may come out of a checkpoint, and what it names is called with text. So the standard library is out of
    reach (``os.system`` is a function of a string too), and so are modules that another package happens to import.
    """
    parts = name.split(".")
    package = parts[0]
    if not all(part.isidentifier() for part in parts):
        raise InputError(f"The tokenizer {name!r} is no dotted name: write it as package.module.function.")
    if package in sys.stdlib_module_names:
        raise InputError(f"The tokenizer {name!r} is in Python's own library: name a function of your own package.")
    try:
        found: Any = importlib.import_module(package)
        for depth, part in enumerate(parts[1:], start=2):
            if not hasattr(found, part) and isinstance(found, ModuleType):
                importlib.import_module(".".join(parts[:depth]))
            found = getattr(found, part)
            if isinstance(found, ModuleType) and found.__name__.partition(".")[0] != package:
                raise InputError(f"The tokenizer {name!r} leads out of {package!r}: name it where it is defined.")
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"The tokenizer {name!r} cannot be imported ({error}): is its folder on PYTHONPATH?"
        ) from error
    if not callable(found):
        raise InputError(f"The tokenizer {name!r} is a {type(found).__name__}: name a function of one string.")
    return found
