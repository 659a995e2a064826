// What attention's forward and backward share. Both work through blocks of scores that are held transposed,
// [keys, queries]: a lane is a query, so that the softmax needs no sums across lanes.
//
// The products of blocks are in f32, or where q, k and v are bf16 and the processor multiplies that, in bf16
// with sums of f32: then weights and gradients of scores are rounded to bf16 before they are multiplied.
// Along a product's sum a cell of 32 bits has `per` elements, one of f32 or two of bf16, and all else is the
// same.
#ifndef LOAM_DEVICE_CPU_KERNELS_ATTENTION_H
#define LOAM_DEVICE_CPU_KERNELS_ATTENTION_H

#include "device/cpu/kernels/logits.h"
#include "device/cpu/kernels/tile.h"

enum {
    QUERIES = 48,      // of a block; a multiple of LANES at every level
    KEYS = 64,         // of a block
    KEY_STEP = 8,      // unit that the visible keys of a block are rounded up to, so that tiles are whole
    PREFETCH_ROWS = 8, // that a row is fetched ahead
    FEW_QUERIES = 4,
};

// A block starts at a key of the window of its first query. The window of its last query starts in the same
// block, so that each query has a largest score after the first block.
_Static_assert(KEYS >= QUERIES + KEY_STEP, "a query sees no key of the first block");

// The forward of at most FEW_QUERIES queries a sequence (attention_few.c). The scratch does not depend on how
// many there are.
#define cpu_attention_few CPU_NAME(attention_few)
#define cpu_attention_few_scratch CPU_NAME(attention_few_scratch)
size_t cpu_attention_few_scratch(const struct loam_device *device,
                                 const struct loam_attention_forward_args *args);
enum loam_status cpu_attention_few(struct loam_stream *stream,
                                   const struct loam_attention_forward_args *args);

struct attention_sequence {
    int64_t q_first, q_count;   // rows of q
    int64_t kv_first, kv_count; // rows of k and v
    int64_t before;             // kv_count - q_count: query i stands at key i + before
    int64_t window;             // query i sees the keys i + before - window < j <= i + before
};

INLINE struct attention_sequence attention_sequence(const struct loam_attention_shape *shape, int64_t s)
{
    const int32_t *q = shape->q_offsets.data, *kv = shape->kv_offsets.data;
    const int64_t q_count = q[s + 1] - q[s], kv_count = kv[s + 1] - kv[s];
    const int64_t window = shape->window > 0 && shape->window < kv_count ? shape->window : INT32_MAX;
    return (struct attention_sequence){q[s], q_count, kv[s], kv_count, kv_count - q_count, window};
}

// The scratch is sized by max_q and max_kv: fails the stream when a sequence does not fit.
INLINE enum loam_status attention_check(struct loam_stream *stream, const struct loam_attention_shape *shape)
{
    for (int64_t s = 0; s + 1 < loam_tensor_count(&shape->q_offsets); s++) {
        const struct attention_sequence sequence = attention_sequence(shape, s);
        if (sequence.q_count >= 0 && sequence.q_count <= shape->max_q && sequence.before >= 0 &&
            sequence.kv_count <= shape->max_kv)
            continue;
        loam_stream_fail(stream, LOAM_ERROR_ARGUMENT, stream->op,
                         "a sequence is longer than max_q, max_kv or its keys");
        return LOAM_ERROR_ARGUMENT;
    }
    return LOAM_OK;
}

INLINE float attention_slope(const struct loam_attention_shape *shape, int64_t head)
{
    return shape->slopes.data != NULL ? ((const float *)shape->slopes.data)[head] : 0;
}

INLINE int64_t attention_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

INLINE int64_t attention_round_up(int64_t count, int64_t unit)
{
    return (count + unit - 1) / unit * unit;
}

// D rounded up to whole vectors: the row length of what is kept as [rows, D].
INLINE int64_t attention_padded(int64_t d)
{
    return attention_round_up(d, LANES);
}

// Cells of D elements, in whole vectors: the row length of what is multiplied along D.
INLINE int64_t attention_cells(int64_t d, int64_t per)
{
    return attention_padded((d + per - 1) / per);
}

// Rows of one head lie apart, and the processor does not prefetch them by itself.
INLINE void attention_prefetch(const char *row, int64_t d, bool bf16)
{
    for (int64_t i = 0; i < d * (bf16 ? 2 : 4); i += 64)
        __builtin_prefetch(row + i);
}

// Rows [first, first + count) of one head to f32 [count, padded D], zero past D.
INLINE void attention_gather(float *target, const struct loam_tensor *source, int64_t first, int64_t count,
                             int64_t head)
{
    const int64_t d = source->shape[2], padded = attention_padded(d);
    const bool bf16 = source->dtype == LOAM_BF16;
    const int64_t step = source->stride[0] * (bf16 ? 2 : 4);
    const char *row = cpu_head(source, first, head);
    for (int64_t i = 0; i < count; i++, row += step) {
        if (i + PREFETCH_ROWS < count) attention_prefetch(row + PREFETCH_ROWS * step, d, bf16);
        for (int64_t j = 0; j < d; j += LANES)
            store_f32(target + i * padded + j, load(row, j, d, bf16));
    }
}

