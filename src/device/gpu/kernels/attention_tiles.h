// Attention by the steps of warps: tiles of 16-bit numbers in shared memory, and their products.
#ifndef LOAM_DEVICE_GPU_KERNELS_ATTENTION_TILES_H
#define LOAM_DEVICE_GPU_KERNELS_ATTENTION_TILES_H

#include "device/gpu/kernels/attention.h"

#if HAS_WARPS

#define LOG2_E 1.4426950408889634f
#define LN_2 0.6931471805599453f

enum { HEAD_PIECE = 8 }; // numbers that are copied at once, 16 bytes

// The blocks for which a kernel leaves registers on a processor. Turing's products take more of them.
#define HEAD_BLOCKS(size) (HAS_BF16_PRODUCTS && (size) <= 80 ? 2 : 1)

// A kernel for each format and size of heads: DEFINE(format, size, is_bf16).
#define FOR_ALL_HEADS(DEFINE)                                                                                \
    DEFINE(f16, 64, 0)                                                                                       \
    DEFINE(f16, 80, 0)                                                                                       \
    DEFINE(f16, 96, 0)                                                                                       \
    DEFINE(f16, 128, 0)                                                                                      \
    DEFINE(f16, 256, 0)                                                                                      \
    DEFINE(bf16, 64, 1)                                                                                      \
    DEFINE(bf16, 80, 1)                                                                                      \
    DEFINE(bf16, 96, 1)                                                                                      \
    DEFINE(bf16, 128, 1)                                                                                     \
    DEFINE(bf16, 256, 1)

// Compile-time numbers of a kernel: the elements of a head in its tiles, with zeros behind those that exist, and the
// format.
struct form {
    i32 size;
    i32 is_bf16;
};

DEVICE struct form form_of(i32 size, i32 is_bf16)
{
    struct form form;
    form.size = size;
    form.is_bf16 = is_bf16;
    return form;
}

// The place of a piece in a tile. The eight rows that a warp reads at once lie in different banks: the pieces of a row
// change places by its number, or the pitch of the rows is an odd number of pieces.
DEVICE i32 place_of(struct form form, i32 row, i32 piece)
{
    const i32 swapped = form.size % 64 == 0 ? piece ^ (row & 7) : piece;
    return row * HEAD_PITCH(form.size) + swapped * HEAD_PIECE;
}

// c += a bT, 16 rows of a and 8 of b
DEVICE void multiply(f32 c[4], const u32 a[4], const u32 b[2], i32 is_bf16)
{
#if HAS_BF16_PRODUCTS
    if (is_bf16) {
        mma_16x8x16_bf16(c, a, b);
        return;
    }
#endif
    if (!is_bf16) mma_16x8x16_f16(c, a, b);
}

DEVICE u32 pair_of(f32 low, f32 high, i32 is_bf16)
{
#if HAS_BF16_PRODUCTS
    if (is_bf16) return pair_bf16(low, high);
#endif
    return pair_f16(low, high);
}

DEVICE i32 lane_of(void)
{
    return THREAD % 32;
}

// c [16, columns] += a [16, size] bT: rows of two tiles from row a_row and from row b_row
DEVICE void multiply_rows(f32 (*c)[4], LOCAL const u16 *a, i32 a_row, LOCAL const u16 *b, i32 b_row,
                          i32 columns, struct form form)
{
    const i32 matrix = lane_of() / 8, row = lane_of() % 8;
    UNROLL_FOR (i32 k = 0; k < form.size / 16; k++) {
        u32 left[4], right[4];
        load_matrices(left, a + place_of(form, a_row + matrix % 2 * 8 + row, 2 * k + matrix / 2));
        UNROLL_FOR (i32 n = 0; n < columns / 16; n++) {
            load_matrices(right,
                          b + place_of(form, b_row + n * 16 + matrix / 2 * 8 + row, 2 * k + matrix % 2));
            multiply(c[2 * n], left, right, form.is_bf16);
            multiply(c[2 * n + 1], left, right + 2, form.is_bf16);
        }
    }
}

