// Attention without its score matrix (Dao et al. 2022): blocks of keys, and a softmax that is rescaled as
// they come.
#include <math.h>
#include <omp.h>

#include "device/cpu/simd/attention.h"

// A thread's memory: keys and values of one head of a sequence, and a block of its queries.
struct forward_work {
    float *k;    // [max_kv, padded D]
    float *v;    // [max_kv, padded D]
    float *q;    // [D, QUERIES], scaled
    float *p;    // [KEYS, QUERIES]: scores, then weights
    float *out;  // [D, QUERIES], not yet divided by `sum`
    float *rows; // [QUERIES, padded D]
    float largest[QUERIES];
    float sum[QUERIES];
};

static int64_t work_floats(int64_t max_kv, int64_t d)
{
    return (2 * max_kv + QUERIES) * attention_padded(d) + 2 * d * QUERIES + KEYS * QUERIES;
}

static void work_init(struct forward_work *work, float *memory, int64_t max_kv, int64_t d)
{
    const int64_t padded = attention_padded(d);
    work->k = memory;
    work->v = work->k + max_kv * padded;
    work->rows = work->v + max_kv * padded;
    work->q = work->rows + QUERIES * padded;
    work->out = work->q + d * QUERIES;
    work->p = work->out + d * QUERIES;
}

// One vector of queries: the scores of `keys` keys from `key` become weights, and what was summed before is
// rescaled.
static void softmax_lanes(struct forward_work *work, const struct attention_sequence *sequence, int64_t query,
                          int64_t lane, int64_t key, int64_t keys, float slope, int64_t d)
{
    float *p = work->p + lane;
    const bool all_seen = key + keys - 1 <= query + sequence->before;
    const vec before = load_f32(work->largest + lane);
    vec largest = before;
    for (int64_t j = 0; j < keys; j++) {
        vec score = load_f32(p + j * QUERIES) + slope * (float)(key + j);
        if (!all_seen) score = select_vec(attention_sees(sequence, query, key + j), score, splat(-INFINITY));
        store_f32(p + j * QUERIES, score);
        largest = larger_vec(score, largest);
    }
    const vec rescale = exp_vec(before - largest);
    vec sum = load_f32(work->sum + lane) * rescale;
    for (int64_t j = 0; j < keys; j++) {
        vec weight = exp_vec(load_f32(p + j * QUERIES) - largest);
        if (!all_seen) weight = select_vec(attention_sees(sequence, query, key + j), weight, splat(0));
        store_f32(p + j * QUERIES, weight);
        sum += weight;
    }
    store_f32(work->largest + lane, largest);
    store_f32(work->sum + lane, sum);
    for (int64_t i = 0; i < d; i++)
        store_f32(work->out + i * QUERIES + lane, load_f32(work->out + i * QUERIES + lane) * rescale);
}

static void write_block(const struct loam_attention_forward_args *args, struct forward_work *work,
                        int64_t row, int64_t count, int64_t head)
{
    const int64_t d = args->q.shape[2], padded = attention_padded(d), tokens = args->q.shape[0];
    float *lse = (float *)args->lse.data + head * tokens + row;
    for (int64_t i = 0; i < count; i++) {
        const float inverse = 1.0f / work->sum[i];
        for (int64_t j = 0; j < d; j++)
            work->rows[i * padded + j] = work->out[j * QUERIES + i] * inverse;
        lse[i] = work->largest[i] + logf(work->sum[i]);
    }
    attention_scatter(&args->out, work->rows, row, count, head, 1);
}

