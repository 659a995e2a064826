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
    const f32 count = (f32)p.columns;
    f32 centre = 0.0f, squares = 0.0f;
    if (mean != 0) {
        f32 sum = 0.0f;
        for (i64 h = THREAD; h < p.columns; h += BLOCK_THREADS)
            sum += load(x, p.dtype, row + h);
        centre = block_sum(sum, sums) / count;
    }
    for (i64 h = THREAD; h < p.columns; h += BLOCK_THREADS) {
        const f32 centred = load(x, p.dtype, row + h) - centre;
        squares += centred * centred;
    }
    const f32 factor = 1.0f / sqrtf(block_sum(squares, sums) / count + p.eps);
    for (i64 h = THREAD; h < p.columns; h += BLOCK_THREADS) {
        f32 value = (load(x, p.dtype, row + h) - centre) * factor * (p.offset + load(w, p.dtype, h));
        if (b != 0) value += load(b, p.dtype, h);
        store(y, p.dtype, row + h, value);
    }
    if (THREAD != 0) return;
    rstd[BLOCK_X] = factor;
    if (mean != 0) mean[BLOCK_X] = centre;
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
    f32 g_sum = 0.0f, gx_sum = 0.0f;
    for (i64 h = THREAD; h < p.columns; h += BLOCK_THREADS) {
        const f32 g = load(dy, p.dtype, row + h) * (p.offset + load(w, p.dtype, h));
        g_sum += g;
        gx_sum += g * (load(x, p.dtype, row + h) - centre) * factor;
    }
    const f32 gx_mean = block_sum(gx_sum, sums) / count;
    const f32 g_mean = mean != 0 ? block_sum(g_sum, sums) / count : 0.0f;
    for (i64 h = THREAD; h < p.columns; h += BLOCK_THREADS) {
        const f32 g = load(dy, p.dtype, row + h) * (p.offset + load(w, p.dtype, h));
        const f32 normal = (load(x, p.dtype, row + h) - centre) * factor;
        f32 value = factor * (g - g_mean - normal * gx_mean);
        if (p.accumulate) value += load(dx, p.dtype, row + h);
        store(dx, p.dtype, row + h, value);
    }
}
