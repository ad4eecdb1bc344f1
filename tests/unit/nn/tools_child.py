"""Run by test_plain.py in a process of its own: prints ``[name, what came of it]`` as JSON for each check."""

import copy
import io
import json
import os
import pickle
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad

from seqlab.models import Embedding, LanguageModel, Model
from seqlab.models.heads import ClassificationHead, TokenHead
from seqlab.nn import TCN, Recurrent, SegmentRecurrent, TransformerEncoder
from seqlab.nn.compiler import compile_cell

ENCODERS: dict[str, Callable[[], Any]] = {
    "lstm": lambda: Recurrent(8, "lstm", 16),
    "bidirectional": lambda: Recurrent(8, "gru", 16, num_layers=2, bidirectional=True),
    "mingru": lambda: Recurrent(8, "mingru", 16),
    "noisy": lambda: Recurrent(8, "lstm", 16, dropout=0.1, state_dropout=0.1, zoneout=0.1),
    "tcn": lambda: TCN(8, 16, 2, 3, weight_norm=False),  # torch cannot pickle its own weight norm
    "segments": lambda: SegmentRecurrent(8, 2, "gru", 16),
    "transformer": lambda: TransformerEncoder(8, 16, 1, 2),
}
SLOW = ("export", "compile")
FEW = ("lstm", "tcn")
"""The encoders that slow tools are tried on."""
IDS, LENGTHS = torch.tensor([[3, 4, 5, 6, 7], [8, 9, 1, 0, 0]]), torch.tensor([5, 3])
OTHERS = torch.tensor([[9, 4, 3, 2, 0], [1, 2, 3, 4, 5]]), torch.tensor([4, 5])  # other lengths than what is traced
X = torch.rand(2, 3, 8)


def same(found: Tensor, wanted: Tensor, tolerance: float = 1e-5) -> None:
    if not torch.allclose(found, wanted, atol=tolerance, rtol=tolerance):
        raise AssertionError(f"off by {float((found - wanted).abs().max())}")


def model_of(encoder: Any) -> Model:
    kinds: Any = ("last", "mean", "max", "attention")
    return Model(Embedding(10, 8, pad_id=0), encoder, ClassificationHead(encoder.output_size, 3, kinds)).eval()


@torch.no_grad()
def trace(model: Model) -> None:
    with torch.enable_grad():
        traced = torch.jit.trace(model, (IDS, LENGTHS))
    same(traced(IDS, LENGTHS), model(IDS, LENGTHS))
    same(traced(*OTHERS), model(*OTHERS))


@torch.no_grad()
def export(model: Model) -> None:
    exported = torch.export.export(model, (IDS, LENGTHS)).module()
    same(exported(*OTHERS), model(*OTHERS))


@torch.no_grad()
def compile_(model: Model) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="eager")
    same(compiled(IDS, LENGTHS), model(IDS, LENGTHS))
    same(compiled(*OTHERS), model(*OTHERS))


@torch.no_grad()
def quantize(model: Model) -> None:
    wanted = model(IDS, LENGTHS)  # its kernels are made before
    same(torch.ao.quantization.quantize_dynamic(model, {nn.Linear})(IDS, LENGTHS), wanted, 0.05)
    same(torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, inplace=True)(IDS, LENGTHS), wanted, 0.05)


@torch.no_grad()
def vmap(model: Model) -> None:
    many, lengths = torch.rand(3, 2, 5, 8), torch.tensor([5, 3])
    found = torch.func.vmap(lambda x: model.encoder(x, lengths).final)(many)
    same(found, torch.stack([model.encoder(x, lengths).final for x in many]))


def grad(model: Model) -> None:
    weights = dict(model.encoder.named_parameters())
    x, lengths = torch.rand(2, 5, 8), torch.tensor([5, 3])
    found = torch.func.grad(lambda w: torch.func.functional_call(model.encoder, w, (x, lengths)).final.sum())(weights)
    wanted = torch.autograd.grad(model.encoder(x, lengths).final.sum(), list(weights.values()), allow_unused=True)
    for name, gradient in zip(weights, wanted, strict=True):
        same(found[name], torch.zeros_like(found[name]) if gradient is None else gradient, 1e-4)


@torch.no_grad()
def fake(model: Model) -> None:
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert model(mode.from_tensor(IDS), mode.from_tensor(LENGTHS)).shape == (2, 3)


@torch.no_grad()
def copies(model: Model) -> None:
    wanted = model(IDS, LENGTHS)  # kernels are made before, and must not be in the way
    same(copy.deepcopy(model)(IDS, LENGTHS), wanted)
    same(pickle.loads(pickle.dumps(model))(IDS, LENGTHS), wanted)
    whole = io.BytesIO()
    torch.save(model, whole)
    whole.seek(0)
    same(torch.load(whole, weights_only=False)(IDS, LENGTHS), wanted)


def jvp() -> None:
    encoder = Recurrent(8, "gru", 16)
    with forward_ad.dual_level(), torch.no_grad():
        out = encoder(forward_ad.make_dual(X, torch.ones_like(X))).final
        slope = forward_ad.unpack_dual(out).tangent
    with torch.no_grad():
        assert slope is not None
        same(slope, (encoder(X + 1e-2).final - encoder(X - 1e-2).final) / 2e-2, 1e-3)


def language_model() -> None:
    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = LanguageModel(Embedding(10, 8, pad_id=0), Recurrent(8, "lstm", 16), TokenHead(16, 10))

        def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
            return self.model(ids, lengths).logits

    model = Logits().eval()
    traced = torch.jit.trace(model, (IDS, LENGTHS))
    same(traced(*OTHERS), model(*OTHERS))
    same(torch.export.export(model, (IDS, LENGTHS)).module()(*OTHERS), model(*OTHERS))


