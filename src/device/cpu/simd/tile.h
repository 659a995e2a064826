// Small matrix products over operands in cache, tile by tile in registers.
#ifndef LOAM_DEVICE_CPU_SIMD_TILE_H
#define LOAM_DEVICE_CPU_SIMD_TILE_H

#include "device/cpu/simd/vector.h"

// A tile's sums: TILE_ROWS x TILE_VECS registers, of 32 with AVX-512 and of 16 below it; narrower tiles have
// more rows instead.
enum { TILE_ROWS = LANES == 16 ? 8 : 4, TILE_VECS = 3, TILE_SUMS = TILE_ROWS * TILE_VECS };

// c [m, n] = a [m, k] b [k, n], or c += where `accumulate`; a has any strides, rows of b and c are
// contiguous, n is a multiple of LANES.
struct small_matmul {
    const float *a;
    int64_t a_row, a_column; // elements from row to row, from column to column
    const float *b;
    int64_t b_row;
    float *c;
    int64_t c_row;
    bool accumulate;
};

// sum[i vecs + j] += a b, of rows from `row` and vectors from `column` on
INLINE void tile_sums(const struct small_matmul *mm, int64_t row, int64_t column, int64_t k, int rows,
                      int vecs, vec sum[TILE_SUMS])
{
    const float *a = mm->a + row * mm->a_row, *b = mm->b + column;
    const int64_t a_row = mm->a_row, a_column = mm->a_column, b_row = mm->b_row;
    for (int64_t p = 0; p < k; p++, a += a_column, b += b_row) {
        vec right[TILE_VECS];
        for (int j = 0; j < vecs; j++)
            right[j] = load_f32(b + j * LANES);
        for (int i = 0; i < rows; i++) {
            const vec left = splat(a[i * a_row]);
            for (int j = 0; j < vecs; j++)
                sum[i * vecs + j] += left * right[j];
        }
    }
}

INLINE void tile_product(const struct small_matmul *mm, int64_t row, int64_t column, int64_t k, int rows,
                         int vecs)
{
    vec sum[TILE_SUMS];
    float *c = mm->c + row * mm->c_row + column;
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vecs; j++)
            sum[i * vecs + j] = mm->accumulate ? load_f32(c + i * mm->c_row + j * LANES) : splat(0);
    tile_sums(mm, row, column, k, rows, vecs, sum);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vecs; j++)
            store_f32(c + i * mm->c_row + j * LANES, sum[i * vecs + j]);
}

// One column of tiles.
INLINE void tile_column(const struct small_matmul *mm, int64_t m, int64_t column, int64_t k, int vecs)
{
    const int rows = TILE_SUMS / vecs;
    int64_t row = 0;
    for (; row + rows <= m; row += rows)
        tile_product(mm, row, column, k, rows, vecs);
    for (; row < m; row++)
        tile_product(mm, row, column, k, 1, vecs);
}

static inline void small_matmul(const struct small_matmul *mm, int64_t m, int64_t n, int64_t k)
{
    int64_t column = 0;
    for (; column + 3 * LANES <= n; column += 3 * LANES)
        tile_column(mm, m, column, k, 3);
    if (n - column >= 2 * LANES)
        tile_column(mm, m, column, k, 2);
    else if (n - column >= LANES)
        tile_column(mm, m, column, k, 1);
}

#endif
