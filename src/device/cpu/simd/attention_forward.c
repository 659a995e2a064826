// Attention without its score matrix (Dao et al. 2022): blocks of keys, and a softmax that is rescaled as
// they come.
#include <math.h>
#include <omp.h>

#include "device/cpu/simd/attention.h"

enum { AHEAD = 8 };       // keys
enum { FEW_QUERIES = 4 }; // up to so many, a query at a time: decoding

// ---- a block of queries ----

struct forward_block {
    float *q;    // [D, QUERIES], scaled
    float *k;    // [KEYS, padded D]
    float *v;    // [KEYS, padded D]
    float *p;    // [KEYS, QUERIES]: scores, then weights
    float *out;  // [D, QUERIES], not yet divided by `sum`
    float *rows; // [QUERIES, padded D]
    float largest[QUERIES];
    float sum[QUERIES];
};

static int64_t block_floats(int64_t d)
{
    return 2 * d * QUERIES + (2 * KEYS + QUERIES) * attention_padded(d) + KEYS * QUERIES;
}

static void block_init(struct forward_block *block, float *memory, int64_t d)
{
    const int64_t padded = attention_padded(d);
    block->q = memory;
    block->out = block->q + d * QUERIES;
    block->k = block->out + d * QUERIES;
    block->v = block->k + KEYS * padded;
    block->rows = block->v + KEYS * padded;
    block->p = block->rows + QUERIES * padded;
}

// One vector of queries: the scores of `keys` keys from `key` become weights, and what was summed before is
// rescaled.
static void softmax_lanes(struct forward_block *block, const struct attention_sequence *sequence,
                          int64_t query, int64_t lane, int64_t key, int64_t keys, float slope, int64_t d)
{
    float *p = block->p + lane;
    const bool all_seen = key + keys - 1 <= query + sequence->before;
    const vec before = load_f32(block->largest + lane);
    vec largest = before;
    for (int64_t j = 0; j < keys; j++) {
        vec score = load_f32(p + j * QUERIES) + slope * (float)(key + j);
        if (!all_seen) score = select_vec(attention_sees(sequence, query, key + j), score, splat(-INFINITY));
        store_f32(p + j * QUERIES, score);
        largest = larger_vec(score, largest);
    }
    const vec rescale = exp_vec(before - largest);
    vec sum = load_f32(block->sum + lane) * rescale;
    for (int64_t j = 0; j < keys; j++) {
        vec weight = exp_vec(load_f32(p + j * QUERIES) - largest);
        if (!all_seen) weight = select_vec(attention_sees(sequence, query, key + j), weight, splat(0));
        store_f32(p + j * QUERIES, weight);
        sum += weight;
    }
    store_f32(block->largest + lane, largest);
    store_f32(block->sum + lane, sum);
    for (int64_t i = 0; i < d; i++)
        store_f32(block->out + i * QUERIES + lane, load_f32(block->out + i * QUERIES + lane) * rescale);
}

static void write_block(const struct loam_attention_forward_args *args, struct forward_block *block,
                        int64_t row, int64_t count, int64_t head)
{
    const int64_t d = args->q.shape[2], padded = attention_padded(d), tokens = args->q.shape[0];
    float *lse = (float *)args->lse.data + head * tokens + row;
    for (int64_t i = 0; i < count; i++) {
        const float inverse = 1.0f / block->sum[i];
        for (int64_t j = 0; j < d; j++)
            block->rows[i * padded + j] = block->out[j * QUERIES + i] * inverse;
        lse[i] = block->largest[i] + logf(block->sum[i]);
    }
    attention_scatter(&args->out, block->rows, row, count, head, 1);
}

