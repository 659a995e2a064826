// The backward of attention on tensor cores: dq by a block for each tile of queries of a group of heads, and dk and dv by
// one for each tile of keys. Both make scores and their gradients again from tiles of the other side, which they read one
// ahead where shared memory has room for two.
#include "device/gpu/kernels/attention_tiles.h"

#if HAS_WARPS

enum { BACKWARD_COLUMNS = ATTENTION_MOST, BACKWARD_SCORES = 32 }; // the most that a warp has of a row

// Turing makes no products in bf16, and its blocks share too little memory for heads of more than 128 elements.
#define HAS_BACKWARD(size, is_bf16) (HAS_BF16_PRODUCTS || ((size) <= 128 && !(is_bf16)))

// ds = p (dp - delta), with a soft cap times 1 - (score / softcap)^2, of a score in base 2; 0 where it is hidden.
DEVICE f32 gradient_of(f32 score, f32 dp, f32 lse, f32 delta, struct attention_params p)
{
    const f32 weight = power_of_2(score - lse), ds = weight * (dp - delta), ratio = score * p.uncapped;
    return p.softcap > 0.0f && weight > 0.0f ? ds * (1.0f - ratio * ratio) : ds;
}

// All threads wait for the next tile.
DEVICE void await_tile(i32 stages)
{
    if (stages > 1)
        copy_async_wait(1);
    else
        copy_async_wait(0);
    BARRIER();
}

// Two tiles of `count` rows that are read together, of `stages`.
struct tile_pair {
    LOCAL u16 *tiles;
    GLOBAL const u16 *x, *y;
};

DEVICE LOCAL u16 *first_of(struct tile_pair pair, i32 stage, i32 count, struct form form)
{
    return pair.tiles + stage * 2 * count * HEAD_PITCH(form.size);
}

DEVICE LOCAL u16 *second_of(struct tile_pair pair, i32 stage, i32 count, struct form form)
{
    return first_of(pair, stage, count, form) + count * HEAD_PITCH(form.size);
}

DEVICE void copy_pair(struct tile_pair pair, i32 stage, struct head_rows x_rows, struct head_rows y_rows,
                      i32 count, struct attention_params p, struct form form)
{
    copy_rows(first_of(pair, stage, count, form), pair.x, x_rows, count, p, form);
    copy_rows(second_of(pair, stage, count, form), pair.y, y_rows, count, p, form);
}

// ---- dq ----

// A warp's rows of queries, from `row` on, and its half of the keys of each tile.
struct query_rows {
    i32 row, half;
    f32 lse[2], delta[2]; // of the lane's two rows; lse in base 2
    struct seen seen;
};

DEVICE struct query_rows query_rows_of(struct query_tile tile, struct span span, GLOBAL const f32 *lse,
                                       GLOBAL const f32 *delta, GLOBAL const f32 *slopes,
                                       struct attention_params p)
{
    const i32 warps = BACKWARD_ROWS / 16;
    struct query_rows rows;
    rows.row = THREAD / 32 % warps * 16;
    rows.half = THREAD / 32 / warps;
    UNROLL_FOR (i32 h = 0; h < 2; h++) {
        const i32 own = rows.row + lane_of() / 4 + h * 8;
        const i64 place = (i64)head_at(tile, own) * p.tokens + span.q_first + query_at(tile, own);
        rows.lse[h] = lse[place] * LOG2_E;
        rows.delta[h] = delta[place];
    }
    rows.seen = seen_by(tile, span, rows.row, p.window, slopes);
    return rows;
}

