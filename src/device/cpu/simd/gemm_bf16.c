// Products of bf16 by AVX-512 BF16, whose instructions multiply two pairs of bf16 and add both products to a
// sum of f32. Packing only brings the pairs together; nothing is rounded, and no unit is needed.
#include "device/cpu/simd/gemm_kernel.h"

#if defined(__AVX512F__)

#define WITH_BF16 __attribute__((target("avx512bf16")))

// Elements [p, p + STEP) of a line, zeros past its end.
INLINE vec_int line_pairs(const uint16_t *line, int64_t p, int64_t depth)
{
    if (p + STEP <= depth) return load_pairs(line + p);
    uint16_t elements[STEP] = {0};
    memcpy(elements, line + p, (size_t)(depth - p) * sizeof elements[0]);
    return load_pairs(elements);
}

// Past `count` the last line again: nobody reads those sums.
INLINE void pack_lines(const struct part *part, const struct gemm_lines *lines, int64_t depth)
{
    const uint16_t *line[LANES];
    for (int64_t i = 0; i < LANES; i++)
        line[i] = (const uint16_t *)lines->first + gemm_min(i, lines->count - 1) * lines->line;
    for (int64_t p = 0; p < depth; p += STEP) {
        vec block[LANES];
#pragma GCC unroll 16
        for (int64_t i = 0; i < LANES; i++)
            block[i] = (vec)line_pairs(line[i], p, depth);
        transpose_vec(block);
#pragma GCC unroll 16
        for (int64_t i = 0; i < LANES; i++)
            memcpy(part->pairs + (p / 2 + i) * part->width, &block[i], sizeof block[i]);
    }
}

// `count` elements that are LANES or fewer, each in a lane of its own.
INLINE vec_int spread(const uint16_t *elements, int64_t count)
{
    uint16_t some[LANES] = {0};
    if (count < LANES) {
        memcpy(some, elements, (size_t)count * sizeof some[0]);
        elements = some;
    }
    return (vec_int)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i_u *)elements));
}

INLINE void pack_columns(const struct part *part, const struct gemm_lines *lines, int64_t count)
{
    const uint16_t *row = lines->first;
    for (int64_t p = 0; p < gemm_round_up(lines->depth, STEP); p += 2, row += 2 * lines->element) {
        vec_int pairs = {0};
        if (p < lines->depth) pairs = spread(row, count);
        if (p + 1 < lines->depth) pairs |= spread(row + lines->element, count) << 16;
        memcpy(part->pairs + p / 2 * part->width, &pairs, sizeof pairs);
    }
}

// In whole steps of whole vectors no element is asked whether it is there: the compiler sees that they are.
static void pack(const struct part *part, const struct gemm_lines *lines)
{
    if (lines->element == 1 && lines->depth % STEP == 0)
        pack_lines(part, lines, lines->depth / STEP * STEP);
    else if (lines->element == 1)
        pack_lines(part, lines, lines->depth);
    else if (lines->count == LANES)
        pack_columns(part, lines, LANES);
    else
        pack_columns(part, lines, lines->count);
}

WITH_BF16 static void tile(const struct part *a, const struct part *b, int64_t depth,
                           const struct tile_sums *sums, struct ahead *ahead)
{
    __m512 sum[ROWS][2];
    const int32_t *left = a->pairs, *right = b->pairs;
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++)
        sum[i][0] = sum[i][1] = _mm512_setzero_ps();
    for (int64_t p = 0; p < gemm_round_up(depth, STEP) / 2; p += PAIRS_A_LINE) {
        fetch_line(ahead);
#pragma GCC unroll 4
        for (int pair = 0; pair < PAIRS_A_LINE; pair++, left += ROWS, right += PANEL) {
            const __m512bh right0 = (__m512bh)load_int(right), right1 = (__m512bh)load_int(right + LANES);
#pragma GCC unroll 16
            for (int i = 0; i < ROWS; i++) {
                const __m512bh both = (__m512bh)_mm512_set1_epi32(left[i]);
                sum[i][0] = _mm512_dpbf16_ps(sum[i][0], both, right0);
                sum[i][1] = _mm512_dpbf16_ps(sum[i][1], both, right1);
            }
        }
    }
    const float *from = sums->from;
    float *to = sums->to;
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++, to += sums->to_row) {
        if (from != NULL) {
            sum[i][0] = _mm512_add_ps(sum[i][0], _mm512_loadu_ps(from));
            sum[i][1] = _mm512_add_ps(sum[i][1], _mm512_loadu_ps(from + LANES));
            from += sums->from_row;
        }
        _mm512_storeu_ps(to, sum[i][0]);
        _mm512_storeu_ps(to + LANES, sum[i][1]);
    }
}

const struct gemm_kernel CPU_OVERRIDES(gemm_bf16) = {1, pack, tile};

#endif