static void forward_block(const struct loam_attention_forward_args *args,
                          const struct attention_sequence *sequence, int64_t head, int64_t query,
                          float *memory)
{
    const int64_t d = args->q.shape[2], padded = attention_padded(d);
    const int64_t group = head / (args->q.shape[1] / args->k.shape[1]);
    const int64_t count = attention_min(QUERIES, sequence->q_count - query), width = attention_padded(count);
    const int64_t keys_seen = query + count + sequence->before;
    const float slope = attention_slope(&args->shape, head);
    struct forward_block block;
    block_init(&block, memory, d);
    for (int64_t i = 0; i < QUERIES; i++) {
        block.largest[i] = -INFINITY;
        block.sum[i] = 0;
    }
    memset(block.out, 0, (size_t)(d * QUERIES) * sizeof(float));
    attention_gather(block.rows, &args->q, sequence->q_first + query, count, head);
    attention_transpose(block.q, block.rows, count, d, args->shape.scale);
    for (int64_t key = 0; key < keys_seen; key += KEYS) {
        const int64_t keys = attention_min(KEYS, keys_seen - key);
        attention_gather(block.k, &args->k, sequence->kv_first + key, keys, group);
        attention_gather(block.v, &args->v, sequence->kv_first + key, keys, group);
        small_matmul(&(struct small_matmul){block.k, padded, 1, block.q, QUERIES, block.p, QUERIES, false},
                     keys, width, d);
        for (int64_t lane = 0; lane < width; lane += LANES)
            softmax_lanes(&block, sequence, query + lane, lane, key, keys, slope, d);
        small_matmul(&(struct small_matmul){block.v, 1, padded, block.p, QUERIES, block.out, QUERIES, true},
                     d, width, keys);
    }
    write_block(args, &block, sequence->q_first + query, count, head);
}

// ---- a query at a time ----

// Rows of one head lie apart, where the processor does not foresee them.
INLINE void prefetch_row(const char *row, int64_t d, bool bf16)
{
    for (int64_t i = 0; i < d * (bf16 ? 2 : 4); i += 64)
        __builtin_prefetch(row + i);
}

// scores[j] = scale q.k + slope j; returns the largest.
INLINE float row_scores(const struct loam_attention_forward_args *args,
                        const struct attention_sequence *sequence, int64_t head, int64_t group,
                        const float *q, int64_t keys, float *scores, bool bf16)
{
    const int64_t d = args->q.shape[2], step = args->k.stride[0] * (bf16 ? 2 : 4);
    const float slope = attention_slope(&args->shape, head);
    const char *k = cpu_head(&args->k, sequence->kv_first, group);
    float largest = -INFINITY;
    for (int64_t j = 0; j < keys; j++, k += step) {
        vec sum = splat(0);
        prefetch_row(k + AHEAD * step, d, bf16);
        for (int64_t i = 0; i < d; i += LANES)
            sum += load_f32(q + i) * load(k, i, d, bf16);
        scores[j] = sum_lanes(sum) * args->shape.scale + slope * (float)j;
        largest = fmaxf(largest, scores[j]);
    }
    return largest;
}

enum { VALUE_VECS = 4 }; // of an output row that are summed in registers

// out [padded D] = p v
INLINE void row_values(const struct loam_attention_forward_args *args,
                       const struct attention_sequence *sequence, int64_t group, const float *p, int64_t keys,
                       float *out, bool bf16)
{
    const int64_t d = args->v.shape[2], step = args->v.stride[0] * (bf16 ? 2 : 4);
    const char *first = cpu_head(&args->v, sequence->kv_first, group);
    int64_t i = 0;
    for (; i + VALUE_VECS * LANES <= d; i += VALUE_VECS * LANES) {
        vec sum[VALUE_VECS] = {0};
        const char *v = first;
        for (int64_t j = 0; j < keys; j++, v += step) {
            if (i == 0) prefetch_row(v + AHEAD * step, d, bf16);
            for (int64_t n = 0; n < VALUE_VECS; n++)
                sum[n] += load(v, i + n * LANES, d, bf16) * p[j];
        }
        for (int64_t n = 0; n < VALUE_VECS; n++)
            store_f32(out + i + n * LANES, sum[n]);
    }
    for (; i < d; i += LANES) {
        vec sum = splat(0);
        const char *v = first;
        for (int64_t j = 0; j < keys; j++, v += step)
            sum += load(v, i, d, bf16) * p[j];
        store_f32(out + i, sum);
    }
}

