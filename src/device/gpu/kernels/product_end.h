// What the kernels of products share: the products of a launch, and what becomes of their sums, by bias, scale, dropout,
// accumulation and residual.
#ifndef LOAM_DEVICE_GPU_KERNELS_PRODUCT_END_H
#define LOAM_DEVICE_GPU_KERNELS_PRODUCT_END_H

#include "device/gpu/kernels/values.h"

// The buffers of a launch that makes a group of products, each with a number in its name. READ_OF and WRITE_OF take those
// of one product.
#define BUFFERS(name) BUFFER(name##_0), BUFFER(name##_1), BUFFER(name##_2)
#define BUFFER_OF(name, member)                                                                              \
    ((member) == 0   ? BUFFER_ADDRESS(name##_0)                                                              \
     : (member) == 1 ? BUFFER_ADDRESS(name##_1)                                                              \
                     : BUFFER_ADDRESS(name##_2))
#define READ_OF(type, name, member)                                                                          \
    GLOBAL const type *const name = (GLOBAL const type *)BUFFER_OF(name, member)
#define WRITE_OF(type, name, member) GLOBAL type *const name = (GLOBAL type *)BUFFER_OF(name, member)

// The product that a block makes, by its place among those of all.
DEVICE i32 this_member(const i32 first[PRODUCT_GROUP + 1], i32 block)
{
    return block < first[1] ? 0 : block < first[2] ? 1 : 2;
}

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