// c [16, columns] += w [16, terms] y: w are sums of a warp, rounded; y are rows of a tile from row y_row, from column
// `first` on
DEVICE void multiply_weights(f32 (*c)[4], const f32 (*w)[4], i32 terms, LOCAL const u16 *y, i32 y_row,
                             i32 first, i32 columns, struct form form)
{
    const i32 matrix = lane_of() / 8, row = lane_of() % 8;
    UNROLL_FOR (i32 k = 0; k < terms / 16; k++) {
        u32 left[4], right[4];
        UNROLL_FOR (i32 i = 0; i < 4; i++)
            left[i] = pair_of(w[2 * k + i / 2][i % 2 * 2], w[2 * k + i / 2][i % 2 * 2 + 1], form.is_bf16);
        UNROLL_FOR (i32 n = 0; n < columns / 16; n++) {
            load_matrices_transposed(right, y + place_of(form, y_row + k * 16 + matrix % 2 * 8 + row,
                                                         first / HEAD_PIECE + 2 * n + matrix / 2));
            multiply(c[2 * n], left, right, form.is_bf16);
            multiply(c[2 * n + 1], left, right + 2, form.is_bf16);
        }
    }
}

DEVICE void clear_sums(f32 (*c)[4], i32 columns)
{
    UNROLL_FOR (i32 n = 0; n < columns / 8; n++)
        UNROLL_FOR (i32 i = 0; i < 4; i++)
            c[n][i] = 0.0f;
}

// Rows in the device's memory, from `from` on to `end`: row i starts at element first + i row.
struct head_rows {
    i64 first, row;
    i32 from, end;
};

DEVICE struct head_rows head_rows_of(struct heads_stride stride, i32 token, i32 head, i32 from, i32 end)
{
    struct head_rows rows;
    rows.first = head * stride.head + token * stride.row;
    rows.row = stride.row;
    rows.from = from;
    rows.end = end;
    return rows;
}

// Starts to copy 8 numbers, of which `count` exist, and zeros behind them.
DEVICE void copy_piece(LOCAL u16 *to, GLOBAL const u16 *from, i32 count, i32 is_aligned)
{
    if (is_aligned && count >= HEAD_PIECE) {
        copy_async(to, from);
        return;
    }
    NO_UNROLL_FOR (i32 i = 0; i < HEAD_PIECE; i++)
        to[i] = i < count ? from[i] : (u16)0;
}

// Starts to copy `count` rows into a tile. Each thread has a piece of every `step`-th row. Rows that take the same
// place in a tile's pattern are a multiple of 8 apart, and so is `step` where there is a pattern.
DEVICE void copy_rows(LOCAL u16 *tile, GLOBAL const u16 *x, struct head_rows rows, i32 count,
                      struct attention_params p, struct form form)
{
    const i32 pieces = form.size / HEAD_PIECE, step = BLOCK_THREADS / pieces, row = THREAD / pieces,
              piece = THREAD % pieces;
    LOCAL u16 *to = tile + place_of(form, row, piece);
    GLOBAL const u16 *from = x + rows.first + (rows.from + row) * rows.row + piece * HEAD_PIECE;
    if (row >= step) return;
    NO_UNROLL_FOR (i32 i = row; i < count; i += step) {
        copy_piece(to, from, rows.from + i < rows.end ? p.size - piece * HEAD_PIECE : 0, p.is_aligned);
        to += step * HEAD_PITCH(form.size);
        from += step * rows.row;
    }
}

// Stores 8 numbers, of which `count` exist.
DEVICE void store_piece(GLOBAL u16 *to, LOCAL const u16 *from, i32 count, i32 is_aligned)
{
    if (is_aligned && count >= HEAD_PIECE) {
        *(GLOBAL struct piece *)to = *(LOCAL const struct piece *)from;
        return;
    }
    NO_UNROLL_FOR (i32 i = 0; i < HEAD_PIECE && i < count; i++)
        to[i] = from[i];
}

