// Rows of activations: sums, copies, dropout, embeddings, trained tokens, and sums over rows.
#include "device/gpu/kernels/cells.h"
#include "device/gpu/kernels/values.h"

KERNEL(add_scaled)(BUFFER(x), BUFFER(residual), BUFFER(y), PARAMS(add_scaled))
{
    READ(void, x);
    READ(void, residual);
    WRITE(void, y);
    const struct cell at = this_cell(p.cells);
    if (at.column >= p.cells.columns) return;
    f32 values[RUN], added[RUN];
    load_run(values, x, p.x_dtype, at.row * p.x_row + at.column, p.cells.run);
    load_run(added, residual, p.y_dtype, at.row * p.residual_row + at.column, p.cells.run);
    UNROLL_FOR (i32 e = 0; e < RUN; e++)
        if (e < p.cells.run) values[e] = p.factor * values[e] + added[e];
    store_run(y, p.y_dtype, at.row * p.y_row + at.column, values, p.cells.run);
}

KERNEL(drop)(BUFFER(x), BUFFER(y), PARAMS(drop))
{
    READ(void, x);
    WRITE(void, y);
    const struct cell at = this_cell(p.cells);
    if (at.column >= p.cells.columns) return;
    const i64 index = at.row * p.cells.columns + at.column;
    f32 value = dropout_factor(p.dropout, index) * load(x, p.dtype, at.row * p.x_row + at.column);
    if (p.accumulate) value += load(y, p.dtype, index);
    store(y, p.dtype, index, value);
}

KERNEL(gather)(BUFFER(x), BUFFER(rows), BUFFER(y), PARAMS(gather))
{
    READ(void, x);
    READ(i32, rows);
    WRITE(void, y);
    const struct cell at = this_cell(p.cells);
    if (at.column >= p.cells.columns) return;
    const f32 value = load(x, p.x_dtype, rows[at.row] * p.x_row + at.column);
    store(y, p.y_dtype, at.row * p.cells.columns + at.column, value);
}

KERNEL(copy_heads)(BUFFER(x), BUFFER(y), PARAMS(copy_heads))
{
    READ(void, x);
    WRITE(void, y);
    const struct cell at = this_cell(p.cells);
    if (at.column >= p.cells.columns) return;
    const i64 from = at.row * p.x_row + at.column / p.size * p.x_head + at.column % p.size;
    store(y, p.dtype, at.row * p.cells.columns + at.column, load(x, p.dtype, from));
}

// The place of `id` among `count` rising tokens; -1: it is not there.
DEVICE i32 find_token(GLOBAL const i32 *tokens, i32 count, i32 id)
{
    i32 first = 0, end = count;
    while (first < end) {
        const i32 middle = first + (end - first) / 2;
        if (tokens[middle] < id)
            first = middle + 1;
        else
            end = middle;
    }
    return first < count && tokens[first] == id ? first : -1;
}

// Starts of the places that each thread fills: digit by digit, and of one digit thread by thread. `counts` holds how many
// rows there are of each digit and thread.
DEVICE void find_starts(LOCAL i32 *counts, LOCAL i32 *totals)
{
    LOCAL i32 *const own = counts + THREAD * SORT_DIGITS;
    i32 total = 0, start = 0;
    for (i32 i = 0; i < SORT_DIGITS; i++)
        total += own[i];
    totals[THREAD] = total;
    BARRIER();
    for (i32 t = 0; t < THREAD; t++)
        start += totals[t];
    for (i32 i = 0; i < SORT_DIGITS; i++) {
        const i32 count = own[i];
        own[i] = start;
        start += count;
    }
    BARRIER();
}

// One block sorts the keys of all rows by their digits from the lowest on. Each thread has the same share of the rows in
// all passes, so that equal keys keep their order. `keys` and `order` have room for two times the rows: the first are the
// result.
KERNEL(sort_rows)(BUFFER(ids), BUFFER(tokens), BUFFER(keys), BUFFER(order), PARAMS(sort_rows))
{
    READ(i32, ids);
    READ(i32, tokens);
    WRITE(i32, keys);
    WRITE(i32, order);
    SHARED(i32, counts, 0);
    SHARED(i32, totals, BLOCK_THREADS * SORT_DIGITS * 4);
    const i32 share = (p.rows + BLOCK_THREADS - 1) / BLOCK_THREADS, first = THREAD * share,
              end = first + share < p.rows ? first + share : p.rows;
    i32 from = p.passes % 2 * p.rows;
    for (i32 t = first; t < end; t++) {
        const i32 place = p.tokens > 0 ? find_token(tokens, p.tokens, ids[t]) : ids[t];
        keys[from + t] = place >= 0 ? place : p.tokens;
        order[from + t] = t;
    }
    for (i32 pass = 0; pass < p.passes; pass++) {
        const i32 to = p.rows - from, shift = pass * SORT_BITS;
        for (i32 digit = 0; digit < SORT_DIGITS; digit++)
            counts[digit * BLOCK_THREADS + THREAD] = 0;
        for (i32 t = first; t < end; t++)
            counts[(keys[from + t] >> shift & (SORT_DIGITS - 1)) * BLOCK_THREADS + THREAD]++;
        BARRIER();
        find_starts(counts, totals);
        for (i32 t = first; t < end; t++) {
            const i32 key = keys[from + t];
            const i32 place = to + counts[(key >> shift & (SORT_DIGITS - 1)) * BLOCK_THREADS + THREAD]++;
            keys[place] = key;
            order[place] = order[from + t];
        }
        BARRIER();
        from = to;
    }
}

