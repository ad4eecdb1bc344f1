"""torch's operations taken apart into those of ``graph.py``.

``TRANSLATIONS`` has one entry for each ATen operation that the compiler knows. The argument order is ATen's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from seqlab.nn.compiler.graph import Graph, Value


class Unsupported(Exception):
    """Why a cell cannot be compiled, in one phrase: "step uses aten.sort, which the compiler does not know"."""


SHAPING = frozenset(
    {"t", "transpose", "permute", "cat", "split", "split_with_sizes", "slice", "detach", "alias", "clone"}
)
SHAPING |= {"view", "_unsafe_view", "expand", "unsqueeze", "squeeze", "_to_copy", "lift_fresh", "lift_fresh_copy"}
"""Operations that leave numbers as they are."""


@dataclass(frozen=True)
class Translation:
    """How one operation is made.

    Attributes:
        make: ``(graph, *args, **kwargs) -> value``, for one piece; for ``whole`` ones ``(graph, H, *args, **kwargs) ->
            pieces``, where each tensor is the tuple of its pieces.
        keywords: the keyword arguments it takes.
        whole: whether it looks at a row as a whole.
    """

    make: Callable[..., Any]
    keywords: tuple[str, ...] = ()
    whole: bool = False


def _plain(op: str) -> Translation:
    return Translation(lambda g, *args: g(op, *args))


def _constant(value: float) -> Translation:
    return Translation(lambda g, *args: value)


def _add(g: Graph, a: Value, b: Value, alpha: float = 1.0) -> Value:
    return g("add", a, g("mul", b, alpha))


def _sub(g: Graph, a: Value, b: Value, alpha: float = 1.0) -> Value:
    return g("sub", a, g("mul", b, alpha))


def _pow(g: Graph, base: Value, exponent: Value) -> Value:
    if isinstance(base, float):
        if base <= 0:
            raise Unsupported(f"step takes {base:g} to a power")
        return g("exp", g("mul", exponent, math.log(base)))
    if exponent == 0.5:
        return g("sqrt", base)
    if exponent == -0.5:
        return g("div", 1.0, g("sqrt", base))
    if not isinstance(exponent, float) or exponent != int(exponent) or not 1 <= abs(exponent) <= 16:
        raise Unsupported("step uses a power which is not a small whole number")
    result: Value = base
    for _ in range(int(abs(exponent)) - 1):
        result = g("mul", result, base)
    return result if exponent > 0 else g("div", 1.0, result)


def _clamp(g: Graph, x: Value, low: Value | None = None, high: Value | None = None) -> Value:
    y = x
    if high is not None:
        y = g("where", g("gt", x, high), high, y)
    if low is not None:
        y = g("where", g("lt", y, low), low, y)
    return y


def _hardtanh(g: Graph, x: Value, low: float = -1.0, high: float = 1.0) -> Value:
    inner = g("where", g("ge", x, high), high, x)  # on the bounds themselves the gradient is zero
    return g("where", g("le", x, low), low, inner)


def _extreme(op: str) -> Callable[[Graph, Value, Value], Value]:
    def make(g: Graph, a: Value, b: Value) -> Value:
        middle = g("mul", 0.5, g("add", a, b))  # of equals, each gets half the gradient; and a NaN stays one
        return g("where", g(op, a, b), a, g("where", g(op, b, a), b, middle))

    return make


def _leaky(g: Graph, x: Value, slope: float = 0.01) -> Value:
    return g("where", g("gt", x, 0.0), x, g("mul", x, slope))


def _elu(g: Graph, x: Value, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Value:
    below = g("where", g("gt", x, 0.0), 0.0, g("mul", x, input_scale))  # else exp overflows in the part not taken
    low = g("mul", alpha * scale, g("expm1", below))
    return g("where", g("gt", x, 0.0), g("mul", x, scale), low)


def _softplus(g: Graph, x: Value, beta: float = 1.0, threshold: float = 20.0) -> Value:
    z = g("mul", x, beta)
    return g("where", g("gt", z, threshold), x, g("div", g("softplus", z), beta))


def _gelu(g: Graph, x: Value, approximate: str = "none") -> Value:
    if approximate == "tanh":
        inner = g("mul", math.sqrt(2 / math.pi), g("add", x, g("mul", 0.044715, g("mul", x, g("mul", x, x)))))
        share = g("tanh", inner)
    else:
        share = g("erf", g("mul", x, math.sqrt(0.5)))
    return g("mul", g("mul", 0.5, x), g("add", 1.0, share))


def _relu(g: Graph, x: Value) -> Value:
    return g("where", g("le", x, 0.0), 0.0, x)


def _sign(g: Graph, x: Value) -> Value:
    return g("sub", g("gt", x, 0.0), g("lt", x, 0.0))


def _where(g: Graph, condition: Value, a: Value, b: Value) -> Value:
    return g("where", condition, a, b)


def _lerp(g: Graph, a: Value, b: Value, weight: Value) -> Value:
    return g("add", a, g("mul", weight, g("sub", b, a)))


def _addcmul(g: Graph, a: Value, b: Value, c: Value, value: float = 1.0) -> Value:
    return g("add", a, g("mul", g("mul", b, c), value))


def _addcdiv(g: Graph, a: Value, b: Value, c: Value, value: float = 1.0) -> Value:
    return g("add", a, g("mul", g("div", b, c), value))


def _hardsigmoid(g: Graph, x: Value) -> Value:
    return g("div", _hardtanh(g, g("add", x, 3.0), 0.0, 6.0), 6.0)


# Over a row: each tensor is the tuple of its pieces.

Pieces = tuple[Value, ...]


def _over_row(dim: Any) -> None:
    dims = dim if isinstance(dim, (list, tuple)) else [dim]
    if list(dims) not in ([-1], [1]):
        raise Unsupported("step sums over another dimension than the last")


def _total(g: Graph, pieces: Pieces) -> Value:
    total: Value = 0.0
    for piece in pieces:
        total = g("add", total, g("rowsum", piece))
    return total


def _width(g: Graph, pieces: Pieces) -> Value:
    return g("mul", g("width"), float(len(pieces)))  # not as a constant: cells of another size share the code


def _average(g: Graph, H: int, pieces: Pieces) -> Value:
    return g("div", _total(g, pieces), _width(g, pieces))


def _sum(g: Graph, H: int, x: Pieces, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Pieces:
    _over_row(dim)
    return (_total(g, x),)


def _mean(g: Graph, H: int, x: Pieces, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Pieces:
    _over_row(dim)
    return (_average(g, H, x),)


def _centred(g: Graph, H: int, x: Pieces) -> Pieces:
    middle = _average(g, H, x)
    return tuple(g("sub", piece, middle) for piece in x)


def _squares(g: Graph, x: Pieces) -> Pieces:
    return tuple(g("mul", piece, piece) for piece in x)


def _var(g: Graph, H: int, x: Pieces, dim: Any = None, correction: float | None = 1, keepdim: bool = False) -> Pieces:
    _over_row(dim)
    left = g("sub", _width(g, x), float(1 if correction is None else correction))
    return (g("div", _total(g, _squares(g, _centred(g, H, x))), left),)


def _std(g: Graph, H: int, x: Pieces, dim: Any = None, correction: float | None = 1, keepdim: bool = False) -> Pieces:
    return (g("sqrt", _var(g, H, x, dim, correction)[0]),)


def _norm(
    g: Graph, H: int, x: Pieces, order: float = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Pieces:
    _over_row(dim)
    if order != 2:
        raise Unsupported(f"step takes a norm of order {order}")
    return (g("sqrt", _total(g, _squares(g, x))),)


def _layer_norm(
    g: Graph, H: int, x: Pieces, shape: Any, weight: Pieces | None, bias: Pieces | None, eps: float
) -> Pieces:
    if list(shape) != [H * len(x)]:
        raise Unsupported("step normalises over another dimension than the last")
    centred = _centred(g, H, x)
    deviation = g("sqrt", g("add", _average(g, H, _squares(g, centred)), eps))
    scale = g("div", 1.0, deviation)
    y = tuple(g("mul", piece, scale) for piece in centred)
    if weight is not None:
        y = tuple(g("mul", piece, gain) for piece, gain in zip(y, weight, strict=True))
    if bias is not None:
        y = tuple(g("add", piece, shift) for piece, shift in zip(y, bias, strict=True))
    return y


TRANSLATIONS: dict[str, Translation] = {
    "add": Translation(_add, ("alpha",)),
    "sub": Translation(_sub, ("alpha",)),
    "rsub": Translation(lambda g, a, b, alpha=1.0: _sub(g, b, a, alpha), ("alpha",)),
    "mul": _plain("mul"),
    "div": _plain("div"),
    "neg": _plain("neg"),
    "abs": _plain("abs"),
    "sign": Translation(_sign),
    "sgn": Translation(_sign),
    "exp": _plain("exp"),
    "exp2": Translation(lambda g, x: g("exp", g("mul", x, math.log(2)))),
    "expm1": _plain("expm1"),
    "log": _plain("log"),
    "log1p": _plain("log1p"),
    "sqrt": _plain("sqrt"),
    "rsqrt": Translation(lambda g, x: g("div", 1.0, g("sqrt", x))),
    "reciprocal": Translation(lambda g, x: g("div", 1.0, x)),
    "square": Translation(lambda g, x: g("mul", x, x)),
    "pow": Translation(_pow),
    "sin": _plain("sin"),
    "cos": _plain("cos"),
    "erf": _plain("erf"),
    "floor": _plain("floor"),
    "ceil": _plain("ceil"),
    "round": _plain("round"),
    "sigmoid": _plain("sigmoid"),
    "tanh": _plain("tanh"),
    "relu": Translation(_relu),
    "leaky_relu": Translation(_leaky),
    "gelu": Translation(_gelu, ("approximate",)),
    "silu": Translation(lambda g, x: g("mul", x, g("sigmoid", x))),
    "mish": Translation(lambda g, x: g("mul", x, g("tanh", g("softplus", x)))),
    "softplus": Translation(_softplus),
    "log_sigmoid_forward": Translation(lambda g, x: g("neg", g("softplus", g("neg", x)))),
    "elu": Translation(_elu),
    "hardtanh": Translation(_hardtanh),
    "hardsigmoid": Translation(_hardsigmoid),
    "hardswish": Translation(lambda g, x: g("mul", x, _hardsigmoid(g, x))),
    "clamp": Translation(_clamp, ("min", "max")),
    "clamp_min": Translation(_clamp),
    "clamp_max": Translation(lambda g, x, high: _clamp(g, x, None, high)),
    "maximum": Translation(_extreme("gt")),
    "minimum": Translation(_extreme("lt")),
    "where": Translation(_where),
    "masked_fill": Translation(lambda g, x, mask, value: g("where", mask, value, x)),
    "lerp": Translation(_lerp),
    "addcmul": Translation(_addcmul, ("value",)),
    "addcdiv": Translation(_addcdiv, ("value",)),
    **{name: _plain(name) for name in ("gt", "ge", "lt", "le", "eq", "ne")},
    "logical_not": Translation(lambda g, a: g("eq", a, 0.0)),
    "logical_and": Translation(lambda g, a, b: g("mul", g("ne", a, 0.0), g("ne", b, 0.0))),
    "bitwise_and": _plain("mul"),  # of truths
    "bitwise_not": Translation(lambda g, a: g("sub", 1.0, a)),
    **{name: _constant(0.0) for name in ("zeros", "zeros_like", "new_zeros")},
    **{name: _constant(1.0) for name in ("ones", "ones_like", "new_ones")},
    "full": Translation(lambda g, shape, value: value),
    "full_like": Translation(lambda g, x, value: value),
    "new_full": Translation(lambda g, x, shape, value: value),
    "scalar_tensor": Translation(lambda g, value: value),
    "sum": Translation(_sum, ("dtype",), whole=True),
    "mean": Translation(_mean, ("dtype",), whole=True),
    "var": Translation(_var, ("correction", "keepdim"), whole=True),
    "std": Translation(_std, ("correction", "keepdim"), whole=True),
    "linalg_vector_norm": Translation(_norm, ("dtype",), whole=True),
    "native_layer_norm": Translation(_layer_norm, whole=True),
}
