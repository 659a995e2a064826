// DoRA: the norms of the adapted weight, and the scaled update.
#include "device/gpu/kernels/cells.h"
#include "device/gpu/kernels/sums.h"

// A block for each norm.
KERNEL(dora_norm)(BUFFER(w), BUFFER(u), BUFFER(v), BUFFER(norms), PARAMS(dora_norm))
{
    READ(void, w);
    READ(f32, u);
    READ(f32, v);
    WRITE(f32, norms);
    SHARED(f32, sums, 0);
    const i64 i = BLOCK_X;
    f32 squares = 0.0f;
    for (i64 j = THREAD; j < p.length; j += BLOCK_THREADS) {
        f32 update = 0.0f;
        for (i32 r = 0; r < p.rank; r++)
            update += u[i * p.u_i + r * p.u_r] * v[r * p.v_r + j * p.v_j];
        const f32 adapted = load(w, p.w_dtype, i * p.w_i + j * p.w_j) + p.scale * update;
        squares += adapted * adapted;
    }
    squares = block_sum(squares, sums);
    if (THREAD == 0) norms[i] = sqrtf(squares);
}

KERNEL(dora_forward)
(BUFFER(z), BUFFER(u), BUFFER(magnitude), BUFFER(norms), BUFFER(bias), BUFFER(residual), BUFFER(y),
 PARAMS(dora_forward))
{
    READ(void, z);
    READ(void, u);
    READ(f32, magnitude);
    READ(f32, norms);
    READ(void, bias);
    READ(void, residual);
    WRITE(void, y);
    const struct cell at = this_cell(p.cells);
    const i64 n = at.column, index = at.row * p.cells.columns + n;
    if (n >= p.cells.columns) return;
    const f32 gain = magnitude[n] / norms[n], product = load(z, p.dtype, index);
    f32 value = p.factor * ((gain - 1.0f) * product + gain * load(u, p.dtype, index));
    if (p.whole) value += product;
    if (bias != 0) value += load(bias, p.dtype, n);
    if (residual != 0) value += load(residual, p.dtype, at.row * p.residual_row + n);
    store(y, p.dtype, at.row * p.y_row + n, value);
}

KERNEL(dora_backward)
(BUFFER(dy), BUFFER(magnitude), BUFFER(norms), BUFFER(dz), BUFFER(du), PARAMS(dora_backward))
{
    READ(void, dy);
    READ(f32, magnitude);
    READ(f32, norms);
    WRITE(void, dz);
    WRITE(void, du);
    const struct cell at = this_cell(p.cells);
    const i64 n = at.column, index = at.row * p.cells.columns + n;
    if (n >= p.cells.columns) return;
    const f32 gain = magnitude[n] / norms[n], gradient = load(dy, p.dtype, at.row * p.dy_row + n);
    store(dz, p.dtype, index, ((p.whole ? 1.0f : 0.0f) + p.factor * (gain - 1.0f)) * gradient);
    store(du, p.dtype, index, p.factor * gain * gradient);
}
