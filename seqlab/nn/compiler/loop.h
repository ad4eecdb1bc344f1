// The loop over time, the same for every cell. What a cell does between its products comes before this text:
//   typedef ... S;                              how products read numbers, float or bf16
//   GATES, X_GATES, STATES, VECTORS, MASKS      columns (those with a part in x first), states, ...
//   PRODUCTS, RUNS, Product products[], Run runs[]
//   forward_cell, forward_input, backward_cell, backward_input: one row of one step
//
// Rows are sorted by length, longest first, and stored without padding: row b of step t is row offset[t] + b of every
// array over time; at step t there are offset[t + 1] - offset[t] rows.

static const long SHARED_ROWS = 256;  // what all threads project at once where one of them goes through time
static const long BLOCK_ROWS = 64;    // rows of a large product that stay in the cache

// The rows first, first + step, ... that a thread has at a step of `alive` rows.
struct Rows { long first, step, count; };

// Full rows in blocks; unequal ones in turn, so that each thread has as many steps to do.
static inline Rows own_rows(long alive, long B, long ragged, long thread, long threads) {
    if (ragged) return {thread, threads, most(0, (alive - thread + threads - 1) / threads)};
    long first = B * thread / threads;
    return {first, 1, B * (thread + 1) / threads - first};
}

// Of rows, every `parts`-th.
static inline Rows some_rows(Rows r, long part, long parts) {
    return {r.first + part * r.step, r.step * parts, most(0, (r.count - part + parts - 1) / parts)};
}

// How threads share the work: `workers` of them go through time, each with rows of its own and without waiting for the
// others. If there are too few rows for that, one does, and the others help with what is not recurrent; where products
// are `large`, they go through time together, each with some columns of every product, and meet after each.
struct Sharing { long workers, team, steps; bool together; };

static inline Sharing share(long threads, long B, long H, long total) {
    long workers = most(1, least(threads, B / 8));
    long team = workers == 1 && total >= SHARED_ROWS ? threads : workers;
    long steps = workers > 1 ? 1 : most(1, (team > 1 ? SHARED_ROWS : BLOCK_ROWS) / most(1, B));
    const bool large = PRODUCTS && GATES * H * H >= 1 << 16;  // several times what it takes to meet
    return {workers, team, steps, workers == 1 && team > 1 && large};
}

// Where threads wait for one another, thousands of times in a call: OpenMP's barrier takes several times as long.
struct Meeting {
    alignas(64) long arrived;
    alignas(64) long round;
};

static inline void meet(Meeting* m, long team, long* round) {
    const long next = ++*round;
    if (__atomic_add_fetch(&m->arrived, 1, __ATOMIC_ACQ_REL) == team) {
        m->arrived = 0;
        __atomic_store_n(&m->round, next, __ATOMIC_RELEASE);
        return;
    }
    for (long spins = 0; __atomic_load_n(&m->round, __ATOMIC_ACQUIRE) != next; spins++)
        if (spins > 2000) sched_yield();  // the other one may be waiting for this core
}

// A thread's part of C += A.B: some of the columns.
static inline void gemm_part(long M, long N, long K, const S* A, long lda, const S* packed, float* C, long ldc, bool add,
                             long thread, long team) {
    const long panels = (N + VL - 1) / VL, from = panels * thread / team * VL;
    const long to = least(N, panels * (thread + 1) / team * VL);
    if (from < to) gemm(M, to - from, K, A, lda, packed + from / VL * panel_size<S>(K), C + from, ldc, add);
}

