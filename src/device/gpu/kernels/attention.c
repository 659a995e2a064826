// Attention by tiles of 16 queries and 16 keys with online softmax: thread (row, column) of a block makes one score
// of a tile, and every sixteenth element of the row's sums.
#include "device/gpu/kernels/attention.h"

enum { MOST = ATTENTION_MOST / ATTENTION_TILE }; // elements of a thread in the largest head

// Rows of one head: element (i, d) is x[first + i row + d].
struct rows {
    i64 first, row;
    i32 count; // of rows that exist
};

DEVICE struct rows rows_of(struct heads_stride stride, i32 head, i32 first, i32 i, i32 end)
{
    struct rows rows;
    rows.first = head * stride.head + (first + (i64)i) * stride.row;
    rows.row = stride.row;
    rows.count = end - i;
    return rows;
}

DEVICE void load_part(LOCAL f32 *part, GLOBAL const void *x, struct rows rows, struct attention_params p,
                      i32 from)
{
    for (i32 e = THREAD; e < ATTENTION_TILE * ATTENTION_PART; e += BLOCK_THREADS) {
        const i32 i = e / ATTENTION_PART, d = from + e % ATTENTION_PART;
        part[i * ATTENTION_PITCH + e % ATTENTION_PART] =
            i < rows.count && d < p.size ? load(x, p.dtype, rows.first + i * rows.row + d) : 0.0f;
    }
}

// The product of row `row` of x and row `column` of y, for each thread. `parts` has room for two. Its barriers also
// keep what a thread writes after them apart from what others read before them.
DEVICE f32 tile_products(GLOBAL const void *x, struct rows x_rows, GLOBAL const void *y, struct rows y_rows,
                         struct attention_params p, LOCAL f32 *parts)
{
    LOCAL const f32 *const a = parts + THREAD / ATTENTION_TILE * ATTENTION_PITCH;
    LOCAL const f32 *const b = parts + (ATTENTION_TILE + THREAD % ATTENTION_TILE) * ATTENTION_PITCH;
    f32 sum = 0.0f;
    for (i32 from = 0; from < p.size; from += ATTENTION_PART) {
        load_part(parts, x, x_rows, p, from);
        load_part(parts + ATTENTION_TILE * ATTENTION_PITCH, y, y_rows, p, from);
        BARRIER();
        for (i32 d = 0; d < ATTENTION_PART; d++)
            sum += a[d] * b[d];
        BARRIER();
    }
    return sum;
}

// sums[x] += sum_j weights[row, j] y[j, column + 16 x]
DEVICE void add_rows(f32 sums[MOST], LOCAL const f32 *weights, GLOBAL const void *y, struct rows rows,
                     struct attention_params p)
{
    const i32 row = THREAD / ATTENTION_TILE, column = THREAD % ATTENTION_TILE;
    const i32 count = rows.count < ATTENTION_TILE ? rows.count : ATTENTION_TILE;
    NO_UNROLL_FOR (i32 j = 0; j < count; j++) {
        const f32 weight = weights[row * ATTENTION_SCORES + j];
        const i64 first = rows.first + j * rows.row;
        UNROLL_FOR (i32 x = 0; x < MOST; x++) {
            const i32 d = column + x * ATTENTION_TILE;
            if (d < p.size) sums[x] += weight * load(y, p.dtype, first + d);
        }
    }
}

DEVICE void clear(f32 sums[MOST])
{
    UNROLL_FOR (i32 x = 0; x < MOST; x++)
        sums[x] = 0.0f;
}

// y[row, :] = factor sums
DEVICE void store_rows(GLOBAL void *y, struct rows rows, struct attention_params p, const f32 sums[MOST],
                       f32 factor)
{
    const i32 row = THREAD / ATTENTION_TILE, column = THREAD % ATTENTION_TILE;
    UNROLL_FOR (i32 x = 0; x < MOST; x++)
        if (row < rows.count && column + x * ATTENTION_TILE < p.size)
            store(y, p.dtype, rows.first + row * rows.row + column + x * ATTENTION_TILE, factor * sums[x]);
}

// Whether query i sees key j.
DEVICE i32 is_visible(struct span span, i32 window, i32 i, i32 j)
{
    return i < span.q_count && j <= last_key(span, i) && j >= first_key(span, window, i);
}

// The first key that a tile of queries sees, down to a whole tile.
DEVICE i32 first_tile_of_keys(struct span span, i32 window, i32 i)
{
    return first_key(span, window, i) / ATTENTION_TILE * ATTENTION_TILE;
}

// The first query that sees a key of the tile from j, down to a whole tile.
DEVICE i32 first_tile_of_queries(struct span span, i32 j)
{
    return first_query(span, j) / ATTENTION_TILE * ATTENTION_TILE;
}

// The end of the keys that the queries of a tile see.
DEVICE i32 end_of_keys(struct span span, i32 i)
{
    const i32 end = last_key(span, i + ATTENTION_TILE);
    return end < span.kv_count ? end : span.kv_count;
}

