// The forward of attention on tensor cores: a block for a tile of queries of a group of heads. It reads tiles of keys
// and of values in turns, one while it multiplies by the other. Each warp has 16 rows; in the largest heads two warps
// have the same rows, and half of the columns of the output each.
#include "device/gpu/kernels/attention_tiles.h"

#if HAS_WARPS

enum { FORWARD_COLUMNS = 128, FORWARD_SCORES = 64 }; // the most that a warp has of a row

// A warp's rows so far.
struct running {
    f32 out[FORWARD_COLUMNS / 8][4];
    f32 largest[2], sum[2]; // of the lane's two rows; the sum over the lane's keys
};

DEVICE void start_rows(struct running *running, i32 columns)
{
    clear_sums(running->out, columns);
    UNROLL_FOR (i32 h = 0; h < 2; h++) {
        running->largest[h] = -INFINITE;
        running->sum[h] = 0.0f;
    }
}

// What a block works on.
struct forward_block {
    struct query_tile tile;
    struct span span;
    i32 first, end; // keys
    i32 split;
};

// The keys of a block are a share, of whole tiles, of those that its queries see.
DEVICE struct forward_block forward_block_of(struct query_tile tile, struct span span,
                                             struct attention_params p, i32 rows, i32 keys)
{
    const i32 first = first_key(span, p.window, query_at(tile, 0)) / keys * keys,
              end = last_key(span, query_at(tile, rows - 1)) + 1, tiles = (end - first + keys - 1) / keys,
              share = (tiles + p.splits - 1) / p.splits * keys;
    struct forward_block block;
    block.tile = tile;
    block.span = span;
    block.split = BLOCK_X / p.tiles;
    block.first = first + block.split * share;
    block.end = block.first + share < end ? block.first + share : end;
    return block;
}

// Takes scores [16, keys] into the softmax; they become 2^(score - largest).
DEVICE void take_softmax(struct running *running, f32 (*scores)[4], i32 keys, i32 columns)
{
    UNROLL_FOR (i32 h = 0; h < 2; h++) {
        f32 largest = running->largest[h], sum = 0.0f;
        UNROLL_FOR (i32 n = 0; n < keys / 8; n++)
            largest = fmaxf(largest, fmaxf(scores[n][2 * h], scores[n][2 * h + 1]));
        largest = fmaxf(largest, shuffle_xor(largest, 1));
        largest = fmaxf(largest, shuffle_xor(largest, 2));
        const f32 base = largest > -INFINITE ? largest : 0.0f; // a row may see no key so far
        const f32 factor = power_of_2(running->largest[h] - base);
        UNROLL_FOR (i32 n = 0; n < keys / 8; n++)
            UNROLL_FOR (i32 i = 2 * h; i < 2 * h + 2; i++) {
                scores[n][i] = power_of_2(scores[n][i] - base);
                sum += scores[n][i];
            }
        UNROLL_FOR (i32 n = 0; n < columns / 8; n++) {
            running->out[n][2 * h] *= factor;
            running->out[n][2 * h + 1] *= factor;
        }
        running->sum[h] = running->sum[h] * factor + sum;
        running->largest[h] = largest;
    }
}

// What the rows of the lane are multiplied by at the end. Stores their log-sum-exp.
DEVICE void finish_rows(f32 factors[2], const struct running *running, GLOBAL f32 *lse,
                        const struct forward_block *block, i32 row, struct attention_params p)
{
    UNROLL_FOR (i32 h = 0; h < 2; h++) {
        const i32 own = row + lane_of() / 4 + h * 8;
        const i64 token = block->span.q_first + query_at(block->tile, own), head = head_at(block->tile, own),
                  place = (block->split * p.heads + head) * p.tokens + token;
        f32 sum = running->sum[h];
        sum += shuffle_xor(sum, 1);
        sum += shuffle_xor(sum, 2);
        factors[h] = sum > 0.0f ? 1.0f / sum : 0.0f;
        if (block->tile.from + own < block->tile.end && lane_of() % 4 == 0)
            lse[place] = sum > 0.0f ? running->largest[h] * LN_2 + logf(sum) : -INFINITE;
    }
}

// Stores the rows of a split, in f32.
DEVICE void store_split(GLOBAL f32 *out, const struct running *running, const f32 factors[2],
                        const struct forward_block *block, i32 row, i32 first, i32 columns,
                        struct attention_params p)
{
    const i64 part = (i64)block->split * p.tokens * p.heads * p.size;
    UNROLL_FOR (i32 h = 0; h < 2; h++) {
        const i64 place = place_of_row(block->tile, row + lane_of() / 4 + h * 8, out_stride(p), block->span);
        UNROLL_FOR (i32 n = 0; n < columns / 8; n++)
            UNROLL_FOR (i32 i = 0; i < 2; i++) {
                const i32 d = first + n * 8 + lane_of() % 4 * 2 + i;
                if (place >= 0 && d < p.size) out[part + place + d] = factors[h] * running->out[n][2 * h + i];
            }
    }
}

// The tiles of a block in shared memory, and where those of keys come from.
struct forward_tiles {
    LOCAL u16 *q, *k, *v;
    GLOBAL const u16 *k_from, *v_from;
    struct head_rows k_rows, v_rows;
};

DEVICE void copy_tile(LOCAL u16 *tile, GLOBAL const u16 *x, struct head_rows rows, i32 j, i32 keys,
                      struct attention_params p, struct form form)
{
    rows.from = j;
    copy_rows(tile, x, rows, keys, p, form);
    copy_async_commit();
}

