// What products make of their sums: bias, scale, dropout, accumulation and residual.
#ifndef LOAM_DEVICE_GPU_KERNELS_PRODUCT_END_H
#define LOAM_DEVICE_GPU_KERNELS_PRODUCT_END_H

#include "device/gpu/kernels/values.h"

// Stores what becomes of the sum of element (i, j), which is inside of the matrix.
DEVICE void end_sum(f32 sum, struct product_end end, i64 i, i64 j, GLOBAL const void *bias,
                    GLOBAL const void *residual, GLOBAL void *c)
{
    const i64 at = i * end.c_i + j * end.c_j;
    f32 value = bias != 0 ? sum + load(bias, end.bias_dtype, j) : sum;
    value *= end.scale;
    if (end.drop_sum) value *= dropout_factor(end.dropout, i * end.n + j);
    if (end.accumulate) value += load(c, end.c_dtype, at);
    if (residual != 0) value += load(residual, end.c_dtype, i * end.residual_i + j);
    store(c, end.c_dtype, at, value);
}

#endif
