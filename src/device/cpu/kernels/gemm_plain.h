// A kernel without units, whose packing moves words of 32 bits, each a pair of bf16 or an f32. The file that
// includes this defines a word before:
//   column_words(lines, word, j, count)   word `word` along k of `count` columns from j on, zero past the end
//   multiply_add(sum, left, right)        sum + left right, of words
#include "device/cpu/kernels/gemm_tile.h"

enum { WORD = sizeof(int32_t), VECTOR = LANES * WORD }; // bytes

// Bytes [byte, byte + VECTOR) of a line, zeros past its end.
INLINE vec line_words(const char *line, int64_t byte, int64_t bytes)
{
    if (byte + VECTOR <= bytes) return (vec)load_pairs(line + byte);
    char some[VECTOR] = {0};
    memcpy(some, line + byte, (size_t)(bytes - byte));
    return (vec)load_pairs(some);
}

// Lines past `count` repeat the last one; their sums are not read.
INLINE void pack_lines(const struct part *part, const struct gemm_lines *lines, int64_t bytes)
{
    const int64_t stride = lines->line * (int64_t)loam_dtype_size(lines->dtype);
    const char *line[LANES];
    for (int64_t i = 0; i < LANES; i++)
        line[i] = (const char *)lines->first + gemm_min(i, lines->count - 1) * stride;
    for (int64_t byte = 0; byte < bytes; byte += VECTOR) {
        vec block[LANES];
#pragma GCC unroll 16
        for (int64_t i = 0; i < LANES; i++)
            block[i] = line_words(line[i], byte, bytes);
        transpose_vec(block);
#pragma GCC unroll 16
        for (int64_t i = 0; i < LANES; i++)
            memcpy(part->pairs + (byte / WORD + i) * part->width, &block[i], sizeof block[i]);
    }
}

// Rows that are pages apart leave the second cache early, so the rows of the next group are fetched here. A
// panel's row may begin and end inside a cache line.
INLINE void pack_columns(const struct part *part, const struct gemm_lines *lines, int64_t count)
{
    const int64_t size = (int64_t)loam_dtype_size(lines->dtype), row = lines->element * size;
    const char *next = (const char *)lines->first + GROUP / 2 * (WORD / size) * row;
    for (int64_t word = 0; word < gemm_round_up(lines->depth, STEP) / 2; word++) {
        for (int64_t i = 0; i < WORD / size; i++, next += row)
            for (int64_t byte = 0; byte <= count * size; byte += CACHE_LINE)
                __builtin_prefetch(next + byte, 0, 2);
        for (int64_t j = 0; j < count; j += LANES) {
            const vec_int words = column_words(lines, word, j, gemm_min(LANES, count - j));
            memcpy(part->pairs + word * part->width + j, &words, sizeof words);
        }
    }
}

// Whole vectors have a path of their own, without a bounds check for each element.
static void pack(const struct part *part, const struct gemm_lines *lines)
{
    const int64_t bytes = lines->depth * WORD / 2;
    if (lines->element == 1 && bytes % VECTOR == 0)
        pack_lines(part, lines, bytes / VECTOR * VECTOR);
    else if (lines->element == 1)
        pack_lines(part, lines, bytes);
    else if (lines->count == PANEL)
        pack_columns(part, lines, PANEL);
    else
        pack_columns(part, lines, lines->count);
}

// The first `rows` rows of a tile. Callers pass a constant.
INLINE void tile_rows(const struct part *a, const struct part *b, int64_t depth, const struct tile_sums *sums,
                      struct prefetch *prefetches, int rows)
{
    vec sum[ROWS][2];
    const int32_t *left = a->pairs, *right = b->pairs;
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
        sum[i][0] = sum[i][1] = splat(0);
    for (int64_t p = 0; p < gemm_round_up(depth, STEP) / 2; p += PAIRS_A_LINE) {
        fetch_line(prefetches);
#pragma GCC unroll 4
        for (int pair = 0; pair < PAIRS_A_LINE; pair++, left += ROWS, right += PANEL) {
            const vec_int right0 = load_int(right), right1 = load_int(right + LANES);
#pragma GCC unroll 16
            for (int i = 0; i < rows; i++) {
                const vec_int both = splat_int(left[i]);
                sum[i][0] = multiply_add(sum[i][0], both, right0);
                sum[i][1] = multiply_add(sum[i][1], both, right1);
            }
        }
    }
    const float *from = sums->from;
    float *to = sums->to;
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++, to += sums->to_row) {
        if (from != NULL) {
            sum[i][0] += load_f32(from);
            sum[i][1] += load_f32(from + LANES);
            from += sums->from_row;
        }
        store_f32(to, sum[i][0]);
        store_f32(to + LANES, sum[i][1]);
    }
}

// The last rows of a product need not fill a tile.
static void tile(const struct part *a, const struct part *b, int64_t depth, const struct tile_sums *sums,
                 struct prefetch *prefetches)
{
    enum { HALF = ROWS / 2, QUARTER = (ROWS + 3) / 4 };
    if (sums->rows > HALF)
        tile_rows(a, b, depth, sums, prefetches, ROWS);
    else if (sums->rows > QUARTER)
        tile_rows(a, b, depth, sums, prefetches, HALF);
    else
        tile_rows(a, b, depth, sums, prefetches, QUARTER);
}
