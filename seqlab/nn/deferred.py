"""Linear maps that are used at many steps, and whose weights learn from all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class Deferred(TorchFunctionMode):
    """While it is entered, the gradient of a linear map's weights is made of all steps by one product.

    A loop over time uses the same weights at every step, and autograd makes a gradient as large as the weights at each
    and adds it to the last one's: for a decoder of 512 a sixth of its training step. Here each step's gradient goes
    down to its input alone; input and gradient are kept, and behind the first step ``W' = sum_u g_u x_u^T`` is one
    product over all rows and steps, more exact than a sum in bfloat16. It is for loops written in Python over cells of
    any kind: whatever calls ``F.linear`` with a parameter (as ``nn.Linear`` does) is meant.

    Enter it around one loop, in training. A gradient of the gradient is refused.
    """

    def __init__(self) -> None:
        super().__init__()
        self._maps: dict[int, tuple[_Map, Tensor]] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """Takes linear maps over, hands everything else on."""
        if func is not F.linear or kwargs or not isinstance(args[1], torch.nn.Parameter) or args[0].ndim != 2:
            return func(*args, **(kwargs or {}))
        x, weight, bias = args if len(args) == 3 else (*args, None)
        if id(weight) not in self._maps:
            mapped = _Map(weight, bias, _product_dtype(x))
            self._maps[id(weight)] = mapped, _Gather.apply(weight, bias, mapped)
        mapped, learner = self._maps[id(weight)]
        return _Step.apply(x, learner, mapped)


class _Map:
    """A linear map and what came by: of each step what it read and, later, the gradient of what it answered."""

    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> None:
        self.weight = weight.detach().to(dtype)
        self.bias = None if bias is None else bias.detach().to(dtype)
        self.steps = 0
        self.came: dict[int, tuple[Tensor, Tensor]] = {}


class _Step(torch.autograd.Function):
    """``W x + b`` for ``x`` ``(B, I)``; its gradient waits for those of the other steps."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, learner: Tensor, mapped: _Map) -> Tensor:
        ctx.mapped, ctx.step = mapped, mapped.steps
        mapped.steps += 1
        x = x.to(mapped.weight.dtype)
        ctx.save_for_backward(x)
        return F.linear(x, mapped.weight, mapped.bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None]:
        (x,) = ctx.saved_tensors
        ctx.mapped.came[ctx.step] = x, gradient
        down = gradient @ ctx.mapped.weight if ctx.needs_input_grad[0] else None
        return down, gradient.new_zeros(()), None  # a zero, so that the learner's turn comes after all steps


class _Gather(torch.autograd.Function):
    """Nothing yet; its gradient, asked for when all steps have had theirs, is that of weight and bias."""

    @staticmethod
    def forward(ctx: FunctionCtx, weight: Tensor, bias: Tensor | None, mapped: _Map) -> Tensor:
        ctx.mapped = mapped  # type: ignore[attr-defined]
        return weight.new_zeros(())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        read, gradients = (torch.cat(each) for each in zip(*ctx.mapped.came.values(), strict=True))
        ctx.mapped.came.clear()
        asks_weight, asks_bias, _ = ctx.needs_input_grad
        return gradients.T @ read if asks_weight else None, gradients.sum(0) if asks_bias else None, None


def _product_dtype(x: Tensor) -> torch.dtype:
    """What ``F.linear`` computes in, under autocast or not."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