DEVICE f32 score_of(f32 product, struct attention_params p, GLOBAL const f32 *slopes, i32 head, i32 j)
{
    const f32 scaled = p.scale * product;
    if (p.softcap > 0.0f) return p.softcap * tanhf(scaled / p.softcap);
    return slopes != 0 ? scaled + slopes[head] * (f32)j : scaled;
}

// A row's softmax so far.
struct online {
    f32 largest, sum;
    f32 factor; // of what was summed before the last tile
};

// Takes the tile's scores into the softmax of the rows; `scores` becomes exp(score - largest).
DEVICE struct online take_scores(struct online row, f32 score, LOCAL f32 *scores)
{
    LOCAL f32 *const own = scores + THREAD / ATTENTION_TILE * ATTENTION_SCORES;
    f32 largest = row.largest;
    own[THREAD % ATTENTION_TILE] = score;
    BARRIER();
    for (i32 j = 0; j < ATTENTION_TILE; j++)
        largest = fmaxf(largest, own[j]);
    BARRIER();
    own[THREAD % ATTENTION_TILE] = score > -INFINITE ? expf(score - largest) : 0.0f;
    BARRIER();
    row.factor = row.largest > -INFINITE ? expf(row.largest - largest) : 0.0f;
    row.sum *= row.factor;
    for (i32 j = 0; j < ATTENTION_TILE; j++)
        row.sum += own[j];
    row.largest = largest;
    return row;
}

// A block for 16 queries of a head of a sequence.
KERNEL(attention_forward)
(ATTENTION_BUFFERS, BUFFER(out), BUFFER(lse), PARAMS(attention_forward))
{
    READ_ATTENTION(void);
    WRITE(void, out);
    WRITE(f32, lse);
    SHARED(f32, scores, 0);
    SHARED(f32, parts, ATTENTION_TILE * ATTENTION_SCORES * 4);
    const struct span span = read_span(q_offsets, kv_offsets);
    const i32 first = BLOCK_X * ATTENTION_TILE, head = BLOCK_Y, group = head / (p.heads / p.groups),
              end = end_of_keys(span, first);
    const struct rows q_rows = rows_of(p.q, head, span.q_first, first, span.q_count);
    f32 sums[MOST];
    struct online row;
    row.largest = -INFINITE;
    row.sum = 0.0f;
    row.factor = 1.0f;
    clear(sums);
    if (first >= span.q_count) return;
    for (i32 j = first_tile_of_keys(span, p.window, first); j < end; j += ATTENTION_TILE) {
        const struct rows k_rows = rows_of(p.k, group, span.kv_first, j, end);
        const f32 product = tile_products(q, q_rows, k, k_rows, p, parts);
        const i32 key = j + THREAD % ATTENTION_TILE,
                  seen = is_visible(span, p.window, first + THREAD / ATTENTION_TILE, key);
        row = take_scores(row, seen ? score_of(product, p, slopes, head, key) : -INFINITE, scores);
        UNROLL_FOR (i32 x = 0; x < MOST; x++)
            sums[x] *= row.factor;
        add_rows(sums, scores, v, rows_of(p.v, group, span.kv_first, j, end), p);
    }
    store_rows(out, rows_of(out_stride(p), head, span.q_first, first, span.q_count), p, sums, 1.0f / row.sum);
    if (THREAD % ATTENTION_TILE == 0 && THREAD / ATTENTION_TILE < q_rows.count)
        lse[(i64)head * p.tokens + span.q_first + first + THREAD / ATTENTION_TILE] =
            row.largest + logf(row.sum);
}

// delta[h, t] = sum_d(dout out), by 32 threads each
KERNEL(attention_delta)(BUFFER(out), BUFFER(dout), BUFFER(delta), PARAMS(attention_delta))
{
    READ(void, out);
    READ(void, dout);
    WRITE(f32, delta);
    SHARED(f32, sums, 0);
    const i32 each = BLOCK_THREADS / DELTA_ROWS;
    const i64 row = (i64)BLOCK_X * DELTA_ROWS + THREAD / each, t = row / p.heads;
    f32 sum = 0.0f;
    for (i32 d = THREAD % each; d < p.size && t < p.tokens; d += each)
        sum += load(out, p.dtype, row * p.size + d) * load(dout, p.dtype, row * p.size + d);
    sums[THREAD] = sum;
    BARRIER();
    if (THREAD % each != 0 || t >= p.tokens) return;
    for (i32 i = 1; i < each; i++)
        sum += sums[THREAD + i];
    delta[row % p.heads * p.tokens + t] = sum;
}

// For one query and one key, p and ds = p (dp - delta), with a soft cap times 1 - (score / cap)^2.
struct pair {
    f32 p, ds;
};