// Queries [query, query + QUERIES) of one head; the keys and values are in place.
static void forward_block(const struct loam_attention_forward_args *args,
                          const struct attention_sequence *sequence, int64_t head, int64_t query,
                          struct forward_work *work)
{
    const int64_t d = args->q.shape[2], padded = attention_padded(d);
    const int64_t count = attention_min(QUERIES, sequence->q_count - query), width = attention_padded(count);
    const int64_t keys_seen = query + count + sequence->before;
    const float slope = attention_slope(&args->shape, head);
    for (int64_t i = 0; i < QUERIES; i++) {
        work->largest[i] = -INFINITY;
        work->sum[i] = 0;
    }
    memset(work->out, 0, (size_t)(d * QUERIES) * sizeof(float));
    attention_gather(work->rows, &args->q, sequence->q_first + query, count, head);
    attention_transpose(work->q, work->rows, count, d, args->shape.scale);
    for (int64_t key = 0; key < keys_seen; key += KEYS) {
        const int64_t keys = attention_min(KEYS, keys_seen - key);
        const float *k = work->k + key * padded, *v = work->v + key * padded;
        small_matmul(&(struct small_matmul){k, padded, 1, work->q, QUERIES, work->p, QUERIES, false}, keys,
                     width, d);
        for (int64_t lane = 0; lane < width; lane += LANES)
            softmax_lanes(work, sequence, query + lane, lane, key, keys, slope, d);
        small_matmul(&(struct small_matmul){v, 1, padded, work->p, QUERIES, work->out, QUERIES, true}, d,
                     width, keys);
    }
    write_block(args, work, sequence->q_first + query, count, head);
}

// Every `parts`-th block, from `part` on, of the query heads that read one key/value head.
static void forward_group(const struct loam_attention_forward_args *args,
                          const struct attention_sequence *sequence, int64_t group, int64_t part,
                          int64_t parts, float *memory)
{
    const int64_t heads = args->q.shape[1] / args->k.shape[1];
    struct forward_work work;
    if (part * QUERIES >= sequence->q_count) return;
    work_init(&work, memory, args->shape.max_kv, args->q.shape[2]);
    attention_gather(work.k, &args->k, sequence->kv_first, sequence->kv_count, group);
    attention_gather(work.v, &args->v, sequence->kv_first, sequence->kv_count, group);
    for (int64_t head = group * heads; head < (group + 1) * heads; head++)
        for (int64_t query = part * QUERIES; query < sequence->q_count; query += parts * QUERIES)
            forward_block(args, sequence, head, query, &work);
}

// ---- the op ----

static int64_t thread_floats(const struct loam_attention_forward_args *args)
{
    const int64_t floats = work_floats(args->shape.max_kv, args->q.shape[2]);
    return (floats + LANES - 1) / LANES * LANES;
}

static size_t attention_forward_scratch(const struct loam_device *device,
                                        const struct loam_attention_forward_args *args)
{
    const size_t few = cpu_attention_few_scratch(device, args);
    const size_t blocks = loam_scratch_bytes(thread_floats(args) * device->threads, sizeof(float));
    if (args->shape.max_q <= FEW_QUERIES) return few;
    return few > blocks ? few : blocks; // never less than fewer queries take
}

// Parts that the blocks of a head are dealt into, so that there are a few tasks for each thread.
static int64_t part_count(const struct loam_attention_forward_args *args, int64_t tasks, int64_t threads)
{
    const int64_t blocks = (args->shape.max_q + QUERIES - 1) / QUERIES;
    const int64_t wanted = tasks > 0 ? (4 * threads + tasks - 1) / tasks : 1;
    return wanted < blocks ? wanted : blocks;
}

static enum loam_status attention_forward(struct loam_stream *stream,
                                          const struct loam_attention_forward_args *args)
{
    const int64_t sequences = loam_tensor_count(&args->shape.q_offsets) - 1;
    const int64_t groups = args->k.shape[1], floats = thread_floats(args);
    const int64_t parts = part_count(args, sequences * groups, stream->device->threads);
    LOAM_TRY(attention_check(stream, &args->shape));
    if (args->shape.max_q <= FEW_QUERIES) return cpu_attention_few(stream, args);
    float *memory = loam_stream_scratch(stream, attention_forward_scratch(stream->device, args));
    if (memory == NULL) return LOAM_ERROR_INTERNAL;
        // Whichever thread takes a task, its result is the same.
#pragma omp parallel for collapse(3) schedule(dynamic) num_threads(stream->device->threads)
    for (int64_t s = 0; s < sequences; s++)
        for (int64_t group = 0; group < groups; group++)
            for (int64_t part = 0; part < parts; part++) {
                const struct attention_sequence sequence = attention_sequence(&args->shape, s);
                forward_group(args, &sequence, group, part, parts, memory + omp_get_thread_num() * floats);
            }
    return LOAM_OK;
}

void CPU_OVERRIDES(attention_forward)(struct loam_op_table *ops)
{
    ops->attention_forward.run = attention_forward;
    ops->attention_forward.scratch = attention_forward_scratch;
}
