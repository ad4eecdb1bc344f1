// What compiled cells are made of: elementwise functions, packed weights and small matrix products.
//
// C++17, needs libc alone (and OpenMP where the compiler has it), knows nothing of torch. Every function here computes a
// row from that row alone, in one fixed order of IEEE operations: the file must be compiled with -ffp-contract=off and
// without -ffast-math, and fused multiply-adds are written out, so that no optimiser decides about a result's last bit.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <sched.h>
#include <utility>
#ifdef _OPENMP  // without its header, which not every compiler that knows the pragmas has
extern "C" {
int omp_get_thread_num();
int omp_get_num_threads();
int omp_get_max_threads();
}
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

static inline float power_of_two(int32_t n) { return bits<float>((uint32_t)(n + 127) << 23); }  // n in -126..127

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
    return whole > 126 ? (1.f + q) * s * t : fma_(q, s * t, s * t - 1.f);
}

static inline float sigmoid_(float x) {  // 1 / (1 + e) or e / (1 + e) with e = exp(-|x|)
    float n, t = __builtin_fabsf(x);
    int32_t whole;
    float q = exp_parts(t > 88.f ? -88.f : -t, &n, &whole);
    float s = power_of_two(whole), e = fma_(q, s, s);
    return (x < 0.f ? e : 1.f) / (1.f + e);
}

static inline float tanh_(float x) {  // e / (e + 2) with e = exp(2 |x|) - 1; 1 from 10 up
    float n, t = __builtin_fabsf(x);
    int32_t whole;
    t = t > 10.f ? 10.f : t;
    float q = exp_parts(t + t, &n, &whole);
    float s = power_of_two(whole), e = fma_(q, s, s - 1.f);
    return __builtin_copysignf(e / (e + 2.f), x);
}

