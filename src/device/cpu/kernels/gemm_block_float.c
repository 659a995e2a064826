// Products in block floating point, of f32, bf16 and f16 in any pair: of each row of a and each column of b,
// GROUP elements along k share one power of two, and each is a whole number of it between -4095 and 4095. So
// a group of products sums to less than 2^31 (GROUP * 4095^2), exactly, by instructions that multiply two
// pairs of 16-bit numbers and add them; on AVX2 these take 1.6 times as many numbers a second as
// multiply-adds of f32. A bf16 number is exact where the largest of its group is less than 16 times as large,
// and off by 2^-12 of the largest at most elsewhere.
#include <math.h>

#include "device/cpu/kernels/gemm_tile.h"

// ---- numbers ----

// The shared exponents of LANES groups.
struct exponents {
    vec unit;    // the power of two; NaN where the group has a number that is not finite
    vec inverse; // 1 / unit
};

INLINE vec_int magnitude(vec value)
{
    return (vec_int)value & 0x7FFFFFFF;
}

// largest: the bits of the largest magnitude of each group.
INLINE struct exponents choose_exponents(vec_int largest)
{
    // 12 bits are kept: what would be rounded to 2^12 takes the next power. The floor keeps 1 / unit finite.
    const vec_int field = larger_int((largest + 0x800) >> 23, splat_int(12));
    const vec_int finite = field < 255;
    const vec unit = (vec)((field - 11) << 23), inverse = (vec)((265 - field) << 23);
    return (struct exponents){select_vec(finite, unit, splat(NAN)), select_vec(finite, inverse, splat(0))};
}

// The whole number nearest to value x inverse, in the low bits of each lane.
INLINE vec_int whole_bits(vec value, vec inverse)
{
    return (vec_int)(value * inverse + 12582912.0f); // 1.5 * 2^23
}

INLINE vec_int whole(vec value, vec inverse)
{
    return whole_bits(value, inverse) - (vec_int)splat(12582912.0f);
}

// ---- packing ----

// The largest magnitude of `depth` elements of a line in the two halves, or the whole, of each lane.
INLINE vec_int line_largest(const char *line, int64_t depth, enum loam_dtype dtype)
{
    vec_int largest = {0};
    if (dtype == LOAM_BF16 && depth % STEP == 0) {
        for (int64_t p = 0; p < depth; p += STEP)
            largest = larger_halves(largest, load_pairs(line + p * 2) & 0x7FFF7FFF);
        return larger_int(largest & 0x7FFF0000, largest << 16);
    }
    for (int64_t p = 0; p < depth; p += LANES)
        largest = larger_int(largest, magnitude(load_any(line, p, depth, dtype)));
    return largest;
}

// Of each of LANES lines.
INLINE vec_int lines_largest(const char *const lines[LANES], int64_t depth, enum loam_dtype dtype)
{
    vec largest[LANES];
    for (int64_t i = 0; i < LANES; i++)
        largest[i] = (vec)line_largest(lines[i], depth, dtype);
    transpose_vec(largest);
    vec_int result = (vec_int)largest[0];
    for (int64_t i = 1; i < LANES; i++)
        result = larger_int(result, (vec_int)largest[i]);
    return result;
}

// Elements [p, p + STEP) of a line as pairs of whole numbers.
INLINE vec_int line_pairs(const char *line, int64_t p, int64_t depth, enum loam_dtype dtype, vec inverse)
{
    if (dtype == LOAM_BF16 && p + STEP <= depth) {
        const vec_int pairs = load_pairs(line + p * 2);
        return join_halves(whole_bits((vec)(pairs << 16), inverse),
                           whole_bits((vec)(pairs & (int32_t)0xFFFF0000), inverse));
    }
    const vec low = load_any(line, p, depth, dtype);
    const vec high = p + LANES < depth ? load_any(line, p + LANES, depth, dtype) : splat(0);
    return pack_halves(whole(low, inverse), whole(high, inverse));
}

// A group of `depth` elements of `count` lines that are contiguous and `line` elements apart. Lines past
// `count` repeat the last one; their sums are not read.
INLINE void pack_lines(const struct part *part, const void *source, int64_t line, int64_t count,
                       int64_t depth, enum loam_dtype dtype)
{
    const char *lines[LANES];
    for (int64_t i = 0; i < LANES; i++)
        lines[i] = (const char *)source + gemm_min(i, count - 1) * line * (dtype == LOAM_F32 ? 4 : 2);
    const struct exponents exponents = choose_exponents(lines_largest(lines, depth, dtype));
    store_f32(part->units, exponents.unit);
    for (int64_t p = 0; p < depth; p += STEP) {
        vec block[LANES];
#pragma GCC unroll 16
        for (int64_t i = 0; i < LANES; i++)
            block[i] = (vec)line_pairs(lines[i], p, depth, dtype, splat(exponents.inverse[i]));
        transpose_vec(block);
#pragma GCC unroll 16
        for (int64_t i = 0; i < LANES; i++)
            memcpy(part->pairs + (p / 2 + i) * part->width, &block[i], sizeof block[i]);
    }
}

// The largest magnitudes of `depth` elements, `bytes` apart, of `count` adjacent lines.
INLINE vec_int columns_largest(const char *rows, int64_t bytes, int64_t count, int64_t depth,
                               enum loam_dtype dtype)
{
    if (dtype == LOAM_BF16 && count == LANES) {
        vec_half halves = {0};
        for (int64_t p = 0; p < depth; p++)
            halves = larger_half(halves, load_half(rows + p * bytes) & 0x7FFF);
        return (vec_int)load_bf16((const uint16_t *)&halves);
    }
    vec_int largest = {0};
    for (int64_t p = 0; p < depth; p++)
        largest = larger_int(largest, magnitude(load_any(rows + p * bytes, 0, count, dtype)));
    return largest;
}

