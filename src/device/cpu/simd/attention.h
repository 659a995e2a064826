// What attention's forward and backward share. Both work through blocks of scores that are held transposed,
// [keys, queries]: a lane is a query, so that the softmax needs no sums across lanes.
#ifndef LOAM_DEVICE_CPU_SIMD_ATTENTION_H
#define LOAM_DEVICE_CPU_SIMD_ATTENTION_H

#include "device/cpu/simd/level.h"
#include "device/cpu/simd/tile.h"

enum {
    QUERIES = 48, // of a block; a multiple of LANES at every level
    KEYS = 64,    // of a block
    AHEAD = 8,    // rows that are asked of memory before their turn
    FEW_QUERIES = 4,
};

// The forward of at most FEW_QUERIES queries a sequence (attention_few.c). The scratch does not depend on how
// many there are.
#define cpu_attention_few CPU_JOIN(attention_few, CPU_LEVEL)
#define cpu_attention_few_scratch CPU_JOIN(attention_few_scratch, CPU_LEVEL)
size_t cpu_attention_few_scratch(const struct loam_device *device,
                                 const struct loam_attention_forward_args *args);
enum loam_status cpu_attention_few(struct loam_stream *stream,
                                   const struct loam_attention_forward_args *args);

struct attention_sequence {
    int64_t q_first, q_count;   // rows of q
    int64_t kv_first, kv_count; // rows of k and v
    int64_t before;             // kv_count - q_count: query i sees the keys j <= i + before
};

INLINE struct attention_sequence attention_sequence(const struct loam_attention_shape *shape, int64_t s)
{
    const int32_t *q = shape->q_offsets.data, *kv = shape->kv_offsets.data;
    const int64_t q_count = q[s + 1] - q[s], kv_count = kv[s + 1] - kv[s];
    return (struct attention_sequence){q[s], q_count, kv[s], kv_count, kv_count - q_count};
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

// D rounded up to whole vectors: the row length of what is kept as [rows, D].
INLINE int64_t attention_padded(int64_t d)
{
    return (d + LANES - 1) / LANES * LANES;
}

// Rows of one head lie apart, where the processor does not foresee them.
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
        if (i + AHEAD < count) attention_prefetch(row + AHEAD * step, d, bf16);
        for (int64_t j = 0; j < d; j += LANES)
            store_f32(target + i * padded + j, load(row, j, d, bf16));
    }
}

// rows [count, padded D] times factor, to columns [D, QUERIES]; the columns up to the next whole vector are
// zero.
INLINE void attention_transpose(float *target, const float *source, int64_t count, int64_t d, float factor)
{
    const int64_t padded = attention_padded(d);
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < d; j++)
            target[j * QUERIES + i] = source[i * padded + j] * factor;
    for (int64_t i = count; i % LANES != 0; i++)
        for (int64_t j = 0; j < d; j++)
            target[j * QUERIES + i] = 0;
}

// f32 [count, padded D] times factor, to rows of one head.
INLINE void attention_scatter(const struct loam_tensor *target, const float *source, int64_t first,
                              int64_t count, int64_t head, float factor)
{
    const int64_t d = target->shape[2], padded = attention_padded(d);
    const bool bf16 = target->dtype == LOAM_BF16;
    for (int64_t i = 0; i < count; i++) {
        void *row = cpu_head(target, first + i, head);
        for (int64_t j = 0; j < d; j += LANES)
            store(row, j, d, load_f32(source + i * padded + j) * factor, bf16);
    }
}

// Which of the lanes from `query` on see key `key` of the sequence.
INLINE vec_int attention_sees(const struct attention_sequence *sequence, int64_t query, int64_t key)
{
    return lane_index() >= (int32_t)(key - query - sequence->before);
}

#endif
