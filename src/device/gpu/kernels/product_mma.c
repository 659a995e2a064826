// Products on tensor cores. A block makes a tile of c by 8 warps, 2 by 4. Tiles of both operands come in steps of
// PRODUCT_STEP terms through `stages` places in shared memory, in pieces of 8 numbers of 16 bits. What is not such a
// piece in memory (f32, dropout, rows that are not aligned) is converted while it is loaded.
#include "device/gpu/kernels/product_end.h"

#if HAS_WARPS

// The constants of a kernel, known when it is compiled.
struct tile {
    i32 rows, columns; // of c
    i32 a_across, b_across;
    i32 dtype;
};

enum {
    WARPS_DOWN = 2,
    WARPS_ACROSS = 4,
    WARP = 32,
    PIECE = 8, // elements of a piece
    PIECE_BYTES = 16,
    SIDE_BYTES = PRODUCT_STEP * 2,           // of a row of a tile
    MOST_DOWN = 4,                           // tiles of 16 rows of a warp
    MOST_ACROSS = 4,                         // tiles of 8 columns
    MOST_PIECES = 2,                         // of a tile that a thread loads
    HALVES_MOST = 64,                        // columns of a tile whose b can have two halves
    END_GAP = 8,                             // f32 between rows of sums in shared memory
    PASS_BYTES = BLOCK_THREADS * PIECE_BYTES // of a tile, loaded by all threads at once
};

// An operand of a kernel.
struct source {
    GLOBAL const void *data;
    const struct lines *lines;
    i64 rows, terms;
};

DEVICE u32 to_half(f32 value, i32 dtype)
{
    return dtype == DTYPE_BF16 ? f32_to_bf16(value) : f32_to_f16(value);
}

DEVICE f32 from_half(u32 bits, i32 dtype)
{
    return dtype == DTYPE_BF16 ? bf16_to_f32((u16)bits) : f16_to_f32((u16)bits);
}

// ---- pieces in the device's memory ----

// The first `count` of 8 elements, and zeros.
DEVICE void load_values(f32 values[PIECE], GLOBAL const void *x, i32 dtype, i64 at, i32 count, i32 wide)
{
    const i32 whole = wide && count == PIECE;
    struct piece low = {{0, 0, 0, 0}}, high = low;
    if (dtype == DTYPE_F32) {
        GLOBAL const f32 *const from = (GLOBAL const f32 *)x + at;
        if (whole) {
            low = ((GLOBAL const struct piece *)from)[0];
            high = ((GLOBAL const struct piece *)from)[1];
        } else {
            UNROLL_FOR (i32 e = 0; e < 4; e++)
                if (e < count) low.words[e] = float_bits(from[e]);
            UNROLL_FOR (i32 e = 4; e < PIECE; e++)
                if (e < count) high.words[e - 4] = float_bits(from[e]);
        }
        UNROLL_FOR (i32 e = 0; e < PIECE; e++)
            values[e] = bits_float(e < 4 ? low.words[e] : high.words[e - 4]);
    } else {
        GLOBAL const u16 *const from = (GLOBAL const u16 *)x + at;
        if (whole)
            low = *(GLOBAL const struct piece *)from;
        else
            UNROLL_FOR (i32 e = 0; e < PIECE; e++)
                if (e < count) low.words[e / 2] |= (u32)from[e] << e % 2 * 16;
        UNROLL_FOR (i32 e = 0; e < PIECE; e++)
            values[e] = from_half(low.words[e / 2] >> e % 2 * 16 & 0xffffu, dtype);
    }
}

