// What compiled cells are made of: elementwise functions, packed weights and small matrix products.
//
// C++17, needs libc alone (and OpenMP where the compiler has it), knows nothing of torch. Every function here computes a
// row from that row alone, in one fixed order of IEEE operations: the file must be compiled with -ffp-contract=off and
// without -ffast-math, and fused multiply-adds are written out, so that no optimiser decides about a result's last bit.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#ifdef _OPENMP
#include <omp.h>
#else
static inline int omp_get_thread_num() { return 0; }
static inline int omp_get_num_threads() { return 1; }
static inline int omp_get_max_threads() { return 1; }
#endif
#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

// ---- Numbers in memory: float, or bf16, the upper half of a float. All arithmetic is in float.

typedef struct {
    uint16_t x;
} bf16;

template <class To, class From>
static inline To bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "the same bits, seen as another type");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

static inline float ld(const float* p) { return *p; }
static inline float ld(const bf16* p) { return bits<float>((uint32_t)p->x << 16); }
static inline void st(float* p, float v) { *p = v; }
static inline void st(bf16* p, float v) {  // to nearest, ties to even; a NaN stays one
    uint32_t u = bits<uint32_t>(v);
    uint32_t rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16;
    p->x = (uint16_t)(v == v ? rounded : 0x7fc0);
}