static void forward_row(const struct loam_attention_forward_args *args,
                        const struct attention_sequence *sequence, int64_t head, int64_t query, float *memory)
{
    const int64_t d = args->q.shape[2], padded = attention_padded(d), row = sequence->q_first + query;
    const int64_t group = head / (args->q.shape[1] / args->k.shape[1]), keys = query + sequence->before + 1;
    float *q = memory, *out = q + padded, *scores = out + padded; // [padded D], [padded D], [keys]
    attention_gather(q, &args->q, row, 1, head);
    const bool bf16 = args->k.dtype == LOAM_BF16;
    const float largest = bf16 ? row_scores(args, sequence, head, group, q, keys, scores, true)
                               : row_scores(args, sequence, head, group, q, keys, scores, false);
    vec sums = splat(0);
    for (int64_t j = 0; j < keys; j += LANES) {
        vec weight = exp_vec(load(scores, j, keys, false) - largest);
        if (keys - j < LANES) weight = select_vec(lane_index() < (int32_t)(keys - j), weight, splat(0));
        sums += weight;
        store(scores, j, keys, weight, false);
    }
    const float sum = sum_lanes(sums);
    if (bf16) row_values(args, sequence, group, scores, keys, out, true);
    if (!bf16) row_values(args, sequence, group, scores, keys, out, false);
    attention_scatter(&args->out, out, row, 1, head, 1.0f / sum);
    ((float *)args->lse.data)[head * args->q.shape[0] + row] = largest + logf(sum);
}

// ---- the op ----

static int64_t thread_floats(const struct loam_attention_forward_args *args)
{
    const int64_t d = args->q.shape[2], block = block_floats(d);
    const int64_t row = 2 * attention_padded(d) + args->shape.max_kv;
    const int64_t floats = block > row ? block : row;
    return (floats + LANES - 1) / LANES * LANES;
}

static size_t attention_forward_scratch(const struct loam_device *device,
                                        const struct loam_attention_forward_args *args)
{
    return loam_scratch_bytes(thread_floats(args) * device->threads, sizeof(float));
}

static enum loam_status attention_forward(struct loam_stream *stream,
                                          const struct loam_attention_forward_args *args)
{
    const int64_t sequences = loam_tensor_count(&args->shape.q_offsets) - 1, heads = args->q.shape[1];
    const int64_t blocks = (args->shape.max_q + QUERIES - 1) / QUERIES, floats = thread_floats(args);
    float *memory = loam_stream_scratch(stream, attention_forward_scratch(stream->device, args));
    if (memory == NULL) return LOAM_ERROR_INTERNAL;
    LOAM_TRY(attention_check(stream, &args->shape));
    // Whichever thread takes a block, its result is the same; the long ones, at the end of a sequence, go
    // first.
#pragma omp parallel for collapse(3) schedule(dynamic) num_threads(stream->device->threads)
    for (int64_t block = blocks - 1; block >= 0; block--)
        for (int64_t s = 0; s < sequences; s++)
            for (int64_t head = 0; head < heads; head++) {
                const struct attention_sequence sequence = attention_sequence(&args->shape, s);
                const int64_t query = block * QUERIES, left = sequence.q_count - query;
                float *mine = memory + omp_get_thread_num() * floats;
                if (left <= 0) continue;
                if (left > FEW_QUERIES || query > 0)
                    forward_block(args, &sequence, head, query, mine);
                else
                    for (int64_t i = 0; i < left; i++)
                        forward_row(args, &sequence, head, query + i, mine);
            }
    return LOAM_OK;
}

void override_attention_forward(struct loam_op_table *ops)
{
    ops->attention_forward.run = attention_forward;
    ops->attention_forward.scratch = attention_forward_scratch;
}