DEVICE void store_values(const f32 values[PIECE], GLOBAL void *x, i32 dtype, i64 at)
{
    if (dtype == DTYPE_F32) {
        GLOBAL struct piece *const to = (GLOBAL struct piece *)((GLOBAL f32 *)x + at);
        struct piece low, high;
        UNROLL_FOR (i32 e = 0; e < 4; e++)
            low.words[e] = float_bits(values[e]);
        UNROLL_FOR (i32 e = 0; e < 4; e++)
            high.words[e] = float_bits(values[4 + e]);
        to[0] = low;
        to[1] = high;
    } else {
        struct piece piece;
        UNROLL_FOR (i32 e = 0; e < 4; e++)
            piece.words[e] = to_half(values[2 * e], dtype) | to_half(values[2 * e + 1], dtype) << 16;
        *(GLOBAL struct piece *)((GLOBAL u16 *)x + at) = piece;
    }
}

// ---- tiles in shared memory ----

// A tile is lines of pieces. Where they lie is exchanged within a line, so that the 8 lines that load_matrices reads at
// once are in different banks: lines of 4 pieces share the banks two by two.
DEVICE i32 piece_place(i32 line, i32 piece, i32 per_line)
{
    return (line * per_line + (piece ^ (per_line == 4 ? line >> 1 & 3 : line & 7))) * PIECE_BYTES;
}

// The share of a thread in loading a tile of `side` rows: pieces of one column of pieces, `pass` lines apart.
struct share {
    i32 line, column, pass, place;
};

DEVICE struct share share_of(i32 side, i32 across)
{
    const i32 per_line = across ? side / PIECE : PRODUCT_STEP / PIECE;
    struct share share;
    share.line = THREAD / per_line;
    share.column = THREAD % per_line * PIECE;
    share.pass = BLOCK_THREADS / per_line;
    share.place = piece_place(share.line, THREAD % per_line, per_line);
    return share;
}

// Where the piece of a thread is in the operand.
struct place {
    i64 line, column, lines; // of how many
    i32 count;               // elements of a piece that the operand has
};

DEVICE struct place place_of(struct source x, struct share share, i32 across, i64 first, i64 from)
{
    struct place place;
    place.line = (across ? from : first) + share.line;
    place.lines = across ? x.terms : x.rows;
    place.column = (across ? first : from) + share.column;
    const i64 left = (across ? x.rows : x.terms) - place.column;
    place.count = left >= PIECE ? PIECE : left > 0 ? (i32)left : 0;
    return place;
}

// Whether pieces of the operand are copied as they are.
DEVICE i32 is_copied(const struct lines *lines)
{
    return lines->wide && !lines->dropped && lines->dtype != DTYPE_F32;
}

DEVICE void copy_tile(LOCAL char *to, struct piece held[MOST_PIECES], struct source x, i32 side, i32 across,
                      i64 first, i64 from)
{
    const struct share share = share_of(side, across);
    const struct place place = place_of(x, share, across, first, from);
    GLOBAL const u16 *const start = (GLOBAL const u16 *)x.data + place.line * x.lines->line + place.column;
    UNROLL_FOR (i32 i = 0; i < side * SIDE_BYTES / PASS_BYTES; i++) {
        const i32 count = place.line + i * share.pass < place.lines ? place.count : 0;
        copy_start(&held[i], to + share.place + i * PASS_BYTES, start + i * share.pass * x.lines->line,
                   2 * count);
    }
}

// One number of 16 bits of each f32, and where there are two halves what it leaves, in a second tile.
DEVICE void convert_piece(LOCAL char *to, i32 second, const f32 values[PIECE], u32 kept, i32 dtype)
{
    struct piece nearest, rest;
    UNROLL_FOR (i32 e = 0; e < PIECE / 2; e++) {
        const f32 x = (kept >> 2 * e & 1u) != 0 ? values[2 * e] : 0.0f;
        const f32 y = (kept >> (2 * e + 1) & 1u) != 0 ? values[2 * e + 1] : 0.0f;
        const u32 u = to_half(x, dtype), v = to_half(y, dtype);
        nearest.words[e] = u | v << 16;
        rest.words[e] = to_half(x - from_half(u, dtype), dtype) | to_half(y - from_half(v, dtype), dtype)
                                                                      << 16;
    }
    *(LOCAL struct piece *)to = nearest;
    if (second > 0) *(LOCAL struct piece *)(to + second) = rest;
}