// Packs `count` lines of `depth` elements that are adjacent; the elements of a line lie `stride` elements apart. Lines past
// `count` are zero.
INLINE void pack_columns(const struct part *part, const void *source, int64_t stride, int64_t count,
                         int64_t depth, enum loam_dtype dtype)
{
    const char *rows = source;
    const int64_t bytes = stride * (dtype == LOAM_F32 ? 4 : 2);
    const struct exponents exponents = choose_exponents(columns_largest(rows, bytes, count, depth, dtype));
    store_f32(part->units, exponents.unit);
    for (int64_t p = 0; p < gemm_round_up(depth, STEP); p += 2) {
        vec_int first = {0}, second = {0};
        if (p < depth) first = whole_bits(load_any(rows + p * bytes, 0, count, dtype), exponents.inverse);
        if (p + 1 < depth)
            second = whole_bits(load_any(rows + (p + 1) * bytes, 0, count, dtype), exponents.inverse);
        const vec_int pairs = join_halves(first, second);
        memcpy(part->pairs + p / 2 * part->width, &pairs, sizeof pairs);
    }
}

INLINE void pack_group(const struct part *part, const struct gemm_lines *lines, const void *source,
                       int64_t count, int64_t depth, enum loam_dtype dtype)
{
    if (lines->element == 1)
        pack_lines(part, source, lines->line, count, depth, dtype);
    else
        pack_columns(part, source, lines->element, count, depth, dtype);
}

// Columns [j, j + count) of the part, group by group. Whole groups of whole vectors have a path without
// bounds checks.
INLINE void pack_groups(struct part part, const struct gemm_lines *lines, int64_t j, int64_t count,
                        enum loam_dtype dtype)
{
    const int64_t size = dtype == LOAM_F32 ? 4 : 2;
    part.pairs += j;
    part.units += j;
    for (int64_t p = 0; p < lines->depth; p += GROUP) {
        const int64_t group = gemm_min(GROUP, lines->depth - p);
        const void *source = (const char *)lines->first + (p * lines->element + j * lines->line) * size;
        if (group == GROUP && count == LANES)
            pack_group(&part, lines, source, LANES, GROUP, dtype);
        else if (group == GROUP)
            pack_group(&part, lines, source, count, GROUP, dtype);
        else
            pack_group(&part, lines, source, count, group, dtype);
        part.pairs += GROUP / 2 * part.width;
        part.units += part.units_row;
    }
}

static void pack(const struct part *part, const struct gemm_lines *lines)
{
    for (int64_t j = 0; j < lines->count; j += LANES) {
        const int64_t count = gemm_min(LANES, lines->count - j);
        if (lines->dtype == LOAM_F32) pack_groups(*part, lines, j, count, LOAM_F32);
        if (lines->dtype == LOAM_BF16) pack_groups(*part, lines, j, count, LOAM_BF16);
        if (lines->dtype == LOAM_F16) pack_groups(*part, lines, j, count, LOAM_F16);
    }
}

// ---- a tile ----

// to = from + units_a unitsT_b * a [pairs, ROWS]T b [pairs, PANEL], the products of one group.
INLINE void group_product(const struct part *a, const struct part *b, int64_t pairs,
                          const struct tile_sums *sums, struct prefetch *prefetches)
{
    vec_int sum[ROWS][2];
    const int32_t *left = a->pairs, *right = b->pairs;
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++)
        sum[i][0] = sum[i][1] = splat_int(0);
    for (int64_t p = 0; p < pairs; p += PAIRS_A_LINE) {
        fetch_line(prefetches);
#pragma GCC unroll 4
        for (int pair = 0; pair < PAIRS_A_LINE; pair++, left += ROWS, right += PANEL) {
            const vec_int right0 = load_int(right), right1 = load_int(right + LANES);
#pragma GCC unroll 16
            for (int i = 0; i < ROWS; i++) {
                const vec_int both = splat_int(left[i]);
                sum[i][0] = add_products(sum[i][0], both, right0);
                sum[i][1] = add_products(sum[i][1], both, right1);
            }
        }
    }
    const vec unit0 = load_f32(b->units), unit1 = load_f32(b->units + LANES);
    const float *from = sums->from;
    float *to = sums->to;
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++, to += sums->to_row) {
        vec sum0 = to_float(sum[i][0]) * (unit0 * a->units[i]),
            sum1 = to_float(sum[i][1]) * (unit1 * a->units[i]);
        if (from != NULL) {
            sum0 += load_f32(from);
            sum1 += load_f32(from + LANES);
            from += sums->from_row;
        }
        store_f32(to, sum0);
        store_f32(to + LANES, sum1);
    }
}

static void tile(const struct part *a, const struct part *b, int64_t depth, const struct tile_sums *sums,
                 struct prefetch *prefetches)
{
    struct part group_a = *a, group_b = *b;
    struct tile_sums so_far = *sums;
    for (int64_t p = 0; p < depth; p += GROUP) {
        group_product(&group_a, &group_b, gemm_round_up(gemm_min(GROUP, depth - p), STEP) / 2, &so_far,
                      prefetches);
        so_far.from = sums->to;
        so_far.from_row = sums->to_row;
        group_a.pairs += GROUP / 2 * ROWS;
        group_a.units += a->units_row;
        group_b.pairs += GROUP / 2 * PANEL;
        group_b.units += b->units_row;
    }
}

const struct gemm_kernel CPU_NAME(gemm_block_float) = {1, pack, tile};
