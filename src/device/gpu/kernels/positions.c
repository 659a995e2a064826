// Rotary positions.
#include "device/gpu/kernels/cells.h"
#include "device/gpu/kernels/values.h"

KERNEL(rope_table)(BUFFER(positions), BUFFER(frequencies), BUFFER(table), PARAMS(rope_table))
{
    READ(i32, positions);
    READ(f32, frequencies);
    WRITE(f32, table);
    const struct cell at = this_cell(p.cells);
    if (at.column >= p.cells.columns) return;
    const i32 position = positions[at.row];
    f32 factor = p.factor;
    if (p.query_context != 0) {
        const i32 contexts = position / p.query_context; // whole ones before the position
        factor *= 1.0f + p.query_beta * logf(1.0f + (f32)contexts);
    }
    const f32 angle = (f32)position * frequencies[at.column];
    const i64 first = at.row * 2 * p.cells.columns + at.column;
    table[first] = factor * cosf(angle);
    table[first + p.cells.columns] = factor * sinf(angle);
}

// (a, b) <- (a cos - b sin, b cos + a sin)
DEVICE void rotate(GLOBAL void *x, GLOBAL const f32 *table, struct rope_member p, i32 tokens)
{
    const struct cell at = this_cell(p.cells);
    if (at.row >= tokens || at.column >= p.cells.columns) return;
    const i64 pair = at.column % p.pairs, head = at.row * p.x_row + at.column / p.pairs * p.x_head;
    const i64 first = head + (p.interleaved ? 2 * pair : pair);
    const i64 second = first + (p.interleaved ? 1 : p.pairs);
    const f32 cosine = table[at.row * 2 * p.pairs + pair];
    const f32 sine = table[at.row * 2 * p.pairs + p.pairs + pair] * (p.inverse ? -1.0f : 1.0f);
    const f32 a = load(x, p.dtype, first), b = load(x, p.dtype, second);
    store(x, p.dtype, first, a * cosine - b * sine);
    store(x, p.dtype, second, b * cosine + a * sine);
}

KERNEL(rope)(BUFFER(x_0), BUFFER(x_1), BUFFER(table_0), BUFFER(table_1), PARAMS(rope))
{
    WRITE(void, x_0);
    WRITE(void, x_1);
    READ(f32, table_0);
    READ(f32, table_1);
    if (BLOCK_Y == 0)
        rotate(x_0, table_0, p.members[0], p.tokens);
    else
        rotate(x_1, table_1, p.members[1], p.tokens);
}