DEVICE void convert_tile(LOCAL char *to, i32 second, struct source x, const struct dropout_params *dropout,
                         i32 side, i32 across, i32 dtype, i64 first, i64 from)
{
    const struct share share = share_of(side, across);
    const struct place place = place_of(x, share, across, first, from);
    NO_UNROLL_FOR (i32 i = 0; i < side * SIDE_BYTES / PASS_BYTES; i++) {
        const i64 line = place.line + i * share.pass;
        f32 values[PIECE];
        load_values(values, x.data, x.lines->dtype == DTYPE_F32 ? DTYPE_F32 : dtype,
                    line * x.lines->line + place.column, line < place.lines ? place.count : 0, x.lines->wide);
        if (x.lines->dtype == DTYPE_F32)
            UNROLL_FOR (i32 e = 0; e < PIECE; e++)
                values[e] *= x.lines->factor;
        const u32 kept =
            x.lines->dropped ? dropout_mask(*dropout, line * x.lines->drop_line + place.column) : 0xffu;
        convert_piece(to + share.place + i * PASS_BYTES, second, values, kept, dtype);
    }
}

// Starts to load a tile of an operand. A further format of weights is one more branch here: a function that fills a tile
// as convert_tile does.
DEVICE void start_tile(LOCAL char *to, i32 second, struct piece held[MOST_PIECES], struct source x,
                       const struct dropout_params *dropout, i32 side, i32 across, i32 dtype, i64 first,
                       i64 from)
{
    if (is_copied(x.lines))
        copy_tile(to, held, x, side, across, first, from);
    else
        convert_tile(to, second, x, dropout, side, across, dtype, first, from);
}

// Writes the pieces that copy_start holds in registers to shared memory.
DEVICE void finish_tile(LOCAL char *to, const struct piece held[MOST_PIECES], const struct lines *lines,
                        i32 side, i32 across)
{
    const struct share share = share_of(side, across);
    if (!is_copied(lines)) return;
    UNROLL_FOR (i32 i = 0; i < side * SIDE_BYTES / PASS_BYTES; i++)
        copy_finish(&held[i], to + share.place + i * PASS_BYTES);
}

// ---- warps ----

// Four 8x8 matrices of the 16 rows from `row` on and the 16 terms from `term` on. In the order of a they are the quarters
// by columns; in that of b, by rows.
DEVICE void load_fragment(u32 out[4], LOCAL const char *tile, i32 side, i32 across, i32 row, i32 term,
                          i32 by_rows)
{
    const i32 matrix = THREAD % WARP / 8, lane = THREAD % 8;
    const i32 down = by_rows ? matrix / 2 : matrix % 2, right = by_rows ? matrix % 2 : matrix / 2;
    if (across)
        load_matrices_transposed(
            out, tile + piece_place(term + right * 8 + lane, row / PIECE + down, side / PIECE));
    else
        load_matrices(out,
                      tile + piece_place(row + down * 8 + lane, term / PIECE + right, PRODUCT_STEP / PIECE));
}

DEVICE void multiply_pairs(const struct tile tile, f32 sum[MOST_DOWN][MOST_ACROSS][4], u32 a[MOST_DOWN][4],
                           LOCAL const char *b_tile, i32 term)
{
    const i32 down = tile.rows / WARPS_DOWN / 16, across = tile.columns / WARPS_ACROSS / 8;
    const i32 column = THREAD / WARP % WARPS_ACROSS * (tile.columns / WARPS_ACROSS);
    UNROLL_FOR (i32 j = 0; j < across; j += 2) {
        u32 b[4];
        load_fragment(b, b_tile, tile.columns, tile.b_across, column + j * 8, term, 1);
        UNROLL_FOR (i32 i = 0; i < down; i++)
            UNROLL_FOR (i32 half = 0; half < 2; half++) {
#if HAS_BF16_PRODUCTS
                if (tile.dtype == DTYPE_BF16) mma_16x8x16_bf16(sum[i][j + half], a[i], b + 2 * half);
#endif
                if (tile.dtype == DTYPE_F16) mma_16x8x16_f16(sum[i][j + half], a[i], b + 2 * half);
            }
    }
}