// log(m 2^e) = e log 2 + log(1 + f), sqrt(1/2) < m <= sqrt(2). Polynomial: Cephes, logf.
static inline float log_(float x) {
    bool tiny = x < 1.17549435e-38f;
    float scaled = tiny ? x * 8388608.f : x;
    uint32_t u = bits<uint32_t>(scaled);
    int32_t e = (int32_t)(u - 0x3f3504f3) >> 23;
    float f = bits<float>(u - ((uint32_t)e << 23)) - 1.f;
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

// Near 0 an odd polynomial, elsewhere 1 - exp(polynomial); coefficients: N. Juffa, erff.
static inline float erf_(float x) {
    float t = x < 0.f ? -x : x, s = x * x;
    float r = fma_(-1.72853470e-5f, t, 3.83197126e-4f);
    r = fma_(r, s, fma_(-3.88396438e-3f, t, 2.42546219e-2f));
    r = fma_(r, t, -1.06777877e-1f);
    r = fma_(r, t, -6.34846687e-1f);
    r = fma_(r, t, -1.28717512e-1f);
    r = fma_(r, t, -t);
    float far = 1.f - exp_(t > 4.f ? -30.f : r);
    float p = fma_(-5.96761703e-4f, s, 4.99119423e-3f);
    p = fma_(p, s, -2.67681349e-2f);
    p = fma_(p, s, 1.12819925e-1f);
    p = fma_(p, s, -3.76125336e-1f);
    p = fma_(p, s, 1.28379166e-1f);
    return t > 0.927734375f ? (x < 0.f ? -far : far) : fma_(p, x, x);
}

// sin(r + quadrant pi/2), r found in double. Polynomials: Cephes. Beyond 1e9 a float has no digits left for it: NaN.
static inline float sine(float x, int32_t quadrant) {
    double n = (x * 0.63661977236758134 + 6755399441055744.) - 6755399441055744.;
    float r = (float)(x - n * 1.57079632673412561417 - n * 6.07710050650619224932e-11), z = r * r;
    quadrant += (int32_t)n;
    float s = fma_(-1.9515295891e-4f, z, 8.3321608736e-3f);
    s = fma_(s, z, -1.6666654611e-1f);
    s = fma_(s * z, r, r);
    float c = fma_(2.443315711809948e-5f, z, -1.388731625493765e-3f);
    c = fma_(c, z, 4.166664568298827e-2f);
    c = fma_(c, z * z, fma_(-0.5f, z, 1.f));
    float y = quadrant & 1 ? c : s;
    y = quadrant & 2 ? -y : y;
    return x > -1e9f && x < 1e9f ? y : NOT_A_NUMBER;
}
static inline float sin_(float x) { return sine(x, 0); }
static inline float cos_(float x) { return sine(x, 1); }

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
typedef uint32_t Lanes __attribute__((vector_size(VL * 4)));
typedef uint16_t Halves __attribute__((vector_size(VL * 2)));

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

// Lanes of a and b in turn: the lower halves, or the upper.
template <int Half, int... J>
static inline V zip(V a, V b, std::integer_sequence<int, J...>) {
#if defined(__clang__) || __GNUC__ >= 12
    return __builtin_shufflevector(a, b, (Half * (VL / 2) + J / 2 + J % 2 * VL)...);
#else
    return __builtin_shuffle(a, b, Lanes{(uint32_t)(Half * (VL / 2) + J / 2 + J % 2 * VL)...});
#endif
}

// Rows to columns: to zip the upper half of the rows into the lower one is to turn the bits of (row, lane) by one.
static inline void transpose(V rows[VL]) {
    const std::make_integer_sequence<int, VL> lanes;
    for (long turn = 1; turn < VL; turn *= 2) {
        V turned[VL];
        for (long i = 0; i < VL / 2; i++) {
            turned[2 * i] = zip<0>(rows[i], rows[i + VL / 2], lanes);
            turned[2 * i + 1] = zip<1>(rows[i], rows[i + VL / 2], lanes);
        }
        memcpy(rows, turned, sizeof turned);
    }
}

// A lane of a panel holds one value of k in the case of float, two of bf16. `side_by_side` makes lanes of VL columns from
// rows k and k + 1, `apart` stores lanes of columns m and m + 1 as rows.
static inline V side_by_side(const float* row, long) { return load(row); }
static inline V side_by_side(const bf16* row, long ld) {
    Halves even, odd;
    memcpy(&even, row, sizeof even);
    memcpy(&odd, row + ld, sizeof odd);
    return (V)(__builtin_convertvector(even, Lanes) | __builtin_convertvector(odd, Lanes) << 16);
}
static inline void apart(V v, float* row, long) { store(row, v); }
static inline void apart(V v, bf16* row, long ld) {
    Halves even = __builtin_convertvector((Lanes)v, Halves), odd = __builtin_convertvector((Lanes)v >> 16, Halves);
    memcpy(row, &even, sizeof even);
    memcpy(row + ld, &odd, sizeof odd);
}

// B[k][n] = W[n * sn + k * sk] to panels; `out` has packed_size<S>(K, N) elements.
template <class S>
static void pack(const S* W, long K, long N, long sk, long sn, S* out) {
    const long D = depth<S>(), size = panel_size<S>(K);
    for (long n0 = 0; n0 < N; n0 += VL, out += size) {
        const long columns = N - n0 < VL ? N - n0 : VL;
        const S* from = W + n0 * sn;
        long k = 0;
        if (sk == 1 && columns == VL)
            for (; k + VL * D <= K; k += VL * D) {
                V block[VL];
                for (long n = 0; n < VL; n++) block[n] = load(from + n * sn + k);
                transpose(block);
                memcpy(out + k * VL, block, sizeof block);
            }
        else if (sn == 1 && columns == VL)
            for (; k + D <= K; k += D) {
                V lanes = side_by_side(from + k * sk, sk);
                memcpy(out + k * VL, &lanes, sizeof lanes);
            }
        memset(out + k * VL, 0, (size - k * VL) * sizeof(S));
        for (; k < K; k++)
            for (long n = 0; n < columns; n++) out[(k / D * VL + n) * D + k % D] = from[n * sn + k * sk];
    }
}

// ---- C = A B or C += A B.

// R rows times W panels; the sums stay in registers and take k = 0, 1, ... in this order, whatever R and W are. A tile at
// the edge computes its last row more than once, and columns of zeros.
template <class S, int R, int W>
static inline void tile(long rows, long columns, long K, const S* A, long lda, const S* B, float* C, long ldc, bool add) {
    const long D = depth<S>(), size = panel_size<S>(K);
    const S* a[R];
    for (int r = 0; r < R; r++) a[r] = A + (r < rows ? r : rows - 1) * lda;
    V acc[R][W];
    for (int r = 0; r < R; r++)
        for (int w = 0; w < W; w++) acc[r][w] = V{};
    long k = 0;
    for (; k + D <= K; k += D) {
        V b[W];
        for (int w = 0; w < W; w++) b[w] = load(B + w * size + k * VL);
        for (int r = 0; r < R; r++)
            for (int w = 0; w < W; w++) acc[r][w] = multiply_add(acc[r][w], spread(a[r] + k), b[w], B);
    }
    if (k < K)
        for (int r = 0; r < R; r++)
            for (int w = 0; w < W; w++)
                acc[r][w] = multiply_add(acc[r][w], spread_last(a[r] + k), load(B + w * size + k * VL), B);
    if (rows == R && columns >= W * VL) {
        for (int r = 0; r < R; r++)
            for (int w = 0; w < W; w++) {
                float* c = C + r * ldc + w * VL;
                store(c, add ? load(c) + acc[r][w] : acc[r][w]);
            }
    } else {  // at the edge: what exists
        float sums[R][W * VL];
        memcpy(sums, acc, sizeof sums);
        for (long r = 0; r < rows; r++)
            for (long n = 0; n < columns; n++) C[r * ldc + n] = add ? C[r * ldc + n] + sums[r][n] : sums[r][n];
    }
}

// Up to R rows: the weights come in at the speed of the cache; W panels at once hide the latency of the additions.
template <class S, int R, int W>
static void few_rows(long M, long N, long K, const S* A, long lda, const S* B, float* C, long ldc, bool add) {
    for (; N > (W - 1) * VL; N -= W * VL, B += W * panel_size<S>(K), C += W * VL)
        tile<S, R, W>(M, N < W * VL ? N : W * VL, K, A, lda, B, C, ldc, add);
    if constexpr (W > 1)
        if (N > 0) few_rows<S, R, W / 2>(M, N, K, A, lda, B, C, ldc, add);
}

// Any number of rows times W panels, in blocks of about equal height.
template <class S, int W>
static void many_rows(long M, long columns, long K, const S* A, long lda, const S* B, float* C, long ldc, bool add) {
    const long most = REGISTERS == 32 ? 8 : 4, blocks = (M + most - 1) / most;
    for (long i = 0; i < blocks; i++) {
        const long m = M * i / blocks, rows = M * (i + 1) / blocks - m;
        const S* a = A + m * lda;
        float* c = C + m * ldc;
        if (rows <= 4) tile<S, 4, W>(rows, columns, K, a, lda, B, c, ldc, add);
        else if constexpr (REGISTERS == 32) {
            if (rows <= 6) tile<S, 6, W>(rows, columns, K, a, lda, B, c, ldc, add);
            else tile<S, 8, W>(rows, columns, K, a, lda, B, c, ldc, add);
        }
    }
}

// C (M, N) fp32 = or += A (M, K) B (K, N; packed); any sizes from 1. A row's bits depend neither on M nor on its place.
template <class S>
static void gemm(long M, long N, long K, const S* A, long lda, const S* B, float* C, long ldc, bool add) {
    if (M == 1) return few_rows<S, 1, 8>(M, N, K, A, lda, B, C, ldc, add);
    if (M == 2) return few_rows<S, 2, 4>(M, N, K, A, lda, B, C, ldc, add);
    if (M <= 4) return few_rows<S, 4, REGISTERS == 32 ? 4 : 2>(M, N, K, A, lda, B, C, ldc, add);
    const long panels = (N + VL - 1) / VL, groups = (panels + 2) / 3;
    const long chunk = K > 4096 ? 8 : (32768 / K + 7) / 8 * 8;  // rows of A that stay in the cache
    for (long m = 0; m < M; m += chunk) {
        const long rows = M - m < chunk ? M - m : chunk;
        for (long g = 0; g < groups; g++) {
            const long p = panels * g / groups, width = panels * (g + 1) / groups - p, n = p * VL;
            const long columns = N - n < width * VL ? N - n : width * VL;
            const S *a = A + m * lda, *b = B + p * panel_size<S>(K);
            float* c = C + m * ldc + n;
            if (width == 3) many_rows<S, 3>(rows, columns, K, a, lda, b, c, ldc, add);
            else if (width == 2) many_rows<S, 2>(rows, columns, K, a, lda, b, c, ldc, add);
            else many_rows<S, 1>(rows, columns, K, a, lda, b, c, ldc, add);
        }
    }
}