// sums += ds k of the warp's keys of a tile
DEVICE void add_keys(f32 (*sums)[4], const struct query_rows *rows, LOCAL const u16 *q, LOCAL const u16 *dout,
                     LOCAL const u16 *k, LOCAL const u16 *v, i32 j, i32 keys, struct attention_params p,
                     struct form form)
{
    const i32 first = rows->half * keys;
    f32 scores[BACKWARD_SCORES / 8][4], dp[BACKWARD_SCORES / 8][4];
    clear_sums(scores, keys);
    clear_sums(dp, keys);
    multiply_rows(scores, q, rows->row, k, first, keys, form);
    multiply_rows(dp, dout, rows->row, v, first, keys, form);
    finish_scores(scores, keys, &rows->seen, j + first, p);
    UNROLL_FOR (i32 n = 0; n < keys / 8; n++)
        UNROLL_FOR (i32 i = 0; i < 4; i++)
            scores[n][i] = gradient_of(scores[n][i], dp[n][i], rows->lse[i / 2], rows->delta[i / 2], p);
    multiply_weights(sums, scores, keys, k, first, 0, form.size, form);
}

// Adds the sums of the warps with the second half of the keys to those of the first. `shared` has a place for each.
DEVICE void add_halves(f32 (*sums)[4], i32 half, LOCAL f32 *shared, i32 columns)
{
    LOCAL f32 *const own = shared + THREAD % (BLOCK_THREADS / 2);
    if (half == 1)
        UNROLL_FOR (i32 n = 0; n < columns / 8; n++)
            UNROLL_FOR (i32 i = 0; i < 4; i++)
                own[(n * 4 + i) * (BLOCK_THREADS / 2)] = sums[n][i];
    BARRIER();
    if (half == 0)
        UNROLL_FOR (i32 n = 0; n < columns / 8; n++)
            UNROLL_FOR (i32 i = 0; i < 4; i++)
                sums[n][i] += own[(n * 4 + i) * (BLOCK_THREADS / 2)];
}

DEVICE void backward_queries(GLOBAL const u16 *q, struct tile_pair keys, struct span span,
                             struct query_tile tile, const struct query_rows *rows, GLOBAL const u16 *dout,
                             GLOBAL u16 *dq, struct attention_params p, struct form form)
{
    const i32 count = BACKWARD_KEYS(form.size), end = last_key(span, query_at(tile, BACKWARD_ROWS - 1)) + 1,
              first = first_key(span, p.window, query_at(tile, 0)) / count * count,
              has_rows = tile.from + rows->row < tile.end;
    SHARED(u16, q_tile, 0);
    SHARED(f32, halves, 0);
    LOCAL u16 *const dout_tile = q_tile + BACKWARD_ROWS * HEAD_PITCH(form.size);
    struct head_rows k_rows = head_rows_of(p.k, span.kv_first, tile.group, first, end),
                     v_rows = head_rows_of(p.v, span.kv_first, tile.group, first, end);
    f32 sums[BACKWARD_COLUMNS / 8][4];
    i32 stage = 0;
    keys.tiles = dout_tile + BACKWARD_ROWS * HEAD_PITCH(form.size);
    clear_sums(sums, form.size);
    copy_queries(q_tile, q, tile, p.q, span, BACKWARD_ROWS, p, form);
    copy_queries(dout_tile, dout, tile, out_stride(p), span, BACKWARD_ROWS, p, form);
    copy_pair(keys, 0, k_rows, v_rows, count, p, form);
    copy_async_commit();
    NO_UNROLL_FOR (i32 j = first; j < end; j += count) {
        const i32 next = p.stages > 1 ? 1 - stage : 0, has_next = j + count < end;
        k_rows.from = v_rows.from = j + count;
        if (p.stages > 1 && has_next) copy_pair(keys, next, k_rows, v_rows, count, p, form);
        if (p.stages > 1) copy_async_commit();
        await_tile(p.stages);
        if (has_rows && j <= rows->seen.some_last && j + count > rows->seen.some_first)
            add_keys(sums, rows, q_tile, dout_tile, first_of(keys, stage, count, form),
                     second_of(keys, stage, count, form), j, count / 2, p, form);
        BARRIER();
        if (p.stages == 1 && has_next) copy_pair(keys, 0, k_rows, v_rows, count, p, form);
        if (p.stages == 1) copy_async_commit();
        stage = next;
    }
    const f32 factors[2] = {p.scale, p.scale};
    add_halves(sums, rows->half, halves, form.size);
    if (rows->half == 0) put_sums(keys.tiles, rows->row, 0, sums, form.size, factors, form);
    BARRIER();
    store_queries(dq, keys.tiles, tile, p.dq, span, BACKWARD_ROWS, p, form);
}

