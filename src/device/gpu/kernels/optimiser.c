// The norm of all gradients, and AdamW.
#include "device/gpu/kernels/cells.h"
#include "device/gpu/kernels/sums.h"

// The sum of the block in thread 0.
DEVICE u64 f64_block_sum(u64 value, LOCAL u64 *sums)
{
    sums[THREAD] = value;
    BARRIER();
    for (i32 i = 1; i < SQUARE && THREAD < SQUARE; i++)
        sums[THREAD] = f64_add(sums[THREAD], sums[i * SQUARE + THREAD]);
    BARRIER();
    u64 total = sums[0];
    for (i32 i = 1; i < SQUARE && THREAD == 0; i++)
        total = f64_add(total, sums[i]);
    return total;
}

// parts[block] = sum x^2 of its share of x
KERNEL(squared_norm_parts)(BUFFER(x), BUFFER(parts), PARAMS(squared_norm_parts))
{
    READ(f32, x);
    WRITE(u64, parts);
    SHARED(u64, sums, 0);
    u64 sum = 0;
    const i64 first = (i64)BLOCK_X * p.share, end = first + p.share < p.count ? first + p.share : p.count;
    for (i64 i = first + THREAD; i < end; i += BLOCK_THREADS)
        sum = f64_add(sum, f64_square(x[i]));
    sum = f64_block_sum(sum, sums);
    if (THREAD == 0) parts[BLOCK_X] = sum;
}

// result += the sum of the parts
KERNEL(squared_norm_total)(BUFFER(parts), BUFFER(result), PARAMS(squared_norm_total))
{
    READ(u64, parts);
    WRITE(u64, result);
    SHARED(u64, sums, 0);
    const u64 sum = f64_block_sum(THREAD < p.parts ? parts[THREAD] : 0, sums);
    if (THREAD == 0) result[0] = f64_add(result[0], sum);
}

// The group of element i.
DEVICE i32 group_of(GLOBAL const i32 *starts, GLOBAL const i32 *groups, i32 ranges, i64 i)
{
    i32 range = 0, end = ranges;
    if (ranges == 0) return 0;
    while (end - range > 1) {
        const i32 middle = (range + end) / 2;
        if (starts[middle] <= i)
            range = middle;
        else
            end = middle;
    }
    return groups[range];
}

KERNEL(adamw)
(BUFFER(param), BUFFER(grad), BUFFER(m), BUFFER(v), BUFFER(mirror), BUFFER(norm), BUFFER(guard),
 BUFFER(starts), BUFFER(groups), PARAMS(adamw))
{
    WRITE(f32, param);
    READ(f32, grad);
    WRITE(f32, m);
    WRITE(f32, v);
    WRITE(void, mirror);
    READ(u64, norm);
    READ(u64, guard);
    READ(i32, starts);
    READ(i32, groups);
    const i64 i = this_cell(p.cells).column;
    if (i >= p.cells.columns) return;
    if ((norm != 0 && !f64_is_finite(norm[0])) || (guard != 0 && !f64_is_finite(guard[0]))) return;
    const i32 group = group_of(starts, groups, p.ranges, i);
    f32 factor = p.grad_factor;
    if (p.max_norm > 0.0f) factor *= fminf(1.0f, p.max_norm / (p.grad_factor * f64_sqrt(norm[0]) + 1e-6f));
    const f32 g = factor * grad[i];
    const f32 m_new = p.beta1 * m[i] + p.rest1 * g;
    const f32 v_new = p.beta2 * v[i] + p.rest2 * g * g;
    const f32 value =
        param[i] * p.rates[group].kept - p.rates[group].rate * m_new / (sqrtf(v_new * p.correction) + p.eps);
    param[i] = value;
    m[i] = m_new;
    v[i] = v_new;
    if (mirror != 0) store(mirror, p.mirror_dtype, i, value);
}
