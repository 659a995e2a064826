// Small matrix products over operands in cache, tile by tile in registers: of f32, and with AVX-512 BF16 of
// pairs of bf16 along k, each of which takes the place of a number of f32 in a and b.
#ifndef LOAM_DEVICE_CPU_KERNELS_TILE_H
#define LOAM_DEVICE_CPU_KERNELS_TILE_H

#include "device/cpu/kernels/vector.h"

// A tile's sums take TILE_ROWS x TILE_VECS registers, of 32 with AVX-512 and of 16 below it. A narrower tile
// has more rows instead. With 32 registers, the last four vectors of a row are one tile of fewer rows. The
// last rows are computed four at a time, enough to cover the latency of a multiply-add.
enum {
    TILE_ROWS = CPU_SIZE(TILE_ROWS),
    TILE_VECS = 3,
    TILE_SUMS = TILE_ROWS * TILE_VECS,
    TILE_ROWS_LEFT = 4,
    TILE_VECS_LEFT = CPU_SIZE(TILE_WIDE),
};

// c [m, n] = a [m, k] b [k, n], or c += where `accumulate`; a has any strides, rows of b and c are
// contiguous, n is a multiple of LANES. Of pairs, a, b, their strides and k count pairs.
struct small_matmul {
    const float *a;
    int64_t a_row, a_column; // elements from row to row, from column to column
    const float *b;
    int64_t b_row;
    float *c;
    int64_t c_row;
    bool accumulate;
};

// sum + a b in each lane. Callers pass a constant, so that it is inlined.
typedef vec tile_multiply_add(vec sum, vec a, vec b);

INLINE vec tile_add_f32(vec sum, vec a, vec b)
{
    return sum + a * b;
}
INLINE vec splat_lane(const float *lane) // bit for bit, a pair as well
{
    int32_t bits;
    memcpy(&bits, lane, sizeof bits);
    return (vec)splat_int(bits);
}

// sum[i vecs + j] += a b, of rows from `row` and vectors from `column` on
INLINE void tile_sums_by(const struct small_matmul *mm, int64_t row, int64_t column, int64_t k, int rows,
                         int vecs, tile_multiply_add *multiply_add, vec sum[TILE_SUMS])
{
    const float *a = mm->a + row * mm->a_row, *b = mm->b + column;
    const int64_t a_row = mm->a_row, a_column = mm->a_column, b_row = mm->b_row;
    for (int64_t p = 0; p < k; p++, a += a_column, b += b_row) {
        vec right[TILE_VECS_LEFT];
        for (int j = 0; j < vecs; j++)
            right[j] = load_f32(b + j * LANES);
        for (int i = 0; i < rows; i++) {
            const vec left = splat_lane(a + i * a_row);
            for (int j = 0; j < vecs; j++)
                sum[i * vecs + j] = multiply_add(sum[i * vecs + j], left, right[j]);
        }
    }
}

INLINE void tile_sums(const struct small_matmul *mm, int64_t row, int64_t column, int64_t k, int rows,
                      int vecs, vec sum[TILE_SUMS])
{
    tile_sums_by(mm, row, column, k, rows, vecs, tile_add_f32, sum);
}

INLINE void tile_product(const struct small_matmul *mm, const float *factor, int64_t row, int64_t column,
                         int64_t k, int rows, int vecs, tile_multiply_add *multiply_add)
{
    vec sum[TILE_SUMS];
    float *c = mm->c + row * mm->c_row + column;
    for (int j = 0; j < vecs; j++) {
        const vec by = factor != NULL ? load_f32(factor + column + j * LANES) : splat(1);
        for (int i = 0; i < rows; i++)
            sum[i * vecs + j] = mm->accumulate ? load_f32(c + i * mm->c_row + j * LANES) * by : splat(0);
    }
    tile_sums_by(mm, row, column, k, rows, vecs, multiply_add, sum);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vecs; j++)
            store_f32(c + i * mm->c_row + j * LANES, sum[i * vecs + j]);
}

// One column of tiles.
INLINE void tile_column(const struct small_matmul *mm, const float *factor, int64_t m, int64_t column,
                        int64_t k, int vecs, tile_multiply_add *multiply_add)
{
    const int rows = TILE_SUMS / vecs;
    int64_t row = 0;
    for (; row + rows <= m; row += rows)
        tile_product(mm, factor, row, column, k, rows, vecs, multiply_add);
    for (; row + TILE_ROWS_LEFT <= m; row += TILE_ROWS_LEFT)
        tile_product(mm, factor, row, column, k, TILE_ROWS_LEFT, vecs, multiply_add);
    for (; row < m; row++)
        tile_product(mm, factor, row, column, k, 1, vecs, multiply_add);
}

// c = a b, or where `accumulate` c = factor c + a b. factor [n], one for each column; NULL: 1.
INLINE void tile_columns(const struct small_matmul *mm, const float *factor, int64_t m, int64_t n, int64_t k,
                         tile_multiply_add *multiply_add)
{
    int64_t column = 0;
    for (; n - column >= TILE_VECS * LANES && n - column != TILE_VECS_LEFT * LANES;
         column += TILE_VECS * LANES)
        tile_column(mm, factor, m, column, k, TILE_VECS, multiply_add);
    if (n - column >= TILE_VECS_LEFT * LANES)
        tile_column(mm, factor, m, column, k, TILE_VECS_LEFT, multiply_add);
    else if (n - column >= 2 * LANES)
        tile_column(mm, factor, m, column, k, 2, multiply_add);
    else if (n - column >= LANES)
        tile_column(mm, factor, m, column, k, 1, multiply_add);
}

static inline void small_matmul(const struct small_matmul *mm, int64_t m, int64_t n, int64_t k)
{
    tile_columns(mm, NULL, m, n, k, tile_add_f32);
}

static inline void small_matmul_f32(const struct small_matmul *mm, const float *factor, int64_t m, int64_t n,
                                    int64_t k)
{
    tile_columns(mm, factor, m, n, k, tile_add_f32);
}

#endif