#define ATTENTION_BACKWARD_QUERIES(format, size, is_bf16)                                                    \
    KERNEL(attention_queries_##format##_##size)                                                              \
    (BACKWARD_BUFFERS, BUFFER(dq), PARAMS(attention_queries_##format##_##size))                              \
    {                                                                                                        \
        READ_BACKWARD(u16);                                                                                  \
        WRITE(u16, dq);                                                                                      \
        const struct span span = read_span(q_offsets, kv_offsets);                                           \
        const struct query_tile tile = query_tile_of(p, span, BACKWARD_ROWS);                                \
        const struct tile_pair keys = {0, k, v};                                                             \
        if (tile.from >= tile.end || !HAS_BACKWARD(size, is_bf16)) return;                                   \
        const struct query_rows rows = query_rows_of(tile, span, lse, delta, slopes, p);                     \
        backward_queries(q, keys, span, tile, &rows, dout, dq, p, form_of(size, is_bf16));                   \
    }

FOR_ALL_HEADS(ATTENTION_BACKWARD_QUERIES)

// ---- dk and dv ----

// A tile of keys. The first warps make dk of 16 rows each, and the others dv of the same.
struct key_tile {
    struct span span;
    i32 group;
    i32 from;          // its first key
    i32 row, makes_dv; // of the warp
    i32 first;         // the first query that sees its keys, rounded down to a whole tile
    i32 tiles;         // of queries that see its keys, for each head
    GLOBAL const f32 *slopes, *lse, *delta;
};

DEVICE struct key_tile key_tile_of(struct span span, GLOBAL const f32 *slopes, GLOBAL const f32 *lse,
                                   GLOBAL const f32 *delta, struct attention_params p, i32 count)
{
    const i32 warps = BACKWARD_ROWS / 16;
    struct key_tile tile;
    tile.span = span;
    tile.slopes = slopes;
    tile.lse = lse;
    tile.delta = delta;
    tile.group = BLOCK_Y;
    tile.from = BLOCK_X * BACKWARD_ROWS;
    tile.row = THREAD / 32 % warps * 16;
    tile.makes_dv = THREAD / 32 / warps;
    tile.first = first_query(span, tile.from) / count * count;
    const i32 queries = end_of_queries(span, p.window, tile.from + BACKWARD_ROWS - 1) - tile.first;
    tile.tiles = queries > 0 ? (queries + count - 1) / count : 0;
    return tile;
}

// Where a tile of queries comes from: the t-th one of the heads of the group in turns.
struct query_place {
    i32 head, query;
};

DEVICE struct query_place query_place_of(const struct key_tile *tile, i32 t, i32 count,
                                         struct attention_params p)
{
    struct query_place place;
    place.head = tile->group * (p.heads / p.groups) + t / tile->tiles;
    place.query = tile->first + t % tile->tiles * count;
    return place;
}

// Starts to copy a tile of q and of dout, and the log-sum-exps (in base 2) and deltas of its queries. Absent ones have
// p = 0.
DEVICE void copy_place(struct tile_pair queries, LOCAL f32 *numbers, i32 stage, const struct key_tile *tile,
                       struct query_place place, struct attention_params p, struct form form)
{
    const i32 count = BACKWARD_QUERIES(form.size), own = place.query + THREAD, first = tile->span.q_first,
              end = tile->span.q_count;
    copy_pair(queries, stage, head_rows_of(p.q, first, place.head, place.query, end),
              head_rows_of(out_stride(p), first, place.head, place.query, end), count, p, form);
    if (THREAD >= count) return;
    const i64 row = (i64)place.head * p.tokens + first + own;
    numbers[2 * stage * count + THREAD] = own < end ? tile->lse[row] * LOG2_E : INFINITE;
    numbers[(2 * stage + 1) * count + THREAD] = own < end ? tile->delta[row] : 0.0f;
}

// Scores of the warp's 16 keys and a tile of queries, in base 2.
DEVICE void finish_key_scores(f32 (*c)[4], i32 count, const struct key_tile *tile, struct query_place place,
                              struct attention_params p)
{
    const i32 key = tile->from + tile->row + lane_of() / 4, shift = tile->span.kv_count - tile->span.q_count,
              last = place.query + shift + lane_of() % 4 * 2;
    const f32 slope = tile->slopes != 0 ? tile->slopes[place.head] * LOG2_E : 0.0f;
    UNROLL_FOR (i32 i = 0; i < 4; i++) {
        const i32 own = key + i / 2 * 8;
        const f32 bias = slope * (f32)own;
        UNROLL_FOR (i32 n = 0; n < count / 8; n++) {
            const i32 ahead = last + n * 8 + i % 2 - own; // of the query's own key
            c[n][i] = p.softcap > 0.0f ? capped_score(p, c[n][i]) : p.scale_2 * c[n][i] + bias;
            if (ahead < 0 || (p.window > 0 && ahead >= p.window)) c[n][i] = -INFINITE;
        }
    }
}

// sums += ds q or p dout of a tile of queries
DEVICE void add_queries(f32 (*sums)[4], LOCAL const u16 *k, LOCAL const u16 *v, LOCAL const u16 *q,
                        LOCAL const u16 *dout, LOCAL const f32 *numbers, const struct key_tile *tile,
                        struct query_place place, struct attention_params p, struct form form)
{
    const i32 count = BACKWARD_QUERIES(form.size);
    f32 scores[BACKWARD_SCORES / 8][4], dp[BACKWARD_SCORES / 8][4];
    clear_sums(scores, count);
    multiply_rows(scores, k, tile->row, q, 0, count, form);
    finish_key_scores(scores, count, tile, place, p);
    LOCAL const f32 *const lse = numbers + lane_of() % 4 * 2, *const delta = lse + count;
    if (tile->makes_dv) {
        UNROLL_FOR (i32 n = 0; n < count / 8; n++)
            UNROLL_FOR (i32 i = 0; i < 4; i++)
                scores[n][i] = power_of_2(scores[n][i] - lse[n * 8 + i % 2]);
    } else {
        clear_sums(dp, count);
        multiply_rows(dp, v, tile->row, dout, 0, count, form);
        UNROLL_FOR (i32 n = 0; n < count / 8; n++)
            UNROLL_FOR (i32 i = 0; i < 4; i++)
                scores[n][i] =
                    gradient_of(scores[n][i], dp[n][i], lse[n * 8 + i % 2], delta[n * 8 + i % 2], p);
    }
    multiply_weights(sums, scores, count, tile->makes_dv ? dout : q, 0, 0, form.size, form);
}

// The loop over the tiles of queries of all heads of the group; `k` is a tile, and that of v is behind it.
DEVICE void add_all_queries(f32 (*sums)[4], LOCAL u16 *k, GLOBAL const u16 *k_from, GLOBAL const u16 *v_from,
                            struct tile_pair queries, LOCAL f32 *numbers, const struct key_tile *tile,
                            struct attention_params p, struct form form)
{
    const i32 count = BACKWARD_QUERIES(form.size), tiles = tile->tiles * (p.heads / p.groups),
              end = tile->span.kv_count;
    LOCAL u16 *const v = k + BACKWARD_ROWS * HEAD_PITCH(form.size);
    i32 stage = 0;
    if (tiles == 0) return;
    copy_rows(k, k_from, head_rows_of(p.k, tile->span.kv_first, tile->group, tile->from, end), BACKWARD_ROWS,
              p, form);
    copy_rows(v, v_from, head_rows_of(p.v, tile->span.kv_first, tile->group, tile->from, end), BACKWARD_ROWS,
              p, form);
    copy_place(queries, numbers, 0, tile, query_place_of(tile, 0, count, p), p, form);
    copy_async_commit();
    NO_UNROLL_FOR (i32 t = 0; t < tiles; t++) {
        const i32 next = p.stages > 1 ? 1 - stage : 0;
        if (p.stages > 1) {
            if (t + 1 < tiles)
                copy_place(queries, numbers, next, tile, query_place_of(tile, t + 1, count, p), p, form);
            copy_async_commit();
        }
        await_tile(p.stages);
        add_queries(sums, k, v, first_of(queries, stage, count, form), second_of(queries, stage, count, form),
                    numbers + 2 * stage * count, tile, query_place_of(tile, t, count, p), p, form);
        BARRIER();
        if (p.stages == 1 && t + 1 < tiles)
            copy_place(queries, numbers, 0, tile, query_place_of(tile, t + 1, count, p), p, form);
        if (p.stages == 1) copy_async_commit();
        stage = next;
    }
}

DEVICE void backward_keys(GLOBAL const u16 *q, GLOBAL const u16 *k, GLOBAL const u16 *v,
                          GLOBAL const u16 *dout, GLOBAL u16 *dk, GLOBAL u16 *dv, const struct key_tile *tile,
                          struct attention_params p, struct form form)
{
    const i32 end = tile->span.kv_count;
    const i32 rows = 2 * (BACKWARD_ROWS + p.stages * BACKWARD_QUERIES(form.size)); // of all tiles
    SHARED(u16, k_tile, 0);
    SHARED(f32, numbers, rows * HEAD_PITCH(form.size) * 2);
    LOCAL u16 *const v_tile = k_tile + BACKWARD_ROWS * HEAD_PITCH(form.size);
    const struct tile_pair queries = {v_tile + BACKWARD_ROWS * HEAD_PITCH(form.size), q, dout};
    const f32 factor = tile->makes_dv ? 1.0f : p.scale, factors[2] = {factor, factor};
    f32 sums[BACKWARD_COLUMNS / 8][4];
    clear_sums(sums, form.size);
    add_all_queries(sums, k_tile, k, v, queries, numbers, tile, p, form);
    put_sums(tile->makes_dv ? v_tile : k_tile, tile->row, 0, sums, form.size, factors, form);
    BARRIER();
    store_rows_of(dk, k_tile, head_rows_of(p.dk, tile->span.kv_first, tile->group, tile->from, end),
                  BACKWARD_ROWS, p, form);
    store_rows_of(dv, v_tile, head_rows_of(p.dv, tile->span.kv_first, tile->group, tile->from, end),
                  BACKWARD_ROWS, p, form);
}

#define ATTENTION_BACKWARD_KEYS(format, size, is_bf16)                                                       \
    KERNEL_OF(attention_keys_##format##_##size, HEAD_BLOCKS(size))                                           \
    (BACKWARD_BUFFERS, BUFFER(dk), BUFFER(dv), PARAMS(attention_keys_##format##_##size))                     \
    {                                                                                                        \
        READ_BACKWARD(u16);                                                                                  \
        WRITE(u16, dk);                                                                                      \
        WRITE(u16, dv);                                                                                      \
        const struct key_tile tile =                                                                         \
            key_tile_of(read_span(q_offsets, kv_offsets), slopes, lse, delta, p, BACKWARD_QUERIES(size));    \
        if (tile.from >= tile.span.kv_count || !HAS_BACKWARD(size, is_bf16)) return;                         \
        backward_keys(q, k, v, dout, dk, dv, &tile, p, form_of(size, is_bf16));                              \
    }

FOR_ALL_HEADS(ATTENTION_BACKWARD_KEYS)

#endif