struct Forward {
    long T, B, I, H, threads, ragged, reverse, save;
    const long* offset;      // (T + 1)
    const S* x;              // (rows, I)
    const S* W;              // packed: I to X_GATES * H
    const float* bias;       // (GATES, H)
    const float* vectors;    // (VECTORS, H)
    float* scratch;          // (rows of a few steps, GATES, H): pre-activations, where they are not made in `gates`
    S* gates;                // (rows, GATES, H), what backward needs of them, if saved
    S* y;                    // (rows, H)
    S* h;                    // (B, H) the output state as products read it
    float* state[STATES];    // (B, H) in: initial; out: each row's last
    S* kept[STATES];         // (rows, H) the other states over time, if saved
    const S* U[RUNS + 1];    // packed: H to the columns of a run
    S* input[PRODUCTS + 1];  // (rows, H) what is multiplied, where it is not h; (B, H) where nothing is saved
    const float* mask[MASKS + 1];
    long mask_step[MASKS + 1];  // from a step to the next, B * H or 0
};

extern "C" void forward(const Forward* a) {
    const long T = a->T, B = a->B, I = a->I, H = a->H, GH = GATES * H;
    const bool in_place = sizeof(S) == 4 && a->save;
    const Sharing plan = share(a->threads, B, H, a->offset[T]);
    Meeting meeting = {};
#pragma omp parallel num_threads(plan.team)
    {
        const long thread = omp_get_thread_num(), team = omp_get_num_threads();
        const long workers = plan.workers > 1 ? team : 1;
        const bool together = plan.together && team > 1;
        const long part = together ? thread : 0, parts = together ? team : 1;
        long round = 0;
        for (long done = 0; done < T; done += plan.steps) {
            const long steps = least(plan.steps, T - done), from = a->reverse ? T - done - steps : done;
            const long base = a->offset[from], total = a->offset[from + steps] - base;
            float* gates = in_place ? (float*)a->gates + base * GH : a->scratch;

            // The part that does not depend on the state, of these steps at once.
            Rows r = own_rows(total, workers > 1 ? B : total, workers > 1 && a->ragged, thread, team);
            for (long i = 0; i < r.count; i++)
                memcpy(gates + (r.first + i * r.step) * GH, a->bias, GH * sizeof(float));
            if (X_GATES && I)
                for (long i = 0; i < r.count; i += BLOCK_ROWS)
                    gemm(least(BLOCK_ROWS, r.count - i), X_GATES * H, I, a->x + (base + r.first + i * r.step) * I,
                         r.step * I, a->W, gates + (r.first + i * r.step) * GH, r.step * GH, true);
            if (team > workers) {
#pragma omp barrier
            }
            if (thread < workers || together)
                for (long n = 0; n < steps; n++) {
                    const long t = a->reverse ? from + steps - 1 - n : from + n, start = a->offset[t];
                    const Rows own = own_rows(a->offset[t + 1] - start, B, a->ragged, together ? 0 : thread, workers);
                    if (!own.count) continue;
                    const Rows mine = some_rows(own, part, parts);  // of which this thread does the arithmetic
                    float* g = gates + (start - base) * GH;
                    ForwardRow row;
                    row.H = H, row.vectors = a->vectors;
                    auto seek = [&](long b) {
                        row.g = g + b * GH;
                        row.x = a->x + (start + b) * I;
                        for (int k = 0; k < STATES; k++) {
                            row.state[k] = a->state[k] + b * H;
                            row.kept[k] = a->kept[k] + (start + b) * H;
                        }
                        for (int k = 0; k < MASKS; k++) row.mask[k] = a->mask[k] + t * a->mask_step[k] + b * H;
                    };
                    for (int p = 0, run = 0; p < PRODUCTS; p++) {
                        const S* in = a->h;
                        if (products[p].computed) {
                            S* made = a->input[p] + (a->save ? start : 0) * H;
                            for (long i = 0; i < mine.count; i++) {
                                const long b = mine.first + i * mine.step;
                                seek(b);
                                row.out = made + b * H;
                                forward_input(p, row);
                            }
                            if (together) meet(&meeting, team, &round);
                            in = made;
                        }
                        for (int last = run + products[p].runs; run < last; run++)
                            gemm_part(own.count, runs[run].columns * H, H, in + own.first * H, own.step * H, a->U[run],
                                      g + own.first * GH + runs[run].first * H, own.step * GH, true, part, parts);
                        if (together) meet(&meeting, team, &round);
                    }
                    for (long i = 0; i < mine.count; i++) {
                        const long b = mine.first + i * mine.step;
                        seek(b);
                        row.y = a->y + (start + b) * H;
                        row.h = a->h + b * H;
                        if (a->save) {
                            row.gates = a->gates + (start + b) * GH;
                            forward_cell<true>(row);
                        } else {
                            forward_cell<false>(row);
                        }
                    }
                    if (together) meet(&meeting, team, &round);
                }
            if (team > workers && !in_place) {  // before the scratch is used again
#pragma omp barrier
            }
        }
    }
}

