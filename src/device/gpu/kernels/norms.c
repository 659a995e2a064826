// LayerNorm and RMSNorm, a block for each row. A norm without mean is an RMSNorm.
#include "device/gpu/kernels/sums.h"

KERNEL(norm_forward)
(BUFFER(x), BUFFER(w), BUFFER(b), BUFFER(y), BUFFER(mean), BUFFER(rstd), PARAMS(norm_forward))
{
    READ(void, x);
    READ(void, w);
    READ(void, b);
    WRITE(void, y);
    WRITE(f32, mean);
    WRITE(f32, rstd);
    SHARED(f32, sums, 0);
    const i64 row = (i64)BLOCK_X * p.columns;
    const i64 first = (i64)THREAD * p.run, step = (i64)BLOCK_THREADS * p.run;
    const f32 count = (f32)p.columns;
    f32 values[RUN], weights[RUN], biases[RUN], centre = 0.0f, squares = 0.0f;
    if (mean != 0) {
        f32 sum = 0.0f;
        for (i64 h = first; h < p.columns; h += step) {
            load_run(values, x, p.dtype, row + h, p.run);
            UNROLL_FOR (i32 e = 0; e < RUN; e++)
                if (e < p.run) sum += values[e];
        }
        centre = block_sum(sum, sums) / count;
    }
    for (i64 h = first; h < p.columns; h += step) {
        load_run(values, x, p.dtype, row + h, p.run);
        UNROLL_FOR (i32 e = 0; e < RUN; e++)
            if (e < p.run) squares += (values[e] - centre) * (values[e] - centre);
    }
    const f32 factor = 1.0f / sqrtf(block_sum(squares, sums) / count + p.eps);
    for (i64 h = first; h < p.columns; h += step) {
        load_run(values, x, p.dtype, row + h, p.run);
        load_run(weights, w, p.dtype, h, p.run);
        load_run(biases, b, p.dtype, h, p.run);
        UNROLL_FOR (i32 e = 0; e < RUN; e++)
            if (e < p.run) values[e] = (values[e] - centre) * factor * (p.offset + weights[e]) + biases[e];
        store_run(y, p.dtype, row + h, values, p.run);
    }
    if (THREAD != 0) return;
    rstd[BLOCK_X] = factor;
    if (mean != 0) mean[BLOCK_X] = centre;
}

// g = dy (offset + w) and the normal xh = (x - mean) rstd, of a run of a row
DEVICE void load_gradients(f32 g[RUN], f32 normal[RUN], GLOBAL const void *dy, GLOBAL const void *x,
                           GLOBAL const void *w, i64 row, i64 h, f32 mean, f32 rstd,
                           struct norm_backward_params p)
{
    f32 weights[RUN];
    load_run(g, dy, p.dtype, row + h, p.run);
    load_run(normal, x, p.dtype, row + h, p.run);
    load_run(weights, w, p.dtype, h, p.run);
    UNROLL_FOR (i32 e = 0; e < RUN; e++)
        if (e < p.run) {
            g[e] *= p.offset + weights[e];
            normal[e] = (normal[e] - mean) * rstd;
        }
}

// xh = (x - mean) rstd; g = dy (offset + w); dx = rstd (g - mean_h(g) - xh mean_h(g xh)). mean_h(g) is left out
// without mean.
KERNEL(norm_backward)
(BUFFER(dy), BUFFER(x), BUFFER(w), BUFFER(mean), BUFFER(rstd), BUFFER(dx), PARAMS(norm_backward))
{
    READ(void, dy);
    READ(void, x);
    READ(void, w);
    READ(f32, mean);
    READ(f32, rstd);
    WRITE(void, dx);
    SHARED(f32, sums, 0);
    const i64 row = (i64)BLOCK_X * p.columns;
    const f32 count = (f32)p.columns, factor = rstd[BLOCK_X], centre = mean != 0 ? mean[BLOCK_X] : 0.0f;
    const i64 first = (i64)THREAD * p.run, step = (i64)BLOCK_THREADS * p.run;
    f32 g[RUN], normal[RUN], before[RUN], g_sum = 0.0f, gx_sum = 0.0f;
    for (i64 h = first; h < p.columns; h += step) {
        load_gradients(g, normal, dy, x, w, row, h, centre, factor, p);
        UNROLL_FOR (i32 e = 0; e < RUN; e++)
            if (e < p.run) {
                g_sum += g[e];
                gx_sum += g[e] * normal[e];
            }
    }
    const f32 gx_mean = block_sum(gx_sum, sums) / count;
    const f32 g_mean = mean != 0 ? block_sum(g_sum, sums) / count : 0.0f;
    for (i64 h = first; h < p.columns; h += step) {
        load_gradients(g, normal, dy, x, w, row, h, centre, factor, p);
        load_run(before, p.accumulate ? dx : 0, p.dtype, row + h, p.run);
        UNROLL_FOR (i32 e = 0; e < RUN; e++)
            if (e < p.run) g[e] = factor * (g[e] - g_mean - normal[e] * gx_mean) + before[e];
        store_run(dx, p.dtype, row + h, g, p.run);
    }
}