// sum += the product of 16 terms of the tiles. The rest of the numbers of b is `rest` bytes behind them; 0: none.
DEVICE void multiply_terms(const struct tile tile, f32 sum[MOST_DOWN][MOST_ACROSS][4],
                           LOCAL const char *a_tile, LOCAL const char *b_tile, i32 rest, i32 term)
{
    const i32 row = THREAD / WARP / WARPS_ACROSS * (tile.rows / WARPS_DOWN);
    u32 a[MOST_DOWN][4];
    UNROLL_FOR (i32 i = 0; i < tile.rows / WARPS_DOWN / 16; i++)
        load_fragment(a[i], a_tile, tile.rows, tile.a_across, row + i * 16, term, 0);
    multiply_pairs(tile, sum, a, b_tile, term);
    if (rest > 0) multiply_pairs(tile, sum, a, b_tile + rest, term);
}

// ---- the end of a block ----

// 8 sums of row i, from column j on.
DEVICE void end_piece(f32 values[PIECE], struct product_end end, i64 i, i64 j, GLOBAL const void *bias,
                      GLOBAL const void *residual, GLOBAL void *c)
{
    const i32 count = end.n - j < PIECE ? (i32)(end.n - j) : PIECE;
    f32 other[PIECE];
    if (!end.wide || count < PIECE) {
        UNROLL_FOR (i32 e = 0; e < PIECE; e++)
            if (e < count) end_sum(values[e], end, i, j + e, bias, residual, c);
        return;
    }
    if (bias != 0) {
        load_values(other, bias, end.bias_dtype, j, PIECE, 0);
        UNROLL_FOR (i32 e = 0; e < PIECE; e++)
            values[e] += other[e];
    }
    UNROLL_FOR (i32 e = 0; e < PIECE; e++)
        values[e] *= end.scale;
    if (end.drop_sum) {
        const u32 kept = dropout_mask(end.dropout, i * end.n + j);
        UNROLL_FOR (i32 e = 0; e < PIECE; e++)
            values[e] *= (kept >> e & 1u) != 0 ? end.dropout.kept : 0.0f;
    }
    if (end.accumulate) {
        load_values(other, c, end.c_dtype, i * end.c_i + j, PIECE, 1);
        UNROLL_FOR (i32 e = 0; e < PIECE; e++)
            values[e] += other[e];
    }
    if (residual != 0) {
        load_values(other, residual, end.c_dtype, i * end.residual_i + j, PIECE, 1);
        UNROLL_FOR (i32 e = 0; e < PIECE; e++)
            values[e] += other[e];
    }
    store_values(values, c, end.c_dtype, i * end.c_i + j);
}

// 16 rows of each warp at a time go through shared memory, so that a thread has 8 columns of a row.
DEVICE void end_block(const struct tile tile, f32 sum[MOST_DOWN][MOST_ACROSS][4], struct product_end end,
                      i64 first_row, i64 first_column, GLOBAL const void *bias, GLOBAL const void *residual,
                      GLOBAL void *c)
{
    const i32 columns = tile.columns / WARPS_ACROSS, pitch = columns + END_GAP, lane = THREAD % WARP;
    const i64 row = first_row + THREAD / WARP / WARPS_ACROSS * (tile.rows / WARPS_DOWN);
    const i64 column = first_column + THREAD / WARP % WARPS_ACROSS * columns;
    SHARED(f32, all, 0);
    LOCAL f32 *const own = all + THREAD / WARP * 16 * pitch;
    NO_UNROLL_FOR (i32 down = 0; down < tile.rows / WARPS_DOWN / 16; down++) {
        BARRIER();
        UNROLL_FOR (i32 i = 0; i < tile.rows / WARPS_DOWN / 16; i++) {
            if (i != down) continue; // sums are in registers, which have no index
            UNROLL_FOR (i32 j = 0; j < columns / 8; j++)
                UNROLL_FOR (i32 e = 0; e < 4; e++)
                    own[(lane / 4 + e / 2 * 8) * pitch + j * 8 + lane % 4 * 2 + e % 2] = sum[i][j][e];
        }
        BARRIER();
        NO_UNROLL_FOR (i32 piece = lane; piece < 16 * columns / PIECE; piece += WARP) {
            const i32 right = piece % (columns / PIECE) * PIECE, below = piece / (columns / PIECE);
            const i64 i = row + down * 16 + below, j = column + right;
            f32 values[PIECE];
            UNROLL_FOR (i32 e = 0; e < PIECE; e++)
                values[e] = own[below * pitch + right + e];
            if (i < end.m && j < end.n) end_piece(values, end, i, j, bias, residual, c);
        }
    }
}