// Rows [first, first + count) of one head to [rows, cells of D], `per` elements of the source in a cell: f32 with 1, pairs
// of bf16 with 2. Zero past D and past `count`.
INLINE void attention_rows(float *target, const struct loam_tensor *source, int64_t first, int64_t count,
                           int64_t rows, int64_t head, int64_t per)
{
    const int64_t d = source->shape[2], cells = attention_cells(d, per);
    const int64_t whole = per == 2 ? d / 2 / LANES * LANES : 0, step = source->stride[0] * 2;
    const char *row = cpu_head(source, first, head);
    if (per == 1) attention_gather(target, source, first, count, head);
    for (int64_t i = 0; i < count && per == 2; i++, row += step) {
        if (i + PREFETCH_ROWS < count) attention_prefetch(row + PREFETCH_ROWS * step, d, true);
        for (int64_t j = 0; j < whole; j += LANES)
            memcpy(target + i * cells + j, row + 4 * j, sizeof(vec));
        if (whole == cells) continue;
        memset(target + i * cells + whole, 0, sizeof(vec));
        memcpy(target + i * cells + whole, row + 4 * whole, (size_t)(2 * d - 4 * whole));
    }
    memset(target + count * cells, 0, (size_t)((rows - count) * cells) * sizeof(float));
}

// Rows [rows, cells of D] of bf16 in cells along the rows instead: [rows / 2, padded D].
INLINE void attention_pairs(float *target, const float *source, int64_t rows, int64_t d)
{
    const int64_t padded = attention_padded(d), cells = attention_cells(d, 2);
    for (int64_t i = 0; i < rows; i += 2, source += 2 * cells, target += padded)
        for (int64_t j = 0; j < padded; j += LANES) { // a vector of the source has two of the target
            const vec_half even = load_half((const uint16_t *)(const void *)source + j);
            const vec_half odd = load_half((const uint16_t *)(const void *)(source + cells) + j);
            store_f32(target + j, (vec)(__builtin_convertvector(even, vec_int) |
                                        __builtin_convertvector(odd, vec_int) << 16));
        }
}

// [count, cells] to [cells, QUERIES]; the columns up to the next whole vector are there too.
INLINE void attention_transpose(float *target, const float *source, int64_t count, int64_t cells)
{
    for (int64_t i = 0; i < count; i += LANES)
        for (int64_t j = 0; j < cells; j += LANES) {
            vec block[LANES];
            for (int n = 0; n < LANES; n++)
                block[n] = load_f32(source + (i + n) * cells + j);
            transpose_vec(block);
            for (int n = 0; n < LANES; n++)
                store_f32(target + (j + n) * QUERIES + i, block[n]);
        }
}

// f32 [count, padded D] times factor, to rows of one head.
INLINE void attention_scatter(const struct loam_tensor *target, const float *source, int64_t first,
                              int64_t count, int64_t head, float factor)
{
    const int64_t d = target->shape[2], padded = attention_padded(d);
    const bool bf16 = target->dtype == LOAM_BF16;
    const int64_t step = target->stride[0] * (bf16 ? 2 : 4);
    char *row = cpu_head(target, first, head);
    for (int64_t i = 0; i < count; i++, row += step)
        for (int64_t j = 0; j < d; j += LANES)
            store(row, j, d, load_f32(source + i * padded + j) * factor, bf16);
}

// Prefetches the rows of a later block into the second cache.
INLINE void attention_fetch(const struct loam_tensor *source, int64_t first, int64_t count, int64_t head)
{
    const int64_t size = source->dtype == LOAM_BF16 ? 2 : 4, bytes = source->shape[2] * size;
    const char *row = cpu_head(source, first, head);
    for (int64_t i = 0; i < count; i++, row += source->stride[0] * size)
        for (int64_t j = 0; j < bytes; j += 64)
            __builtin_prefetch(row + j, 0, 2);
}

// The next part of a thread's memory. With `memory` NULL the floats are only counted.
INLINE float *attention_take(float *memory, int64_t *used, int64_t floats)
{
    float *part = memory != NULL ? memory + *used : NULL;
    *used += attention_padded(floats);
    return part;
}

// The first key that a query of the sequence sees.
INLINE int64_t attention_first_key(const struct attention_sequence *sequence, int64_t query)
{
    const int64_t first = query + sequence->before + 1 - sequence->window;
    return first > 0 ? first : 0;
}

INLINE int64_t attention_round_down(int64_t count, int64_t unit)
{
    return count / unit * unit;
}

// Whether all lanes from `query` on see all of `keys` keys from `key` on.
INLINE bool attention_sees_all(const struct attention_sequence *sequence, int64_t query, int64_t key,
                               int64_t keys)
{
    const int64_t first = query + sequence->before, last = first + LANES - 1;
    return key + keys - 1 <= first && key > last - sequence->window;
}

// Which of the lanes from `query` on see key `key` of the sequence.
INLINE vec_int attention_sees(const struct attention_sequence *sequence, int64_t query, int64_t key)
{
    const int64_t first = key - query - sequence->before; // the lane that stands at the key
    const int64_t end = attention_min(first + sequence->window, LANES);
    return (lane_index() >= (int32_t)first) & (lane_index() < (int32_t)end);
}

#endif
