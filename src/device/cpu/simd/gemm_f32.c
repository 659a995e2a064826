// Products of f32 by multiply-adds, for the levels that oneDNN uses less well.
#include "device/cpu/simd/gemm_kernel.h"

// Past `count` the last line again: nobody reads those sums.
INLINE void pack_lines(const struct part *part, const struct gemm_lines *lines, int64_t depth)
{
    const float *line[LANES];
    for (int64_t i = 0; i < LANES; i++)
        line[i] = (const float *)lines->first + gemm_min(i, lines->count - 1) * lines->line;
    for (int64_t p = 0; p < depth; p += LANES) {
        vec block[LANES];
#pragma GCC unroll 16
        for (int64_t i = 0; i < LANES; i++)
            block[i] = load(line[i], p, depth, false);
        transpose_vec(block);
#pragma GCC unroll 16
        for (int64_t i = 0; i < LANES; i++)
            memcpy(part->pairs + (p + i) * part->width, &block[i], sizeof block[i]);
    }
}

INLINE void pack_columns(const struct part *part, const struct gemm_lines *lines, int64_t count)
{
    const float *row = lines->first;
    const int64_t depth = lines->depth / 2;
    for (int64_t p = 0; p < gemm_round_up(depth, LANES); p++, row += lines->element) {
        const vec numbers = p < depth ? load(row, 0, count, false) : splat(0);
        memcpy(part->pairs + p * part->width, &numbers, sizeof numbers);
    }
}

// In whole vectors no element is asked whether it is there: the compiler sees that they are.
static void pack(const struct part *part, const struct gemm_lines *lines)
{
    const int64_t depth = lines->depth / 2;
    if (lines->element == 1 && depth % LANES == 0)
        pack_lines(part, lines, depth / LANES * LANES);
    else if (lines->element == 1)
        pack_lines(part, lines, depth);
    else if (lines->count == LANES)
        pack_columns(part, lines, LANES);
    else
        pack_columns(part, lines, lines->count);
}

INLINE float number(const int32_t *packed)
{
    float value;
    memcpy(&value, packed, sizeof value);
    return value;
}

static void tile(const struct part *a, const struct part *b, int64_t depth, const struct tile_sums *sums,
                 struct ahead *ahead)
{
    vec sum[ROWS][2];
    const int32_t *left = a->pairs, *right = b->pairs;
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++)
        sum[i][0] = sum[i][1] = splat(0);
    for (int64_t p = 0; p < gemm_round_up(depth, STEP) / 2; p += PAIRS_A_LINE) {
        fetch_line(ahead);
#pragma GCC unroll 4
        for (int pair = 0; pair < PAIRS_A_LINE; pair++, left += ROWS, right += PANEL) {
            const vec right0 = (vec)load_int(right), right1 = (vec)load_int(right + LANES);
#pragma GCC unroll 16
            for (int i = 0; i < ROWS; i++) {
                const vec both = splat(number(left + i));
                sum[i][0] += both * right0;
                sum[i][1] += both * right1;
            }
        }
    }
    const float *from = sums->from;
    float *to = sums->to;
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++, to += sums->to_row) {
        if (from != NULL) {
            sum[i][0] += load_f32(from);
            sum[i][1] += load_f32(from + LANES);
            from += sums->from_row;
        }
        store_f32(to, sum[i][0]);
        store_f32(to + LANES, sum[i][1]);
    }
}

const struct gemm_kernel CPU_OVERRIDES(gemm_f32) = {2, pack, tile};
