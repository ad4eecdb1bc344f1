// Gradients of weights: sums over rows of (what was multiplied)^T (gradient of a gate column), many rows at once.
//
// Rows are only pointed to, so they may stand anywhere: the state before a row's first step is its initial state.

static inline long least(long a, long b) { return a < b ? a : b; }
static inline long most(long a, long b) { return a > b ? a : b; }

static const long OUTER_ROWS = 2048 / sizeof(S);  // in one product: enough that reading and writing the sums is a small part

static const long OUTER_STRIDE = OUTER_ROWS + 16;  // a power of two would put all rows in the same lines of the cache

// Rows of `width` numbers turned round: to (width, OUTER_STRIDE).
static void turn_rows(const S* const* rows, long K, long width, S* out) {
    const long D = depth<S>();
    for (long k = 0; k < K; k += VL)
        for (long m = 0; m < width; m += VL * D) {
            if (k + VL <= K && m + VL * D <= width) {
                V block[VL];
                for (long i = 0; i < VL; i++) block[i] = load(rows[k + i] + m);
                transpose(block);
                for (long j = 0; j < VL; j++) apart(block[j], out + (m + j * D) * OUTER_STRIDE + k, OUTER_STRIDE);
            } else {
                for (long i = k; i < least(k + VL, K); i++)
                    for (long j = m; j < least(m + VL * D, width); j++) out[j * OUTER_STRIDE + i] = rows[i][j];
            }
        }
}

// Columns column .. column + N - 1 of rows, packed as gemm wants its second matrix.
static void pack_rows(const S* const* rows, long K, long column, long N, S* out) {
    const long D = depth<S>(), size = panel_size<S>(K);
    for (long n = column; n < column + N; n += VL, out += size) {
        const long columns = least(VL, column + N - n);
        long k = 0;
        if (columns == VL)
            for (; k + D <= K; k += D) {
                V lanes = side_by_side(rows[k] + n, rows[k + D - 1] - rows[k]);
                memcpy(out + k * VL, &lanes, sizeof lanes);
            }
        memset((void*)(out + k * VL), 0, (size - k * VL) * sizeof(S));
        for (; k < K; k++)
            for (long j = 0; j < columns; j++) out[(k / D * VL + j) * D + k % D] = rows[k][n + j];
    }
}

// One thread's rows that wait for their product, and its sums.
struct Outer {
    long I, H, count;
    bool started;  // whether the sums hold something
    const long* wanted;  // of x, and of each run, whether anybody wants the gradient
    S *packed, *turned;
    float* sums;
    const S* gates[OUTER_ROWS];
    const S* x[OUTER_ROWS];
    const S* input[PRODUCTS + 1][OUTER_ROWS];

    void flush() {
        const long K = count, size = packed_size<S>(K, H);
        count = 0;
        for (long k = 0; k < GATES; k++) pack_rows(gates, K, k * H, H, packed + k * size);
        float* to = sums;
        if (wanted[0]) {
            turn_rows(x, K, I, turned);
            for (long k = 0; k < X_GATES; k++)
                gemm(I, H, K, turned, OUTER_STRIDE, packed + k * size, to + k * H, X_GATES * H, started);
        }
        to += I * X_GATES * H;
        for (int p = 0, run = 0; p < PRODUCTS; p++) {
            bool ready = false;
            for (int last = run + products[p].runs; run < last; run++) {
                const long first = runs[run].first, columns = runs[run].columns;
                if (wanted[1 + run]) {
                    if (!ready) turn_rows(input[p], K, H, turned);
                    ready = true;
                    for (long k = 0; k < columns; k++)
                        gemm(H, H, K, turned, OUTER_STRIDE, packed + (first + k) * size, to + k * H, columns * H, started);
                }
                to += H * columns * H;
            }
        }
        started = true;
    }
};