struct Backward {
    long T, B, I, H, threads, ragged, reverse;
    const long* offset;
    const S* x;              // (rows, I)
    const S* dy;             // (rows, H)
    const S* gates;          // (rows, GATES, H)
    S* dgates;               // (rows, GATES, H), out
    float* scratch;          // (B, GATES, H): columns that are not complete at once, where dgates is not float
    float* dinput;           // (B, H)
    const S* W;              // packed: X_GATES * H to I
    S* dx;                   // (rows, I), out; null if nobody wants it
    float* dx_scratch;       // (BLOCK_ROWS rows of each thread, I), where dx is not float
    float* sums;             // (threads, GATES + VECTORS, H), in: zeros; out: gradients of bias and vectors
    const float* vectors;
    float* dstate[STATES];   // (B, H) in: of the last states; out: of the initial ones
    const S* kept[STATES];   // (rows, H); the first is y
    const S* initial[STATES];  // (B, H)
    const S* U[RUNS + 1];    // packed: the columns of a run to H
    const S* input[PRODUCTS + 1];  // (rows, H)
    long wanted[RUNS + 1];   // whether anybody wants the gradient of x's weights, and of each run's
    S* workspace;            // (threads, workspace_size)
    float* weights;          // (threads, weights): gradients of x's weights (I, X_GATES * H), of each run's (H, columns * H)
    long workspace_size, weight_sums;
    const float* mask[MASKS + 1];
    long mask_step[MASKS + 1];
};

static inline void round_columns(const float* from, S* to, long H, int column) {
    for (long j = column * H; j < (column + 1) * H; j++) st(to + j, from[j]);
}

// dx of some rows whose gate gradients are complete.
static inline void project_back(const Backward* a, long base, Rows r, float* scratch) {
    const long I = a->I, GH = GATES * a->H;
    if (!a->dx || !X_GATES || !I) return;
    for (long i = 0; i < r.count; i += BLOCK_ROWS) {
        const long m = least(BLOCK_ROWS, r.count - i), row = base + r.first + i * r.step;
        const S* dg = a->dgates + row * GH;
        if (sizeof(S) == 4) {
            gemm(m, I, X_GATES * a->H, dg, r.step * GH, a->W, (float*)a->dx + row * I, r.step * I, USES_X);
        } else {
            gemm(m, I, X_GATES * a->H, dg, r.step * GH, a->W, scratch, I, false);
            for (long q = 0; q < m; q++)
                for (long j = 0; j < I; j++) {
                    S* to = a->dx + (row + q * r.step) * I + j;
                    st(to, scratch[q * I + j] + (USES_X ? ld(to) : 0.f));
                }
        }
    }
}

// sums += the gate gradients of some rows, column by column.
static inline void add_rows(const S* dg, Rows r, long GH, float* sums) {
    const long WIDTH = 64;
    for (long j0 = 0; j0 < GH; j0 += WIDTH) {
        const long n = least(WIDTH, GH - j0);
        float total[WIDTH] = {};
        for (long i = 0; i < r.count; i++) {
            const S* row = dg + (r.first + i * r.step) * GH + j0;
            if (n == WIDTH)
                for (long j = 0; j < WIDTH; j++) total[j] += ld(row + j);
            else
                for (long j = 0; j < n; j++) total[j] += ld(row + j);
        }
        for (long j = 0; j < n; j++) sums[j0 + j] += total[j];
    }
}