// ---- blocks ----

DEVICE void wait_for_tiles(i32 stages)
{
    if (stages == 4)
        copy_async_wait(2);
    else if (stages == 3)
        copy_async_wait(1);
    else
        copy_async_wait(0);
}

struct operands { // by pair
    GLOBAL const void *a[2], *b[2];
};

struct block { // of which product of the group, and its first element of c
    i32 member;
    i64 row, column;
};

// sum += the products of all steps of the block. A step multiplies half of its terms while the tile of a of a later step
// is loaded, and the other half while that of b is.
DEVICE void multiply_tiles_of_block(const struct tile tile, f32 sum[MOST_DOWN][MOST_ACROSS][4],
                                    struct operands x, const struct product_mma_params *p, struct block block)
{
    const struct mma_member *const q = &p->members[block.member];
    const i32 steps = (i32)((q->k[0] + PRODUCT_STEP - 1) / PRODUCT_STEP);
    const i32 all = steps + (i32)((q->k[1] + PRODUCT_STEP - 1) / PRODUCT_STEP);
    const i32 first = BLOCK_Z * q->share, last = first + q->share < all ? first + q->share : all;
    const i32 a_bytes = tile.rows * SIDE_BYTES, b_bytes = tile.columns * SIDE_BYTES;
    const i32 stage_bytes = a_bytes + b_bytes * p->halves, end = stage_bytes * p->stages;
    const i32 rest = p->halves > 1 && tile.columns <= HALVES_MOST ? b_bytes : 0;
    i32 to = 0, at = 0; // the stages that are filled, and read, next
    struct piece held[MOST_PIECES];
    SHARED(char, shared, 0);
    // The first rounds only load.
    NO_UNROLL_FOR (i32 step = first - p->stages + 1; step < last; step++) {
        const i32 next = step + p->stages - 1, loads = next < last, multiplies = step >= first;
        const i32 pair = next >= steps;
        const i64 from = (i64)(pair ? next - steps : next) * PRODUCT_STEP;
        i32 member = block.member;
        READ_AGAIN(member);
        const struct mma_member *const m = &p->members[member];
        const struct source a = {pair ? x.a[1] : x.a[0], &m->a[pair], m->end.m, m->k[pair]};
        const struct source b = {pair ? x.b[1] : x.b[0], &m->b[pair], m->end.n, m->k[pair]};
        if (multiplies) {
            wait_for_tiles(p->stages);
            BARRIER();
        }
        if (loads)
            start_tile(shared + to, 0, held, a, &m->end.dropout, tile.rows, tile.a_across, tile.dtype,
                       block.row, from);
        if (multiplies) multiply_terms(tile, sum, shared + at, shared + at + a_bytes, rest, 0);
        if (loads) {
            finish_tile(shared + to, held, a.lines, tile.rows, tile.a_across);
            start_tile(shared + to + a_bytes, rest, held, b, &m->end.dropout, tile.columns, tile.b_across,
                       tile.dtype, block.column, from);
        }
        if (multiplies) multiply_terms(tile, sum, shared + at, shared + at + a_bytes, rest, PRODUCT_STEP / 2);
        if (loads) finish_tile(shared + to + a_bytes, held, b.lines, tile.columns, tile.b_across);
        copy_async_commit();
        if (multiplies) at = at + stage_bytes < end ? at + stage_bytes : 0;
        to = to + stage_bytes < end ? to + stage_bytes : 0;
    }
}

