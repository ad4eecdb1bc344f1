"""Optimisers: torch's own, in their fused form where there is one, without decay on biases.

One function an optimiser, each with exactly the arguments that optimiser has. Build them after the model stands on its
device: whether a fused form exists depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from seqlab.types import InputError


def adamw(
    model: nn.Module,
    lr: float = 1e-3,
    weight_decay: float = 0.01,
    betas: Sequence[float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""
    groups = _groups(model, lr, weight_decay)
    return _fastest(lambda form: AdamW(groups, lr=lr, betas=_pair(betas), eps=eps, **form))


def adam(
    model: nn.Module,
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    betas: Sequence[float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> Optimizer:
    """Adam (Kingma and Ba 2015); ``weight_decay`` is added to the gradient."""
    groups = _groups(model, lr, weight_decay)
    return _fastest(lambda form: torch.optim.Adam(groups, lr=lr, betas=_pair(betas), eps=eps, **form))


def sgd(
    model: nn.Module,
    lr: float = 0.1,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    nesterov: bool = False,
) -> Optimizer:
    """Stochastic gradient descent, with momentum if asked."""
    groups = _groups(model, lr, weight_decay)
    if nesterov and momentum <= 0:
        raise InputError("optim.nesterov=true needs a momentum; set optim.momentum=0.9, for instance.")
    return _fastest(lambda form: torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=nesterov, **form))


def rmsprop(
    model: nn.Module,
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    alpha: float = 0.99,
    momentum: float = 0.0,
    eps: float = 1e-8,
) -> Optimizer:
    """RMSprop (Hinton's lecture 6e); torch has no fused form of it."""
    groups = _groups(model, lr, weight_decay)
    return torch.optim.RMSprop(groups, lr=lr, alpha=alpha, eps=eps, momentum=momentum, foreach=True)


class AdamW(torch.optim.AdamW):
    """torch's AdamW, bit for bit, with less Python around its fused kernel.

    torch gathers parameters, states and devices anew at every step; of a tiny model's half millisecond that is a
    tenth. Here the lists are kept, and whatever is unusual (the first step, a parameter without gradient, a loss
    scaler's flags, no fused kernel) goes torch's own way.
    """

    _lists: list[tuple[list[Tensor], ...]] | None = None

    def step(self, closure: Any = None) -> Any:
        """One update; ``closure`` as in torch."""
        lists = self._lists
        if lists is None or closure is not None or getattr(self, "found_inf", None) is not None:
            return self._usual_step(closure)
        grads = [[grad for p in parameters if (grad := p.grad) is not None] for parameters, *_ in lists]
        if any(len(some) < len(parameters) for some, (parameters, *_) in zip(grads, lists, strict=True)):
            return self._usual_step(closure)
        with torch.no_grad():
            for group, some, (parameters, averages, squares, steps) in zip(
                self.param_groups, grads, lists, strict=True
            ):
                beta1, beta2 = group["betas"]
                torch._foreach_add_(steps, 1)
                torch._fused_adamw_(
                    parameters, some, averages, squares, [], steps,
                    lr=group["lr"], beta1=beta1, beta2=beta2, weight_decay=group["weight_decay"], eps=group["eps"],
                    amsgrad=False, maximize=False,
                )  # fmt: skip
        return None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As in torch; the kept lists are of the earlier state."""
        super().load_state_dict(state_dict)
        self._lists = None

    def _usual_step(self, closure: Any) -> Any:
        loss = super().step(closure)
        parameters = [p for group in self.param_groups for p in group["params"]]
        if self.defaults["fused"] and all(self.state.get(p) for p in parameters):
            names = ("exp_avg", "exp_avg_sq", "step")
            self._lists = [
                (group["params"], *([self.state[p][name] for p in group["params"]] for name in names))
                for group in self.param_groups
            ]
        return loss


def _groups(model: nn.Module, lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters with at least two dimensions decay; biases, gains and other vectors do not.

    One group where nothing decays: each group is one more kernel launch a step.
    """
    for name, value, least in (("lr", lr, 0.0), ("weight_decay", weight_decay, 0.0)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < float("inf"):
            raise InputError(f"optim.{name} is {value!r}; give a finite number that is not negative.")
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise InputError("The model has no parameter to train; is everything frozen?")
    decayed = [p for p in parameters if p.ndim >= 2]
    kept = [p for p in parameters if p.ndim < 2]
    if weight_decay == 0 or not decayed or not kept:
        return [{"params": parameters, "weight_decay": weight_decay if decayed else 0.0}]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]


def _fastest(build: Callable[[dict[str, bool]], Optimizer]) -> Optimizer:
    """The fused form, or the foreach one where torch has none for this device (torch says so by RuntimeError).

    torch before 2.4 accepts the fused form on a CPU and fails at the first step: there it is never asked for.
    """
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 4):
        return build({"foreach": True})
    try:
        return build({"fused": True})
    except RuntimeError:
        return build({"foreach": True})


def _pair(betas: Sequence[float]) -> tuple[float, float]:
    if len(betas) != 2 or not all(0.0 <= beta < 1.0 for beta in betas):
        raise InputError(f"optim.betas is {list(betas)}; give two numbers from 0 up to, but not, 1.")
    return float(betas[0]), float(betas[1])
