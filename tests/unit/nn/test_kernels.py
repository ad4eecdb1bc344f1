"""The kernels against double precision, on this processor's instructions and on the fallbacks."""

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from seqlab.nn.compiler import toolchain
from seqlab.nn.compiler.toolchain import NoCompiler, build, has_bf16

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "exp_": torch.exp,
    "expm1_": torch.expm1,
    "sigmoid_": torch.sigmoid,
    "tanh_": torch.tanh,
    "log_": torch.log,
    "log1p_": torch.log1p,
    "softplus_": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "erf_": torch.erf,
    "sin_": torch.sin,
    "cos_": torch.cos,
}
KERNELS = Path(toolchain.__file__).with_name("kernels.h").read_text()
PRODUCTS = """
extern "C" long size_TYPE(long K, long N) { return packed_size<TYPE>(K, N); }
extern "C" void pack_TYPE(const TYPE* W, long K, long N, long sk, long sn, TYPE* out) { pack(W, K, N, sk, sn, out); }
extern "C" void gemm_TYPE(
    long M, long N, long K, const TYPE* A, long lda, const TYPE* B, float* C, long ldc, bool add
) { gemm(M, N, K, A, lda, B, C, ldc, add); }
extern "C" void turn_TYPE(const TYPE* A, TYPE* out) {
    V block[VL];
    for (long i = 0; i < VL; i++) block[i] = load(A + i * VL * depth<TYPE>());
    transpose(block);
    for (long j = 0; j < VL; j++) apart(block[j], out + j * depth<TYPE>() * VL, VL);
}
extern "C" long lanes() { return VL; }
extern "C" void store_TYPE(const float* x, TYPE* y, long n) { for (long i = 0; i < n; i++) st(y + i, x[i]); }
"""
LOOPS = "".join(
    f'extern "C" void {name}all(const float* x, float* y, long n) {{\n'
    f"    for (long i = 0; i < n; i++) y[i] = {name}(x[i]);\n}}\n"
    for name in FUNCTIONS
)
FALLBACKS = {
    "native": "",
    "avx2": "#undef __AVX512F__\n#undef __AVX512BF16__\n",
    "plain": "#undef __AVX512F__\n#undef __AVX512BF16__\n#undef __AVX2__\n#undef __ARM_NEON\n",
}
TYPES = {torch.float32: "float", torch.bfloat16: "bf16"}
SIZES = [1, 2, 3, 7, 16, 17, 33, 64, 100]


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(params=FALLBACKS)
def library(request, cache: Path, monkeypatch) -> ctypes.CDLL:
    return _library(request.param, "float", cache, monkeypatch)


@pytest.fixture(params=[*FALLBACKS, "bf16"])
def product(request, cache: Path, monkeypatch) -> "Product":
    if request.param != "bf16":
        return Product(_library(request.param, "float", cache, monkeypatch), torch.float32)
    if not has_bf16():
        pytest.skip("no AVX512-BF16 here")
    return Product(_library("native", "bf16", cache, monkeypatch), torch.bfloat16)


def _library(variant: str, kind: str, cache: Path, monkeypatch) -> ctypes.CDLL:
    monkeypatch.setenv("SEQLAB_CACHE", str(cache))
    source = FALLBACKS[variant] + KERNELS + PRODUCTS.replace("TYPE", kind) + (LOOPS if kind == "float" else "")
    try:
        return build(source, f"test_{variant}_{kind}")
    except NoCompiler as error:
        pytest.skip(str(error))


def address(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


class Product:
    """``A W'`` with the weights packed from rows or, transposed, from columns."""

    def __init__(self, library: ctypes.CDLL, dtype: torch.dtype) -> None:
        self.library, self.dtype = library, dtype
        self._size, self._pack, self._gemm = (
            getattr(library, f"{what}_{TYPES[dtype]}") for what in ("size", "pack", "gemm")
        )
        self._size.restype = ctypes.c_long

    def pack(self, weight: Tensor) -> Tensor:
        N, K = weight.shape
        packed = torch.full((self._size(ctypes.c_long(K), ctypes.c_long(N)),), torch.nan, dtype=self.dtype)
        sizes = (K, N, weight.stride(1), weight.stride(0))
        self._pack(address(weight), *(ctypes.c_long(size) for size in sizes), address(packed))
        return packed

    def __call__(self, a: Tensor, weight: Tensor, start: Tensor | None = None) -> Tensor:
        (M, K), N = a.shape, weight.shape[0]
        out = torch.full((M, N + 3), 7.0)
        if start is not None:
            out[:, :N] = start
        packed = self.pack(weight)
        M, N, K, lda, ldc = (ctypes.c_long(size) for size in (M, N, K, a.stride(0), out.stride(0)))
        add = ctypes.c_bool(start is not None)
        self._gemm(M, N, K, address(a), lda, address(packed), address(out), ldc, add)
        assert (out[:, weight.shape[0] :] == 7).all(), "wrote beyond its columns"
        return out[:, : weight.shape[0]]

    def random(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))).to(self.dtype)


@pytest.mark.parametrize("M", [1, 2, 3, 4, 5, 8, 9, 13, 40])
def test_products(product: Product, M: int) -> None:
    for N in SIZES:
        for K in SIZES:
            a, weight, start = product.random(M, K + 1)[:, :K], product.random(N, K), torch.randn(M, N)
            expected = a.double() @ weight.double().t()
            bound = (a.double().abs() @ weight.double().abs().t() + start.abs()) * (K + 1) * 2**-24
            assert ((product(a, weight) - expected).abs() <= bound).all()
            assert ((product(a, weight, start) - (start + expected)).abs() <= bound).all()