extern "C" void backward(const Backward* a) {
    const long T = a->T, B = a->B, H = a->H, GH = GATES * H;
    const Sharing plan = share(a->threads, B, H, a->offset[T]);
    Meeting meeting = {};
#pragma omp parallel num_threads(plan.team)
    {
        const long thread = omp_get_thread_num(), team = omp_get_num_threads();
        const long workers = plan.workers > 1 ? team : 1;
        const bool together = plan.together && team > 1;
        const long part = together ? thread : 0, parts = together ? team : 1;
        long round = 0;
        float* sums = a->sums + thread * (GATES + VECTORS) * H;
        float* dx_scratch = a->dx_scratch + thread * BLOCK_ROWS * a->I;
        Outer outer;
        outer.I = a->I, outer.H = H, outer.count = 0, outer.started = false, outer.wanted = a->wanted;
        outer.packed = a->workspace + thread * a->workspace_size;
        outer.turned = outer.packed + GATES * packed_size<S>(OUTER_ROWS, H);
        outer.sums = a->weights + thread * a->weight_sums;
        bool any = false;
        for (long k = 0; k <= RUNS; k++) any = any || a->wanted[k];
        // Rows of step t whose gate gradients are complete, for the gradients of weights.
        auto collect = [&](long t, Rows r) {
            const long start = a->offset[t], before = a->reverse ? t + 1 : t - 1;
            const long older = before >= 0 && before < T ? a->offset[before + 1] - a->offset[before] : 0;
            for (long i = 0; any && i < r.count; i++) {
                const long b = r.first + i * r.step, n = outer.count++;
                outer.gates[n] = a->dgates + (start + b) * GH;
                outer.x[n] = a->x + (start + b) * a->I;
                for (int p = 0; p < PRODUCTS; p++)
                    outer.input[p][n] = products[p].computed ? a->input[p] + (start + b) * H
                                        : b < older          ? a->kept[0] + (a->offset[before] + b) * H
                                                             : a->initial[0] + b * H;
                if (outer.count == OUTER_ROWS) outer.flush();
            }
        };
        for (long left = T; left > 0; left -= plan.steps) {
            const long steps = least(plan.steps, left), from = a->reverse ? T - left : left - steps;
            const long base = a->offset[from], total = a->offset[from + steps] - base;
            if (thread < workers || together)
                for (long n = 0; n < steps; n++) {
                    const long t = a->reverse ? from + n : from + steps - 1 - n, start = a->offset[t];
                    const long alive = a->offset[t + 1] - start;
                    const Rows own = own_rows(alive, B, a->ragged, together ? 0 : thread, workers);
                    if (!own.count) continue;
                    const Rows mine = some_rows(own, part, parts);
                    // Where the state before this step is: in the step before, if the row was alive there.
                    const long before = a->reverse ? t + 1 : t - 1;
                    const bool inside = before >= 0 && before < T;
                    const long older = inside ? least(alive, a->offset[before + 1] - a->offset[before]) : 0;
                    S* dg = a->dgates + start * GH;
                    BackwardRow row;
                    row.H = H, row.vectors = a->vectors, row.dvectors = sums + GH;
                    auto seek = [&](long b) {
                        row.g = a->gates + (start + b) * GH;
                        row.x = a->x + (start + b) * a->I;
                        row.dx = a->dx + (start + b) * a->I;
                        row.dg = dg + b * GH;
                        row.dg_float = sizeof(S) == 4 ? (float*)row.dg : a->scratch + b * GH;
                        for (int k = 0; k < STATES; k++) {
                            row.dstate[k] = a->dstate[k] + b * H;
                            row.state[k] = b < older ? a->kept[k] + (a->offset[before] + b) * H : a->initial[k] + b * H;
                        }
                        for (int k = 0; k < MASKS; k++) row.mask[k] = a->mask[k] + t * a->mask_step[k] + b * H;
                    };
                    for (long i = 0; i < mine.count; i++) {
                        const long b = mine.first + i * mine.step;
                        seek(b);
                        row.dy = a->dy + (start + b) * H;
                        backward_cell(row);
                    }
                    auto round_late = [&](int first, int columns) {
                        for (int k = first; sizeof(S) != 4 && k < first + columns; k++)
                            for (long i = 0; LATE[k] && i < mine.count; i++) {
                                const long b = mine.first + i * mine.step;
                                round_columns(a->scratch + b * GH, dg + b * GH, H, k);
                            }
                    };
                    for (int p = PRODUCTS - 1, run = RUNS; p >= 0; p--) {
                        float* to = products[p].computed ? a->dinput : a->dstate[0];
                        bool add = !products[p].computed;
                        for (int first = run - products[p].runs; run > first; add = true) {
                            const Run& r = runs[--run];
                            round_late(r.first, r.columns);
                            if (together) meet(&meeting, team, &round);
                            gemm_part(own.count, H, r.columns * H, dg + own.first * GH + r.first * H, own.step * GH,
                                      a->U[run], to + own.first * H, own.step * H, add, part, parts);
                        }
                        if (together) meet(&meeting, team, &round);
                        for (long i = 0; products[p].computed && i < mine.count; i++) {
                            const long b = mine.first + i * mine.step;
                            seek(b);
                            row.dinput = a->dinput + b * H;
                            backward_input(p, row);
                        }
                    }
                    round_late(0, GATES);
                    add_rows(dg, mine, GH, sums);
                    if (workers > 1) {
                        project_back(a, start, own, dx_scratch);
                        collect(t, own);
                    }
                }
            if (workers == 1) {
                if (team > 1) {
#pragma omp barrier
                }
                const Rows part = own_rows(total, total, 0, thread, team);
                project_back(a, base, part, dx_scratch);
                for (long t = from; t < from + steps; t++) {
                    const long start = a->offset[t] - base, end = a->offset[t + 1] - base;
                    const long first = most(part.first, start), last = least(part.first + part.count, end);
                    collect(t, {first - start, 1, most(0, last - first)});
                }
            }
        }
        if (outer.count) outer.flush();
        if (!outer.started && any) memset(outer.sums, 0, a->weight_sums * sizeof(float));
        if (team > 1) {  // every thread adds up a part of the sums of all
#pragma omp barrier
            const long from = a->weight_sums * thread / team, to = a->weight_sums * (thread + 1) / team;
            for (long other = 1; any && other < team; other++)
                for (long j = from; j < to; j++) a->weights[j] += a->weights[other * a->weight_sums + j];
        }
    }
}

extern "C" long workspace_size(long I, long H) {
    return GATES * packed_size<S>(OUTER_ROWS, H) + most(I, H) * OUTER_STRIDE;
}

// Sizes of packed weights, in numbers of type S, and packing: B[k][n] = W[k * sk + n * sn].
extern "C" long packed(long K, long N) { return packed_size<S>(K, N); }
extern "C" void pack_weights(const S* W, long K, long N, long sk, long sn, S* out) { pack<S>(W, K, N, sk, sn, out); }

// A number that depends on one number of every row, in ever another column; `W` is seen as 16 bit words.
extern "C" unsigned long fingerprint(const uint16_t* W, long rows, long words) {
    unsigned long seen = 0;
    for (long r = 0; r < rows; r++) {
        const uint16_t* pair = W + r * words + (r * 2 % words & ~1L);
        seen = (seen ^ pair[0] ^ (unsigned long)pair[words > 1] << 16) * 0x9e3779b97f4a7c15ul;
        seen ^= seen >> 29;
    }
    return seen;
}