static inline float fma_(float a, float b, float c) {
#ifdef __FP_FAST_FMAF
    return __builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

// ---- Elementwise functions. Branch-free, so that loops over them become vector code. NaN in, NaN out.
// The comparisons are written so that a NaN falls through them.

static const float INF = __builtin_inff(), NOT_A_NUMBER = __builtin_nanf("");

static inline float clamp_(float x, float low, float high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

// exp(x) = 2^n (1 + q), n whole, for |x| <= 104. `n` comes as a float and as an integer; q is accurate also near 0.
// Adding and subtracting 1.5 * 2^23 rounds to whole numbers and leaves them in the low bits. Polynomial: Cephes, expf.
static inline float exp_parts(float x, float* n, int32_t* whole) {
    const float magic = 12582912.f;
    float shifted = fma_(x, 1.44269504088896341f, magic);
    *whole = bits<int32_t>(shifted) - bits<int32_t>(magic);
    *n = shifted - magic;
    float r = fma_(*n, -0.693359375f, x);
    r = fma_(*n, 2.12194440e-4f, r);
    float p = fma_(1.9875691500e-4f, r, 1.3981999507e-3f);
    p = fma_(p, r, 8.3334519073e-3f);
    p = fma_(p, r, 4.1665795894e-2f);
    p = fma_(p, r, 1.6666665459e-1f);
    p = fma_(p, r, 5.0000001201e-1f);
    return fma_(p, r * r, r);
}

static inline float power_of_two(int32_t n) { return bits<float>((int32_t)((uint32_t)(n + 127) << 23)); }  // n in -126..127

static inline float exp_(float x) {
    float n;
    int32_t whole;
    float q = exp_parts(clamp_(x, -104.f, 89.f), &n, &whole);
    int32_t half = whole >> 1;  // in two factors: 2^n itself may be too large or too small for a float
    return (1.f + q) * power_of_two(half) * power_of_two(whole - half);
}

static inline float expm1_(float x) {
    float n;
    int32_t whole;
    float q = exp_parts(clamp_(x, -20.f, 89.f), &n, &whole);
    int32_t half = whole >> 1;
    float s = power_of_two(half), t = power_of_two(whole - half);
    float y = whole > 126 ? (1.f + q) * s * t : fma_(q, s * t, s * t - 1.f);
    return x == 0.f ? x : y;  // keeps the sign of zero
}

static inline float sigmoid_(float x) {
    float n;
    int32_t whole;
    float q = exp_parts(clamp_(-x, -88.f, 88.f), &n, &whole);
    return 1.f / (1.f + fma_(q, power_of_two(whole), power_of_two(whole)));
}

// A rational function of x^2 times x: the coefficients of Eigen's ptanh.
static inline float tanh_(float x) {
    x = clamp_(x, -7.90531110763549805f, 7.90531110763549805f);
    float y = x * x;
    float p = fma_(-2.76076847742355e-16f, y, 2.00018790482477e-13f);
    p = fma_(p, y, -8.60467152213735e-11f);
    p = fma_(p, y, 5.12229709037114e-08f);
    p = fma_(p, y, 1.48572235717979e-05f);
    p = fma_(p, y, 6.37261928875436e-04f);
    p = fma_(p, y, 4.89352455891786e-03f);
    float q = fma_(1.19825839466702e-06f, y, 1.18534705686654e-04f);
    q = fma_(q, y, 2.26843463243900e-03f);
    q = fma_(q, y, 4.89352518554385e-03f);
    return p * x / q;
}

// log(m 2^e) = e log 2 + log(1 + f), sqrt(1/2) < m <= sqrt(2). Polynomial: Cephes, logf.
static inline float log_(float x) {
    bool tiny = x < 1.17549435e-38f;
    float scaled = tiny ? x * 8388608.f : x;
    int32_t u = bits<int32_t>(scaled), e = (u - 0x3f3504f3) >> 23;
    float f = bits<float>((int32_t)(u - (int32_t)((uint32_t)e << 23))) - 1.f;
    float n = (float)e - (tiny ? 23.f : 0.f), z = f * f;
    float p = fma_(7.0376836292e-2f, f, -1.1514610310e-1f);
    p = fma_(p, f, 1.1676998740e-1f);
    p = fma_(p, f, -1.2420140846e-1f);
    p = fma_(p, f, 1.4249322787e-1f);
    p = fma_(p, f, -1.6668057665e-1f);
    p = fma_(p, f, 2.0000714765e-1f);
    p = fma_(p, f, -2.4999993993e-1f);
    p = fma_(p, f, 3.3333331174e-1f);
    float y = p * f * z;
    y = fma_(n, -2.12194440e-4f, y);
    y = fma_(z, -0.5f, y);
    y = fma_(n, 0.693359375f, f + y);
    y = x == 0.f ? -INF : y;
    y = x < 0.f ? NOT_A_NUMBER : y;
    return x < INF ? y : x;  // inf and NaN are their own logarithms
}

static inline float log1p_(float x) {
    float u = 1.f + x;
    float lost = (x - (u - 1.f)) / u;  // what rounding 1 + x has lost, to first order
    float y = log_(u) + (u > 0.f && u < INF ? lost : 0.f);
    return x == 0.f ? x : y;
}

static inline float softplus_(float x) {  // log(1 + exp(x)) without overflow
    float positive = x < 0.f ? 0.f : x;
    return positive + log1p_(exp_(x < 0.f ? x : -x));
}

// A rational function of x^2 times x: the coefficients of Eigen's perf.
static inline float erf_(float x) {
    x = clamp_(x, -4.f, 4.f);
    float y = x * x;
    float p = fma_(-2.72614225801306e-10f, y, 2.77068142495902e-08f);
    p = fma_(p, y, -2.10102402082508e-06f);
    p = fma_(p, y, -5.69250639462346e-05f);
    p = fma_(p, y, -7.34990630326855e-04f);
    p = fma_(p, y, -2.95459980854025e-03f);
    p = fma_(p, y, -1.60960333262415e-02f);
    float q = fma_(-1.45660718464996e-05f, y, -2.13374055278905e-04f);
    q = fma_(q, y, -1.68282697438203e-03f);
    q = fma_(q, y, -7.37332916720468e-03f);
    q = fma_(q, y, -1.42647390514189e-02f);
    return p * x / q;
}

// ---- Vectors of VL floats, and what one step of a product takes from memory.

#if defined(__AVX512F__)
static const long VL = 16, REGISTERS = 32;
#elif defined(__AVX2__)
static const long VL = 8, REGISTERS = 16;
#elif defined(__ARM_NEON)
static const long VL = 4, REGISTERS = 32;
#else
static const long VL = 4, REGISTERS = 16;
#endif
typedef float V __attribute__((vector_size(VL * 4)));

template <class T>
static inline V load(const T* p) {
    V v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void store(float* p, V v) { memcpy(p, &v, sizeof v); }

// acc + a b, lane by lane, rounded once where the processor can.
static inline V multiply_add(V acc, V a, V b, const float*) {
#if defined(__AVX512F__)
    return _mm512_fmadd_ps(a, b, acc);
#elif defined(__AVX2__) && defined(__FMA__)
    return _mm256_fmadd_ps(a, b, acc);
#elif defined(__ARM_NEON) && defined(__ARM_FEATURE_FMA)
    return vfmaq_f32(acc, a, b);
#else
    return acc + a * b;
#endif
}
static inline V spread(const float* p) { return *p - V{}; }
static inline V spread_last(const float* p) { return spread(p); }

#ifdef __AVX512BF16__
// Lanes hold pairs of neighbouring k: acc + a0 b0 + a1 b1.
static inline V multiply_add(V acc, V a, V b, const bf16*) { return _mm512_dpbf16_ps(acc, (__m512bh)a, (__m512bh)b); }
static inline V spread(const bf16* p) {
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return (V)_mm512_set1_epi32(pair);
}
static inline V spread_last(const bf16* p) { return (V)_mm512_set1_epi32(p->x); }  // of an odd K: nothing beside it
#endif

// ---- Packed weights: panels of VL columns, in each panel k after k; of bf16, pairs (k, k + 1) side by side.
// Columns beyond N, and k beyond an odd K, are zero.

template <class S>
static inline long depth() { return 4 / (long)sizeof(S); }  // values of k in one lane

template <class S>
static inline long panel_size(long K) { return (K + depth<S>() - 1) / depth<S>() * depth<S>() * VL; }

template <class S>
static inline long packed_size(long K, long N) { return panel_size<S>(K) * ((N + VL - 1) / VL); }

// B[k][n] = W[n * sn + k * sk] to panels; `out` has packed_size<S>(K, N) elements.
template <class S>
static void pack(const S* W, long K, long N, long sk, long sn, S* out) {
    const long D = depth<S>(), size = panel_size<S>(K);
    for (long n0 = 0; n0 < N; n0 += VL, out += size) {
        const long columns = N - n0 < VL ? N - n0 : VL;
        memset(out, 0, size * sizeof(S));
        for (long n = 0; n < columns; n++)
            for (long k = 0; k < K; k++) out[(k / D * VL + n) * D + k % D] = W[(n0 + n) * sn + k * sk];
    }
}

// ---- C = A B or C += A B.

// R rows times W panels: the sums stay in registers. Each starts at 0 or at C and takes k = 0, 1, ... in order.
template <class S, int R, int W>
static inline void tile(long K, const S* A, long lda, const S* B, float* C, long ldc, long columns, bool add) {
    const long D = depth<S>(), size = panel_size<S>(K);
    const bool whole = columns >= W * VL;
    const long last = columns - (W - 1) * VL;  // columns of the last panel
    V acc[R][W];
    for (int r = 0; r < R; r++)
        for (int w = 0; w < W; w++) {
            acc[r][w] = V{};
            if (add) memcpy(&acc[r][w], C + r * ldc + w * VL, (whole || w < W - 1 ? VL : last) * 4);
        }
    long k = 0;
    for (; k + D <= K; k += D) {
        V b[W];
        for (int w = 0; w < W; w++) b[w] = load(B + w * size + k * VL);
        for (int r = 0; r < R; r++) {
            V a = spread(A + r * lda + k);
            for (int w = 0; w < W; w++) acc[r][w] = multiply_add(acc[r][w], a, b[w], B);
        }
    }
    if (k < K)
        for (int r = 0; r < R; r++)
            for (int w = 0; w < W; w++)
                acc[r][w] = multiply_add(acc[r][w], spread_last(A + r * lda + k), load(B + w * size + k * VL), B);
    for (int r = 0; r < R; r++)
        for (int w = 0; w < W; w++)
            memcpy(C + r * ldc + w * VL, &acc[r][w], (whole || w < W - 1 ? VL : last) * 4);
}

// R rows times all panels, W at a time, then half as many.
template <class S, int R, int W>
static void rows(long N, long K, const S* A, long lda, const S* B, float* C, long ldc, bool add) {
    long n = 0;
    for (; n < N && (W == 1 || n + (W - 1) * VL < N); n += W * VL)
        tile<S, R, W>(K, A, lda, B + n / VL * panel_size<S>(K), C + n, ldc, N - n, add);
    if constexpr (W > 1)
        if (n < N) rows<S, R, W / 2>(N - n, K, A, lda, B + n / VL * panel_size<S>(K), C + n, ldc, add);
}

// C (M, N) fp32 = or += A (M, K) B (K, N packed); any sizes from 1. A row's values do not depend on M or on its place.
template <class S>
static void gemm(long M, long N, long K, const S* A, long lda, const S* B, float* C, long ldc, bool add) {
    if (M == 1) return rows<S, 1, 8>(N, K, A, lda, B, C, ldc, add);
    const int W = REGISTERS == 32 ? 4 : 2;
    for (long n = 0; n < N; n += W * VL, B += W * panel_size<S>(K), C += W * VL) {
        const long columns = N - n < W * VL ? N - n : W * VL;
        long m = 0;
        for (; m + 6 <= M; m += 6) rows<S, 6, W>(columns, K, A + m * lda, lda, B, C + m * ldc, ldc, add);
        const S* a = A + m * lda;
        float* c = C + m * ldc;
        switch (M - m) {
            case 5: rows<S, 5, W>(columns, K, a, lda, B, c, ldc, add); break;
            case 4: rows<S, 4, W>(columns, K, a, lda, B, c, ldc, add); break;
            case 3: rows<S, 3, W>(columns, K, a, lda, B, c, ldc, add); break;
            case 2: rows<S, 2, W>(columns, K, a, lda, B, c, ldc, add); break;
            case 1: rows<S, 1, W>(columns, K, a, lda, B, c, ldc, add); break;
        }
    }
}
