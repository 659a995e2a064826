// Products of matrices by plain tiles of f32: 64 rows and 64 columns a block, 16 terms of the sums at a time.
#include "device/gpu/kernels/cells.h"
#include "device/gpu/kernels/product_end.h"

enum {
    LANES = 16,                 // a thread makes every 16th row and column of the tile
    EACH = PRODUCT_SIDE / LANES // rows and columns of a thread
};

// Rows first.. and terms from.. of an operand into shared memory, 0 past its end. This is the only place that reads
// an operand.
DEVICE void load_tile(LOCAL f32 *tile, GLOBAL const void *x, struct operand operand,
                      struct dropout_params dropout, i64 first, i64 rows, i64 from, i64 terms)
{
    for (i32 e = THREAD; e < PRODUCT_SIDE * PRODUCT_DEPTH; e += BLOCK_THREADS) {
        // Neighbouring threads read neighbouring elements.
        const i32 row = operand.k == 1 ? e / PRODUCT_DEPTH : e % PRODUCT_SIDE,
                  term = operand.k == 1 ? e % PRODUCT_DEPTH : e / PRODUCT_SIDE;
        const i64 i = first + row, k = from + term;
        f32 value = 0.0f;
        if (i < rows && k < terms) {
            value = load(x, operand.dtype, i * operand.i + k * operand.k);
            if (operand.dropped) value *= dropout_factor(dropout, i * operand.drop_i + k * operand.drop_k);
        }
        tile[term * PRODUCT_PITCH + row] = value;
    }
}

// sum[i][j] += the terms of the tiles
DEVICE void multiply_tiles(f32 sum[EACH][EACH], LOCAL const f32 *a, LOCAL const f32 *b)
{
    const i32 row = THREAD / LANES, column = THREAD % LANES;
    for (i32 k = 0; k < PRODUCT_DEPTH; k++) {
        f32 x[EACH], y[EACH];
        UNROLL_FOR (i32 i = 0; i < EACH; i++) {
            x[i] = a[k * PRODUCT_PITCH + row + i * LANES];
            y[i] = b[k * PRODUCT_PITCH + column + i * LANES];
        }
        UNROLL_FOR (i32 i = 0; i < EACH; i++)
            UNROLL_FOR (i32 j = 0; j < EACH; j++)
                sum[i][j] += x[i] * y[j];
    }
}

// A tile of the product whose operands and parameters these are: `block` is its place among the columns of tiles.
DEVICE void make_tile(GLOBAL const void *a, GLOBAL const void *b, GLOBAL const void *bias,
                      GLOBAL const void *residual, GLOBAL void *c, struct plain_member p, i32 block,
                      LOCAL f32 *a_tile, LOCAL f32 *b_tile)
{
    const i64 row = (i64)BLOCK_X * PRODUCT_SIDE, column = (i64)block * PRODUCT_SIDE;
    f32 sum[EACH][EACH];
    if (row >= p.end.m) return; // another product of the group has more rows
    UNROLL_FOR (i32 i = 0; i < EACH; i++)
        UNROLL_FOR (i32 j = 0; j < EACH; j++)
            sum[i][j] = 0.0f;
    for (i64 k = 0; k < p.k; k += PRODUCT_DEPTH) {
        load_tile(a_tile, a, p.a, p.end.dropout, row, p.end.m, k, p.k);
        load_tile(b_tile, b, p.b, p.end.dropout, column, p.end.n, k, p.k);
        BARRIER();
        multiply_tiles(sum, a_tile, b_tile);
        BARRIER();
    }
    UNROLL_FOR (i32 x = 0; x < EACH; x++)
        UNROLL_FOR (i32 y = 0; y < EACH; y++) {
            const i64 i = row + THREAD / LANES + x * LANES, j = column + THREAD % LANES + y * LANES;
            if (i < p.end.m && j < p.end.n) end_sum(sum[x][y], p.end, i, j, bias, residual, c);
        }
}

// A copy of the code for each product of the group: an index of parameters would put all of them into memory of the thread.
#define MAKE_TILE(member)                                                                                    \
    make_tile(BUFFER_ADDRESS(a_##member), BUFFER_ADDRESS(b_##member), BUFFER_ADDRESS(bias_##member),         \
              BUFFER_ADDRESS(residual_##member), BUFFER_ADDRESS(c_##member), p.members[member],              \
              BLOCK_Y - p.first[member], a_tile, b_tile)

KERNEL(product)
(BUFFERS(a), BUFFERS(b), BUFFERS(bias), BUFFERS(residual), BUFFERS(c), PARAMS(product))
{
    SHARED(f32, a_tile, 0);
    SHARED(f32, b_tile, PRODUCT_DEPTH * PRODUCT_PITCH * 4);
    const i32 member = this_member(p.first, BLOCK_Y);
    if (member == 0)
        MAKE_TILE(0);
    else if (member == 1)
        MAKE_TILE(1);
    else
        MAKE_TILE(2);
}

#if HAS_WARPS
// Adds the parts of the sums that blocks of product_mma.c share, in their order. BLOCK_Y is the product of the group.
KERNEL(product_sum)
(BUFFERS(parts), BUFFERS(bias), BUFFERS(residual), BUFFERS(c), PARAMS(product_sum))
{
    const struct sum_member q = p.members[BLOCK_Y];
    READ_OF(f32, parts, BLOCK_Y);
    READ_OF(void, bias, BLOCK_Y);
    READ_OF(void, residual, BLOCK_Y);
    WRITE_OF(void, c, BLOCK_Y);
    const struct cell cell = this_cell(q.cells);
    if (cell.row >= q.end.m || cell.column >= q.end.n) return;
    const i64 at = cell.row * q.end.n + cell.column;
    f32 sum = parts[at];
    for (i32 part = 1; part < p.parts; part++)
        sum += parts[part * q.end.m * q.end.n + at];
    end_sum(sum, q.end, cell.row, cell.column, bias, residual, c);
}
#endif
