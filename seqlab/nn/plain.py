"""When a computation must consist of plain torch operations, because somebody else records or transforms it."""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from seqlab.types import InputError

_ORDINARY = (Tensor, nn.Parameter)
_functorch_level = torch._C._functorch.peek_interpreter_stack
_modes = torch._C._len_torch_dispatch_stack


def plain_only(*tensors: Tensor) -> bool:
    """Whether compiled kernels, NumPy and decisions by a tensor's values are out of the question now.

    So it is while torch traces (``jit.trace``, ONNX), compiles or exports, under fake tensors and other dispatch modes,
    inside ``torch.func`` transforms (``vmap``, ``grad``, ``jvp``) and forward-mode derivatives, and for tensors that
    are not ordinary ones: of a subclass, without numbers (meta), or stored with the other sign.
    """
    return (
        torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None
        or _modes() > 0
        or transformed()
        or any(type(tensor) not in _ORDINARY or tensor.is_meta or tensor.is_neg() for tensor in tensors)
    )


def transformed() -> bool:
    """Whether ``torch.func`` or forward-mode derivatives are at work, for which torch's own loops have no rules."""
    return _functorch_level() is not None or forward_ad._current_level >= 0


def no_script(module: nn.Module) -> NoReturn:
    """Refuse ``torch.jit.script``: stands as ``__prepare_scriptable__`` in modules, which torch calls first."""
    raise InputError(
        f"torch.jit.script cannot read {type(module).__name__}, whose Python it does not know: use torch.jit.trace or "
        "torch.export instead."
    )