DEVICE void make_product(const struct tile tile, struct operands x, GLOBAL const void *bias,
                         GLOBAL const void *residual, GLOBAL void *c, const struct product_mma_params *p,
                         struct block block)
{
    f32 sum[MOST_DOWN][MOST_ACROSS][4];
    if (block.row >= p->members[block.member].end.m) return; // another product of the group has more rows
    UNROLL_FOR (i32 i = 0; i < MOST_DOWN; i++)
        UNROLL_FOR (i32 j = 0; j < MOST_ACROSS; j++)
            UNROLL_FOR (i32 e = 0; e < 4; e++)
                sum[i][j][e] = 0.0f;
    multiply_tiles_of_block(tile, sum, x, p, block);
    READ_AGAIN(block.member);
    // Parts of sums are f32.
    const struct mma_member *const q = &p->members[block.member];
    end_block(tile, sum, q->end, block.row, block.column, bias, residual,
              (GLOBAL f32 *)c + BLOCK_Z * q->part);
}

// nt: the terms of both operands are contiguous; nn: the rows of b; tn: the rows of both. Two blocks run on a processor.
#define PRODUCT_KERNEL(name, type, side, from_a, from_b)                                                     \
    KERNEL_OF(name, 2)                                                                                       \
    (BUFFERS(a), BUFFERS(b), BUFFERS(a2), BUFFERS(b2), BUFFERS(bias), BUFFERS(residual), BUFFERS(c),         \
     PARAMS(name))                                                                                           \
    {                                                                                                        \
        const i32 member = this_member(p.first, BLOCK_Y);                                                    \
        READ_OF(void, a, member);                                                                            \
        READ_OF(void, b, member);                                                                            \
        READ_OF(void, a2, member);                                                                           \
        READ_OF(void, b2, member);                                                                           \
        READ_OF(void, bias, member);                                                                         \
        READ_OF(void, residual, member);                                                                     \
        WRITE_OF(void, c, member);                                                                           \
        const struct tile tile = {side, side, from_a, from_b, type};                                         \
        const struct operands x = {{a, a2}, {b, b2}};                                                        \
        const struct block block = {member, (i64)BLOCK_X * (side),                                           \
                                    (i64)(BLOCK_Y - p.first[member]) * (side)};                              \
        if (HAS_BF16_PRODUCTS || tile.dtype != DTYPE_BF16)                                                   \
            make_product(tile, x, bias, residual, c, &p, block);                                             \
    }

PRODUCT_KERNEL(product_f16_nt_64, DTYPE_F16, 64, 0, 0)
PRODUCT_KERNEL(product_f16_nn_64, DTYPE_F16, 64, 0, 1)
PRODUCT_KERNEL(product_f16_tn_64, DTYPE_F16, 64, 1, 1)
PRODUCT_KERNEL(product_f16_nt_128, DTYPE_F16, 128, 0, 0)
PRODUCT_KERNEL(product_f16_nn_128, DTYPE_F16, 128, 0, 1)
PRODUCT_KERNEL(product_f16_tn_128, DTYPE_F16, 128, 1, 1)
PRODUCT_KERNEL(product_bf16_nt_64, DTYPE_BF16, 64, 0, 0)
PRODUCT_KERNEL(product_bf16_nn_64, DTYPE_BF16, 64, 0, 1)
PRODUCT_KERNEL(product_bf16_tn_64, DTYPE_BF16, 64, 1, 1)
PRODUCT_KERNEL(product_bf16_nt_128, DTYPE_BF16, 128, 0, 0)
PRODUCT_KERNEL(product_bf16_nn_128, DTYPE_BF16, 128, 0, 1)
PRODUCT_KERNEL(product_bf16_tn_128, DTYPE_BF16, 128, 1, 1)

#endif
