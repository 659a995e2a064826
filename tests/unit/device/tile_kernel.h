// A product of 16 by 8 by 32 by the steps of a warp, to test the primitives: tiles come by asynchronous copies in two
// stages, fragments by load_matrices, and the rows of c are summed by shuffles.
#ifndef LOAM_TESTS_UNIT_DEVICE_TILE_KERNEL_H
#define LOAM_TESTS_UNIT_DEVICE_TILE_KERNEL_H

#include "device/gpu/kernels/values.h"

enum { TILE_M = 16, TILE_N = 8, TILE_K = 32, TILE_STEP = 16, TILE_PITCH = TILE_STEP + 8 };

struct tile_params {
    i32 bf16;
    i32 unused;
};

#if !defined(__CUDACC__)
void loam_kernel_tile(void *a_buffer, void *b_buffer, void *c_buffer, void *sums_buffer,
                      struct tile_params p);
#endif

// The rows of 16 numbers from column `first` of a [16, 32] and b [8, 32], in pieces of 8.
DEVICE void copy_step(LOCAL u16 *stage, GLOBAL const u16 *a, GLOBAL const u16 *b, i32 first)
{
    for (i32 e = THREAD; e < (TILE_M + TILE_N) * 2; e += 32) {
        const i32 row = e / 2, column = e % 2 * 8;
        GLOBAL const u16 *const from = row < TILE_M ? a + row * TILE_K : b + (row - TILE_M) * TILE_K;
        copy_async(stage + row * TILE_PITCH + column, from + first + column);
    }
    copy_async_commit();
}

// Lane l gives the row of a 8x8 matrix that it loads: of a, the quarters in the order of mma's registers.
DEVICE void multiply_step(f32 c[4], LOCAL const u16 *stage, i32 bf16)
{
    const i32 matrix = THREAD / 8, row = THREAD % 8;
    u32 a[4], b[4];
    load_matrices(a, stage + (matrix % 2 * 8 + row) * TILE_PITCH + matrix / 2 * 8);
    load_matrices(b, stage + (TILE_M + row) * TILE_PITCH + matrix % 2 * 8);
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
    if (bf16) {
        mma_16x8x16_bf16(c, a, b);
        return;
    }
#endif
    if (!bf16) mma_16x8x16_f16(c, a, b);
}

KERNEL(tile)(BUFFER(a), BUFFER(b), BUFFER(c), BUFFER(sums), PARAMS(tile))
{
    READ(u16, a);
    READ(u16, b);
    WRITE(f32, c);
    WRITE(f32, sums);
    SHARED(u16, first, 0);
    SHARED(u16, second, (TILE_M + TILE_N) * TILE_PITCH * 2);
    f32 sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    copy_step(first, a, b, 0);
    copy_step(second, a, b, TILE_STEP);
    copy_async_wait(1);
    BARRIER();
    multiply_step(sum, first, p.bf16);
    copy_async_wait(0);
    BARRIER();
    multiply_step(sum, second, p.bf16);
    for (i32 i = 0; i < 4; i++)
        c[(THREAD / 4 + i / 2 * 8) * TILE_N + THREAD % 4 * 2 + i % 2] = sum[i];
    f32 row = sum[0] + sum[1]; // of row THREAD / 4, over the four lanes that have it
    row += shuffle_xor(row, 1);
    row += shuffle_xor(row, 2);
    if (THREAD % 4 == 0) sums[THREAD / 4] = row;
}

#endif