// Stores `count` rows of a tile, of those that exist.
DEVICE void store_rows_of(GLOBAL u16 *y, LOCAL const u16 *tile, struct head_rows rows, i32 count,
                          struct attention_params p, struct form form)
{
    const i32 pieces = form.size / HEAD_PIECE;
    NO_UNROLL_FOR (i32 e = THREAD; e < count * pieces; e += BLOCK_THREADS) {
        const i32 row = e / pieces, piece = e % pieces, at = rows.from + row;
        store_piece(y + rows.first + at * rows.row + piece * HEAD_PIECE, tile + place_of(form, row, piece),
                    at < rows.end ? p.size - piece * HEAD_PIECE : 0, p.is_aligned);
    }
}

// Rounds 16 rows of sums [16, columns], times a factor for each of the lane's two, into rows of a tile from column
// `first` on.
DEVICE void put_sums(LOCAL u16 *tile, i32 row, i32 first, f32 (*c)[4], i32 columns, const f32 factors[2],
                     struct form form)
{
    UNROLL_FOR (i32 h = 0; h < 2; h++)
        UNROLL_FOR (i32 n = 0; n < columns / 8; n++) {
            LOCAL u16 *const to = tile + place_of(form, row + lane_of() / 4 + h * 8, first / HEAD_PIECE + n) +
                                  lane_of() % 4 * 2;
            *(LOCAL u32 *)to = pair_of(factors[h] * c[n][2 * h], factors[h] * c[n][2 * h + 1], form.is_bf16);
        }
}

// softcap tanh(scale product / softcap) = softcap (1 - 2 / (e^(2 scale product / softcap) + 1)), in base 2
DEVICE f32 capped_score(struct attention_params p, f32 product)
{
    return p.softcap_2 - 2.0f * p.softcap_2 * reciprocal(power_of_2(p.capped_scale * product) + 1.0f);
}

// The two rows of queries that a lane has of its warp's 16, and the keys that they see.
struct seen {
    i32 last[2], first[2];
    f32 slopes[2];             // with log2(e)
    i32 all_last, all_first;   // the keys between these are seen by all 16
    i32 some_last, some_first; // the keys outside of these by none
};

// Scores of 16 rows of queries and `columns` keys from key j on, in base 2: log2(e) times those of ops.h.
DEVICE void finish_scores(f32 (*c)[4], i32 columns, const struct seen *seen, i32 j, struct attention_params p)
{
    const i32 key = j + lane_of() % 4 * 2;
    if (p.softcap > 0.0f)
        UNROLL_FOR (i32 n = 0; n < columns / 8; n++)
            UNROLL_FOR (i32 i = 0; i < 4; i++)
                c[n][i] = capped_score(p, c[n][i]);
    else
        UNROLL_FOR (i32 n = 0; n < columns / 8; n++)
            UNROLL_FOR (i32 i = 0; i < 4; i++)
                c[n][i] = p.scale_2 * c[n][i] + seen->slopes[i / 2] * (f32)(key + n * 8 + i % 2);
    if (j >= seen->all_first && j + columns - 1 <= seen->all_last) return;
    UNROLL_FOR (i32 n = 0; n < columns / 8; n++)
        UNROLL_FOR (i32 i = 0; i < 4; i++) {
            const i32 at = key + n * 8 + i % 2;
            if (at > seen->last[i / 2] || at < seen->first[i / 2]) c[n][i] = -INFINITE;
        }
}

// A tile of queries: rows of the heads of a group.
struct query_tile {
    i32 from;  // its first row
    i32 end;   // of the rows of the sequence
    i32 group; // of heads
    i32 each;  // heads of the group
};