// The pair of a query and a key of a head, whose products are q.k and dout.v; 0 where the query does not see the key.
DEVICE struct pair pair_of(f32 product, f32 dp, struct attention_params p, struct span span, i32 head,
                           i32 query, i32 key, GLOBAL const f32 *slopes, GLOBAL const f32 *lse,
                           GLOBAL const f32 *delta)
{
    struct pair pair;
    pair.p = pair.ds = 0.0f;
    if (!is_visible(span, p.window, query, key)) return pair;
    const i64 row = (i64)head * p.tokens + span.q_first + query;
    const f32 score = score_of(product, p, slopes, head, key);
    const f32 ratio = p.softcap > 0.0f ? score / p.softcap : 0.0f;
    pair.p = expf(score - lse[row]);
    pair.ds = pair.p * (dp - delta[row]) * (1.0f - ratio * ratio);
    return pair;
}

// dq of 16 queries: the sum over the keys that they see
KERNEL(attention_backward_queries)
(BACKWARD_BUFFERS, BUFFER(dq), PARAMS(attention_backward_queries))
{
    READ_BACKWARD(void);
    WRITE(void, dq);
    SHARED(f32, weights, 0);
    SHARED(f32, parts, ATTENTION_TILE * ATTENTION_SCORES * 4);
    const struct span span = read_span(q_offsets, kv_offsets);
    const i32 first = BLOCK_X * ATTENTION_TILE, head = BLOCK_Y, group = head / (p.heads / p.groups),
              end = end_of_keys(span, first);
    const i32 query = first + THREAD / ATTENTION_TILE;
    const struct rows q_rows = rows_of(p.q, head, span.q_first, first, span.q_count);
    const struct rows dout_rows = rows_of(out_stride(p), head, span.q_first, first, span.q_count);
    f32 sums[MOST];
    clear(sums);
    if (first >= span.q_count) return;
    for (i32 j = first_tile_of_keys(span, p.window, first); j < end; j += ATTENTION_TILE) {
        const struct rows k_rows = rows_of(p.k, group, span.kv_first, j, end);
        const f32 product = tile_products(q, q_rows, k, k_rows, p, parts);
        const f32 dp =
            tile_products(dout, dout_rows, v, rows_of(p.v, group, span.kv_first, j, end), p, parts);
        const struct pair pair =
            pair_of(product, dp, p, span, head, query, j + THREAD % ATTENTION_TILE, slopes, lse, delta);
        weights[THREAD / ATTENTION_TILE * ATTENTION_SCORES + THREAD % ATTENTION_TILE] = pair.ds;
        BARRIER();
        add_rows(sums, weights, k, k_rows, p);
    }
    store_rows(dq, rows_of(p.dq, head, span.q_first, first, span.q_count), p, sums, p.scale);
}

// dk and dv of 16 keys: the sums over the query heads of their group and the queries that see them
KERNEL(attention_backward_keys)
(BACKWARD_BUFFERS, BUFFER(dk), BUFFER(dv), PARAMS(attention_backward_keys))
{
    READ_BACKWARD(void);
    WRITE(void, dk);
    WRITE(void, dv);
    SHARED(f32, ds, 0);
    SHARED(f32, probabilities, ATTENTION_TILE * ATTENTION_SCORES * 4);
    SHARED(f32, parts, 2 * ATTENTION_TILE * ATTENTION_SCORES * 4);
    const struct span span = read_span(q_offsets, kv_offsets);
    const i32 first = BLOCK_X * ATTENTION_TILE, group = BLOCK_Y, each = p.heads / p.groups,
              place = THREAD / ATTENTION_TILE * ATTENTION_SCORES + THREAD % ATTENTION_TILE,
              queries_end = end_of_queries(span, p.window, first + ATTENTION_TILE - 1);
    const struct rows k_rows = rows_of(p.k, group, span.kv_first, first, span.kv_count);
    const struct rows v_rows = rows_of(p.v, group, span.kv_first, first, span.kv_count);
    f32 dk_sums[MOST], dv_sums[MOST];
    clear(dk_sums);
    clear(dv_sums);
    if (first >= span.kv_count) return;
    for (i32 head = group * each; head < (group + 1) * each; head++)
        for (i32 i = first_tile_of_queries(span, first); i < queries_end; i += ATTENTION_TILE) {
            const struct rows q_rows = rows_of(p.q, head, span.q_first, i, span.q_count);
            const struct rows dout_rows = rows_of(out_stride(p), head, span.q_first, i, span.q_count);
            const f32 product = tile_products(k, k_rows, q, q_rows, p, parts);
            const f32 dp = tile_products(v, v_rows, dout, dout_rows, p, parts);
            const struct pair pair = pair_of(product, dp, p, span, head, i + THREAD % ATTENTION_TILE,
                                             first + THREAD / ATTENTION_TILE, slopes, lse, delta);
            ds[place] = pair.ds;
            probabilities[place] = pair.p;
            BARRIER();
            add_rows(dk_sums, ds, q, q_rows, p);
            add_rows(dv_sums, probabilities, dout, dout_rows, p);
        }
    store_rows(dk, rows_of(p.dk, group, span.kv_first, first, span.kv_count), p, dk_sums, p.scale);
    store_rows(dv, rows_of(p.dv, group, span.kv_first, first, span.kv_count), p, dv_sums, 1.0f);
}
