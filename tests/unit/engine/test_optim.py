import copy

import pytest
import torch

from seqlab.engine import optim
from seqlab.types import InputError


def step(model, optimizer, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for p in model.parameters():
        p.grad = torch.randn(p.shape, generator=generator)
    optimizer.step()


def same(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_adamw_is_torchs_bit_for_bit(reader) -> None:
    ours, theirs = reader(), reader()
    mine = optim.adamw(ours, lr=0.01, weight_decay=0.1)
    groups = [
        {"params": [p for p in theirs.parameters() if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in theirs.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    other = torch.optim.AdamW(groups, lr=0.01, fused=mine.defaults["fused"])
    for seed in range(6):
        for optimizer in (mine, other):
            for group in optimizer.param_groups:
                group["lr"] = 0.01 / (1 + seed)
        step(ours, mine, seed)
        step(theirs, other, seed)
        if seed == 3:
            mine.load_state_dict(copy.deepcopy(mine.state_dict()))
    assert same(ours, theirs)


def test_adamw_skips_a_parameter_without_gradient(reader) -> None:
    model = reader()
    optimizer = optim.adamw(model)
    for seed in range(3):
        step(model, optimizer, seed)
    before = model.head.weight.detach().clone()
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    model.head.weight.grad = None
    other = model.head.bias.detach().clone()
    optimizer.step()
    assert torch.equal(model.head.weight, before)
    assert not torch.equal(model.head.bias, other)


@pytest.mark.parametrize("build", [optim.adamw, optim.adam, optim.sgd, optim.rmsprop])
def test_vectors_do_not_decay(build, reader) -> None:
    model = reader()
    groups = build(model, lr=0.1, weight_decay=0.3).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert all(decay[id(p)] == (0.3 if p.ndim >= 2 else 0.0) for p in model.parameters())
    step(model, build(model, lr=0.1), 0)


def test_frozen_parameters_are_left_out(reader) -> None:
    model = reader()
    model.embedding.weight.requires_grad_(False)
    held = [p for group in optim.adamw(model).param_groups for p in group["params"]]
    assert all(p is not model.embedding.weight for p in held)
    with pytest.raises(InputError, match="frozen"):
        optim.sgd(model.requires_grad_(False))


def test_refuses_wrong_numbers(reader) -> None:
    for bad in (
        lambda: optim.adamw(reader(), lr=-1.0),
        lambda: optim.adam(reader(), lr="abc"),
        lambda: optim.adam(reader(), betas=(0.9,)),
        lambda: optim.sgd(reader(), nesterov=True),
        lambda: optim.rmsprop(reader(), weight_decay=float("nan")),
    ):
        with pytest.raises(InputError, match="optim"):
            bad()
