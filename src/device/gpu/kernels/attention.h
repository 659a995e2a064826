// What the kernels of attention share: sequences, and which keys a query sees.
#ifndef LOAM_DEVICE_GPU_KERNELS_ATTENTION_H
#define LOAM_DEVICE_GPU_KERNELS_ATTENTION_H

#include "device/gpu/kernels/values.h"

// What all kernels of attention read, but attention_delta and attention_merge.
#define ATTENTION_BUFFERS                                                                                    \
    BUFFER(q), BUFFER(k), BUFFER(v), BUFFER(q_offsets), BUFFER(kv_offsets), BUFFER(slopes)
#define READ_ATTENTION(type)                                                                                 \
    READ(type, q);                                                                                           \
    READ(type, k);                                                                                           \
    READ(type, v);                                                                                           \
    READ(i32, q_offsets);                                                                                    \
    READ(i32, kv_offsets);                                                                                   \
    READ(f32, slopes)

// What a backward reads besides.
#define BACKWARD_BUFFERS ATTENTION_BUFFERS, BUFFER(dout), BUFFER(lse), BUFFER(delta)
#define READ_BACKWARD(type)                                                                                  \
    READ_ATTENTION(type);                                                                                    \
    READ(type, dout);                                                                                        \
    READ(f32, lse);                                                                                          \
    READ(f32, delta)

// One sequence of the batch.
struct span {
    i32 q_first, q_count, kv_first, kv_count;
};

DEVICE struct span read_span(GLOBAL const i32 *q_offsets, GLOBAL const i32 *kv_offsets)
{
    struct span span;
    span.q_first = q_offsets[BLOCK_Z];
    span.q_count = q_offsets[BLOCK_Z + 1] - span.q_first;
    span.kv_first = kv_offsets[BLOCK_Z];
    span.kv_count = kv_offsets[BLOCK_Z + 1] - span.kv_first;
    return span;
}

// The last key that query i sees.
DEVICE i32 last_key(struct span span, i32 i)
{
    return i + span.kv_count - span.q_count;
}

// The first key that query i sees.
DEVICE i32 first_key(struct span span, i32 window, i32 i)
{
    const i32 first = last_key(span, i) - window + 1;
    return window > 0 && first > 0 ? first : 0;
}

// The first query that sees key j.
DEVICE i32 first_query(struct span span, i32 j)
{
    const i32 first = j - (span.kv_count - span.q_count);
    return first > 0 ? first : 0;
}

// The end of the queries that see key j; at least 0.
DEVICE i32 end_of_queries(struct span span, i32 window, i32 j)
{
    const i64 end = (i64)j + window - (span.kv_count - span.q_count);
    if (window == 0 || end > span.q_count) return span.q_count;
    return end > 0 ? (i32)end : 0;
}

// out is contiguous
DEVICE struct heads_stride out_stride(struct attention_params p)
{
    struct heads_stride stride;
    stride.row = (i64)p.heads * p.size;
    stride.head = p.size;
    return stride;
}

#endif
