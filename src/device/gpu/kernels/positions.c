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
KERNEL(rope)(BUFFER(x_0), BUFFER(x_1), BUFFER(table_0), BUFFER(table_1), PARAMS(rope))
{
    const struct rope_member q = p.members[BLOCK_Y];
    GLOBAL void *const x = BLOCK_Y == 0 ? BUFFER_ADDRESS(x_0) : BUFFER_ADDRESS(x_1);
    GLOBAL const f32 *const table =
        (GLOBAL const f32 *)(BLOCK_Y == 0 ? BUFFER_ADDRESS(table_0) : BUFFER_ADDRESS(table_1));
    const struct cell at = this_cell(q.cells);
    if (at.row >= p.tokens || at.column >= q.cells.columns) return;
    const i64 pair = at.column % q.pairs, head = at.row * q.x_row + at.column / q.pairs * q.x_head;
    const i64 first = head + (q.interleaved ? 2 * pair : pair);
    const i64 second = first + (q.interleaved ? 1 : q.pairs);
    const f32 cosine = table[at.row * 2 * q.pairs + pair];
    const f32 sine = table[at.row * 2 * q.pairs + q.pairs + pair] * (q.inverse ? -1.0f : 1.0f);
    const f32 a = load(x, q.dtype, first), b = load(x, q.dtype, second);
    store(x, q.dtype, first, a * cosine - b * sine);
    store(x, q.dtype, second, b * cosine + a * sine);
}
