"""What models say of themselves: their layers by name, and inputs to try them on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

STEPS = 7
"""Steps of the inputs to try a model on; a dimension of this size is shown as ``T``."""


def example_ids(model: nn.Module) -> tuple[Tensor, Tensor]:
    """Two rows of ids ``(2, T)``, on the model's device, and their lengths."""
    ids = torch.zeros(2, STEPS, dtype=torch.long, device=device_of(model))
    return ids, torch.full((2,), STEPS)


def example_embedded(model: nn.Module, embedding: Any) -> tuple[Tensor, Tensor]:
    """Two rows of what an embedding takes: ids, or real numbers of its width; and their lengths."""
    if getattr(embedding, "weight", None) is None and not hasattr(embedding, "vocab_size"):
        rows = torch.zeros(2, STEPS, embedding.output_size, device=device_of(model))
        return rows, torch.full((2,), STEPS)
    return example_ids(model)


def device_of(model: nn.Module) -> torch.device:
    """Where the weights are; the CPU where there are none."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def encoder_layers(encoder: nn.Module) -> dict[str, nn.Module]:
    """The encoder, or each layer of a stack that holds all of its parameters."""
    stack = getattr(encoder, "layers", None)
    if isinstance(stack, nn.ModuleList) and count(stack) == count(encoder):
        return {f"encoder.layers.{name}": layer for name, layer in stack.named_children()}
    return {"encoder": encoder}


def count(module: nn.Module) -> int:
    """How many numbers its parameters hold."""
    parameters: list[Tensor] = list(module.parameters())
    return sum(parameter.numel() for parameter in parameters)