DEVICE struct query_tile query_tile_of(struct attention_params p, struct span span, i32 count)
{
    struct query_tile tile;
    const i32 at = BLOCK_X % p.tiles;
    tile.from = (p.tiles - 1 - at) * count; // those with the most keys first
    tile.group = BLOCK_Y;
    tile.each = p.heads / p.groups;
    tile.end = span.q_count * tile.each;
    return tile;
}

DEVICE i32 query_at(struct query_tile tile, i32 row)
{
    const i32 at = tile.from + row, last = tile.end - 1;
    return (at < last ? at : last) / tile.each;
}

DEVICE i32 head_at(struct query_tile tile, i32 row)
{
    return tile.group * tile.each + (tile.from + row) % tile.each;
}

// What the 16 rows of the tile from `row` on see.
DEVICE struct seen seen_by(struct query_tile tile, struct span span, i32 row, i32 window,
                           GLOBAL const f32 *slopes)
{
    struct seen seen;
    UNROLL_FOR (i32 i = 0; i < 2; i++) {
        const i32 own = row + lane_of() / 4 + i * 8, query = query_at(tile, own);
        seen.last[i] = last_key(span, query);
        seen.first[i] = first_key(span, window, query);
        seen.slopes[i] = slopes != 0 ? slopes[head_at(tile, own)] * LOG2_E : 0.0f;
    }
    seen.all_last = last_key(span, query_at(tile, row));
    seen.some_last = last_key(span, query_at(tile, row + 15));
    seen.some_first = first_key(span, window, query_at(tile, row));
    seen.all_first = first_key(span, window, query_at(tile, row + 15));
    return seen;
}

// Where row `row` of the tile starts in x; -1: it does not exist.
DEVICE i64 place_of_row(struct query_tile tile, i32 row, struct heads_stride stride, struct span span)
{
    const i64 token = span.q_first + query_at(tile, row);
    return tile.from + row < tile.end ? head_at(tile, row) * stride.head + token * stride.row : -1;
}

// A piece of a tile of queries.
struct query_piece {
    i32 place; // in the tile
    i32 count; // of its numbers that exist
    i64 at;    // in the device's memory, if any exist
};

// The e-th piece.
DEVICE struct query_piece query_piece_of(i32 e, struct query_tile tile, struct heads_stride stride,
                                         struct span span, struct attention_params p, struct form form)
{
    const i32 pieces = form.size / HEAD_PIECE, row = e / pieces, column = e % pieces * HEAD_PIECE;
    const i64 first = place_of_row(tile, row, stride, span);
    struct query_piece piece;
    piece.place = place_of(form, row, e % pieces);
    piece.count = first >= 0 ? p.size - column : 0;
    piece.at = first + column;
    return piece;
}

// Starts to copy the tile's `count` rows of x.
DEVICE void copy_queries(LOCAL u16 *to, GLOBAL const u16 *x, struct query_tile tile,
                         struct heads_stride stride, struct span span, i32 count, struct attention_params p,
                         struct form form)
{
    NO_UNROLL_FOR (i32 e = THREAD; e < count * (form.size / HEAD_PIECE); e += BLOCK_THREADS) {
        const struct query_piece piece = query_piece_of(e, tile, stride, span, p, form);
        copy_piece(to + piece.place, x + piece.at, piece.count, p.is_aligned);
    }
}

// Stores the tile's `count` rows of y.
DEVICE void store_queries(GLOBAL u16 *y, LOCAL const u16 *from, struct query_tile tile,
                          struct heads_stride stride, struct span span, i32 count, struct attention_params p,
                          struct form form)
{
    NO_UNROLL_FOR (i32 e = THREAD; e < count * (form.size / HEAD_PIECE); e += BLOCK_THREADS) {
        const struct query_piece piece = query_piece_of(e, tile, stride, span, p, form);
        store_piece(y + piece.at, from + piece.place, piece.count, p.is_aligned);
    }
}

#endif
#endif