// The loop over the block's keys, for the warp's 16 rows from `row` on and the columns from `first` on.
DEVICE void attend(struct running *running, const struct forward_tiles *tiles,
                   const struct forward_block *block, const struct seen *seen, i32 row, i32 first, i32 keys,
                   i32 columns, struct attention_params p, struct form form)
{
    const i32 has_rows = block->tile.from + row < block->tile.end;
    NO_UNROLL_FOR (i32 j = block->first; j < block->end; j += keys) {
        const i32 sees = has_rows && j <= seen->some_last && j + keys > seen->some_first;
        f32 scores[FORWARD_SCORES / 8][4];
        copy_async_wait(0);
        BARRIER();
        copy_tile(tiles->v, tiles->v_from, tiles->v_rows, j, keys, p, form);
        clear_sums(scores, keys);
        if (sees) multiply_rows(scores, tiles->q, row, tiles->k, 0, keys, form);
        copy_async_wait(0);
        BARRIER();
        if (j + keys < block->end) copy_tile(tiles->k, tiles->k_from, tiles->k_rows, j + keys, keys, p, form);
        if (!sees) continue;
        finish_scores(scores, keys, seen, j, p);
        take_softmax(running, scores, keys, columns);
        multiply_weights(running->out, scores, keys, tiles->v, 0, first, columns, form);
    }
}

DEVICE void forward(GLOBAL const u16 *q, GLOBAL const u16 *k, GLOBAL const u16 *v,
                    GLOBAL const i32 *q_offsets, GLOBAL const i32 *kv_offsets, GLOBAL const f32 *slopes,
                    GLOBAL void *out, GLOBAL f32 *lse, struct attention_params p, struct form form)
{
    const i32 rows = FORWARD_ROWS(form.size), keys = FORWARD_KEYS(form.size), warps = rows / 16,
              columns = form.size * warps / (BLOCK_THREADS / 32), row = THREAD / 32 % warps * 16,
              first = THREAD / 32 / warps * columns;
    const struct span span = read_span(q_offsets, kv_offsets);
    const struct query_tile tile = query_tile_of(p, span, rows);
    if (tile.from >= tile.end) return;
    const struct forward_block block = forward_block_of(tile, span, p, rows, keys);
    SHARED(u16, q_tile, 0);
    struct forward_tiles tiles;
    tiles.q = q_tile;
    tiles.k = tiles.q + rows * HEAD_PITCH(form.size);
    tiles.v = tiles.k + keys * HEAD_PITCH(form.size);
    tiles.k_from = k;
    tiles.v_from = v;
    tiles.k_rows = head_rows_of(p.k, block.span.kv_first, block.tile.group, 0, block.end);
    tiles.v_rows = head_rows_of(p.v, block.span.kv_first, block.tile.group, 0, block.end);
    struct running running;
    start_rows(&running, columns);
    const struct seen seen = seen_by(block.tile, block.span, row, p.window, slopes);
    if (block.first < block.end) {
        copy_queries(tiles.q, q, block.tile, p.q, block.span, rows, p, form);
        copy_tile(tiles.k, k, tiles.k_rows, block.first, keys, p, form);
        attend(&running, &tiles, &block, &seen, row, first, keys, columns, p, form);
    }
    f32 factors[2];
    finish_rows(factors, &running, lse, &block, row, p);
    if (p.splits > 1) {
        store_split((GLOBAL f32 *)out, &running, factors, &block, row, first, columns, p);
        return;
    }
    BARRIER(); // both warps of a row have read its queries
    put_sums(tiles.q, row, first, running.out, columns, factors, form);
    BARRIER();
    store_queries((GLOBAL u16 *)out, tiles.q, block.tile, out_stride(p), block.span, rows, p, form);
}

#define ATTENTION_FORWARD(format, size, is_bf16)                                                             \
    KERNEL_OF(attention_forward_##format##_##size, HEAD_BLOCKS(size))                                        \
    (ATTENTION_BUFFERS, BUFFER(out), BUFFER(lse), PARAMS(attention_forward_##format##_##size))               \
    {                                                                                                        \
        READ_ATTENTION(u16);                                                                                 \
        WRITE(void, out);                                                                                    \
        WRITE(f32, lse);                                                                                     \
        if (HAS_BF16_PRODUCTS || !(is_bf16))                                                                 \
            forward(q, k, v, q_offsets, kv_offsets, slopes, out, lse, p, form_of(size, is_bf16));            \
    }

FOR_ALL_HEADS(ATTENTION_FORWARD)

// out and lse from those of the splits, in their order. A thread for each element of out.
KERNEL(attention_merge)(BUFFER(parts), BUFFER(part_lse), BUFFER(out), BUFFER(lse), PARAMS(attention_merge))
{
    READ(f32, parts);
    READ(f32, part_lse);
    WRITE(void, out);
    WRITE(f32, lse);
    const i64 all = (i64)p.tokens * p.heads, index = (i64)BLOCK_X * BLOCK_THREADS + THREAD,
              at = index / p.size;
    if (at >= all) return;
    const i64 place = at % p.heads * p.tokens + at / p.heads; // in lse
    f32 largest = -INFINITE, sum = 0.0f, value = 0.0f;
    for (i32 s = 0; s < p.splits; s++)
        largest = fmaxf(largest, part_lse[s * all + place]);
    for (i32 s = 0; s < p.splits; s++) {
        const f32 weight = expf(part_lse[s * all + place] - largest);
        sum += weight;
        value += weight * parts[s * all * p.size + index];
    }
    store(out, p.dtype, index, value / sum);
    if (index % p.size == 0) lse[place] = largest + logf(sum);
}

#endif