def threads() -> None:
    encoder = Recurrent(8, "lstm", 16, num_layers=2)
    wanted, found = encoder(X).final.detach(), []

    def work() -> None:
        for _ in range(20):
            encoder.zero_grad()
            out = encoder(X.clone().requires_grad_()).final
            torch.autograd.grad(out.sum(), list(encoder.parameters()))
            found.append(out.detach())

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 80
    for each in found:
        same(each, wanted)


def fork() -> None:
    encoder = Recurrent(64, "lstm", 64)
    x = torch.rand(40, 50, 64)
    torch.set_num_threads(2)
    wanted = encoder(x).final.detach()
    child = os.fork()
    if child == 0:
        try:
            same(encoder(x).final.detach(), wanted)
            os._exit(0)
        finally:
            os._exit(1)
    for _ in range(300):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        threading.Event().wait(0.1)
    else:
        os.kill(child, 9)
        os.waitpid(child, 0)
        raise AssertionError("the child hangs")
    torch.set_num_threads(1)
    assert status == 0, status


def strides() -> None:
    encoder = Recurrent(8, "lstm", 16)
    wide = torch.rand(8, 3, 2).permute(2, 1, 0)
    wanted = encoder(wide.contiguous()).final
    same(encoder(wide).final, wanted)
    repeated = torch.rand(2, 1, 8)
    same(encoder(repeated.expand(2, 3, 8)).final, encoder(repeated.repeat(1, 3, 1)).final)
    cell: Any = encoder._directions[0].cell
    for linear in (cell.ih, cell.hh):
        linear.weight.data = linear.weight.data.t().contiguous().t()
        linear.bias.data = torch.stack((linear.bias.data, linear.bias.data), 1)[:, 0]
    same(encoder(wide).final, wanted)


def negative() -> None:
    encoder = Recurrent(8, "lstm", 16)
    same(encoder(torch._neg_view(X)).final, encoder(-X).final)


def mixed_gradients() -> None:
    encoder = Recurrent(8, "gru", 16)
    cell: Any = encoder._directions[0].cell
    cell.ih.weight.requires_grad_(False)
    start = [(torch.rand(2, 16, requires_grad=True),)]
    encoded = encoder(X, None, start)
    encoded.final.sum().backward()
    assert cell.ih.weight.grad is None
    assert cell.hh.weight.grad is not None
    assert start[0][0].grad is not None


def empty() -> None:
    for shape in ((0, 3, 8), (2, 0, 8), (0, 0, 8)):
        assert Recurrent(8, "lstm", 16)(torch.rand(shape)).outputs.shape == (*shape[:2], 16)
    assert Recurrent(8, "lstm", 16)(X, [0, 0]).final.abs().sum() == 0


def float64_inputs() -> None:
    encoder = Recurrent(8, "lstm", 16)
    out = encoder(X.double()).final
    assert out.dtype is torch.float64
    same(out.float(), encoder(X).final)


def freed(weights: bool) -> None:
    encoder, x = Recurrent(8, "lstm", 16), X.clone()
    encoder(x)
    (encoder._directions[0].cell.hh.weight if weights else x).untyped_storage().resize_(0)
    encoder(x)


def deleted() -> None:
    encoder = Recurrent(8, "lstm", 16)
    encoder(X)
    del encoder._directions[0].cell.hh.weight
    encoder(X)


def weights_on_meta() -> None:
    encoder = Recurrent(8, "lstm", 16)
    encoder(X)
    cell: Any = encoder._directions[0].cell
    cell.hh.weight = nn.Parameter(torch.empty(64, 16, device="meta"))
    encoder(X)


def traced_stream() -> None:
    stream = Recurrent(8, "lstm", 16).stream(2)
    torch.jit.trace(stream.push, torch.rand(2, 8))


def onnx() -> None:
    torch.onnx.export(model_of(ENCODERS["lstm"]()), (IDS, LENGTHS), io.BytesIO(), dynamo=False)


def checks() -> dict[str, Callable[[], Any]]:
    tools = {f.__name__.strip("_"): f for f in (trace, export, compile_, quantize, vmap, grad, fake, copies)}
    found: dict[str, Callable[[], Any]] = {
        f"{tool} {name}": lambda run=run, make=make: run(model_of(make()))
        for tool, run in tools.items()
        for name, make in ENCODERS.items()
        if tool not in SLOW or name in FEW
    }
    lstm = ENCODERS["lstm"]
    return found | {
        "jvp": jvp,
        "language model": language_model,
        "threads": threads,
        "fork": fork,
        "strides": strides,
        "negative": negative,
        "mixed gradients": mixed_gradients,
        "empty": empty,
        "float64": float64_inputs,
        "script model": lambda: torch.jit.script(model_of(lstm())),
        "script encoder": lambda: torch.jit.script(lstm()),
        "freed weights": lambda: freed(True),
        "freed inputs": lambda: freed(False),
        "sparse inputs": lambda: lstm()(X.to_sparse()),
        "sparse direct": lambda: compile_cell(lstm()._directions[0].cell)(X.to_sparse(), (torch.zeros(3, 16),) * 2),
        "whole numbers": lambda: lstm()(X.long()),
        "two dimensions": lambda: lstm()(X[0]),
        "traced stream": traced_stream,
        "deleted weights": deleted,
        "weights on meta": weights_on_meta,
        "inputs on meta": lambda: lstm()(X.to("meta")),
        "onnx": onnx,
    }


if __name__ == "__main__":
    torch.manual_seed(0)
    for name, check in checks().items():
        try:
            check()
            said = "right"
        except Exception as error:
            said = f"{type(error).__name__}: {error}"[:300]
        print(json.dumps([name, said]), flush=True)
