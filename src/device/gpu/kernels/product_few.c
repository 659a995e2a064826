// Products of few rows by a weight, as in a step of decoding: the time is that of reading the weight. A block makes 16
// columns, whose weights its 8 warps read once, straight into registers, each warp other terms.
#include "device/gpu/kernels/product_end.h"

#if HAS_WARPS

enum { FEW_TERMS = 32, FEW_STEPS = 4, FEW_WARPS = BLOCK_THREADS / 32, FEW_SUMS = PRODUCT_FEW * PRODUCT_FEW };

// 8 numbers of row `row` from term `term` on, and zeros past the ends.
DEVICE struct piece load_terms(GLOBAL const u16 *x, struct lines lines, i64 row, i64 rows, i64 term,
                               i64 terms)
{
    struct piece piece = {{0, 0, 0, 0}};
    GLOBAL const u16 *const from = x + row * lines.line + term;
    if (row >= rows || term >= terms) return piece;
    if (lines.wide && term + 8 <= terms) return *(GLOBAL const struct piece *)from;
    UNROLL_FOR (i32 e = 0; e < 8; e++)
        if (term + e < terms) piece.words[e / 2] |= (u32)from[e] << e % 2 * 16;
    return piece;
}

DEVICE void multiply_words(f32 sum[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1, i32 dtype)
{
    const u32 a[4] = {a0, a1, a2, a3}, b[2] = {b0, b1};
#if HAS_BF16_PRODUCTS
    if (dtype == DTYPE_BF16) mma_16x8x16_bf16(sum, a, b);
#endif
    if (dtype == DTYPE_F16) mma_16x8x16_f16(sum, a, b);
}

// The weights of a lane: of FEW_STEPS times 32 terms, 8 in a row of each, for two columns. All of them are on their way
// before the first is used.
DEVICE void load_weights(struct piece weights[FEW_STEPS][2], GLOBAL const u16 *b, struct lines lines,
                         i64 column, i64 columns, i64 term, i64 terms)
{
    if (lines.wide && column + PRODUCT_FEW <= columns && term + FEW_STEPS * FEW_TERMS <= terms) {
        GLOBAL const u16 *const from = b + (column + THREAD % 32 / 4) * lines.line + term + THREAD % 4 * 8;
        UNROLL_FOR (i32 step = 0; step < FEW_STEPS; step++)
            UNROLL_FOR (i32 half = 0; half < 2; half++)
                weights[step][half] =
                    *(GLOBAL const struct piece *)(from + half * 8 * lines.line + step * FEW_TERMS);
    } else {
        UNROLL_FOR (i32 step = 0; step < FEW_STEPS; step++)
            UNROLL_FOR (i32 half = 0; half < 2; half++)
                weights[step][half] = load_terms(b, lines, column + THREAD % 32 / 4 + half * 8, columns,
                                                 term + step * FEW_TERMS + THREAD % 4 * 8, terms);
    }
}

// The order of the terms of a sum does not matter: the 8 of a lane, of weights and of x alike, are what the fragments of
// two steps of 16 hold.
DEVICE void multiply_few(f32 sum[2][4], GLOBAL const u16 *a, const struct piece weights[2],
                         struct few_member p, i64 term, i32 dtype)
{
    UNROLL_FOR (i32 half = 0; half < 2; half++) {
        if (half * 8 >= p.end.m) continue;
        const struct piece x =
            load_terms(a, p.a, half * 8 + THREAD % 32 / 4, p.end.m, term + THREAD % 4 * 8, p.k);
        UNROLL_FOR (i32 i = 0; i < 4; i += 2)
            multiply_words(sum[half], weights[0].words[i], weights[1].words[i], weights[0].words[i + 1],
                           weights[1].words[i + 1], x.words[i], x.words[i + 1], dtype);
    }
}

// Adds the sums of the warps, in their order.
DEVICE void end_few(f32 sum[2][4], struct product_end end, i64 column, GLOBAL const void *bias,
                    GLOBAL const void *residual, GLOBAL void *c)
{
    const i32 lane = THREAD % 32, i = THREAD / PRODUCT_FEW, j = THREAD % PRODUCT_FEW;
    SHARED(f32, sums, 0);
    LOCAL f32 *const own = sums + THREAD / 32 * FEW_SUMS;
    UNROLL_FOR (i32 half = 0; half < 2; half++)
        UNROLL_FOR (i32 e = 0; e < 4; e++)
            own[(half * 8 + lane % 4 * 2 + e % 2) * PRODUCT_FEW + lane / 4 + e / 2 * 8] = sum[half][e];
    BARRIER();
    f32 total = 0.0f;
    for (i32 warp = 0; warp < FEW_WARPS; warp++)
        total += sums[warp * FEW_SUMS + i * PRODUCT_FEW + j];
    if (i < end.m && column + j < end.n) end_sum(total, end, i, column + j, bias, residual, c);
}

DEVICE void make_few(GLOBAL const u16 *a, GLOBAL const u16 *b, GLOBAL const void *bias,
                     GLOBAL const void *residual, GLOBAL void *c, struct few_member p, i64 column, i32 dtype)
{
    f32 sum[2][4] = {{0.0f, 0.0f, 0.0f, 0.0f}, {0.0f, 0.0f, 0.0f, 0.0f}};
    for (i64 term = THREAD / 32 * (FEW_STEPS * FEW_TERMS); term < p.k;
         term += FEW_WARPS * FEW_STEPS * FEW_TERMS) {
        struct piece weights[FEW_STEPS][2];
        load_weights(weights, b, p.b, column, p.end.n, term, p.k);
        UNROLL_FOR (i32 step = 0; step < FEW_STEPS; step++)
            multiply_few(sum, a, weights[step], p, term + step * FEW_TERMS, dtype);
    }
    end_few(sum, p.end, column, bias, residual, c);
}

#define PRODUCT_FEW_KERNEL(name, type)                                                                       \
    KERNEL(name)                                                                                             \
    (BUFFERS(a), BUFFERS(b), BUFFERS(bias), BUFFERS(residual), BUFFERS(c), PARAMS(name))                     \
    {                                                                                                        \
        const i32 member = this_member(p.first, BLOCK_X);                                                    \
        const i64 column = (i64)(BLOCK_X - p.first[member]) * PRODUCT_FEW;                                   \
        READ_OF(u16, a, member);                                                                             \
        READ_OF(u16, b, member);                                                                             \
        READ_OF(void, bias, member);                                                                         \
        READ_OF(void, residual, member);                                                                     \
        WRITE_OF(void, c, member);                                                                           \
        if (HAS_BF16_PRODUCTS || (type) != DTYPE_BF16)                                                       \
            make_few(a, b, bias, residual, c, p.members[member], column, type);                              \
    }

PRODUCT_FEW_KERNEL(product_few_f16, DTYPE_F16)
PRODUCT_FEW_KERNEL(product_few_bf16, DTYPE_BF16)

#endif