def test_large_products(product: Product) -> None:
    """Rows come in chunks when there are too many of them for the cache."""
    for M, N, K in ((300, 40, 700), (70, 20, 5000)):
        a, weight = product.random(M, K), product.random(N, K)
        assert (product(a, weight) - a.double() @ weight.double().t()).abs().max() < 1e-5 * K**0.5


def test_a_row_does_not_depend_on_its_neighbours(product: Product) -> None:
    for N, K in ((1, 1), (17, 5), (48, 64), (100, 33), (130, 64), (257, 100)):
        a, weight, start = product.random(40, K), product.random(N, K), torch.randn(40, N)
        plain, added = product(a, weight), product(a, weight, start)
        for M in range(1, 34):
            few = a[5 : 5 + M].clone()
            assert torch.equal(product(few, weight), plain[5 : 5 + M])
            assert torch.equal(product(few, weight, start[5 : 5 + M]), added[5 : 5 + M])


def test_nan_and_infinity_stay_in_their_row(product: Product) -> None:
    for K in (1, 7, 64):
        a, weight = product.random(11, K), product.random(50, K)
        clean = product(a, weight)
        a[3, K - 1], a[4, 0] = torch.nan, torch.inf
        spoilt = product(a, weight)
        assert spoilt[3].isnan().all()
        assert not spoilt[4].isfinite().any()
        others = [row for row in range(11) if row not in (3, 4)]
        assert torch.equal(spoilt[others], clean[others])


def test_packing_reads_any_strides(product: Product) -> None:
    for N, K in ((1, 1), (16, 32), (50, 70), (33, 17)):
        weight = product.random(N, K)
        every_third = torch.zeros(3 * N, 2 * K, dtype=product.dtype)[::3, ::2]
        every_third.copy_(weight)
        packed = product.pack(weight)
        assert packed.isfinite().all(), "some of the panels' padding was left unwritten"
        assert torch.equal(product.pack(weight.t().contiguous().t()), packed)
        assert torch.equal(product.pack(every_third), packed)


def test_a_block_turns(product: Product) -> None:
    lanes = product.library.lanes()
    block = product.random(lanes, lanes * (4 // product.dtype.itemsize))
    turned = torch.empty(block.t().shape, dtype=product.dtype)
    getattr(product.library, f"turn_{TYPES[product.dtype]}")(address(block), address(turned))
    assert torch.equal(turned, block.t())


def apply(library: ctypes.CDLL, name: str, x: Tensor) -> Tensor:
    y = torch.empty_like(x)
    getattr(library, f"{name}all")(address(x), address(y), ctypes.c_long(x.numel()))
    return y


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_over_all_floats(library: ctypes.CDLL, name: str) -> None:
    """Every 20,011th of all floats; results too small to be normal may differ by the smallest normal one."""
    x = torch.from_numpy(np.arange(0, 2**32, 20_011, dtype=np.uint64).astype(np.uint32).view(np.float32))
    if name in ("sin_", "cos_"):
        x = x[x.abs() < 1e4]
    y, expected = apply(library, name, x), FUNCTIONS[name](x.double())
    rounded = expected.float()
    assert torch.equal(y.isnan(), expected.isnan())
    assert torch.equal(y.isinf(), rounded.isinf())
    finite = rounded.isfinite()
    y, expected, rounded = y[finite].double(), expected[finite], rounded[finite]
    ulp = (torch.nextafter(rounded.abs(), torch.tensor(torch.inf)) - rounded.abs()).double()
    assert ((y - expected).abs() <= (2.6 * ulp).clamp(min=1.2e-38)).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_at_the_ends(library: ctypes.CDLL, name: str) -> None:
    x = torch.tensor([torch.nan, torch.inf, -torch.inf, 0.0, -0.0, -1.0, 1e-45, 1e-30, 1e30, -1e30])
    y = apply(library, name, x)
    if name in ("sin_", "cos_"):
        x = torch.where(x.abs() > 1e9, torch.nan, x)
    torch.testing.assert_close(y, FUNCTIONS[name](x), equal_nan=True, rtol=3e-7, atol=1e-44)


def test_a_number_has_the_same_function_value_wherever_it_stands(library: ctypes.CDLL) -> None:
    x = torch.linspace(-9, 9, 131)
    for name in FUNCTIONS:
        alone = torch.stack([apply(library, name, x[i : i + 1].clone())[0] for i in range(len(x))])
        assert torch.equal(apply(library, name, x).nan_to_num(), alone.nan_to_num()), name


def test_rounding_to_bf16_is_torchs(cache: Path, monkeypatch) -> None:
    if not has_bf16():
        pytest.skip("no AVX512-BF16 here")
    library = _library("native", "bf16", cache, monkeypatch)
    x = torch.from_numpy(np.arange(0, 2**32, 20_011, dtype=np.uint64).astype(np.uint32).view(np.float32))
    y = torch.empty(x.shape, dtype=torch.bfloat16)
    library.store_bf16(address(x), address(y), ctypes.c_long(x.numel()))
    assert torch.equal(y.isnan(), x.isnan())
    assert torch.equal(y[~x.isnan()], x.bfloat16()[~x.isnan()])