// The blocks of the first row with a key sum all its rows.
KERNEL(scatter)(BUFFER(x), BUFFER(keys), BUFFER(order), BUFFER(y), PARAMS(scatter))
{
    READ(void, x);
    READ(i32, keys);
    READ(i32, order);
    WRITE(f32, y);
    const struct cell at = this_cell(p.cells);
    const i32 key = keys[at.row];
    if (at.column >= p.cells.columns || key >= p.end || (at.row > 0 && keys[at.row - 1] == key)) return;
    f32 sum = y[key * p.cells.columns + at.column];
    for (i32 i = (i32)at.row; i < p.rows && keys[i] == key; i++)
        sum += p.factor * load(x, p.x_dtype, order[i] * p.cells.columns + at.column);
    y[key * p.cells.columns + at.column] = sum;
}

// Without rows their part is left out.
KERNEL(replace_rows)(BUFFER(ids), BUFFER(tokens), BUFFER(rows), BUFFER(y), PARAMS(replace_rows))
{
    READ(i32, ids);
    READ(i32, tokens);
    READ(f32, rows);
    WRITE(void, y);
    const struct cell at = this_cell(p.cells);
    const i32 row = find_token(tokens, p.tokens, ids[at.row]);
    if (at.column >= p.cells.columns || row < 0) return;
    const i64 index = at.row * p.cells.columns + at.column;
    f32 value = (1.0f - p.factor) * load(y, p.dtype, index);
    if (rows != 0) value += p.factor * rows[row * p.cells.columns + at.column];
    store(y, p.dtype, index, value);
}

// Forward: y[t, tokens[j]] = (1 - f) y[t, tokens[j]] + f x[t, j]. With dx: dx[t, j] = f y[t, tokens[j]], then
// y[t, tokens[j]] = (1 - f) y[t, tokens[j]].
KERNEL(replace_columns)(BUFFER(x), BUFFER(tokens), BUFFER(dx), BUFFER(y), PARAMS(replace_columns))
{
    READ(f32, x);
    READ(i32, tokens);
    WRITE(f32, dx);
    WRITE(f32, y);
    const struct cell at = this_cell(p.cells);
    if (at.column >= p.cells.columns) return;
    const i64 index = at.row * p.cells.columns + at.column, place = at.row * p.y_row + tokens[at.column];
    const f32 before = y[place];
    if (dx != 0) dx[index] = p.factor * before;
    y[place] = (1.0f - p.factor) * before + (x != 0 ? p.factor * x[index] : 0.0f);
}

enum { SUM_ROWS = BLOCK_THREADS / SUM_COLUMNS }; // rows of threads of column_sums

// A block sums 32 columns. Thread (row, column) sums every eighth row, and the first row of threads the rest.
KERNEL(column_sums)
(BUFFER(dy), BUFFER(x), BUFFER(u), BUFFER(mean), BUFFER(rstd), BUFFER(norms), BUFFER(out),
 PARAMS(column_sums))
{
    READ(void, dy);
    READ(void, x);
    READ(void, u);
    READ(f32, mean);
    READ(f32, rstd);
    READ(f32, norms);
    WRITE(f32, out);
    SHARED(f32, sums, 0);
    const i64 column = (i64)BLOCK_X * SUM_COLUMNS + THREAD % SUM_COLUMNS;
    f32 sum = 0.0f;
    for (i64 t = THREAD / SUM_COLUMNS; t < p.rows && column < p.columns; t += SUM_ROWS) {
        f32 value = x != 0 ? load(x, p.dtype, t * p.x_row + column) : 1.0f;
        if (u != 0) value += load(u, p.dtype, t * p.x_row + column);
        if (mean != 0) value -= mean[t];
        if (rstd != 0) value *= rstd[t];
        sum += load(dy, p.dtype, t * p.dy_row + column) * value;
    }
    sums[THREAD] = sum;
    BARRIER();
    if (THREAD >= SUM_COLUMNS || column >= p.columns) return;
    for (i32 row = 1; row < SUM_ROWS; row++)
        sum += sums[row * SUM_COLUMNS + THREAD];
    out[column] += (norms != 0 ? p.factor / norms[column] : p.factor) * sum;
}
